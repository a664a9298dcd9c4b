"""What a platform's commands do here (reference: reporting-interfaces section 4.4): settings, history, clock.

Every request is answered by 9011, and by 9012 when it is done; a request that comes again gets the same answers and is
not done again. Nothing a platform says reaches a module, a register, or a stored record. The table of what is refused
is bridge/HJ212.md.

    orders = Orders("bureau", "platform.example:9001", station, memory, clock, clock_desk)
    orders.take(packet, identity, send)                    # answers at once
    orders.work(identity, exchange, send, until_s)         # history, which waits for the platform between its packets
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plumeproof.delivery.hj212_memory import (
    IS_REAL_TIME,
    IS_STATE,
    MINUTE_MIN,
    OVER_TIME,
    REAL_TIME_S,
    TRIES,
    LinkMemory,
)
from plumeproof.delivery.private_file import replace_secret
from plumeproof.errors import FinalDelivery, StoreError
from plumeproof.hj212 import messages
from plumeproof.hj212.commands import Refused, Request, read_request
from plumeproof.hj212.messages import Identity, Upload
from plumeproof.hj212.numbers import parse_time, to_time
from plumeproof.hj212.packet import Packet
from plumeproof.ports import Clock

REMEMBERED_MAX = 256  # requests whose answers are given again
WAITING_MAX = 4  # history requests in a row; then busy
HISTORY_MAX = 10_000  # intervals of one request: a week of minutes, a year of hours
HISTORY = {"2051", "2061", "2031", "2041"}
READING = {"1011", "1061", "1063"}  # may be done again
EQUIPMENT = {"2021", "2022", "2041"}
PRESENT = {
    "2011": (IS_REAL_TIME, True),
    "2012": (IS_REAL_TIME, False),
    "2021": (IS_STATE, True),
    "2022": (IS_STATE, False),
}
NOT_OURS = {"3011", "3012", "3013", "3014", "3015", "3016", "3017", "3018", "3019", "3020", "3021"}
Send = Callable[[bytes], None]
Exchange = Callable[[Upload], None]

_log = logging.getLogger(__name__)


_Key = tuple[str, str, tuple[tuple[str, str], ...]]


def _key(request: Request) -> _Key:
    """What makes two requests one: some platforms use a QN again for another request."""
    return request.qn, request.cn, tuple(request.values.items())


class Station(Protocol):
    """What ledger and permit say of an outlet."""

    utc_offset_min: int
    has_equipment: bool

    def real_time(self) -> tuple[int, Upload] | None:
        """(begin of its interval in UTC ms, the newest values); None before the first."""

    def states(self) -> tuple[int, Upload] | None:
        """(begin of its interval in UTC ms, the newest states of equipment); None before the first."""

    def count(self, cn: str, begin_utc_ms: int, end_utc_ms: int, minute_min: int) -> int:
        """Intervals of a history request, whether they are there or not; 0 where the station does not report it."""

    def history(self, cn: str, begin_utc_ms: int, end_utc_ms: int, minute_min: int) -> Iterator[Upload | None]:
        """One for each interval that begins in the span, both ends included; None where nothing is known of it."""

    def minutes(self) -> tuple[int, ...]:
        """Minute intervals that are averaged."""


@dataclass(frozen=True, slots=True)
class ClockOrder:
    """A platform's 1012: who asked for which time, and what its packet was worth."""

    link: str
    platform: str
    mn: str
    request: Request
    ordered_utc_ms: int


class ClockDesk(Protocol):
    """Who puts a clock order into the evidence, and obeys it where the configuration says so."""

    def take(self, order: ClockOrder) -> int:
        """The ExeRtn. Whatever it is, no record is stamped anew."""


@dataclass(slots=True)
class _Job:
    request: Request
    uploads: Iterator[Upload | None]
    sent: int = 0


class Orders:
    """Requests of one link. `asked`: what of the present (IS_REAL_TIME, IS_STATE) the platform wants now."""

    def __init__(
        self,
        link: str,
        platform: str,
        station: Station,
        memory: LinkMemory,
        clock: Clock,
        desk: ClockDesk,
        secret_file: Path | None = None,
    ) -> None:
        """`secret_file`: where a new password may be written; None: it may not."""
        self._link, self._platform, self._station, self._memory = link, platform, station, memory
        self._clock, self._desk, self._secret_file = clock, desk, secret_file
        self._answered: OrderedDict[_Key, tuple[int, int | None]] = OrderedDict()
        self._jobs: deque[_Job] = deque()
        self.asked: set[str] = set()
        self._quiet_until_s = 0.0
        self.new_password: str | None = None  # for the packets behind the answer
        self.counters = dict.fromkeys(("requests_total", "requests_refused_total", "history_total"), 0)

    def take(self, packet: Packet, identity: Identity, send: Send) -> None:
        """Answer a request, and do what needs no waiting. Raises what `send` raises, and StoreError."""
        self.counters["requests_total"] += 1
        try:
            request = read_request(packet, identity)
            if request.cn in NOT_OURS or "PolId" in request.values:
                raise Refused(messages.REFUSED, f"CN {request.cn}: this gateway commands no analyzer")
            if request.cn in EQUIPMENT and not self._station.has_equipment:
                raise Refused(messages.REFUSED, f"CN {request.cn}: no [[hj212.equipment]] of this outlet")
        except Refused as refusal:
            self.counters["requests_refused_total"] += 1
            self.warn("hj212_refused link=%s cn=%s reason=%s", self._link, packet.of_head("CN"), refusal)
            if packet.of_head("QN"):
                send(messages.build_answer(identity, "9011", packet.of_head("QN"), refusal.code))
            return
        if request.cn in ("9015", "9021"):
            if request.wants_answer:
                send(messages.build_answer(identity, "9013" if request.cn == "9015" else "9022", request.qn))
            return
        key = _key(request)
        if key in self._answered and request.cn not in READING:  # our answer was lost, or is on its way
            self._answer(request, identity, send, *self._answered[key])
            return
        if request.wants_answer:
            send(messages.build_answer(identity, "9011", request.qn, messages.READY))
        result = self._do(request, identity, send)
        self._remember(key, result)
        if result is not None:
            send(messages.build_answer(identity, "9012", request.qn, result))

    def warn(self, words: str, *values: object) -> None:
        """One line in the log, at most one a second: what a platform sends without end is in the counters."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._quiet_until_s:
            self._quiet_until_s = now_s + 1.0
            _log.warning(words, *values)

    @property
    def is_working(self) -> bool:
        """History is being sent."""
        return bool(self._jobs)

    def work(self, identity: Identity, exchange: Exchange, send: Send, until_s: float) -> None:
        """Send history until this instant of time.monotonic, at least one interval of it. Raises as `exchange`."""
        while self._jobs:
            job = self._jobs[0]
            try:
                upload = next(job.uploads, job)  # the job itself is no upload: the end
            except StoreError:
                self._end(identity, send, messages.FAULT)
                raise
            if upload is job:
                self._end(identity, send, messages.DONE if job.sent else messages.NO_DATA)
            elif isinstance(upload, Upload):
                try:
                    exchange(upload)
                except FinalDelivery as error:  # the platform does not take what it asked for
                    _log.warning("hj212_history link=%s reason=%s", self._link, error)
                    self._end(identity, send, messages.FAILED)
                    continue
                job.sent += 1
                self.counters["history_total"] += 1
            if time.monotonic() >= until_s:
                return

    def _end(self, identity: Identity, send: Send, result: int) -> None:
        """The first job is over."""
        request = self._jobs.popleft().request
        self._remember(_key(request), result)
        send(messages.build_answer(identity, "9012", request.qn, result))

    def forget_history(self) -> None:
        """The connection is gone; the platform has no 9012 and asks again."""
        for job in self._jobs:
            self._answered.pop(_key(job.request), None)
        self._jobs.clear()

    def _answer(self, request: Request, identity: Identity, send: Send, code: int, result: int | None) -> None:
        if request.wants_answer:
            send(messages.build_answer(identity, "9011", request.qn, code))
        if result is not None:
            send(messages.build_answer(identity, "9012", request.qn, result))

    def _remember(self, key: _Key, result: int | None) -> None:
        self._answered[key] = (messages.READY, result)
        self._answered.move_to_end(key)
        if len(self._answered) > REMEMBERED_MAX:
            self._answered.popitem(last=False)

    def _do(self, request: Request, identity: Identity, send: Send) -> int | None:
        """ExeRtn; None where it comes when the history is sent."""
        values, memory = request.values, self._memory
        if request.cn in HISTORY:
            return self._begin_history(request)
        if request.cn == "1012":
            return self._set_clock(request, identity)
        if request.cn == "1072":
            return self._set_password(values["NewPW"])
        if request.cn == "1064" and int(values["MinInterval"]) not in self._station.minutes():
            return messages.NOT_MET
        wanted = {
            "1000": ((OVER_TIME, "OverTime"), (TRIES, "ReCount")),
            "1062": ((REAL_TIME_S, "RtdInterval"),),
            "1064": ((MINUTE_MIN, "MinInterval"),),
        }
        for name, field in wanted.get(request.cn, ()):
            memory.set(name, int(values[field]))
        if request.cn in PRESENT:
            name, is_on = PRESENT[request.cn]
            memory.set(name, int(is_on))
            self.asked.discard(name)
            if is_on:
                self.asked.add(name)
        readings = {
            "1011": lambda: {"SystemTime": to_time(self._clock.utc_ms(), self._station.utc_offset_min)},
            "1061": lambda: {"RtdInterval": str(memory.get(REAL_TIME_S))},
            "1063": lambda: {"MinInterval": str(memory.get(MINUTE_MIN))},
        }
        if request.cn in readings:
            # The upload repeats the QN of its request (section 4.1), as a platform finds it by that.
            send(messages.build_part(identity, request.cn, request.qn, [readings[request.cn]()]))
        else:
            told = " ".join(f"{name}={value}" for name, value in values.items())
            self.warn("hj212_set link=%s cn=%s %s crc=%s", self._link, request.cn, told, request.check)
        return messages.DONE

    def _begin_history(self, request: Request) -> int | None:
        offset = self._station.utc_offset_min
        try:
            begin, end = (parse_time(request.values[name], offset) for name in ("BeginTime", "EndTime"))
        except ValueError:
            return messages.NOT_MET
        minute = self._memory.get(MINUTE_MIN)
        count = self._station.count(request.cn, begin, end, minute)
        if end < begin or count > HISTORY_MAX:
            return messages.NOT_MET
        if count == 0:
            return messages.NO_DATA
        if len(self._jobs) >= WAITING_MAX:
            return messages.BUSY
        self._jobs.append(_Job(request, self._station.history(request.cn, begin, end, minute)))
        return None

    def _set_clock(self, request: Request, identity: Identity) -> int:
        try:
            ordered = parse_time(request.values["SystemTime"], self._station.utc_offset_min)
        except ValueError:
            return messages.NOT_MET
        return self._desk.take(ClockOrder(self._link, self._platform, identity.mn, request, ordered))

    def _set_password(self, password: str) -> int:
        if self._secret_file is None:
            return messages.NOT_MET
        try:
            replace_secret(self._secret_file, password)
        except OSError as error:
            _log.error("hj212_password link=%s reason=%s", self._link, error.strerror or type(error).__name__)
            return messages.FAULT
        self.new_password = password
        return messages.DONE
