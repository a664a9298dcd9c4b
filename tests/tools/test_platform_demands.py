"""What the platform refuses of assertions and message signatures; the vectors of RFC 9421, and other libraries' hands.

The bridge signs with PyJWT and http-message-signatures; the platform checks with joserfc and its own base over http_sf.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import time
from types import SimpleNamespace
from typing import Any

import http_message_signatures as hms
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures.algorithms import ECDSA_P256_SHA256, ED25519
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk

from plumeproof.delivery.assertion import build_assertion
from plumeproof.delivery.message_signature import sign_request
from plumeproof.delivery.profile import MessageSignature
from tools.eu_platform.assertions import AssertionFault, check_assertion
from tools.eu_platform.clients import Client, Clients
from tools.eu_platform.demands import Demands, DemandWishError
from tools.eu_platform.signatures import (
    COVERED,
    SignatureFault,
    SignedRequest,
    build_base,
    check_signature,
    is_signed_by,
)
from tools.eu_platform.store import Store

NOW_S = 1_700_000_000  # in the past on every clock: the library refuses what was made later
AUDIENCE = "https://127.0.0.1:8443/oauth/token"
KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "PS256": rsa.generate_private_key(65537, 2048),
}


def public_jwk(algorithm: str) -> Any:
    public = KEYS[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return jwk.import_key(public, {"ES256": "EC", "EdDSA": "OKP", "PS256": "RSA"}[algorithm])


def clients_of(algorithm: str) -> Clients:
    return Clients([Client("gateway", frozenset(), assertion_key=public_jwk(algorithm))])


def judge(assertion: str, algorithm: str = "ES256", is_fresh: bool = True) -> str:
    return check_assertion(assertion, clients_of(algorithm), AUDIENCE, NOW_S, lambda *_: is_fresh).id


@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
@pytest.mark.parametrize("algorithm", KEYS)
def test_assertions_of_the_bridge_are_taken(algorithm):
    assert (
        judge(build_assertion("gateway", AUDIENCE, KEYS[algorithm], "", algorithm, NOW_S, 60), algorithm) == "gateway"
    )


CLAIMS = {"iss": "gateway", "sub": "gateway", "aud": AUDIENCE, "iat": NOW_S, "exp": NOW_S + 60, "jti": "one"}
WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "another client": ({"sub": "other"}, "no key is registered"),
    "another issuer": ({"iss": "other"}, "iss and sub"),
    "another audience": ({"aud": "https://elsewhere/oauth/token"}, "aud is not"),
    "no audience": ({"aud": None}, "aud is not"),
    "no end": ({"exp": None}, "signature, alg or form|exp is missing"),
    "past": ({"exp": NOW_S - 31}, "exp is past"),
    "far away": ({"exp": NOW_S + 700}, "more than 600 s away"),
    "issued in the future": ({"iat": NOW_S + 60}, "iat is in the future"),
    "not yet": ({"nbf": NOW_S + 60}, "nbf is in the future"),
    "no jti": ({"jti": ""}, "jti is missing"),
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_wrong_claims_are_refused(name):
    changes, words = WRONG_CLAIMS[name]
    claims = {key: value for key, value in (CLAIMS | changes).items() if value is not None}
    with pytest.raises(AssertionFault, match=words):
        judge(jwt.encode(claims, KEYS["ES256"], "ES256"))
    assert judge(jwt.encode(CLAIMS, KEYS["ES256"], "ES256")) == "gateway"


def test_other_keys_algorithms_and_bytes_are_refused():
    good = jwt.encode(CLAIMS, KEYS["ES256"], "ES256")
    head, body, signature = good.split(".")
    public = KEYS["ES256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=") + "." + body
    mac = base64.urlsafe_b64encode(hmac.digest(public, unsigned.encode(), "sha256")).decode().rstrip("=")
    bad = [
        jwt.encode(CLAIMS, ec.generate_private_key(ec.SECP256R1()), "ES256"),
        jwt.encode(CLAIMS, None, "none"),
        f"{unsigned}.{mac}",  # the public key as a shared secret: the old confusion
        jwt.encode(CLAIMS, KEYS["PS256"], "PS256"),
        f"{head}.{body}.{signature[:-2]}AA", f"{head}.{body}.", f"{head}.{body}", "", "x" * 5000,
    ]  # fmt: skip
    for one in bad:
        with pytest.raises(AssertionFault):
            judge(one)


def test_an_assertion_is_good_once_also_after_a_restart(tmp_path):
    now_s = int(time.time())
    assertion = jwt.encode(CLAIMS | {"iat": now_s, "exp": now_s + 60}, KEYS["ES256"], "ES256")
    for count in range(3):
        store = Store(tmp_path / "platform.sqlite")
        ask = (assertion, clients_of("ES256"), AUDIENCE, now_s, store.take_assertion)
        if count == 0:
            assert check_assertion(*ask).id == "gateway"
        with pytest.raises(AssertionFault, match="jti was used before"):
            check_assertion(*ask)
        store.close()


# RFC 9421 appendix B: the keys of B.1.3 to B.1.5, the request of B.2
HEADERS = {
    "host": "example.com", "date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json",
    "content-length": "18",
}  # fmt: skip
REQUEST = SignedRequest("POST", "https://example.com/foo?param=Value&Pet=dog", tuple(HEADERS.items()))


def unbase(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_vector_b_2_6_ed25519_by_both_sides():
    key = ed25519.Ed25519PrivateKey.from_private_bytes(unbase("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU"))
    components = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    rule = MessageSignature("sig-b26", "ed25519", components, False)
    made = sign_request("POST", REQUEST.target_uri, HEADERS, rule, key, "test-key-ed25519", 1618884473)
    vector = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert made["Signature"] == f"sig-b26=:{vector}:"
    base = build_base(
        REQUEST, "sig-b26", ([(name, {}) for name in components], {"created": 1618884473, "keyid": "test-key-ed25519"})
    )
    assert made["Signature-Input"] == "sig-b26=" + base.decode().rpartition('"@signature-params": ')[2]
    assert base.decode().splitlines()[0] == '"date": Tue, 20 Apr 2021 02:07:55 GMT' and not base.endswith(b"\n")
    assert is_signed_by(key.public_key(), base64.b64decode(vector), base)
    assert not is_signed_by(key.public_key(), base64.b64decode(vector), base + b"\n")


def test_vector_b_2_5_hmac_over_our_base():
    """The platform offers no HMAC; the vector tries the base it builds."""
    secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="  # noqa: S105 - the RFC's
    names = [(name, {}) for name in ("date", "@authority", "content-type")]
    base = build_base(REQUEST, "sig-b25", (names, {"created": 1618884473, "keyid": "test-shared-secret"}))
    made = hmac.digest(base64.b64decode(secret), base, hashlib.sha256)
    assert base64.b64encode(made).decode() == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def test_vector_b_2_4_ecdsa_p256():
    x, y = (
        int.from_bytes(unbase(text))
        for text in ("qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA", "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0")
    )
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    digest = "mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ=="
    base = (
        '"@status": 200\n"content-type": application/json\n'
        f'"content-digest": sha-512=:{digest}:\n"content-length": 23\n'
        '"@signature-params": ("@status" "content-type" "content-digest" "content-length");created=1618884473'
        ';keyid="test-key-ecc-p256"'
    )
    value = "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=="
    assert is_signed_by(key, base64.b64decode(value), base.encode())
    assert not is_signed_by(key, base64.b64decode(value), base.replace("200", "201").encode())


SIGNING = {"ed25519": KEYS["EdDSA"], "ecdsa-p256-sha256": KEYS["ES256"]}
SENT = {
    "content-digest": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "content-type": "application/json",
    "idempotency-key": '"a"', "user-agent": "test",
}  # fmt: skip
URL = "https://127.0.0.1:8443/v1/reports"


def signed(
    algorithm: str = "ed25519",
    components: tuple[str, ...] = COVERED,
    created_s: int = NOW_S,
    key_id: str = "k",
    headers: dict[str, str] | None = None,
) -> SignedRequest:
    rule = MessageSignature("sig1", algorithm, components, True)
    made = sign_request("POST", URL, headers or SENT, rule, SIGNING[algorithm], key_id, created_s)
    fields = {**(headers or SENT), **{name.lower(): value for name, value in made.items()}}
    return SignedRequest("POST", URL, tuple(fields.items()))


def check(request: SignedRequest, algorithm: str = "ed25519") -> None:
    check_signature(request, {"k": SIGNING[algorithm].public_key()}, NOW_S)


def with_field(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    fields = [(key, old) for key, old in request.fields if key != name]
    return SignedRequest(request.method, request.target_uri, [*fields, *([(name, value)] if value is not None else [])])


@pytest.mark.parametrize("algorithm", SIGNING)
def test_what_the_bridge_signs_holds_here_and_for_the_library(algorithm):
    request = signed(algorithm)
    check(request, algorithm)
    verifier = hms.HTTPMessageVerifier(
        signature_algorithm={"ed25519": ED25519, "ecdsa-p256-sha256": ECDSA_P256_SHA256}[algorithm],
        key_resolver=hms.MappingKeyResolver(public_keys={"k": SIGNING[algorithm].public_key()}, private_keys={}),
    )
    message = SimpleNamespace(method="POST", url=URL, headers=dict(request.fields))
    (result,) = verifier.verify(message, max_age=dt.timedelta(days=36_500))  # our clock stands still
    assert result.parameters["keyid"] == "k"


CHANGED = {
    "method": (lambda r: SignedRequest("PUT", r.target_uri, r.fields), "does not hold"),
    "address": (lambda r: SignedRequest("POST", URL + "?x=1", r.fields), "does not hold"),
    "digest": (lambda r: with_field(r, "content-digest", f"sha-256=:{'A' * 43}=:"), "does not hold"),
    "key": (lambda r: with_field(r, "idempotency-key", '"b"'), "does not hold"),
    "a covered header gone": (lambda r: with_field(r, "content-type", None), "that the request does not have"),
    "no signature": (lambda r: with_field(r, "signature", None), "are missing"),
    "no input": (lambda r: with_field(r, "signature-input", None), "are missing"),
    "another label": (lambda r: with_field(r, "signature", "sig2=:AAAA:"), "not one signature"),
    "two signatures": (
        lambda r: with_field(r, "signature-input", 'sig1=("@method");created=1, sig2=("@method");created=1'),
        "not one signature",
    ),
    "no dictionary": (lambda r: with_field(r, "signature", "sig1=:A"), "no dictionary"),
    "no bytes": (lambda r: with_field(r, "signature", "sig1=1"), "not a byte sequence|or not a byte"),
    "short bytes": (lambda r: with_field(r, "signature", "sig1=:AAAA:"), "does not hold"),
    "endless": (lambda r: with_field(r, "signature", "sig1=:" + "A" * 5000 + ":"), "more than 4096"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_request_is_refused(name):
    change, words = CHANGED[name]
    with pytest.raises(SignatureFault, match=words):
        check(change(signed()))


@pytest.mark.parametrize("missing", COVERED)
def test_every_demanded_component_must_be_covered(missing):
    with pytest.raises(SignatureFault, match=f"does not cover {missing}"):
        check(signed(components=tuple(name for name in COVERED if name != missing)))


@pytest.mark.parametrize(("created_s", "is_good"), [(-300, True), (-301, False), (60, True), (61, False)])
def test_the_window_of_created(created_s, is_good):
    request = signed(created_s=NOW_S + created_s)
    if is_good:
        check(request)
    else:
        with pytest.raises(SignatureFault, match="created is not within"):
            check(request)


def test_other_keys_and_algorithms():
    with pytest.raises(SignatureFault, match="keyid is none"):
        check(signed(key_id="other"))
    with pytest.raises(SignatureFault, match="alg is not the one"):
        check(signed("ecdsa-p256-sha256"), "ed25519")
    with pytest.raises(SignatureFault, match="does not hold"):
        check_signature(signed(), {"k": ed25519.Ed25519PrivateKey.generate().public_key()}, NOW_S)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([name for name, _ in signed().fields if name != "user-agent"]), st.integers(0), st.integers(1, 94)
)
def test_no_changed_character_of_a_covered_field_is_taken(name, place, shift):
    request = signed()
    value = dict(request.fields)[name]
    at = place % len(value)
    other = chr(32 + (ord(value[at]) - 32 + shift) % 95)
    made = value[:at] + other + value[at + 1 :]
    if made.strip() == value.strip() or (
        name == "signature" and at in (len(value) - 4, len(value) - 3, len(value) - 2)
    ):
        return  # blanks around a value mean nothing, nor do the last bits of its base64
    with pytest.raises(SignatureFault):
        check(with_field(request, name, made))


def test_demands_that_are_none():
    with pytest.raises(DemandWishError, match="demand 'sulk': there are secret, assertion"):
        Demands(["sulk"])
    assert Demands([]).logins == {"secret", "assertion"} and Demands(["certificate"]).logins == {"certificate"}
    assert Demands(["certificate", "secret"]).logins == {"secret"}
