"""Writes a bundle for a period from a ledger (bridge/BUNDLE.md): rows go from one snapshot to the file, memory is flat.

Nothing is judged here: what is in the ledger goes along as it is, and `evidence verify` says what it is worth.

    with whole_file(path) as file: summary = write_bundle(file, ledger, keys_raw, start_utc_ms, end_utc_ms)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import rfc8785
from acqwire import limits

from plumeproof import __version__
from plumeproof.bundle.anchors import LINES, SIGNATURE, Sign, lines_of, reach_of
from plumeproof.bundle.batches import batch_of
from plumeproof.bundle.clock_orders import ORDERS, order_lines
from plumeproof.bundle.columns import ROW_NAMES, build_columns, columns_of
from plumeproof.bundle.figure_columns import NAMES as FIGURE_NAMES
from plumeproof.bundle.figure_columns import build_figures
from plumeproof.bundle.zip import NAME, BundleWriter
from plumeproof.errors import ConfigError, StoreError
from plumeproof.evidence.averaging import ORDER
from plumeproof.evidence.envelope import claimed_payload
from plumeproof.keys import parse_keys
from plumeproof.rules.figure import ENGINE_VERSION
from plumeproof.store.bundle_rows import BundleRows

FORMAT = 2
PART_BYTES = 64 * 1024 * 1024  # of envelopes in one member
DAY_MS = 86_400_000
SEQ_DIGITS = 19
PARAMETERS_KEY = 12  # of a record's payload: hash of its parameter set (acqwire.fields)


@dataclass(slots=True)
class _Device:
    """What the manifest says of a module, gathered while its rows pass."""

    device: str
    first_seq: int
    last_seq: int
    record_count: int = 0
    head_hash: str = ""
    average_count: int = 0
    parameters: set[bytes] = field(default_factory=set)


def write_bundle(
    file: BinaryIO,
    ledger: Path,
    keys_raw: bytes,
    period_utc_ms: tuple[int, int],
    tick: Callable[[int], object] = lambda count: None,
    sign: Sign | None = None,
    begin: Callable[[int], object] = lambda count: None,
) -> dict[str, Any]:
    """Write it and return the manifest; `sign` makes its signature where there is a key. `tick` is told of records:
    half of each with the averages, half with its envelope; `begin` before, of how many at most. Raises StoreError,
    ConfigError."""
    rows = BundleRows(ledger)
    try:
        export = _Export(file, rows, keys_raw, period_utc_ms, tick, sign)
        begin(export.record_count)
        return export.run()
    finally:
        rows.close()


class _Export:
    def __init__(
        self,
        file: BinaryIO,
        rows: BundleRows,
        keys_raw: bytes,
        period_utc_ms: tuple[int, int],
        tick: Callable[[int], object],
        sign: Sign | None,
    ) -> None:
        self._sign = sign
        self._rows = rows
        self._period = period_utc_ms
        self._tick, self._halves = tick, 0
        self._writer = BundleWriter(file)
        self._keys_raw = keys_raw
        self._documents: dict[bytes, str] = {}  # hash to kind
        self._devices: list[_Device] = []
        self._anchors = rows.anchors(*period_utc_ms)
        found = {device: rows.seqs(device, *period_utc_ms) for device in rows.devices()}
        reached = reach_of(self._anchors, {device: seqs for device, seqs in found.items() if seqs is not None})
        for device, seqs in sorted(reached.items(), key=lambda one: f"{one[0]}/"):  # as names of members are ordered
            if not NAME.fullmatch(device):
                raise ConfigError(f"module {device}", "its id cannot name a member of a bundle; it begins with a sign")
            self._devices.append(_Device(device, *seqs))
        if not self._devices:
            raise ConfigError(str(rows.path), "has no record of this period; name another with --from and --to")

    @property
    def record_count(self) -> int:
        """At most, while none is written."""
        return sum(own.last_seq - own.first_seq + 1 for own in self._devices)

    def _pass(self, halves: int) -> None:
        """Tell of whole records."""
        count, self._halves = divmod(self._halves + halves, 2)
        if count:
            self._tick(count)

    def run(self) -> dict[str, Any]:
        """The members in ascending order of their names, the manifest last."""
        self._add_lines(LINES, lines_of(self._anchors))
        start, end = self._period
        days = range(start - start % DAY_MS, end, DAY_MS)
        for own in self._devices:
            count = own.last_seq - own.first_seq + 1
            for number, day in enumerate(days):
                self._add_averages(own, day)
                self._pass(count * (number + 1) // len(days) - count * number // len(days))
        self._add_lines(ORDERS, order_lines(self._rows.clock_orders(*self._period)))
        for own in self._devices:
            self._add_envelopes(own)
        for plant in sorted(self._rows.plants(), key=lambda one: f"{one}/"):
            for day in range(start - start % DAY_MS, end, DAY_MS):
                self._add_figures(plant, day)
        self._writer.add("data/keys.json", [self._keys_of_devices()])
        for parameters_hash in sorted(set().union(*(own.parameters for own in self._devices))):
            raw = self._rows.parameter_set(parameters_hash)
            if raw is not None:  # a record whose set never came whole is named by who verifies
                self._writer.add(f"data/parameters/{parameters_hash.hex()}.json", [raw])
        for kind, folder in (("plant", "plants"), ("rule_set", "rules")):
            if kind == "rule_set":
                self._add_lines("data/receipts.jsonl", self._receipts())
            for digest in sorted(one for one, of in self._documents.items() if of == kind):
                document = self._rows.document(digest)
                if document is None:
                    raise StoreError(f"{self._rows.path}: the {kind} {digest.hex()[:16]} of a figure is not stored")
                self._writer.add(f"data/{folder}/{digest.hex()}.json", [document.raw])
        manifest = self._manifest()
        raw = rfc8785.dumps(manifest)
        if self._sign is not None:
            newest = self._anchors[-1].number if self._anchors else 0
            self._writer.add(SIGNATURE, [self._sign(newest, hashlib.sha256(raw).digest())])
        self._writer.add("manifest.json", [raw])
        self._writer.add("manifest.sha256", [hashlib.sha256(raw).hexdigest().encode()])
        self._writer.finish()
        return manifest

    def _manifest(self) -> dict[str, Any]:
        members = zip(self._writer.members, self._writer.digests, strict=True)
        names = ("device", "first_seq", "last_seq", "record_count", "head_hash", "average_count")
        return {
            "format": FORMAT,
            "period_utc_ms": list(self._period),
            "bridge": __version__,
            "engine": ENGINE_VERSION,
            "summation": ORDER,
            "devices": [{name: getattr(own, name) for name in names} for own in self._devices],
            "members": [[one.name, one.size, digest.hex()] for one, digest in members],
        }

    def _add_lines(self, name: str, lines: Iterable[dict[str, Any]]) -> None:
        """A member of one RFC 8785 object a line; none where there is no line."""
        pieces = (rfc8785.dumps(line) + b"\n" for line in lines)
        first = next(pieces, None)
        if first is not None:
            self._writer.add(name, _chained(first, pieces))

    def _receipts(self) -> Iterator[dict[str, Any]]:
        """With the averages that a report carried, where all of them may be in the bundle."""
        is_open = self._rows.open_intervals()
        for line, body in self._rows.receipts(*self._period):
            batch = None if body is None else batch_of(body)
            if batch is not None and not any(
                (line["module"], batch["interval_s"], run[2]) in is_open for run in batch["runs"]
            ):
                line["batch"] = batch
            yield line

    def _add_averages(self, own: _Device, day: int) -> None:
        """An interval divides the UTC day, so each stands in one day."""
        start, end = max(day, self._period[0]), min(day + DAY_MS, self._period[1])
        rows = self._rows.averages(own.device, ROW_NAMES, start, end)
        if not rows:
            return
        own.average_count += len(rows)
        try:
            raw = build_columns(columns_of(rows))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            told = f"an average of {own.device} in the day from {day} that no bridge wrote: {error}"
            raise StoreError(f"{self._rows.path}: {told}; see `plumeproof verify`") from error
        self._writer.add(f"data/averages/{own.device}/{day:0{SEQ_DIGITS}}.cbor", [raw])

    def _add_figures(self, plant: str, day: int) -> None:
        """Those that begin on a day of UTC."""
        start, end = max(day, self._period[0]), min(day + DAY_MS, self._period[1])
        rows = self._rows.figures(plant, FIGURE_NAMES, start, end, self._period[1])
        if not rows:
            return
        for at, kind in ((FIGURE_NAMES.index("plant_hash"), "plant"), (FIGURE_NAMES.index("rule_hash"), "rule_set")):
            self._documents |= dict.fromkeys({row[at] for row in rows}, kind)
        try:
            raw = build_figures(rows)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            told = f"a figure of {plant} in the day from {day} that no bridge wrote: {error}"
            raise StoreError(f"{self._rows.path}: {told}") from error
        self._writer.add(f"data/figures/{plant}/{day:0{SEQ_DIGITS}}.cbor", [raw])

    def _add_envelopes(self, own: _Device) -> None:
        rows = self._rows.envelopes(own.device, own.first_seq, own.last_seq)
        held = next(rows, None)
        while held is not None:
            part = _Part(held, rows)
            self._writer.add(f"data/envelopes/{own.device}/{held[0]:0{SEQ_DIGITS}}.cbor", self._noted(own, part))
            held = part.behind

    def _noted(self, own: _Device, part: _Part) -> Iterator[bytes]:
        named, at, length = b"", -1, 0
        for seq, content_hash, raw in part:
            if own.record_count == 0:
                own.first_seq = seq
            own.last_seq, own.head_hash = seq, content_hash.hex()
            own.record_count += 1
            # Most name the set of the one before at the same place, and are not taken apart for it
            if at < 0 or not raw.startswith(named, at) or len(raw) != length:
                found = claimed_payload(raw).get(PARAMETERS_KEY)
                named = found if isinstance(found, bytes) and len(found) == limits.HASH_BYTES else b""
                at, length = raw.find(named) if named else -1, len(raw)
                own.parameters |= {named} if named else set()
            self._pass(1)
            yield raw

    def _keys_of_devices(self) -> bytes:
        """The entries of the registry for these modules and for anchors, revoked ones too."""
        parse_keys(self._keys_raw, "keys")
        devices = {own.device for own in self._devices}
        kept = [one for one in json.loads(self._keys_raw) if one["device"] in devices or one["purpose"] == "anchor"]
        return rfc8785.dumps(kept)


class _Part:
    """Rows of one member; `behind`: the first of the next."""

    def __init__(self, first: tuple[int, bytes, bytes], rows: Iterator[tuple[int, bytes, bytes]]) -> None:
        self._first = first
        self._rows = rows
        self.behind: tuple[int, bytes, bytes] | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes, bytes]]:
        size = len(self._first[2])
        yield self._first
        for row in self._rows:
            size += len(row[2])
            if size > PART_BYTES:
                self.behind = row
                return
            yield row


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
