"""Signatures verified ahead, on the processors that the check itself does not use: most of its time is theirs.

Portions of envelopes go to processes of their own, which answer whether every envelope of a portion has its strict
form and a signature that its key in the registry made. Only a plain yes counts: for any other answer, and where a
process has died, the check verifies the portion itself and names what is wrong: a missing answer costs time alone.

    ahead = SignaturesAhead(keys, record_count)
    for portion, is_verified in ahead.of(portions): ...
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

from plumeproof.envelope_sequence import Item
from plumeproof.errors import EvidenceError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.keys import KeyFile

RECORDS_MIN = 8_192  # fewer are verified sooner than a process has started (0.4 s)
PROCESSES_MAX = 3  # the check's own work takes some three quarters of one processor's signatures
PORTIONS_AHEAD = 6  # of each module; 512 records each: some megabytes

_keys: list[KeyFile] = []  # of this process, once it is one of those that verify


class SignaturesAhead:
    """For one check. Without a second processor, or for few records, nothing is verified ahead."""

    def __init__(self, keys: KeyFile, record_count: int) -> None:
        self._pool: ProcessPoolExecutor | None = None
        count = min(PROCESSES_MAX, _processors() - 1)
        if count > 0 and record_count >= RECORDS_MIN:
            context = multiprocessing.get_context("spawn")  # a fork would copy the locks of our threads
            self._pool = ProcessPoolExecutor(count, context, _begin, (keys,))

    def of(self, portions: Iterable[list[Item]]) -> Iterator[tuple[list[Item], bool]]:
        """The portions in their order, each with whether all of it is verified."""
        waiting: deque[tuple[list[Item], Future[bool] | None]] = deque()
        for portion in portions:
            waiting.append((portion, self._ask(portion)))
            if self._pool is None or len(waiting) > PORTIONS_AHEAD:
                yield self._answered(*waiting.popleft())
        while waiting:
            yield self._answered(*waiting.popleft())

    def close(self) -> None:
        """End the processes; what they have not answered is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _ask(self, portion: list[Item]) -> Future[bool] | None:
        if self._pool is None or any(item.rubbish_bytes or not item.raw for item in portion):
            return None
        try:
            return self._pool.submit(_are_verified, [item.raw for item in portion])
        except BrokenProcessPool:
            self.close()
            return None

    def _answered(self, portion: list[Item], asked: Future[bool] | None) -> tuple[list[Item], bool]:
        if asked is None:
            return portion, False
        try:
            return portion, asked.result() is True
        except BrokenProcessPool:  # killed, or out of memory: nobody has verified it, so the check does
            self.close()
            return portion, False


def _processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def _begin(keys: KeyFile) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the check, which ends us
    _keys.append(keys)


def _are_verified(raws: list[bytes]) -> bool:
    try:
        for raw in raws:
            verify_envelope(raw, _keys[0].public_key)
    except EvidenceError:
        return False
    return True
