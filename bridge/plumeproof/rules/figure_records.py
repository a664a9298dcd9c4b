"""The records that the figures of short terms rest on: of each term and module the first and the last.

records = Records(strips_by_device)
inputs = records.of_terms(start_utc_ms, length_ms, count)[term]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from plumeproof.evidence.strips import Strip
from plumeproof.rules.figure import InputRange

Integers = npt.NDArray[np.int64]


class Records:
    """Strips of each module, in seq order."""

    def __init__(self, strips: Mapping[str, Sequence[Strip]]) -> None:
        self._strips = {device: own for device, own in sorted(strips.items()) if own}
        self._first: dict[str, Integers] = {}
        self._end: dict[str, Integers] = {}
        for device, own in self._strips.items():
            self._first[device] = np.array([strip.first_utc_ms for strip in own], np.int64)
            # A slot belongs to the term in which it begins, as it was placed: its tail may reach into the next one
            self._end[device] = np.array([strip.end_utc_ms - strip.slot_ms + 1 for strip in own], np.int64)

    def of_terms(self, start_utc_ms: int, length_ms: int, count: int) -> list[tuple[InputRange, ...]]:
        """Of each term, by module; empty where no record has a slot in it."""
        found: list[list[InputRange]] = [[] for _ in range(count)]
        begins = start_utc_ms + np.arange(count, dtype=np.int64) * length_ms
        for device, own in self._strips.items():
            first, last = self._touching(device, begins, length_ms)
            for term in np.flatnonzero(first <= last).tolist():
                newest = own[last[term]]
                found[term].append(
                    InputRange(
                        device, own[first[term]].seq, newest.seq, newest.content_hash, newest.parameters.parameters_hash
                    )
                )
        return [tuple(inputs) for inputs in found]

    def _touching(self, device: str, begins: Integers, length_ms: int) -> tuple[Integers, Integers]:
        """Numbers of the first and the last strip in seq order that touch each term; last < first where none does."""
        first, end = self._first[device], self._end[device]
        if (np.diff(first) >= 0).all() and (np.diff(end) >= 0).all():
            return np.searchsorted(end, begins, "right"), np.searchsorted(first, begins + length_ms, "left") - 1
        low, high = np.full(len(begins), len(first)), np.full(len(begins), -1)  # a clock was set back
        for number in range(len(first)):
            touched = (first[number] < begins + length_ms) & (end[number] > begins)
            low[touched] = np.minimum(low[touched], number)
            high[touched] = number
        return low, high
