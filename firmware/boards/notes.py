"""Why runs of the program ended, kept over resets: what every board does with two small files that are replaced whole.

A start is bad when a fault or the watchdog ends it before it has run well (acq/app.py: five minutes). A power cut and a
restart that was wanted are no faults: they leave the count as it is. Three bad ones in a row, and the next start is
safe mode. Whatever ends that without a fault (its own restart after an hour, a power-on by hand) is followed by a start
that polls, and one bad one of those is enough for the next safe mode. Another program begins with a clean sheet.

    fault.bin     text: causes.FAULT_*, how often since the last event of it, boot, seconds since that boot
    last_faults.bin, written once at a start and once when it has run well:
    0       144   the last 16 faults as the link tells them (acqwire/life.py), oldest first; zeros where there is none
    144     5     bad starts in a row u8, boot u32 of the newest fault.bin that is in the ring
    149     5     1: this start has not run well yet u8, count u32 of that fault.bin
    154     n     path of this file: whose starts these are

Base of the boards, which bring the files: `read_part`, `exists`, `replace` (whole), `remove`.
"""

import struct

from acqwire import causes, fields

from acq.dialect import const

_BYTES = const(512)  # more than either file has
_HEAD_BYTES = const(144)
_FAULT = const(9)  # bytes of one in the ring
_TRIES = const(3)


class Notes:
    """`safe`: the causes.FAULT_* for which this start answers the link only, 0 where it polls; `fault_count`: how many
    bad starts there have been in a row."""

    safe = fault_count = 0
    told = False  # safe mode is in the chain

    def begin(self, reset_cause: int) -> None:
        """Once, before anything that may fail: count this start until it has run well.

        Power fails before the file is replaced: the same again, but that a watchdog's reset is forgotten."""
        raw = self._read("last_faults.bin")
        tail = __file__.encode()
        ring, is_waiting, number, first = bytes(_HEAD_BYTES), 0, 0, 0
        if len(raw) > _HEAD_BYTES:  # else the first start ever
            ring = raw[:_HEAD_BYTES]
            if raw[_HEAD_BYTES + 10 :] == tail:
                self.fault_count = raw[_HEAD_BYTES]
                is_waiting = raw[_HEAD_BYTES + 5]
            first = struct.unpack(">I", raw[_HEAD_BYTES + 1 : _HEAD_BYTES + 5])[0]
            number = struct.unpack(">I", raw[_HEAD_BYTES + 6 : _HEAD_BYTES + 10])[0]
        cause, count, boot, seconds = self._parse()
        if cause == 0 or (count, boot) == (number, first):  # none, or it was there before the last run
            cause = seconds = 0
            if reset_cause == fields.RESET_WATCHDOG:
                cause = causes.FAULT_WATCHDOG  # nobody could note in which boot, and when
        if cause:
            where = 0 if cause == causes.FAULT_WATCHDOG else boot
            ring = ring[_FAULT:] + struct.pack(">BI", cause, where) + struct.pack(">I", seconds)
            self.fault_count = min(self.fault_count + 1, 255) if is_waiting else 0
        elif self.fault_count >= _TRIES:
            self.fault_count = _TRIES - 1
        if self.fault_count >= _TRIES:
            self.safe = cause
        self.replace(
            "last_faults.bin", ring + struct.pack(">BI", self.fault_count, boot) + struct.pack(">BI", 1, count) + tail
        )

    def good(self) -> None:
        """This start has run well. Power fails before the file is replaced: that was no fault either."""
        raw = bytearray(self._read("last_faults.bin"))
        raw[_HEAD_BYTES] = raw[_HEAD_BYTES + 5] = 0
        self.replace("last_faults.bin", raw)

    def faults(self) -> bytes:
        """The last faults, as the link tells them."""
        return self._read("last_faults.bin")[:_HEAD_BYTES]

    def note_fault(self, code: int, boot: int, seconds: int) -> None:
        """The program ends by itself: keep the code for the next start."""
        self.replace("fault.bin", "{} {} {} {}".format(code, self._parse()[1] + 1, boot, seconds).encode())

    def noted_fault(self):
        """What the chain is to tell: (causes.EVENT_*, causes.FAULT_*, count); (0, 0, 0): nothing. The fault that ended
        the last run and how often since the last event of it, then safe mode and how many bad starts."""
        words = self._parse()
        if words[0]:
            return causes.EVENT_TASK_FAULT, words[0], words[1]
        if self.safe and not self.told:
            return causes.EVENT_SAFE_MODE, self.safe, self.fault_count
        return 0, 0, 0

    def forget_fault(self) -> None:
        """The event record of what `noted_fault` has said is durable."""
        if self.exists("fault.bin"):
            self.remove("fault.bin")
        else:
            self.told = True

    # Of the board

    def read_part(self, name: str, start: int, count: int) -> bytes:
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        raise NotImplementedError

    def replace(self, name: str, content) -> None:
        raise NotImplementedError

    def remove(self, name: str) -> None:
        raise NotImplementedError

    def _parse(self):
        """fault.bin; zeros where there is none, and where it is damaged: that must keep no module from its work."""
        words = self._read("fault.bin").split()
        if len(words) != 4:
            return 0, 0, 0, 0
        for word in words:
            if not word.isdigit() or len(word) > 10:
                return 0, 0, 0, 0
        return [int(word) for word in words]

    def _read(self, name: str) -> bytes:
        return self.read_part(name, 0, _BYTES) if self.exists(name) else b""
