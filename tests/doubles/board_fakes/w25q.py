"""Serial NOR chip, byte by byte: the commands of a Winbond W25Q64JV that a driver of three address bytes needs.

After its data sheet, written apart from the driver: a write needs Write Enable before it and forgets it at its end; a
busy chip hears Read Status only; Page Program wraps inside its page and only clears bits; a write command counts only
if /CS rises behind a whole byte. `cells` holds a few sectors, repeated over the 8 MiB that the id tells.
Not imitated: dual and quad commands, suspend, security registers, wear, supply, clock limits.
"""

from board_fakes.flash_device import SECTOR_BYTES, Cells

_PAGE_US = 400
_SECTOR_US = 45000


class W25q:
    """`is_absent`: MISO floats high. `is_deaf`: Write Enable is not taken. `is_protected`: BP bits. `is_stuck`: busy
    for ever. `busy_until`: us. `ignored`: commands that came while it was busy."""

    def __init__(self, time, sectors: int) -> None:
        self._time = time
        self.jedec = b"\xef\x40\x17"
        self.cells = Cells(SECTOR_BYTES * sectors)
        self.is_absent = self.is_deaf = self.is_protected = self.is_stuck = self.is_asleep = False
        self.busy_until = 0
        self.ignored = 0
        self.counts = [0, 0]
        self._is_enabled = False
        self._is_selected = False
        self._heard = bytearray()
        self._single = bytearray(1)
        self._told = 0

    def select(self, level: int) -> None:
        if level and self._is_selected:
            self._finish()
        self._is_selected = not level
        self._heard = bytearray()
        self._told = 0

    def hear(self, data) -> None:
        if self._is_selected:
            self._heard += data

    def tell(self) -> int:
        """The next byte on MISO."""
        if self.is_absent or not self._is_selected or not self._heard:
            return 0xFF
        place = self._told
        self._told += 1
        command = self._heard[0]
        if command == 0x05:
            return self._status()
        if self._is_busy() or self.is_asleep:
            self.ignored += 1
            return 0xFF
        if command == 0x9F:
            return self.jedec[place % 3]
        if command == 0x03 and len(self._heard) == 4:
            self.cells.read((self._place() + place) % self.cells.size, self._single)
            return self._single[0]
        return 0xFF

    def _finish(self) -> None:
        if not self._heard or self.is_absent:
            return
        command = self._heard[0]
        if command == 0xAB:
            self.is_asleep = False
            return
        if command == 0x05:
            return
        if self._is_busy() or self.is_asleep:
            self.ignored += 1
            return
        if command == 0x06 and len(self._heard) == 1:
            self._is_enabled = not self.is_deaf
        elif command == 0x04:
            self._is_enabled = False
        elif command == 0x02 and self._is_enabled and len(self._heard) > 4 and not self.is_protected:
            self._program()
        elif command == 0x20 and self._is_enabled and len(self._heard) == 4 and not self.is_protected:
            start = self._place() % self.cells.size // SECTOR_BYTES * SECTOR_BYTES
            self.cells.erase(start, SECTOR_BYTES)
            self.counts[1] += 1
            self._become_busy(_SECTOR_US)

    def _program(self) -> None:
        place = self._place() % self.cells.size
        page = place // 256 * 256
        for index, byte in enumerate(self._heard[4:]):
            self._single[0] = byte
            self.cells.program(page + (place + index) % 256, self._single)
        self.counts[0] += 1
        self._become_busy(_PAGE_US)

    def _become_busy(self, time_us: int) -> None:
        self._is_enabled = False
        self.busy_until = self._time.now + time_us

    def _is_busy(self) -> bool:
        return self.is_stuck or self._time.now < self.busy_until

    def _status(self) -> int:
        if self._is_busy():
            return 0x03 | (0x1C if self.is_protected else 0)
        return (0x02 if self._is_enabled else 0) | (0x1C if self.is_protected else 0)

    def _place(self) -> int:
        return self._heard[1] << 16 | self._heard[2] << 8 | self._heard[3]


class FakeSpi:
    """machine.SPI on the chip, a byte each 0.8 us (10 MHz) and the call's own time."""

    def __init__(self, chip) -> None:
        self._chip = chip

    def write(self, data) -> None:
        self._chip._time.now += 5 + len(data)
        self._chip.hear(bytes(data))

    def readinto(self, buf) -> None:
        self._chip._time.now += 5 + len(buf)
        for index in range(len(buf)):
            buf[index] = self._chip.tell()
