"""What every signer does before a signature leaves: s made low, then verified with the public key, in slices.

So a fault in the arithmetic, in a chip or on the way from it cannot leave the module. The key has a comb table of its
own, 1 KiB made at the start: without it the verification would take five times as long as a soft signature.
"""

import hashlib

from acqwire import limits

from acq import p256
from acq.faults import SignerFault

_TEETH = 4  # of the key's own comb
_COLUMNS = 64
_BLOCKS = 2


class SelfCheck:
    """`public_key` (65 bytes), `kid`; `signature` after the True of `step`, b"" before."""

    def __init__(self, public_key: bytes) -> None:
        """Raises ValueError where public_key is no point of P-256. Costs as much as two signatures."""
        x = int.from_bytes(public_key[1:33], "big")
        y = int.from_bytes(public_key[33:], "big")
        if len(public_key) != limits.PUBLIC_KEY_BYTES or public_key[0] != 4 or not p256.is_on_curve(x, y):
            raise ValueError("not a point of P-256")
        self.public_key = bytes(public_key)
        self.kid = hashlib.sha256(self.public_key).digest()[: limits.KID_BYTES]
        self.signature = b""
        self._table = p256.build_comb_table(x, y, _TEETH, _COLUMNS, _BLOCKS)
        self._verification = None
        self._candidate = b""

    @property
    def is_busy(self) -> bool:
        """A signature waits for its verdict."""
        return self._verification is not None

    def begin(self, digest: bytes, r: int, s: int) -> None:
        """Start on a signature (r, s) over digest. Numbers that cannot be one are found out by `step`."""
        self.signature = b""
        if p256.N // 2 < s < p256.N:
            s = p256.N - s
        self._candidate = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        self._verification = p256.Verification(self.public_key, digest, self._candidate, self._table)

    def drop(self) -> None:
        """Forget a signature that waits."""
        self.signature = b""
        self._verification = None

    def step(self) -> bool:
        """One slice; True when `signature` is good. Raises SignerFault where it is not."""
        if not self._verification.step():
            return False
        is_good = self._verification.is_good
        self._verification = None
        if not is_good:
            raise SignerFault()
        self.signature = self._candidate
        return True
