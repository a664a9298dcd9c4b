"""A broker that does as a test says. It checks nothing, forwards nothing and knows no TLS; brokers are mosquitto."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

WAIT_S = 20.0


class ToldBroker:
    """Speaks MQTT 5 without TLS on one connection after the other. `connack`: reason code of CONNACK; `codes`: of the
    next PUBACKs, None for silence. It checks nothing and forwards nothing."""

    host = "127.0.0.1"

    def __init__(
        self, *codes: int | None, connack: int = 0, receive_maximum: int | None = None, more: bytes = b""
    ) -> None:
        """`more`: further properties of CONNACK. A code of -1 ends the connection with DISCONNECT 0x8E."""
        self.codes, self.connack, self.receive_maximum, self.more = list(codes), connack, receive_maximum, more
        self.suback = 0
        self.published: list[bytes] = []  # topics and payloads of PUBLISH, after the status
        self.unproven: list[bytes] = []  # topics of those with QoS 0
        self.most_in_flight = 0
        self._socket = socket.create_server((self.host, 0))
        self.port = self._socket.getsockname()[1]
        self._stream: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        while True:
            try:
                stream, _ = self._socket.accept()
            except OSError:
                return
            with stream, contextlib.suppress(OSError):
                self._stream = stream
                self._serve(stream)

    def _serve(self, stream: socket.socket) -> None:
        waiting: list[bytes] = []
        while packet := self._packet(stream):
            kind, body = packet
            if kind >> 4 == 1:
                properties = b"" if self.receive_maximum is None else b"\x21" + struct.pack(">H", self.receive_maximum)
                properties += self.more
                payload = bytes((0, self.connack, len(properties))) + properties
                stream.sendall(bytes((0x20, len(payload))) + payload)
            elif kind >> 4 == 8:
                stream.sendall(b"\x90\x04" + body[:2] + b"\x00" + bytes((self.suback,)))
            elif kind >> 4 == 3:
                size = struct.unpack(">H", body[:2])[0]
                if not kind & 0x06:  # QoS 0: nothing to answer
                    self.unproven.append(body[2 : 2 + size])
                    continue
                topic, identifier = body[2 : 2 + size], body[2 + size : 4 + size]
                if topic.endswith(b"/status"):
                    stream.sendall(b"\x40\x02" + identifier)
                    continue
                self.published.append(body[4 + size :])
                waiting.append(identifier)
                self.most_in_flight = max(self.most_in_flight, len(waiting))
                time.sleep(0.002)  # what is still to come of a window comes before we answer
                stream.setblocking(False)
                try:
                    has_more = bool(stream.recv(1, socket.MSG_PEEK))
                except BlockingIOError:
                    has_more = False
                stream.setblocking(True)
                if not has_more:
                    for one in waiting:
                        code = self.codes.pop(0) if self.codes else 0
                        if code == -1:
                            stream.sendall(b"\xe0\x01\x8e")
                            return
                        if code is not None:
                            stream.sendall(b"\x40\x03" + one + bytes((code,)))
                    waiting.clear()

    @staticmethod
    def _packet(stream: socket.socket) -> tuple[int, bytes] | None:
        first = stream.recv(1)
        if not first:
            return None
        length, shift = 0, 0
        while True:
            byte = stream.recv(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        body = b""
        while len(body) < length:
            part = stream.recv(length - len(body))
            if not part:
                return None
            body += part
        return first[0], body
