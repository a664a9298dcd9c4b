"""What is done with an ATECC608 once: look at it, open its key, make a key, count an epoch. Waits; for start and
provisioning only.

    start = ElementStart(Element(bus, clock), wait)     # wait(us): the board's own, which feeds its watchdog
    signer = start.open(slot)

Commands: data sheet ATECC608B-TFLXTLS, online edition en-US-2, chapter 5. Everything raises SignerFault; `detail` is an
atecc_zone.REFUSED_* where the chip answers but must not be used.
"""

import hashlib

from acqwire import causes

from acq import atecc_packet as packet
from acq import atecc_zone as zones
from acq.atecc_signer import ElementSigner
from acq.faults import SignerFault

_WHOLE_BLOCK = 0x80  # Read: 32 bytes
_MAKE_KEY = 0x04  # GenKey: new private key; 0: public key of the one there is
_VERIFY_GIVEN_KEY = 0x02  # Verify: the public key comes with the command
_CURVE_P256 = 4
_LOCK_SLOT = 0x02
_COUNTER_MAX = 2097151  # acqwire/counts.py
_SELF_TEST = b"PlumeProof start self-test of the secure element"


class ElementStart:
    """`zone`: the configuration zone as it was read last."""

    def __init__(self, element, wait) -> None:
        self._element = element
        self._wait = wait
        self._random = b""
        self.zone = b""
        self.read_zone()

    def run(self, *commands) -> bytes:
        """Give commands within one wake; the answer's data to the last of them."""
        element = self._element
        element.begin(commands)
        while not element.step():
            self._wait(element.wait_us())
        return commands[-1].data()

    def read_zone(self) -> None:
        """Read the configuration zone."""
        blocks = [packet.Command(packet.READ, _WHOLE_BLOCK, block << 3) for block in range(4)]
        self.run(*blocks)
        self.zone = b"".join(block.data() for block in blocks)

    def revision(self) -> bytes:
        """What Info says, 4 bytes."""
        return self.run(packet.Command(packet.INFO, 0, 0))

    def open(self, slot: int) -> ElementSigner:
        """The signer of a slot, after a look at the zone and a first signature."""
        self._refuse(zones.refusal(self.zone, slot))
        try:
            signer = ElementSigner(self._element, slot, self.public_key(slot))
        except ValueError:  # a good CRC around no point: the chip is broken
            raise SignerFault(causes.FAULT_ELEMENT_STATUS)
        signer.begin(hashlib.sha256(_SELF_TEST).digest())
        while not signer.step():
            self._wait(signer.wait_us())
        return signer

    def public_key(self, slot: int) -> bytes:
        """SEC1 uncompressed, of the slot's private key."""
        return b"\x04" + self.run(packet.Command(packet.GENKEY, 0, slot))

    def has_key(self, slot: int) -> bool:
        """Whether the slot holds a private key."""
        try:
            self.public_key(slot)
        except SignerFault:
            if self._element.status in (packet.STATUS_EXECUTION, packet.STATUS_ECC_FAULT):
                return False
            raise
        return True

    def make_key(self, slot: int, is_replacing: bool = False) -> bytes:
        """Have the chip make a private key; its public key. What was in the slot is gone for ever, so a slot with a key
        is refused unless is_replacing."""
        self._refuse(zones.refusal(self.zone, slot))
        if zones.is_permanent(self.zone, slot):
            self._refuse(zones.REFUSED_PERMANENT)
        if not is_replacing and self.has_key(slot):
            self._refuse(zones.REFUSED_HAS_KEY)
        self.run(packet.Command(packet.GENKEY, _MAKE_KEY, slot))
        return self.public_key(slot)  # not the answer to the making: if that was repeated, the last key counts

    def lock_slot(self, slot: int) -> None:
        """No other key will ever be in this slot. Cannot be undone; power failing within: locked or not, ask again."""
        if not zones.is_permanent(self.zone, slot):
            self.run(packet.Command(packet.LOCK, _LOCK_SLOT | slot << 2, 0))
            self.read_zone()
        if not zones.is_permanent(self.zone, slot):
            raise SignerFault(causes.FAULT_ELEMENT_STATUS)

    def read_counter(self, number: int) -> int:
        """Monotonic counter 0 or 1."""
        return int.from_bytes(self.run(packet.Command(packet.COUNTER, 0, number)), "little")

    def advance_counter(self, number: int) -> int:
        """Count one; the new value. Never less than before, more than one more where power fails or the answer is lost.
        For boots and key epochs: it ends at 2,097,151 (then SignerFault), after four years at one a minute."""
        return int.from_bytes(self.run(packet.Command(packet.COUNTER, 1, number)), "little")

    def count_start(self, number: int) -> int:
        """Count this start; what the boot record is to carry. A counter that has come to its end stays there, and the
        module goes on. Power fails between this and the record: a number is left out, never used twice."""
        try:
            return self.advance_counter(number)
        except SignerFault:
            if self.read_counter(number) < _COUNTER_MAX:
                raise
            return _COUNTER_MAX

    def random(self) -> bytes:
        """32 random bytes. An open chip gives a pattern, a broken one perhaps the same bytes twice: both refused."""
        found = self.run(packet.Command(packet.RANDOM, 0, 0))
        if found == self._random or found[:4] == b"\xff\xff\x00\x00" and found[:4] == found[4:8]:
            raise SignerFault(causes.FAULT_ELEMENT_STATUS)
        self._random = found
        return found

    def verifies(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """What the chip thinks of a signature. The module's own check (self_check.py) does not ask it."""
        nonce = packet.Command(packet.NONCE, 0x03, 0, 32)
        nonce.fill(digest)
        verify = packet.Command(packet.VERIFY, _VERIFY_GIVEN_KEY, _CURVE_P256, 128)
        verify.fill(signature + public_key[1:])
        try:
            self.run(nonce, verify)
        except SignerFault:
            if self._element.status == packet.STATUS_MISCOMPARE:
                return False
            raise
        return True

    def _refuse(self, reason: int) -> None:
        if reason:
            raise SignerFault(causes.FAULT_ELEMENT_REFUSED, reason)
