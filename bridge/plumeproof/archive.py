"""Records by time from a ledger or from archived envelopes: an index first, then only what a period needs.

The archive is a ledger file, a CBOR sequence of envelopes (RFC 8742, `plumeproof export envelopes`), or a folder of
such sequences (*.cbor). The index knows where every record with slots stands and when its slots were; it trusts nothing
it read: whoever reads a record through it verifies signature and key, and refuses what is not as the index says.

    archive = Archive(Path("data/ledger.sqlite"))
    index = archive.index(("plume-01",))
    for row in archive.read(index, "plume-01", start_utc_ms, end_utc_ms): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from acqwire import fields, limits

from plumeproof.envelope_sequence import read_sequence
from plumeproof.errors import EvidenceError, StoreError
from plumeproof.evidence.alike import slots_alike, strips_alike
from plumeproof.evidence.envelope import claimed_payload, verify_envelope
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.evidence.strips import Strip, strips_of
from plumeproof.keys import KeyFile
from plumeproof.model import ParametersPart, Record
from plumeproof.store.reader import read_envelopes, read_heads

Integers = npt.NDArray[np.int64]
WITH_SLOTS = (fields.KIND_SAMPLES, fields.KIND_OVERFLOW)
INDEX_RECORDS = 1000  # outlined together
RUN_BYTES = 256 * 1024
READ_RECORDS = 512  # verified and decoded together: whole portions are faster than one by one


@dataclass(frozen=True, slots=True)
class DeviceIndex:
    """Records with slots of one module, by seq: arrays (n,). `file` and `offset` and `length` say where one stands;
    in a ledger `file` is below 0 and seq says it. `sets`: its parameters records, as (file, offset, length)."""

    seq: Integers
    first_utc_ms: Integers
    end_utc_ms: Integers
    file: Integers
    offset: Integers
    length: Integers
    sets: tuple[tuple[int, int, int], ...]

    def within(self, start_utc_ms: int, end_utc_ms: int) -> DeviceIndex:
        """Those with a slot in [start, end)."""
        chosen = (self.first_utc_ms < end_utc_ms) & (self.end_utc_ms > start_utc_ms)
        return DeviceIndex(
            seq=self.seq[chosen],
            first_utc_ms=self.first_utc_ms[chosen],
            end_utc_ms=self.end_utc_ms[chosen],
            file=self.file[chosen],
            offset=self.offset[chosen],
            length=self.length[chosen],
            sets=self.sets,
        )


Index = dict[str, DeviceIndex]


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a period has seen: strips by device in seq order, and a sentence for every record refused."""

    strips: dict[str, list[Strip]]
    findings: tuple[str, ...]
    record_count: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What an index had to leave out: envelopes whose CBOR is no record, and stretches of bytes that are no envelope.
    `first`: "file:offset", or module and seq of a ledger; "" where there is none."""

    count: int = 0
    first: str = ""

    def __str__(self) -> str:
        return f"{self.count:,} records unreadable: first at {self.first}"


class Archive:
    """One place with records. Opened again for every question, so that any process may ask. `unreadable`: of the last
    index, whatever modules it was asked for: nobody knows whose they are."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for what is no archive."""
        self.path = path
        self.files: tuple[Path, ...] = ()
        if path.is_dir():
            self.files = tuple(sorted(path.glob("*.cbor")))
            if not self.files:
                raise StoreError(f"{path}: holds no *.cbor file; `plumeproof export envelopes` writes them")
        elif path.suffix == ".cbor":
            self.files = (path,)
            if not path.is_file():
                raise StoreError(f"{path}: no such file")
        self._sets: dict[bytes, ParameterSet] = {}
        self.unreadable = Unreadable()

    @property
    def is_ledger(self) -> bool:
        """Whether it is a ledger file."""
        return not self.files

    def index(self, devices: Sequence[str], progress: Callable[[int], Any] | None = None) -> Index:
        """Where the records of these modules stand; `progress` is told how many have passed. Sets `unreadable`. Raises
        StoreError."""
        left_out: list[tuple[int, int]] = []
        rows: dict[str, list[tuple[int, ...]]] = {device: [] for device in devices}
        sets: dict[str, list[tuple[int, int, int]]] = {device: [] for device in devices}
        everything = self._everything(devices)
        while portion := list(islice(everything, INDEX_RECORDS)):
            outlines = _outlines([raw for _, _, raw in portion])
            for (file, offset, raw), outline in zip(portion, outlines, strict=True):
                if outline is None:
                    left_out.append((file, offset))
                    continue
                if outline[0] not in rows:
                    continue
                device, kind, *times = outline
                if kind in WITH_SLOTS and times[1] >= 0:
                    rows[device].append((*times, file, offset, len(raw)))
                elif kind == fields.KIND_PARAMETERS:
                    sets[device].append((file, offset, len(raw)))
            if progress is not None:
                progress(len(portion))
        self.unreadable = self._unreadable(left_out, devices)
        return {device: _device_index(rows[device], tuple(sets[device])) for device in devices}

    def devices(self) -> tuple[str, ...]:
        """Every module with a record. Raises StoreError."""
        if self.is_ledger:
            return tuple(head.device for head in read_heads(self.path))
        outlines = (_outline(raw) for _, _, raw in self._everything(()))
        return tuple(sorted({outline[0] for outline in outlines if outline is not None}))

    def read(self, index: Index, keys: KeyFile, start_utc_ms: int, end_utc_ms: int) -> Checked:
        """Verify and decode the records with a slot in [start, end). Raises StoreError."""
        strips: dict[str, list[Strip]] = {}
        findings: list[str] = []
        count = 0
        for device in sorted(index):
            chosen = index[device].within(start_utc_ms, end_utc_ms)
            self._load_sets(device, chosen, keys, findings)
            own: list[Strip] = []
            for first in range(0, len(chosen.seq), READ_RECORDS):
                part = slice(first, first + READ_RECORDS)
                wanted, raws = chosen.seq[part].tolist(), list(self._raw(device, chosen, part))
                alike, rest = strips_alike(raws, keys.public_key, keys.find, self._sets.get)
                fits = [strip for at, (name, strip) in alike.items() if (name, strip.seq) == (device, wanted[at])]
                rest += [at for at, (name, strip) in alike.items() if (name, strip.seq) != (device, wanted[at])]
                records = list(_records(device, [(wanted[at], raws[at]) for at in sorted(rest)], keys, findings))
                count += len(fits) + len(records)
                own += fits + _decoded(records, self._sets, findings)
            strips[device] = _one_each(device, own, findings)
        return Checked(strips, tuple(findings), count)

    def _raw(self, device: str, index: DeviceIndex, part: slice) -> Iterator[bytes]:
        wanted = index.seq[part].tolist()
        if not wanted:
            return
        if self.is_ledger:
            found = dict(read_envelopes(self.path, device, min(wanted), max(wanted)))
            yield from (found.get(seq, b"") for seq in wanted)
            return
        places = zip(index.file[part].tolist(), index.offset[part].tolist(), index.length[part].tolist(), strict=True)
        yield from self._pieces(places)

    def _pieces(self, places: Iterator[tuple[int, int, int]]) -> Iterator[bytes]:
        opened: tuple[int, Any] | None = None
        try:
            for number, offset, lengths in _runs(places):
                if opened is None or opened[0] != number:
                    if opened is not None:
                        opened[1].close()
                    opened = (number, self.files[number].open("rb"))
                opened[1].seek(offset)
                window, at = opened[1].read(sum(lengths)), 0
                for length in lengths:
                    yield window[at : at + length]
                    at += length
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        finally:
            if opened is not None:
                opened[1].close()

    def _everything(self, devices: Sequence[str]) -> Iterator[tuple[int, int, bytes]]:
        if self.is_ledger:
            for number, device in enumerate(devices):
                for seq, raw in read_envelopes(self.path, device, 0, 2**63 - 1):
                    yield -1 - number, seq, raw
            return
        for number, path in enumerate(self.files):
            try:
                with closing(path.open("rb")) as file:
                    for item in read_sequence(file):
                        yield number, int(item.place), item.raw  # empty: bytes that are no envelope
            except OSError as error:
                raise StoreError(f"{path}: {error.strerror}") from error

    def _unreadable(self, left_out: Sequence[tuple[int, int]], devices: Sequence[str]) -> Unreadable:
        if not left_out:
            return Unreadable()
        file, offset = left_out[0]
        place = f"{self.files[file].name}:{offset}" if file >= 0 else f"{devices[-1 - file]} seq {offset}"
        return Unreadable(len(left_out), place)

    def _load_sets(self, device: str, index: DeviceIndex, keys: KeyFile, findings: list[str]) -> None:
        """Parameter sets that the module has sealed, from verified records."""
        parts: dict[bytes, dict[int, bytes]] = {}
        if self.is_ledger:
            kinds = read_envelopes(self.path, device, 0, 2**63 - 1, fields.KIND_PARAMETERS)
            raws: Iterator[bytes] = (raw for _, raw in kinds)
        else:
            raws = self._pieces(iter(index.sets))
        for raw in raws:
            record = _verified(raw, keys, findings, f"{device}, a parameters record")
            if record is None or not isinstance(record.body, ParametersPart):
                continue
            body = record.body
            if body.part_hash in self._sets:
                continue
            known = parts.setdefault(body.part_hash, {})
            known[body.part] = body.part_bytes
            if len(known) == body.parts:
                whole = b"".join(known[number] for number in sorted(known))
                try:
                    self._sets[body.part_hash] = parse_parameters(whole, body.part_hash)
                except EvidenceError as error:
                    findings.append(f"{device}: parameter set {body.part_hash.hex()[:16]}: {error}")


def _runs(places: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, list[int]]]:
    """(file, offset, lengths) of records that follow each other: read at once."""
    number, begin, end, lengths = -1, 0, 0, list[int]()
    for file, offset, length in places:
        if lengths and (file, offset) == (number, end) and end - begin < RUN_BYTES:
            lengths.append(length)
        else:
            if lengths:
                yield number, begin, lengths
            number, begin, lengths = file, offset, [length]
        end = offset + length
    if lengths:
        yield number, begin, lengths


def _outlines(raws: Sequence[bytes]) -> list[tuple[str, int, int, int, int] | None]:
    """`_outline` of many: where one is built as another, only its numbers are read."""
    alike = slots_alike(raws)
    models: dict[int, tuple[str, int, int, int, int] | None] = {}
    found = []
    for number, raw in enumerate(raws):
        if number not in alike:
            found.append(_outline(raw))
            continue
        seq, first, model = alike[number]
        if model not in models:
            models[model] = _outline(raws[model])
        known = models[model]
        if known is None or known[3] < 0:
            found.append(_outline(raw))
        else:
            device, kind, _, known_first, known_end = known
            end = first + known_end - known_first
            found.append((device, kind, seq, first, end) if _is_placed(first, end) else (device, kind, seq, -1, -1))
    return found


def _is_placed(first: int, end: int) -> bool:
    """Whether averaging would place such slots (evidence/strips.py)."""
    return 0 <= first and end <= limits.UTC_PLAUSIBLE_UNTIL_MS


def _outline(raw: bytes) -> tuple[str, int, int, int, int] | None:
    """(device, kind, seq, first slot UTC ms, end UTC ms) of an envelope, nothing of it verified; -1 where a record has
    no slots, no UTC or none that can be. None for what is no record."""
    body = claimed_payload(raw)
    try:
        device, kind, seq = body[fields.DEVICE], body[fields.KIND], body[fields.SEQ]
        first = end = -1
        if kind in WITH_SLOTS and fields.UTC_MS in body:
            first = body[fields.UTC_MS] - (body[fields.MONO_MS] - body[fields.FIRST_SLOT_MONO_MS])
            end = first + body[fields.SLOT_COUNT] * body[fields.SLOT_MS]
            if not _is_placed(first, end):
                first = end = -1  # a module's arithmetic has failed
        is_plain = isinstance(device, str) and all(
            type(one) is int and abs(one) < 2**62 for one in (kind, seq, first, end)
        )
    except (KeyError, TypeError):
        return None
    return (device, kind, seq, first, end) if is_plain else None


def _records(
    device: str, wanted: Iterable[tuple[int, bytes]], keys: KeyFile, findings: list[str]
) -> Iterator[Record]:  # fmt: skip
    """One by one, and what is refused is named."""
    for seq, raw in wanted:
        record = _verified(raw, keys, findings, f"{device} seq {seq}")
        if record is None:
            continue
        if (record.device, record.seq) != (device, seq):
            findings.append(f"{device} seq {seq}: holds {record.device} seq {record.seq}")
        else:
            yield record


def _verified(raw: bytes, keys: KeyFile, findings: list[str], where: str) -> Record | None:
    try:
        envelope = verify_envelope(raw, keys.public_key)
        record = parse_record(envelope)
        keys.find(envelope.kid, record.device, record.seq)
    except EvidenceError as error:
        findings.append(f"{where}: {error}")
        return None
    return record


def _decoded(records: Sequence[Record], sets: dict[bytes, ParameterSet], findings: list[str]) -> list[Strip]:
    by_set: dict[bytes, list[Record]] = {}
    for record in records:
        if record.parameters_hash not in sets:
            findings.append(f"{record.device} seq {record.seq}: its parameter set is not in the archive")
        else:
            by_set.setdefault(record.parameters_hash, []).append(record)
    found: list[Strip] = []
    for parameters_hash, own in by_set.items():
        try:
            found += strips_of(own, sets[parameters_hash])
        except EvidenceError:
            found += _one_by_one(own, sets[parameters_hash], findings)
    return found


def _one_each(device: str, strips: Iterable[Strip], findings: list[str]) -> list[Strip]:
    """In seq order. A record that stands twice in an archive counts once; two that differ count not at all."""
    by_seq: dict[int, Strip] = {}
    torn: set[int] = set()
    for strip in strips:
        if by_seq.setdefault(strip.seq, strip).content_hash != strip.content_hash:
            torn.add(strip.seq)
    findings += [f"{device} seq {seq}: two different records have this seq; neither is used" for seq in sorted(torn)]
    return [by_seq[seq] for seq in sorted(by_seq) if seq not in torn]


def _one_by_one(records: Sequence[Record], parameters: ParameterSet, findings: list[str]) -> list[Strip]:
    found: list[Strip] = []
    for record in records:
        try:
            found += strips_of([record], parameters)
        except EvidenceError as error:
            findings.append(f"{record.device} seq {record.seq}: {error}")
    return found


def _device_index(rows: Sequence[tuple[int, ...]], sets: tuple[tuple[int, int, int], ...]) -> DeviceIndex:
    seq, first, end, file, offset, length = np.array(sorted(rows), np.int64).reshape(-1, 6).T.copy()
    return DeviceIndex(seq, first, end, file, offset, length, sets)
