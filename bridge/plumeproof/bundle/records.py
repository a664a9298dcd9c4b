"""The records of modules in a bundle, verified in portions: signatures and chain at once where records are alike.

An Inspector judges the records of a module in their order. Of those of one form that follow each other exactly
(evidence/alike.py) it is told in one piece; everything else goes through it one by one, and it names the faults. The
slots of what holds are given on day by day when the day has passed. Memory is that of some days of one module, and of
some hundred bytes for each portion, by which its records are found and decoded again, if they are still the same.

    records = RecordCheck(file, keys, sets); run = records.open(stated, members, on_day); findings = run.finish()
    records.strips(device, start_utc_ms, end_utc_ms)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, cast

from acqwire import fields

from plumeproof.bundle.ahead import SignaturesAhead
from plumeproof.bundle.strips import LATE_MS, Run
from plumeproof.bundle.zip import Member
from plumeproof.envelope_sequence import Item, outline_of, read_sequence
from plumeproof.errors import EvidenceError
from plumeproof.evidence.alike import Alike, records_alike
from plumeproof.evidence.envelope import build_sig_structure, claimed_payload, decode_untagged
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.evidence.record import parse_payload
from plumeproof.evidence.strips import Strip, open_slots
from plumeproof.inspection import HASHES_KEPT, Finding, Inspector, Seen
from plumeproof.keys import KeyFile
from plumeproof.model import Head, Record, Samples, StoredRecord

PORTION = 512  # records: whole portions are faster than one by one
DAY_MS = 86_400_000
DAYS_HELD_MAX = 8  # a module whose clock jumps about has its days made from what is read again
WITH_SLOTS = (fields.KIND_SAMPLES, fields.KIND_OVERFLOW)

OnDay = Callable[[int, Sequence[Strip]], None]


class BundleInspector(Inspector):
    """Begins within a chain, with parameter sets that a hash in every signed record vouches for."""

    def __init__(self, keys: KeyFile) -> None:
        super().__init__(keys)
        self._newest: dict[str, bytes] = {}  # by device, of what was taken at once; not read yet

    def begin(self, device: str, sets: dict[bytes, ParameterSet]) -> None:
        """Of a module nothing has passed yet."""
        module = self._modules.setdefault(device, Seen())
        module.sets.update({one: found for one, found in sets.items() if found.device == device})

    def turn_to(self, device: str) -> None:
        """What comes next stands among the envelopes of this module."""
        self._last_device = device

    def hash_of(self, device: str, seq: int) -> bytes | None:
        """Content hash of a record that has just passed; None for one that was refused."""
        return self._hashes.get((device, seq))

    def count_of(self, device: str) -> int:
        """Records of a module that were taken."""
        return self._modules[device].record_count

    def head_of(self, device: str) -> Head | None:
        """The newest."""
        return self._modules[device].head

    def linked(self, group: Alike, begin: int) -> int:
        """How many of a group from `begin` on follow the head and each other, without anything to be said of them."""
        record = group.record
        module = self._modules[record.device]
        head = module.head
        known = module.sets.get(record.parameters_hash)
        if head is None or head.is_frozen or head.boot != record.boot or head.next_slot < 0 or known is None:
            return 0
        if module.succession.fault(head.seq + 1, group.kid):
            return 0  # it is named one by one
        assert isinstance(record.body, Samples)
        seq, content_hash, mono_ms, next_slot = head.seq, head.content_hash, head.mono_ms, head.next_slot
        width = record.body.slots.slot_count
        number = group.numbers[begin] - 1
        at = begin
        for at in range(begin, len(group.numbers)):
            strip = group.strips[at]
            if (
                strip.seq != seq + 1
                or group.prevs[at] != content_hash
                or group.mono_ms[at] < mono_ms
                or group.first_slots[at] != next_slot
                or group.numbers[at] != number + 1
                or group.are_high_s[at]
                or (record.device, strip.seq) in self._stated
            ):
                return at - begin
            seq, content_hash, mono_ms, number = strip.seq, strip.content_hash, group.mono_ms[at], number + 1
            next_slot += width
        return at + 1 - begin

    def take(self, item: Item) -> list[Finding]:
        """As Inspector.take, behind what was taken at once."""
        for device, raw in self._newest.items():  # what a calibration record is held against
            record = _record_of(raw)
            assert isinstance(record.body, Samples)
            self._modules[device].samples = (record.boot, record.body)
        self._newest.clear()
        return super().take(item)

    def take_alike(self, group: Alike, begin: int, count: int, newest: bytes) -> None:
        """So many that are linked; `newest`: the last of them as it came."""
        device = group.record.device
        module, anchor = self._modules[device], self._anchors.get(device)
        assert isinstance(group.record.body, Samples)
        own = group.strips[begin : begin + count]
        self._hashes.update({(device, strip.seq): strip.content_hash for strip in own})
        if anchor is not None:
            module.anchored_count += max(0, min(own[-1].seq, anchor.seq) - own[0].seq + 1)  # their seqs follow
        while len(self._hashes) > HASHES_KEPT:
            self._hashes.popitem(last=False)
        module.record_count += count
        self.verified_count += count
        self._last_device = device
        last, seq, content_hash = begin + count - 1, own[-1].seq, own[-1].content_hash
        next_slot = group.first_slots[last] + group.record.body.slots.slot_count
        module.head = Head(device, seq, content_hash, group.record.boot, group.mono_ms[last], next_slot, False)
        self._newest[device] = newest


@dataclass(frozen=True, slots=True)
class _Portion:
    """Where records with slots stand, and the hash over their content hashes. `refused`: places of those among them
    that gave none."""

    offset: int
    size: int
    first_utc_ms: int
    end_utc_ms: int
    digest: bytes
    refused: frozenset[int]


@dataclass(slots=True)
class _Said:
    """What the records of a module turned out to be, for the manifest's statement."""

    first_seq: int = 0
    count: int = 0
    days: dict[int, list[Strip]] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)  # days that were given on
    again: set[int] = field(default_factory=set)  # of these, those to which something came later
    lost: list[Strip] = field(default_factory=list)  # slots that nobody read, which may cover months


class RecordCheck:
    """All modules of one bundle. `sets`: parameter sets by their hash."""

    def __init__(
        self,
        file: BinaryIO,
        keys: KeyFile,
        sets: dict[bytes, ParameterSet],
        tick: Callable[[int], object] = lambda count: None,
        ahead: SignaturesAhead | None = None,
    ) -> None:
        self.inspector = BundleInspector(keys)
        self._ahead = ahead or SignaturesAhead(0)
        self._file = file
        self._keys = keys
        self._sets = sets
        self._tick = tick
        self._portions: dict[str, list[_Portion]] = {}
        self._runs: dict[str, Run] = {}

    def open(self, stated: dict[str, object], members: Sequence[Member], on_day: OnDay) -> Run:
        """The envelopes of one module, which are verified when they are asked for. `on_day` is told the slots of each
        day that has any, in seq order, once or, if some come late, again."""
        device = str(stated["device"])
        run = Run(device, self._verify(device, stated, members, on_day))
        self._runs[device] = run
        return run

    def _verify(
        self, device: str, stated: dict[str, object], members: Sequence[Member], on_day: OnDay
    ) -> Iterator[list[Finding]]:
        """By portion."""
        self.inspector.begin(device, self._sets)
        self._portions[device] = []
        said = _Said()
        for member in members:
            items = read_sequence(cast(BinaryIO, Window(self._file, member.offset, member.size)))
            is_first = True
            for portion, is_verified in self._ahead.of(_portions(items), self._keys):
                self.inspector.turn_to(device)
                found = list(self._take(device, said, member, portion, is_first, is_verified))
                is_first = False
                self._tick(len(portion))
                self._close(device, said, on_day, is_end=False)
                yield found
        self._close(device, said, on_day, is_end=True)
        head = self.inspector.head_of(device)
        last, digest = (head.seq, head.content_hash.hex()) if head is not None and said.count else (0, "")
        wanted = (stated["first_seq"], stated["last_seq"], stated["record_count"], stated["head_hash"])
        if wanted != (said.first_seq, last, said.count, digest):
            told = f"{device}: {said.count} records, seq {said.first_seq} to {last}"
            told += f"; manifest: {wanted[2]}, seq {wanted[0]} to {wanted[1]}"
            yield [Finding("manifest_device", device, last, "manifest.json", told)]

    def next_strips(self, device: str, start_utc_ms: int, end_utc_ms: int) -> list[Strip]:
        """As `strips`, verified when asked for; of each module in ascending days. Raises EvidenceError (ahead): ask
        for them behind the verification."""
        run = self._runs.get(device)
        if run is None:
            return []
        if run.can_give(start_utc_ms):
            found = run.give(start_utc_ms, end_utc_ms)
            if run.is_usable:
                return found
        raise EvidenceError("ahead", f"records of {device} are not given in the order of their days")

    def strips(self, device: str, start_utc_ms: int, end_utc_ms: int) -> list[Strip]:
        """Verified slots of a module that touch [start, end), in seq order. Raises EvidenceError (changed): the file is
        another than before."""
        found: list[Strip] = []
        for portion in self._portions.get(device, ()):
            if portion.first_utc_ms < end_utc_ms and portion.end_utc_ms > start_utc_ms:
                own = self._read_again(device, portion)
                found += [strip for strip in own if strip.first_utc_ms < end_utc_ms and strip.end_utc_ms > start_utc_ms]
        return sorted(found, key=lambda strip: strip.seq)

    def _take(
        self, device: str, said: _Said, member: Member, items: Sequence[Item], is_first: bool, is_verified: bool
    ) -> Iterator[Finding]:  # fmt: skip
        raws = [item.raw for item in items]
        groups, _ = records_alike(raws, self._keys.public_key, self._keys.find, self._sets.get, is_verified)
        where = {number: (group, at) for group in groups for at, number in enumerate(group.numbers)}
        found: list[Strip] = []
        refused: set[int] = set()
        number = 0
        while number < len(items):
            group, at = where.get(number, (None, 0))
            count = self.inspector.linked(group, at) if group is not None and group.record.device == device else 0
            if group is not None and count:
                self.inspector.take_alike(group, at, count, raws[number + count - 1])
                strips = group.strips[at : at + count]
            else:
                count = 1
                before = self.inspector.verified_count, self.inspector.count_of(device)
                place = f"{member.name}, byte {items[number].place}"
                yield from self.inspector.take(Item(place, items[number].raw, items[number].rubbish_bytes))
                strips = []
                if self.inspector.verified_count > before[0]:
                    wrong = _other_device(device, raws[number], place)
                    if wrong is not None:
                        yield wrong
                    elif self.inspector.count_of(device) > before[1]:
                        strips = self._opened(raws[number])
                if not strips:
                    refused.add(int(items[number].place))
            if self.inspector.count_of(device) > said.count:
                seq = strips[0].seq if strips else claimed_payload(raws[number])[fields.SEQ]
                if is_first and member.name.split("/")[-1] != f"{seq:019}.cbor":
                    told = f"begins with seq {seq}"
                    yield Finding("member_name", device, seq, member.name, told)
                is_first = False
                said.first_seq = said.first_seq or seq
            said.count = self.inspector.count_of(device)
            found += strips
            number += count
        if found:
            begin = member.offset + int(items[0].place)
            end = member.offset + int(items[-1].place) + (len(items[-1].raw) or items[-1].rubbish_bytes)
            first, last = min(one.first_utc_ms for one in found), max(one.end_utc_ms for one in found)
            here = frozenset(place - int(items[0].place) for place in refused)
            self._portions[device].append(_Portion(begin, end - begin, first, last, _digest(found), here))
            self._runs[device].take(found)
            _spread(said, found)

    def _opened(self, raw: bytes) -> list[Strip]:
        """The strip of a verified record; none where it has no slots, or none that are averaged."""
        record = _record_of(raw)
        if record.kind not in WITH_SLOTS:
            return []
        row = StoredRecord(0, record.device, record.seq, record.kind, record.boot, record.content_hash, None, 0, raw)
        strip = open_slots([row], self._sets.get)[record.seq].strip
        return [] if strip is None else [strip]

    def _read_again(self, device: str, portion: _Portion) -> list[Strip]:
        window = Window(self._file, portion.offset, portion.size)
        raws = [item.raw for item in read_sequence(cast(BinaryIO, window)) if int(item.place) not in portion.refused]
        groups, rest = records_alike(raws, self._keys.public_key, self._keys.find, self._sets.get, is_verified=True)
        found = {number: strip for one in groups for number, strip in zip(one.numbers, one.strips, strict=True)}
        for number in rest:
            if strips := self._opened(raws[number]):
                found[number] = strips[0]
        ordered = [found[number] for number in sorted(found)]
        if _digest(ordered) != portion.digest:
            raise EvidenceError("changed", f"records of {device} are others than when they were verified")
        return ordered

    def _close(self, device: str, said: _Said, on_day: OnDay, is_end: bool) -> None:
        """Give on the days that are over."""
        newest = max((own[-1].first_utc_ms for own in said.days.values()), default=0)
        for day in sorted(said.days):
            if is_end or newest >= day + DAY_MS + LATE_MS or len(said.days) > DAYS_HELD_MAX:
                own = said.days.pop(day)
                if day in said.over:
                    said.again.add(day)
                    continue
                said.over.add(day)
                own += [strip for strip in said.lost if strip.touches(day, day + DAY_MS)]
                on_day(day, sorted(own, key=lambda strip: strip.seq))
        if is_end:
            touched = {day for strip in said.lost for day in said.over if strip.touches(day, day + DAY_MS)}
            for day in sorted(said.again | touched):
                on_day(day, self.strips(device, day, day + DAY_MS))


class Window:
    """A part of a file as a file that is read to its end."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._at, self._end = file, offset, offset + size

    def read(self, size: int) -> bytes:
        """At most so many bytes."""
        self._file.seek(self._at)
        found = self._file.read(min(size, self._end - self._at))
        self._at += len(found)
        return found


def _portions(items: Iterator[Item]) -> Iterator[list[Item]]:
    while portion := list(islice(items, PORTION)):
        yield portion


def _spread(said: _Said, strips: Sequence[Strip]) -> None:
    """To the days that they touch."""
    begin, end, last = 0, 0, said.lost  # day of the one before, and where it was put
    for strip in strips:
        first, behind = strip.first_utc_ms, strip.end_utc_ms
        if strip.values is None:
            said.lost.append(strip)
        elif begin <= first and behind <= end:  # most are of the day of the one before
            last.append(strip)
        else:
            for day in range(first - first % DAY_MS, behind, DAY_MS):
                begin, end, last = day, day + DAY_MS, said.days.setdefault(day, [])
                last.append(strip)


def _digest(strips: Sequence[Strip]) -> bytes:
    return hashlib.sha256(b"".join(strip.content_hash for strip in strips)).digest()


def _record_of(raw: bytes) -> Record:
    """Of an envelope whose outline holds; its signature is another's matter. Raises EvidenceError."""
    outline = outline_of(raw, 0)
    if outline is None:
        raise EvidenceError("form", "no envelope")
    payload = raw[outline[0] : outline[1]]
    protected = decode_untagged(raw[1:], EvidenceError)[0]
    return parse_payload(payload, hashlib.sha256(build_sig_structure(protected, payload)).digest())


def _other_device(device: str, raw: bytes, place: str) -> Finding | None:
    """A record that is not of the module among whose records it stands."""
    body = claimed_payload(raw)
    if body[fields.DEVICE] == device:
        return None
    told = f"{body[fields.DEVICE]} seq {body[fields.SEQ]}: stands among the records of {device}"
    return Finding("other_device", device, body[fields.SEQ], place, told)
