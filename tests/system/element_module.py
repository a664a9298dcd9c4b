"""Starts an emulated module whose signer is a secure element: `micropython element_module.py CHECKOUT DIRECTORY`.

Program, driver and board are the real ones; the chip is the double (tests/doubles/atecc608.py), which shares the
interpreter and its heap with them and lives in real time. Its key dies with the process.
"""

import sys
import time

ROOT = sys.argv[1]
sys.path[:0] = [ROOT + "/firmware", ROOT + "/tests/doubles"]


class RealTime:
    """The double's clock."""

    @property
    def now(self) -> int:
        return time.time_ns() // 1000


def open_signer(start):
    """In place of HostStart.open_signer: what a board with a chip does."""
    import atecc608

    from acq.atecc import Element
    from acq.atecc_start import ElementStart
    from boards.host_clock import HostClock

    chip = atecc608.Atecc608(RealTime())
    element = ElementStart(Element(chip, HostClock()), lambda time_us: time.sleep(time_us / 1000000))
    if sys.argv[3:] == ["open"]:
        chip.zone[87] = 0x55
        element.read_zone()
    else:
        element.make_key(0)
    signer = element.open(0)
    start.element_counter = element.count_start(1)
    return signer


def run():
    """The program's exit status."""
    import main

    from boards.host_start import HostStart

    HostStart.open_signer = open_signer
    return main.main(["main.py", sys.argv[2]])


sys.exit(run())
