"""Signs a request as RFC 9421 says, over the components that the profile names: headers Signature-Input and Signature.

`created` is the gateway's clock, so that a platform can refuse what is old; a repeat of a report is signed anew. The
body is covered by its digest header (RFC 9530), which a profile must name among the components.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256, ED25519

from plumeproof.delivery.private_file import SigningKey
from plumeproof.delivery.profile import MessageSignature
from plumeproof.errors import BlockedDelivery

_ALGORITHMS = {"ed25519": ED25519, "ecdsa-p256-sha256": ECDSA_P256_SHA256}


@dataclass
class _Request:
    """As the library wants to see it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def sign_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    rule: MessageSignature,
    key: SigningKey,
    key_id: str,
    created_s: int,
) -> dict[str, str]:
    """The two headers. `headers`: all that the components name. Raises BlockedDelivery for an address that has no
    signature base, as one with a blank in it."""
    request = _Request(method, url, dict(headers))
    assert not isinstance(key, rsa.RSAPrivateKey)  # PrivateKeyFile has looked
    signer = HTTPMessageSigner(
        signature_algorithm=_ALGORITHMS[rule.algorithm],
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={key_id: key}),
    )
    try:
        signer.sign(
            request,
            key_id=key_id,
            created=dt.datetime.fromtimestamp(created_s, dt.UTC),
            label=rule.label,
            include_alg=rule.is_algorithm_named,
            covered_component_ids=rule.components,
            use_existing_digest="content-digest" in request.headers,  # ours is the digest of these bytes
        )
    except HTTPMessageSignaturesException as error:
        raise BlockedDelivery(f"the request cannot be signed: {error}; check base_url and the profile") from error
    return {name: request.headers[name] for name in ("Signature-Input", "Signature")}
