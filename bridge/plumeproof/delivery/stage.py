"""The stage of one sink: takes what is due from the outbox, delivers it, and stores proof or reason.

A row closes only with a receipt that is stored in the same transaction; a kill at any instant leaves it waiting, and
the same bytes go out again under the same key. What is decided about a row is outbox.py, when again retry.py.

    stage = DeliveryStage(sink, outbox, clock)
    while stage.step() is not None: pass
"""

from __future__ import annotations

import calendar
import logging
import random
import time
from collections.abc import Callable, Sequence

from plumeproof import __released__
from plumeproof.delivery import outbox as decisions
from plumeproof.delivery.lanes import LaneRule, OneLane, TwoLanes
from plumeproof.delivery.retry import FIRST_S, LONGEST_S
from plumeproof.errors import BlockedDelivery, DeliveryError, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock, Outbox, Sink

REFUSED_MAX = 3  # set aside one after the other without one that is taken; then a person looks first
LOOK_S = 5.0  # until it is asked again whether a deferred row is due
_RELEASED_UTC_MS = calendar.timegm(time.strptime(__released__, "%Y-%m-%d")) * 1000
_log = logging.getLogger(__name__)


class DeliveryStage:
    """Deliveries of one sink, in one thread. Raises RetryableDelivery, BlockedDelivery and StoreError."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        clock: Clock,
        longest_s: float = LONGEST_S,
        dice: Callable[[], float] = random.random,
        is_mended: Callable[[], bool] | None = None,
        lanes: LaneRule | None = None,
    ) -> None:
        """`longest_s`: cap of the back-off; `dice`: uniform in [0, 1). `is_mended`: whether something that a person
        can mend (keys, certificates, secrets) has changed since it was last asked: then what is blocked is tried.
        `lanes`: None keeps every row of a module behind the one before it."""
        self._sink, self._outbox, self._clock = sink, outbox, clock
        self._longest_s, self._dice = longest_s, dice
        self._lanes = OneLane(sink, outbox) if lanes is None else TwoLanes(sink, outbox, clock, lanes)
        self._refused_in_a_row = 0
        self._last_error: DeliveryError | None = None  # that nothing has disproved yet
        self._failures = 0
        self._rest_s = 0.0
        self._is_mended = is_mended
        self._blocked_words = ""
        self._blocked_until_s = 0.0  # on the monotonic clock; only where is_mended can end it sooner
        self._counters = {
            "delivered_total": 0,
            "replayed_total": 0,
            "failures_total": 0,
            "split_total": 0,
            "quarantined_total": 0,
        }

    def step(self) -> float | None:
        """One window of one module; seconds to rest, None: nothing is due."""
        now = self._clock.utc_ms()
        if now < _RELEASED_UTC_MS:
            # Certificates could not be judged and receipts would bear a wrong time.
            shown = time.strftime("%Y-%m-%d", time.gmtime(now / 1000))
            self._counters["failures_total"] += 1
            self._rest_s = FIRST_S
            raise BlockedDelivery(f"this PC's clock shows {shown}, before this release was made; set it")
        if self._blocked_until_s:
            is_mended = self._is_mended is not None and self._is_mended()
            if not is_mended and self._clock.monotonic_s() < self._blocked_until_s:
                self._rest_s = LOOK_S
                raise BlockedDelivery(self._blocked_words)
            self._blocked_until_s = 0.0
        window, rest_s = self._lanes.take(now)
        if rest_s:
            return rest_s  # rows are due and their lane's rate is used up
        try:
            if window:
                receipts = self._sink.deliver(window)
            elif self._sink.tend():
                self._last_error = None
        except DeliveryError as error:
            self._lanes.forget()  # who is due is asked again after the rest
            self._last_error = error
            if error.receipts:  # something got through: what follows is a first failure
                self._close(error.receipts, window[0].is_replay)
                self._failures = self._refused_in_a_row = 0
            return self._settle(error, window[len(error.receipts)] if window else None)
        if not window:
            self._stay_unwell()
            return None
        self._close(receipts, window[0].is_replay)
        self._failures = self._refused_in_a_row = 0
        self._last_error = None
        return 0.0

    def recover(self, error: Exception) -> float | None:
        """Seconds to rest after what `step` raised; None: the caller's own pause."""
        rest_s, self._rest_s = self._rest_s, 0.0
        if self._is_mended is not None and rest_s >= decisions.BLOCKED_S and isinstance(error, BlockedDelivery):
            self._blocked_words, self._blocked_until_s = str(error), self._clock.monotonic_s() + rest_s
            return LOOK_S
        return rest_s or None

    def close(self) -> None:
        """Say good-bye to the other side."""
        self._sink.close()

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return {**self._counters, **self._sink.counters()}

    def _close(self, receipts: Sequence[Receipt], is_replay: bool) -> None:
        # Power failing before close returns: the rows wait, the same bytes go out again under the same keys.
        self._outbox.close(receipts)
        self._counters["delivered_total"] += len(receipts)
        self._counters["replayed_total"] += len(receipts) if is_replay else 0

    def _stay_unwell(self) -> None:
        """Nothing is due. While a row waits after a fault that nothing has disproved, this part is not well."""
        if self._last_error is None:
            return
        self._rest_s = LOOK_S
        kind = BlockedDelivery if isinstance(self._last_error, BlockedDelivery) else RetryableDelivery
        raise kind(str(self._last_error))

    def _settle(self, error: DeliveryError, row: OutboxRow | None) -> float:
        self._failures += 1
        self._counters["failures_total"] += 1
        subject = row or OutboxRow(0, self._sink.name, "", "", "", b"", (), 0, 0)
        decision = decisions.decide(error, subject, self._failures, self._dice, self._longest_s)
        self._rest_s = decision.rest_s
        if row is None:
            raise error
        now = self._clock.utc_ms()
        if decision.action in (decisions.DEFER, decisions.KEEP):
            self._outbox.defer(row.id, now + int(decision.row_wait_s * 1000), decision.reason)
            raise error
        parts = self._sink.split(row) if decision.action == decisions.SPLIT else ()
        if parts:
            self._outbox.split(row, parts)
            self._counters["split_total"] += 1
        elif self._refused_in_a_row >= REFUSED_MAX:
            # Not the rows are bad but what all of them have in common.
            self._refused_in_a_row = 0
            self._rest_s = decisions.BLOCKED_S
            raise BlockedDelivery(
                f"{REFUSED_MAX + 1} rows in a row are refused; check the profile before more are set aside:"
                f" {decision.reason}"
            ) from error
        else:
            self._outbox.quarantine(row.id, decision.reason)
            self._refused_in_a_row += 1
            self._counters["quarantined_total"] += 1
            _log.error("delivery_refused sink=%s key=%s reason=%s", self._sink.name, row.key, decision.reason)
        self._failures = 0  # it answered; the rest keeps the pace of a failing endpoint
        self._last_error = None
        return decision.rest_s
