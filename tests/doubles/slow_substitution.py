"""Substitution by HJ 75 and Part 75 once more, slowly: lists, whole numbers and fractions, from the reference alone.

Written from averaging-rules sections 10.2, 11.2 and 11.3, without a look at plumeproof.rules. One hour after the other
walks back through its list; nothing is kept between hours.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Hour:
    """`value`: None where not valid."""

    value: float | None
    ran: bool = True
    out_of_control: bool = False
    calibrated: bool = False
    load_bin: int = 0


def hj75(hours: Sequence[Hour], captured: int, possible: int, first: int = 0) -> list[tuple[float, int] | None]:
    """For each hour its substitute and the look-back, None where it needs none or none is defined."""
    found: list[tuple[float, int] | None] = []
    for place, hour in enumerate(hours):
        if place < first or not hour.ran or hour.value is not None:
            found.append(None)
            continue
        start = place
        while start > 0 and hours[start - 1].ran and hours[start - 1].value is None:
            start -= 1
        end = place
        while end < len(hours) and hours[end].ran and hours[end].value is None:
            end += 1
        rate = Fraction(captured, possible) if possible else None
        if rate is None or rate < Fraction(75, 100):
            found.append(None)
            continue
        back = 2160 if rate < Fraction(90, 100) else 180 if end - start <= 24 else 720
        border = start
        if hour.out_of_control:
            passed = [earlier for earlier in range(start) if hours[earlier].calibrated]
            if not passed:
                found.append(None)
                continue
            border = passed[-1]
        history = [one.value for one in hours[:border] if one.ran and one.value is not None][-back:]
        found.append((max(history), back) if history else None)
    return found


def nearest_rank(values: Sequence[float], pct: int) -> float:
    """The smallest value that at least `pct` per cent of all do not exceed."""
    ordered = sorted(values)
    for candidate in ordered:
        if bisect.bisect_right(ordered, candidate) * 100 >= pct * len(values):
            return candidate
    raise ValueError("no values")


def part75(
    hours: Sequence[Hour], family: str, max_potential: float, first: int = 0
) -> list[tuple[float | None, str] | None]:
    """For each hour (value or None, method), None where it needs none."""
    running = [place for place, hour in enumerate(hours) if hour.ran]
    found: list[tuple[float | None, str] | None] = [None] * len(hours)
    for index, place in enumerate(running):
        if hours[place].value is not None or place < first:
            continue
        start, end = index, index
        while start > 0 and hours[running[start - 1]].value is None:
            start -= 1
        while end < len(running) and hours[running[end]].value is None:
            end += 1
        gap = running[start]
        before = hours[running[start - 1]].value if start else None
        after = hours[running[end]].value if end < len(running) else None
        mean = None if before is None or after is None else float((Fraction(before) + Fraction(after)) / 2)
        qa = [one for one in hours[:gap] if one.ran and one.value is not None]
        window = [one for one in hours[max(0, gap - 26280) : gap] if one.ran][-8760:]
        back = 720 if family == "concentration" else 2160
        history = [one.value for one in qa if family == "concentration" or one.load_bin == hours[place].load_bin][
            -back:
        ]
        if len(qa) < back:
            found[place] = (mean, "hb_ha")
            continue
        pma = Fraction(100 * sum(one.value is not None for one in window), len(window))
        length = end - start
        if pma < 80:
            found[place] = (max_potential, "max_potential")
        elif pma < 90:
            found[place] = (max(history) if history else None, "maximum")
        elif length <= (24 if pma >= 95 else 8):
            if family == "concentration":
                found[place] = (mean, "hb_ha")
            else:
                value = float(statistics.mean(map(Fraction, history))) if history else None
                found[place] = (value, "bin_mean")
        else:
            pct = 90 if pma >= 95 else 95
            value = max(nearest_rank(history, pct), mean) if history and mean is not None else None
            found[place] = (value, f"p{pct}")
    return found
