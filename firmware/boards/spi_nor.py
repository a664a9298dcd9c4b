"""ports.Flash on a serial NOR chip of its own: Winbond W25Q16JV to W25Q128JV and chips that obey the same commands.

Commands and times: Winbond W25Q64JV data sheet, revision J (2018), sections 8 and 9.6. Three address bytes, so at most
16 MiB. Polling the busy bit blocks the program, not the interrupts: unlike internal flash this deafens no UART.

Judged here: that a chip answers, how large it is, that nothing in it is write-protected, that each write is enabled
and ends. Whether the bytes are right is the journal's judgement: it reads everything back.
"""

import time

from acqwire import causes

from acq.faults import JournalError

_WRITE_ENABLE = 0x06
_READ_STATUS = 0x05
_READ = 0x03
_PAGE_PROGRAM = 0x02
_SECTOR_ERASE = 0x20
_JEDEC_ID = 0x9F
_RELEASE_POWER_DOWN = 0xAB

_BUSY = 0x01
_WRITE_ENABLED = 0x02
_PROTECTED = 0x1C  # BP2..BP0 of status register 1

_PAGE_BYTES = 256
_CAPACITY_MIN = 0x10  # JEDEC capacity is a power of two: 64 KiB
_CAPACITY_MAX = 0x18  # 16 MiB, the end of three address bytes
_WAKE_US = 30  # tRES1 is 3 us
_PROGRAM_MAX_MS = 10  # tPP 3 ms at most
_ERASE_MAX_MS = 1000  # tSE 400 ms at most
_SEGMENT_SECTORS = 2  # a journal segment is 8 KiB
_RECORD_PAGES = 18  # the longest record with header and marker


class SpiNor:
    """A region of the chip. spi: machine.SPI, mode 0; select: the chip's /CS, a machine.Pin that is high."""

    sector_bytes = 4096
    program_bytes = _PAGE_BYTES
    erase_ms = _SEGMENT_SECTORS * 400
    append_ms = _RECORD_PAGES * 3 + 20  # and reading it back at 10 MHz

    def __init__(self, spi, select, first_sector: int = 0, sector_count: int = 0) -> None:
        """sector_count 0: up to the end of the chip. Raises ValueError when there is no usable chip."""
        self._spi = spi
        self._select = select
        self._command = bytearray(4)
        self._single = bytearray(1)
        self._answer = bytearray(2)
        self._id = bytearray(3)
        self._order(_RELEASE_POWER_DOWN)
        time.sleep_us(_WAKE_US)
        try:
            # The microcontroller was reset, the chip was not: it may be erasing still, and hears nothing else
            self._wait(_ERASE_MAX_MS)
        except JournalError:
            raise ValueError("the flash chip is busy for ever: absent, or MISO is not connected")
        capacity = self._read_id()
        size_sectors = (1 << capacity) // self.sector_bytes
        self._first = first_sector
        self.sector_count = sector_count or size_sectors - first_sector
        if first_sector < 0 or self.sector_count <= 0 or first_sector + self.sector_count > size_sectors:
            raise ValueError("the flash chip has {} sectors, fewer than the journal needs".format(size_sectors))
        if self._status() & _PROTECTED:
            raise ValueError("the flash chip is write-protected (status register 1, BP bits)")

    def read(self, offset: int, buf) -> None:
        self._check(offset, len(buf), 1)
        self._select.value(0)
        try:
            self._spi.write(self._address(_READ, offset))
            self._spi.readinto(buf)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)
        finally:
            self._select.value(1)

    def program(self, offset: int, buf) -> None:
        self._check(offset, len(buf), _PAGE_BYTES)
        view = memoryview(buf)
        for start in range(0, len(buf), _PAGE_BYTES):
            # Power fails within: the pages before are programmed, this one in part; the journal's marker comes later
            self._change(_PAGE_PROGRAM, offset + start, view[start : start + _PAGE_BYTES], _PROGRAM_MAX_MS)

    def erase(self, sector: int) -> None:
        self._check(sector * self.sector_bytes, self.sector_bytes, self.sector_bytes)
        # Power fails within: the sector reads as anything; it is erased again before its next use
        self._change(_SECTOR_ERASE, sector * self.sector_bytes, None, _ERASE_MAX_MS)

    def _change(self, command: int, offset: int, page, limit_ms: int) -> None:
        self._order(_WRITE_ENABLE)
        if not self._status() & _WRITE_ENABLED:  # /WP, protection, or no chip any more: nothing would happen, silently
            raise JournalError(causes.FAULT_FLASH_IO)
        self._select.value(0)
        try:
            self._spi.write(self._address(command, offset))
            if page is not None:
                self._spi.write(page)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)
        finally:
            self._select.value(1)
        self._wait(limit_ms)
        if self._status() & _WRITE_ENABLED:  # the chip ends each write by forgetting it: this one was not carried out
            raise JournalError(causes.FAULT_FLASH_IO)

    def _wait(self, limit_ms: int) -> None:
        started = time.ticks_ms()
        while self._status() & _BUSY:
            if time.ticks_diff(time.ticks_ms(), started) > limit_ms:
                raise JournalError(causes.FAULT_FLASH_IO)

    def _status(self) -> int:
        self._single[0] = _READ_STATUS
        self._ask(self._single, self._answer)
        return self._answer[0]

    def _read_id(self) -> int:
        self._single[0] = _JEDEC_ID
        self._ask(self._single, self._id)
        maker, kind, capacity = self._id[0], self._id[1], self._id[2]
        if maker in (0x00, 0xFF) or not _CAPACITY_MIN <= capacity <= _CAPACITY_MAX:
            raise ValueError("no flash chip that is known: JEDEC id {:02x} {:02x} {:02x}".format(maker, kind, capacity))
        return capacity

    def _order(self, command: int) -> None:
        self._single[0] = command
        self._ask(self._single, None)

    def _ask(self, command, answer) -> None:
        self._select.value(0)
        try:
            self._spi.write(command)
            if answer is not None:
                self._spi.readinto(answer)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)
        finally:
            self._select.value(1)

    def _address(self, command: int, offset: int):
        place = self._first * self.sector_bytes + offset
        buf = self._command
        buf[0] = command
        buf[1] = place >> 16
        buf[2] = place >> 8 & 0xFF
        buf[3] = place & 0xFF
        return buf

    def _check(self, offset: int, count: int, unit: int) -> None:
        if offset < 0 or offset % unit or count % unit or offset + count > self.sector_count * self.sector_bytes:
            raise JournalError(causes.FAULT_FLASH_IO)
