"""The records of one module as somebody asks for their slots, day by day, while they are verified: decoded once.

Whoever makes figures needs the slots of several modules at once, and asks for days in ascending order. What he asks for
is verified then, given and forgotten when he asks for a later day. Slots that come when their day was given (a clock
that went back) make the answer void: `is_late`, and he asks the file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plumeproof.errors import BridgeError
from plumeproof.evidence.strips import Strip
from plumeproof.inspection import Finding

LATE_MS = 2 * 3_600_000  # a day is over when a record begins so long behind it
FINDINGS_HELD_MAX = 1_000  # of a module; a bundle with more is not worth the speed
_ALWAYS = 2**63


@dataclass(slots=True)
class Run:
    """`steps`: the findings of each portion, in order; every step takes its slots here."""

    device: str
    steps: Iterator[Sequence[Finding]]
    findings: list[Finding] = field(default_factory=list)  # of what was verified ahead
    fault: BridgeError | None = None  # that ended the steps
    is_ended: bool = False
    is_late: bool = False
    _has_begun: bool = False
    _is_asked: bool = False
    _strips: list[Strip] = field(default_factory=list)
    _lost: list[Strip] = field(default_factory=list)  # slots that nobody read, which may cover months
    _newest_utc_ms: int = -1
    _since_utc_ms: int = 0  # what ends before is forgotten
    _until_utc_ms: int = 0  # what begins before was given

    @property
    def is_usable(self) -> bool:
        """Whether everything that was given still stands."""
        return not self.is_late and self.fault is None and len(self.findings) <= FINDINGS_HELD_MAX

    def take(self, strips: Sequence[Strip]) -> None:
        """Slots that have just been verified."""
        if not self._is_asked:
            return
        begins = [strip.first_utc_ms for strip in strips]
        self.is_late |= min(begins, default=_ALWAYS) < self._until_utc_ms
        self._newest_utc_ms = max([self._newest_utc_ms, *begins])
        since = self._since_utc_ms
        self._lost += [strip for strip in strips if strip.values is None]
        self._strips += [strip for strip in strips if strip.values is not None and strip.end_utc_ms > since]

    def can_give(self, start_utc_ms: int) -> bool:
        """Whether what begins there is still to come, or is held."""
        return self.is_usable and (self._is_asked or not self._has_begun) and start_utc_ms >= self._since_utc_ms

    def give(self, start_utc_ms: int, end_utc_ms: int) -> list[Strip]:
        """Verified slots that touch [start, end), in seq order; what ends before is asked no more."""
        self._is_asked = True
        self._since_utc_ms = start_utc_ms
        self._strips = [strip for strip in self._strips if strip.end_utc_ms > start_utc_ms]
        while self._newest_utc_ms < end_utc_ms + LATE_MS and self.is_usable and self.step():
            pass
        self._until_utc_ms = max(self._until_utc_ms, end_utc_ms)
        own = [strip for strip in self._strips if strip.first_utc_ms < end_utc_ms]
        own += [strip for strip in self._lost if strip.touches(start_utc_ms, end_utc_ms)]
        return sorted(own, key=lambda strip: strip.seq)

    def forget(self) -> None:
        """Whoever asked asks no more."""
        if self._is_asked:
            self._strips, self._lost, self._since_utc_ms = [], [], _ALWAYS

    def step(self) -> bool:
        """Verify one portion more; False where there is none."""
        self._has_begun = True
        if self.is_ended:
            return False
        try:
            found = next(self.steps, None)
        except BridgeError as error:  # it is the records' fault, not that of whoever asks
            self.fault, found = error, None
        self.is_ended = found is None
        self.findings += found or ()
        return not self.is_ended

    def finish(self) -> Iterator[Finding]:
        """Every finding, to the end. Raises what ended the steps before."""
        while True:
            yield from self.findings
            self.findings.clear()
            if not self.step():
                break
        if self.fault is not None:
            raise self.fault
