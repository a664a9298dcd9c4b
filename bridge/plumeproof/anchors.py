"""Anchors that somebody kept where the gateway cannot change them, read and judged: with them a cut tail is seen.

Three forms: statements as the keepers have them (.cose files, or a folder of them), lines as `anchors export` and
bundles write them ({"number", "stamp", "statement"}, base64, one object a line), and unsigned lists anchor.json of
{device, seq, content_hash (hex), count}. Form of a statement and the rules between them: EVIDENCE.md section 5.

    kept = load_anchors([Path("anchors.jsonl")], keys)
    kept.findings, kept.anchors
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acqwire import limits

from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.evidence.anchor import find_shrinking, parse_anchor
from plumeproof.evidence.statement import STATEMENT_MAX_BYTES
from plumeproof.keys import KeyFile
from plumeproof.model import Anchor, AnchorStatement

if TYPE_CHECKING:
    from plumeproof.time_stamp import Certificates

ANCHOR_FILE_MAX_BYTES = 64 * 1024 * 1024  # a statement of fifty modules with its stamp is some 15 kB: ten years of days
FILES_MAX = 100_000  # of a folder
CLOCK_TOLERANCE_MS = 60_000  # by which a gateway's clock may be ahead of the authority's
TAG = b"\xd2"  # COSE_Sign1


@dataclass(frozen=True, slots=True)
class KeptStatement:
    """Bytes that claim to be a statement, and its time-stamp where there is one. `place`: for people."""

    place: str
    statement: bytes
    stamp: bytes | None = None


@dataclass(slots=True)
class KeptAnchors:
    """What was judged. `anchors`: every head that is stated; `findings`: (code, device or None, place, sentence);
    `stamped`: gateway and number to UTC ms of its time-stamp; `unchecked_stamps`: no certificate to check them with."""

    anchors: list[Anchor] = field(default_factory=list)
    statements: list[AnchorStatement] = field(default_factory=list)
    findings: list[tuple[str, str | None, str, str]] = field(default_factory=list)
    stamped: dict[tuple[str, int], int] = field(default_factory=dict)
    unchecked_stamps: int = 0

    def newest(self) -> dict[str, Anchor]:
        """The head with the highest seq of every module."""
        found: dict[str, Anchor] = {}
        for anchor in self.anchors:
            if anchor.device not in found or found[anchor.device].seq < anchor.seq:
                found[anchor.device] = anchor
        return found


def load_anchors(paths: Sequence[Path], keys: KeyFile, certificates: Certificates = ()) -> KeptAnchors:
    """Read and judge. Raises ConfigError with one line for a file that is none of the forms."""
    items, unsigned = read_kept(paths)
    kept = judge_statements(items, keys, certificates)
    kept.anchors += unsigned
    return kept


def read_kept(paths: Sequence[Path]) -> tuple[list[KeptStatement], list[Anchor]]:
    """Statements, not judged, and unsigned anchors. Raises ConfigError."""
    unsigned: list[Anchor] = []
    items: list[KeptStatement] = []
    for path in paths:
        for file in _files_of(path):
            raw = _read(file)
            if raw.startswith(TAG):
                items.append(KeptStatement(str(file), raw))
            elif raw.lstrip()[:1] == b"{":
                items += read_lines(raw.splitlines(), str(file))
            else:
                unsigned += _unsigned(raw, file)
    return items, unsigned


def read_lines(lines: Iterable[bytes], where: str) -> list[KeptStatement]:
    """The lines of anchors.jsonl. Raises ConfigError for what is no such line."""
    found = []
    for index, line in enumerate(lines):
        place = f"{where}, line {index + 1}"
        try:
            item = json.loads(line)
            if not isinstance(item, dict) or set(item) != {"number", "stamp", "statement"}:
                raise ValueError("not exactly number, stamp, statement")
            stamp = None if item["stamp"] is None else base64.b64decode(item["stamp"], validate=True)
            found.append(KeptStatement(place, base64.b64decode(item["statement"], validate=True), stamp))
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise ConfigError(place, f"is no line of anchors: {error}") from error
    return found


def write_line(number: int, statement: bytes, stamp: bytes | None) -> dict[str, Any]:
    """The object of a line."""
    coded = None if stamp is None else base64.b64encode(stamp).decode()
    return {"number": number, "stamp": coded, "statement": base64.b64encode(statement).decode()}


def judge_statements(items: Iterable[KeptStatement], keys: KeyFile, certificates: Certificates = ()) -> KeptAnchors:
    """Signature, key, order and stamp of each. What does not hold is a finding, and is not used."""
    kept = KeptAnchors()
    by_gateway: dict[str, dict[int, tuple[AnchorStatement, KeptStatement]]] = {}
    for item in items:
        try:
            statement = parse_anchor(item.statement, lambda kid: keys.public_key(kid, "anchor"))
            keys.find(statement.kid, statement.gateway, statement.number, "anchor")
        except EvidenceError as error:
            code = error.code if error.code.startswith("anchor") else f"anchor_{error.code}"
            kept.findings.append((code, None, item.place, f"is no anchor that counts: {error.detail}"))
            continue
        known = by_gateway.setdefault(statement.gateway, {})
        other = known.setdefault(statement.number, (statement, item))[0]
        if other.content_hash != statement.content_hash:
            said = f"{statement.gateway} has signed two statements with number {statement.number}"
            kept.findings.append(("anchor_equivocation", None, item.place, said))
        elif item.stamp is not None and known[statement.number][1].stamp is None:
            known[statement.number] = (statement, item)  # another keeper has it with its stamp
    for _, numbered in sorted(by_gateway.items()):
        _judge_order(kept, [numbered[number] for number in sorted(numbered)], keys, certificates)
    return kept


def _judge_order(
    kept: KeptAnchors,
    ordered: list[tuple[AnchorStatement, KeptStatement]],
    keys: KeyFile,
    certificates: Certificates,
) -> None:
    before: AnchorStatement | None = None
    for statement, item in ordered:
        name = f"{statement.gateway} statement {statement.number}"
        if before is not None:
            if statement.number == before.number + 1 and statement.prev != before.content_hash:
                kept.findings.append(("anchor_prev", None, item.place, f"{name} does not follow {before.number}"))
            if statement.number == before.number + 1 and not _may_follow(before, statement, keys):
                said = f"{name} is signed by another key than {before.number}, which has not named it"
                kept.findings.append(("anchor_key_change", None, item.place, said))
            reason = find_shrinking(before.heads, statement.heads)
            if reason is not None:
                said = f"{name} has a smaller or another history than {before.number}: {reason}"
                kept.findings.append(("anchor_smaller", None, item.place, said))
        before = statement
        kept.statements.append(statement)
        kept.anchors += statement.heads
        if item.stamp is not None:
            _judge_stamp(kept, statement, item, certificates)


def _may_follow(before: AnchorStatement, statement: AnchorStatement, keys: KeyFile) -> bool:
    """The same key, the one that was named, or one for which the registry has ended the key before (it was lost)."""
    if before.next_kid is not None or statement.kid == before.kid:
        return statement.kid == (before.next_kid or before.kid)
    return any(entry.kid == before.kid and entry.valid_until_seq == before.number for entry in keys.entries)


def _judge_stamp(
    kept: KeptAnchors, statement: AnchorStatement, item: KeptStatement, certificates: Certificates
) -> None:
    if not certificates or item.stamp is None:
        kept.unchecked_stamps += 1
        return
    from plumeproof.time_stamp import read_stamp  # its library is needed by who asks for stamps only

    name = f"{statement.gateway} statement {statement.number}"
    try:
        utc_ms = read_stamp(item.stamp, item.statement, certificates)
    except EvidenceError as error:
        kept.findings.append(("anchor_stamp", None, item.place, f"{name}: {error.detail}"))
        return
    if statement.utc_ms > utc_ms + CLOCK_TOLERANCE_MS:
        said = f"{name} bears a later time than its time-stamp: the gateway's clock was ahead"
        kept.findings.append(("anchor_stamp_time", None, item.place, said))
    kept.stamped[(statement.gateway, statement.number)] = utc_ms


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.cose"))
    if not found or len(found) > FILES_MAX:
        raise ConfigError(str(path), f"holds {len(found)} .cose files; name the folder that keeps the anchors")
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(ANCHOR_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    if len(raw) > (STATEMENT_MAX_BYTES if raw.startswith(TAG) else ANCHOR_FILE_MAX_BYTES):
        raise ConfigError(str(path), f"larger than {ANCHOR_FILE_MAX_BYTES} bytes, or than any statement")
    return raw


def _unsigned(raw: bytes, path: Path) -> list[Anchor]:
    try:
        items = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(path), f"no JSON: {error}") from error
    if not isinstance(items, list):
        raise ConfigError(str(path), "not a list of anchors")
    if not items:
        raise ConfigError(str(path), "holds no anchor; leave --anchor out, or name the file that was kept elsewhere")
    anchors = [_anchor(item, f"{path}: anchor {index + 1}") for index, item in enumerate(items)]
    if len({anchor.device for anchor in anchors}) != len(anchors):
        raise ConfigError(str(path), "one device has two anchors; keep the newest")
    return anchors


def _anchor(item: object, where: str) -> Anchor:
    if not isinstance(item, dict) or not set(item) - {"signature"} == {"device", "seq", "content_hash", "count"}:
        raise ConfigError(where, "fields are not device, seq, content_hash, count")
    device, seq, digest, count = item["device"], item["seq"], item["content_hash"], item["count"]
    if not isinstance(device, str) or not set(device) <= set(limits.DEVICE_CHARACTERS):
        raise ConfigError(where, "device is no device id")
    if type(seq) is not int or type(count) is not int or not isinstance(digest, str):
        raise ConfigError(where, "a field has another type")
    try:
        content_hash = bytes.fromhex(digest)
    except ValueError as error:
        raise ConfigError(where, "content_hash is no hex") from error
    if len(content_hash) != limits.HASH_BYTES or seq < 1 or count < 1:
        raise ConfigError(where, "content_hash, seq or count out of range")
    return Anchor(device, seq, content_hash, count)
