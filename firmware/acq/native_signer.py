"""ports.Signer over a C module of the interpreter's build, where a build has one.

The C module keeps the private key and offers two functions:

    public_key() -> bytes           65 bytes, SEC1 uncompressed
    sign(digest: bytes) -> bytes    ECDSA over a 32-byte SHA-256 digest, DER; may block for some milliseconds

It has to make the key itself, from a generator that has passed its tests, and to keep it where no Python code can read
it. How it makes its nonces is its affair (RFC 6979 or hedged). What it gives is read strictly (der.py), made low in s
and verified before it leaves (self_check.py).
"""

from acq.der import parse_signature
from acq.faults import SignerFault
from acq.self_check import SelfCheck


class NativeSigner:
    """Signing itself is one slice; the check goes in slices as everywhere."""

    def __init__(self, module) -> None:
        """Raises ValueError where the public key is no point of P-256. Costs as much as two soft signatures."""
        self._module = module
        self._check = SelfCheck(module.public_key())
        self.public_key = self._check.public_key
        self.kid = self._check.kid
        self.signature = b""
        self._digest = b""

    def begin(self, digest: bytes) -> None:
        """Start a signature over a 32-byte digest; an unfinished one is dropped."""
        self.signature = b""
        self._check.drop()
        self._digest = bytes(digest)

    def step(self) -> bool:
        """One slice; True when `signature` is ready. Raises SignerFault."""
        if self._check.is_busy:
            if not self._check.step():
                return False
            self.signature = self._check.signature
            return True
        if not self._digest:
            return True
        digest, self._digest = self._digest, b""
        try:
            r, s = parse_signature(self._module.sign(digest))
        except ValueError:
            raise SignerFault()
        self._check.begin(digest, r, s)
        return False

    def wait_us(self) -> int:
        """It always has something to do."""
        return 0
