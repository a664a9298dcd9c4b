"""Signatures verified ahead, on the processors that the check itself does not use: most of its time is theirs.

Portions of envelopes go to processes of their own, which answer whether every envelope of a portion has its strict
form and a signature that its key in the registry made. Only a plain yes counts: for any other answer, and where a
process has died, the check verifies the portion itself and names what is wrong: a missing answer costs time alone.

    ahead = SignaturesAhead(bundle_bytes)
    for portion, is_verified in ahead.of(portions, keys): ...
    ahead.close()
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from plumeproof.envelope_sequence import Item
from plumeproof.errors import EvidenceError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.keys import KeyFile

BYTES_MIN = 8 << 20  # of a bundle; a smaller one is verified about as soon as a process has started
PROCESSES_MAX = 3  # the check's own work is about that of all signatures on one processor: more would wait for it
ASKED_MAX = 3  # portions that a process has at once, some 25 ms each: the check looks after them seldom
PORTIONS_AHEAD = 6  # of each module; 512 records each: some megabytes


@dataclass(slots=True)
class _Asked:
    """A portion. `is_begun`: somebody was asked, or it is verified here; `is_verified`: a plain yes."""

    portion: list[Item]
    answer: Future[bool] | None = None
    is_begun: bool = False
    is_verified: bool = False


class SignaturesAhead:
    """For one check. Without a second processor, or for a small bundle, nothing is verified ahead."""

    def __init__(self, bundle_bytes: int) -> None:
        """Begins to start the processes: make it before there are portions."""
        self._pool: ProcessPoolExecutor | None = None
        self._asked: list[Future[bool]] = []
        count = min(PROCESSES_MAX, _processors() - 1)
        self._asked_max = count * ASKED_MAX
        if count > 0 and bundle_bytes >= BYTES_MIN:
            context = multiprocessing.get_context("spawn")  # a fork would copy the locks of our threads
            self._pool = ProcessPoolExecutor(count, context, _begin)
            for _ in range(count):
                self._pool.submit(_begin)

    def of(self, portions: Iterable[list[Item]], keys: KeyFile) -> Iterator[tuple[list[Item], bool]]:
        """The portions in their order, each with whether all of it is verified."""
        waiting: deque[_Asked] = deque()
        for portion in portions:
            waiting.append(_Asked(portion))
            if self._pool is None or len(waiting) > PORTIONS_AHEAD:
                yield self._first(waiting, keys)
        while waiting:
            yield self._first(waiting, keys)

    def close(self) -> None:
        """End the processes, behind the few portions that they have."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool, self._asked = None, []

    def _first(self, waiting: deque[_Asked], keys: KeyFile) -> tuple[list[Item], bool]:
        """The oldest. While its answer is not there, the newest that nobody was asked for is verified here."""
        self._ask(waiting, keys)
        first = waiting[0]
        while first.answer is not None and not first.answer.done():
            mine = next((one for one in reversed(waiting) if not one.is_begun), None)
            if mine is None:
                break
            mine.is_begun, mine.is_verified = True, _are_verified([item.raw for item in mine.portion], keys)
            self._ask(waiting, keys)
        waiting.popleft()
        if first.answer is not None:
            try:
                first.is_verified = first.answer.result() is True
            except BrokenProcessPool:  # killed, or out of memory: nobody has verified it, so the check does
                self.close()
        return first.portion, first.is_verified

    def _ask(self, waiting: Iterable[_Asked], keys: KeyFile) -> None:
        """Give the processes what they can begin soon; the rest stays free for whoever has time."""
        self._asked = [one for one in self._asked if not one.done()]
        for one in waiting:
            if self._pool is None or len(self._asked) >= self._asked_max:
                return
            if not one.is_begun and all(item.raw and not item.rubbish_bytes for item in one.portion):
                try:
                    one.answer = self._pool.submit(_are_verified, [item.raw for item in one.portion], keys)
                except BrokenProcessPool:
                    self.close()
                    return
                one.is_begun = True
                self._asked.append(one.answer)


def _processors() -> int:
    """That this process may use; where the system does not say it, one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the check, which ends us


def _are_verified(raws: list[bytes], keys: KeyFile) -> bool:
    try:
        for raw in raws:
            verify_envelope(raw, keys.public_key)
    except EvidenceError:
        return False
    return True
