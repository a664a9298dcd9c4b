"""The emulated board's flash: NOR flash in a file.

The file is in the system's cache after each program: it survives kill -9, not the loss of the host's own power. Not
imitated: erase time, worn or decaying flash, power loss inside a program (tests/doubles/power_cut_flash does that).
"""

from acqwire import causes

from acq import faults
from boards.host_files import open_raw, touch

_SECTOR_BYTES = 4096
_PROGRAM_BYTES = 256


class FileFlash:
    """NOR flash in a file. A file that is absent or short is filled up with erased bytes."""

    sector_bytes = _SECTOR_BYTES
    erase_ms = 0
    append_ms = 0
    program_bytes = _PROGRAM_BYTES

    def __init__(self, path: str, size_bytes: int) -> None:
        if size_bytes <= 0 or size_bytes % _SECTOR_BYTES:
            raise faults.JournalError(causes.FAULT_JOURNAL_GEOMETRY)
        self.sector_count = size_bytes // _SECTOR_BYTES
        self._blank = b"\xff" * _PROGRAM_BYTES
        self._old = bytearray(_PROGRAM_BYTES)
        touch(path)
        self._file = open_raw(path, "r+b")
        count = self._file.seek(0, 2)
        # killed while filling: the next start fills the rest; a part sector is erased bytes as well
        while count < size_bytes:
            count += self._file.write(self._blank[: _PROGRAM_BYTES - count % _PROGRAM_BYTES])

    def read(self, offset: int, buf) -> None:
        self._check(offset, len(buf), 1)
        try:
            self._file.seek(offset)
            count = self._file.readinto(buf)
        except OSError:
            raise faults.JournalError(causes.FAULT_FLASH_IO)
        if count != len(buf):
            raise faults.JournalError(causes.FAULT_FLASH_IO)

    def program(self, offset: int, buf) -> None:
        self._check(offset, len(buf), _PROGRAM_BYTES)
        old = self._old
        for start in range(0, len(buf), _PROGRAM_BYTES):
            self.read(offset + start, old)
            for index in range(_PROGRAM_BYTES):
                old[index] &= buf[start + index]
            # killed before: unit unchanged; after: unit programmed; the units behind it are still as they were
            self._write(offset + start, old)

    def erase(self, sector: int) -> None:
        self._check(sector * _SECTOR_BYTES, _SECTOR_BYTES, _SECTOR_BYTES)
        for offset in range(sector * _SECTOR_BYTES, (sector + 1) * _SECTOR_BYTES, _PROGRAM_BYTES):
            self._write(
                offset, self._blank
            )  # killed in between: the first units are erased and the others as they were

    def _write(self, offset: int, buf) -> None:
        try:
            self._file.seek(offset)
            count = self._file.write(buf)
        except OSError:
            raise faults.JournalError(causes.FAULT_FLASH_IO)
        if count != len(buf):
            raise faults.JournalError(causes.FAULT_FLASH_IO)

    def _check(self, offset: int, count: int, unit: int) -> None:
        if offset < 0 or offset % unit or count % unit or offset + count > self.sector_count * _SECTOR_BYTES:
            raise faults.JournalError(causes.FAULT_FLASH_IO)
