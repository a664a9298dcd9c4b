"""Anchors in a bundle: which belong to its period, what they say of its records, and who signed its manifest.

A period's statements are those signed in [start, end). Whoever exports takes along every record up to the heads that
the newest of them states, of every module it names; so a head that a bundle does not reach is a record that was left
out, whether the statement lies in the bundle or with a keeper (bridge/BUNDLE.md section 5).

    anchors = BundleAnchors(lines, signature, manifest, manifest_hash, keys, kept, certificates)
    findings = list(anchors.findings()); anchors.limits()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import rfc8785

from plumeproof.anchors import KeptStatement, judge_statements, read_lines, write_line
from plumeproof.bundle.clock_orders import BundleOrders
from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.evidence.anchor import build_manifest, claimed_heads, parse_manifest
from plumeproof.evidence.statement import MANIFEST_TYPE
from plumeproof.inspection import Finding
from plumeproof.keys import KeyFile, parse_keys
from plumeproof.model import Anchor, AnchorStatement, StoredAnchor

if TYPE_CHECKING:
    from plumeproof.gateway_key import GatewayKey
    from plumeproof.time_stamp import Certificates

LINES = "data/anchors.jsonl"
SIGNATURE = "manifest.cose"
LINES_MAX_BYTES = 64 * 1024 * 1024  # as plumeproof.anchors reads a file

Sign = Callable[[int, bytes], bytes]  # number of the newest statement and SHA-256 of the manifest -> manifest.cose


def reach_of(stored: Sequence[StoredAnchor], seqs: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """First and last record of each module, so that the bundle reaches the heads of its newest statement.

    Nothing is judged: what cannot be read here is named by who verifies."""
    reached = dict(seqs)
    for head in claimed_heads(stored[-1].statement) if stored else ():
        first, last = reached.get(head.device, (head.seq, head.seq))
        reached[head.device] = (first, max(last, head.seq))
    return reached


def lines_of(stored: Iterable[StoredAnchor]) -> Iterator[dict[str, Any]]:
    """The rows of data/anchors.jsonl."""
    for one in stored:
        yield write_line(one.number, one.statement, one.stamp)


def sign_with(key: GatewayKey, keys_raw: bytes, where: str) -> Sign:
    """Who signs a manifest: the gateway for which the registry has the key. Raises ConfigError."""
    entries = parse_keys(keys_raw, where).entries
    own = [one for one in entries if one.kid == key.kid and one.purpose == "anchor" and not one.is_revoked]
    entry = own[0] if own else None
    if entry is None:
        raise ConfigError(where, f"kid {key.kid.hex()} of {key.path} is not enrolled for anchors, or revoked")
    return lambda number, digest: key.sign(MANIFEST_TYPE, build_manifest(entry.device, number, digest))


class BundleAnchors:
    """What a bundle and its verifier have of anchors, judged. `signature`: manifest.cose, None where there is none;
    `kept`: statements that the verifier has from a keeper; `orders`: clock orders, which state records too."""

    def __init__(
        self,
        lines: bytes,
        signature: bytes | None,
        manifest: dict[str, Any],
        manifest_hash: bytes,
        keys: KeyFile,
        kept: Sequence[KeptStatement] = (),
        certificates: Certificates = (),
        orders: BundleOrders | None = None,
    ) -> None:
        self._orders = orders
        self._signature, self._manifest, self._manifest_hash = signature, manifest, manifest_hash
        self._keys, self._has_kept = keys, bool(kept)
        self._faults: list[tuple[str, str, str]] = []
        own: list[KeptStatement] = []
        try:
            own = read_lines(lines.splitlines(), LINES)
        except ConfigError as error:
            self._faults.append(("anchor_line", error.where, error.reason))
        self.judged = judge_statements([*own, *kept], keys, certificates)
        self._own = {one.statement for one in own}
        numbers = {one.raw: one.number for one in self.judged.statements}
        again = [write_line(numbers.get(one.statement, 0), one.statement, one.stamp) for one in own]
        if not self._faults and b"".join(rfc8785.dumps(line) + b"\n" for line in again) != lines:
            self._faults.append(("anchor_line", LINES, "holds a statement that does not count, or in another form"))
        self.signed_by: str | None = None

    @property
    def anchors(self) -> list[Anchor]:
        """Every head that is stated, also by clock orders, for who looks at the records."""
        return [*self.judged.anchors, *(self._orders.heads if self._orders is not None else ())]

    def findings(self) -> Iterator[Finding]:
        """What does not hold or does not fit; the hashes of records are compared by who looks at them."""
        for code, place, said in self._faults:
            yield Finding(code, None, None, place, said)
        for code, device, place, said in self.judged.findings:
            yield Finding(code, device, None, place, said)
        if self._orders is not None:
            yield from self._orders.findings()
        yield from self._check_reach()
        if self._signature is not None:
            yield from self._check_signature(self._signature)

    def limits(self) -> list[str]:
        """What a verdict does not say for want of anchors, in sentences."""
        found = []
        inside = self._inside()
        if not inside:
            found.append(
                "No anchor lies in this period: that newer records or a whole module were left out before the export"
                " cannot be seen here. Ask a keeper for them and name them with --anchor."
            )
        elif not self._has_kept:
            found.append(
                f"The anchors are those that the bundle itself brings, up to number {inside[-1].number}: that later"
                " ones were left out with the records they state shows only against a keeper's, named with --anchor."
            )
        if inside:
            found.append(
                f"Records behind the heads of anchor {inside[-1].number} are not stated by any anchor of this period."
            )
        if self.judged.unchecked_stamps:
            told = "time-stamps were not checked; name the authority's certificate with --tsa-certificate."
            found.append(f"{self.judged.unchecked_stamps} {told}")
        if self._signature is None:
            found.append("The manifest bears no signature: compare its SHA-256 with the one you were told.")
        return found

    def _inside(self) -> list[AnchorStatement]:
        start, end = self._manifest["period_utc_ms"]
        return [one for one in self.judged.statements if start <= one.utc_ms < end]

    def _check_reach(self) -> Iterator[Finding]:
        stated = {one["device"]: one for one in self._manifest["devices"]}
        wanted: dict[str, tuple[int, AnchorStatement]] = {}
        for statement in self._inside():
            for head in statement.heads:
                if head.seq > wanted.get(head.device, (0, statement))[0]:
                    wanted[head.device] = (head.seq, statement)
        for device, (seq, statement) in sorted(wanted.items()):
            last = stated[device]["last_seq"] if device in stated else 0
            if last < seq:
                first = last + 1 if last else seq
                told = f"{device} seq {first} to {seq} of anchor {statement.number} of {statement.gateway} are left out"
                yield Finding("tail_cut", device, first, "bundle", told)

    def _check_signature(self, raw: bytes) -> Iterator[Finding]:
        try:
            signed, gateway, number, digest = parse_manifest(raw, lambda kid: self._keys.public_key(kid, "anchor"))
            entry = next(one for one in self._keys.entries if one.kid == signed.kid)
            self._keys.find(signed.kid, gateway, number or entry.valid_from_seq, "anchor")
            if digest != self._manifest_hash:
                raise EvidenceError("manifest_signature", "is about another manifest.json")
            numbers = [one.number for one in self.judged.statements if one.gateway == gateway and one.raw in self._own]
            if number != max(numbers, default=0):
                raise EvidenceError("manifest_signature", f"names {number} as the newest anchor in the bundle")
        except EvidenceError as error:
            yield Finding("manifest_signature", None, None, SIGNATURE, f"{error.code}: {error.detail}")
            return
        self.signed_by = gateway
