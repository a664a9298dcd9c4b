"""One connected field unit: what it says of itself, what is sent to it (with the faults on), what was asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.hj212_platform.faults import GARBAGE, FaultPlan
from tools.hj212_platform.reader import Message, modbus_of, packet_of

OPEN_MAX = 64  # requests that wait for their end
LATE_MAX = 256  # packets held back at once
SEND_S = 20.0  # for a unit that does not read
NO_QN = "20000101000000000"  # of the fault other-qn
QN_RESULTS = {"2": "refused", "3": "password", "4": "MN", "5": "ST", "6": "Flag", "7": "QN", "8": "CN", "9": "CRC"}
EXE_RESULTS = {"2": "unknown", "3": "condition", "4": "time-out", "5": "busy", "6": "fault", "100": "no data"}


@dataclass(slots=True)
class Exchange:
    """One request to a field unit. `result`: empty while it is open."""

    qn: str
    cn: str
    data: bytes
    is_accepted: bool = False  # 9011 with QnRtn 1
    result: str = ""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def meet(self, message: Message) -> None:
        """A message with its QN."""
        command = message.of("CN")
        if command == "9011":
            code = message.value("QnRtn")
            self.is_accepted = code == "1"
            if not self.is_accepted:
                self.result = f"refused: QnRtn {code} {QN_RESULTS.get(code, 'unknown')}"
        elif command == "9012":
            code = message.value("ExeRtn")
            self.result = "done" if code == "1" else f"failed: ExeRtn {code} {EXE_RESULTS.get(code, 'unknown')}"
        elif command in ("9013", "9014"):
            self.result = "done"
        self.moved.set()


class FieldUnit:
    """A connection from its first byte to its last."""

    def __init__(
        self,
        number: int,
        writer: asyncio.StreamWriter,
        plan: FaultPlan,
        note: Callable[[int, str, str, bytes], None],
        tell: Callable[..., None],
    ) -> None:
        self.number = number
        peer = writer.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}"
        self.head: dict[str, str] = {}  # MN, PW, ST and Flag of its latest own message
        self.exchanges: dict[str, Exchange] = {}
        self.received = 0  # bytes
        self.was_closed_here = False
        self._writer = writer
        self._plan = plan
        self._note = note
        self._tell = tell
        self._turn = asyncio.Lock()  # packets never mix
        self._late: set[asyncio.Task[None]] = set()

    def meet(self, message: Message) -> None:
        """What it says of itself, and which request this belongs to."""
        if message.of("ST") != "91":
            self.head = {name: message.of(name) for name in ("MN", "PW", "ST")}
            self.head["Flag"] = str(message.flag & 0xFC)
        for exchange in self.exchanges.values():
            if exchange.qn == message.of("QN"):
                exchange.meet(message)
            elif exchange.is_accepted:
                exchange.moved.set()  # an upload on the way to the end of a request

    async def send(self, data: bytes, command: str, qn: str) -> None:
        """One packet, or what the faults make of it."""
        faults = self._plan.of_packet(command)
        self._tell("sent", connection=self.number, cn=command, qn=qn, faults=sorted(faults))
        if "no-answer" in faults:
            return
        if "late-answer" in faults and len(self._late) < LATE_MAX:
            wait_ms = faults["late-answer"].ms
            task = asyncio.create_task(self._send_late(data, faults, 3000 if wait_ms is None else wait_ms))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return
        await self._transmit(data, faults)

    async def _send_late(self, data: bytes, faults: dict[str, Any], wait_ms: int) -> None:
        await asyncio.sleep(wait_ms / 1000)
        try:
            await self._transmit(data, faults)
        except OSError as fault:
            self._tell("lost", connection=self.number, reason=f"late answer not sent: {fault}")

    async def _transmit(self, data: bytes, faults: dict[str, Any]) -> None:
        if "other-qn" in faults and data.startswith(b"QN="):
            data = f"QN={NO_QN}".encode() + data[20:]
        raw = packet_of(data)
        if "modbus-crc" in faults:
            raw = packet_of(data, modbus_of(data))
        if "wrong-crc" in faults:
            raw = packet_of(data, int(raw[-6:-2], 16) ^ 1)
        if "answer-twice" in faults:
            raw += raw
        if "garbage" in faults:
            raw = GARBAGE + raw + GARBAGE
        async with self._turn:
            if "cut-sending" in faults:
                at = faults["cut-sending"].byte
                await self._write(raw[: len(raw) // 2 if at is None else at])
                self._tell("cut", connection=self.number, reason="fault cut-sending")
                self._writer.close()
            elif "split-bytes" in faults:
                for at in range(len(raw)):
                    await self._write(raw[at : at + 1])
                    await asyncio.sleep((faults["split-bytes"].ms or 0) / 1000)
            else:
                await self._write(raw)

    async def _write(self, raw: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._writer.write(raw)
        self._note(self.number, self.peer, "sent", raw)
        try:
            await asyncio.wait_for(self._writer.drain(), SEND_S)
        except TimeoutError:
            raise ConnectionAbortedError(f"the unit has read nothing for {SEND_S} s") from None

    async def ask(self, exchange: Exchange, over_time_s: float, tries: int) -> None:
        """A request to its end: the same packet again while nothing comes, at most `tries` times in all."""
        if len(self.exchanges) >= OPEN_MAX:
            exchange.result = f"not sent: {OPEN_MAX} requests are open"
            return
        self.exchanges[exchange.qn] = exchange
        try:
            left = tries
            while not exchange.result:
                if not exchange.is_accepted:
                    if not left:
                        exchange.result = "no answer"
                        break
                    left -= 1
                    await self.send(exchange.data, exchange.cn, exchange.qn)
                exchange.moved.clear()
                try:
                    if not exchange.result:
                        await asyncio.wait_for(exchange.moved.wait(), over_time_s)
                except TimeoutError:
                    if exchange.is_accepted:
                        exchange.result = "no 9012"
        except OSError:
            exchange.result = "connection lost"
        finally:
            del self.exchanges[exchange.qn]

    def close(self) -> None:
        """Hang up: what was asked is over too."""
        self.was_closed_here = True
        for task in self._late:
            task.cancel()
        for exchange in self.exchanges.values():
            exchange.result = exchange.result or "connection lost"
            exchange.moved.set()
        self._writer.close()
