"""Root documents and release manifests: composed, signed, read back (SPEC.md sections 8.1 and 8.2).

Written from the text, with pyca/cryptography and rfc8785, not from the module's code: what one of the two takes wrongly
the other refuses. Reading is strict: canonical bytes only, exactly the keys of the text.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from acqwire import limits, update
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256
CONTEXTS = {update.ROOT_MAGIC: update.ROOT_CONTEXT, update.RELEASE_MAGIC: update.RELEASE_CONTEXT}
LIMITS = {update.ROOT_MAGIC: update.ROOT_MAX_BYTES, update.RELEASE_MAGIC: update.MANIFEST_MAX_BYTES}
ROOT_FIELDS = {
    "expires", "format", "minimum", "product", "release_key", "root_keys", "threshold", "type", "version",
}  # fmt: skip
RELEASE_FIELDS = {
    "board", "expires", "files", "format", "issued", "minimum", "mpy", "product", "release", "root", "type", "version",
}  # fmt: skip
PATH = re.compile(r"main\.(py|mpy)|(acq|acqwire|boards)(/[a-z0-9_]+){1,3}\.(py|mpy)")
_HEAD = struct.Struct(update.DOCUMENT_HEAD_FORMAT)


class DocumentError(Exception):
    """A document that no module should take; one line: what is wrong and with what."""


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes that are signed, and by whom: {kid: r || s}."""

    magic: bytes
    signed: bytes
    signatures: Mapping[bytes, bytes]

    def pack(self) -> bytes:
        """As it travels."""
        head = _HEAD.pack(self.magic, update.FORMAT, len(self.signatures), len(self.signed))
        return head + b"".join(kid + self.signatures[kid] for kid in sorted(self.signatures)) + self.signed

    def body(self) -> dict[str, Any]:
        """What the signed bytes say."""
        found: dict[str, Any] = json.loads(self.signed)
        return found


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """SEC1 uncompressed point of a P-256 key."""
    if not isinstance(key.curve, ec.SECP256R1):
        raise DocumentError("key is not on P-256: make one with `python -m tools.release key`")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def kid_of(point: bytes) -> bytes:
    """SPEC.md section 1."""
    return hashlib.sha256(point).digest()[: limits.KID_BYTES]


def compose_root(
    version: int, threshold: int, root_points: Sequence[bytes], release_point: bytes, expires: int, minimum: int = 0
) -> bytes:
    """The bytes to be signed of a root document."""
    body = {
        "type": "root", "format": update.FORMAT, "product": update.PRODUCT, "version": version, "threshold": threshold,
        "root_keys": [point.hex() for point in root_points], "release_key": release_point.hex(), "expires": expires,
        "minimum": minimum,
    }  # fmt: skip
    check_root(body)
    return rfc8785.dumps(body)


def compose_release(
    files: Mapping[str, bytes], *, board: str, mpy: int, version: int, minimum: int, release: str, root: int,
    issued: int, expires: int,
) -> bytes:  # fmt: skip
    """The bytes to be signed of a release manifest over these files."""
    body = {
        "type": "release", "format": update.FORMAT, "product": update.PRODUCT, "board": board, "mpy": mpy,
        "version": version, "minimum": minimum, "release": release, "root": root, "issued": issued, "expires": expires,
        "files": [[path, len(files[path]), hashlib.sha256(files[path]).hexdigest()] for path in sorted(files)],
    }  # fmt: skip
    check_release(body)
    return rfc8785.dumps(body)


def sign(magic: bytes, signed: bytes, key: ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    """(kid, r || s): nonce by RFC 6979, low s, so that a release built twice is the same twice."""
    der = key.sign(CONTEXTS[magic] + signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    signature = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
    return kid_of(point_of(key.public_key())), signature


def signed_document(magic: bytes, signed: bytes, keys: Sequence[ec.EllipticCurvePrivateKey]) -> Document:
    """A document with a signature of each key."""
    return Document(magic, signed, dict(sign(magic, signed, key) for key in keys))


def parse_document(raw: bytes, magic: bytes) -> Document:
    """Raises DocumentError for anything but the exact form. Signatures are not verified."""
    if not update.DOCUMENT_HEAD_BYTES < len(raw) <= LIMITS[magic]:
        raise DocumentError(f"document of {len(raw)} bytes: at most {LIMITS[magic]} are allowed")
    found, form, count, size = _HEAD.unpack_from(raw)
    start = update.DOCUMENT_HEAD_BYTES + count * update.SIGNATURE_BYTES
    if (found, form) != (magic, update.FORMAT) or not 1 <= count <= update.SIGNATURES_MAX or len(raw) != start + size:
        raise DocumentError(
            f"no {magic.decode()} document of format {update.FORMAT}, or bytes are missing or left over"
        )
    entries = [raw[at : at + update.SIGNATURE_BYTES] for at in range(8, start, update.SIGNATURE_BYTES)]
    kids = [entry[: limits.KID_BYTES] for entry in entries]
    if kids != sorted(set(kids)):
        raise DocumentError("signatures are not in ascending order of their kids, or one comes twice")
    signatures = dict(zip(kids, (entry[limits.KID_BYTES :] for entry in entries), strict=True))
    signed = raw[start:]
    try:
        body = json.loads(signed)
        is_canonical = rfc8785.dumps(body) == signed
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as failure:
        raise DocumentError(f"signed bytes are no JSON: {failure}") from failure
    if not is_canonical or not isinstance(body, dict):
        raise DocumentError("signed bytes are no canonical JSON object (RFC 8785)")
    (check_root if magic == update.ROOT_MAGIC else check_release)(body)
    return Document(magic, signed, signatures)


def check_root(body: Mapping[str, Any]) -> None:
    """Raises DocumentError for what SPEC.md does not allow."""
    _check_fields(body, ROOT_FIELDS, "root")
    _check_integers(body, version=(1, update.VERSION_MAX), minimum=(0, update.VERSION_MAX), expires=(1, 4102444800))
    keys = body["root_keys"]
    if not isinstance(keys, list) or not update.THRESHOLD_MIN <= len(keys) <= update.ROOT_KEYS_MAX:
        raise DocumentError(f"root_keys: {update.THRESHOLD_MIN} to {update.ROOT_KEYS_MAX} keys are wanted")
    _check_integers(body, threshold=(update.THRESHOLD_MIN, len(keys)))
    for text in [*keys, body["release_key"]]:
        if not isinstance(text, str) or not re.fullmatch("04[0-9a-f]{128}", text):
            raise DocumentError("a key is no SEC1 uncompressed point in hex")
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(text))
        except ValueError as failure:
            raise DocumentError("a key is no point of P-256") from failure
    if len(set(keys)) != len(keys) or body["release_key"] in keys:
        raise DocumentError("one key comes twice: root keys and release key must all differ")


def check_release(body: Mapping[str, Any]) -> None:
    """Raises DocumentError for what SPEC.md does not allow."""
    _check_fields(body, RELEASE_FIELDS, "release")
    _check_integers(body, version=(1, update.VERSION_MAX), issued=(1, 4102444800), mpy=(0, 0x3FF))
    _check_integers(body, minimum=(0, body["version"]), expires=(body["issued"], 4102444800))
    _check_integers(body, root=(1, update.VERSION_MAX))
    for name in ("board", "release"):
        if not isinstance(body[name], str) or not 1 <= len(body[name]) <= 64:
            raise DocumentError(f"{name}: 1 to 64 characters are wanted")
    files = body["files"]
    if not isinstance(files, list) or not 1 <= len(files) <= update.FILES_MAX:
        raise DocumentError(f"files: 1 to {update.FILES_MAX} are wanted")
    for item in files:
        if not isinstance(item, list) or len(item) != 3:
            raise DocumentError("files: an entry is not [path, bytes, SHA-256]")
        path, size, digest = item
        if not isinstance(path, str) or not PATH.fullmatch(path) or len(path) > update.PATH_MAX_BYTES:
            raise DocumentError(f"{path!r}: only main and program files below acq/, acqwire/, boards/ are allowed")
        if body["mpy"] == 0 and path.endswith(".mpy"):
            raise DocumentError(f"{path}: a release with .mpy files names their version: --mpy")
        if type(size) is not int or not 0 <= size <= update.FILE_MAX_BYTES:
            raise DocumentError(f"{path}: larger than {update.FILE_MAX_BYTES} bytes")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise DocumentError(f"{path}: no SHA-256 in hex")
    paths = [item[0] for item in files]
    stems = [path.rsplit(".", 1)[0] for path in paths]
    if paths != sorted(set(paths)) or len(set(stems)) != len(stems) or "main" not in stems:
        raise DocumentError("files: not ascending, one comes twice (.py and .mpy), or there is no main")
    if sum(item[1] for item in files) > update.TOTAL_MAX_BYTES:
        raise DocumentError(f"files: together larger than {update.TOTAL_MAX_BYTES} bytes")


def verify_roots(documents: Sequence[Document]) -> dict[str, Any]:
    """The last root of a chain that begins with one believed as it is. Raises DocumentError."""
    body = documents[0].body()
    _count(documents[0], body["root_keys"], body["threshold"])
    for document in documents[1:]:
        following = document.body()
        if following["version"] != body["version"] + 1:
            raise DocumentError(f"root {following['version']} does not follow root {body['version']}")
        _count(document, body["root_keys"], body["threshold"])
        _count(document, following["root_keys"], following["threshold"])
        body = following
    return body


def verify_release(document: Document, root: Mapping[str, Any]) -> dict[str, Any]:
    """What a release says, signed by this root's key. Raises DocumentError."""
    _count(document, [root["release_key"]], 1)
    body = document.body()
    if body["root"] != root["version"]:
        raise DocumentError(f"made for root {body['root']}, and the newest root is {root['version']}")
    return body


def _count(document: Document, points: Sequence[str], threshold: int) -> None:
    good = 0
    for text in points:
        point = bytes.fromhex(text)
        signature = document.signatures.get(kid_of(point))
        if signature is None:
            continue
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            key.verify(
                encode_dss_signature(r, s), CONTEXTS[document.magic] + document.signed, ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature as failure:
            raise DocumentError(f"signature of key {kid_of(point).hex()} does not verify") from failure
        good += 1
    if good < threshold:
        raise DocumentError(f"{good} signature(s) of the keys that count, {threshold} are wanted")


def _check_fields(body: Mapping[str, Any], fields: set[str], kind: str) -> None:
    if set(body) != fields:
        raise DocumentError(f"{kind} has not exactly the fields {', '.join(sorted(fields))}")
    if (body["type"], body["format"], body["product"]) != (kind, update.FORMAT, update.PRODUCT):
        raise DocumentError(f"no {kind} of format {update.FORMAT} for {update.PRODUCT}")


def _check_integers(body: Mapping[str, Any], **bounds: tuple[int, int]) -> None:
    for name, (low, high) in bounds.items():
        if type(body[name]) is not int or not low <= body[name] <= high:
            raise DocumentError(f"{name}: a whole number of {low} to {high} is wanted")
