"""RFC 3161 time-stamps of statements: the question, and what an answer is worth. The home of rfc3161-client.

A stamp is about the SHA-256 of the statement's bytes as they are; `openssl ts -verify -data` checks it too. The
authority's word counts only under certificates that you name: its root, with what lies between.

    question = StampQuestion(statement)
    utc_ms = read_stamp(answer, statement, roots, question)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from plumeproof.errors import ConfigError, EvidenceError

RESPONSE_MAX_BYTES = 64 * 1024  # a chain of certificates and two signatures: some 6 kB
CERTIFICATES_MAX_BYTES = 256 * 1024


Certificates = Sequence[x509.Certificate]
# What cryptography raises for a certificate that makes no sense, beside ValueError
_CERTIFICATE_FAULTS = (
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_CERTIFICATES = 0xA0  # tag in SignedData, RFC 5652 section 5.1


class StampQuestion:
    """A request with a nonce of its own, so that no old answer fits."""

    def __init__(self, message: bytes) -> None:
        builder = TimestampRequestBuilder(data=message, hash_algorithm=HashAlgorithm.SHA256, nonce=True, cert_req=True)
        self._request = builder.build()

    @property
    def raw(self) -> bytes:
        """TimeStampReq, DER."""
        return self._request.as_bytes()

    @property
    def nonce(self) -> int | None:
        """What the answer must repeat."""
        return self._request.nonce


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(CERTIFICATES_MAX_BYTES))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(str(path), "holds no certificate in PEM; name that of the time-stamp authority") from error
    return tuple(found)


def read_stamp(
    response: bytes, message: bytes, certificates: Certificates, question: StampQuestion | None = None
) -> int:
    """When the authority saw `message`, UTC ms; `question`: its nonce must come back. Raises EvidenceError (stamp)."""
    if len(response) > RESPONSE_MAX_BYTES:
        raise EvidenceError("stamp", f"{len(response)} bytes, at most {RESPONSE_MAX_BYTES}")
    builder = VerifierBuilder(roots=list(certificates), nonce=None if question is None else question.nonce)
    try:
        answer = decode_timestamp_response(in_der_order(response))
        builder.build().verify_message(answer, message)
        return int(answer.tst_info.gen_time.timestamp() * 1000)
    except (VerificationError, ValueError, TypeError, *_CERTIFICATE_FAULTS) as error:
        sentence = " ".join(str(error).partition(": ErrorStack")[0].split())[:200]  # not OpenSSL's whole list
        raise EvidenceError("stamp", f"time-stamp does not hold: {sentence}") from error


def in_der_order(response: bytes) -> bytes:
    """The same answer with its certificates sorted, as DER wants a set (X.690 section 11.6). OpenSSL writes them in the
    order of its files, and the strict reader would refuse them; no signature covers their order. What is no answer
    comes back as it is: whoever reads it says so."""
    try:
        ((_, *whole),) = _elements(response, 0, len(response))
        _, (_, *token) = _elements(response, *whole)
        _, (_, *content) = _elements(response, *token)
        ((_, *signed_data),) = _elements(response, *content)
        ((_, start, end),) = (one for one in _elements(response, *signed_data) if response[one[0]] == _CERTIFICATES)
        pieces = sorted(response[first:last] for first, _, last in _elements(response, start, end))
    except ValueError:
        return response
    return response[:start] + b"".join(pieces) + response[end:]


def _elements(raw: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """Start, start of the content and end of each DER element in [start, end). Raises ValueError."""
    found: list[tuple[int, int, int]] = []
    while start < end:
        size, content = raw[start + 1 : start + 2], start + 2
        count = size[0] - 0x80 if size and size[0] > 0x80 else 0  # bytes of a long length, X.690 section 8.1.3
        length = int.from_bytes(raw[content : content + count], "big") if count else int.from_bytes(size, "big")
        content += count
        if not size or count > 4 or content + length > end:
            raise ValueError("no DER")
        found.append((start, content, content + length))
        start = content + length
    return found
