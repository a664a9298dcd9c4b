"""ES256 in pure MicroPython behind ports.Signer: any board, no extra hardware. Not constant-time (SECURITY.md).

RFC 6979 nonce, comb multiplication; self_check.py makes s low and verifies before anything is given out. Every slice
is one step of a comb.
"""

from acq import p256
from acq.rfc6979 import Nonces
from acq.self_check import SelfCheck


class SoftSigner:
    """ports.Signer over a secret of 32 bytes. The secret appears in no text of this object."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError for a secret that is no scalar of P-256. Costs as much as three signatures."""
        self._secret = int.from_bytes(secret, "big")
        if len(secret) != 32 or not 0 < self._secret < p256.N:
            raise ValueError("not a P-256 key")
        comb = p256.Comb(self._secret)
        while not comb.step():
            pass
        x, y = p256.to_affine(comb.point)
        self._check = SelfCheck(b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
        self.public_key = self._check.public_key
        self.kid = self._check.kid
        self.signature = b""
        self._comb = self._nonces = None
        self._digest = b""
        self._nonce = 0

    def begin(self, digest: bytes) -> None:
        """Start a signature over a 32-byte digest; an unfinished one is dropped."""
        self.signature = b""
        self._digest = bytes(digest)
        self._check.drop()
        self._nonces = Nonces(self._secret, self._digest, p256.N)
        self._next_nonce()

    def step(self) -> bool:
        """One slice; True when `signature` is ready. Raises SignerFault."""
        if self._check.is_busy:
            if not self._check.step():
                return False
            self.signature = self._check.signature
            return True
        if self._comb is None:
            return True
        if self._comb.step():
            self._finish()
        return False

    @property
    def is_verifying(self) -> bool:
        """The signature is made and is being verified (where benches set their mark)."""
        return self._check.is_busy

    def wait_us(self) -> int:
        """It always has something to do."""
        return 0

    def sign(self, digest: bytes) -> bytes:
        """The signature in one go."""
        self.begin(digest)
        while not self.step():
            pass
        return self.signature

    def _next_nonce(self) -> None:
        self._nonce = self._nonces.next()
        self._comb = p256.Comb(self._nonce)

    def _finish(self) -> None:
        x, _ = p256.to_affine(self._comb.point)
        r = x % p256.N
        z = int.from_bytes(self._digest, "big")
        s = p256.inverse(self._nonce, p256.N) * (z + r * self._secret) % p256.N
        if r == 0 or s == 0:
            self._next_nonce()  # RFC 6979 section 3.2 h: the next nonce of the sequence
            return
        self._comb = self._nonces = None
        self._nonce = 0
        self._check.begin(self._digest, r, s)
