"""NOR flash in memory that fails as flash does: power cuts inside every operation, silent failures, rot, read errors.

Runs on both interpreters. A program only clears bits; a unit programmed twice between erases is the journal's fault and
raises AssertionError. A cut leaves the first bytes done; style UNDEFINED also leaves the rest of that program unit, or
of the erased sector, in between: half programmed, or reading differently each time. It does not imitate wear, time, or
neighbouring sectors that suffer.
"""

from acqwire import causes
from dice import Dice

from acq.ports import Flash, JournalError

PREFIX = 0  # a cut leaves the first bytes done and the others as they were
UNDEFINED = 1  # and the rest of the unit or sector in between

NOTHING = 1  # the operation says it is done and did nothing
FLIPPED = 2  # one bit of it is wrong
ERROR = 3  # half of it is done, then JournalError


class PowerCut(Exception):
    """The power has gone; nothing answers until `power_on`."""


class PowerCutFlash(Flash):
    """`operations`: programs and erases so far. `cut_operation`, `cut_prefix`, `cut_style`: where the power goes.
    `faults`: {operation: NOTHING, FLIPPED or ERROR}. `read_error_sector`: reading there fails. `observer`: called with
    (flash, offset, data or None for an erase) before each operation.

    Kept in blocks of at most 512 bytes, None for a blank one: the interpreter's small heap has no larger places."""

    def __init__(self, sector_count=8, sector_bytes=4096, program_bytes=256, seed=1) -> None:
        self.sector_count = sector_count
        self.sector_bytes = sector_bytes
        self.program_bytes = program_bytes
        self.dice = Dice(seed)
        self.operations = 0
        self.cut_operation = -1
        self.cut_prefix = 0
        self.cut_style = PREFIX
        self.faults = {}
        self.read_error_sector = -1
        self.observer = None
        self._is_off = False
        self._block_bytes = max(min(512, sector_bytes), program_bytes)
        self._blank = b"\xff" * self._block_bytes
        self._blocks = [None] * (sector_count * sector_bytes // self._block_bytes)
        self._weak_from = {}  # sector -> first byte that reads unstable
        self._programmed = bytearray(sector_count * sector_bytes // program_bytes // 8 + 1)  # a bit a unit

    # Ports

    def read(self, offset: int, buf) -> None:
        if self._is_off:
            raise PowerCut()
        done = 0
        while done < len(buf):
            number, at = divmod(offset + done, self._block_bytes)
            size = min(len(buf) - done, self._block_bytes - at)
            sector, in_sector = divmod(offset + done, self.sector_bytes)
            if sector == self.read_error_sector:
                raise JournalError(causes.FAULT_FLASH_IO)
            buf[done : done + size] = memoryview(self._blocks[number] or self._blank)[at : at + size]
            if sector in self._weak_from:
                for index in range(max(self._weak_from[sector] - in_sector, 0), size):
                    buf[done + index] |= self.dice.below(256)
            done += size

    def program(self, offset: int, buf) -> None:
        unit = self.program_bytes
        assert offset % unit == 0 and len(buf) % unit == 0 and len(buf) > 0
        fault = self._begin(offset, buf)
        if fault == NOTHING:
            return
        data = bytearray(buf)
        end = len(data) // 2 if fault == ERROR else len(data)
        if fault == FLIPPED:
            bit = self.dice.below(len(data) * 8)
            data[bit >> 3] ^= 1 << (bit & 7)
        for start in range(0, end, unit):
            number = (offset + start) // unit
            is_programmed = self._programmed[number >> 3] >> (number & 7) & 1
            assert not is_programmed, "unit programmed twice between erases"
            self._clear(offset + start, memoryview(data)[start : min(start + unit, end)])
            self._mark(number, True)
        if fault == ERROR:
            raise JournalError(causes.FAULT_FLASH_IO)

    def erase(self, sector: int) -> None:
        fault = self._begin(sector * self.sector_bytes, None)
        if fault == NOTHING:
            return
        if fault == ERROR:
            self._wipe(sector, self.sector_bytes // 2)
            raise JournalError(causes.FAULT_FLASH_IO)
        self._wipe(sector, self.sector_bytes)
        self._weak_from.pop(sector, None)
        units = self.sector_bytes // self.program_bytes
        for number in range(sector * units, (sector + 1) * units):
            self._mark(number, False)
        if fault == FLIPPED:
            self.rot(sector * self.sector_bytes + self.dice.below(self.sector_bytes), self.dice.below(8))

    # What tests do to it

    def power_on(self) -> None:
        """After a cut; the next cut must be set anew."""
        self._is_off = False
        self.cut_operation = -1

    def rot(self, offset: int, bit: int) -> None:
        """Change one bit."""
        self._block(offset)[offset % self._block_bytes] ^= 1 << bit

    def image(self) -> list:
        """Everything on it, for `load`."""
        return [None if block is None else bytes(block) for block in self._blocks]

    def load(self, blocks) -> None:
        """Make its content that of an `image`; which units may be programmed follows from what is blank."""
        unit = self.program_bytes
        self._weak_from.clear()
        for number, content in enumerate(blocks):
            self._blocks[number] = None if content is None else bytearray(content)
            for start in range(0, self._block_bytes, unit):
                is_blank = content is None or content[start : start + unit] == self._blank[:unit]
                self._mark((number * self._block_bytes + start) // unit, not is_blank)

    def write(self, offset: int, content) -> None:
        """Put bytes there as no program could: an image from elsewhere."""
        for index, byte in enumerate(content):
            self._block(offset + index)[(offset + index) % self._block_bytes] = byte
            self._mark((offset + index) // self.program_bytes, True)

    def tear(self, offset: int, data, prefix: int, style: int) -> None:
        """Do to the content what a cut `prefix` bytes into this program, or erase where data is None, leaves."""
        if data is None:
            sector = offset // self.sector_bytes
            self._wipe(sector, min(prefix, self.sector_bytes))
            if style == UNDEFINED:
                self._weak_from[sector] = prefix
            return
        data = bytearray(data)
        unit = self.program_bytes
        end = prefix = min(prefix, len(data))
        if style == UNDEFINED:
            end = min(-(-(prefix + 1) // unit) * unit, len(data))
            for index in range(prefix, end):
                data[index] |= self.dice.below(256)
        for start in range(0, end, unit):
            self._clear(offset + start, memoryview(data)[start : min(start + unit, end)])
            at = (offset + start) % self._block_bytes
            if self._block(offset + start)[at : at + unit] != self._blank[:unit]:
                self._mark((offset + start) // unit, True)

    def _begin(self, offset: int, data) -> int:
        """Count the operation; its fault."""
        if self._is_off:
            raise PowerCut()
        if self.observer is not None:
            self.observer(self, offset, data)
        number = self.operations
        self.operations += 1
        if number == self.cut_operation:
            self.tear(offset, data, self.cut_prefix, self.cut_style)
            self._is_off = True
            raise PowerCut()
        return self.faults.get(number, 0)

    def _mark(self, unit: int, is_programmed: bool) -> None:
        bit = 1 << (unit & 7)
        if is_programmed:
            self._programmed[unit >> 3] |= bit
        else:
            self._programmed[unit >> 3] &= ~bit & 0xFF

    def _block(self, offset: int):
        number = offset // self._block_bytes
        if self._blocks[number] is None:
            self._blocks[number] = bytearray(self._blank)
        return self._blocks[number]

    def _wipe(self, sector: int, end: int) -> None:
        """The first `end` bytes of a sector become 0xFF."""
        first = sector * self.sector_bytes // self._block_bytes
        for index in range(end // self._block_bytes):
            self._blocks[first + index] = None
        rest = end % self._block_bytes
        if rest:
            self._block(sector * self.sector_bytes + end)[:rest] = self._blank[:rest]

    def _clear(self, offset: int, data) -> None:
        block = self._block(offset)
        at = offset % self._block_bytes
        end = at + len(data)
        old = int.from_bytes(block[at:end], "big")
        block[at:end] = (old & int.from_bytes(bytes(data), "big")).to_bytes(len(data), "big")
