"""Counts a start until it has run well: notes.py says what is kept and when it is safe mode. Called once, before
anything that may fail; nothing keeps a reference to this file, so that its code makes room in the module's heap.
"""

import struct

from acqwire import causes, fields

from acq.dialect import const
from boards.notes import HEADER_BYTES

_FAULT = const(9)  # bytes of one in the ring
_TRIES = const(3)


def begin(notes, reset_cause: int) -> None:
    """notes: notes.Notes of the board; its `safe` and `fault_count` are set.

    Power fails before the file is replaced: the same again, but that a watchdog's reset is forgotten."""
    raw = notes.read_file("last_faults.bin")
    tail = __file__.encode()
    ring, is_waiting, number, first = bytes(HEADER_BYTES), 0, 0, 0
    if len(raw) >= HEADER_BYTES + 10:  # else the first start ever
        ring = raw[:HEADER_BYTES]
        if raw[HEADER_BYTES + 10 :] == tail:
            notes.fault_count = raw[HEADER_BYTES]
            is_waiting = raw[HEADER_BYTES + 5]
        first = struct.unpack(">I", raw[HEADER_BYTES + 1 : HEADER_BYTES + 5])[0]
        number = struct.unpack(">I", raw[HEADER_BYTES + 6 : HEADER_BYTES + 10])[0]
    cause, count, boot, seconds = notes.parse_fault()
    if cause == 0 or (count, boot) == (number, first):  # none, or it was there before the last run
        cause = seconds = 0
        if reset_cause == fields.RESET_WATCHDOG:
            cause = causes.FAULT_WATCHDOG  # nobody could note in which boot, and when
    if cause:
        where = 0 if cause == causes.FAULT_WATCHDOG else boot
        ring = ring[_FAULT:] + struct.pack(">BI", cause, where) + struct.pack(">I", seconds)
        notes.fault_count = min(notes.fault_count + 1, 255) if is_waiting else 0
    elif notes.fault_count >= _TRIES:
        notes.fault_count = _TRIES - 1
    if notes.fault_count >= _TRIES:
        notes.safe = cause
    head = struct.pack(">BI", notes.fault_count, boot) + struct.pack(">BI", 1, count)
    notes.replace("last_faults.bin", ring + head + tail)
