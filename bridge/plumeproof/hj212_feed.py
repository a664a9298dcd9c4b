"""From new averages to rows of the outbox for one HJ 212 link: minutes, hours and days in order, each once.

A message waits until every module of its outlet has averaged the interval, or stands still for `wait_s`, and until the
figures of its rule set are there. What comes later is in no new message, because a platform keeps the first by its
DataTime; a history request gets the newest revision. A kill between two steps queues nothing twice: rows and cursor
move in one transaction. QNs are part of a row, so every resend has the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import rfc8785

from plumeproof.delivery.hj212_memory import MINUTE_MIN, LinkMemory, QnSource
from plumeproof.hj212.messages import Identity, Upload, cut
from plumeproof.hj212_link import CN_OF, DAY, HOUR, MINUTE
from plumeproof.hj212_station import DAY_HOURS, DAY_MS, HOUR_MS, HOUR_S, LedgerStation
from plumeproof.model import Average, AveragingState, NewRow
from plumeproof.ports import AverageStore, Clock, FigureStore, Outbox

STAGE = "relay_hj212"  # counts ids of averages
WINDOW = 256
SCHEMA = "plumeproof-hj212/1"
KNOWN_MAX = 4096  # messages that are not made again
Wanted = tuple[str, int, int]  # duty, start in UTC ms, interval_s


class Hj212Feed:
    """delivery.relay.Feed. Raises StoreError."""

    def __init__(
        self,
        sink: str,
        st: str,
        station: LedgerStation,
        averages: AverageStore,
        figures: FigureStore,
        outbox: Outbox,
        memory: LinkMemory,
        numbers: QnSource,
        clock: Clock,
        wait_s: float,
    ) -> None:
        self._sink, self._station, self._averages, self._figures = sink, station, averages, figures
        self._outbox, self._memory, self._numbers, self._clock = outbox, memory, numbers, clock
        self._identity = Identity(station.plan.mn, st, "")
        self._wait_s = wait_s
        self._known: OrderedDict[Wanted, None] = OrderedDict()
        self._moved: dict[str, tuple[int | None, float]] = {}  # what was seen to move, and when it last did
        self._figures_since: tuple[Wanted | None, float] = (None, 0.0)
        self._sources = {(one.source.device, one.source.channel) for one in station.plan.entries}

    def begin(self) -> None:
        """From now on; what was before is asked for as history."""
        if self._outbox.cursor(STAGE, self._sink) is None:
            self._outbox.enqueue((), STAGE, self._sink, self._averages.newest_id())

    def advance(self) -> int:
        """As Feed.advance."""
        cursor = self._outbox.cursor(STAGE, self._sink) or 0
        position, rows = cursor, list[NewRow]()
        made: list[Wanted] = []
        states: dict[str, AveragingState] | None = None
        for average_id, average in self._averages.after(cursor, WINDOW):
            wanted = self._wanted(average)
            if wanted is not None and wanted not in self._known and wanted not in made:
                if states is None:
                    states = {state.device: state for state in self._averages.states()}
                if not self._is_ready(wanted, states):
                    break
                rows += self._rows(wanted, made)
            position = average_id
        if position > cursor:
            self._outbox.enqueue(rows, STAGE, self._sink, position)
            self._remember(made)
        return position - cursor

    def _wanted(self, average: Average) -> Wanted | None:
        if (average.device, average.channel) not in self._sources or average.revision:
            return None
        plan = self._station.plan
        if average.interval_s == HOUR_S and (plan.entries_of(HOUR) or plan.entries_of(DAY)):
            return HOUR, average.start_utc_ms, HOUR_S
        if average.interval_s == self._memory.get(MINUTE_MIN) * 60 and plan.entries_of(MINUTE):
            return MINUTE, average.start_utc_ms, average.interval_s
        return None

    def _is_ready(self, wanted: Wanted, states: dict[str, AveragingState]) -> bool:
        _, start, interval_s = wanted
        end, plan = start + interval_s * 1000, self._station.plan
        for device in plan.devices:
            state = states.get(device)
            reached = None if state is None else state.slot_utc_ms
            is_open = state is not None and any(
                (one.interval_s, one.start_utc_ms) == (interval_s, start) for one in state.open_intervals
            )
            is_past = reached is not None and reached >= end and not is_open
            if not is_past and not self._averages.newest(device, interval_s, start) and self._moves(device, reached):
                return False
        if plan.rule_set is not None and interval_s == HOUR_S:
            made = self._figures.newest_end(plan.plant)
            if (made is None or made < end) and self._is_early(wanted):
                return False
        return True

    def _moves(self, device: str, reached: int | None) -> bool:
        """Whether a module has come further within the last `wait_s`; true when it is first looked at."""
        now_s = self._clock.monotonic_s()
        if device not in self._moved or self._moved[device][0] != reached:
            self._moved[device] = (reached, now_s)
        return now_s - self._moved[device][1] < self._wait_s

    def _is_early(self, wanted: Wanted) -> bool:
        """Whether figures of this interval have been waited for less than `wait_s`."""
        now_s = self._clock.monotonic_s()
        if self._figures_since[0] != wanted:
            self._figures_since = (wanted, now_s)
        return now_s - self._figures_since[1] < self._wait_s

    def _remember(self, made: list[Wanted]) -> None:
        self._known.update(dict.fromkeys(made))
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _rows(self, wanted: Wanted, made: list[Wanted]) -> Iterator[NewRow]:
        """Of an interval, and of the day that it ends; `made` takes what needs not be made again."""
        duty, start, interval_s = wanted
        made.append(wanted)
        if duty != HOUR or self._station.plan.entries_of(HOUR):
            yield from self._row(duty, start, interval_s)
        if duty == HOUR and self._station.plan.entries_of(DAY):
            today = self._station.day_start(start)
            # The last hour of a day may never come: the first one behind it ends the day too.
            days = [today - DAY_MS] + ([today] if start == today + (DAY_HOURS - 1) * HOUR_MS else [])
            for day in days:
                if (DAY, day, 0) not in self._known and (DAY, day, 0) not in made:
                    made.append((DAY, day, 0))
                    yield from self._row(DAY, day, 0)

    def _row(self, duty: str, start: int, interval_s: int) -> Iterator[NewRow]:
        upload = self._station.message(duty, start, interval_s)
        if upload is not None:
            key = f"{CN_OF[duty]}/{self._station.time_text(start)}" + (f"/{interval_s}" if duty == MINUTE else "")
            yield NewRow(self._sink, self._station.plan.mn, "report", key, self._body(upload))

    def _body(self, upload: Upload) -> bytes:
        parts = [
            {"qn": self._numbers.next(), "items": [[[name, value] for name, value in item.items()] for item in part]}
            for part in cut(self._identity, upload.items)
        ]
        content = {"schema": SCHEMA, "cn": upload.cn, "parts": parts, "restsOn": list(upload.rests_on)}
        return rfc8785.dumps(content)  # type: ignore[arg-type] # text and lists of text
