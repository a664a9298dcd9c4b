"""A port on which field units of others (analyzers, data loggers) send HJ 212 packets: each becomes one JSON object.

It reads, judges and tells; nothing that came is obeyed or believed. Limits: connections, silence, one packet's length,
bytes of the file that keeps them. Runs in one event loop.

    listener = Listener(ListenRule(Policy.STRICT), tell)
    await listener.start("127.0.0.1", 9212)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plumeproof.hj212.frame import Frame, FrameSplitter, Policy, Rubbish
from plumeproof.hj212.messages import VERSION_BITS, Identity, build_answer
from plumeproof.hj212.packet import Packet, PacketError, parse_data
from plumeproof.hj212.preview import Edition
from plumeproof.hj212.report import StreamReport

CHUNK = 4096  # with less than one packet that is held, below the 8 KiB of the reference's section 4.2
CONNECTIONS_MAX = 64
UNANSWERED = ("9011", "9012", "9013", "9014")
NOTICES = ("1001", "1013", "9015", "9021", "9022", "2081", "3019")
SEND_S = 5.0  # a unit that does not read its answers is hung up on
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class ListenRule:
    """`does_answer`: 9014 or 9013 to packets that ask for it, so that a unit does not send them again."""

    policy: Policy
    idle_s: float = 600.0
    does_answer: bool = False
    edition: Edition = Edition.HJ2017


class Listener:
    """`counters`: over all connections. What `tell` raises ends the listener (`failed`)."""

    def __init__(self, rule: ListenRule, tell: Tell) -> None:
        self._rule, self._tell = rule, tell
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._number = 0
        self.port = 0
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.counters = {"connections": 0, "good": 0, "bad": 0, "duplicates": 0, "rubbish_bytes": 0, "turned_away": 0}

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()
        while self._open:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            self.counters["turned_away"] += 1
            writer.close()
            return
        self._open.add(writer)
        self._number += 1
        self.counters["connections"] += 1
        host, port = writer.get_extra_info("peername")[:2]
        try:
            await self._talk(reader, writer, {"connection": self._number, "peer": f"{host}:{port}"})
        except (OSError, TimeoutError):
            pass  # silence, or the unit is gone: the connection ends below, and its counts stay
        except Exception as fault:  # noqa: BLE001 - of `tell` (a full disk): it ends the listener, not one connection
            if not self.failed.done():
                self.failed.set_exception(fault)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whence: dict[str, Any]
    ) -> None:  # fmt: skip
        splitter, report = FrameSplitter(self._rule.policy), StreamReport(self._rule.policy, self._rule.edition)
        try:
            while chunk := await asyncio.wait_for(reader.read(CHUNK), self._rule.idle_s):
                for piece in splitter.feed(chunk):
                    self._judge(piece, report, whence)
                    if self._rule.does_answer:
                        await self._answer(piece, writer)
        finally:
            for piece in splitter.close():
                self._judge(piece, report, whence)
            self.counters["good"] += report.good
            self.counters["bad"] += report.bad
            self.counters["duplicates"] += report.again
            self.counters["rubbish_bytes"] += report.rubbish

    def _judge(self, piece: Frame | Rubbish, report: StreamReport, whence: dict[str, Any]) -> None:
        utc = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._tell({"utc": utc} | whence | report.entry(piece))

    async def _answer(self, piece: Frame | Rubbish, writer: asyncio.StreamWriter) -> None:
        if not isinstance(piece, Frame) or not piece.accepted:
            return
        try:
            packet = parse_data(piece.data, piece.check, piece.policy)
        except PacketError:
            return  # told already
        raw = answer_to(packet)
        if raw is not None:
            writer.write(raw)
            await asyncio.wait_for(writer.drain(), SEND_S)


def answer_to(packet: Packet) -> bytes | None:
    """What a platform says to an upload that asks for it; None where nothing is asked, or nothing can be said."""
    cn, qn = packet.of_head("CN"), packet.of_head("QN")
    if not packet.wants_answer or not qn or cn in UNANSWERED or packet.version not in VERSION_BITS:
        return None
    identity = Identity(packet.of_head("MN"), packet.of_head("ST"), packet.of_head("PW"), packet.version)
    try:
        return build_answer(identity, "9013" if cn in NOTICES else "9014", qn)
    except PacketError:
        return None  # no password in the packet: an answer without one is none
