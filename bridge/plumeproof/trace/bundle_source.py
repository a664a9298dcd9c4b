"""The port of a trace over a bundle (bridge/BUNDLE.md): the same way down on a machine that never saw the plant.

Every member that is asked for is held against the SHA-256 that manifest.json names for it, and read strictly. Of
records a few numbers each are kept; decoded are those that are asked for.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from acqwire import fields, limits

from plumeproof.bundle.arrays import MEMBER_MAX_BYTES as COLUMNS_MAX_BYTES
from plumeproof.bundle.columns import Columns, parse_columns, rows_of
from plumeproof.bundle.figure_columns import FigureColumns, parse_figures
from plumeproof.bundle.records import WITH_SLOTS, Window
from plumeproof.bundle.zip import Member, read_member, read_members, read_whole
from plumeproof.envelope_sequence import read_sequence
from plumeproof.errors import EvidenceError
from plumeproof.evidence.envelope import build_sig_structure, claimed_payload, decode_untagged
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import Strip, open_slots
from plumeproof.figure_ids import Wanted
from plumeproof.model import Average, StoredRecord
from plumeproof.rules.calendar import DAY_MS, MINUTE_MS
from plumeproof.rules.figure import LEVELS, SHORT_TERM, Figure
from plumeproof.store.figures import figure_of
from plumeproof.store.trace_rows import ROWS_MAX
from plumeproof.trace.source import PARTS_ASKED

MANIFEST_MAX_BYTES = 64 * 1024 * 1024  # as bundle/checking.py reads it
SMALL_MAX_BYTES = 4 * 1024 * 1024  # keys, parameter set, plant description, rule set
KEYS = "data/keys.json"
NEVER = -1  # a record without slots, or without time
INT_MAX = 2**63 - 1


class BundleSource:
    """A bundle file. One thread. Raises EvidenceError: a member that is not what the manifest names, or has no form."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.faults: dict[tuple[str, int], str] = {}
        self._file: BinaryIO = path.open("rb")
        self._sets: dict[bytes, ParameterSet | None] = {}
        self._broken_set: EvidenceError | None = None
        self._parts: dict[str, npt.NDArray[np.int64]] = {}  # by member: seq, place, size, kind, begin, end
        self._columns: tuple[str, Columns] | None = None  # the last that were read
        self._figures: tuple[str, FigureColumns] | None = None
        try:
            self._members = read_members(self._file)
            self._digests = self._read_manifest()
        except EvidenceError:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def keys(self) -> bytes:
        """The registry that came with the bundle: good for whoever trusts the bundle's giver."""
        return self._small(KEYS)

    # Members

    def _read_manifest(self) -> dict[str, str]:
        for name in ("manifest.json", "manifest.sha256"):
            if name not in self._members:
                raise EvidenceError("member_missing", f"{name} is not there")
        raw = read_whole(self._file, self._members["manifest.json"], MANIFEST_MAX_BYTES)
        if read_whole(self._file, self._members["manifest.sha256"], 64) != hashlib.sha256(raw).hexdigest().encode():
            raise EvidenceError("manifest", "manifest.json has another SHA-256 than manifest.sha256 says")
        try:
            return {name: digest for name, _, digest in json.loads(raw)["members"]}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise EvidenceError("manifest", "manifest.json is no manifest of a bundle") from error

    def _is_as_named(self, member: Member) -> bool:
        digest = hashlib.sha256()
        for piece in read_member(self._file, member):
            digest.update(piece)
        return digest.hexdigest() == self._digests.get(member.name)

    def _small(self, name: str, maximum: int = SMALL_MAX_BYTES) -> bytes:
        if name not in self._members:
            raise EvidenceError("member_missing", f"{name} is not there")
        raw = read_whole(self._file, self._members[name], maximum)
        if hashlib.sha256(raw).hexdigest() != self._digests.get(name):
            raise EvidenceError("member", f"{name} is not what manifest.json names: a byte was changed")
        return raw

    def _below(self, folder: str) -> list[str]:
        """Names of the members of a folder, ascending."""
        return [name for name in self._members if name.startswith(f"data/{folder}/")]

    def _days(self, folder: str, around_utc_ms: tuple[int, int] | None) -> list[str]:
        """Of those that are named by a day, the ones whose day touches [first, end)."""
        first, end = around_utc_ms or (0, INT_MAX)
        return [name for name in self._below(folder) if first - DAY_MS < _number(name) < end]

    # Figures

    def figures(self, wanted: Wanted) -> list[Figure]:
        """Where no level is named, the longer ones come first."""
        period = wanted.period
        is_level = period is None or period in LEVELS
        length_ms = None if is_level or period is None else int(period.removesuffix("min")) * MINUTE_MS
        levels = tuple(reversed(LEVELS)) if period is None else (period if is_level else SHORT_TERM,)
        first, end = wanted.around_utc_ms or (0, INT_MAX)
        found: dict[str, list[Figure]] = {level: [] for level in levels}
        for name in self._days("figures", wanted.around_utc_ms):
            columns = self._figure_columns(name)
            start, until = columns.arrays["start_utc_ms"], columns.arrays["end_utc_ms"]
            is_newest = np.append(columns.begins()[1:], True)
            is_near = is_newest & (start >= first) & (start < end)
            if length_ms is not None:
                is_near &= until - start == length_ms
            for level in levels:
                room = ROWS_MAX - len(found[level])
                chosen = np.flatnonzero(is_near & (columns.arrays["level"] == columns.text(level)))
                fitting = (one for one in map(figure_of, columns.rows(chosen)) if _has(one, wanted.words))
                found[level] += [one for one, _ in zip(fitting, range(room), strict=False)]
        return [one for level in levels for one in found[level]][:ROWS_MAX]

    def figures_at(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        found: dict[tuple[Any, ...], Figure] = {}
        for one in self._figures_from(plant, start_utc_ms):
            if (one.level, one.end_utc_ms) == (level, end_utc_ms):
                found[one.place] = one  # the last revision stays
        return list(found.values())

    def revisions(self, figure: Figure) -> list[Figure]:
        return [one for one in self._figures_from(figure.plant, figure.start_utc_ms) if one.place == figure.place]

    def _figures_from(self, plant: str, start_utc_ms: int) -> Iterator[Figure]:
        """All revisions of those that begin at an instant."""
        for name in self._days(f"figures/{plant}", (start_utc_ms, start_utc_ms + 1)):
            columns = self._figure_columns(name)
            yield from map(figure_of, columns.rows(np.flatnonzero(columns.arrays["start_utc_ms"] == start_utc_ms)))

    def _figure_columns(self, name: str) -> FigureColumns:
        if self._figures is None or self._figures[0] != name:
            self._figures = name, parse_figures(self._small(name, COLUMNS_MAX_BYTES), name.split("/")[2])
        return self._figures[1]

    # Averages

    def averages(
        self, device: str | None, channel: str | None, interval_s: int, around_utc_ms: tuple[int, int]
    ) -> list[Average]:
        first, end = around_utc_ms
        found: list[Average] = []
        for name in self._days("averages" if device is None else f"averages/{device}", around_utc_ms):
            columns = self._columns_of(name)
            start = columns.arrays["start_utc_ms"]
            is_meant = (columns.arrays["interval_s"] == interval_s) & (start >= first) & (start < end)
            for rows in rows_of(columns, np.flatnonzero(is_meant).tolist()):
                found += [_average(name.split("/")[2], row) for row in rows if channel in (None, row["channel"])]
                if len(found) >= ROWS_MAX:
                    return found[:ROWS_MAX]
        return found

    def intervals(self, device: str) -> list[int]:
        found: set[int] = set()
        for name in self._below(f"averages/{device}"):
            found.update(self._columns_of(name).arrays["interval_s"].tolist())
        return sorted(found)

    def _columns_of(self, name: str) -> Columns:
        if self._columns is None or self._columns[0] != name:
            self._columns = name, parse_columns(self._small(name, COLUMNS_MAX_BYTES))
        return self._columns[1]

    # Documents

    def document(self, digest: bytes) -> bytes | None:
        for folder in ("plants", "rules"):
            if (name := f"data/{folder}/{digest.hex()}.json") in self._members:
                return self._small(name)
        return None

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        name = f"data/parameters/{parameters_hash.hex()}.json"
        if name not in self._members:
            return None
        raw = self._small(name)
        return raw if hashlib.sha256(raw).digest() == parameters_hash else None

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            try:
                raw = self.parameter_set(parameters_hash)
                self._sets[parameters_hash] = None if raw is None else parse_parameters(raw, parameters_hash)
            except EvidenceError as error:  # open_slots would say it of every record, and never end
                self._broken_set, self._sets[parameters_hash] = error, None
        return self._sets[parameters_hash]

    # Records

    def devices(self) -> list[str]:
        return sorted({name.split("/")[2] for name in self._below("envelopes")})

    def of_period(self, devices: Sequence[str], start_utc_ms: int, end_utc_ms: int) -> dict[str, list[Strip]]:
        found: dict[str, list[Strip]] = {}
        for device in devices:
            found[device] = []
            for name in self._below(f"envelopes/{device}"):
                part = self._part(name)
                chosen = part[(part[:, 4] < end_utc_ms) & (part[:, 5] > start_utc_ms)]
                rows = [_row(device, one, self._bytes_at(name, one)) for one in chosen]
                opened = open_slots([row for row in rows if row is not None], self._parameters)
                if self._broken_set is not None:
                    raise self._broken_set
                found[device] += [one.strip for _, one in sorted(opened.items()) if one.strip is not None]
                for seq in chosen[:, 0].tolist():
                    if seq not in opened or opened[seq].strip is None:
                        told = opened[seq].reason if seq in opened else "cbor"
                        self.faults.setdefault((device, seq), f"{told}: it cannot be read ({name})")
        return found

    def envelope(self, device: str, seq: int) -> bytes | None:
        name = self._member_of(device, seq)
        if name is None:
            return None
        part = self._part(name)
        at = int(np.searchsorted(part[:, 0], seq))
        return self._bytes_at(name, part[at]) if at < len(part) and part[at, 0] == seq else None

    def parts_before(self, device: str, seq: int) -> list[int]:
        found: list[int] = []
        for name in reversed(self._below(f"envelopes/{device}")):
            if _number(name) < seq and len(found) < PARTS_ASKED:
                part = self._part(name)
                found += part[(part[:, 0] < seq) & (part[:, 3] == fields.KIND_PARAMETERS), 0][::-1].tolist()
        return found[:PARTS_ASKED]

    def _member_of(self, device: str, seq: int) -> str | None:
        names = self._below(f"envelopes/{device}")
        at = bisect_right([_number(name) for name in names], seq)
        return names[at - 1] if at else None

    def _bytes_at(self, name: str, row: npt.NDArray[np.int64]) -> bytes:
        self._file.seek(self._members[name].offset + int(row[1]))
        return self._file.read(int(row[2]))

    def _part(self, name: str) -> npt.NDArray[np.int64]:
        """Where the records of a member stand. One that does not say its seq is taken for the one that is due."""
        if name in self._parts:
            return self._parts[name]
        member, device = self._members[name], name.split("/")[2]
        names = self._below(f"envelopes/{device}")
        behind = names[names.index(name) + 1 :]
        end = _number(behind[0]) if behind else INT_MAX
        due = _number(name)
        rows: list[tuple[int, ...]] = []
        if not self._is_as_named(member):
            self.faults[device, due] = f"member: {name}, which begins with it, is not what manifest.json names"
        for item in read_sequence(cast(BinaryIO, Window(self._file, member.offset, member.size))):
            payload = claimed_payload(item.raw) if item.raw else {}
            seq: Any = payload.get(fields.SEQ)
            is_own = payload.get(fields.DEVICE) == device and isinstance(seq, int) and due <= seq < end
            if not is_own:
                self.faults[device, due] = f"row: what stands in its place in {name} is another, or no record"
            elif seq != due:
                self.faults[device, due] = f"hole: seq {due} to {seq - 1} are not there, where they are due in {name}"
            own = seq if is_own else due
            kind = payload.get(fields.KIND)
            kind = kind if isinstance(kind, int) and 0 <= kind <= INT_MAX else 0
            place, size = int(item.place), len(item.raw) or item.rubbish_bytes
            rows.append((own, place, size, kind, *_span(payload, kind)))
            due = own + 1
        self._parts[name] = np.array(rows, np.int64).reshape(-1, 6)
        return self._parts[name]


def _number(name: str) -> int:
    """First seq, or day, that the name of a member says."""
    text = name.rsplit("/", 1)[-1].removesuffix(".cbor")
    if not text.isdecimal() or len(text) > 19:
        raise EvidenceError("member_name", f"{name} is no name of a member of a bundle")
    return int(text)


def _has(one: Figure, words: tuple[str, ...]) -> bool:
    return all(word in (one.plant, one.measurand, one.layer, one.rule_set) for word in words)


def _average(device: str, row: dict[str, Any]) -> Average:
    values = {name: value for name, value in row.items() if name != "summation"}
    values |= {"device": device, "order": row["summation"], "n_invalid": tuple(sorted(row["n_invalid"].items()))}
    values |= {name: bytes.fromhex(row[name]) for name in ("head_hash", "parameters_hash")}
    return Average(**values)


def _span(payload: dict[Any, Any], kind: int) -> tuple[int, int]:
    """[first, end) of the slots that a record claims, as strips.py places them; NEVER where it has none."""
    names = (fields.UTC_MS, fields.MONO_MS, fields.FIRST_SLOT_MONO_MS, fields.SLOT_COUNT, fields.SLOT_MS)
    numbers = [payload.get(name, NEVER) for name in names]
    if kind not in WITH_SLOTS or not all(isinstance(one, int) and 0 <= one <= INT_MAX for one in numbers):
        return NEVER, NEVER
    utc_ms, mono_ms, first_mono_ms, count, slot_ms = numbers
    first = utc_ms - (mono_ms - first_mono_ms)
    end = first + count * slot_ms
    return (first, end) if 0 <= first and end <= limits.UTC_PLAUSIBLE_UNTIL_MS else (NEVER, NEVER)


def _row(device: str, row: npt.NDArray[np.int64], raw: bytes) -> StoredRecord | None:
    """As a ledger would have it. Its own hash says nothing: who asks for records verifies their signatures."""
    try:
        parts = decode_untagged(raw[1:], EvidenceError)
        content_hash = hashlib.sha256(build_sig_structure(parts[0], parts[2])).digest()
        boot = claimed_payload(raw)[fields.BOOT]
    except (EvidenceError, TypeError, IndexError, KeyError):
        return None
    return StoredRecord(0, device, int(row[0]), int(row[3]), boot, content_hash, None, 0, raw)
