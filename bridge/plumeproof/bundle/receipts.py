"""The receipts of a bundle: their form, a platform's signature where you have its keys (JWK set), and what it is about.

A receipt is what the other side answered. One that bears an ES256 signature over its RFC 8785 form is judged with the
keys that you name; what a broker has acknowledged bears none and is only carried. Where a line names the averages that
were sent (batches.py), the report is built again from those in the bundle: its digest, its key, module, numbers and
count must be what the platform signed. The averages themselves are judged by averages.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from plumeproof.bundle.batches import AverageReader, Batch, parse_batch
from plumeproof.errors import ConfigError, EvidenceError

if TYPE_CHECKING:  # loads a client for HTTPS, which a check without the platform's keys does without
    from plumeproof.delivery.answers import PublicKeys
    from plumeproof.delivery.profile import Profile

LINE_MAX_BYTES = 64 * 1024
KEYS_MAX_BYTES = 256 * 1024  # of a JWK set
NAMES = {"sink", "kind", "key", "module", "seq", "received_utc_ms", "proof"}
BATCH = "batch"  # beside them, where the averages that were sent are known
PROFILE = "generic-https"  # every shipped profile has its names of a report's and a receipt's fields


def read_platform_keys(path: Path) -> PublicKeys:
    """Of a JWK set (RFC 7517). Raises ConfigError."""
    from plumeproof.delivery.answers import read_keys
    from plumeproof.delivery.exchange import Answer

    with path.open("rb") as file:
        raw = file.read(KEYS_MAX_BYTES)
    try:
        keys = read_keys(Answer(200, {"content-type": "application/json"}, raw))
    except ValueError as error:
        raise ConfigError(str(path), f"is no JWK set: {error}") from error
    if not keys:
        raise ConfigError(str(path), "names no P-256 key; fetch the platform's JWK set")
    return keys


class ReceiptCheck:
    """Of one bundle. `keys`: of the platform by their id; None: nothing is judged but the form."""

    def __init__(self, keys: PublicKeys | None) -> None:
        self._keys = keys
        self.signed = 0  # whose signature holds
        self.matched = 0  # of these, that are about just the averages in the bundle
        self.carried = 0  # that nobody here can judge

    def run(
        self, pieces: Iterable[bytes], period_utc_ms: Sequence[int], averages: AverageReader
    ) -> Iterator[tuple[str, str]]:
        """(code, sentence) of every fault. Raises EvidenceError (form): rows in another form."""
        for number, row in enumerate(lines_of(pieces), 1):
            if set(row) - {BATCH} != NAMES or not isinstance(row["proof"], str):
                raise EvidenceError("form", f"line {number} is no receipt")
            batch = parse_batch(row[BATCH]) if BATCH in row else None
            receipt = _object(row["proof"])
            if receipt is None or not isinstance(receipt.get("signature"), dict) or self._keys is None:
                self.carried += 1
                continue
            wrong = self._judge(row, receipt, self._keys)
            if wrong:
                yield "receipt", f"line {number}, {wrong}"
                continue
            self.signed += 1
            # A profile of your own may have other names; whether these are there, the platform has signed
            is_ours = _profile().receipt["content_digest"] in receipt
            if is_ours and batch is not None and batch.is_within(*period_utc_ms):
                wrong = _held_against(row, receipt, batch, averages)
                if wrong:
                    yield "receipt_averages", f"line {number}, {wrong}"
                self.matched += not wrong

    def _judge(self, row: dict[str, Any], receipt: dict[str, Any], keys: PublicKeys) -> str:
        """What is wrong with key or signature."""
        from plumeproof.delivery.answers import check_signature, plain

        names = _profile().receipt
        told = f"{plain(row['sink'])} {plain(row['key'])}"
        said = receipt.get(names["idempotency_key"], row["key"])
        if said != row["key"]:
            return f"{told}: is about {plain(said)}"
        try:
            check_signature(receipt, names, keys)
        except (ValueError, TypeError, rfc8785.CanonicalizationError) as error:
            return f"{told}: {plain(error)}"
        return ""


@cache
def _profile() -> Profile:
    from plumeproof.delivery.profile import load_profile

    return load_profile(PROFILE)


def _held_against(row: dict[str, Any], receipt: dict[str, Any], batch: Batch, averages: AverageReader) -> str:
    """What differs between a receipt and the report of these averages."""
    from plumeproof.delivery.answers import check_receipt, plain
    from plumeproof.delivery.https_sink import digest_of
    from plumeproof.delivery.report import build_report, identify

    profile = _profile()
    told = f"{plain(row['sink'])} {plain(row['key'])}"
    try:
        report = build_report(batch.gateway, list(averages.numbered(str(row["module"]), batch)), profile.shape)
        identity = identify(report.body, profile.shape)
        check_receipt(receipt, profile.receipt, report.key, digest_of(report.body), identity)
    except EvidenceError as error:
        return f"{told}: {plain(error.detail)}"
    except (ValueError, rfc8785.CanonicalizationError) as error:
        return f"{told}: is not about the averages in the bundle: {plain(error)}"
    return ""


def lines_of(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a member, each exactly its RFC 8785 line. Raises EvidenceError (form)."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for raw in whole:
            yield _line(raw)
        if len(held) > LINE_MAX_BYTES:
            raise EvidenceError("form", f"a line longer than {LINE_MAX_BYTES} bytes")
    if held:
        raise EvidenceError("form", "its last line does not end")


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= LINE_MAX_BYTES else None
        if isinstance(found, dict) and rfc8785.dumps(found) == raw:
            return found
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass  # said below, as for what is no object
    raise EvidenceError("form", f"{ascii(raw[:60])} is no line of a bundle")


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
