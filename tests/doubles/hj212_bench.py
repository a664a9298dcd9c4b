"""An HJ 212 platform (tools/hj212_platform) in a thread of its own, and a link to it with a real ledger.

The platform is the simulator's, with its own parser; nothing of it is imitated here.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from plumeproof.clock_order_desk import ClockOrderDesk
from plumeproof.delivery import hj212_memory as memory_of
from plumeproof.delivery.hj212_memory import LinkMemory, QnSource
from plumeproof.delivery.hj212_orders import Orders
from plumeproof.delivery.hj212_sink import LONGEST_S, Hj212Sink, LinkSettings
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.errors import DeliveryError
from plumeproof.hj212.frame import Policy
from plumeproof.hj212_feed import Hj212Feed
from plumeproof.hj212_link import Entry, LinkPlan
from plumeproof.hj212_station import LedgerStation
from plumeproof.model import AveragingState, AveragingStep
from plumeproof.rules.channel_source import Source
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.clock_orders import SqliteClockOrders
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.doubles.manual_clock import ManualClock
from tools.eu_platform.receipts import write_private
from tools.hj212_platform import server
from tools.hj212_platform.answers import answer_to, data_of
from tools.hj212_platform.faults import FaultPlan, parse_fault
from tools.hj212_platform.reader import Message
from tools.hj212_platform.server import Manners, Platform
from tools.hj212_platform.store import MessageStore

MN = "010000A8900016F000169DC0"
PW = "123456"
HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_796_054_400_000  # 2026-12-01T00:00 at +08:00
WAIT_S = 20.0  # far above what anything here takes
DUTIES = frozenset(("real_time", "minute", "hour", "day"))
NOX = Entry("a21002", Source("plume-01", "nox"), "mg/m3", Fraction(1), Fraction(0), 1, DUTIES, "NOx", Fraction(1))
FLOW = Entry("a00000", Source("plume-01", "flow"), "m3/h", Fraction(1, 3600), Fraction(0), 1, DUTIES, is_companion=True)
O2 = Entry("a19001", Source("plume-02", "o2"), "%", Fraction(1), Fraction(0), 1, DUTIES, is_companion=True)
PLAN = LinkPlan(MN, "line-1", 480, (NOX, FLOW), None, frozenset({"NOx"}))


class PlatformThread:
    """`messages`: what came, each copy; `store`: what is kept, each once."""

    def __init__(self, folder: Path, **manners: Any) -> None:
        self.messages: list[Message] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.store = MessageStore(Path(":memory:"))  # it outlives no test
        self.plan = FaultPlan()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        known = {"MN": MN, "PW": PW, "ST": "31", "Flag": "4"}
        self._manners = Manners(over_time_s=5.0, tries=1, known=known, **manners)
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the port of the last time."""
        self.platform = self._run(self._start())
        self.port = self.platform.port

    async def _start(self) -> Platform:
        platform = Platform(self._manners, self.plan, self._tell, self.store)
        await platform.start("127.0.0.1", self.port)
        return platform

    def stop(self) -> None:
        """Hang up and listen no more."""
        self._run(self.platform.stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()
        self.store.close()

    def fault(self, text: str) -> None:
        self.plan.switch_on(parse_fault(text))

    def ask(self, cn: str, area: str = "", while_waiting: Callable[[], object] = lambda: None, **head: str) -> str:
        """The result of a request; `while_waiting` is done until it is there."""
        future = asyncio.run_coroutine_threadsafe(self._ask(cn, area, head), self._loop)
        deadline = time.monotonic() + WAIT_S
        while not future.done():
            assert time.monotonic() < deadline, "the request never ends"
            while_waiting()
            time.sleep(0.002)
        return future.result()

    async def _ask(self, cn: str, area: str, head: dict[str, str]) -> str:
        """Of the newest connection, which may be on its way while an older one is still going."""
        deadline = time.monotonic() + WAIT_S
        while True:
            units = self.platform.units
            if units:
                exchange = await self.platform.ask(units[max(units)], cn, area, head)
                if exchange.result != "connection lost":
                    return exchange.result
            assert time.monotonic() < deadline, "no unit"
            await asyncio.sleep(0.005)

    def of(self, cn: str) -> list[Message]:
        return [message for message in list(self.messages) if message.of("CN") == cn]

    def kept(self, cn: str) -> list[tuple[str, int, str]]:
        """(DataTime, PNO, QN) of every message that a platform keeps by (MN, CN, DataTime, PNO), in their order."""
        return self.store.rows(
            "SELECT data_time, pno, min(qn) FROM message WHERE cn = ? GROUP BY data_time, pno ORDER BY min(id)", cn
        )

    def kept_qns(self, cn: str) -> set[str]:
        """Of every message that is kept, each once."""
        return {qn for (qn,) in self.store.rows("SELECT qn FROM message WHERE cn = ?", cn)}

    def refuse_next(self, code: int, cn: str = "2061") -> None:
        """The next upload is answered by 9011 with this QnRtn, as some platforms do, and not by 9014. The tool does not
        imitate such a one."""

        def refusing(message: Message) -> bytes | None:
            if not message.wants_answer or message.of("CN") != cn:
                return answer_to(message)
            server.answer_to = answer_to
            return data_of({name: message.of(name) for name in ("QN",)} | {
                "ST": "91", "CN": "9011", "PW": message.of("PW"), "MN": message.of("MN"), "Flag": "4"
            }, f"QnRtn={code}")  # fmt: skip

        server.answer_to = refusing

    def differing(self) -> int:
        return int(self.store.rows("SELECT count(*) FROM differing")[0][0])

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def _tell(self, name: str, **facts: Any) -> None:
        self.events.append((name, facts))
        if name == "message":
            head = tuple(facts["head"].items())
            items = tuple(tuple(map(tuple, item)) for item in facts["items"])
            self.messages.append(
                Message(facts["at"], facts["size"], b"", facts["checksum"], facts["policy"], head, items)
            )


@cache
def empty_ledger() -> bytes:
    """A ledger without a row: making its tables anew costs each test a twentieth of a second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite"
        Writer(path).close()
        return path.read_bytes()


class LinkBench:
    """One link over a ledger in `folder`. `open` begins anew, as after a kill: nothing of the older one is used."""

    def __init__(self, folder: Path, port: int, plan: LinkPlan = PLAN, name: str = "bureau", **settings: Any) -> None:
        self.folder, self.port, self.plan, self.name, self.settings = folder, port, plan, name, settings
        self.clock = ManualClock(MIDNIGHT_MS + 6 * HOUR_MS)
        self.key = self.set_clock = None
        self.sink: Hj212Sink | None = None
        # Whole seconds in the product; here a try costs less.
        self.defaults: Any = {
            memory_of.OVER_TIME: 0.15, memory_of.TRIES: 2, memory_of.REAL_TIME_S: 60, memory_of.MINUTE_MIN: 10,
            memory_of.IS_REAL_TIME: 0,
        }  # fmt: skip
        write_private(folder / "secret", PW.encode())
        path = folder / f"{name}.sqlite"
        if not path.exists():
            path.write_bytes(empty_ledger())
        self.writer = Writer(path)
        self.open()

    def open(self) -> None:
        if self.sink is not None:
            self.kill()
        writer, clock, plan = self.writer, self.clock, self.plan
        self.outbox, self.averages = SqliteOutbox(writer, clock), SqliteAverages(writer, clock)
        self.figures = SqliteFigures(writer, clock)
        self.station = LedgerStation(plan, self.averages, self.figures, clock, [1, 10], 60, by_cause=False)
        memory = LinkMemory(self.outbox, self.name, self.defaults)
        numbers = QnSource(clock, plan.utc_offset_min, memory)
        self.orders_store = SqliteClockOrders(writer)
        desk = ClockOrderDesk(
            "gw-1", self.key, self.orders_store, clock, 60_000, self.set_clock, threading.Lock(), lambda kid: b""
        )
        settings = LinkSettings(
            "127.0.0.1", self.port, plan.mn, "31", self.folder / "secret", **({"policy": Policy.STRICT} | self.settings)
        )
        orders = Orders(self.name, f"127.0.0.1:{self.port}", self.station, memory, clock, desk, self.folder / "secret")
        self.sink = Hj212Sink(self.name, settings, self.station, memory, numbers, orders, clock)
        self.stage = DeliveryStage(self.sink, self.outbox, clock, LONGEST_S, random.Random(1).random)
        self.feed = Hj212Feed(
            self.name, "31", self.station, self.averages, self.figures, self.outbox, memory, numbers, clock, 300.0
        )
        self.feed.begin()

    def kill(self) -> None:
        """As SIGKILL: the socket closes, nothing is said or stored any more."""
        self.sink._line.drop()

    def close(self) -> None:
        self.stage.close()
        self.writer.close()

    def average(self, interval_s: int, *starts_utc_ms: int, device: str = "plume-01", **values: Any) -> None:
        """Averages of every channel of a device at these starts, in one step."""
        sources = {(entry.source, entry.unit) for entry in self.plan.entries if entry.source.device == device}
        defaults = {"mean": 38.25, "minimum": 35.0, "maximum": 41.0, "n_expected": 3600, "n_valid": 3600}
        made = tuple(
            replace(
                AVERAGE, device=device, channel=source.channel, unit=unit, interval_s=interval_s, start_utc_ms=start,
                n_invalid=(), **(defaults | values),
            )
            for start in starts_utc_ms
            for source, unit in sorted(sources)
        )  # fmt: skip
        state = AveragingState(device, 1, max(starts_utc_ms) + interval_s * 1000, 60_000, ())
        self.averages.commit(AveragingStep(1, (state,), (), (), (), made))

    def queue(self) -> None:
        while self.feed.advance():
            pass

    def step(self) -> None:
        """One step of the stage; its rests pass on our clock."""
        try:
            rest_s = self.stage.step()
        except DeliveryError as error:
            rest_s = self.stage.recover(error) or 1.0
        self.clock.advance(rest_s if rest_s else 0.0)

    def deliver(self) -> None:
        """Until nothing waits."""
        deadline = time.monotonic() + WAIT_S
        while self.waiting():
            assert time.monotonic() < deadline, "rows wait for ever"
            self.step()
            self.clock.advance(0.1)

    def waiting(self) -> int:
        with self.writer.reading() as connection:
            return connection.execute("SELECT count(*) FROM outbox WHERE state = 'waiting'").get
