"""Gets a time-stamp for every anchor statement; while the authority is away, statements are made and wait.

stage = StampStage("http://tsa.example", certificates, store)
while stage.step() is not None: pass
"""

from __future__ import annotations

import logging
import random

from plumeproof.delivery.tsa import ask_tsa
from plumeproof.errors import BlockedDelivery, EvidenceError
from plumeproof.ports import AnchorStore
from plumeproof.time_stamp import Certificates, StampQuestion, read_stamp

FIRST_S, LONGEST_S = 10.0, 3600.0  # an authority serves many: a try an hour is enough, and a day has many hours
PACE_S = 1.0  # between two questions
_log = logging.getLogger(__name__)


class StampStage:
    """Stamps of one authority. Raises RetryableDelivery, BlockedDelivery and StoreError."""

    def __init__(self, url: str, certificates: Certificates, store: AnchorStore) -> None:
        self._url, self._certificates, self._store = url, certificates, store
        self._failures = 0
        self._counters = {"stamped_total": 0, "failures_total": 0}

    def step(self) -> float | None:
        """Stamp one statement, the newest first: it covers what is below it. None: all have one."""
        waiting = self._store.unstamped(1)
        if not waiting:
            return None
        response, utc_ms = ask_stamp(self._url, self._certificates, waiting[0].statement)
        self._store.add_stamp(waiting[0].number, self._url, response, utc_ms)
        self._failures = 0
        self._counters["stamped_total"] += 1
        _log.info("anchor_stamped number=%d", waiting[0].number)
        return PACE_S

    def recover(self, _error: Exception) -> float | None:
        """Seconds to rest, more each time."""
        self._failures += 1
        self._counters["failures_total"] += 1
        return random.uniform(0.5, 1.0) * min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures - 1, 10))  # noqa: S311 - no secret

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return dict(self._counters)

    def close(self) -> None:
        """Nothing is held."""


def ask_stamp(url: str, certificates: Certificates, message: bytes) -> tuple[bytes, int]:
    """A time-stamp that holds, and its UTC ms. Raises RetryableDelivery; BlockedDelivery for one that does not hold."""
    question = StampQuestion(message)
    response = ask_tsa(url, question.raw)
    try:
        return response, read_stamp(response, message, certificates, question)
    except EvidenceError as error:
        raise BlockedDelivery(f"{error.detail}; check anchors.tsa_certificate_file") from error
