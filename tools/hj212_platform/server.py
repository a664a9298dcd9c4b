"""The platform: connections, their messages, the answers, and requests to the units.

Every event goes to `tell(name, **facts)`: listening, connected, message, refused, sent, asked, finished, cut, lost,
closed. No password is in any of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tools.hj212_platform.answers import WANTS_ANSWER, answer_to, clock_area, data_of
from tools.hj212_platform.capture import Capture, CaptureError
from tools.hj212_platform.faults import FaultPlan
from tools.hj212_platform.reader import Message, PacketReader, Refused
from tools.hj212_platform.store import MessageStore, StoreFault
from tools.hj212_platform.unit import Exchange, FieldUnit

CHUNK = 4096  # bytes read at once; with less than one packet kept that is below the 8 KiB of section 4.2
CONNECTIONS_MAX = 64
KEPT = 1024  # messages that a script can still wait for
SECRETS = ("pw", "newpw", "newsk")  # however a unit writes them


@dataclass(frozen=True, slots=True)
class Manners:
    """How the platform treats its units."""

    policy: str = "strict"
    over_time_s: float = 5.0  # section 4.5, ADSL
    tries: int = 3
    idle_s: float = 600.0
    utc_offset_h: float = 8.0  # the clock that units are set to
    known: dict[str, str] = field(default_factory=dict)  # MN and PW of a unit that has not said a word


class Platform:
    """Runs in one event loop."""

    def __init__(
        self,
        manners: Manners,
        plan: FaultPlan,
        tell: Callable[..., None],
        store: MessageStore | None = None,
        capture: Capture | None = None,
    ) -> None:
        self.units: dict[int, FieldUnit] = {}
        self.plan = plan
        self.manners = manners
        self.port = 0
        self.has_news = asyncio.Condition()
        self.arrived: deque[tuple[int, FieldUnit, Message]] = deque(maxlen=KEPT)  # numbered, for a script that waits
        self.greet: Callable[[FieldUnit], Coroutine[None, None, object]] | None = None  # done to each that connects
        self._tell = tell
        self._store = store
        self._capture = capture
        self._connections = self._messages = 0
        self._last_qn = ""
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.Task[Exchange]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tell("listening", host=host, port=self.port, policy=self.manners.policy)

    async def stop(self) -> None:
        """Hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for unit in list(self.units.values()):
            unit.close()
        for _ in range(100):
            if not self.units:
                break
            await asyncio.sleep(0.01)

    def now(self) -> datetime:
        """The time of the units' clocks."""
        return datetime.now(UTC).astimezone(timezone(timedelta(hours=self.manners.utc_offset_h)))

    def next_qn(self) -> str:
        """Milliseconds, and never one twice."""
        now = self.now()
        while (qn := f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03}") <= self._last_qn:
            now += timedelta(milliseconds=1)
        self._last_qn = qn
        return qn

    def ask(self, unit: FieldUnit, command: str, area: str, head: dict[str, str]) -> asyncio.Task[Exchange]:
        """Send a command; the task ends with the exchange. `head`: fields instead of the unit's own."""
        known = self.manners.known | unit.head | head
        fields = {"QN": self.next_qn(), "ST": known.get("ST", "31"), "CN": command, "PW": known.get("PW", "")}
        fields |= {"MN": known.get("MN", ""), "Flag": str(int(known.get("Flag", "4")) | WANTS_ANSWER)}
        exchange = Exchange(fields["QN"], command, data_of(fields, area))
        task = asyncio.create_task(self._ask(unit, exchange))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    async def _ask(self, unit: FieldUnit, exchange: Exchange) -> Exchange:
        self._tell("asked", connection=unit.number, cn=exchange.cn, qn=exchange.qn)
        await unit.ask(exchange, self.manners.over_time_s, self.manners.tries)
        self._tell("finished", connection=unit.number, cn=exchange.cn, qn=exchange.qn, result=exchange.result)
        return exchange

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.units) >= CONNECTIONS_MAX:
            writer.close()
            self._tell("refused", reason=f"more than {CONNECTIONS_MAX} connections")
            return
        self._connections += 1
        unit = FieldUnit(self._connections, writer, self.plan, self._note, self._tell)
        self.units[unit.number] = unit
        self._tell("connected", connection=unit.number, peer=unit.peer)
        greeting = asyncio.create_task(self.greet(unit)) if self.greet is not None else None
        reason = ""
        try:
            reason = await self._talk(unit, reader)
        except (OSError, TimeoutError) as fault:
            reason = f"idle for {self.manners.idle_s} s" if isinstance(fault, TimeoutError) else str(fault)
        except StoreFault as fault:
            self._fail(fault)
        finally:
            reason = reason or ("closed here" if unit.was_closed_here else "closed by the unit")
            del self.units[unit.number]
            unit.close()
            if greeting is not None:
                greeting.cancel()
            if self._capture is not None:
                self._capture.close_connection(unit.number)
            self._tell("closed", connection=unit.number, reason=reason)
            await self._wake()

    async def _talk(self, unit: FieldUnit, reader: asyncio.StreamReader) -> str:
        """Until one side hangs up; why, where it was us."""
        packets = PacketReader(self.manners.policy)
        await self._wake()
        while chunk := await asyncio.wait_for(reader.read(CHUNK), self.manners.idle_s):
            self._note(unit.number, unit.peer, "received", chunk)
            unit.received += len(chunk)
            if self.plan.of_connection(unit.received) is not None:
                return "fault cut-receiving"
            for found in packets.take(chunk):
                await self._meet(unit, found)
        for found in packets.end():
            await self._meet(unit, found)
        return ""

    async def _meet(self, unit: FieldUnit, found: Message | Refused) -> None:
        if isinstance(found, Refused):
            self._tell("refused", connection=unit.number, at=found.at, size=found.size, reason=found.reason)
            return
        kept = self._store.keep(found, unit.number) if self._store is not None else "not kept"
        unit.meet(found)
        self._tell("message", connection=unit.number, kept=kept, **facts_of(found))
        try:
            answer = answer_to(found)
            if answer is not None:
                await unit.send(answer, "9013" if b";CN=9013;" in answer else "9014", found.of("QN"))
        finally:  # a script that waits for this message goes on when it is answered
            self._messages += 1
            self.arrived.append((self._messages, unit, found))
            await self._wake()
        area = clock_area(found, self.now())
        if area is not None:
            self.ask(unit, "1012", area, {})

    async def _wake(self) -> None:
        async with self.has_news:
            self.has_news.notify_all()

    def _note(self, connection: int, peer: str, direction: str, raw: bytes) -> None:
        if self._capture is None:
            return
        try:
            self._capture.note(connection, peer, direction, raw)
        except CaptureError as fault:
            self._fail(fault)

    def _fail(self, fault: Exception) -> None:
        """What store or capture cannot do ends the platform, not one connection."""
        if not self.failed.done():
            self.failed.set_exception(fault)


def facts_of(message: Message) -> dict[str, Any]:
    """A message for the log and for other programs, without secrets."""
    return {
        "at": message.at,
        "size": message.size,
        "checksum": message.checksum,
        "policy": message.policy,
        "head": {name: "(not shown)" if name.lower() in SECRETS else value for name, value in message.head},
        "items": [
            [[name, "(not shown)" if name.lower() in SECRETS else value] for name, value in item]
            for item in message.items
        ],
    }
