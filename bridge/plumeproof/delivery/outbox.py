"""The decisions of a delivery: which rows next, and what becomes of a row that was not taken. No I/O, no clock.

Order is kept per module and the modules take turns; a row that the other side will never take is divided until the bad
part is alone, and then leaves the order for good (reference: reliability section 3, H4 and H5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumeproof.delivery.retry import ASKED_LONGEST_S, FIRST_S, LONGEST_S, backoff_s
from plumeproof.errors import BlockedDelivery, DeliveryError, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow

BLOCKED_S = 3600.0  # "rarely": a person is needed, and a restart tries at once
REASON_MAX_CHARACTERS = 300  # kept with the row

DEFER = "defer"
SPLIT = "split"
QUARANTINE = "quarantine"
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Decision:
    """`action`: what becomes of the row; `row_wait_s`: before it is due again; `rest_s`: before anything is sent."""

    action: str
    reason: str
    row_wait_s: float
    rest_s: float


def take_turns(rows: Sequence[OutboxRow], last_module: str) -> list[list[OutboxRow]]:
    """One window for each module, in the order of their turns after `last_module`; `rows` as ports.Outbox.due."""
    windows: dict[str, list[OutboxRow]] = {}
    for row in rows:
        windows.setdefault(row.module, []).append(row)
    modules = sorted(windows)
    turns = [name for name in modules if name > last_module] + [name for name in modules if name <= last_module]
    return [windows[name] for name in turns]


def decide(
    error: DeliveryError, row: OutboxRow, failures: int, dice: Callable[[], float], longest_s: float = LONGEST_S
) -> Decision:
    """What follows from `error` about `row`, the first of its window; `failures`: of this sink in a row, this one too.

    `longest_s`: cap of the back-off. The sink as a whole rests by its own failures, the row by its own attempts, so
    that one row that is never taken does not slow the other modules down.
    """
    reason = " ".join(str(error).split())[:REASON_MAX_CHARACTERS] or type(error).__name__
    if isinstance(error, FinalDelivery):
        return Decision(SPLIT if error.can_split else QUARANTINE, reason, 0.0, FIRST_S)
    if isinstance(error, BlockedDelivery):
        return Decision(KEEP, reason, 0.0, BLOCKED_S)
    asked_s = error.not_before_s if isinstance(error, RetryableDelivery) else None
    rest_s = backoff_s(failures, dice(), longest_s)
    if asked_s is not None:
        rest_s = max(rest_s, min(asked_s, ASKED_LONGEST_S))
    return Decision(DEFER, reason, max(rest_s, backoff_s(row.attempts + 1, dice(), longest_s)), rest_s)
