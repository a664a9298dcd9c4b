"""evidence.chain: what may follow what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.evidence.chain import (
    ACCEPT,
    BOOT_UNKNOWN,
    DUPLICATE,
    EQUIVOCATION,
    HOLE,
    REFUSE,
    SLOT_UNKNOWN,
    accept,
    head_behind,
)
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from tests.doubles.evidence_chain import POINT, build_chain

RECORDS = [parse_record(verify_envelope(raw, lambda kid: POINT)) for raw in build_chain(12)]
HEADS = []
for _record in RECORDS:
    HEADS.append(accept(HEADS[-1] if HEADS else None, _record).head)


def test_a_chain_is_accepted_in_order():
    head = None
    for record in RECORDS:
        decision = accept(head, record)
        assert (decision.verdict, decision.holes) == (ACCEPT, ())
        head = decision.head
    assert (head.seq, head.next_slot) == (12, 20)


@given(st.integers(-1, 11), st.integers(0, 11))
def test_every_pair(at, of):
    head = HEADS[at] if at >= 0 else None
    decision = accept(head, RECORDS[of], stored_hash=RECORDS[of].content_hash)
    if of <= at:
        assert (decision.verdict, decision.head) == (DUPLICATE, head)
    elif of == at + 1:
        assert (decision.verdict, decision.head) == (ACCEPT, HEADS[of])
    else:
        assert (decision.verdict, decision.holes) == (HOLE, ((at + 2, of),))
        declared = accept(head, RECORDS[of], missing_until=of)
        assert (declared.verdict, declared.holes, declared.head.seq) == (ACCEPT, ((at + 2, of),), of + 1)


@given(st.integers(0, 11), st.integers(0, 11))
def test_another_content_freezes(at, of):
    other = replace(RECORDS[of], content_hash=b"\xff" * 32)
    decision = accept(HEADS[at], other, stored_hash=RECORDS[of].content_hash)
    if of <= at:
        assert decision.verdict == EQUIVOCATION and decision.head.is_frozen
        if at < 11:
            assert accept(decision.head, RECORDS[at + 1]).code == "frozen"


NEXT = RECORDS[6]
HEAD = HEADS[5]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prev": b"\x01" * 32}, "prev"),
        ({"boot": 2}, "boot_record_missing"),
        ({"mono_ms": HEAD.mono_ms - 1}, "mono_lower"),
        ({"kind": 1, "body": RECORDS[0].body}, "boot_repeated"),
        ({"kind": 1, "body": RECORDS[0].body, "boot": 3}, "boot_skipped"),
        ({"device": "other"}, "other_device"),
        ({"body": RECORDS[5].body}, "slot_order"),
        ({"body": RECORDS[7].body}, "slot_order"),
    ],
)
def test_refused(change, code):
    decision = accept(HEAD, replace(NEXT, **change))
    assert (decision.verdict, decision.code, decision.head) == (REFUSE, code, HEAD)


def test_a_lower_boot_is_refused():
    assert accept(replace(HEAD, boot=2), NEXT).code == "boot_lower"


def test_a_new_boot_begins_at_slot_zero():
    decision = accept(HEAD, replace(NEXT, kind=1, body=RECORDS[0].body, boot=2, mono_ms=0))
    assert decision.verdict == ACCEPT and decision.head.next_slot == 0


def test_the_first_record():
    assert accept(None, replace(RECORDS[0], prev=b"\x01" * 32)).code == "prev"
    assert accept(None, replace(RECORDS[2], seq=1, prev=bytes(32))).code == "first_record"


def test_behind_a_hole_the_slots_are_unknown():
    event = replace(RECORDS[8], kind=5, body=RECORDS[1].body)
    decision = accept(HEAD, event, missing_until=8)
    assert decision.verdict == ACCEPT and decision.head.next_slot == SLOT_UNKNOWN
    assert accept(HEAD, replace(RECORDS[8], body=RECORDS[2].body), missing_until=8).code == "slot_order"


BOOT_3 = {"kind": 1, "body": RECORDS[0].body, "boot": 3, "mono_ms": 0}


def test_behind_unreadable_bytes_a_boot_may_have_begun():
    head = head_behind(HEADS[4], HEAD.device, 6, HEAD.content_hash, None)
    assert (head.seq, head.boot, head.next_slot) == (6, 1, BOOT_UNKNOWN)
    for change in ({}, {"boot": 2, "mono_ms": 0}, BOOT_3):
        assert accept(head, replace(NEXT, **change)).verdict == ACCEPT
    assert accept(head, replace(NEXT, prev=bytes(32))).code == "prev"
    event = accept(head, replace(NEXT, kind=5, body=RECORDS[1].body)).head
    assert event.next_slot == SLOT_UNKNOWN  # they were of this boot
    assert accept(event, replace(RECORDS[7], **BOOT_3)).code == "boot_skipped"


def test_behind_a_refused_boot_its_records_follow():
    refused = replace(NEXT, **BOOT_3)
    head = head_behind(HEAD, HEAD.device, 7, NEXT.content_hash, refused)
    following = replace(RECORDS[7], boot=3, body=RECORDS[2].body)
    assert accept(head, following).verdict == ACCEPT


def test_behind_a_refused_record_nothing_goes_back():
    head = head_behind(replace(HEAD, boot=2), HEAD.device, 7, NEXT.content_hash, NEXT)
    assert (head.seq, head.boot, head.mono_ms) == (7, 2, HEAD.mono_ms)
    assert accept(head, RECORDS[7]).code == "boot_lower"


def test_high_s_can_only_be_a_duplicate():
    assert accept(HEAD, NEXT, is_high_s=True).code == "high_s"
    assert accept(HEADS[6], NEXT, is_high_s=True).verdict == DUPLICATE
