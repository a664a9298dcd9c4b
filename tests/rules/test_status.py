"""Status letters: every status has one, in the order of the reference."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert ((np.asarray(status.to_codes(numbers)) <= status.SUBSTITUTE) == decoding.is_valid(numbers)).all()


def test_codes_rank_by_priority():
    """X > L > F > M > C > O > U > P > S > W > V."""
    assert status.LETTERS[::-1] == PRIORITY


def test_unknown_status_is_refused():
    with pytest.raises(RuleError, match="status 255: has no letter"):
        status.to_codes(np.array([0, 255]))
    for wrong in (np.array([0.0]), 256, -1):
        with pytest.raises(RuleError, match="no status numbers"):
            status.to_codes(wrong)
    with pytest.raises(RuleError, match="outside 0..10"):
        status.letters_of([11])
