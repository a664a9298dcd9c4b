"""Strips of arrays instead of records: for trying rules on numbers that no module has signed.

A value stands in the slot that holds its time; NaN and infinity never reach a sum, they are slots with a reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding, intervals
from plumeproof.evidence.parameters import Bus, ChannelSpec, ParameterSet
from plumeproof.evidence.strips import Strip

UNSIGNED = bytes(32)  # instead of hashes: there is no record
SLOTS_MAX = 400_000_000  # a channel of twelve years at 1 s; what is longer are mixed-up times


@dataclass(frozen=True, slots=True)
class Readings:
    """One channel. `times`: begins of its slots, datetime64 or UTC milliseconds, ascending; gaps may be anywhere.

    `unit` as the plant description calls it. `is_valid` False, NaN and infinity do not count.
    """

    times: npt.ArrayLike
    values: npt.ArrayLike
    unit: str
    slot_ms: int = 1_000
    is_valid: npt.ArrayLike | None = None


class ArrayStrips:
    """Channels by "device/channel"; those in `needed` must be there. Raises RuleError: one line, channel and mend."""

    is_whole = False  # a strip for each channel

    def __init__(self, channels: Mapping[str, Readings], needed: Iterable[str] = ()) -> None:
        self._strips: dict[str, list[Strip]] = {}
        for name in needed:
            if name not in channels:
                there = ", ".join(sorted(channels)) or "nothing"
                raise RuleError(f"channel {name}", f"of the plant is not among the arrays; there are {there}")
        for name, readings in channels.items():
            device, slash, channel = name.partition("/")
            if not (device and slash and channel):
                raise RuleError(f"channel {name[:60]!r}", 'is no source; write "device/channel" as in the plant')
            strip = _strip(name, device, channel, readings)
            self._strips.setdefault(device, []).append(strip)

    def extent(self) -> tuple[int, int] | None:
        """[first, end) of all slots; None where there is none."""
        strips = [strip for own in self._strips.values() for strip in own if strip.slot_count]
        return (min(one.first_utc_ms for one in strips), max(one.end_utc_ms for one in strips)) if strips else None

    def of_period(self, start_utc_ms: int, end_utc_ms: int) -> Mapping[str, Sequence[Strip]]:
        """Those that touch [start, end)."""
        return {
            device: [strip for strip in own if strip.touches(start_utc_ms, end_utc_ms)]
            for device, own in self._strips.items()
        }

    def unused(self) -> Mapping[tuple[str, str], int]:
        """Nothing: what an array holds is used."""
        return {}


def _strip(name: str, device: str, channel: str, readings: Readings) -> Strip:
    times, values = _times(name, readings.times), np.asarray(readings.values)
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        raise RuleError(name, "values must be a line of numbers; give a float64 array (n,)")
    values = values.astype(np.float64)
    marks = np.ones(len(values), np.bool_) if readings.is_valid is None else np.asarray(readings.is_valid)
    if marks.dtype != np.bool_ or not times.shape == values.shape == marks.shape:
        raise RuleError(name, "times, values and is_valid (true or false) must have one length")
    if readings.slot_ms <= 0 or 60_000 % readings.slot_ms:
        raise RuleError(name, f"slot_ms {readings.slot_ms} does not divide a minute")
    first = int(times[0]) if len(times) else 0
    places = (times - first) // readings.slot_ms
    steps = np.diff(places)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0)) + 1
        mend = "sort them, and give one value a slot"
        raise RuleError(name, f"time number {at} does not come after the one before by a slot; {mend}")
    count = int(places[-1]) + 1 if len(places) else 0
    if count > SLOTS_MAX:
        raise RuleError(name, f"spans {count} slots; are its times milliseconds or datetime64?")
    slots, status = np.zeros((1, count)), np.full((1, count), intervals.ABSENT, np.uint8)
    is_number = np.isfinite(values)
    slots[0, places] = np.where(is_number, values, 0.0)
    status[0, places] = np.where(is_number, np.where(marks, decoding.VALID, decoding.FAILURE), decoding.NOT_FINITE)
    return Strip(1, UNSIGNED, _parameters(device, channel, readings), first, readings.slot_ms, count, slots, status)


def _times(name: str, times: Any) -> npt.NDArray[np.int64]:
    found = np.asarray(times)
    if found.dtype.kind == "M":
        if np.isnat(found).any():
            raise RuleError(name, "a time is missing (NaT); leave the value out, or give its time")
        found = found.astype("datetime64[ms]").astype(np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise RuleError(name, "times must be datetime64 or whole UTC milliseconds (n,)")
    return found.astype(np.int64)


def _parameters(device: str, channel: str, readings: Readings) -> ParameterSet:
    spec = ChannelSpec(
        id=channel, quantity=channel, block=0, register=0, type="float64", order="ABCDEFGH", scale=1.0, offset=0.0,
        unit=readings.unit, minimum=-np.inf, maximum=np.inf, status=None,
    )  # fmt: skip
    own_hash = hashlib.sha256(f"{device}/{channel}".encode()).digest()
    return ParameterSet(
        parameters_hash=own_hash, revision=0, device=device, slot_ms=readings.slot_ms, seal_ms=60_000,
        bus=Bus(9600, "N", 1), analyzers=(), blocks=(), channels=(spec,), statuses=(),
    )  # fmt: skip
