"""ports.Signer over an ATECC608: the private key was made inside and never leaves.

The digest goes into TempKey by a pass-through nonce, then the slot signs it, both in one wake (Microchip's data sheets
ATECC608A-TFLXTLS and ATECC608B-TFLXTLS, online editions en-US-2: Nonce - Fixed, Sign - External Message). The chip may
give a high s and may fail; self_check.py sees to both before a signature leaves. Opened by atecc_start.py, which also
asks whether the chip may be used.
"""

from acq import atecc_packet as packet
from acq.self_check import SelfCheck

_PASS_THROUGH = 0x03  # Nonce: 32 bytes into TempKey as they are
_OUTSIDE = 0x80  # Sign: what stands in TempKey was made outside


class ElementSigner:
    """One key slot of one chip; the chip does nothing else between `begin` and the end."""

    def __init__(self, element, slot: int, public_key: bytes) -> None:
        """Raises ValueError where public_key is no point of P-256. Costs as much as two soft signatures."""
        self._element = element
        self._check = SelfCheck(public_key)
        self.public_key = self._check.public_key
        self.kid = self._check.kid
        self.signature = b""
        self._digest = bytes(32)
        self._nonce = packet.Command(packet.NONCE, _PASS_THROUGH, 0, 32)
        self._sign = packet.Command(packet.SIGN, _OUTSIDE, slot)
        self._group = (self._nonce, self._sign)
        self._is_asked = False

    def begin(self, digest: bytes) -> None:
        """Start a signature over a 32-byte digest; an unfinished one is dropped."""
        self.signature = b""
        self._element.drop()
        self._check.drop()
        self._digest = bytes(digest)
        self._nonce.fill(self._digest)
        self._element.begin(self._group)
        self._is_asked = True

    def step(self) -> bool:
        """One exchange with the chip or one slice of the check; True when `signature` is ready. Raises SignerFault."""
        if self._check.is_busy:
            if not self._check.step():
                return False
            self.signature = self._check.signature
            return True
        if not self._is_asked:
            return True
        if self._element.step():
            self._is_asked = False
            answer = self._sign.answer
            r, s = int.from_bytes(answer[1:33], "big"), int.from_bytes(answer[33:65], "big")
            self._check.begin(self._digest, r, s)
        return False

    def wait_us(self) -> int:
        """For how long the chip needs nobody."""
        return self._element.wait_us()
