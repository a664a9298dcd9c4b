"""From the ledger to averages: reads the records behind its cursor, writes every interval that a module has left.

An interval is open from its first slot until the newest slot of the module lies `grace_s` behind its end, or before its
start (its clock was set back). Then it is computed from all records up to that one and written; slots that come to it
later open it again and make the next revision. So the rows follow from the order of records alone, not from portions,
restarts or this PC's time. An interval in which no samples record has a slot gets no row. Sums of minutes and decoded
records are kept only to be fast: what is not at hand is read from the ledger again, and comes out the same.

    stage = AveragingStage(ledger, averages, (60, 600, 1800, 3600, 86400), grace_s=90)
    while stage.step(): pass
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from acqwire import fields

from plumeproof.evidence import intervals
from plumeproof.evidence.averaging import Sums, merge, sum_slots, to_averages
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import PARAMETERS_MISSING, ROW_MISSING, Opened, Strip, open_slots
from plumeproof.model import (
    Average,
    AveragingState,
    AveragingStep,
    OpenInterval,
    SkippedRecord,
    SlotSpan,
    StoredRecord,
)
from plumeproof.ports import AverageStore, Ledger

STEP_RECORDS = 64  # a step: some ms of work and one synced commit, so that records behind it need not wait
STRIP_READINGS_MAX = 2**18  # decoded readings kept per module: 2.4 MB, 200 records of 20 channels and a minute
SUMS_MAX = 86_400 // intervals.BASE_S + 64  # minutes kept per module: those of the open day, and some
READ_AHEAD = 64  # records read at once where earlier ones are needed again
WITH_SLOTS = (fields.KIND_SAMPLES, fields.KIND_OVERFLOW)
SETS_MAX = 16  # parameter sets kept; a site has one or two per module

# Reasons of revisions
CLOCK_BACK = "clock_back"  # the module's clock was set back and slots came to an interval that was written
LATE_RECORD = "late_record"  # a record with a lower seq than the newest came
PARAMETERS_ARRIVED = "parameters_arrived"  # the parameter set of a stored record is complete now


@dataclass(slots=True)
class AveragingCounters:
    """For the graph, since the start; what was skipped is in the store."""

    records_total: int = 0
    averages_total: int = 0
    skipped_total: int = 0


class AveragingStage:
    """Averages of all modules of a ledger. One thread; raises StoreError, then `step` may be called again."""

    def __init__(self, ledger: Ledger, averages: AverageStore, intervals_s: Sequence[int], grace_s: int) -> None:
        """`intervals_s`: lengths, each divides the UTC day. An interval that is new in the configuration begins with
        the records behind the cursor."""
        self._ledger = ledger
        self._averages = averages
        self._intervals_s = tuple(sorted(set(intervals_s)))
        self._grace_ms = grace_s * 1000
        self._sets: OrderedDict[bytes, ParameterSet] = OrderedDict()
        self._modules: dict[str, _Module] = {}
        self._position = 0
        self._is_loaded = False
        self.counters = AveragingCounters()

    def step(self, limit: int = STEP_RECORDS) -> int:
        """Average at most `limit` records behind the cursor in one transaction; how many there were."""
        if not self._is_loaded:
            self._load()
        self._is_loaded = False  # what fails below leaves modules ahead of the store: they are read again
        stored = self._ledger.after(self._position, limit)
        if stored:
            self._commit(stored)
        self._is_loaded = True
        return len(stored)

    def recompute(self, device: str, from_utc_ms: int, to_utc_ms: int) -> Iterator[Average]:
        """All averages of intervals inside [from, to) that are not open, from the records up to the cursor again.

        Ordered by interval, start, channel of the parameter set; revision 0, without reason. Nothing that was computed
        before is used, nothing is stored. Raises StoreError.
        """
        state = next((state for state in self._averages.states() if state.device == device), None)
        if state is None:
            return
        module = self._module(device, state)
        for interval_s in self._intervals_s:
            step_ms = interval_s * 1000
            first = -(-from_utc_ms // step_ms) * step_ms
            for start in range(first, to_utc_ms - step_ms + 1, step_ms):
                if (interval_s, start) not in module.open:
                    yield from module.average(interval_s, start)

    def _load(self) -> None:
        self._position = self._averages.position()
        self._modules = {state.device: self._module(state.device, state) for state in self._averages.states()}

    def _module(self, device: str, state: AveragingState | None) -> _Module:
        state = state or AveragingState(device, 0, None, 0, ())
        return _Module(state, self._ledger, self._averages, self._parameters, self._intervals_s, self._grace_ms)

    def _commit(self, stored: Sequence[StoredRecord]) -> None:
        found: list[Average] = []
        touched: dict[str, _Module] = {}
        for row in stored:
            if row.device not in self._modules:
                self._modules[row.device] = self._module(row.device, None)
            touched[row.device] = self._modules[row.device]
        modules = touched.values()
        for module in modules:
            module.decode([row for row in stored if row.device == module.device])
        for row in stored:
            found += touched[row.device].take(row)
        step = AveragingStep(
            position=stored[-1].position,
            states=tuple(module.state() for module in modules),
            spans=tuple((module.device, span) for module in modules for span in module.new_spans),
            skipped=tuple((module.device, skipped) for module in modules for skipped in module.new_skipped),
            resumed=tuple((module.device, seq) for module in modules for seq in module.resumed),
            averages=tuple(found),
        )
        # Power failing before commit returns: the cursor stands where it stood, the same records come again.
        self.counters.averages_total += self._averages.commit(step)
        self.counters.records_total += len(stored)
        self.counters.skipped_total += len(step.skipped)
        self._position = step.position
        for module in modules:
            module.committed()

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        """A parameter set of the ledger, None while parts are missing. Raises ParametersError."""
        found = self._sets.get(parameters_hash)
        if found is None:
            raw = self._ledger.parameter_set(parameters_hash)
            if raw is None:
                return None
            found = self._sets[parameters_hash] = parse_parameters(raw, parameters_hash)
            if len(self._sets) > SETS_MAX:
                self._sets.popitem(last=False)
        return found


class _Module:
    """One module: its open intervals, and what is kept of its past to be fast."""

    def __init__(
        self,
        state: AveragingState,
        ledger: Ledger,
        averages: AverageStore,
        parameters_of: Callable[[bytes], ParameterSet | None],
        intervals_s: tuple[int, ...],
        grace_ms: int,
    ) -> None:
        self.device = state.device
        self.open = {
            (opened.interval_s, opened.start_utc_ms): opened.reason
            for opened in state.open_intervals
            if opened.interval_s in intervals_s
        }
        self.new_spans: list[SlotSpan] = []  # of this step, as the next two: not yet in the store
        self.new_skipped: list[SkippedRecord] = []
        self.resumed: list[int] = []
        self._ledger = ledger
        self._averages = averages
        self._parameters_of = parameters_of
        self._intervals_s = intervals_s
        self._grace_ms = grace_ms
        self._seq = state.seq
        self._slot_utc_ms = state.slot_utc_ms
        self._longest_ms = state.longest_ms
        self._waiting = {
            skipped.seq: skipped.parameters_hash for skipped in averages.skipped(self.device, PARAMETERS_MISSING)
        }
        self._opened: dict[int, Opened] = {}  # of this step, not yet taken
        self._strips: OrderedDict[int, Strip | None] = OrderedDict()
        self._readings_kept = 0
        self._sums: OrderedDict[int, tuple[Sums, ...]] = OrderedDict()  # by start, of minutes

    def state(self) -> AveragingState:
        """What the store must keep."""
        opened = tuple(OpenInterval(*at, reason) for at, reason in sorted(self.open.items()))
        return AveragingState(self.device, self._seq, self._slot_utc_ms, self._longest_ms, opened)

    def committed(self) -> None:
        """The store has it all."""
        self.new_spans, self.new_skipped, self.resumed = [], [], []

    def decode(self, rows: Sequence[StoredRecord]) -> None:
        """Read the next records together, which is faster than one by one."""
        self._opened = open_slots([stored for stored in rows if stored.kind in WITH_SLOTS], self._parameters_of)

    def take(self, stored: StoredRecord) -> list[Average]:
        """The next record in commit order; averages of the intervals that it ends."""
        is_newest = stored.seq > self._seq
        if stored.kind in WITH_SLOTS:
            # A seq that comes twice in one portion is one of a damaged file.
            opened = self._opened.pop(stored.seq, None) or Opened(stored.seq, None, None, ROW_MISSING, None)
            self._take_slots(opened, is_newest)
        elif stored.kind == fields.KIND_PARAMETERS and self._waiting:
            self._resume()
        if not is_newest:
            return []  # late records come in runs: the intervals they touch are written when the run ends
        self._seq = stored.seq
        return self._close()

    def average(self, interval_s: int, start_utc_ms: int, reason: str = "") -> list[Average]:
        """One interval from the records seen so far, channels in the order of the parameter set."""
        if interval_s == intervals.BASE_S:
            groups = self._minutes(start_utc_ms, interval_s)[0]
        elif intervals.base_of(interval_s) == interval_s:
            spans = self._spans(start_utc_ms, start_utc_ms + interval_s * 1000)
            groups = sum_slots(self._strips_of(spans), start_utc_ms, interval_s)
        else:
            groups = merge(self._minutes(start_utc_ms, interval_s), start_utc_ms, interval_s)
        return to_averages(self.device, groups, start_utc_ms, interval_s, reason)

    def _take_slots(self, opened: Opened, is_newest: bool) -> None:
        if opened.strip is not None:
            self._add(opened.strip, CLOCK_BACK if is_newest else LATE_RECORD)
        else:
            self._skip(opened)
            if opened.reason == PARAMETERS_MISSING:
                self._waiting[opened.seq] = self.new_skipped[-1].parameters_hash
        if is_newest and opened.newest_slot_utc_ms is not None:
            self._slot_utc_ms = opened.newest_slot_utc_ms

    def _resume(self) -> None:
        """A part of a parameter set has come: records that waited for it are averaged when it is whole."""
        for parameters_hash in sorted(set(self._waiting.values())):
            for seq in sorted(seq for seq, wanted in self._waiting.items() if wanted == parameters_hash):
                opened = self._read(seq, seq).get(seq) or Opened(seq, None, None, ROW_MISSING, None)
                if opened.reason == PARAMETERS_MISSING:
                    break
                del self._waiting[seq]
                if opened.strip is None:
                    self._skip(opened)
                else:
                    self.resumed.append(seq)
                    self._add(opened.strip, PARAMETERS_ARRIVED)

    def _skip(self, opened: Opened) -> None:
        parameters_hash = opened.record.parameters_hash if opened.record is not None else b""
        self.new_skipped.append(SkippedRecord(opened.seq, opened.reason, parameters_hash))

    def _add(self, strip: Strip, reason: str) -> None:
        """From now on the record counts: open the intervals in which it has slots."""
        self._keep(strip.seq, strip)
        first, end = strip.first_utc_ms, strip.end_utc_ms
        is_overflow = strip.values is None
        if is_overflow:
            # May cover months: only intervals with samples get a row, and at its two ends there may be some.
            for other in self._spans(first, end):
                if not other.is_overflow:
                    self._open(max(first, other.first_utc_ms), min(end, other.end_utc_ms), 1, reason)
            self._open(first, first + 1, 1, reason)
            self._open(end - 1, end, 1, reason)
        else:
            self._longest_ms = max(self._longest_ms, end - first)
            self._open(first, end, strip.slot_ms, reason)
        self.new_spans.append(SlotSpan(strip.seq, is_overflow, first, end))
        touched = range(intervals.start_of(first, intervals.BASE_S), end, intervals.BASE_S * 1000)
        for start in touched if len(touched) < len(self._sums) else [at for at in self._sums if at in touched]:
            self._sums.pop(start, None)

    def _open(self, first_utc_ms: int, end_utc_ms: int, slot_ms: int, reason: str) -> None:
        for interval_s in self._intervals_s:
            step_ms = max(slot_ms, interval_s * 1000)
            for utc_ms in (*range(first_utc_ms, end_utc_ms, step_ms), end_utc_ms - slot_ms):
                self.open.setdefault((interval_s, intervals.start_of(utc_ms, interval_s)), reason)

    def _close(self) -> list[Average]:
        now = self._slot_utc_ms
        if now is None:
            return []
        due = sorted(
            (start + interval_s * 1000, interval_s, start)
            for interval_s, start in self.open
            if now < start or now >= start + interval_s * 1000 + self._grace_ms
        )
        found = []
        for _, interval_s, start in due:
            found += self.average(interval_s, start, self.open.pop((interval_s, start)))
        return found

    def _minutes(self, start_utc_ms: int, interval_s: int) -> list[tuple[Sums, ...]]:
        """Sums of every minute of an interval."""
        minute_ms = intervals.BASE_S * 1000
        starts = range(start_utc_ms, start_utc_ms + interval_s * 1000, minute_ms)
        unknown = [start for start in starts if start not in self._sums]
        if unknown:
            spans: dict[int, list[SlotSpan]] = {start: [] for start in unknown}
            for span in self._spans(unknown[0], unknown[-1] + minute_ms):
                first = max(intervals.start_of(span.first_utc_ms, intervals.BASE_S), unknown[0])
                for start in range(first, min(span.end_utc_ms, unknown[-1] + minute_ms), minute_ms):
                    if start in spans:
                        spans[start].append(span)
            for start, inside in spans.items():
                self._sums[start] = sum_slots(self._strips_of(inside), start, intervals.BASE_S)
        found = [self._sums[start] for start in starts]
        while len(self._sums) > SUMS_MAX:
            self._sums.popitem(last=False)
        return found

    def _spans(self, start_utc_ms: int, end_utc_ms: int) -> list[SlotSpan]:
        """Spans of the records seen so far that touch [start, end), in seq order."""
        found = list(self._averages.spans(self.device, start_utc_ms, end_utc_ms, self._longest_ms))
        found += [span for span in self.new_spans if span.first_utc_ms < end_utc_ms and span.end_utc_ms > start_utc_ms]
        return sorted(found, key=lambda span: span.seq)

    def _strips_of(self, spans: Sequence[SlotSpan]) -> list[Strip]:
        found = []
        for span in spans:
            strip = self._strips[span.seq] if span.seq in self._strips else self._read_again(span.seq)
            if strip is not None:
                found.append(strip)
        return found

    def _read_again(self, seq: int) -> Strip | None:
        """A record that was averaged before; None and named when the file has lost it since."""
        # In time order those behind it are most likely the next ones asked for.
        opened = self._read(seq, seq + READ_AHEAD - 1)
        for other in opened.values():
            if other.strip is not None and other.seq not in self._strips:
                self._keep(other.seq, other.strip)
        found = opened.get(seq) or Opened(seq, None, None, ROW_MISSING, None)
        strip = found.strip
        if strip is None:
            self._skip(found)
            self._keep(seq, None)
        return strip

    def _read(self, first_seq: int, last_seq: int) -> dict[int, Opened]:
        """Records of the ledger with slots."""
        stored = self._ledger.of_device(self.device, first_seq, last_seq)
        return open_slots([row for row in stored if row.kind in WITH_SLOTS], self._parameters_of)

    def _keep(self, seq: int, strip: Strip | None) -> None:
        self._strips[seq] = strip
        self._readings_kept += strip.size if strip else 0
        while self._readings_kept > STRIP_READINGS_MAX and len(self._strips) > 1:
            oldest = self._strips.popitem(last=False)[1]
            self._readings_kept -= oldest.size if oldest else 0
