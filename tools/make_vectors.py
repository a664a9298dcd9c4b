"""Makes the golden bytes of tests/vectors/ from SPEC.md by independent libraries, never by our own encoders.

cbor2 (canonical) encodes, pyca/cryptography signs (RFC 6979 nonces, low s), rfc8785 writes the parameter set, binascii
gives CRC-32; COBS is written out here once more, by the byte-at-a-time definition. The key is the published test key
of RFC 6979 A.2.5 and must never be enrolled. Run: python3 tools/make_vectors.py [--check]
"""

from __future__ import annotations

import argparse
import binascii
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cbor2
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "vectors"
PRIVATE_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721  # RFC 6979 A.2.5, published
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DEVICE = "vector-module"
UTC_MS = 1_796_083_200_000  # 2026-12-01T00:00Z

KEY = ec.derive_private_key(PRIVATE_KEY, ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KID = hashlib.sha256(POINT).digest()[:16]
NEXT_PRIVATE_KEY = 2  # of the key change; everybody has it
NEXT_KEY = ec.derive_private_key(NEXT_PRIVATE_KEY, ec.SECP256R1())
NEXT_POINT = NEXT_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

PARAMETERS: dict[str, Any] = {
    "format": 1,
    "revision": 3,
    "device": DEVICE,
    "slot_ms": 1000,
    "seal_ms": 60000,
    "bus": {"baud": 19200, "parity": "E", "stop_bits": 1},
    "analyzers": [
        {"id": "gas", "profile": "generic-gas", "profile_version": "1", "unit": 1, "timeout_ms": 200, "retries": 1},
        {"id": "flow", "profile": "generic-flow", "profile_version": "1", "unit": 2, "timeout_ms": 200, "retries": 0},
    ],
    "blocks": [
        {"analyzer": 0, "function": 3, "address": 100, "quantity": 4},
        {"analyzer": 1, "function": 2, "address": 0, "quantity": 9},
    ],
    "channels": [
        {
            "id": "so2", "quantity": "SO2", "block": 0, "register": 0, "type": "float32", "order": "CDAB",
            "scale": "1", "offset": "0", "unit": "mg/m3", "min": "0", "max": "2000", "status": 0,
        },
        {
            "id": "dust", "quantity": "dust", "block": 0, "register": 2, "type": "int16", "order": "AB",
            "scale": "0.1", "offset": "-5", "unit": "mg/m3", "min": "-5", "max": "500",
        },
    ],
    "statuses": [{"id": "gas-status", "block": 1, "bits": [{"bit": 8, "is": 1, "code": "F"}]}],
}  # fmt: skip


def sign(payload: bytes) -> dict[str, str]:
    """One envelope with everything that was hashed and signed on the way."""
    protected = cbor2.dumps({1: -7, 4: KID}, canonical=True)
    structure = cbor2.dumps(["Signature1", protected, b"", payload], canonical=True)
    der = KEY.sign(structure, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    signature = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
    envelope = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)
    return {
        "payload": payload.hex(),
        "sig_structure": structure.hex(),
        "content_hash": hashlib.sha256(structure).hexdigest(),
        "envelope": envelope.hex(),
    }


def prove_next() -> bytes:
    """r || s of the next key over the statement of SPEC.md section 10."""
    statement = cbor2.dumps(["PlumeProof key change", 1, DEVICE, KID, NEXT_POINT], canonical=True)
    r, s = decode_dss_signature(NEXT_KEY.sign(statement, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def build_records() -> list[dict[str, Any]]:
    """One chain with every kind, the limits, two boots."""
    parameters = rfc8785.dumps(PARAMETERS)
    parameters_hash = hashlib.sha256(parameters).digest()
    utc = {8: UTC_MS + 61_000, 9: 1, 10: 12, 11: 3}
    boot = {30: 1, 31: "0.1.0", 32: bytes(range(32)), 33: "micropython 1.25.0 linux", 34: 1, 35: POINT, 36: 0}
    sync = {50: UTC_MS, 51: 5, 52: bytes(range(8)), 53: 14, 55: 1}
    floats = bytes.fromhex("0000 4248 0123 0000") + bytes.fromhex("0000 7fc0 8000 ffff")  # 50.0 and a NaN, CDAB
    full = {20: 2, 21: 250, 22: 1000, 23: 3000, 24: [[bytes(250), bytes(range(8)) * 250], [b"\x01" * 250, b""]], 25: 0}
    parted = {40: parameters_hash, 41: 0, 42: 1, 43: parameters}
    bodies: list[tuple[str, int, int, int, dict[int, Any], dict[int, Any]]] = [
        ("boot", 1, 1, 10, {9: 0}, boot),
        ("parameters", 3, 1, 20, {9: 0}, parted),
        ("time_sync_first", 4, 1, 500, {8: UTC_MS, 9: 1, 10: 12, 11: 3}, sync),
        ("samples", 2, 1, 61_000, utc, {
            20: 0, 21: 2, 22: 1000, 23: 1000,
            24: [[b"\x00\x00", floats], [b"\x00\x42", b"\x00\x01"]], 25: 1,
        }),
        ("samples_full", 2, 1, 300_000, {8: UTC_MS + 300_000, 9: 3, 10: 400, 11: 3}, full),
        ("overflow", 6, 1, 900_000, utc | {8: UTC_MS + 900_000}, {20: 252, 21: 600, 22: 1000, 23: 253_000}),
        ("time_sync_stepped", 4, 1, 900_500, {8: UTC_MS + 1, 9: 4, 10: 12, 11: 7}, sync | {54: -900_499, 55: 3}),
        ("event", 5, 1, 900_600, {9: 0}, {60: 1, 61: [2, 3]}),
        ("event_limits", 5, 1, 900_600, {9: 0}, {60: 65535, 61: [-(2**63), 2**63 - 1, *range(14)]}),
        ("health", 7, 1, 900_650, utc | {8: UTC_MS + 900_650}, {
            30: 1, 71: 12, 72: [40, 2, 0], 73: [0, 1, 9], 74: 51_200,
            70: [[3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 5200, 6100, 6100], [2, 1, *[0] * 6, 1, 4, 0, 1, 2, 2**30 - 1]],
        }),
        ("unknown_kind", 4711, 1, 900_700, {9: 0}, {99: "later", 100: [1, b"x"]}),
        ("boot_second", 1, 2, 5, {9: 0}, boot | {30: 2, 36: 1}),
        ("calibration_begin", 8, 2, 60_200, utc | {8: UTC_MS + 1_000_000, 11: 7}, {
            80: 0, 81: 0, 82: 1, 83: 1, 84: 31, 85: 31_000,
        }),
        ("calibration_limits", 8, 2, 60_300, {9: 0}, {80: 31, 81: 31, 82: 5, 83: 0, 84: 2**63 - 1, 85: 2**63 - 1}),
        ("event_input_edges", 5, 2, 60_400, {9: 0}, {60: 10, 61: [7, 2, 1, 59_000, 5, 2, 0, 59_400, 5]}),
        ("boot_element_counter", 1, 3, 5, {9: 0}, boot | {37: 2_097_151}),
        ("key_change", 9, 3, 40, {9: 0}, {90: NEXT_POINT, 91: prove_next()}),
    ]  # fmt: skip
    records: list[dict[str, Any]] = []
    prev = bytes(32)
    for seq, (name, kind, number, mono_ms, time, body) in enumerate(bodies, 1):
        entries = {1: 1, 2: kind, 3: DEVICE, 4: number, 5: seq, 6: prev, 7: mono_ms, 12: parameters_hash} | time | body
        record = {"name": name, "kind": kind, "seq": seq} | sign(cbor2.dumps(entries, canonical=True))
        prev = bytes.fromhex(record["content_hash"])
        records.append(record)
    return records


def encode_cobs(data: bytes) -> bytes:
    """Byte at a time after the definition (Cheshire and Baker, 1999), with the closing zero."""
    out, run = bytearray(), bytearray()
    for index, byte in enumerate(data):
        if byte:
            run.append(byte)
        if not byte or (len(run) == 254):
            out.append(len(run) + 1)
            out += run
            run.clear()
            if byte and index == len(data) - 1:
                return bytes(out) + b"\x00"
    return bytes(out) + bytes((len(run) + 1,)) + bytes(run) + b"\x00"


def build_frames(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One frame of each type and the longest body."""
    digest = bytes.fromhex(records[0]["content_hash"])
    number = (7).to_bytes(8, "big")
    bodies = [
        ("HELLO", b"\x01\x01"),
        ("FETCH", number + b"\x08"),
        ("ACKNOWLEDGE", number + digest),
        ("TIME_ASK", b""),
        ("TIME_SET", bytes(range(8)) + UTC_MS.to_bytes(8, "big") + (5).to_bytes(4, "big")),
        ("UPDATE_ASK", b""),
        ("UPDATE_BEGIN", bytes(4) + (2048).to_bytes(4, "big") + (150_000).to_bytes(4, "big")),
        ("UPDATE_DATA", (1024).to_bytes(4, "big") + bytes(range(256)) * 2),
        ("UPDATE_END", digest),
        ("UPDATE_STATE", b"\x03\x00" + (1536).to_bytes(4, "big") + b"\x01\x00" + (7).to_bytes(4, "big")),
        ("FAULTS_ASK", b""),
        ("FAULTS", b"\x2a" + bytes(8) + b"\x28" + (7).to_bytes(4, "big") + (86_401).to_bytes(4, "big")),
        ("WELCOME", b"\x01" + (2).to_bytes(4, "big") + number + number + digest + KID + DEVICE.encode()),
        ("RECORD", number + digest + bytes.fromhex(records[0]["envelope"])),
        ("END", number + number),
        ("MISSING", number + number),
        ("RELEASED", b"\x00" + number + number),
        ("TIME_NONCE", bytes(range(8))),
        ("TIME_TAKEN", b"\x01" + (14).to_bytes(4, "big")),
        ("BUSY", b"\x00\xfa"),
        ("REFUSED", b"\x01\x01\x01"),
        ("RECORD", b"\xa5" * 4600),
    ]
    types = dict(
        HELLO=0x01, FETCH=0x02, ACKNOWLEDGE=0x03, TIME_ASK=0x04, TIME_SET=0x05, UPDATE_ASK=0x06,
        UPDATE_BEGIN=0x07, UPDATE_DATA=0x08, UPDATE_END=0x09, UPDATE_STATE=0x86, WELCOME=0x81, RECORD=0x82, END=0x92,
        MISSING=0xA2, RELEASED=0x83, TIME_NONCE=0x84, TIME_TAKEN=0x85, FAULTS_ASK=0x0A, FAULTS=0x87,
        BUSY=0x8E, REFUSED=0x8F,
    )  # fmt: skip
    frames = []
    for index, (name, body) in enumerate(bodies):
        content = bytes((1, 17, types[name], index)) + body
        line = encode_cobs(content + binascii.crc32(content).to_bytes(4, "big"))
        frames.append(
            {"name": name, "type": types[name], "address": 17, "number": index, "body": body.hex(), "line": line.hex()}
        )
    return frames


def build_files() -> dict[str, str]:
    """Name and text of every vector file."""
    records = build_records()
    parameters = rfc8785.dumps(PARAMETERS)
    origin = "tools/make_vectors.py: cbor2 canonical, pyca/cryptography, rfc8785; key of RFC 6979 A.2.5"
    key = {"private_key": f"{PRIVATE_KEY:064x}", "public_key": POINT.hex(), "kid": KID.hex()}
    contents: dict[str, dict[str, Any]] = {
        "records.json": {"origin": origin, "device": DEVICE, "key": key, "records": records},
        "frames.json": {"origin": origin, "frames": build_frames(records)},
        "parameters.json": {
            "origin": origin,
            "sha256": hashlib.sha256(parameters).hexdigest(),
            "bytes": parameters.hex(),
        },
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}


def main() -> int:
    """Write the files, or with --check compare; 1 when they differ."""
    parser = argparse.ArgumentParser(description="make the golden bytes of tests/vectors/")
    parser.add_argument("--check", action="store_true", help="compare only")
    is_check = parser.parse_args().check
    status = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in build_files().items():
        path = FOLDER / name
        if not is_check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: differs from what tools/make_vectors.py makes", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
