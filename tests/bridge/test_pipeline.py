"""The stream of one module on real framing, verifier, chain and SQLite; only the module is a double."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from acqwire import fields, frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.errors import ChainError, EnvelopeError, EvidenceError, LinkError, StoreError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.keys import parse_keys
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.pipeline import Ingest
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_session import SteppedTime
from tests.doubles.sealed_module import ORDER, SealedModule


class OneKey:
    """KeyFile with one key for one device."""

    def __init__(self, module: SealedModule) -> None:
        self.module = module

    def public_key(self, kid: bytes) -> bytes:
        if kid != self.module.kid:
            raise EnvelopeError("key_unknown")
        return self.module.public_key

    def find(self, kid: bytes, device: str, seq: int) -> bytes:
        return self.public_key(kid)


class TickingTime(SteppedTime):
    """A clock on which each look takes a little, so that silence ends."""

    def monotonic_s(self) -> float:
        self.now_s += 0.05
        return self.now_s


@pytest.fixture
def ledger(tmp_path: Path):
    writer = Writer(tmp_path / "ledger.sqlite")
    yield SqliteLedger(writer, SteppedTime())
    writer.close()


def ingest_of(module: SealedModule, ledger: SqliteLedger) -> Ingest:
    line = Line(module, FrameCodec(), Session(1), TickingTime())
    return Ingest("plume-01", line, OneKey(module), ledger)


def stored(ledger: SqliteLedger) -> list[int]:
    return [row.seq for row in ledger.of_device("plume-01", 1, 10**9)]


def drain(ingest: Ingest) -> None:
    while ingest.poll():
        pass


def test_every_record_is_stored_then_acknowledged(ledger):
    module = SealedModule()
    module.start()
    for _ in range(20):
        module.sample()
    envelopes = {seq: raw for seq, (_, raw) in module.journal.items()}
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == list(range(1, 22))
    assert {row.seq: row.envelope for row in ledger.of_device("plume-01", 1, 99)} == envelopes
    assert module.journal == {}
    assert module.acknowledged[-1] == 21


def test_nothing_is_acknowledged_when_the_ledger_cannot_commit(ledger):
    module = SealedModule()
    module.start()
    ingest = ingest_of(module, ledger)
    ingest.greet()

    class FullDisk:
        def __getattr__(self, name):
            return getattr(ledger, name)

        def append(self, accepted, head, holes):
            raise StoreError("disk full")

    ingest._ledger = FullDisk()
    with pytest.raises(StoreError):
        ingest.poll()
    assert module.acknowledged == []
    assert list(module.journal) == [1]
    ingest._ledger = ledger
    drain(ingest)
    assert stored(ledger) == [1]


def test_a_restart_goes_on_behind_the_ledgers_head(ledger):
    module = SealedModule()
    module.start()
    module.sample()
    first = ingest_of(module, ledger)
    first.greet()
    drain(first)
    module.sample()
    module.start()
    module.sample()
    second = ingest_of(module, ledger)
    second.greet()
    drain(second)
    assert stored(ledger) == [1, 2, 3, 4, 5]
    head = ledger.head("plume-01")
    assert head is not None and (head.boot, head.next_slot) == (2, 3)


def test_a_lost_acknowledgement_makes_no_second_row(ledger):
    module = SealedModule()
    module.start()
    module.sample()
    kept = dict(module.journal)
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    module.journal = kept  # as if the acknowledgement had never come
    again = ingest_of(module, ledger)
    again.greet()
    drain(again)
    assert stored(ledger) == [1, 2]
    assert module.journal == {}


def test_poison_is_quarantined_acknowledged_and_passed(ledger):
    module = SealedModule()
    module.start()
    module.put(b"\xff not an envelope", hashlib.sha256(b"poison").digest())
    module.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 3]
    assert ingest.counters.quarantined_total == 1
    assert module.journal == {}


def test_bytes_that_only_the_line_made_up_do_not_move_the_head(ledger):
    module = SealedModule()
    module.start()
    true_entry = module.journal[1]
    ingest = ingest_of(module, ledger)
    ingest.greet()
    honest = module._answers

    def forged(question):
        return [
            (kind, body[:8] + bytes(32) + b"forged" if kind == frames.RECORD else body)
            for kind, body in honest(question)
        ]

    module._answers = forged
    ingest.poll()
    with pytest.raises(LinkError, match="does not confirm the bytes that came as its seq 1"):
        ingest.poll()
    assert stored(ledger) == []
    assert module.journal == {1: true_entry}
    module._answers = honest
    drain(ingest)
    assert stored(ledger) == [1]


def damaged_once(module: SealedModule, seq: int, damage) -> None:
    """The line changes one envelope on its first way, with a good CRC and the module's own hash in the header."""
    honest, is_done = module._answers, []

    def answers(question):
        found = []
        for kind, body in honest(question):
            if kind == frames.RECORD and int.from_bytes(body[:8], "big") == seq and not is_done:
                is_done.append(True)
                body = body[:40] + damage(body[40:])
            found.append((kind, body))
        return found

    module._answers = answers


def high_s(raw: bytes) -> bytes:
    return raw[:-32] + (ORDER - int.from_bytes(raw[-32:], "big")).to_bytes(32, "big")


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1] + bytes((raw[-1] ^ 1,)), lambda raw: raw[:-9], high_s])
def test_what_the_line_spoils_once_is_neither_lost_nor_quarantined(ledger, damage):
    module = SealedModule()
    module.start()
    for _ in range(4):
        module.sample()
    damaged_once(module, 3, damage)
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 2, 3, 4, 5]
    assert ingest.counters.quarantined_total == 0


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("bse"), min_size=1, max_size=14), st.data())
def test_one_record_in_quarantine_takes_no_other_with_it(tmp_path_factory, history, data):
    """Whatever it was, even a boot record: all others are stored, and it alone is not."""
    module = SealedModule()
    module.start()
    for what in history:
        if what == "b":
            module.start()
        elif what == "s":
            module.sample()
        else:
            module.seal(fields.KIND_EVENT, {fields.EVENT_CODE: 3, fields.EVENT_ARGS: []})
    poisoned = data.draw(st.integers(1, module.newest))
    content_hash, raw = module.journal[poisoned]
    module.journal[poisoned] = (content_hash, data.draw(st.sampled_from([b"\xff", raw[:-1], high_s(raw)])))
    writer = Writer(tmp_path_factory.mktemp("one") / "ledger.sqlite")
    ledger = SqliteLedger(writer, SteppedTime())
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [seq for seq in range(1, module.newest + 1) if seq != poisoned]
    assert module.journal == {}
    writer.close()


def test_a_boot_record_that_is_refused_takes_no_other_with_it(ledger):
    module = SealedModule()
    module.start()
    module.boot += 3  # its counter has jumped
    module.start()
    module.sample()
    module.start()
    module.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 3, 4, 5]


def test_a_declared_loss_before_poison_is_a_hole(ledger):
    module = SealedModule()
    module.start()
    for _ in range(3):
        module.sample()
    module.missing = (2, 3)
    del module.journal[2], module.journal[3]
    module.journal[4] = (module.journal[4][0], b"\xff")
    module.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 5]
    with ledger._writer.reading() as connection:
        assert connection.execute("SELECT first_seq, last_seq FROM hole").fetchall() == [(2, 3)]


def test_a_declared_loss_with_nothing_behind_it_is_no_work(ledger):
    module = SealedModule()
    module.start()
    module.sample()
    module.missing = (2, 2)
    del module.journal[2]
    ingest = ingest_of(module, ledger)
    ingest.greet()
    assert [ingest.poll(), ingest.poll()] == [1, 0]


def test_records_of_a_key_that_is_not_enrolled_stay_in_the_module(ledger):
    module = SealedModule()
    module.start()
    module.sample()
    kept = dict(module.journal)
    ingest = Ingest("plume-01", Line(module, FrameCodec(), Session(1), TickingTime()), parse_keys(b"[]", "k"), ledger)
    ingest.greet()
    assert ingest.poll() == 2  # a spoilt kid would look like this too
    for _ in range(3):
        with pytest.raises(EvidenceError, match="plume-01 seq 1: kid .* not enrolled .*; enrol it in keys.json"):
            ingest.poll()
    assert (module.journal, module.acknowledged, stored(ledger)) == (kept, [], [])
    enrolled = ingest_of(module, ledger)
    enrolled.greet()
    drain(enrolled)
    assert stored(ledger) == [1, 2]


def test_another_modules_good_record_stays_in_that_module(ledger):
    """Two cables change places between two questions: nobody is greeted again, and the seqs happen to fit."""
    module, other = SealedModule(), SealedModule("plume-02")
    module.start()
    other.start()
    other.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    kept = dict(other.journal)
    ingest._line._stream = other
    for _ in range(3):
        with pytest.raises(LinkError, match="a record of module plume-02 on the line of plume-01"):
            ingest.poll()
    assert (other.journal, other.acknowledged) == (kept, [])


def test_a_first_record_with_a_predecessor_freezes(ledger):
    module = SealedModule()
    module.newest_hash = bytes((1,)) * 32
    module.start()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    assert ingest.poll() == 1
    for _ in range(2):
        with pytest.raises(ChainError, match="frozen"):
            ingest.poll()
    head = ledger.head("plume-01")
    assert head is not None and head.is_frozen and module.acknowledged == []


def test_a_declared_loss_is_a_hole_and_the_chain_goes_on(ledger):
    module = SealedModule()
    module.start()
    for _ in range(4):
        module.sample()
    module.missing = (3, 4)
    del module.journal[3], module.journal[4]
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 2, 5]
    assert ingest.counters.holes_total == 1


def test_two_histories_under_one_key_freeze_the_chain(ledger):
    module, clone = SealedModule(), SealedModule()
    for twin, slots in ((module, 3), (clone, 2)):
        twin.start()
        twin.sample(slots)
        twin.sample(3)
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    clone.sample(3)
    other = ingest_of(clone, ledger)
    other.greet()
    with pytest.raises(ChainError, match="frozen: two histories of plume-01"):
        drain(other)
    assert stored(ledger) == [1, 2, 3]
    assert other.counters.equivocations_total == 1
    head = ledger.head("plume-01")
    assert head is not None and head.is_frozen
    module.sample()
    third = ingest_of(module, ledger)
    third.greet()
    with pytest.raises(ChainError, match="frozen"):
        third.poll()
    assert stored(ledger) == [1, 2, 3]


def test_an_old_flash_image_is_noticed(ledger):
    module, old = SealedModule(), SealedModule()
    module.start()
    module.sample()
    old.start()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    restored = ingest_of(old, ledger)
    with pytest.raises(ChainError, match="up to seq 1, the ledger up to 2"):
        restored.greet()
    assert old.acknowledged == []
    assert restored.counters.rollbacks_total == 1


def test_the_wrong_module_on_the_line_is_refused(ledger):
    module = SealedModule("plume-02")
    module.start()
    ingest = ingest_of(module, ledger)
    with pytest.raises(LinkError, match="exchange the cables"):
        ingest.greet()


def test_a_record_that_skips_slots_is_quarantined(ledger):
    module = SealedModule()
    module.start()
    module.sample()
    module.next_slot += 5
    module.sample()
    module.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 2, 4]
    assert ingest.counters.quarantined_total == 1


def test_an_unknown_kind_is_stored_and_chained(ledger):
    module = SealedModule()
    module.start()
    module.seal(99, {})  # of a later wire version
    module.sample()
    ingest = ingest_of(module, ledger)
    ingest.greet()
    drain(ingest)
    assert stored(ledger) == [1, 2, 3]


class CountedLedger:
    """The ledger, and how many records each commit held."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self.commits: list[int] = []

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def append(self, accepted, head, holes):
        self._ledger.append(accepted, head, holes)
        self.commits.append(len(accepted))


def backlog(count: int) -> SealedModule:
    module = SealedModule()
    module.start()
    for _ in range(count - 1):
        module.sample()
    return module


def grouped(module: SealedModule, ledger: SqliteLedger, seconds_a_look: float) -> tuple[Ingest, CountedLedger]:
    counted = CountedLedger(ledger)
    line = Line(module, FrameCodec(), Session(1), TickingTime())
    looks = iter(range(10**6))
    ingest = Ingest("plume-01", line, OneKey(module), counted, lambda: next(looks) * seconds_a_look)
    ingest.greet()
    return ingest, counted


def test_a_fast_backlog_is_committed_in_groups(ledger):
    module = backlog(150)
    ingest, counted = grouped(module, ledger, 0.0)
    assert [ingest.poll(), ingest.poll(), ingest.poll(), ingest.poll()] == [64, 64, 22, 0]
    assert counted.commits == [64, 64, 22]
    assert module.acknowledged == [64, 128, 150]
    assert stored(ledger) == list(range(1, 151))


def test_a_slow_line_waits_for_no_group(ledger):
    module = backlog(20)
    ingest, counted = grouped(module, ledger, 1.0)
    drain(ingest)
    assert counted.commits == [8, 8, 4]
    assert module.acknowledged == [8, 16, 20]


def test_a_line_that_breaks_inside_a_group_leaves_what_came_before(ledger):
    module = backlog(20)
    ingest, counted = grouped(module, ledger, 0.0)
    fetch, questions = ingest._line.fetch, []

    def break_third(from_seq, window):
        questions.append(from_seq)
        if len(questions) == 3:
            raise LinkError("unplugged")
        return fetch(from_seq, window)

    ingest._line.fetch = break_third
    with pytest.raises(LinkError):
        ingest.poll()
    assert counted.commits == [16] and stored(ledger) == list(range(1, 17))
    drain(ingest)
    assert stored(ledger) == list(range(1, 21))
    assert ingest.counters.records_total == 20


def test_poison_inside_a_group_is_settled_behind_what_came_before(ledger):
    module = backlog(11)
    module.put(b"\xff not an envelope", hashlib.sha256(b"poison").digest())
    module.sample()
    ingest, counted = grouped(module, ledger, 0.0)
    drain(ingest)
    assert counted.commits == [11, 0, 1]  # none with the head behind the poison
    assert stored(ledger) == [*range(1, 12), 13]
    assert ingest.counters.quarantined_total == 1
