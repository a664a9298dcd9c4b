"""A door in front of a real mosquitto: lets MQTT 5 through, and says what no broker can be made to say.

TLS on both sides. Each packet is looked at: a CONNECT may be answered in the broker's stead, a PUBLISH refused, a
PUBACK withheld, the line cut in the middle of a packet. What the broker itself has acknowledged is written down: a row
that stands there has been taken, whatever its sender has been told. MQTT 5.0, OASIS Standard, sections 2 and 3.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST = "127.0.0.1"
CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT = 1, 2, 3, 4, 14
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
LOOK_S = 0.05
HANDSHAKE_S = 5.0
STALL_S = 3.0  # of a handshake that never begins; longer than the client waits
NO_QOS = b"\x24\x00"  # CONNACK property: Maximum QoS 0, section 3.2.2.3.4
PACKET_MAX_BYTES = 1 << 20

Row = tuple[str, int]  # topic, seq


@dataclass(slots=True)
class Manners:
    """How the door behaves from now on; each share is drawn for each packet, with `is_bound` for each seq for good.

    `connack`: reason code in the broker's stead, None: the broker's. `puback`: code for refused publications.
    `disconnect`: code with which the broker goes. `certificate`: another server certificate and its key.
    """

    is_open: bool = True
    has_qos: bool = True
    connack: int | None = None
    puback: int = 0x97
    refused_share: float = 0.0
    is_bound: bool = False
    withheld_share: float = 0.0
    cut_share: float = 0.0
    disconnect: int | None = None
    disconnect_share: float = 0.0
    is_plain: bool = False
    is_stalled: bool = False
    certificate: tuple[Path, Path] | None = None


class Door:
    """Threads of its own. `manners` may be replaced at any time; `taken`, `told` are for afterwards.

    `taken`: (topic, seq) as often as the broker has acknowledged them with success. `told`: how often each fault was.
    `knocks_s`: when somebody came, on the clock that was handed in.
    """

    def __init__(self, authority: Path, broker_port: int, now_s: Callable[[], float], seed: int) -> None:
        self.manners = Manners()
        self.taken: dict[Row, int] = {}
        self.told: dict[str, int] = {}
        self.knocks_s: list[float] = []
        self._authority, self._broker_port, self._now_s = authority, broker_port, now_s
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(LOOK_S)
        self.port = int(self._listener.getsockname()[1])
        self._run = threading.Thread(target=self._accept, name="door", daemon=True)
        self._run.start()

    def shut(self) -> None:
        """From now on everybody is turned away; who is inside is thrown out."""
        self.manners = Manners(is_open=False)
        self.throw_out()

    def throw_out(self) -> None:
        """Every line is reset."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._is_closing.set()
        self.throw_out()
        self._run.join(HANDSHAKE_S)
        for thread in self._threads:
            thread.join(HANDSHAKE_S)
        self._listener.close()

    def note(self, fault: str) -> None:
        """One more."""
        with self._lock:
            self.told[fault] = self.told.get(fault, 0) + 1

    def draws(self, share: float) -> bool:
        """Whether it happens."""
        with self._lock:
            return share > 0 and self._random.random() < share

    def place(self, length: int) -> int:
        """Where something is cut."""
        with self._lock:
            return self._random.randrange(length)

    def take(self, row: Row) -> None:
        """The broker has it."""
        with self._lock:
            self.taken[row] = self.taken.get(row, 0) + 1

    def _accept(self) -> None:
        while not self._is_closing.is_set():
            try:
                line, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.knocks_s.append(self._now_s())
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._greet, args=(line,), name="door-line", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _greet(self, line: socket.socket) -> None:
        manners = self.manners
        with self._lock:
            self._lines.add(line)
        try:
            line.settimeout(HANDSHAKE_S)
            if not manners.is_open:
                self.note("turned away")
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif manners.is_stalled:
                self.note("handshake stalled")
                self._is_closing.wait(STALL_S)
            elif manners.is_plain:
                self.note("plain text")
                line.sendall(b"\x20\x03\x00\x00\x00")
            else:
                self._pass_through(line, manners)
        except OSError:  # somebody has gone; the other side learns it when both are closed
            pass
        finally:
            with self._lock:
                self._lines.discard(line)
            line.close()

    def _pass_through(self, line: socket.socket, manners: Manners) -> None:
        own = manners.certificate or (self._authority / "server.pem", self._authority / "server.key")
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._authority / "ca.pem"))
        server.load_cert_chain(*own)
        server.verify_mode = ssl.CERT_REQUIRED
        if manners.certificate is not None:
            self.note("bad certificate")
        with server.wrap_socket(line, server_side=True) as inside:
            client = ssl.create_default_context(cafile=str(self._authority / "ca.pem"))
            client.load_cert_chain(self._authority / "client.pem", self._authority / "client.key")
            with (
                socket.create_connection((HOST, self._broker_port), HANDSHAKE_S) as bare,
                client.wrap_socket(bare, server_hostname=HOST) as outside,
            ):
                with self._lock:
                    self._lines.add(inside)
                try:
                    Passage(self, inside, outside).run()
                finally:
                    with self._lock:
                        self._lines.discard(inside)


class Passage:
    """One connection. Raises OSError when one side has gone."""

    def __init__(self, door: Door, inside: ssl.SSLSocket, outside: ssl.SSLSocket) -> None:
        self._door, self._inside, self._outside = door, inside, outside
        self._sent: dict[int, Row] = {}  # publications on their way, by packet id

    def run(self) -> None:
        """Until it ends."""
        sides = {self._inside: self._from_client, self._outside: self._from_broker}
        held = {side: bytearray() for side in sides}
        for side in sides:
            side.settimeout(HANDSHAKE_S)
        while True:
            ready = [side for side in sides if side.pending()] or select.select(list(sides), (), (), LOOK_S)[0]
            for side in ready:
                octets = side.recv(65_536)
                if not octets:
                    return
                held[side] += octets
                while packet := _cut_packet(held[side]):
                    if not sides[side](packet):
                        return

    def _from_client(self, packet: bytes) -> bool:
        """Whether the line goes on."""
        door, manners, kind = self._door, self._door.manners, packet[0] >> 4
        if kind == CONNECT and (manners.connack is not None or not manners.has_qos):
            door.note(f"CONNACK 0x{manners.connack:02x}" if manners.connack is not None else "QoS 0 only")
            more = b"" if manners.has_qos else NO_QOS
            body = bytes((0, manners.connack or 0, len(more))) + more
            self._inside.sendall(bytes((CONNACK << 4, len(body))) + body)
            return manners.connack is None
        row = None
        if kind == PUBLISH:
            number, row = _read_publish(packet)
            if row is not None:
                if door.draws(manners.disconnect_share) and manners.disconnect is not None:
                    door.note(f"DISCONNECT 0x{manners.disconnect:02x}")
                    self._inside.sendall(bytes((DISCONNECT << 4, 1, manners.disconnect)))
                    return False
                refuses = row[1] * 7919 % 1000 < manners.refused_share * 1000
                if refuses if manners.is_bound else door.draws(manners.refused_share):
                    door.note(f"PUBACK 0x{manners.puback:02x}")
                    self._inside.sendall(struct.pack(">BBHB", PUBACK << 4, 3, number, manners.puback))
                    return True
                self._sent[number] = row
        return self._hand(packet, self._outside, row is not None)

    def _from_broker(self, packet: bytes) -> bool:
        door, manners = self._door, self._door.manners
        row = None
        if packet[0] >> 4 == PUBACK:
            number = struct.unpack(">H", packet[2:4])[0]
            row = self._sent.pop(number, None)
            if row is not None and (len(packet) < 5 or packet[4] < 0x80):
                door.take(row)
                if door.draws(manners.withheld_share):
                    door.note("PUBACK withheld")
                    return True
        return self._hand(packet, self._inside, row is not None)

    def _hand(self, packet: bytes, side: ssl.SSLSocket, may_be_cut: bool) -> bool:
        if may_be_cut and self._door.draws(self._door.manners.cut_share):
            self._door.note("cut inside a packet")
            side.sendall(packet[: self._door.place(len(packet))])
            return False
        side.sendall(packet)
        return True


def _cut_packet(held: bytearray) -> bytes:
    """Take the first whole packet out; b"" when there is none yet."""
    length, place, shift = 0, 1, 0
    while True:
        if place >= len(held):
            return b""
        length |= (held[place] & 0x7F) << shift
        shift += 7
        place += 1
        if not held[place - 1] & 0x80:
            break
    if length > PACKET_MAX_BYTES:
        raise OSError(f"a packet of {length} bytes")
    if len(held) < place + length:
        return b""
    packet = bytes(held[: place + length])
    del held[: place + length]
    return packet


def _read_publish(packet: bytes) -> tuple[int, Row | None]:
    """Packet id, and topic and seq; None for one without a seq, as the status."""
    place = 1
    while packet[place] & 0x80:
        place += 1
    place += 1
    size = struct.unpack_from(">H", packet, place)[0]
    topic = packet[place + 2 : place + 2 + size].decode()
    place += 2 + size
    number = struct.unpack_from(">H", packet, place)[0]
    properties, _ = Properties(PacketTypes.PUBLISH).unpack(packet[place + 2 :])
    pairs = dict(getattr(properties, "UserProperty", ()))
    return number, (topic, int(pairs["seq"])) if "seq" in pairs else None
