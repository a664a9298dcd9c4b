"""What the ESP32 and ESP32-S3 boards share: journal partition, entropy, watchdog (MicroPython 1.25 on ESP-IDF 5).

Journal: the data partition `journal` of our partition table (esp32_partitions_4mb.csv); the stock image takes any table
that has its own partitions. It must not carry the flag `encrypted`: erased flash would then read as noise, and no
segment would ever be blank. The program unit is 16 bytes all the same, the least that an encrypted chip could take.
While flash is written the cache is off; MicroPython's UART interrupt lies in RAM since 1.21, so no bytes are lost.
"""

import esp32
import machine

from boards.block_flash import BlockFlash
from boards.iron_entropy import SeededEntropy

_PROGRAM_BYTES = 16
_ERASE_MS = 800  # two sectors, 400 ms each at most (Winbond W25Q32JV and like)
_APPEND_MS = 90  # 18 pages, 3 ms each at most, and reading them back
WATCHDOG_MS = 30000
PIECE_BYTES = 128  # of the uplink at once: uart_write_bytes blocks until its buffer has taken them


def open_journal() -> BlockFlash:
    """The journal's region. Raises ValueError when the chip's partition table has none that will do."""
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")
    if not found:
        raise ValueError("no data partition `journal`: flash the partition table first (BOARDS.md section 3)")
    if found[0].info()[5]:
        raise ValueError("the partition `journal` is encrypted: erased flash would not read as blank; clear its flag")
    return BlockFlash(found[0], _PROGRAM_BYTES, _ERASE_MS, _APPEND_MS)


def open_entropy() -> SeededEntropy:
    """Seeded with the radio on; without `network` in the image keys are refused."""
    try:
        import network
    except ImportError:
        return SeededEntropy(None)
    return SeededEntropy(network.WLAN(network.STA_IF).active)


def open_watchdog():
    """Task watchdog; esp32 allows any time, 30 s is far above the longest slice of a signature."""
    return machine.WDT(timeout=WATCHDOG_MS)
