"""What the tests of the secure element share: a chip on a rig's clock, a way to run it, a bus that nobody is on.

The time that an exchange takes on the wire is that of 100 kHz; the interpreter's own time is not imitated.
"""

import hashlib

from atecc608 import Atecc608, N, verify
from rig_lines import RigClock

from acq.atecc import Element
from acq.atecc_start import ElementStart
from acq.faults import SignerFault

__all__ = ("Chip", "EmptyBus", "RigClock", "SignerFault", "digest_of", "fault_of", "is_good", "number_of")

_BYTE_US = 90  # 9 bits


class Wire:
    """ports.ElementBus: hands on to the chip and lets the time of the bytes pass."""

    def __init__(self, chip, clock) -> None:
        self._chip = chip
        self._clock = clock

    def wake(self) -> None:
        self._clock.now += _BYTE_US
        self._chip.wake()

    def write(self, address, buf) -> bool:
        is_taken = self._chip.write(address, buf)
        self._clock.now += _BYTE_US * (1 + len(buf) if is_taken else 1)
        return is_taken

    def read(self, address, buf) -> bool:
        is_given = self._chip.read(address, buf)
        self._clock.now += _BYTE_US * (1 + len(buf) if is_given else 1)
        return is_given


class EmptyBus:
    """ports.ElementBus with nobody on it. `is_up`: writes are acknowledged all the same, and reads are 0xFF."""

    def __init__(self, is_up: bool = False) -> None:
        self.is_up = is_up

    def wake(self) -> None:
        pass

    def write(self, address, buf) -> bool:
        return self.is_up

    def read(self, address, buf) -> bool:
        for at in range(len(buf)):
            buf[at] = 0xFF
        return self.is_up


class Chip:
    """A simulated chip with an Element on it. `late_us`: how much later than asked every wait ends."""

    def __init__(self, clock=None, **what) -> None:
        self.clock = RigClock() if clock is None else clock
        self.chip = Atecc608(self.clock, **what)
        self.element = Element(Wire(self.chip, self.clock), self.clock, self.chip.address)
        self.late_us = 0
        self.waits = 0

    def wait(self, time_us: int) -> None:
        self.waits += 1
        self.clock.now += max(time_us, 10) + self.late_us

    def start(self) -> ElementStart:
        return ElementStart(self.element, self.wait)

    def with_key(self) -> ElementStart:
        """A start on a chip that has made its key in slot 0."""
        start = self.start()
        start.make_key(0)
        return start

    def sign(self, signer, digest) -> bytes:
        """A signature; the clock goes on while the chip works."""
        signer.begin(digest)
        while not signer.step():
            self.wait(signer.wait_us())
        return signer.signature


def digest_of(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


def number_of(signature: bytes):
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def is_good(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """64 bytes, low s, and it verifies by the double's arithmetic, which is not the module's."""
    r, s = number_of(signature)
    point = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    return len(signature) == 64 and s <= N // 2 and verify(point, digest, r, s)


def fault_of(call, *arguments):
    """(code, detail) of the SignerFault that a call raises."""
    try:
        call(*arguments)
    except SignerFault as fault:
        return fault.code, fault.detail
    raise AssertionError("no SignerFault")
