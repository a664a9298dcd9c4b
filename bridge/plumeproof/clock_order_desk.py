"""What becomes of a platform's order to set the clock: evidence first, and the clock only where it is configured.

An order is signed and stored before anything is done. Without the gateway's key there is nothing to sign with, and the
order is not met. No record is ever stamped anew: modules learn of a step through their own time sync, which they sign.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from plumeproof.delivery.hj212_orders import ClockOrder
from plumeproof.errors import EvidenceError
from plumeproof.evidence.clock_order import (
    CLOCK_ORDER_TYPE,
    NO_PREV,
    ClockOrderEvent,
    build_clock_order,
    parse_clock_order,
)
from plumeproof.gateway_key import GatewayKey
from plumeproof.hj212.messages import BUSY, DONE, FAULT, NOT_MET
from plumeproof.ports import Clock
from plumeproof.store.clock_orders import SqliteClockOrders

REST_S = 10.0  # between two orders: a platform that sends without end must not fill the ledger
_log = logging.getLogger(__name__)
SetClock = Callable[[int], None]


def set_host_clock(utc_ms: int) -> None:
    """Set this PC's clock. Raises OSError: no right to it (CAP_SYS_TIME), or the system has no such way."""
    if not hasattr(time, "clock_settime_ns"):
        raise OSError("this system lets no Python program set its clock")
    time.clock_settime_ns(time.CLOCK_REALTIME, utc_ms * 1_000_000)


class ClockOrderDesk:
    """delivery.hj212_orders.ClockDesk of one link; links of a bridge share the store and `lock`."""

    def __init__(
        self,
        gateway: str,
        key: GatewayKey | None,
        store: SqliteClockOrders,
        clock: Clock,
        tolerance_ms: int,
        set_clock: SetClock | None,
        lock: threading.Lock,
        public_key_of_kid: Callable[[bytes], bytes],
    ) -> None:
        """`tolerance_ms`: a clock that is so near is right; `set_clock`: None, the host's clock is not ours to set."""
        self._gateway, self._key, self._store, self._clock = gateway, key, store, clock
        self._tolerance_ms, self._set_clock, self._lock = tolerance_ms, set_clock, lock
        self._last_s: float | None = None
        # The key of this run may be newer than the last order, or not be in keys.json yet.
        self._key_of = lambda kid: key.public_key if key is not None and kid == key.kid else public_key_of_kid(kid)

    def take(self, order: ClockOrder) -> int:
        """As ClockDesk.take. Raises StoreError."""
        now_s = self._clock.monotonic_s()
        if self._key is None:
            _log.warning("clock_order link=%s outcome=refused reason=no anchors.key_file to sign it", order.link)
            return NOT_MET
        if self._last_s is not None and now_s - self._last_s < REST_S:
            return BUSY
        self._last_s = now_s
        old = self._clock.utc_ms()
        is_near = abs(order.ordered_utc_ms - old) <= self._tolerance_ms
        outcome = "within" if is_near else "refused" if self._set_clock is None else "set"
        try:
            self._sign(self._key, order, old, outcome)
        except EvidenceError as error:  # the newest order in the ledger does not hold: nothing is built on it
            _log.error("clock_order link=%s outcome=refused reason=%s", order.link, error)
            return NOT_MET
        if outcome != "set" or self._set_clock is None:
            return DONE if is_near else NOT_MET
        try:
            # Power failing before this line: the order is signed, the clock unset, and no 9012 has left.
            self._set_clock(order.ordered_utc_ms)
        except OSError as error:
            _log.error("clock_order link=%s outcome=failed reason=%s", order.link, error.strerror or error)
            self._sign(self._key, order, old, "failed")
            return FAULT
        return DONE

    def _sign(self, key: GatewayKey, order: ClockOrder, old_utc_ms: int, outcome: str) -> None:
        with self._lock:
            newest = self._store.newest()
            number, prev = 1, NO_PREV
            if newest is not None:
                before, prev = parse_clock_order(newest, self._key_of)
                number = before.number + 1
            event = ClockOrderEvent(
                gateway=self._gateway,
                number=number,
                prev=prev,
                old_utc_ms=old_utc_ms,
                new_utc_ms=order.ordered_utc_ms,
                outcome=outcome,
                link=order.link,
                platform=order.platform,
                mn=order.mn,
                qn=order.request.qn,
                check=str(order.request.check),
                policy=str(order.request.policy),
                heads=self._store.heads(),
            )
            statement = key.sign(CLOCK_ORDER_TYPE, build_clock_order(event))
            shown = {name: value for name, value in asdict(event).items() if name not in ("heads", "prev")}
            self._store.add(statement, shown, old_utc_ms)
        _log.warning(
            "clock_order link=%s platform=%s outcome=%s step_ms=%d",
            order.link, order.platform, outcome, order.ordered_utc_ms - old_utc_ms,
        )  # fmt: skip
