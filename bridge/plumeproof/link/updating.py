"""Brings a release to a module over the link (SPEC.md sections 2.2, 8.3 and 8.5).

Nothing of it is believed or checked here but its sizes: the module judges. Lost answers are asked for again; the module
says where to go on. Records go on waiting in its journal: fetch between two calls of `step`, and acknowledge a record
of the next boot, or the new program never counts as confirmed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from acqwire import frames, names, update

from plumeproof.errors import LinkError, LinkTimeout
from plumeproof.link.line import Line
from plumeproof.link.session import UpdateState

MAGIC = b"PPUP"
CHECK_WAIT_S = 0.1  # between two looks while the module verifies
MEMORY_WAIT_S = 0.7  # before a module that had no room is asked again
MEMORY_RETRIES = 8
PATIENCE_COUNT = 8  # questions in a row without an answer: each has waited for line.ANSWER_TIMEOUT_S
_HEAD = struct.Struct(">4sII")


class UpdateRefused(LinkError):
    """The module does not take this release; `reason`: update.REASON_*."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """Sizes of roots and manifest, and everything the module takes, in its order."""

    roots_bytes: int
    manifest_bytes: int
    stream: bytes

    @property
    def manifest_hash(self) -> bytes:
        """What UPDATE_END names."""
        return hashlib.sha256(self.stream[self.roots_bytes : self.roots_bytes + self.manifest_bytes]).digest()

    def pack(self) -> bytes:
        """As a file."""
        return _HEAD.pack(MAGIC, self.roots_bytes, self.manifest_bytes) + self.stream


def read_release(raw: bytes) -> ReleaseFile:
    """A release file's parts. Raises ValueError in one line."""
    limit = update.ROOTS_MAX * update.ROOT_MAX_BYTES + update.MANIFEST_MAX_BYTES + update.TOTAL_MAX_BYTES
    if not _HEAD.size < len(raw) <= _HEAD.size + limit:
        raise ValueError(f"release file of {len(raw)} bytes: more than a head and at most {limit} are wanted")
    magic, roots_bytes, manifest_bytes = _HEAD.unpack_from(raw)
    stream = raw[_HEAD.size :]
    if magic != MAGIC or manifest_bytes == 0 or roots_bytes + manifest_bytes > len(stream):
        raise ValueError("no release file: make one with `python -m tools.release build`")
    return ReleaseFile(roots_bytes, manifest_bytes, stream)


def send_release(line: Line, release: ReleaseFile, report: Callable[[int, int], None] | None = None) -> None:
    """The module has switched to this release when this returns, and starts anew: greet it again, fetch, acknowledge.

    report(bytes done, bytes in all). Raises UpdateRefused, LinkTimeout, LinkError.
    """
    sending = Sending(line, release)
    while not sending.step():
        if report is not None:
            report(sending.done_bytes, len(release.stream))


class Sending:
    """One transfer, question by question, so that records can be fetched in between."""

    def __init__(self, line: Line, release: ReleaseFile) -> None:
        self._line = line
        self._release = release
        self._state: UpdateState | None = None
        self._silent_count = 0
        self._retries_left = MEMORY_RETRIES

    @property
    def done_bytes(self) -> int:
        """What the module has taken."""
        return 0 if self._state is None else self._state.next_offset

    def step(self) -> bool:
        """One question; True when the module has switched. Raises UpdateRefused, LinkTimeout, LinkError."""
        try:
            state = self._ask()
        except LinkTimeout:
            self._silent_count += 1
            if self._silent_count == PATIENCE_COUNT:
                raise
            return False
        self._silent_count = 0
        if state.phase == update.PHASE_REFUSED and state.reason == update.REASON_MEMORY and self._retries_left:
            self._retries_left -= 1  # its heap was in pieces while it sealed a record: another moment may be better
            self._state = None
            self._line.rest(MEMORY_WAIT_S)
            return False
        if state.phase == update.PHASE_REFUSED:
            words = dict(names.UPDATE_REASON_NAMES).get(state.reason, str(state.reason))
            raise UpdateRefused(state.reason, f"module refuses the update: {words}")
        if state.phase == update.PHASE_IDLE and state.is_trial:
            return True  # it has switched and started anew before its answer could be heard
        if state.phase == update.PHASE_IDLE:
            raise LinkError("the module has started anew in the middle of the update: send it again")
        self._state = state
        return state.phase == update.PHASE_SWITCHED

    def _ask(self) -> UpdateState:
        release, state, line = self._release, self._state, self._line
        if state is None:
            return line.update_begin(release.roots_bytes, release.manifest_bytes, len(release.stream))
        if self._silent_count:  # what became of the question is not known
            return line.update_ask()
        if state.phase == update.PHASE_CHECKING:
            line.rest(CHECK_WAIT_S)
            return line.update_ask()
        if state.phase == update.PHASE_READY:
            return line.update_end(release.manifest_hash)
        piece = release.stream[state.next_offset : state.next_offset + frames.UPDATE_PIECE_BYTES]
        if not piece:
            raise LinkError("the module wants more than the release has")
        return line.update_data(state.next_offset, piece)
