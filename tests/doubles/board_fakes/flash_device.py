"""A block device with the extended interface (esp32.Partition, rp2.Flash): NOR flash, a program only clears bits.

`align`: rp2 programs whole pages at page offsets only. Not imitated: encryption, wear, power cuts (power_cut_flash).
"""

SECTOR_BYTES = 4096
_ERASE_US = 45000  # typical, Winbond W25Q
_PAGE_US = 400


class Cells:
    """NOR cells in pieces of 1 KiB: the interpreter's small heap soon has no larger places."""

    PIECE_BYTES = 1024

    def __init__(self, size: int) -> None:
        self.size = size
        self._pieces = [bytearray(b"\xff" * self.PIECE_BYTES) for _ in range(size // self.PIECE_BYTES)]

    def read(self, start: int, buf) -> None:
        for index in range(len(buf)):
            buf[index] = self._pieces[(start + index) // self.PIECE_BYTES][(start + index) % self.PIECE_BYTES]

    def program(self, start: int, buf) -> None:
        for index in range(len(buf)):
            self._pieces[(start + index) // self.PIECE_BYTES][(start + index) % self.PIECE_BYTES] &= buf[index]

    def erase(self, start: int, count: int) -> None:
        for number in range(start // self.PIECE_BYTES, (start + count) // self.PIECE_BYTES):
            self._pieces[number] = bytearray(b"\xff" * self.PIECE_BYTES)


class FakeFlashDevice:
    """`cells`: its bytes; `counts`: [programs, erases]; `fails`: every call raises OSError."""

    def __init__(self, time, sectors: int, align: int) -> None:
        self._time = time
        self._align = align
        self.cells = Cells(SECTOR_BYTES * sectors)
        self.counts = [0, 0]
        self.fails = False

    def readblocks(self, block: int, buf, offset: int = 0) -> None:
        if self.fails:
            raise OSError(5)
        self.cells.read(block * SECTOR_BYTES + offset, buf)

    def writeblocks(self, block: int, buf, offset=None) -> None:
        if self.fails:
            raise OSError(5)
        assert offset is not None, "a write without offset erases: never wanted here"
        start = block * SECTOR_BYTES + offset
        assert start % self._align == 0 and len(buf) % self._align == 0, "program not aligned"
        self.cells.program(start, buf)
        self.counts[0] += 1
        self._time.now += _PAGE_US * (len(buf) // 256 + 1)

    def ioctl(self, operation: int, argument: int):
        if self.fails and operation == 6:
            return -5
        if operation == 4:
            return self.cells.size // SECTOR_BYTES
        if operation == 5:
            return SECTOR_BYTES
        if operation == 6:
            self.cells.erase(argument * SECTOR_BYTES, SECTOR_BYTES)
            self.counts[1] += 1
            self._time.now += _ERASE_US
            return 0
        return None
