"""Checks a client assertion: a JSON Web Token signed by the client's registered key (RFC 7523 section 3).

Every claim that the RFC demands must be there and right: iss and sub the client, aud this token endpoint, exp not past
and not far away, jti never seen before. The key decides the algorithm, not the token: `none` and HMAC are not offered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError

from tools.eu_platform.clients import Client, Clients

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = 4096  # characters
LONGEST_LIFE_S = 600  # of exp; a stolen assertion is worth little for long
LEEWAY_S = 30  # clocks differ
ALGORITHMS = {"EC": ["ES256"], "OKP": ["EdDSA", "Ed25519"], "RSA": ["PS256", "RS256"]}


class AssertionFault(Exception):
    """Why it is refused; one sentence without anything of the assertion in it."""


def check_assertion(
    assertion: str,
    clients: Clients,
    audience: str,
    now_s: int,
    is_fresh: Callable[[str, bytes, int], bool],
) -> Client:
    """The client that signed it. `is_fresh`: client, hash of jti and its end; remembers it, False where it was seen.

    Raises AssertionFault.
    """
    if len(assertion) > LONGEST:
        raise AssertionFault(f"longer than {LONGEST} characters")
    client = clients.find(_claimed_client(assertion))
    if client.assertion_key is None:
        raise AssertionFault("no key is registered for the client that sub names")
    try:
        token = jwt.decode(assertion, client.assertion_key, algorithms=ALGORITHMS[client.assertion_key.key_type])
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise AssertionFault("signature, alg or form is wrong") from error
    if token.header.get("kid", client.assertion_key.kid) != client.assertion_key.kid:
        raise AssertionFault("kid is not the registered key's")
    claims = token.claims
    _check_claims(claims, client, audience, now_s)
    if not is_fresh(client.id, hashlib.sha256(claims["jti"].encode("utf-8", "surrogatepass")).digest(), claims["exp"]):
        raise AssertionFault("jti was used before")
    return client


def _claimed_client(assertion: str) -> str:
    """Whose key must fit; believed only once it does."""
    try:
        claims = json.loads(jws.extract_compact(assertion.encode("ascii")).payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise AssertionFault("is no JSON Web Token") from error
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""


def _check_claims(claims: dict[str, Any], client: Client, audience: str, now_s: int) -> None:
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise AssertionFault("iss and sub must both be the client")
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise AssertionFault("aud is not this token endpoint")
    end = claims.get("exp")
    if type(end) is not int:
        raise AssertionFault("exp is missing or no integer")
    if end <= now_s - LEEWAY_S:
        raise AssertionFault("exp is past")
    if end > now_s + LONGEST_LIFE_S + LEEWAY_S:
        raise AssertionFault(f"exp is more than {LONGEST_LIFE_S} s away")
    for name in ("iat", "nbf"):
        moment = claims.get(name)
        if moment is not None and (type(moment) is not int or moment > now_s + LEEWAY_S):
            raise AssertionFault(f"{name} is in the future or no integer")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise AssertionFault("jti is missing")
