"""ports.Flash on a block device of MicroPython: esp32.Partition, rp2.Flash and others with the extended interface.

writeblocks with an offset programs without erasing, ioctl 6 erases a block (class vfs.AbstractBlockDev, 1.25). The
device is the journal's alone: it lies outside every file system, and nobody formats it.
"""

from acqwire import causes

from acq.faults import JournalError

_COUNT = 4  # ioctl: number of blocks
_SIZE = 5  # ioctl: bytes in one
_ERASE = 6


class BlockFlash:
    """A region of NOR flash. `erase_ms`, `append_ms`: the chip's data sheet, longest values (ports.Flash)."""

    def __init__(self, device, program_bytes: int, erase_ms: int, append_ms: int) -> None:
        self._device = device
        self.program_bytes = program_bytes
        self.erase_ms = erase_ms
        self.append_ms = append_ms
        self.sector_bytes = device.ioctl(_SIZE, 0)
        self.sector_count = device.ioctl(_COUNT, 0)

    def read(self, offset: int, buf) -> None:
        self._check(offset, len(buf), 1)
        try:
            self._device.readblocks(offset // self.sector_bytes, buf, offset % self.sector_bytes)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)

    def program(self, offset: int, buf) -> None:
        self._check(offset, len(buf), self.program_bytes)
        try:
            # Power fails within: some of the units are programmed, one in part; the journal's marker comes later
            self._device.writeblocks(offset // self.sector_bytes, buf, offset % self.sector_bytes)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)

    def erase(self, sector: int) -> None:
        self._check(sector * self.sector_bytes, self.sector_bytes, self.sector_bytes)
        try:
            # Power fails within: the sector reads as anything; it is erased again before its next use
            failed = self._device.ioctl(_ERASE, sector)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)
        if failed:
            raise JournalError(causes.FAULT_FLASH_IO)

    def _check(self, offset: int, count: int, unit: int) -> None:
        if offset < 0 or offset % unit or count % unit or offset + count > self.sector_count * self.sector_bytes:
            raise JournalError(causes.FAULT_FLASH_IO)
