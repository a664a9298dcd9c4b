"""Deterministic nonces for ECDSA on P-256 with SHA-256 (RFC 6979, August 2013, section 3.2).

qlen = hlen = 256, so bits2int of a digest is the digest itself. HMAC-SHA-256 by RFC 2104 on hashlib: MicroPython
has no hmac module, and a hash object there is finished by digest().
"""

import hashlib

_BLOCK_BYTES = 64  # of SHA-256


def _hmac(key: bytes, *parts) -> bytes:
    inner = hashlib.sha256(bytes(value ^ 0x36 for value in key) + b"\x36" * (_BLOCK_BYTES - len(key)))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(bytes(value ^ 0x5C for value in key) + b"\x5c" * (_BLOCK_BYTES - len(key)))
    outer.update(inner.digest())
    return outer.digest()


class Nonces:
    """The sequence of nonces k for one key and digest; the first that the signature can use is taken."""

    def __init__(self, secret: int, digest: bytes, order: int) -> None:
        self._order = order
        reduced = int.from_bytes(digest, "big") % order  # bits2octets, section 2.3.4
        seed = secret.to_bytes(32, "big") + reduced.to_bytes(32, "big")
        value = b"\x01" * 32
        key = bytes(32)
        key = _hmac(key, value, b"\x00", seed)
        value = _hmac(key, value)
        key = _hmac(key, value, b"\x01", seed)
        self._value = _hmac(key, value)
        self._key = key

    def next(self) -> int:
        """The next nonce, 1 <= k < order."""
        while True:
            self._value = _hmac(self._key, self._value)
            nonce = int.from_bytes(self._value, "big")
            self._key = _hmac(self._key, self._value, b"\x00")
            self._value = _hmac(self._key, self._value)
            if 0 < nonce < self._order:
                return nonce
