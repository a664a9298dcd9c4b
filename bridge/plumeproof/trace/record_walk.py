"""From an average, or a minute of a short term, to the record, its signature, one slot's register bytes and the row of
the parameter set that gives them their meaning. Each step is verified or computed again while it is walked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from acqwire import causes, names

from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.evidence import intervals
from plumeproof.evidence.averaging import merge, sum_slots, to_averages
from plumeproof.evidence.chain import NO_PREV
from plumeproof.evidence.decoding import decode, is_valid
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.evidence.strips import Strip
from plumeproof.figure_files import local_time
from plumeproof.figure_ids import id_of_average, id_of_record
from plumeproof.keys import TEST_KIDS, KeyFile
from plumeproof.model import Average, Envelope, ParametersPart, Record, Samples
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.trace.exact import is_rounded_right, read_exactly, steps_of
from plumeproof.trace.source import Source
from plumeproof.trace.stage import Grid, Stage, Trace

HEX_MAX = 64  # register bytes of a block that are shown whole


@dataclass(frozen=True, slots=True)
class SlotAt:
    """One slot of one channel: `number` counts from the first of its record."""

    strip: Strip
    number: int
    column: int

    @property
    def utc_ms(self) -> int:
        return self.strip.first_utc_ms + self.number * self.strip.slot_ms


class RecordWalk:
    """One channel of one module. `keys`: who may sign what. Raises StoreError, ConfigError."""

    def __init__(self, source: Source, keys: KeyFile, trace: Trace, allow_test_keys: bool = False) -> None:
        self._source, self._keys, self._trace = source, keys, trace
        self._allow_test_keys = allow_test_keys

    # What many records are asked

    def check_all(self, stage: Stage, devices: Sequence[str], start_utc_ms: int, end_utc_ms: int) -> int:
        """Signature, key and form of every record that touches [start, end); how many hold. Faults are named."""
        good, bad = 0, []
        for device, strips in self._source.of_period(devices, start_utc_ms, end_utc_ms).items():
            for strip in strips:
                try:
                    self._verified(device, strip.seq, strip.content_hash)
                    good += 1
                except EvidenceError as error:
                    bad.append(f"{device} seq {strip.seq}: {error}")
        faults = [f"{device} seq {seq}: {why}" for (device, seq), why in sorted(self._source.faults.items())]
        known = {check.sentence for one in self._trace.stages for check in one.checks}
        for told in [one for one in (*bad, *faults) if one not in known]:
            stage.check(False, told)
        stage.check(not bad, f"{good} records with slots in it: every signature holds, every key is valid for its seq")
        return good

    # Average

    def average(self, row: Average, older: bool = False) -> None:
        """Stage average: the stored row, computed again from the records up to the last that it names."""
        stage = self._trace.add("average", f"{row.channel} of {row.device}: the {row.interval_s} s average as stored")
        end = row.start_utc_ms + row.interval_s * 1000
        invalid = ", ".join(f"{count} {cause}" for cause, count in row.n_invalid) or "none"
        stage.facts += [
            ("id", id_of_average(row)),
            ("mean", "none" if row.mean is None else f"{row.mean!r} {row.unit}"),
            ("period", f"{local_time(row.start_utc_ms, 0)} to {local_time(end, 0)}"),
            ("slots", f"{row.n_valid} valid of {row.n_expected}; not valid: {invalid}"),
            ("rests on", f"{row.device} seq {row.first_seq} to {row.last_seq}, last record {row.head_hash.hex()}"),
            ("rule", f"{row.rule} {row.rule_version}, order of summation {row.order}"),
        ]
        again = self._average_again(row)
        if again is None:
            stage.check(False, "no signed record makes this average")
        elif again != row:
            name = next(name for name in Average.__slots__ if getattr(again, name) != getattr(row, name))
            told = f"{name} is {getattr(row, name)}, the records make {getattr(again, name)}"
            stage.check(False, f"an older revision, made of fewer records: {told}" if older else told)
        else:
            stage.check(True, "computed again from the slots of its records: every field is equal, bit for bit")
        self._check_head(stage, row.device, row.last_seq, row.head_hash)

    def _average_again(self, row: Average) -> Average | None:
        end = row.start_utc_ms + row.interval_s * 1000
        first, last = row.start_utc_ms // MINUTE_MS * MINUTE_MS, -(-end // MINUTE_MS) * MINUTE_MS
        beside = self._source.averages(row.device, None, row.interval_s, (row.start_utc_ms, row.start_utc_ms + 1))
        newest = {(one.channel, one.rule, one.rule_version): one for one in beside}  # the last revision stays
        is_newest = newest.get((row.channel, row.rule, row.rule_version)) == row
        last_seq = max(one.last_seq for one in newest.values()) if is_newest else row.last_seq
        strips = [one for one in self._source.of_period([row.device], first, last)[row.device] if one.seq <= last_seq]
        if intervals.base_of(row.interval_s) == intervals.BASE_S:
            minutes = [sum_slots(strips, at, intervals.BASE_S) for at in range(first, last, MINUTE_MS)]
            groups = minutes[0] if len(minutes) == 1 else merge(minutes, row.start_utc_ms, row.interval_s)
        else:
            groups = sum_slots(strips, row.start_utc_ms, row.interval_s)
        for found in to_averages(row.device, groups, row.start_utc_ms, row.interval_s):
            if (found.channel, found.rule, found.rule_version) == (row.channel, row.rule, row.rule_version):
                return replace(found, revision=row.revision, reason=row.reason)
        return None

    def newest_average(self, device: str, channel: str, at_utc_ms: int) -> Average | None:
        """Of the shortest interval of a minute and longer that holds an instant and has a row."""
        for interval_s in self._source.intervals(device):
            start = intervals.start_of(at_utc_ms, interval_s)
            rows = self._source.averages(device, channel, interval_s, (start, start + 1))
            if rows and interval_s >= intervals.BASE_S:
                return rows[-1]
        return None

    # Slot

    def find_slot(self, device: str, channel: str, period: tuple[int, int], at_utc_ms: int | None) -> SlotAt | None:
        """The slot at an instant, or the first in [start, end) that is valid, or the first at all. Of two at one
        place the first in seq order."""
        found: list[SlotAt] = []
        for strip in self._source.of_period([device], *period)[device]:
            column = intervals.column_of(strip.parameters, channel)
            if column is None:
                continue
            found += [SlotAt(strip, number, column) for number in range(*strip.clip(*period))]
        if at_utc_ms is not None:
            found = [one for one in found if one.utc_ms <= at_utc_ms < one.utc_ms + one.strip.slot_ms]
            if not found:
                raise ConfigError("--slot", f"{local_time(at_utc_ms, 0)}: no record has a slot of {channel} then")
        good = [one for one in found if one.strip.status is not None and _is_good(one)]
        return min(good or found, key=lambda one: (one.utc_ms, one.strip.seq), default=None)

    def down(self, device: str, slot: SlotAt, channel: str) -> None:
        """Stages record, slot, parameters."""
        checked = self.record(device, slot.strip.seq, slot.strip.content_hash)
        if checked is not None:
            self.slot(checked, slot.number, channel, slot)

    # Record

    def record(self, device: str, seq: int, content_hash: bytes | None = None) -> Record | None:
        """Stage record: signature, key, chain, time. None where it is no evidence."""
        stage = self._trace.add("record", f"The signed record {id_of_record(device, seq)}")
        try:
            envelope, record = self._verified(device, seq, content_hash)
        except EvidenceError as error:
            stage.check(False, f"{device} seq {seq}: {error}")
            return None
        entry = next(one for one in self._keys.entries if one.kid == envelope.kid)
        until = "open" if entry.valid_until_seq is None else str(entry.valid_until_seq)
        kinds = dict(names.KIND_NAMES)
        stage.facts += [
            ("id", id_of_record(device, seq)),
            ("kind", kinds.get(record.kind, f"unknown ({record.kind})")),
            ("SHA-256 of the envelope", hashlib.sha256(envelope.raw).hexdigest()),
            ("envelope", f"{len(envelope.raw)} bytes, COSE_Sign1, ES256"),
            ("content hash", record.content_hash.hex()),
            ("signed by", f"kid {envelope.kid.hex()}, enrolled for {entry.device} from seq {entry.valid_from_seq}"),
            ("key valid until seq", until + (", revoked behind it" if entry.is_revoked else "")),
            ("boot", record.boot),
            ("time", _time_of(record)),
        ]
        stage.check(True, f"the signature holds, by the key {envelope.kid.hex()}, valid for this module and seq")
        if envelope.kid.hex() in TEST_KIDS:
            stage.check(self._allow_test_keys, "the key is a published test key; everybody can sign with it")
        self._check_chain(stage, record)
        return record

    def _verified(self, device: str, seq: int, content_hash: bytes | None) -> tuple[Envelope, Record]:
        raw = self._source.envelope(device, seq)
        if raw is None:
            raise EvidenceError("row_missing", "the record is not there")
        envelope = verify_envelope(raw, self._keys.public_key)
        record = parse_record(envelope)
        self._keys.find(envelope.kid, record.device, record.seq)
        if (record.device, record.seq) != (device, seq):
            raise EvidenceError("row", f"in its place stands {record.device} seq {record.seq}")
        if content_hash not in (None, record.content_hash):
            raise EvidenceError("content_hash", "another record than the one that was averaged")
        return envelope, record

    def _check_chain(self, stage: Stage, record: Record) -> None:
        """Does it name its predecessor, and its successor it?"""
        device, seq = record.device, record.seq
        if seq == 1:
            stage.check(record.prev == NO_PREV, "the first record of its chain", "first, and names a predecessor")
        for neighbour in (seq - 1, seq + 1):
            if neighbour < 1 or self._source.envelope(device, neighbour) is None:
                if neighbour:
                    stage.facts.append((f"seq {neighbour}", "not here: the chain cannot be followed there"))
                continue
            try:
                _, other = self._verified(device, neighbour, None)
            except EvidenceError as error:
                stage.check(False, f"{device} seq {neighbour}: {error}")
                continue
            before, behind = (other, record) if neighbour < seq else (record, other)
            told = f"seq {behind.seq} names the content hash of seq {before.seq}: {before.content_hash.hex()[:16]}..."
            stage.check(behind.prev == before.content_hash, told, f"seq {behind.seq} names another predecessor")

    def _check_head(self, stage: Stage, device: str, seq: int, head_hash: bytes) -> None:
        try:
            self._verified(device, seq, head_hash)
        except EvidenceError as error:
            stage.check(False, f"{device} seq {seq}, the last record it rests on: {error}")
            return
        stage.check(True, f"seq {seq} is the record that it names as its last, and its signature holds")

    # Slot and parameter row

    def slot(self, record: Record, number: int, channel: str | None, at: SlotAt | None = None) -> None:
        """Stages slot and parameters of a samples record."""
        raw_set = self._source.parameter_set(record.parameters_hash)
        if raw_set is None or not isinstance(record.body, Samples):
            return
        parameters = parse_parameters(raw_set, record.parameters_hash)
        column = 0 if channel is None else intervals.column_of(parameters, channel)
        if column is None:
            raise ConfigError(f"channel {channel}", "is not in the parameter set of this record")
        row = json.loads(raw_set)["channels"][column]
        spec = parameters.channels[column]
        block, readings = parameters.blocks[spec.block], record.body.blocks[spec.block]
        if not 0 <= number < record.body.slots.slot_count:
            raise ConfigError("--slot", f"the record has slots 0 to {record.body.slots.slot_count - 1}")
        decoded = decode(record, parameters)
        value = float(decoded.channels[column].values[number])
        status = int(decoded.channels[column].status[number])
        counted = bool(is_valid(decoded.channels[column].status[number : number + 1])[0])
        slots = record.body.slots
        stage = self._trace.add("slot", f"Slot {slots.first_slot + number} of boot {record.boot}: {spec.id}")
        planned = None if decoded.slot_utc_ms is None else int(decoded.slot_utc_ms[number])
        analyzer = parameters.analyzers[block.analyzer]
        unit = "wired to the module" if analyzer.unit == 0 else f"Modbus unit {analyzer.unit}"
        word = "inputs" if block.is_bits else "registers"
        stage.facts += [
            ("planned at", "no UTC" if planned is None else _milliseconds(planned)),
            ("slot of the record", f"{number} of {slots.slot_count}, {slots.slot_ms} ms apart"),
            ("analyzer", f"{analyzer.id}, {unit}, profile {analyzer.profile} {analyzer.profile_version}"),
            (
                "asked",
                f"function {block.function}, {word} {block.address} to {block.address + block.quantity - 1}"
                f" (block {spec.block})",
            ),
            ("outcome", "a value" if readings.outcomes[number] == causes.VALUE else intervals.name_of(status)),
        ]
        if readings.outcomes[number] == causes.VALUE:
            before = readings.outcomes[:number].count(causes.VALUE)
            raw = readings.data[before * block.width_bytes : (before + 1) * block.width_bytes]
            found = read_exactly(spec, block, raw)
            first = block.address + (spec.register if spec.type != "bit" or block.is_bits else spec.register // 16)
            told = raw[:HEX_MAX].hex(" ") + (" ..." if len(raw) > HEX_MAX else "")
            stage.facts += [
                ("register bytes of the block", told),
                ("of the channel", f"{found.wire.hex(' ')} at {word[:-1]} {first}, {spec.type} {spec.order}"),
            ]
            stage.steps += steps_of(spec, found, row["scale"], row["offset"])
            same = found.value == value or found.value is None
            stage.check(same, "the bridge's own decoding gives the same value, bit for bit", f"decoded as {value!r}")
            stage.check(is_rounded_right(spec, found), "fractions give the same: each step is the nearest float64")
        stage.facts.append(("is", f"{_status_name(status)}; it {'counts' if counted else 'does not count'}"))
        if at is not None and at.strip.status is not None:
            same = int(at.strip.status[at.column, at.number]) == status
            stage.check(same, "averaging took the same slot with the same status")
        self._parameters(record, parameters, row, column)

    def _parameters(self, record: Record, parameters: ParameterSet, row: dict[str, Any], column: int) -> None:
        stage = self._trace.add(
            "parameters", f"The row of the parameter set that gave the bytes their meaning: {column}"
        )
        block = parameters.blocks[int(row["block"])]
        stage.facts += [
            ("SHA-256 of the set", record.parameters_hash.hex()),
            ("revision", parameters.revision),
            ("device", parameters.device),
        ]
        cells = [(name, str(value) if isinstance(value, (dict, list)) else value) for name, value in row.items()]
        stage.grids.append(Grid(f"channels[{column}]", ("name", "value"), cells))
        about = (
            ("analyzer", parameters.analyzers[block.analyzer].id),
            ("function", block.function),
            ("address", block.address),
            ("quantity", block.quantity),
        )
        stage.grids.append(Grid(f"blocks[{row['block']}]", ("name", "value"), about))
        stage.check(True, "the set has the SHA-256 that the signed record names")
        self._check_parts(stage, record)

    def _check_parts(self, stage: Stage, record: Record) -> None:
        """The set itself came in signed records: those before this one, newest first."""
        parts: dict[int, bytes] = {}
        seqs: list[int] = []
        for seq in self._source.parts_before(record.device, record.seq):
            try:
                _, found = self._verified(record.device, seq, None)
            except EvidenceError as error:
                stage.check(False, f"{record.device} seq {seq}: {error}")
                continue
            body = found.body
            if isinstance(body, ParametersPart) and body.part_hash == record.parameters_hash and body.part not in parts:
                parts[body.part] = body.part_bytes
                seqs.append(seq)
                if len(parts) == body.parts:
                    break
        whole = b"".join(parts[number] for number in sorted(parts))
        if not parts:
            stage.facts.append(("sealed in", "records before the first one here"))
            return
        told = f"sealed by the module itself in seq {min(seqs)} to {max(seqs)}, whose signatures hold"
        stage.check(hashlib.sha256(whole).digest() == record.parameters_hash, told, "its signed parts are incomplete")


def _is_good(one: SlotAt) -> bool:
    assert one.strip.status is not None
    return bool(is_valid(one.strip.status[one.column, one.number : one.number + 1])[0])


def _time_of(record: Record) -> str:
    if record.utc_ms is None:
        return f"{record.mono_ms} ms since the boot, no UTC yet"
    status = dict(names.UTC_NAMES)[record.utc_status]
    told = f"{_milliseconds(record.utc_ms)} +- {record.utc_unc_ms} ms, status {status}"
    return f"{told}, set by seq {record.sync_seq}; {record.mono_ms} ms since the boot"


def _status_name(status: int) -> str:
    return "valid" if status == causes.VALUE else intervals.name_of(status)


def _milliseconds(utc_ms: int) -> str:
    return f"{local_time(utc_ms // 1000 * 1000, 0)[:-1]}.{utc_ms % 1000:03}Z"
