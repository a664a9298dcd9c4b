"""Signed chains for tests, made with cbor2 and pyca/cryptography: a third hand beside module and bridge.

Does not imitate the module's timing, journal or health. The key is the published one of RFC 6979 A.2.5.
"""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools.make_vectors import PARAMETERS

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KID = hashlib.sha256(POINT).digest()[:16]
DEVICE = str(PARAMETERS["device"])
PARAMETERS_BYTES = rfc8785.dumps(PARAMETERS)
PARAMETERS_HASH = hashlib.sha256(PARAMETERS_BYTES).digest()
BOOT_BODY: dict[int, Any] = {30: 1, 31: "0.1.0", 32: bytes(32), 33: "micropython", 34: 1, 35: POINT, 36: 0}


def build_structure(payload: bytes) -> tuple[bytes, bytes]:
    """Protected header and Sig_structure."""
    protected = cbor2.dumps({1: -7, 4: KID}, canonical=True)
    return protected, cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)


def seal(payload: bytes, is_high_s: bool = False) -> bytes:
    """The envelope around a payload."""
    protected, structure = build_structure(payload)
    r, s = decode_dss_signature(KEY.sign(structure, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    s = max(s, ORDER - s) if is_high_s else min(s, ORDER - s)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)


def build_payload(
    seq: int, kind: int, prev: bytes, body: dict[int, Any], boot: int = 1, mono_ms: int = 0, device: str = DEVICE
) -> bytes:
    """One payload without UTC."""
    common = {1: 1, 2: kind, 3: device, 4: boot, 5: seq, 6: prev, 7: mono_ms, 9: 0, 12: PARAMETERS_HASH}
    return cbor2.dumps(common | body, canonical=True)


def build_chain(count: int, sample_slots: int = 2) -> list[bytes]:
    """`count` envelopes: boot, parameters, then samples of `sample_slots` slots."""
    envelopes: list[bytes] = []
    prev = bytes(32)
    for seq in range(1, count + 1):
        if seq == 1:
            payload = build_payload(seq, 1, prev, BOOT_BODY)
        elif seq == 2:
            payload = build_payload(seq, 3, prev, {40: PARAMETERS_HASH, 41: 0, 42: 1, 43: PARAMETERS_BYTES})
        else:
            first = (seq - 3) * sample_slots
            blocks = [[bytes(sample_slots), seq.to_bytes(8, "big") * sample_slots], [b"\x01" * sample_slots, b""]]
            body = {20: first, 21: sample_slots, 22: 1000, 23: first * 1000, 24: blocks, 25: 0}
            payload = build_payload(seq, 2, prev, body, mono_ms=seq * 60_000)
        prev = hashlib.sha256(build_structure(payload)[1]).digest()
        envelopes.append(seal(payload))
    return envelopes
