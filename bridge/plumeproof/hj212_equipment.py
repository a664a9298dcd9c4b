"""State (CN 2021) and daily run time (CN 2041) of equipment that a channel shows: on where its mean is above a value.

The standard counts equipment by number, SB1, SB2 and so on. A channel tells on from off only; the states calibration to
purge (2 to 5) are not told. What has no value is left out, and stands in no run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from plumeproof.figure_ids import id_of_average
from plumeproof.hj212.messages import Item, Upload
from plumeproof.hj212.numbers import to_time, value_text
from plumeproof.model import Average
from plumeproof.rules.channel_source import Source, source_text
from plumeproof.section import number_in, setting, text_like

NUMBERS_MAX = 99
DAY_MS = 86_400_000
RUN_TIME_DECIMALS = 2  # hours


@dataclass(frozen=True, slots=True)
class Equipment:
    """One [[hj212.equipment]] of site.toml: SB`number` is on where the channel's mean is above `on_above`."""

    outlet: str = setting(text_like())
    number: int = setting(number_in(int, 1, NUMBERS_MAX))
    source: Source = setting(source_text)
    unit: str = setting(text_like())
    on_above: float = setting(number_in(float, -1e9, 1e9))


class IntervalAverages(Protocol):
    """What a station needs of ports.AverageStore."""

    def newest(self, device: str, interval_s: int, start_utc_ms: int) -> Sequence[Average]:
        """As AverageStore.newest."""

    def newest_starts(self, device: str) -> Sequence[tuple[int, int]]:
        """As AverageStore.newest_starts."""


class EquipmentReader:
    """Equipment of one outlet, from averages of `interval_s`. Raises StoreError."""

    def __init__(
        self, equipment: Sequence[Equipment], averages: IntervalAverages, interval_s: int, utc_offset_min: int
    ) -> None:  # fmt: skip
        self._equipment, self._averages = tuple(equipment), averages
        self._interval_s, self._utc_offset_min = interval_s, utc_offset_min

    def state(self) -> tuple[int, Upload] | None:
        """(begin of the newest interval, its states); None before the first."""
        starts = {}
        for device in {one.source.device for one in self._equipment}:
            found = dict(self._averages.newest_starts(device))
            if self._interval_s in found:
                starts[device] = found[self._interval_s]
        newest = max(starts.values(), default=None)
        if newest is None:
            return None
        items: list[Item] = [{"DataTime": to_time(newest, self._utc_offset_min)}]
        rests_on = []
        for one in self._equipment:
            average = self._average(one, newest) if starts.get(one.source.device) == newest else None
            if average is not None and average.mean is not None:
                items.append({f"SB{one.number}-RS": str(int(average.mean > one.on_above))})
                rests_on.append(id_of_average(average))
        return newest, Upload("2021", tuple(items), tuple(rests_on))

    def run_time(self, day_utc_ms: int) -> Upload | None:
        """Hours of a day of the site's clock in which each was on; None where nothing is known of that day."""
        items: list[Item] = [{"DataTime": to_time(day_utc_ms, self._utc_offset_min)}]
        for one in self._equipment:
            known = on = 0
            for start in range(day_utc_ms, day_utc_ms + DAY_MS, self._interval_s * 1000):
                average = self._average(one, start)
                if average is not None and average.mean is not None:
                    known += 1
                    on += average.mean > one.on_above
            if known:
                items.append(
                    {f"SB{one.number}-RT": value_text(Fraction(on * self._interval_s, 3600), RUN_TIME_DECIMALS)}
                )
        return Upload("2041", tuple(items)) if len(items) > 1 else None

    def _average(self, one: Equipment, start: int) -> Average | None:
        found = None
        for average in self._averages.newest(one.source.device, self._interval_s, start):
            if average.channel == one.source.channel and average.unit == one.unit:
                found = average
        return found
