"""One share of the campaign, in a process of its own: a fault of the broker, or batches under one of the platform."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.deliveries import broker_cases, platform_cases
from tools.deliveries.gateway import Stuck

Task = tuple[str, int, int, int, float]  # case, seed, batches, batches of it before, share of its length
Job = tuple[Task, float]  # and until when it may begin (time.monotonic)


def play(job: Job) -> tuple[str, dict[str, Any] | None]:
    """The case and its counts; None: its turn came too late."""
    (name, seed, batches, done, scale), until_s = job
    if time.monotonic() > until_s:
        return name, None
    logging.disable(logging.CRITICAL)  # thousands of refusals that were asked for
    with tempfile.TemporaryDirectory(prefix="plumeproof-deliveries-") as folder:
        try:
            if name in broker_cases.CASES:
                return name, asdict(broker_cases.run(name, Path(folder), seed, scale))
            return name, asdict(platform_cases.run(name, Path(folder), batches, seed, done))
        except Stuck as error:
            return name, {"wrong": (str(error),)}
