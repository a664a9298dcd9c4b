"""What a journal must be, in three numbers: released, head, pending. Everything between released and head is there.

Envelopes follow from their seq alone, so nothing is stored. `check` compares a mounted journal with the model after a
power cut: nothing durable and unreleased is lost, nothing is invented, the head is the last durable record or the one
that was being written. Runs on both interpreters.
"""

import hashlib

from acqwire import fields

SIZES = (300, 1900, 436, 440, 2300, 184, 4224, 700, 1, 3000)  # 184, 440: an entry that fills its units exactly
_ENVELOPE = bytearray(4224)
KINDS = (fields.KIND_SAMPLES, fields.KIND_SAMPLES, fields.KIND_TIME_SYNC, fields.KIND_SAMPLES, fields.KIND_EVENT)


def hash_of(seq):
    """Content hash of record `seq`."""
    return hashlib.sha256(b"%d" % seq).digest()


def envelope_of(seq):
    """Envelope of record `seq`, good until the next call: one place for all, the interpreter's heap is small."""
    size = SIZES[seq % len(SIZES)]
    pattern = hash_of(seq)
    for start in range(0, size, len(pattern)):
        _ENVELOPE[start : start + len(pattern)] = pattern
    return memoryview(_ENVELOPE)[:size]


def boot_of(seq):
    """Boot of record `seq`."""
    return 1 + seq // 50


class JournalModel:
    """`pending`: the record whose append has not returned, 0 for none. `lost`: records that a test has damaged."""

    def __init__(self) -> None:
        self.released = 0
        self.head = 0
        self.pending = 0
        self.lost = ()
        self._buf = bytearray(4224)

    def append(self, journal, kind=fields.KIND_SAMPLES) -> None:
        """Append the next record."""
        seq = self.head + 1
        self.pending = seq
        journal.append(kind, seq, boot_of(seq), hash_of(seq), envelope_of(seq))
        self.head = seq
        self.pending = 0

    def release(self, journal, seq) -> None:
        """Release up to and including `seq`, which is there."""
        assert journal.release(seq, hash_of(seq)) == 0, seq
        self.released = max(self.released, seq)

    def acknowledge_again(self, journal) -> None:
        """What the gateway does after a restart: a mount has forgotten what was released."""
        if self.released:
            result = journal.release(self.released, hash_of(self.released))
            assert result == 0 or (result == 1 and journal.seek(1) > self.released), result

    def check_mounted(self, journal) -> None:
        """Right after a mount: the pending record is there or not, as the power left it."""
        if self.pending and journal.head_seq == self.pending:
            self.head = self.pending
        self.pending = 0
        self.check(journal)

    def check(self, journal) -> None:
        """Everything that must be readable is, and says what it said."""
        head = self.head
        assert journal.head_seq == head, (journal.head_seq, head)
        if head:
            assert journal.head_hash == hash_of(head) and journal.head_boot == boot_of(head)
        seq = journal.seek(1)
        assert seq == journal.oldest_seq, (seq, journal.oldest_seq)
        expected = self.released + 1
        while seq:
            assert seq <= head, (seq, head)
            self.check_record(journal, seq)
            if seq >= expected:
                while expected < seq:
                    assert expected in self.lost, ("lost", expected, seq)
                    expected += 1
                expected += 1
            seq = journal.seek(seq + 1)
        while expected <= head:
            assert expected in self.lost, ("lost", expected, head)
            expected += 1

    def check_record(self, journal, seq) -> None:
        """Record `seq` reads back as it was appended."""
        count = journal.read(seq, self._buf)
        assert memoryview(self._buf)[:count] == envelope_of(seq), seq
        assert journal.read_hash == hash_of(seq), seq
