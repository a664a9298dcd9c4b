"""Questions to a module and the meaning of its answers, without I/O (SPEC.md section 2.2).

A session numbers its questions, matches answers to the open one and turns bodies into typed answers. Frames that do
not belong to the open question, or whose body has the wrong size, are counted and dropped: the line may be noisy,
late or shared. Bytes are moved by line.py; frames are made and read by evidence.framing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST, frames, life, limits

from plumeproof.errors import LinkVersionError
from plumeproof.model import Frame


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the module is and what its journal holds (`oldest_seq` and `newest_seq` 0: nothing)."""

    wire_version: int
    boot: int
    oldest_seq: int
    newest_seq: int
    newest_hash: bytes
    kid: bytes
    device: str


@dataclass(frozen=True, slots=True)
class RecordFrame:
    """One record as the journal gave it; nothing of it is verified."""

    seq: int
    content_hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The answer to FETCH is complete."""

    oldest_seq: int
    newest_seq: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that the journal can no longer read."""

    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Released:
    """Answer to an acknowledgement; `result` is one of frames.RELEASE_*."""

    result: int
    oldest_seq: int
    newest_seq: int


@dataclass(frozen=True, slots=True)
class TimeNonce:
    """The module's number for one time exchange."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class TimeTaken:
    """What the module decided about the time; `decision` is fields.SYNC_*, 0 for an unknown nonce."""

    decision: int
    round_trip_ms: int


@dataclass(frozen=True, slots=True)
class UpdateState:
    """Where an update stands (`phase`: update.PHASE_*, `reason`: update.REASON_*) and which program runs: `slot`
    (update.FACTORY, SLOT_A, SLOT_B), whether on trial, and its `version` (0 for the factory's)."""

    phase: int
    reason: int
    next_offset: int
    slot: int
    is_trial: bool
    version: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a run of the module's program ended. `boot` and `uptime_s` are 0 where nobody could note them."""

    code: int
    boot: int
    uptime_s: int


@dataclass(frozen=True, slots=True)
class Faults:
    """The last faults that the module has kept, oldest first."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Busy:
    """The question was not carried out; ask again after `wait_ms`."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The module does not answer this question; `reason` is one of frames.REFUSE_*."""

    reason: int
    oldest: int
    newest: int


Answer = (
    Welcome | RecordFrame | End | Missing | Released | TimeNonce | TimeTaken | UpdateState | Faults | Busy | Refused
)

_RECORD_HEAD = struct.Struct(">Q32s")
_WELCOME_HEAD = struct.Struct(f">BIQQ32s{limits.KID_BYTES}s")
_PAIR = struct.Struct(">QQ")
SEQ_MAX = 2**63 - 1  # as records have it (evidence.record); at one a millisecond 292 million years
_RELEASED = struct.Struct(">BQQ")
_TAKEN = struct.Struct(">BI")
_UPDATE_STATE = struct.Struct(">BBIBBI")
_FAULT = struct.Struct(life.FAULT_FORMAT)
_BUSY = struct.Struct(">H")
_REFUSED = struct.Struct(">BBB")

# Which answers a question may get; the last column closes it.
_ANSWERS = {
    frames.HELLO: ({frames.WELCOME}, frames.WELCOME),
    frames.FETCH: ({frames.RECORD, frames.MISSING, frames.END}, frames.END),
    frames.ACKNOWLEDGE: ({frames.RELEASED}, frames.RELEASED),
    frames.TIME_ASK: ({frames.TIME_NONCE}, frames.TIME_NONCE),
    frames.TIME_SET: ({frames.TIME_TAKEN}, frames.TIME_TAKEN),
    frames.UPDATE_ASK: ({frames.UPDATE_STATE}, frames.UPDATE_STATE),
    frames.UPDATE_BEGIN: ({frames.UPDATE_STATE}, frames.UPDATE_STATE),
    frames.UPDATE_DATA: ({frames.UPDATE_STATE}, frames.UPDATE_STATE),
    frames.UPDATE_END: ({frames.UPDATE_STATE}, frames.UPDATE_STATE),
    frames.FAULTS_ASK: ({frames.FAULTS}, frames.FAULTS),
}
_ALWAYS = {frames.BUSY, frames.REFUSED}


class Session:
    """One open question at a time with the module at `address`."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.foreign_count = 0  # frames that answered nothing that was asked
        self.malformed_count = 0  # answers whose body has the wrong size
        self._number = 0
        self._question = 0

    def ask(self, question: int, body: bytes = b"") -> Frame:
        """Open a question; an older open one is given up."""
        self._number = (self._number + 1) % 256
        self._question = question
        return Frame(type=question, address=self.address, number=self._number, body=body)

    def hello(self) -> Frame:
        """Who are you, and what do you hold?"""
        return self.ask(frames.HELLO, bytes((WIRE_VERSION_OLDEST, WIRE_VERSION)))

    def fetch(self, from_seq: int, window: int) -> Frame:
        """Records from `from_seq` on, at most `window`."""
        return self.ask(frames.FETCH, struct.pack(">QB", from_seq, window))

    def acknowledge(self, seq: int, content_hash: bytes) -> Frame:
        """Everything up to `seq` is on our disk. Only after a synced commit."""
        return self.ask(frames.ACKNOWLEDGE, _RECORD_HEAD.pack(seq, content_hash))

    def time_ask(self) -> Frame:
        """A nonce, please."""
        return self.ask(frames.TIME_ASK)

    def time_set(self, nonce: bytes, utc_ms: int, uncertainty_ms: int) -> Frame:
        """Our UTC, read between the nonce and this question."""
        return self.ask(frames.TIME_SET, nonce + struct.pack(">QI", utc_ms, uncertainty_ms))

    def update_ask(self) -> Frame:
        """Which program runs, and how far is an update?"""
        return self.ask(frames.UPDATE_ASK)

    def update_begin(self, roots_bytes: int, manifest_bytes: int, total_bytes: int) -> Frame:
        """An update of these sizes is to come; whatever had begun is dropped."""
        return self.ask(frames.UPDATE_BEGIN, struct.pack(">III", roots_bytes, manifest_bytes, total_bytes))

    def update_data(self, offset: int, piece: bytes) -> Frame:
        """A piece of it; one that the module has already is answered and not taken."""
        return self.ask(frames.UPDATE_DATA, struct.pack(">I", offset) + piece)

    def update_end(self, manifest_hash: bytes) -> Frame:
        """Switch to the program of this manifest."""
        return self.ask(frames.UPDATE_END, manifest_hash)

    def faults_ask(self) -> Frame:
        """Why did your last runs end?"""
        return self.ask(frames.FAULTS_ASK)

    def accept(self, frame: Frame) -> tuple[Answer, bool] | None:
        """The answer in `frame` and whether it closes the question; None for what was not asked for.

        Raises LinkVersionError when the module refuses our wire version.
        """
        allowed, closing = _ANSWERS.get(self._question, (set(), 0))
        if (
            frame.address != self.address
            or frame.number != self._number
            or (frame.type not in allowed and frame.type not in _ALWAYS)
        ):
            self.foreign_count += 1
            return None
        answer = _parse(frame)
        if answer is None:
            self.malformed_count += 1
            return None
        if isinstance(answer, Refused) and answer.reason == frames.REFUSE_VERSION:
            raise LinkVersionError(
                f"module at address {self.address} speaks wire versions {answer.oldest} to {answer.newest},"
                f" this bridge {WIRE_VERSION_OLDEST} to {WIRE_VERSION}: update the older of the two"
            )
        is_closed = frame.type == closing or frame.type in _ALWAYS
        if is_closed:
            self._question = 0
        return answer, is_closed


def _parse(frame: Frame) -> Answer | None:
    """Body to answer; None when the size, a seq or a text is wrong."""
    body = frame.body
    match frame.type:
        case frames.WELCOME:
            if not _WELCOME_HEAD.size < len(body) <= _WELCOME_HEAD.size + limits.DEVICE_MAX_BYTES:
                return None
            device = body[_WELCOME_HEAD.size :].decode("ascii", "replace")
            if any(letter not in limits.DEVICE_CHARACTERS for letter in device):
                return None
            version, boot, oldest, newest, newest_hash, kid = _WELCOME_HEAD.unpack_from(body)
            return Welcome(version, boot, oldest, newest, newest_hash, kid, device)
        case frames.RECORD:
            if not _RECORD_HEAD.size < len(body) <= _RECORD_HEAD.size + limits.ENVELOPE_MAX_BYTES:
                return None
            seq, content_hash = _RECORD_HEAD.unpack_from(body)
            if not 1 <= seq <= SEQ_MAX:
                return None
            return RecordFrame(seq, content_hash, body[_RECORD_HEAD.size :])
        case frames.END:
            return End(*_PAIR.unpack(body)) if len(body) == _PAIR.size else None
        case frames.MISSING:
            if len(body) != _PAIR.size:
                return None
            first, last = _PAIR.unpack(body)
            return Missing(first, last) if 1 <= first <= last <= SEQ_MAX else None
        case frames.RELEASED:
            return Released(*_RELEASED.unpack(body)) if len(body) == _RELEASED.size else None
        case frames.TIME_NONCE:
            return TimeNonce(body) if len(body) == frames.NONCE_BYTES else None
        case frames.TIME_TAKEN:
            return TimeTaken(*_TAKEN.unpack(body)) if len(body) == _TAKEN.size else None
        case frames.UPDATE_STATE:
            if len(body) != _UPDATE_STATE.size:
                return None
            phase, reason, offset, slot, is_trial, version = _UPDATE_STATE.unpack(body)
            return UpdateState(phase, reason, offset, slot, bool(is_trial), version)
        case frames.FAULTS:
            if len(body) % _FAULT.size or len(body) > life.FAULTS_MAX * _FAULT.size:
                return None
            return Faults(tuple(Fault(*words) for words in _FAULT.iter_unpack(body) if words[0]))
        case frames.BUSY:
            return Busy(*_BUSY.unpack(body)) if len(body) == _BUSY.size else None
        case frames.REFUSED:
            return Refused(*_REFUSED.unpack(body)) if len(body) == _REFUSED.size else None
    return None
