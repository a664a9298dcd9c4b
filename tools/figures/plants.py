"""One drawn plant of the campaign, in a process of its own."""

from __future__ import annotations

import time

from tests.doubles.random_plant import Case

TOLD_MAX = 5  # lines of one plant: the first say it all

Job = tuple[int, float]  # seed of a plant, until when it may begin (time.monotonic)


def compare(job: Job) -> tuple[int, float, list[str]] | None:
    """Figures compared, their largest difference, what is not equal; None: its turn came too late."""
    seed, until_s = job
    if time.monotonic() > until_s:
        return None
    count, worst, told = Case(seed).compare()
    return count, worst, told[:TOLD_MAX]
