"""What a journal must be, said as plainly as can be: which records are durable, and which of them are released.

A record's bytes follow from its seq and from the life (start of the module) that made it: a seq given twice would show
as another hash. `check` asks the journal for everything it must have and looks at everything else it says it has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

from acqwire import fields, frames

from acq.faults import JournalError
from acq.journal import Journal
from tools.powercuts.flash import Broken, Flash

_KINDS = (fields.KIND_SAMPLES, fields.KIND_SAMPLES, fields.KIND_TIME_SYNC, fields.KIND_EVENT)
_BUFFER = bytearray(4224)


@lru_cache(maxsize=4096)
def hash_of(seq: int, life: int) -> bytes:
    """Content hash of record `seq` as made in this life."""
    return hashlib.sha256(b"%d %d" % (seq, life)).digest()


@lru_cache(maxsize=4096)
def envelope_of(seq: int, life: int, size: int) -> bytes:
    """Its envelope."""
    return (hash_of(seq, life) * (size // 32 + 1))[:size]


def kind_of(seq: int) -> int:
    """Its kind."""
    return _KINDS[seq % len(_KINDS)]


@dataclass(frozen=True, slots=True)
class Model:
    """`lives`: life of record seq at index seq. `pending`: the record whose append has not returned, 0 for none.
    `rots`: bits that have changed by themselves; each may have cost one record. `halves`: records of which a cut left
    header and marker without a whole envelope: never durable, but the chain goes on from their headers."""

    sizes: tuple[int, ...]
    lives: bytes = b"\0"
    released: int = 0
    pending: int = 0
    life: int = 0
    rots: int = 0
    halves: int = 0

    @property
    def head(self) -> int:
        return len(self.lives) - 1

    def size_of(self, seq: int) -> int:
        return self.sizes[seq % len(self.sizes)]

    def taken(self) -> Model:
        """The pending record is durable."""
        return replace(self, lives=self.lives + bytes((self.life,)), pending=0)

    def mounted(self, journal: Journal) -> Model:
        """A new life: the pending record is there or not, as the power left it. Raises Broken on anything else."""
        after = self
        if self.pending and journal.head_seq == self.pending and journal.head_hash == hash_of(self.pending, self.life):
            after = self.taken()
            if journal.torn_count and not journal.read(self.pending, _BUFFER):
                after = replace(after, halves=after.halves + 1)
        after = replace(after, pending=0, life=self.life + 1)
        after.check(journal)
        return after

    def acknowledge_again(self, journal: Journal) -> None:
        """What the gateway does after a restart: a mount has forgotten what was released."""
        if self.released:
            result = journal.release(self.released, hash_of(self.released, self.lives[self.released]))
            is_gone = result == frames.RELEASE_UNKNOWN_SEQ and not 0 < journal.seek(1) <= self.released
            if result != frames.RELEASE_DONE and not is_gone and not self.rots and not self.halves:
                raise Broken(f"acknowledgement of {self.released} answered {result}")

    def check(self, journal: Journal) -> None:
        """Raises Broken: a durable record that is not released is gone, or something was never appended, or the head
        is another one."""
        head = self.head
        if journal.head_seq != head or head and journal.head_hash != hash_of(head, self.lives[head]):
            raise Broken(f"head is {journal.head_seq}, must be {head}")
        if head and journal.head_boot != self.lives[head] + 1:
            raise Broken(f"boot of the head is {journal.head_boot}")
        missing = head - self.released
        asked = 1
        while seq := journal.seek(asked):
            if not asked <= seq <= head:
                raise Broken(f"seq {seq} found, {asked} to {head} asked for")
            if self._is_there(journal, seq) and seq > self.released:
                missing -= 1
            asked = seq + 1
        if missing > self.rots + self.halves:
            raise Broken(f"{missing} durable records lost, released {self.released}, head {head}")

    def _is_there(self, journal: Journal, seq: int) -> bool:
        count = journal.read(seq, _BUFFER)
        if count == 0 and seq <= self.released:
            return False  # released, and its sector reads unstable
        life = self.lives[seq]
        if _BUFFER[:count] != envelope_of(seq, life, self.size_of(seq)) or journal.read_hash != hash_of(seq, life):
            raise Broken(f"record {seq} reads as another one")
        return True


class Work:
    """The module's work on a mounted journal: `step` by step. `model` is always what must hold at this instant."""

    def __init__(self, journal: Journal, model: Model, flash: Flash) -> None:
        self.journal = journal
        self.model = model
        self.flash = flash

    def step(self) -> None:
        """Append one record and do what the gateway and the quiet moments do. A full ring is released first."""
        model = self.model
        seq = model.head + 1
        self.model = replace(model, pending=seq)
        if not self._append(seq):
            self._release(model.head if seq % 2 else max(model.head - 2, model.released))
            if not self._append(seq) and not self._after_all_is_released(seq):
                raise Broken(f"everything is released and there is no room for {seq}")
        self.flash.failing_reads = 0
        self.model = self.model.taken()
        if seq // 14 % 2 == 0 and seq % 4 != 2:  # in the other half of its time the gateway is away
            self._release(max(seq - (0, 3, 1)[seq % 3], self.model.released))
        if seq % 3 == 0:
            self.journal.prepare()

    def _append(self, seq: int) -> bool:
        model = self.model
        kind, size = kind_of(seq), model.size_of(seq)
        try:
            self.journal.append(kind, seq, model.life + 1, hash_of(seq, model.life), envelope_of(seq, model.life, size))
        except JournalError:
            return False
        return True

    def _after_all_is_released(self, seq: int) -> bool:
        self.flash.failing_reads = 0
        self._release(self.model.head)
        return self._append(seq)

    def _release(self, seq: int) -> None:
        model = self.model
        if seq:
            result = self.journal.release(seq, hash_of(seq, model.lives[seq]))
            # What a mount has forgotten may be gone since: the gateway says it once more, and hears that it is unknown
            is_gone = seq <= model.released and not 0 < self.journal.seek(1) <= seq
            if result == frames.RELEASE_DONE:
                self.model = replace(model, released=max(seq, model.released))
            elif result == frames.RELEASE_UNKNOWN_SEQ and is_gone:
                return
            elif not model.rots and not self.flash.failing_reads:
                raise Broken(f"release of {seq} answered {result}")
