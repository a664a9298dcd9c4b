"""ES256 in pure MicroPython behind ports.Signer: any board, no extra hardware. Not constant-time (SECURITY.md).

RFC 6979 nonce, comb multiplication, low s; the signature is verified with the public key before it is given out, so
that a fault in the arithmetic cannot leave the module. For that the key has a comb table of its own, 1 KiB made at the
start: without it the verification would take five times as long as the signature. Every slice is one step of a comb.
"""

import hashlib

from acqwire import limits

from acq import p256
from acq.rfc6979 import Nonces

_TEETH = 4  # of the key's own comb
_COLUMNS = 64
_BLOCKS = 2


class SignerFault(Exception):
    """The signature made does not verify: nothing was given out (causes.FAULT_SIGNER)."""


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
        self.public_key = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        self._table = p256.build_comb_table(x, y, _TEETH, _COLUMNS, _BLOCKS)
        self.kid = hashlib.sha256(self.public_key).digest()[: limits.KID_BYTES]
        self.signature = b""
        self._comb = self._verification = self._nonces = None
        self._digest = b""
        self._nonce = 0

    def begin(self, digest: bytes) -> None:
        """Start a signature over a 32-byte digest; an unfinished one is dropped."""
        self.signature = b""
        self._digest = bytes(digest)
        self._nonces = Nonces(self._secret, self._digest, p256.N)
        self._verification = None
        self._next_nonce()

    def step(self) -> bool:
        """One slice; True when `signature` is ready. Raises SignerFault."""
        if self._verification is not None:
            if not self._verification.step():
                return False
            is_good = self._verification.is_good
            candidate = self._candidate
            self._verification = self._nonces = self._comb = self._candidate = None
            self._nonce = 0
            if not is_good:
                raise SignerFault()
            self.signature = candidate
            return True
        if self._comb is None:
            return True
        if self._comb.step():
            self._finish()
        return False

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
        if s > p256.N // 2:
            s = p256.N - s
        self._candidate = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        self._verification = p256.Verification(self.public_key, self._digest, self._candidate, self._table)
