"""Which rows next: one lane where order is everything, two where the present must not wait behind the past.

A platform has one lane: every row of a module behind the one before. A broker has two. *Live* are rows that were queued
less than `live_for_s` ago, *replay* is what is older. Live rows go first; after each look at them the backlog gets one
window, at no more than `replay_rows_per_s`, on topics of its own (mqtt_publication.py). A row that ages enters the
replay lane behind everything that is there, because the border between the lanes only moves forward, whatever the clock
does. So in each lane the rows of a module leave in order, and no row of the one waits for a row of the other.

    lanes = TwoLanes(sink, outbox, clock, LaneRule())
    window, rest_s = lanes.take(now_utc_ms)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plumeproof.delivery.outbox import take_turns
from plumeproof.model import OutboxRow
from plumeproof.ports import Clock, Outbox, Sink

PART_S = 0.25  # a window is at most so much of a second's rows, and no rest for tokens is longer: live rows come first


@dataclass(frozen=True, slots=True)
class LaneRule:
    """`rows_per_s` bounds both lanes together, `replay_rows_per_s` the backlog alone."""

    live_for_s: float = 300.0
    rows_per_s: float = 1000.0
    replay_rows_per_s: float = 200.0


class TokenBucket:
    """At most `per_s` tokens a second, at most `burst` at once. Times are of one monotonic clock."""

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._at_s = burst, now_s

    def wait_s(self, wanted: int, now_s: float) -> float:
        """Until `wanted` (at most `burst`) tokens are there; 0.0: now."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        lacking = wanted - self._tokens
        return lacking / self._per_s if lacking > 1e-9 else 0.0  # seconds as floats miss the last billionth of a token

    def take(self, count: int) -> None:
        """After a `wait_s` of 0.0."""
        self._tokens -= count


class OneLane:
    """Everything in order; the modules take turns."""

    def __init__(self, sink: Sink, outbox: Outbox) -> None:
        self._sink, self._outbox = sink, outbox
        self._turns: list[list[OutboxRow]] = []  # windows that were due at the last look
        self._last_module = ""

    def take(self, now_utc_ms: int) -> tuple[Sequence[OutboxRow], float]:
        """The next window of one module, empty when nothing is due; seconds to rest when it is empty (0.0: none)."""
        if not self._turns:
            rows = self._outbox.due(self._sink.name, now_utc_ms, self._sink.window)
            self._turns = take_turns(rows, self._last_module)
        if not self._turns:
            return (), 0.0
        window = self._turns.pop(0)
        self._last_module = window[0].module
        return window, 0.0

    def forget(self) -> None:
        """A delivery failed: who is due is asked again."""
        self._turns = []


class TwoLanes:
    """Live rows first, the backlog at its own rate."""

    def __init__(self, sink: Sink, outbox: Outbox, clock: Clock, rule: LaneRule) -> None:
        self._sink, self._outbox, self._clock, self._rule = sink, outbox, clock, rule
        now_s = clock.monotonic_s()
        self._window = _part_of(rule.rows_per_s, sink.window)
        self._replay_window = _part_of(min(rule.replay_rows_per_s, rule.rows_per_s), sink.window)
        self._bucket = TokenBucket(rule.rows_per_s, max(rule.rows_per_s, 1.0), now_s)
        self._replay_bucket = TokenBucket(rule.replay_rows_per_s, self._replay_window, now_s)
        self._border = 0.0  # place of the first live row; never goes back
        self._live: list[list[OutboxRow]] = []
        self._replay: list[list[OutboxRow]] = []
        self._last_live = self._last_replay = ""
        self._owes_replay = False

    def take(self, now_utc_ms: int) -> tuple[Sequence[OutboxRow], float]:
        """As OneLane.take."""
        rest_s = 0.0
        for _ in range(2):  # what is live, then one window of the backlog, then what has become live meanwhile
            if not self._live and not self._owes_replay:
                self._look(now_utc_ms)
                self._owes_replay = True
            if self._live:
                rest_s = self._bucket.wait_s(len(self._live[0]), self._clock.monotonic_s())
                if rest_s:
                    break
                window = self._live.pop(0)
                self._last_live = window[0].module
                self._bucket.take(len(window))
                return window, 0.0
            self._owes_replay = False
            window, rest_s = self._take_replay(now_utc_ms)
            if window:
                return window, 0.0
        return (), min(rest_s, PART_S)

    def forget(self) -> None:
        """As OneLane.forget."""
        self._live, self._replay, self._owes_replay = [], [], False

    def _look(self, now_utc_ms: int) -> None:
        since = now_utc_ms - int(self._rule.live_for_s * 1000)
        self._border = max(self._border, self._outbox.place_since(since))
        rows = self._outbox.due(self._sink.name, now_utc_ms, self._window, first_place=self._border)
        self._live = take_turns(rows, self._last_live)

    def _take_replay(self, now_utc_ms: int) -> tuple[list[OutboxRow], float]:
        if not self._replay:
            rows = self._outbox.due(self._sink.name, now_utc_ms, self._replay_window, end_place=self._border)
            self._replay = take_turns(rows, self._last_replay)
        if not self._replay:
            return [], 0.0
        count, now_s = len(self._replay[0]), self._clock.monotonic_s()
        rest_s = max(self._replay_bucket.wait_s(count, now_s), self._bucket.wait_s(count, now_s))
        if rest_s:
            return [], rest_s
        window = [replace(row, is_replay=True) for row in self._replay.pop(0)]
        self._last_replay = window[0].module
        self._replay_bucket.take(count)
        self._bucket.take(count)
        return window, 0.0


def _part_of(per_s: float, window: int) -> int:
    return max(1, min(window, int(per_s * PART_S)))
