"""Checks a bundle on a machine that never saw the plant: container, manifest, keys, every record, every average.

Nothing in the file is trusted. What it says is read with limits, compared, or computed again from signed records;
every fault is a finding with member, module and seq. Figures of plants are figures.py.

    check = BundleCheck(file); findings = list(check.run()); check.verdict()
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from io import SEEK_END
from typing import TYPE_CHECKING, Any, BinaryIO

import rfc8785
from acqwire import limits

from plumeproof.anchors import KeptStatement
from plumeproof.bundle.ahead import SignaturesAhead
from plumeproof.bundle.anchors import LINES, LINES_MAX_BYTES, SIGNATURE, BundleAnchors
from plumeproof.bundle.arrays import MEMBER_MAX_BYTES as COLUMNS_MAX_BYTES
from plumeproof.bundle.averages import Compared, compare_day
from plumeproof.bundle.batches import AverageReader
from plumeproof.bundle.clock_orders import ORDERS, read_orders
from plumeproof.bundle.columns import parse_columns
from plumeproof.bundle.figure_columns import FigureColumns, parse_figures
from plumeproof.bundle.figures import FigureCheck
from plumeproof.bundle.receipts import ReceiptCheck
from plumeproof.bundle.records import RecordCheck
from plumeproof.bundle.strips import Run
from plumeproof.bundle.writing import DAY_MS, FORMAT, SEQ_DIGITS
from plumeproof.bundle.zip import Member, read_member, read_members, read_whole
from plumeproof.errors import BridgeError, ConfigError, EvidenceError
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.statement import STATEMENT_MAX_BYTES
from plumeproof.evidence.strips import Strip
from plumeproof.inspection import Finding
from plumeproof.keys import FILE_MAX_BYTES, TEST_KIDS, KeyFile, parse_keys

if TYPE_CHECKING:
    from plumeproof.delivery.answers import PublicKeys
    from plumeproof.time_stamp import Certificates

MANIFEST_MAX_BYTES = 64 * 1024 * 1024  # MEMBERS_MAX of them with their hashes
DOCUMENT_MAX_BYTES = 256 * 1024  # plant description, rule set
DAY_NAME = re.compile(rf"[0-9]{{{SEQ_DIGITS}}}\.cbor")
MANIFEST_KEYS = {"format", "period_utc_ms", "bridge", "engine", "summation", "devices", "members"}
DEVICE_KEYS = {"device", "first_seq", "last_seq", "record_count", "head_hash", "average_count"}
FOLDERS = {"averages": 4, "envelopes": 4, "figures": 4, "parameters": 3, "plants": 3, "rules": 3}  # parts of a name
FILES = {LINES, ORDERS, "data/keys.json", "data/receipts.jsonl", SIGNATURE, "manifest.json", "manifest.sha256"}
NEEDED = ("data/keys.json", "manifest.json", "manifest.sha256")


@dataclass(slots=True)
class Counts:
    """What was checked, for the verdict."""

    records_verified: int = 0
    averages_equal: int = 0
    averages_superseded: int = 0  # older revisions: there, in order, not computed again
    figures_equal: int = 0
    figures_superseded: int = 0
    figures_not_recomputed: dict[str, int] = field(default_factory=dict)  # level to count
    findings: int = 0


class BundleCheck:
    """One bundle. `registry`: keys that you have from elsewhere; None: those of the bundle itself, and it is said."""

    def __init__(
        self,
        file: BinaryIO,
        registry: KeyFile | None = None,
        allow_test_keys: bool = False,
        tick: Callable[[int], object] = lambda count: None,
        kept: Sequence[KeptStatement] = (),
        certificates: Certificates = (),
        platform_keys: PublicKeys | None = None,
    ) -> None:
        """`kept`: anchors from a keeper; `certificates`: of time-stamp authorities; `platform_keys`: of receipts."""
        self.receipts = ReceiptCheck(platform_keys)
        self._kept, self._certificates = kept, certificates
        self.anchors: BundleAnchors | None = None
        self._file = file
        self._registry = registry
        self._allow_test_keys = allow_test_keys
        self._tick = tick
        self.has_own_keys = registry is not None
        self.manifest: dict[str, Any] = {}
        self._is_stated = False  # the manifest has its form
        self.manifest_hash = ""
        self.counts = Counts()
        self.reach: dict[str, tuple[int, int] | None] = {}  # of the short terms of plants
        self._members: dict[str, Member] = {}
        self._sets: dict[bytes, ParameterSet] = {}
        self._compared: dict[str, Compared] = {}  # by member, of averages
        self._refused: dict[str, str] = {}  # by member, why it is none
        self._checked: dict[str, bytes] = {}  # by member of figures, SHA-256 of what was read strictly

    def run(self) -> Iterator[Finding]:
        """Every finding. What makes the rest unreadable ends it."""
        with ExitStack() as stack:
            for finding in self._steps(stack):
                self.counts.findings += 1
                yield finding

    @property
    def record_count(self) -> int | None:
        """As the manifest states it, once it was read: what `tick` comes to."""
        devices = self.manifest.get("devices") if self._is_stated else None
        return None if devices is None else sum(one["record_count"] for one in devices)

    @property
    def is_fine(self) -> bool:
        """No finding, and something was there to be verified."""
        return self.counts.findings == 0 and self.counts.records_verified > 0

    def _steps(self, stack: ExitStack) -> Iterator[Finding]:
        signatures = stack.enter_context(closing(SignaturesAhead(self._file.seek(0, SEEK_END))))
        try:
            self._members = read_members(self._file)
            missing = [name for name in NEEDED if name not in self._members]
            if missing:
                raise EvidenceError("member_missing", f"{missing[0]} is not there")
            yield from self._check_hashes()
            self._read_manifest()
            keys = self._read_keys()
        except EvidenceError as error:
            yield Finding(error.code, None, None, "bundle", error.detail)
            return
        except ConfigError as error:
            yield Finding("keys", None, None, "data/keys.json", error.reason)
            return
        if not self._allow_test_keys:
            for entry in keys.entries:
                if entry.kid.hex() in TEST_KIDS:
                    told = f"{entry.device}: kid {entry.kid.hex()} is a published test key, everybody can sign with it"
                    yield Finding("test_key", entry.device, None, "data/keys.json", told)
        yield from self._check_sets()
        records = RecordCheck(self._file, keys, self._sets, self._tick, signatures)
        try:
            self.anchors = self._read_anchors(keys)
        except EvidenceError as error:
            yield Finding(error.code, None, None, "bundle", error.detail)
            return
        records.inspector.state(self.anchors.anchors)
        yield from self.anchors.findings()
        runs: list[Run] = []
        for stated in self.manifest["devices"]:
            device = stated["device"]
            members = [self._members[name] for name in self._named(f"envelopes/{device}")]
            runs.append(records.open(stated, members, partial(self._compare_day, device)))
        documents, plants = self._plants()
        # Each module once: its records are verified as the figures ask for them, and decoded for both at once
        is_plain = len({run.device for run in runs}) == len(runs)
        ahead = {plant: self._figures_ahead(plant, members, documents, records, runs)
                 for plant, members in plants.items() if is_plain}  # fmt: skip
        for run in runs:
            yield from run.finish()
        inspector = records.inspector
        self.counts.records_verified = inspector.verified_count
        for finding in inspector.finish():
            # What lies before the period is not in the bundle; where it begins was compared with the manifest
            begins = {one["device"]: one["first_seq"] for one in self.manifest["devices"]}
            if not (finding.code == "hole" and finding.seq == 1 and begins.get(finding.device, 1) > 1):
                yield finding
        for name in self._named("envelopes"):
            if name.split("/")[2] not in {one["device"] for one in self.manifest["devices"]}:
                yield Finding("manifest_device", None, None, name, "is of a module that the manifest does not name")
        yield from self._check_averages()
        for name in self._named("figures"):
            if not _is_of_day(name):
                yield Finding("figure_form", None, None, name, "is of no day")
        for plant, own in plants.items():
            done = ahead.get(plant)
            if done is not None and all(run.is_usable for run in runs):
                self._count_figures(plant, done)
            else:  # not all right, or not all that it rests on had come: now everything is verified
                yield from self._check_figures(plant, own, documents, records.strips)
        yield from self._check_receipts()

    def _named(self, folder: str) -> list[str]:
        return [name for name in self._members if name.startswith(f"data/{folder}/") and _is_known(name)]

    def _check_hashes(self) -> Iterator[Finding]:
        raw = read_whole(self._file, self._members["manifest.json"], MANIFEST_MAX_BYTES)
        digest = hashlib.sha256(raw).hexdigest()
        if read_whole(self._file, self._members["manifest.sha256"], 64) != digest.encode():
            raise EvidenceError("manifest", "manifest.json is not what manifest.sha256 names")
        self.manifest_hash = digest
        try:
            self.manifest = json.loads(raw)
            same = rfc8785.dumps(self.manifest) == raw
            stated = {name: (size, digest) for name, size, digest in self.manifest["members"]}
        except (ValueError, TypeError, KeyError, RecursionError, rfc8785.CanonicalizationError) as error:
            raise EvidenceError("manifest", "manifest.json is no manifest") from error
        if not same:
            raise EvidenceError("manifest", "manifest.json is not in its RFC 8785 form")
        for name in sorted(stated.keys() - self._members.keys()):
            yield Finding("member_missing", None, None, str(name)[:260], "is in the manifest and not in the bundle")
        for name, member in self._members.items():
            crc, told = 0, hashlib.sha256()
            for piece in read_member(self._file, member):
                crc = zlib.crc32(piece, crc)
                told.update(piece)
            if crc != member.crc:
                yield Finding("crc", None, None, name, "its content has another CRC-32 than its head says")
            if not _is_known(name):
                yield Finding("member_unknown", None, None, name, "is no member of a bundle")
            if name.startswith("manifest."):
                continue
            if name not in stated:
                yield Finding("member_unknown", None, None, name, "is not in the manifest")
            elif stated[name] != (member.size, told.hexdigest()):
                yield Finding("member", None, None, name, "has other bytes than the manifest names")

    def _read_manifest(self) -> None:
        found = self.manifest
        period, devices = found.get("period_utc_ms"), found.get("devices")
        if set(found) != MANIFEST_KEYS or found["format"] != FORMAT:
            raise EvidenceError("manifest", f"manifest.json is not of format {FORMAT}; update the bridge to read it")
        if not isinstance(period, list) or len(period) != 2 or not all(type(one) is int for one in period):
            raise EvidenceError("manifest", "period_utc_ms is no period")
        if not isinstance(devices, list) or not all(
            isinstance(one, dict) and set(one) == DEVICE_KEYS for one in devices
        ):
            raise EvidenceError("manifest", "devices is no list of modules")
        for one in devices:
            numbers = [one[name] for name in ("first_seq", "last_seq", "record_count", "average_count")]
            if not all(type(number) is int for number in numbers) or not isinstance(one["device"], str):
                raise EvidenceError("manifest", "a module's statement is no statement")
        self._is_stated = True

    def _read_keys(self) -> KeyFile:
        extract = parse_keys(read_whole(self._file, self._members["data/keys.json"], FILE_MAX_BYTES), "data/keys.json")
        return self._registry if self._registry is not None else extract

    def _read_anchors(self, keys: KeyFile) -> BundleAnchors:
        members, read = self._members, partial(read_whole, self._file)
        lines = read(members[LINES], LINES_MAX_BYTES) if LINES in members else b""
        signature = read(members[SIGNATURE], STATEMENT_MAX_BYTES) if SIGNATURE in members else None
        digest = bytes.fromhex(self.manifest_hash)
        orders = read_orders(self._file, members, keys)
        return BundleAnchors(lines, signature, self.manifest, digest, keys, self._kept, self._certificates, orders)

    def _check_sets(self) -> Iterator[Finding]:
        for name in self._named("parameters"):
            try:
                wanted = bytes.fromhex(name.split("/")[-1].removesuffix(".json"))
                raw = read_whole(self._file, self._members[name], limits.PARAMETERS_MAX_BYTES)
                self._sets[wanted] = parse_parameters(raw, wanted)
            except (EvidenceError, ValueError) as error:
                code = f"parameters_{error.code}" if isinstance(error, EvidenceError) else "member_unknown"
                yield Finding(code, None, None, name, f"parameter set: {error}")

    def _compare_day(self, device: str, day_utc_ms: int, strips: Sequence[Strip]) -> None:
        """Told of every day that has slots; a later word about a day counts."""
        name = f"data/averages/{device}/{day_utc_ms:0{SEQ_DIGITS}}.cbor"
        self._refused.pop(name, None)
        if name not in self._members:
            return
        try:
            columns = parse_columns(read_whole(self._file, self._members[name], COLUMNS_MAX_BYTES))
            self._compared[name] = compare_day(device, day_utc_ms, columns, strips)
        except EvidenceError as error:
            self._refused[name] = error.detail

    def _check_averages(self) -> Iterator[Finding]:
        """What the days have given; those without any slot are compared here, with nothing."""
        counted: dict[str, int] = {}
        for name in self._named("averages"):
            _, _, device, day = name.split("/")
            if not _is_of_day(name):
                yield Finding("average_form", device, None, name, "is of no day")
                continue
            if name not in self._compared and name not in self._refused:
                self._compare_day(device, int(day[:SEQ_DIGITS]), ())
            if name in self._refused:
                yield Finding("average_form", device, None, name, self._refused[name])
                continue
            compared = self._compared[name]
            self.counts.averages_equal += compared.equal
            self.counts.averages_superseded += compared.superseded
            counted[device] = counted.get(device, 0) + compared.row_count
            for code, seq, sentence in compared.findings:
                yield Finding(code, device, seq, name, sentence)
        for stated in self.manifest["devices"]:
            if counted.get(stated["device"], 0) != stated["average_count"]:
                device, count = stated["device"], stated["average_count"]
                told = f"{device}: {counted.get(device, 0)} averages; manifest: {count}"
                yield Finding("manifest_device", device, None, "manifest.json", told)

    def _plants(self) -> tuple[dict[str, bytes], dict[str, list[tuple[int, str]]]]:
        """Descriptions and rule sets by member, and of each plant days and members of figures."""
        documents: dict[str, bytes] = {}
        for name in (*self._named("plants"), *self._named("rules")):
            with suppress(EvidenceError):  # too large: whoever needs it says that it is missing
                documents[name] = read_whole(self._file, self._members[name], DOCUMENT_MAX_BYTES)
        plants: dict[str, list[tuple[int, str]]] = {}
        for name in self._named("figures"):
            if _is_of_day(name):
                plants.setdefault(name.split("/")[2], []).append((int(name.split("/")[3][:SEQ_DIGITS]), name))
        return documents, plants

    def _figures_ahead(
        self,
        plant: str,
        members: Sequence[tuple[int, str]],
        documents: dict[str, bytes],
        records: RecordCheck,
        runs: Sequence[Run],
    ) -> FigureCheck | None:
        """A plant whose figures are all found right while its records are verified; None: it is asked again."""
        check = FigureCheck(plant, documents, records.next_strips, tuple(self.manifest["period_utc_ms"]))
        try:
            is_fine = next(check.run(members, partial(self._figure_columns, plant)), None) is None
        except BridgeError:
            is_fine = False
        for run in runs:
            run.forget()
        return check if is_fine else None

    def _check_figures(
        self,
        plant: str,
        members: Sequence[tuple[int, str]],
        documents: dict[str, bytes],
        strips_of: Callable[[str, int, int], list[Strip]],
    ) -> Iterator[Finding]:
        check = FigureCheck(plant, documents, strips_of, tuple(self.manifest["period_utc_ms"]))
        try:
            for place, code, sentence in check.run(members, partial(self._figure_columns, plant)):
                yield Finding(code, None, None, place, sentence)
        except BridgeError as error:
            yield Finding("figure_form", None, None, f"data/figures/{plant}", str(error))
        self._count_figures(plant, check)

    def _count_figures(self, plant: str, check: FigureCheck) -> None:
        self.reach[plant] = check.reach
        self.counts.figures_equal += check.equal
        self.counts.figures_superseded += check.superseded
        for level, count in check.not_recomputed.items():
            known = self.counts.figures_not_recomputed
            known[level] = known.get(level, 0) + count

    def _check_receipts(self) -> Iterator[Finding]:
        name = "data/receipts.jsonl"
        if name not in self._members:
            return
        try:
            lines, averages = read_member(self._file, self._members[name]), AverageReader(self._averages_in)
            for code, sentence in self.receipts.run(lines, self.manifest["period_utc_ms"], averages):
                yield Finding(code, None, None, name, sentence)
        except EvidenceError as error:
            yield Finding("receipt_form", None, None, name, error.detail)

    def _averages_in(self, name: str) -> bytes | None:
        return read_whole(self._file, self._members[name], COLUMNS_MAX_BYTES) if name in self._members else None

    def _figure_columns(self, plant: str, name: str) -> FigureColumns:
        """Of a member. Raises EvidenceError, which names it."""
        raw = read_whole(self._file, self._members[name], COLUMNS_MAX_BYTES)
        digest = hashlib.sha256(raw).digest()
        try:
            found = parse_figures(raw, plant, self._checked.get(name) == digest)
        except EvidenceError as error:
            raise EvidenceError(error.code, f"{name}: {error.detail}") from error
        self._checked[name] = digest
        return found


def _is_of_day(name: str) -> bool:
    day = name.split("/")[3]
    return DAY_NAME.fullmatch(day) is not None and int(day[:SEQ_DIGITS]) % DAY_MS == 0


def _is_known(name: str) -> bool:
    """Whether a bundle has members of such a name."""
    folder, *parts = name.split("/")
    return name in FILES or (folder == "data" and FOLDERS.get(parts[0]) == 1 + len(parts))
