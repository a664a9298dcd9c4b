"""What a platform answers, read strictly: JSON of bounded size, problems (RFC 9457), tokens (RFC 6749), receipts.

An answer is foreign input: nothing in it is shown unescaped or unbounded, and nothing of it is believed that was not
checked. A receipt counts only when it names our key, our bytes and our averages, and when its signature holds where
the profile asks for one. Pure: bytes in, values out; ValueError says why an answer is none.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from plumeproof.delivery.exchange import Answer
from plumeproof.delivery.nesting import is_deeper
from plumeproof.delivery.report import ReportIdentity
from plumeproof.delivery.retry import parse_retry_after

TOKEN_MAX_CHARACTERS = 8 * 1024
TOKEN_DEFAULT_S = 300  # where expires_in is left out (RFC 6749 section 5.1 allows it)
TOKEN_MAX_S = 24 * 3600
TEXT_MAX_CHARACTERS = 200
ERRORS_SHOWN = 3
KEYS_MAX = 32
DEPTH_MAX = 16
ERROR_WORDS = frozenset(  # RFC 6749 section 5.2
    "invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope".split()
)
SIGNATURE_BYTES = 64  # r followed by s (RFC 7518 section 3.4)
COORDINATE_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750 section 2.1

PublicKeys = Mapping[str, ec.EllipticCurvePublicKey]


def read_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer that says it is JSON. Raises ValueError."""
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ValueError(f"not declared as JSON but as {plain(kind) or 'nothing'}")
    if is_deeper(answer.body, DEPTH_MAX):
        raise ValueError("JSON too deep")
    content = json.loads(answer.body, object_pairs_hook=_refuse_double, parse_constant=_refuse_constant)
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return content


def explain(answer: Answer) -> str:
    """One sentence of a refusal: status, and title, detail and first errors of a problem where there is one."""
    try:
        problem = read_object(answer)
    except ValueError:
        return f"status {answer.status}"
    words = [plain(problem[name]) for name in ("title", "detail", "error") if isinstance(problem.get(name), str)]
    errors = problem.get("errors")
    for one in errors[:ERRORS_SHOWN] if isinstance(errors, list) else ():
        if isinstance(one, dict):
            words.append(" ".join(plain(one.get(name, "")) for name in ("pointer", "code", "detail")).strip())
    return ": ".join([f"status {answer.status}", *filter(None, words)])


def error_word(answer: Answer) -> str:
    """The `error` of a token endpoint's refusal where it is one of RFC 6749, else nothing."""
    try:
        word = read_object(answer).get("error")
    except ValueError:
        return ""
    return word if isinstance(word, str) and word in ERROR_WORDS else ""


def asked_wait_s(answer: Answer, now_utc_ms: int) -> float | None:
    """What Retry-After asks for."""
    return parse_retry_after(answer.headers.get("retry-after"), now_utc_ms)


def plain(text: object) -> str:
    """Text from outside for a log line: bounded, one line, nothing that a terminal obeys."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:TEXT_MAX_CHARACTERS])


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is a secret: never logged, never stored."""

    value: str
    lifetime_s: float

    def __repr__(self) -> str:
        return f"Token(***, {self.lifetime_s})"


def read_token(answer: Answer) -> Token:
    """A bearer token. Raises ValueError; its text holds nothing of the answer's."""
    content = read_object(answer)
    value, kind, lifetime = content.get("access_token"), content.get("token_type"), content.get("expires_in")
    if not isinstance(value, str) or len(value) > TOKEN_MAX_CHARACTERS or _TOKEN.fullmatch(value) is None:
        raise ValueError("no usable access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ValueError("token_type is not bearer")
    if lifetime is None:
        lifetime = TOKEN_DEFAULT_S
    if type(lifetime) not in (int, float) or not 0 <= lifetime:
        raise ValueError("expires_in is no number of seconds")
    return Token(value, float(min(lifetime, TOKEN_MAX_S)))


def read_keys(answer: Answer) -> PublicKeys:
    """The P-256 keys of a JWK set (RFC 7517) by kid; others are left out. Raises ValueError."""
    found: dict[str, ec.EllipticCurvePublicKey] = {}
    keys = read_object(answer).get("keys")
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        raise ValueError("no list of keys")
    for one in keys:
        if not isinstance(one, dict) or one.get("kty") != "EC" or one.get("crv") != "P-256":
            continue
        kid, x, y = one.get("kid"), one.get("x"), one.get("y")
        if isinstance(kid, str) and isinstance(x, str) and isinstance(y, str):
            point = b"\x04" + _coordinate(x) + _coordinate(y)
            found[kid] = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return found


def check_receipt(
    receipt: Mapping[str, Any], names: Mapping[str, str], key: str, digest: str, identity: ReportIdentity
) -> None:
    """Whether a receipt is about these bytes. `names`: of the profile. Raises ValueError with what differs."""
    about: dict[str, object] = {
        names["module"]: identity.module,
        names["first_id"]: identity.first_id,
        names["last_id"]: identity.last_id,
        names["average_count"]: identity.average_count,
    }
    check_content(receipt, names, key, digest, about)


def check_content(
    receipt: Mapping[str, Any], names: Mapping[str, str], key: str, digest: str, about: Mapping[str, object]
) -> None:
    """Whether a receipt names this key, these bytes and, as the platform calls it, all of `about`, or ValueError."""
    wanted = {names["idempotency_key"]: key, names["content_digest"]: digest, **about}
    for name, value in wanted.items():
        said = receipt.get(name)
        if type(said) is not type(value) or said != value:
            raise ValueError(f"receipt: {name} is {plain(said)}, not {value}")
    for field in ("receipt_id", "received_at"):
        said = receipt.get(names[field])
        if not isinstance(said, str) or not said or len(said) > TEXT_MAX_CHARACTERS:
            raise ValueError(f"receipt: {names[field]} is missing")


def signing_key(receipt: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The id of the key that is said to have signed. Raises ValueError."""
    signature = receipt.get(names["signature"])
    if not isinstance(signature, dict) or signature.get("alg") != "ES256":
        raise ValueError("receipt: no ES256 signature")
    kid = signature.get("keyId")
    if not isinstance(kid, str) or not kid or len(kid) > TEXT_MAX_CHARACTERS:
        raise ValueError("receipt: signature without keyId")
    return kid


def check_signature(receipt: Mapping[str, Any], names: Mapping[str, str], keys: PublicKeys) -> None:
    """ES256 over the RFC 8785 bytes of the receipt without its signature. Raises ValueError."""
    kid = signing_key(receipt, names)
    if kid not in keys:
        raise ValueError(f"receipt: signed by key {plain(kid)}, which the platform does not list")
    value = receipt[names["signature"]].get("value")
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except binascii.Error:
        raw = b""
    if len(raw) != SIGNATURE_BYTES:
        raise ValueError(f"receipt: signature is not {SIGNATURE_BYTES} bytes in base64")
    signed = rfc8785.dumps({name: one for name, one in receipt.items() if name != names["signature"]})
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    try:
        keys[kid].verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("receipt: signature does not hold") from error


def _coordinate(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(raw) != COORDINATE_BYTES:
        raise ValueError("a key's coordinate has another length")
    return raw


def _refuse_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object stands twice")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
