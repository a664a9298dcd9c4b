"""A client assertion: a short JSON Web Token by which our key, not a secret, asks for an access token.

RFC 7523 sections 2.2 and 3 with the claims of OpenID Connect Core section 9 (`private_key_jwt`): iss and sub are the
client, aud the token endpoint, exp soon, jti never twice.
"""

from __future__ import annotations

import secrets

import jwt

from plumeproof.delivery.private_file import SigningKey

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 8
JTI_BYTES = 16  # random: a repeat is refused by the platform


def build_assertion(
    client_id: str, audience: str, key: SigningKey, key_id: str, algorithm: str, now_s: int, lifetime_s: int
) -> str:
    """The token, for one use. `key_id`: as the platform registered the key; empty: none is named."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now_s,
        "exp": now_s + lifetime_s,
        "jti": secrets.token_urlsafe(JTI_BYTES),
    }
    return jwt.encode(claims, key, algorithm, headers={"kid": key_id} if key_id else None)
