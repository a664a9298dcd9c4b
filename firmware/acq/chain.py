"""Sequence number, previous hash and boot number of the next record (SPEC.md sections 1 and 4).

Restored from the head of the mounted journal, never from RAM of an earlier run: a record counts only when the
journal has read it back. Whoever builds a record asks here; whoever has made it durable says `advance`.
"""

from acqwire import limits

_ZERO_HASH = bytes(limits.HASH_BYTES)  # prev of record 1
_SEQ_MAX = (1 << 64) - 1
_BOOT_MAX = (1 << 32) - 1


class Chain:
    """The link that the next record must carry."""

    def __init__(self, head_seq: int, head_boot: int, head_hash: bytes) -> None:
        """Head of the journal; (0, 0, b"") when it has never held an entry."""
        if head_seq == 0:
            head_boot = 0
            head_hash = _ZERO_HASH
        if len(head_hash) != limits.HASH_BYTES:
            raise ValueError("chain: head hash is not 32 bytes")
        if head_seq >= _SEQ_MAX or head_boot >= _BOOT_MAX:
            raise ValueError("chain: counter exhausted")
        self.seq = head_seq + 1
        self.prev = bytes(head_hash)
        self.boot = head_boot + 1

    def advance(self, seq: int, content_hash: bytes) -> None:
        """Record seq is durable. Refuses any other than the one that is due: two heads for one seq never exist."""
        if seq != self.seq:
            raise ValueError("chain: record is not the one that is due")
        if len(content_hash) != limits.HASH_BYTES:
            raise ValueError("chain: content hash is not 32 bytes")
        self.seq = seq + 1
        self.prev = bytes(content_hash)
