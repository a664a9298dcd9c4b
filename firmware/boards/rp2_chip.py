"""What the RP2040 and RP2350 boards share: journal region, watchdog, tail correction (MicroPython 1.25).

The board's storage is one region of flash; stock MicroPython lays its file system over all of it, and formats what it
cannot mount. Ours has 96 sectors (384 KiB) at its start, mounted by rp2_boot.py, which never formats; the journal
has the rest: 1,024 KiB on a Pico, 2,688 KiB on a Pico 2.

While flash is erased or programmed all interrupts are off: what comes in meanwhile is lost beyond the FIFO of 32 bytes.
So the module erases only in pauses of bus and link (ports.Flash.erase_ms).
"""

import os
import sys

import machine
import rp2

from boards.block_flash import BlockFlash

FILE_SECTORS = 96
_SECTOR_BYTES = 4096
_PROGRAM_BYTES = 256
_ERASE_MS = 800  # two sectors, 400 ms each at most (Winbond W25Q16JV)
_APPEND_MS = 80  # 18 pages, 3 ms each at most, and reading them back
WATCHDOG_MS = 8300  # RP2040 takes 8,388 at most, MicroPython holds the RP2350 to the same
LINK_PIECE_BYTES = 64
# Before 1.24 flush came back while the last character was going out
TAIL_CHARACTERS = 1 if sys.implementation.version[:2] < (1, 24) else 0


def open_journal() -> BlockFlash:
    """The journal's region. Raises ValueError while a file system lies over it."""
    if file_system_bytes() > FILE_SECTORS * _SECTOR_BYTES:
        raise ValueError("the file system covers the journal's region: flash our image (BOARDS.md section 4)")
    device = rp2.Flash(start=FILE_SECTORS * _SECTOR_BYTES)  # type: ignore[call-arg]  # the stubs know no arguments
    return BlockFlash(device, _PROGRAM_BYTES, _ERASE_MS, _APPEND_MS)


def file_system_bytes() -> int:
    """How much of the storage the mounted file system claims."""
    facts = os.statvfs("/")
    return facts[1] * facts[2]


def open_watchdog():
    """Nothing may take longer than a third of it: 2.7 s."""
    return machine.WDT(timeout=WATCHDOG_MS)
