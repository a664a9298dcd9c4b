"""Verifies stored evidence again for eyes: CBOR sequences of envelopes (RFC 8742) and ledgers, without trusting either.

An Inspector takes envelopes one after the other and names every finding with device, seq, place and code: signature,
key, form, chain, order, replay, parameters, slots, anchors. Memory stays flat: heads, holes, parameter sets and a
bounded window of hashes. A bad record is reported and passed; its successor is judged against what came before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acqwire import fields, limits

from plumeproof.envelope_sequence import Item, outline_of, read_sequence
from plumeproof.errors import EvidenceError, ParametersError
from plumeproof.evidence import chain
from plumeproof.evidence.calibration_check import check_calibration
from plumeproof.evidence.element_check import CounterCheck
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.key_change import Succession
from plumeproof.evidence.parameters import ParameterSet, check_samples, parse_parameters
from plumeproof.evidence.record import parse_payload, parse_record
from plumeproof.keys import KeyFile
from plumeproof.model import Anchor, Boot, Calibration, Envelope, Head, ParametersPart, Record, Samples
from plumeproof.store.reader import LedgerHead, read_anchors, read_envelopes, read_heads, read_rows

__all__ = [
    "Finding",
    "Inspector",
    "Item",
    "LedgerHead",
    "Seen",
    "claims_key_change",
    "read_anchors",
    "read_heads",
    "read_key_changes",
    "read_ledger",
    "read_sequence",
]

HASHES_KEPT = 65_536  # newest records whose hash is kept to tell a replay from an equivocation
SETS_KEPT = 64  # parameter sets per module
HOLES_KEPT = 10_000  # per module, as are bad records; more are named at once
CLAIM_MAX = 40  # characters of a device name that no signature vouches for


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `place`: byte offset in a sequence or row position in a ledger; `seq` as the bytes claim it."""

    code: str
    device: str | None
    seq: int | None
    place: str
    sentence: str


@dataclass(slots=True)
class Seen:
    """What is remembered of one module while its records pass."""

    head: Head | None = None
    record_count: int = 0
    anchored_count: int = 0
    holes: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # last seq: (first seq, prev of the next record)
    bad: set[int] = field(default_factory=set)  # seqs named already, not to be named as holes again
    parts: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    sets: OrderedDict[bytes, ParameterSet | None] = field(default_factory=OrderedDict)
    samples: tuple[int, Samples] | None = None  # boot and body of the newest samples record
    counters: CounterCheck = field(default_factory=CounterCheck)
    succession: Succession = field(default_factory=Succession)


class Inspector:
    """Judges envelopes in the order given. Not shared between threads."""

    def __init__(self, keys: KeyFile, anchors: tuple[Anchor, ...] = ()) -> None:
        self._keys = keys
        self._anchors: dict[str, Anchor] = {}  # the highest of each module: behind it a tail may be cut unseen
        self._stated: dict[tuple[str, int], set[bytes]] = {}
        for anchor in anchors:
            if anchor.device not in self._anchors or self._anchors[anchor.device].seq < anchor.seq:
                self._anchors[anchor.device] = anchor
        self.state(anchors)
        self._enrolled = {entry.device for entry in keys.entries}
        self._modules: dict[str, Seen] = {}
        self._hashes: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._last_device: str | None = None
        self.verified_count = 0
        self.finding_count = 0

    def state(self, anchors: Sequence[Anchor]) -> None:
        """Heads that somebody states of records that may pass; nothing is said of those that do not."""
        for anchor in anchors:
            self._stated.setdefault((anchor.device, anchor.seq), set()).add(anchor.content_hash)

    def heads(self) -> list[Anchor]:
        """Head and count of every module seen so far: what an anchor states."""
        return [
            Anchor(device, module.head.seq, module.head.content_hash, module.record_count)
            for device, module in sorted(self._modules.items())
            if module.head is not None
        ]

    def take(self, item: Item) -> list[Finding]:
        """Judge one item; the findings it gives, most often none."""
        found = self._judge(item)
        self.finding_count += len(found)
        return found

    def finish(self) -> list[Finding]:
        """What only the end shows: holes that were not filled, cut tails."""
        found: list[Finding] = []
        for device, module in sorted(self._modules.items()):
            for last, (first, _) in sorted(module.holes.items()):
                found.append(_hole(device, first, last))
        for device, anchor in sorted(self._anchors.items()):
            found += self._check_tail(device, anchor)
        self.finding_count += len(found)
        return found

    def check_heads(self, heads: Sequence[LedgerHead]) -> list[Finding]:
        """What a ledger itself says about how far its records went, when all of them have passed."""
        found: list[Finding] = []
        for head in heads:
            module = self._modules.get(head.device)
            if module is None and head.device not in self._enrolled:
                continue  # named already, record by record
            own, bad = (None, frozenset[int]()) if module is None else (module.head, module.bad)
            seq = own.seq if own is not None else 0
            cut = next((number for number in range(seq + 1, head.last_seq + 1) if number not in bad), None)
            if cut is not None:
                sentence = f"{head.device} seq {cut} to {head.last_seq} were in this ledger and are not any more"
                found.append(Finding("tail_cut", head.device, cut, "head", sentence))
            elif own is not None and seq == head.last_seq and head.last_hash not in (None, own.content_hash):
                sentence = f"{head.device} seq {seq}: is another record than the ledger's head names"
                found.append(Finding("head", head.device, seq, "head", sentence))
            if head.is_frozen:
                sentence = f"{head.device}: a second history under its key came behind seq {seq}, see its quarantine"
                found.append(Finding("frozen", head.device, seq, "head", sentence))
        self.finding_count += len(found)
        return found

    def without_anchor(self) -> list[str]:
        """Modules whose cut tail would not be seen."""
        return [anchor.device for anchor in self.heads() if anchor.device not in self._anchors]

    def _judge(self, item: Item) -> list[Finding]:
        if item.rubbish_bytes:
            return [self._unreadable(item, "form", f"{item.rubbish_bytes} bytes that are no envelope")]
        try:
            envelope = verify_envelope(item.raw, self._keys.public_key)
            record = parse_record(envelope)
            self._keys.find(envelope.kid, record.device, record.seq)
        except EvidenceError as error:
            return [self._unreadable(item, error.code, error.detail)]
        self.verified_count += 1
        self._last_device = record.device
        module = self._modules.setdefault(record.device, Seen())
        found: list[Finding] = []
        if item.expected is not None:
            columns = (record.device, record.seq, record.kind, record.boot, record.content_hash, record.utc_ms)
            if columns != item.expected:
                found.append(_finding("row", record, item.place, "columns of the row differ from the signed record"))
            if columns[:2] != item.expected[:2]:
                module.bad.add(record.seq)  # it stands at another's place: its neighbours are not out of order
                return found
        found += self._check_chain(module, record, envelope, item.place)
        if isinstance(record.body, Boot) and module.head is not None and module.head.seq == record.seq:
            wrong = module.counters.take(envelope.kid, record.boot, record.body)
            found += [_finding("counter", record, item.place, wrong)] if wrong else []
        if module.head is not None and module.head.seq == record.seq:
            wrong = module.succession.fault(record.seq, envelope.kid)
            found += [_finding("key_change", record, item.place, wrong)] if wrong else []
            module.succession.take(record.seq, envelope.kid, record.body)
        found += _check_parameters(module, record, item.place)
        found += self._check_anchor(module, record, item.place)
        return found

    def _unreadable(self, item: Item, code: str, detail: str) -> Finding:
        """A finding on bytes that cannot count; named by what they claim, else by what was due."""
        device, seq = _claim(item.raw) or (None, None)
        if item.expected is not None:
            device, seq = item.expected[0], item.expected[1]
            if not set(device) <= set(limits.DEVICE_CHARACTERS):
                device = ascii(device)[:CLAIM_MAX]
        source = "claims to be"
        if device is None or device not in self._modules:
            due = self._modules.get(device or self._last_device or "")
            if due is not None and due.head is not None and device is None:
                device, seq, source = due.head.device, due.head.seq + 1, "stands where one expects"
        if device is not None and seq is not None:
            if device in self._enrolled:  # of others nothing can follow, and anybody can claim any number of names
                bad = self._modules.setdefault(device, Seen()).bad
                if len(bad) < HOLES_KEPT:
                    bad.add(seq)
            return Finding(code, device, seq, item.place, f"{source} {device} seq {seq}, and is no evidence: {detail}")
        return Finding(code, None, None, item.place, f"no evidence, record unknown: {detail}")

    def _check_chain(self, module: Seen, record: Record, envelope: Envelope, place: str) -> list[Finding]:
        key = (record.device, record.seq)
        decision = chain.accept(
            module.head, record, envelope.is_high_s, self._hashes.get(key), missing_until=record.seq - 1
        )
        if decision.verdict == chain.EQUIVOCATION:
            return [_finding("equivocation", record, place, "another record with the same seq stands before it")]
        if decision.verdict == chain.DUPLICATE:
            return [_finding("replayed", record, place, "stands here a second time")]
        if decision.code == "below_head":
            return [self._late(module, record, place)]
        if decision.code == "high_s":
            return [_finding("high_s", record, place, "signature in the form that no module makes")]
        found = []
        if decision.verdict == chain.REFUSE:
            found.append(_finding(decision.code, record, place, decision.detail))
        expected = module.head.seq + 1 if module.head else 1
        if record.seq > expected:
            found += self._open_hole(module, record, expected)
        is_next = decision.verdict == chain.ACCEPT
        module.head = decision.head if is_next else chain.next_head(module.head, record)
        self._remember(module, record)
        return found

    def _open_hole(self, module: Seen, record: Record, first: int) -> list[Finding]:
        last = record.seq - 1
        if last - first < HOLES_KEPT and all(seq in module.bad for seq in range(first, last + 1)):
            module.bad.difference_update(range(first, last + 1))
            return []
        if len(module.holes) >= HOLES_KEPT:
            return [_hole(record.device, first, last)]
        module.holes[last] = (first, record.prev)
        return []

    def _late(self, module: Seen, record: Record, place: str) -> Finding:
        """A record behind its place: it fills a hole, or it was seen so long ago that its hash is forgotten."""
        for last, (first, prev) in module.holes.items():
            if not first <= record.seq <= last:
                continue
            if record.seq == last and record.content_hash != prev:
                return _finding("equivocation", record, place, "is not the record that its successor names as prev")
            del module.holes[last]
            if record.seq > first:
                module.holes[record.seq - 1] = (first, record.prev)
            if record.seq < last:
                module.holes[last] = (record.seq + 1, prev)
            self._remember(module, record)
            return _finding("out_of_order", record, place, "stands behind a later record")
        return _finding("replayed", record, place, "its seq has passed before")

    def _remember(self, module: Seen, record: Record) -> None:
        module.record_count += 1
        anchor = self._anchors.get(record.device)
        if anchor is not None and record.seq <= anchor.seq:
            module.anchored_count += 1
        self._hashes[(record.device, record.seq)] = record.content_hash
        if len(self._hashes) > HASHES_KEPT:
            self._hashes.popitem(last=False)

    def _check_anchor(self, module: Seen, record: Record, place: str) -> list[Finding]:
        if self._stated.get((record.device, record.seq), set()) <= {record.content_hash}:
            return []
        return [_finding("anchor", record, place, "is another record than the anchor states")]

    def _check_tail(self, device: str, anchor: Anchor) -> list[Finding]:
        module = self._modules.get(device)
        seq = module.head.seq if module is not None and module.head is not None else 0
        if seq < anchor.seq:
            sentence = f"{device} seq {seq + 1} to {anchor.seq} of the anchor are cut off"
            return [Finding("tail_cut", device, seq + 1, "end", sentence)]
        if module is not None and module.anchored_count != anchor.count:
            sentence = f"{module.anchored_count} records of {device} up to seq {anchor.seq}; anchor: {anchor.count}"
            return [Finding("anchor_count", device, anchor.seq, "end", sentence)]
        return []


def _finding(code: str, record: Record, place: str, sentence: str) -> Finding:
    return Finding(code, record.device, record.seq, place, f"{record.device} seq {record.seq}: {sentence}")


def _hole(device: str, first: int, last: int) -> Finding:
    span = f"seq {first}" if first == last else f"seq {first} to {last}"
    return Finding("hole", device, first, "end", f"{device} {span} missing")


def _claim(raw: bytes) -> tuple[str, int] | None:
    """Device and seq that unverified bytes claim, for naming only."""
    outline = outline_of(raw, 0)
    if outline is None:
        return None
    try:
        record = parse_payload(raw[outline[0] : outline[1]], bytes(limits.HASH_BYTES))
    except EvidenceError:
        return None  # it is being reported already; here only a name for it was wanted
    return record.device, record.seq


def _check_parameters(module: Seen, record: Record, place: str) -> list[Finding]:
    if isinstance(record.body, ParametersPart):
        return _take_part(module, record, record.body, place)
    if not isinstance(record.body, (Samples, Calibration)):
        return []
    if record.parameters_hash not in module.sets:
        _keep_set(module, record.parameters_hash, None)
        return [_finding("parameters_unknown", record, place, "its parameter set was not sealed before it")]
    parameters = module.sets[record.parameters_hash]
    if parameters is None:
        return []  # named at the first record that used it
    try:
        if isinstance(record.body, Samples):
            module.samples = (record.boot, record.body)
            check_samples(record.body, parameters)
        else:
            last = module.samples
            check_calibration(record.body, parameters, last[1] if last is not None and last[0] == record.boot else None)
    except ParametersError as error:
        return [_finding("parameters_" + error.code, record, place, error.detail)]
    return []


def _take_part(module: Seen, record: Record, body: ParametersPart, place: str) -> list[Finding]:
    if module.sets.get(body.part_hash) is not None:
        return []
    if len(module.parts) >= SETS_KEPT and body.part_hash not in module.parts:
        module.parts.pop(next(iter(module.parts)))
    parts = module.parts.setdefault(body.part_hash, {})
    parts[body.part] = body.part_bytes
    if any(index not in parts for index in range(body.parts)):
        return []
    del module.parts[body.part_hash]
    try:
        parameters = parse_parameters(b"".join(parts[index] for index in range(body.parts)), body.part_hash)
    except ParametersError as error:
        _keep_set(module, body.part_hash, None)
        return [_finding("parameters_" + error.code, record, place, f"parameter set: {error.detail}")]
    _keep_set(module, body.part_hash, parameters)
    if parameters.device != record.device:
        return [_finding("parameters_device", record, place, f"parameter set of {parameters.device}")]
    return []


def _keep_set(module: Seen, parameters_hash: bytes, parameters: ParameterSet | None) -> None:
    module.sets[parameters_hash] = parameters
    if len(module.sets) > SETS_KEPT:
        module.sets.popitem(last=False)


def read_ledger(path: Path, device: str | None = None) -> Iterator[Item]:
    """The records of a ledger in device and seq order. Raises StoreError, also for a damaged file."""
    for position, name, seq, kind, boot, content_hash, utc_ms, envelope in read_rows(path, device):
        yield Item(f"row {position}", envelope, 0, (name, seq, kind, boot, content_hash, utc_ms))


def read_key_changes(path: Path, device: str) -> list[bytes]:
    """The key change records of a module in a ledger, oldest first, as they came. Raises StoreError."""
    return [raw for _, raw in read_envelopes(path, device, 1, 2**63 - 1, fields.KIND_KEY_CHANGE)]


def claims_key_change(raw: bytes) -> bool:
    """Whether an envelope that nobody has verified says that it is one: to find it, never to use it."""
    outline = outline_of(raw, 0)
    if outline is None:
        return False
    try:
        return parse_payload(raw[outline[0] : outline[1]], bytes(limits.HASH_BYTES)).kind == fields.KIND_KEY_CHANGE
    except EvidenceError:
        return False  # `verify` names it
