"""Where the running program meets its updates: the link's four questions, the trial's confirmation, the events due.

Small, because it is always there; update.py and what it needs are imported at the first UPDATE_BEGIN.
"""

import gc
import struct

from acqwire import fields, frames, limits, update

from acq.record import Stamp
from acq.update_choice import read_choice, write_choice

_OFFSET_BYTES = 4
_BUSY_MS = 50  # until a piece has found its quiet moment
_PATIENCE_MS = 2000  # then any moment between two analyzers will do
_RESTART_MAX_MS = 120000  # a journal without room does not hold up the restart for longer: it will count the loss
_HANG_MS = 60000  # work that has found no moment for so long: a task does not end what it has begun
_REFUSALS_TOLD = 8  # events of refused updates in a boot; whoever babbles must not fill the journal
_SIZES = ((frames.UPDATE_ASK, 0), (frames.UPDATE_BEGIN, 12), (frames.UPDATE_END, limits.HASH_BYTES))


class UpdateDoor:
    """`due`: arguments of the event that is to be sealed, or None; `told` when it is durable. `wants_restart`."""

    def __init__(self, store, timebase, firmware_hash: bytes, first_seq: int) -> None:
        """store: ports.UpdateStore; first_seq: of this boot's first record. Raises OSError."""
        self._store = store
        self._timebase = timebase
        self._firmware_hash = firmware_hash
        self._first_seq = first_seq
        self._choice = read_choice(store)
        self._updater = None
        self._refusal = None  # event of a refused update
        self._refusals_left = _REFUSALS_TOLD
        self._is_refusal_seen = True
        self._quiet_ms = 0
        self._reason = update.REASON_NONE  # where there is no updater
        self._restart_ms = -1
        self.wants_restart = False

    # The link's side

    def is_question(self, type_: int, body_count: int) -> bool:
        """Whether the body of this question has the right size."""
        if type_ == frames.UPDATE_DATA:
            return _OFFSET_BYTES < body_count <= _OFFSET_BYTES + frames.UPDATE_PIECE_BYTES
        return (type_, body_count) in _SIZES

    def take(self, type_: int, body, body_count: int, now_ms: int) -> int:
        """Carry the question out; milliseconds to wait where that must be later (BUSY)."""
        updater = self._updater
        if type_ == frames.UPDATE_BEGIN:
            self._begin(struct.unpack_from(">III", body), now_ms)
        elif updater is not None and type_ == frames.UPDATE_DATA:
            if updater.is_busy:
                return _BUSY_MS
            offset = struct.unpack_from(">I", body)[0]
            updater.take(offset, body[_OFFSET_BYTES:body_count], now_ms)
        elif updater is not None and type_ == frames.UPDATE_END:
            updater.end(bytes(body[:body_count]), self._firmware_hash)
        return 0

    def answer(self, body) -> int:
        """UPDATE_STATE into body; how many bytes."""
        updater, choice = self._updater, self._choice
        phase, reason, offset = update.PHASE_IDLE, self._reason, 0
        if updater is not None:
            phase, reason, offset = updater.phase, updater.reason, updater.next_offset
        elif reason:
            phase = update.PHASE_REFUSED
        slot, version, is_trial = choice.slot, choice.version, choice.is_trial
        if phase == update.PHASE_SWITCHED:  # chosen for the next start; what runs is still the one before
            slot, version, is_trial = choice.previous_slot, choice.previous_version, False
        struct.pack_into(">BBIBBI", body, 0, phase, reason, offset, slot, is_trial, version)
        return 12

    def _begin(self, sizes, now_ms: int) -> None:
        self._reason = update.REASON_NONE
        self._is_refusal_seen = False
        if self.wants_restart:
            return
        try:
            if self._updater is None:
                gc.collect()  # a compiler wants its room in one piece
                from acq.update import Updater

                self._updater = Updater(self._store, self._choice, self._utc_s)
            self._updater.begin(sizes[0], sizes[1], sizes[2], now_ms)
        except MemoryError:  # the program goes on without an update; another moment may be better
            self._updater = None
            self._reason = update.REASON_MEMORY

    def _utc_s(self):
        stamp = Stamp()
        self._timebase.stamp(stamp)
        return None if stamp.utc_status == fields.UTC_NONE else stamp.utc_ms // 1000

    # The app's side

    @property
    def has_work(self) -> bool:
        return self._updater is not None and self._updater.has_work

    def step(self, is_idle: bool, is_quiet: bool, acknowledged_seq: int) -> None:
        """is_idle: no analyzer is being asked; is_quiet: nor soon. acknowledged_seq: newest that the gateway has.
        Raises OSError when the record of choice cannot be written: the trial then counts as failed."""
        choice, updater = self._choice, self._updater
        if choice.is_trial and not self.wants_restart:
            if acknowledged_seq >= self._first_seq:
                self._confirm()
            elif self._timebase.now_ms() > update.TRIAL_MAX_MS:
                self._restart(self._timebase.now_ms())
        if updater is None:
            return
        now_ms = self._timebase.now_ms()
        if updater.has_work:
            if is_quiet or (is_idle and now_ms - self._quiet_ms > _PATIENCE_MS):
                updater.step()
                self._quiet_ms = now_ms
        else:
            self._quiet_ms = now_ms
        updater.watch(now_ms)
        if updater.phase == update.PHASE_SWITCHED:
            self._restart(now_ms)
        if updater.phase == update.PHASE_REFUSED and not self._is_refusal_seen:
            self._is_refusal_seen = True
            if self._refusals_left and self._refusal is None:
                self._refusals_left -= 1
                new_hash = updater.new_hash or bytes(limits.HASH_BYTES)
                self._refusal = _arguments(
                    update.RESULT_REFUSED, updater.reason, updater.version, self._firmware_hash, new_hash
                )

    def is_alive(self) -> bool:
        """The heartbeat: what is to be done is being done. An update that takes for ever is refused (update.watch), one
        that is switched restarts in time (`finish`)."""
        return not self.has_work or self._timebase.now_ms() - self._quiet_ms < _HANG_MS

    def finish(self, sampler, sealing, link) -> bool:
        """Seal what there is to make room for another program; whether it is to start now: all has had its time."""
        sampler.finish()
        if sampler.is_finished and sealing.is_idle and link.is_quiet:
            return True
        return self._timebase.now_ms() - self._restart_ms > _RESTART_MAX_MS

    def _restart(self, now_ms: int) -> None:
        if not self.wants_restart:
            self.wants_restart = True
            self._restart_ms = now_ms

    def _confirm(self) -> None:
        """The new program has shown that it measures, seals and is heard: it is the one from now on."""
        self._choice.confirm()
        write_choice(self._store, self._choice)  # power fails before: the trial goes on at the next start

    # The sealing's side

    @property
    def due(self):
        choice = self._choice
        if choice.told_result:
            return _arguments(
                choice.told_result, choice.told_reason, choice.told_version, choice.told_old, choice.told_new
            )
        return self._refusal

    def told(self) -> None:
        """The event record is durable. Power fails before: it is told once more."""
        if self._choice.told_result:
            self._choice.told_result = 0
            write_choice(self._store, self._choice)
        else:
            self._refusal = None


def _arguments(result: int, reason: int, version: int, old: bytes, new: bytes):
    """Of causes.EVENT_UPDATE."""
    return (result, reason, version) + struct.unpack(">4q", old) + struct.unpack(">4q", new)
