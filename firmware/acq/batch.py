"""The slots of one samples record while they come in: outcome bytes and register bytes per block, in fixed buffers.

A batch is full when one more slot, all of it values, could pass 4,096 payload bytes or 2,048 bytes of one string
(SPEC.md section 4.3): so its capacity is known before the first slot, and memory stays below the size of a record.
"""

from acqwire import limits

from acq.dialect import const

# Longest form of everything in a samples payload but the blocks' own bytes, as acq.record writes it: map head 1,
# version 2, kind 2, device 35, boot 6, seq 10, prev 35, mono 10, UTC 10, status 2, uncertainty 6, sync seq 10,
# parameters hash 35, first slot 10, count 4, slot ms 6, first slot mono 10, blocks key 2, array head 2, retries 7
_FRAME_BYTES = const(205)
_BLOCK_HEADS_BYTES = const(1 + 3 + 3)  # array of two, two byte string heads


def capacity(blocks, count: int) -> int:
    """How many slots a record of these blocks can hold for certain, at most count; 0: not even one."""
    room = limits.RECORD_MAX_BYTES - _FRAME_BYTES - _BLOCK_HEADS_BYTES * len(blocks)
    width = len(blocks)  # one outcome byte per block and slot
    slots = min(count, limits.SLOTS_PER_RECORD_MAX)
    for block in blocks:
        width += block.width_bytes
        slots = min(slots, limits.STRING_MAX_BYTES // block.width_bytes)
    return max(0, min(slots, room // width))


def pair(plan):
    """Two batches for a plan, the larger part of a module's buffers. Raises ValueError when not one slot of all blocks
    fits a record."""
    count = capacity(plan.blocks, max(1, plan.seal_ms // plan.slot_ms))
    if count == 0:
        raise ValueError("one slot of all blocks is larger than a record")
    return Batch(plan.blocks, count, plan.slot_ms), Batch(plan.blocks, count, plan.slot_ms)


class _BlockBuffer:
    """`buf`: one outcome byte per slot, behind them the register bytes up to `end`."""

    def __init__(self, slots: int, width_bytes: int) -> None:
        self.buf = bytearray(slots + slots * width_bytes)
        self.end = slots


class Batch:
    """What acq.record.build_samples takes. `slot_count` counts whole slots only."""

    def __init__(self, blocks, slots_max: int, slot_ms: int) -> None:
        self.slots_max = slots_max
        self.slot_ms = slot_ms
        self.block_count = len(blocks)
        self.first_slot = 0
        self.slot_count = 0
        self.retries = 0
        self._buffers = [_BlockBuffer(slots_max, block.width_bytes) for block in blocks]

    @property
    def first_slot_mono_ms(self) -> int:
        return self.first_slot * self.slot_ms

    def begin(self, first_slot: int) -> None:
        """Empty it; the next slot is first_slot."""
        self.first_slot = first_slot
        self.slot_count = 0
        self.retries = 0
        for buffer in self._buffers:
            buffer.end = self.slots_max

    def put_value(self, k: int, data, start: int, count: int) -> None:
        """Block k of the current slot is data[start:start + count]."""
        buffer = self._buffers[k]
        buf, end = buffer.buf, buffer.end
        buf[self.slot_count] = 0
        for index in range(start, start + count):
            buf[end] = data[index]
            end += 1
        buffer.end = end

    def put_gap(self, k: int, cause: int) -> None:
        """Block k of the current slot has no value, and why."""
        self._buffers[k].buf[self.slot_count] = cause

    def outcomes(self, k: int):
        """Outcome bytes of block k."""
        return memoryview(self._buffers[k].buf)[: self.slot_count]

    def data(self, k: int):
        """Register bytes of block k, as the answers carried them."""
        buffer = self._buffers[k]
        return memoryview(buffer.buf)[self.slots_max : buffer.end]
