"""The averages once more, slowly: plain loops over Python numbers, written from bridge/EVIDENCE.md and nothing else.

Takes whole records and gives whole rows; knows nothing of strips, sums kept, cursors or numba. Register values come
from decoding.decode, which has its own referees. `exact_*` give what no rounding would give, as fractions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from plumeproof.evidence.decoding import STATUS_NAMES, decode
from plumeproof.evidence.parameters import ChannelSpec, ParameterSet
from plumeproof.model import Average, Overflow, Record, Samples

NAMES = dict(STATUS_NAMES)
VALID = (0, 190)  # value, and value of an analyzer that asks for maintenance


@dataclass
class Slot:
    """One slot of one channel: value, or the reason why there is none that counts."""

    utc_ms: int
    record: Record
    channel: ChannelSpec
    slot_ms: int
    value: float
    cause: str | None


@dataclass
class Part:
    """What is known of one channel in one interval."""

    newest: Slot
    n: int = 0
    total: float = 0.0
    m2: float = 0.0
    values: list[float] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    records: list[Record] = field(default_factory=list)

    def measure(self) -> tuple[str, str, int]:
        return self.newest.channel.quantity, self.newest.channel.unit, self.newest.slot_ms


def add_lanes(numbers: list[tuple[int, float]]) -> float:
    """Sum of (position, number) in the order lanes20-v1."""
    lanes = [0.0] * 20
    for position, number in numbers:
        lanes[position % 20] = lanes[position % 20] + number
    ten = [lanes[i] + lanes[i + 10] for i in range(10)]
    five = [ten[i] + ten[i + 5] for i in range(5)]
    return ((five[0] + five[1]) + (five[2] + five[3])) + five[4]


def slots_of(record: Record, parameters: ParameterSet) -> list[Slot]:
    """Every slot of every channel; none for a record without UTC."""
    if record.utc_ms is None or not isinstance(record.body, (Samples, Overflow)):
        return []
    slots = record.body.slots
    first = record.utc_ms - record.mono_ms + slots.first_slot_mono_ms
    found = []
    decoded = decode(record, parameters) if isinstance(record.body, Samples) else None
    for index, channel in enumerate(parameters.channels):
        for k in range(slots.slot_count):
            value, cause = 0.0, "overflow" if decoded is None else None
            if decoded is not None:
                value = float(decoded.channels[index].values[k])
                status = int(decoded.channels[index].status[k])
                cause = None if status in VALID else NAMES.get(status, f"exception_{status - 64}")
            found.append(Slot(first + k * slots.slot_ms, record, channel, slots.slot_ms, value, cause))
    return found


def sum_interval(slots: list[Slot], start: int, interval_s: int) -> Part | None:
    """One channel in one interval, from its slots in seq order."""
    inside = [slot for slot in slots if start <= slot.utc_ms < start + interval_s * 1000]
    if not inside:
        return None
    part = Part(newest=inside[-1])
    taken: dict[int, float] = {}
    positions = set()
    for slot in inside:
        part.records.append(slot.record)
        position = (slot.utc_ms - start) // part.newest.slot_ms
        if position in positions:
            part.causes["overlap"] += 1
            continue
        positions.add(position)
        if (slot.channel.quantity, slot.channel.unit, slot.slot_ms) != part.measure():
            part.causes["parameters_changed"] += 1
        elif slot.cause is not None:
            part.causes[slot.cause] += 1
        else:
            taken[position] = slot.value
    numbers = sorted(taken.items())
    part.n = len(numbers)
    part.values = [number for _, number in numbers]
    if numbers:
        part.total = add_lanes(numbers)
        mean = part.total / part.n
        part.m2 = add_lanes([(position, (number - mean) * (number - mean)) for position, number in numbers])
    return part


def merge_minutes(parts: list[Part | None]) -> Part | None:
    """One channel in a longer interval, from its minutes in time order."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    newest = max(present, key=lambda part: part.newest.record.seq)
    merged = Part(newest=newest.newest)
    totals = []
    for position, part in enumerate(parts):
        if part is None:
            continue
        merged.records += part.records
        merged.causes += part.causes
        if part.measure() != newest.measure():
            merged.causes["parameters_changed"] += part.n
        elif part.n:
            totals.append((position, part))
            merged.n += part.n
            merged.values += part.values
    if merged.n:
        merged.total = add_lanes([(position, part.total) for position, part in totals])
        mean = merged.total / merged.n
        squares = []
        for position, part in totals:
            away = part.total / part.n - mean
            squares.append((position, part.m2 + (away * away) * part.n))
        merged.m2 = add_lanes(squares)
    return merged


def slow_part(slots: dict[int, list[Slot]], start: int, interval_s: int) -> Part | None:
    """One channel in one interval of any length; `slots` by the minute they are in."""
    minutes = range(start - start % 60_000, start + interval_s * 1000, 60_000)
    if interval_s % 60 or interval_s == 60:
        near = sorted((slot for at in minutes for slot in slots.get(at, [])), key=lambda slot: slot.record.seq)
        return sum_interval(near, start, interval_s)
    return merge_minutes([sum_interval(slots.get(at, []), at, 60) for at in minutes])


def slow_average(device: str, part: Part, start: int, interval_s: int) -> Average:
    """The row."""
    expected = math.ceil(Fraction(interval_s * 1000, part.newest.slot_ms))
    causes = dict(part.causes)
    absent = expected - part.n - sum(count for cause, count in causes.items() if cause != "overlap")
    if absent > 0:
        causes["absent"] = absent
    last = part.newest.record
    has_deviation = part.n > 1
    return Average(
        device=device,
        channel=part.newest.channel.id,
        quantity=part.newest.channel.quantity,
        unit=part.newest.channel.unit,
        interval_s=interval_s,
        start_utc_ms=start,
        n_expected=expected,
        n_valid=part.n,
        n_invalid=tuple(sorted((cause, count) for cause, count in causes.items() if count)),
        mean=part.total / part.n if part.n else None,
        minimum=min(part.values) if part.n else None,
        maximum=max(part.values) if part.n else None,
        deviation=math.sqrt(part.m2 / (part.n - 1)) if has_deviation else None,
        first_seq=min(record.seq for record in part.records),
        last_seq=last.seq,
        head_hash=last.content_hash,
        parameters_hash=last.parameters_hash,
        rule="plain_utc",
        rule_version="1",
        order="lanes20-v1",
        revision=0,
        reason="",
    )


def slow_averages(
    records: Iterable[Record], sets: dict[bytes, ParameterSet], intervals_s: Iterable[int]
) -> dict[tuple[str, str, int, int], Average]:
    """All rows of all records, by (device, channel, interval_s, start); open intervals too."""
    channels: dict[tuple[str, str], list[Slot]] = {}
    for record in sorted(records, key=lambda record: record.seq):
        if record.parameters_hash in sets:
            for slot in slots_of(record, sets[record.parameters_hash]):
                channels.setdefault((record.device, slot.channel.id), []).append(slot)
    found = {}
    for (device, channel), slots in channels.items():
        minutes: dict[int, list[Slot]] = {}
        for slot in slots:
            minutes.setdefault(slot.utc_ms - slot.utc_ms % 60_000, []).append(slot)
        for interval_s in intervals_s:
            sampled = {slot.utc_ms // (interval_s * 1000) for slot in slots if isinstance(slot.record.body, Samples)}
            for number in sorted(sampled):
                start = number * interval_s * 1000
                part = slow_part(minutes, start, interval_s)
                assert part is not None
                found[device, channel, interval_s, start] = slow_average(device, part, start, interval_s)
    return found


def exact_mean(values: list[float]) -> Fraction:
    """Without rounding."""
    return sum((Fraction(value) for value in values), Fraction(0)) / len(values)


def exact_variance(values: list[float]) -> Fraction:
    """Of a sample, without rounding."""
    mean = exact_mean(values)
    return sum(((Fraction(value) - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1)
