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
    154     n     path of notes_start.py: whose starts these are

Base of the boards, which bring the files: `read_part`, `exists`, `replace` (whole), `remove`. A start is counted by
notes_start.py, whose code is dropped behind it.
"""

from acqwire import causes

from acq.dialect import const

_BYTES = const(512)  # more than either file has
HEADER_BYTES = const(144)


class Notes:
    """`safe`: the causes.FAULT_* for which this start answers the link only, 0 where it polls; `fault_count`: how many
    bad starts there have been in a row."""

    safe = fault_count = 0
    told = False  # safe mode is in the chain

    def good(self) -> None:
        """This start has run well. Power fails before the file is replaced: that was no fault either."""
        raw = bytearray(self.read_file("last_faults.bin"))
        raw[HEADER_BYTES] = raw[HEADER_BYTES + 5] = 0
        self.replace("last_faults.bin", raw)

    def faults(self) -> bytes:
        """The last faults, as the link tells them."""
        return self.read_file("last_faults.bin")[:HEADER_BYTES]

    def note_fault(self, code: int, boot: int, seconds: int) -> None:
        """The program ends by itself: keep the code for the next start."""
        self.replace("fault.bin", "{} {} {} {}".format(code, self.parse_fault()[1] + 1, boot, seconds).encode())

    def noted_fault(self):
        """What the chain is to tell: (causes.EVENT_*, causes.FAULT_*, count); (0, 0, 0): nothing. The fault that ended
        the last run and how often since the last event of it, then safe mode and how many bad starts."""
        words = self.parse_fault()
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

    # The board's

    def read_part(self, name, start, count):
        pass

    def exists(self, name):
        pass

    def replace(self, name, content):
        pass

    def remove(self, name):
        pass

    def parse_fault(self):
        """fault.bin; zeros where there is none, and where it is damaged: that must keep no module from its work."""
        words = self.read_file("fault.bin").split()
        try:
            found = [int(word) for word in words if len(word) <= 9]
        except ValueError:
            found = []
        return found if len(found) == 4 and min(found) >= 0 else [0, 0, 0, 0]

    def read_file(self, name: str) -> bytes:
        """A note, whole; b"" where there is none."""
        return self.read_part(name, 0, _BYTES) if self.exists(name) else b""
