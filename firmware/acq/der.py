"""ECDSA signatures as DER writes them, read strictly: SEQUENCE of two INTEGERs (RFC 3279, April 2002, section 2.2.3).

X.690 section 10.1: shortest form only. What a signer of P-256 gives is 8 to 72 bytes.
"""

from acq.dialect import const

_SEQUENCE = const(0x30)
_INTEGER = const(0x02)
_MAX_BYTES = const(72)


def parse_signature(der):
    """(r, s). Raises ValueError for anything but the one right encoding of two positive numbers below 2**256."""
    if not 8 <= len(der) <= _MAX_BYTES or der[0] != _SEQUENCE or der[1] != len(der) - 2:
        raise ValueError("signature is not DER")
    r, at = _parse_number(der, 2)
    s, at = _parse_number(der, at)
    if at != len(der):
        raise ValueError("signature is not DER")
    return r, s


def _parse_number(der, at: int):
    if at + 2 > len(der) or der[at] != _INTEGER:
        raise ValueError("signature is not DER")
    count = der[at + 1]
    start, end = at + 2, at + 2 + count
    if not 0 < count <= 33 or end > len(der) or der[start] & 0x80:  # empty, too long, cut off or negative
        raise ValueError("signature is not DER")
    if der[start] == 0 and (count == 1 or not der[start + 1] & 0x80):  # 0, or a zero in front for nothing
        raise ValueError("signature is not DER")
    if count == 33 and der[start]:
        raise ValueError("signature is not DER")
    return int.from_bytes(bytes(der[start:end]), "big"), end
