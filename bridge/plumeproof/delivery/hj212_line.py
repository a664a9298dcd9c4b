"""One TCP connection to an HJ 212 platform: frames in, packets out, time limits. Plain text, as the standard has it.

Used by the thread that delivers, as the other sinks are. What the standard calls a link that is down (no answer after
the last try) is a connection that is dropped here; the caller's back-off decides when the next is made.

    line = Hj212Line("platform.example", 9001, Policy.STRICT)
    line.open(); line.send(raw); frames = line.receive(wait_s=0.5)
"""

from __future__ import annotations

import socket

from plumeproof.errors import RetryableDelivery
from plumeproof.hj212.frame import Frame, FrameSplitter, Policy

CONNECT_S = 5.0  # as long as a stop may take
SEND_S = 5.0  # a platform that does not read is a link that is down
CHUNK_BYTES = 8 * 1024  # reference: section 4.2, buffer of a connection


class Hj212Line:
    """`heard`: whether anything came on this connection. Raises RetryableDelivery from every method but `drop`."""

    def __init__(self, host: str, port: int, policy: Policy) -> None:
        self.where = f"{host}:{port}"
        self._address, self._policy = (host, port), policy
        self._socket: socket.socket | None = None
        self._splitter = FrameSplitter(policy)
        self.rubbish_bytes = 0  # over all connections
        self.heard = False

    @property
    def is_open(self) -> bool:
        """As far as anybody has noticed."""
        return self._socket is not None

    def open(self) -> None:
        """Connect; blocks at most CONNECT_S."""
        self.drop()
        try:
            self._socket = socket.create_connection(self._address, CONNECT_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.drop()
            raise RetryableDelivery(f"{self.where}: {_words(error)}; check host, port and firewall") from error
        self._splitter = FrameSplitter(self._policy)
        self.heard = False

    def send(self, raw: bytes) -> None:
        """All of it."""
        live = self._live()
        try:
            live.settimeout(SEND_S)
            live.sendall(raw)
        except OSError as error:
            self.drop()
            raise RetryableDelivery(f"{self.where}: {_words(error)}, while a packet was sent") from error

    def receive(self, wait_s: float) -> list[Frame]:
        """Packets that have come whole, good and bad ones; waits at most `wait_s` for the first byte."""
        live = self._live()
        try:
            live.settimeout(max(0.0, wait_s))
            chunk = live.recv(CHUNK_BYTES)
        except (TimeoutError, BlockingIOError):
            return []
        except OSError as error:
            self.drop()
            raise RetryableDelivery(f"{self.where}: {_words(error)}") from error
        if not chunk:
            self.drop()
            raise RetryableDelivery(f"{self.where}: the platform has closed the connection")
        self.heard = True
        pieces = self._splitter.feed(chunk)
        frames = [piece for piece in pieces if isinstance(piece, Frame)]
        self.rubbish_bytes += sum(piece.length for piece in pieces if not isinstance(piece, Frame))
        return frames

    def drop(self) -> None:
        """Give the connection up. Never raises."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _live(self) -> socket.socket:
        if self._socket is None:
            raise RetryableDelivery(f"{self.where}: no connection")
        return self._socket


def try_line(host: str, port: int) -> str:
    """Connect once, for `doctor`; the address. Raises RetryableDelivery."""
    line = Hj212Line(host, port, Policy.STRICT)
    line.open()
    line.drop()
    return line.where


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error) or type(error).__name__).lower()
