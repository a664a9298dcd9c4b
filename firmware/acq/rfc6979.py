"""Deterministic nonces for ECDSA on P-256 with SHA-256 (RFC 6979, August 2013, section 3.2).

qlen = hlen = 256, so bits2int of a digest is the digest itself. HMAC-SHA-256 by RFC 2104 on hashlib: MicroPython
has no hmac module, and a hash object there is finished by digest().
"""

import hashlib

_INNER = int.from_bytes(b"\x36" * 32, "big")
_INNER_REST = b"\x36" * 32  # a key of 32 bytes is half a block of SHA-256
_OUTER = int.from_bytes(b"\x5c" * 32, "big")
_OUTER_REST = b"\x5c" * 32


def _hmac(key: bytes, *parts) -> bytes:  # a key of 32 bytes
    number = int.from_bytes(key, "big")
    inner = hashlib.sha256((number ^ _INNER).to_bytes(32, "big") + _INNER_REST)
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256((number ^ _OUTER).to_bytes(32, "big") + _OUTER_REST)
    outer.update(inner.digest())
    return outer.digest()


class Nonces:
    """The sequence of nonces k for one key and digest; the first that the signature can use is taken."""

    def __init__(self, secret: int, digest: bytes, order: int) -> None:
        self._order = order
        data = int.from_bytes(digest, "big") % order  # bits2octets, section 2.3.4
        seed = secret.to_bytes(32, "big") + data.to_bytes(32, "big")
        value = b"\x01" * 32
        key = bytes(32)
        key = _hmac(key, value, b"\x00", seed)
        value = _hmac(key, value)
        self._key = _hmac(key, value, b"\x01", seed)
        self._value = _hmac(self._key, value)
        self._is_first = True

    def next(self) -> int:
        """The next nonce, 1 <= k < order."""
        while True:
            if not self._is_first:
                self._key = _hmac(self._key, self._value, b"\x00")
                self._value = _hmac(self._key, self._value)
            self._is_first = False
            self._value = _hmac(self._key, self._value)
            nonce = int.from_bytes(self._value, "big")
            if 0 < nonce < self._order:
                return nonce
