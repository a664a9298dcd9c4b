"""COSE_Sign1 around a Signer (RFC 9052, August 2022, sections 4.2 and 4.4; SPEC.md section 3).

One fixed buffer holds the envelope: the payload is written straight to its place in it (`payload`), the heads go
directly in front of it, the signature behind it, so nothing is copied. The Sig_structure is hashed piece by piece
and never exists as a whole. Signing goes in slices: `begin`, then `step` until it says True.
The payload is record.py's business, the curve the Signer's.
"""

import hashlib

from acqwire import labels, limits

_TAG = bytes((0xC0 | labels.TAG_COSE_SIGN1, 0x84))  # tag 18 (below 24: one byte), array of 4
_SIGNATURE_HEAD = bytes((0x58, limits.SIGNATURE_BYTES))  # byte string, length in one byte
_PROTECTED_BYTES = 5 + limits.KID_BYTES  # below 24: one-byte head
_HEAD_MAX_BYTES = 2 + 1 + _PROTECTED_BYTES + 1 + 3  # all that stands before the payload, longest payload head


class Sealer:
    """One envelope at a time; `envelope()` and `content_hash` are good from the True of `step` to the next `begin`.
    `signer` and `protected`, which holds its kid, change together and between two envelopes only (key_change.py)."""

    def __init__(self, signer) -> None:
        self._buf = bytearray(_HEAD_MAX_BYTES + limits.RECORD_MAX_BYTES + 2 + limits.SIGNATURE_BYTES)
        self._view = memoryview(self._buf)
        self.payload = self._view[_HEAD_MAX_BYTES : _HEAD_MAX_BYTES + limits.RECORD_MAX_BYTES]
        self.signer = signer
        self.change = None  # key_change.KeyChange, at a start that was asked for one
        self.protected = build_protected(signer.kid)
        self._start = 0
        self._end = 0
        self._is_busy = False
        self.content_hash = b""

    def begin(self, count: int) -> None:
        """Start to seal payload[:count]; the payload must not change until `step` has said True."""
        if self._is_busy or not 0 < count <= limits.RECORD_MAX_BYTES:
            raise ValueError("seal: busy, or payload of 0 or more than 4096 bytes")
        head = build_bytes_head(count)
        digest = hashlib.sha256(b"\x84\x6a" + labels.SIGNATURE_CONTEXT.encode())  # array of 4, text of 10
        digest.update(bytes((0x40 | _PROTECTED_BYTES,)))
        digest.update(self.protected)
        digest.update(b"\x40")  # external data: empty byte string
        digest.update(head)
        digest.update(self.payload[:count])
        self.content_hash = digest.digest()
        front = _TAG + bytes((0x40 | _PROTECTED_BYTES,)) + self.protected + b"\xa0" + head
        self._start = _HEAD_MAX_BYTES - len(front)
        self._view[self._start : _HEAD_MAX_BYTES] = front
        self._end = _HEAD_MAX_BYTES + count
        # RFC 9052 signs SHA-256(Sig_structure); SPEC.md section 1 names the same value the content hash
        self.signer.begin(self.content_hash)
        self._is_busy = True

    def step(self) -> bool:
        """One slice of the signature; True when the envelope is whole."""
        if not self._is_busy:
            raise ValueError("seal: nothing begun")
        if not self.signer.step():
            return False
        end = self._end
        self._view[end : end + 2] = _SIGNATURE_HEAD
        self._view[end + 2 : end + 2 + limits.SIGNATURE_BYTES] = self.signer.signature
        self._end = end + 2 + limits.SIGNATURE_BYTES
        self._is_busy = False
        return True

    def envelope(self) -> memoryview:
        """The envelope, inside this object's buffer."""
        return self._view[self._start : self._end]


def build_protected(kid: bytes) -> bytes:
    """The protected bucket {1: -7, 4: kid}."""
    if len(kid) != limits.KID_BYTES:
        raise ValueError("seal: kid is not 16 bytes")
    return (
        bytes((0xA2, labels.HEADER_ALG, 0x20 | (-1 - labels.ALG_ES256), labels.HEADER_KID, 0x40 | limits.KID_BYTES))
        + kid
    )


def build_bytes_head(count: int) -> bytes:
    """Head of a byte string, shortest form (RFC 8949 section 4.2.1)."""
    if count < 24:
        return bytes((0x40 | count,))
    if count < 256:
        return bytes((0x58, count))
    return bytes((0x59, count >> 8, count & 0xFF))
