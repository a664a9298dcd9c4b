"""Status letters: every status has one, the worst wins, what counts and what is lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding, intervals
from plumeproof.rules import status

PRIORITY = "XLFMC" + "O" + "U" + "PSWV"  # of the reference; O before U


def test_every_status_has_a_letter():
    numbers = [0, *(number for number, _ in decoding.STATUS_NAMES), intervals.ABSENT, intervals.PARAMETERS_CHANGED]
    for number in numbers:
        assert status.letters_of(status.to_codes(number)) in status.LETTERS
    assert status.letters_of(status.to_codes(np.array([0, 190, 191, 195, 196, 201, 1, 240], np.uint8))) == "VWFOUCLL"
    assert all(status.to_codes(64 + exception) == status.LINK for exception in range(1, 12))


def test_what_counts_is_what_decoding_counts():
    numbers = np.array([0, *(number for number, _ in decoding.STATUS_NAMES)], np.uint8)
    assert (status.counts(status.to_codes(numbers)) == decoding.is_valid(numbers)).all()


def test_unknown_status_is_refused():
    with pytest.raises(RuleError, match="status 255: has no letter"):
        status.to_codes(np.array([0, 255]))
    for wrong in (np.array([0.0]), 256, -1):
        with pytest.raises(RuleError, match="no status numbers"):
            status.to_codes(wrong)
    with pytest.raises(RuleError, match="'?'"):
        status.codes_of("V?")
    with pytest.raises(RuleError, match="outside 0..10"):
        status.letters_of([11])


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(PRIORITY, 2)))
def test_priority(one, other):
    """X > L > F > M > C > O/U > P > S > W > V."""
    codes = status.codes_of(one), status.codes_of(other)
    assert status.letters_of(status.worst(*codes)) == one
    assert status.letters_of(status.worst(*reversed(codes))) == one


@given(st.lists(st.text(status.LETTERS, min_size=5, max_size=5), min_size=1, max_size=4))
def test_worst_of_many_is_place_by_place(rows):
    wanted = "".join(min(column, key=PRIORITY.index) for column in zip(*rows, strict=True))
    assert status.letters_of(status.worst(*map(status.codes_of, rows))) == wanted


def test_counts_and_losses():
    codes = status.codes_of(status.LETTERS)
    assert status.letters_of(codes[status.counts(codes)]) == "VWS"
    assert status.letters_of(codes[status.is_lost(codes)]) == "PUOCMFLX"
    assert status.letters_of(codes[status.is_lost(codes, "PUOMFLX")]) == "PUOMFLX"  # Austria
    assert set(status.LOST_AS) == set("PUOCMFLX")
    assert {letter for letter, kind in status.LOST_AS.items() if kind == status.MAINTENANCE_LOSS} == set("CM")
    assert [letter for letter, _ in status.MEANINGS] == list(status.LETTERS)


def test_missing_peripheral():
    codes = status.codes_of("VVVWFC")
    has = np.array([True, False, False, False, False, False])
    substitute = np.array([True, False, True, True, True, False])
    assert status.letters_of(status.judge_peripheral(codes, has, substitute)) == "VPSSFC"
    assert status.judge_peripheral(status.VALID, False) == status.PERIPHERAL
    assert status.judge_peripheral(status.VALID, False, True) == status.SUBSTITUTE
