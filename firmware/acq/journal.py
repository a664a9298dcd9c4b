"""The journal: a ring of segments on raw flash that keeps sealed envelopes until the gateway has them (SPEC.md section 6).

`mount` takes any image and never raises for its content. `append` returns when the entry has been read back. What lies
in a segment on flash, and how it is programmed and compared, is ring.py's business.
"""


class Journal:
    """One ring. After `mount`: `head_seq`, `head_boot`, `head_hash` (0, 0, b"" for none), `oldest_seq` (oldest that can
    be read, 0 for none), `newest_seq` (= head_seq), `torn_count`, `fault_count` (flash operations that failed).

    A released record can still be read until its segment is erased. RAM: one byte a segment, two chunks of 256 bytes
    (or one program unit each where that is larger).
    """

    def __init__(self, flash) -> None:
        """flash: ports.Flash. Raises JournalError(FAULT_JOURNAL_GEOMETRY) when it cannot hold a journal."""

    def mount(self) -> None:
        """Read the whole ring once: bounded by its size. Forgets releases."""

    def has_room(self, envelope_bytes: int, is_reserved: bool) -> bool:
        """Whether an envelope of this size can be appended. One segment is kept back; only boot, parameters, overflow
        and event records (is_reserved) may use it."""

    def append(self, kind: int, seq: int, boot: int, content_hash: bytes, envelope) -> None:
        """Durable and read back on return. Raises JournalError: FAULT_JOURNAL_FULL (nothing was taken: offer the same
        entry again when the gateway has released), FAULT_JOURNAL_TOO_LARGE; ValueError when seq does not grow."""

    def seek(self, seq: int) -> int:
        """The first seq >= `seq` that can be read; 0: none."""

    def read(self, seq: int, buf) -> int:
        """Copy the envelope of record `seq` to the start of buf; its count of bytes, 0 when it cannot be read.
        Then `read_hash` (32 bytes) is its content hash."""

    def release(self, seq: int, content_hash: bytes) -> int:
        """Everything up to and including seq is on the gateway's disk; frames.RELEASE_*."""

    def prepare(self) -> bool:
        """Erase one free segment ahead, in a quiet moment; False when there was nothing to do. Blocks for the erase."""
