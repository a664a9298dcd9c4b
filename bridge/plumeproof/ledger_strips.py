"""Strips of a ledger's records by the time of their slots, for faces: from a file that is only read, part by part.

strips = LedgerStrips(Path("ledger.sqlite"), ("plume-01",))
strips.of_period(start_utc_ms, end_utc_ms)["plume-01"]
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from acqwire import fields

from plumeproof.errors import EvidenceError, RuleError
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import Strip, open_slots
from plumeproof.rules.figure import Figure
from plumeproof.store.records_by_time import RecordsByTime

WITH_SLOTS = (fields.KIND_SAMPLES, fields.KIND_OVERFLOW)
SETS_MAX = 64

Period = tuple[int, int]
Tick = Callable[[int], object]  # told how many records or days have passed


@dataclass(slots=True)
class _Unplaced:
    """Records that averaging has not placed: first slot, end, seq of each, sorted by the first."""

    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]

    def touching(self, start_utc_ms: int, end_utc_ms: int) -> list[int]:
        longest = int((self.end - self.first).max()) if self.first.size else 0
        low = int(np.searchsorted(self.first, start_utc_ms - longest, "left"))
        high = int(np.searchsorted(self.first, end_utc_ms, "left"))
        inside = self.end[low:high] > start_utc_ms
        return [int(seq) for seq in self.seq[low:high][inside]]


class LedgerStrips:
    """One ledger and the modules of a plant. One thread. Raises StoreError, and RuleError for a module not in it."""

    is_whole = True

    def __init__(self, ledger: Path, devices: Sequence[str], tick: Tick = lambda count: None) -> None:
        """Places what averaging has not; `tick` is told of every portion of it."""
        self._devices = devices
        self._reader = RecordsByTime(ledger)
        self._sets: dict[bytes, ParameterSet | None] = {}
        self._bad: dict[tuple[str, str], int] = {}  # (device, reason) to records
        self._named: set[tuple[str, int]] = set()  # placed records that cannot be read any more
        try:
            known = self._reader.devices()
            for device in devices:
                if device not in known:
                    there = ", ".join(known) or "nothing"
                    raise RuleError(f"{ledger}: module {device}", f"of the plant is not there; the ledger has {there}")
            self._unplaced = self._place(tick)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the ledger back."""
        self._reader.close()

    def extent(self) -> Period | None:
        """[first, end) of all slots of the modules; None where there is none."""
        found: list[Period] = []
        for device in self._devices:
            placed = self._reader.placed_extent(device)
            found += [placed] if placed is not None else []
            own = self._unplaced.get(device)
            found += [(int(own.first[0]), int(own.end.max()))] if own is not None and own.first.size else []
        return (min(one[0] for one in found), max(one[1] for one in found)) if found else None

    def of_period(self, start_utc_ms: int, end_utc_ms: int) -> dict[str, list[Strip]]:
        """Of each module those that touch [start, end), in seq order."""
        found: dict[str, list[Strip]] = {}
        for device in self._devices:
            seqs = set(self._reader.placed(device, start_utc_ms, end_utc_ms))
            if device in self._unplaced:
                seqs |= set(self._unplaced[device].touching(start_utc_ms, end_utc_ms))
            opened = open_slots(self._reader.records(device, sorted(seqs)), self._parameters)
            found[device] = [one.strip for _, one in sorted(opened.items()) if one.strip is not None]
            for seq, one in opened.items():
                if one.strip is None and (device, seq) not in self._named:
                    self._named.add((device, seq))
                    self._spoil(device, one.reason)
        return found

    def unused(self) -> dict[tuple[str, str], int]:
        """Records with slots that are in no strip, by (module, reason)."""
        found = dict(self._bad)
        for device in self._devices:
            for reason, count in self._reader.skipped(device).items():
                found[device, reason] = found.get((device, reason), 0) + count
        return dict(sorted(found.items()))

    def stored(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        """What the bridge wrote for the periods inside [start, end), every revision, oldest first."""
        newest = self._reader.figures(plant, level, start_utc_ms, end_utc_ms)
        return [one for figure in newest for one in self._reader.revisions(figure)]

    def newest(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        """As `stored`, of each place the last revision only."""
        return self._reader.figures(plant, level, start_utc_ms, end_utc_ms)

    def made_utc_ms(self, figure: Figure) -> int:
        """When the bridge wrote a stored figure in its revision."""
        return self._reader.made_utc_ms(figure)

    def stored_extent(self, plant: str) -> Period | None:
        """[first, end) of what the bridge has written."""
        return self._reader.figures_extent(plant)

    def _spoil(self, device: str, reason: str) -> None:
        self._bad[device, reason] = self._bad.get((device, reason), 0) + 1

    def _place(self, tick: Tick) -> dict[str, _Unplaced]:
        wanted = set(self._devices)
        lists: dict[str, tuple[array[int], array[int], array[int]]] = {}
        for portion in self._reader.behind(self._reader.placed_until(), WITH_SLOTS):
            for device in sorted({row.device for row in portion} & wanted):
                rows = [row for row in portion if row.device == device]
                own = lists.setdefault(device, (array("q"), array("q"), array("q")))
                for seq, one in open_slots(rows, self._parameters).items():
                    if one.strip is None:
                        self._spoil(device, one.reason)
                        continue
                    for entry, number in zip(own, (one.strip.first_utc_ms, one.strip.end_utc_ms, seq), strict=True):
                        entry.append(number)
            tick(len(portion))
        found = {}
        for device, own in lists.items():
            table = np.array(own, np.int64)
            found[device] = _Unplaced(*table[:, np.argsort(table[0], kind="stable")])
        return found

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            raw = self._reader.parameter_set(parameters_hash)
            while len(self._sets) >= SETS_MAX:
                self._sets.pop(next(iter(self._sets)))
            try:
                self._sets[parameters_hash] = None if raw is None else parse_parameters(raw, parameters_hash)
            except EvidenceError:
                self._sets[parameters_hash] = None  # named as parameters_missing: nothing can be read by it
        return self._sets[parameters_hash]
