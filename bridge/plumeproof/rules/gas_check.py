"""A check with zero or span gas, as signed records tell it, and what the analyzer read of it (SPEC.md section 4.3).

A check of a mark lasts from the slot of its begin record to the slot of its end record, excluded, in one boot. The
reading of a channel is the arithmetic mean, in the order lanes20-v1, of its values in the slots

    [begin slot + ceil(settle / slot_ms), end slot)

value = number * scale + offset, without the calibration function of QAL2: QAL3 watches the AMS as it was left by QAL1
(EN 14181:2014 QAL3; reference averaging-rules section 8.4). A slot is used when its samples record carries the mark,
the register holds a finite number, the loop's current is a measurement, and the analyzer reports neither failure nor
out of specification (NE 107 F, S); function check and maintenance are what it says during a check. Values beyond the
channel's `min` and `max` are used: test gas may lie there. There is a reading when at least half of the slots can be
used; otherwise there is none, with a reason: a missing check is no zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from acqwire import calibration, fields

from plumeproof.errors import EvidenceError
from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.calibration_check import check_calibration
from plumeproof.evidence.calibrations import PHASES
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.model import Calibration, Record, Samples
from plumeproof.rules.figure import InputRange
from plumeproof.rules.summation import find_moments

# Why a check has no reading, beside the codes of EvidenceError
UNFINISHED = "unfinished"  # no end record: the boot ended, or the check has not
NO_UTC = "no_utc"  # the module did not know the time
TOO_LONG = "too_long"  # a mark that stands for a day is no check
OTHER_GAS = "other_gas"  # zero, span, linearity or purge of the same analyzer at the same time
NO_CHANNEL = "no_channel"  # the parameter set has none of this name at this analyzer, or in another unit
RECORDS_MISSING = "records_missing"  # samples of the check are not in the ledger
TOO_FEW = "too_few_slots"
CHECK_MAX_MS = 86_400_000
BEHIND = calibration.RECORDS_MAX  # a calibration record stands so many records behind its samples at most
GAS_PHASES = (
    calibration.PHASE_ZERO, calibration.PHASE_SPAN, calibration.PHASE_LINEARITY, calibration.PHASE_PURGE,
)  # fmt: skip
_POINTS = (calibration.PHASE_ZERO, calibration.PHASE_SPAN)
_REFUSED = (decoding.FAILURE, decoding.OUT_OF_SPECIFICATION, decoding.STATUS_MISSING)
_NUMBER = (decoding.VALID, decoding.OVER_RANGE, decoding.UNDER_RANGE)


@dataclass(frozen=True, slots=True)
class GasCheck:
    """`point`: zero or span; `begin`, `end`: its calibration records, `end` None: there is none."""

    device: str
    analyzer: int
    point: str
    begin: Record
    end: Record | None
    has_other_gas: bool = False

    @property
    def begin_utc_ms(self) -> int | None:
        """Time of its first slot, by the record's own mapping."""
        return _slot_utc_ms(self.begin)

    @property
    def seqs(self) -> range:
        """Of the records that may hold its slots: the samples before its begin record up to its end record."""
        last = self.begin.seq if self.end is None else self.end.seq
        return range(max(1, self.begin.seq - BEHIND), last)


@dataclass(frozen=True, slots=True)
class CheckReading:
    """`reading` None: there is none, and `reason` says why. `n_used` of `n_slots` that had settled; `deviation`: sample
    standard deviation of them. `inputs`: first samples record to end record, and the end record's content hash."""

    check: GasCheck
    utc_ms: int | None
    reading: float | None
    reason: str
    n_used: int
    n_slots: int
    deviation: float | None
    inputs: InputRange | None


def pair_checks(records: Sequence[Record]) -> list[GasCheck]:
    """Zero and span checks of calibration records of one module, in seq order. One mark begins and ends in one boot."""
    spans: list[tuple[Record, Record | None]] = []
    open_at: dict[tuple[int, int], int] = {}  # (boot, mark) to place in spans
    beside: list[tuple[int, int]] = []  # places of spans that were open at once
    for record in records:
        assert isinstance(record.body, Calibration)
        key = (record.boot, record.body.mark)
        if record.body.is_begin:
            beside += [(at, len(spans)) for (boot, _), at in open_at.items() if boot == record.boot]
            open_at[key] = len(spans)
            spans.append((record, None))
        elif key in open_at:
            at = open_at.pop(key)
            spans[at] = (spans[at][0], record)
    disturbed = {at for pair in beside if _are_in_conflict(spans[pair[0]], spans[pair[1]]) for at in pair}
    return [
        GasCheck(begin.device, body.analyzer, PHASES[body.phase], begin, end, at in disturbed)
        for at, (begin, end) in enumerate(spans)
        if isinstance(body := begin.body, Calibration) and body.phase in _POINTS
    ]


def _are_in_conflict(one: tuple[Record, Record | None], other: tuple[Record, Record | None]) -> bool:
    """Whether two gases of one analyzer are on in the same slots; one may begin with the slot that ends the other."""
    first, second = one[0].body, other[0].body
    assert isinstance(first, Calibration) and isinstance(second, Calibration)
    if first.analyzer != second.analyzer or first.phase == second.phase:
        return False
    if first.phase not in GAS_PHASES or second.phase not in GAS_PHASES:
        return False
    return _is_before_end(first.slot, other[1]) and _is_before_end(second.slot, one[1])


def _is_before_end(slot: int, end: Record | None) -> bool:
    return end is None or slot < _slot(end)


def read_check(
    check: GasCheck, rows: Sequence[Record], parameters: ParameterSet | None, channel: str, unit: str, settle_ms: int
) -> CheckReading:
    """What `channel` read. `rows`: the records of `check.seqs` that are there; others than samples are left out."""
    utc_ms = check.begin_utc_ms

    def none(reason: str, n_used: int = 0, n_slots: int = 0) -> CheckReading:
        return CheckReading(check, utc_ms, None, reason, n_used, n_slots, None, None)

    if check.end is None:
        return none(UNFINISHED)
    if utc_ms is None:
        return none(NO_UTC)
    if check.has_other_gas:
        return none(OTHER_GAS)
    if parameters is None:
        return none("parameters_missing")
    column = intervals.column_of(parameters, channel)
    if column is None or parameters.channels[column].unit != unit:
        return none(NO_CHANNEL)
    if parameters.blocks[parameters.channels[column].block].analyzer != check.analyzer:
        return none(NO_CHANNEL)
    first, end = _slot(check.begin), _slot(check.end)
    if (end - first) * parameters.slot_ms > CHECK_MAX_MS:
        return none(TOO_LONG)
    samples = [row for row in rows if row.kind == fields.KIND_SAMPLES and row.boot == check.begin.boot]
    try:
        _refuse_contradiction(check, samples, parameters)
        settled = first - (-settle_ms // parameters.slot_ms)
        n_slots = max(0, end - settled)
        parts = list(_usable(samples, parameters, column, settled, end))
    except EvidenceError as error:
        return none(error.code)
    values = np.concatenate([np.zeros(0), *(part[0] for part in parts)])
    used = np.concatenate([np.zeros(0, np.bool_), *(part[1] for part in parts)])
    if len(values) < n_slots:
        return none(RECORDS_MISSING, int(used.sum()), n_slots)
    moments = find_moments(values, used)
    if n_slots == 0 or moments.n * 2 < n_slots:
        return none(TOO_FEW, moments.n, n_slots)
    deviation = float(np.sqrt(moments.m2 / (moments.n - 1))) if moments.n > 1 else None
    first_seq = min(row.seq for row in samples if _touches(row, first, end))
    inputs = InputRange(
        check.device, first_seq, check.end.seq, check.end.content_hash, parameters.parameters_hash
    )  # fmt: skip
    return CheckReading(check, utc_ms, moments.mean, "", moments.n, n_slots, deviation, inputs)


def _usable(
    samples: Sequence[Record], parameters: ParameterSet, column: int, first: int, end: int
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
    """Values of the slots [first, end), and which can be used."""
    without_marks = replace(parameters, calibrations=())
    channels = tuple(replace(one, status=None) for one in parameters.channels)
    bare = replace(without_marks, channels=channels)
    for row in samples:
        if not _touches(row, first, end):
            continue
        assert isinstance(row.body, Samples)
        begin = row.body.slots.first_slot
        part = slice(max(first - begin, 0), max(end - begin, 0))
        marked, told, number = (
            decoding.decode(row, each).channels[column] for each in (parameters, without_marks, bare)
        )  # fmt: skip
        used = (marked.status == decoding.CALIBRATION) & ~np.isin(told.status, _REFUSED)
        used &= np.isin(number.status, _NUMBER)
        yield number.values[part], used[part]


def _refuse_contradiction(check: GasCheck, samples: Sequence[Record], parameters: ParameterSet) -> None:
    """Whether begin and end say what the bits in the samples say."""
    for record in (check.begin, check.end):
        assert record is not None and isinstance(record.body, Calibration)
        slot = record.body.slot
        holder = next((row.body for row in samples if _touches(row, slot, slot + 1)), None)
        check_calibration(record.body, parameters, holder if isinstance(holder, Samples) else None)


def _touches(row: Record, first: int, end: int) -> bool:
    if not isinstance(row.body, Samples):
        return False
    slots = row.body.slots
    return slots.first_slot < end and slots.first_slot + slots.slot_count > first


def _slot(record: Record) -> int:
    assert isinstance(record.body, Calibration)
    return record.body.slot


def _slot_utc_ms(record: Record) -> int | None:
    assert isinstance(record.body, Calibration)
    return None if record.utc_ms is None else record.utc_ms - (record.mono_ms - record.body.slot_mono_ms)
