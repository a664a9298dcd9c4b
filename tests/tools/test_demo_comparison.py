"""The demo's referee: it must see what is lost and what came twice, and must not call a signed gap a loss."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.demo.comparison import BlockFindings, SetFindings, Slot, compare_block, compare_keys

GAP = Slot(1, b"")


def values(*numbers: int) -> list[Slot]:
    return [Slot(0, bytes([number])) for number in numbers]


def answers(*numbers: int) -> list[bytes]:
    return [bytes([number]) for number in numbers]


@pytest.mark.parametrize(
    "said, held, excused, expected",
    [
        (answers(1, 2, 3), values(1, 2, 3), (), BlockFindings()),
        (answers(1, 2, 3), values(1, 3), (), BlockFindings(lost=1)),
        (answers(1, 2, 3), values(1, 2, 2, 3), (), BlockFindings(duplicated=1)),
        (answers(1, 2), values(1, 7, 2), (), BlockFindings(duplicated=1)),
        (answers(1, 2, 3), values(1, 7, 3), (), BlockFindings(lost=1, duplicated=1)),
        (answers(1, 2, 3), [*values(1), GAP, *values(3)], (), BlockFindings(late=1)),
        (answers(1, 2, 3), [GAP, *values(1), *values(3)], (), BlockFindings(lost=1)),
        (answers(1, 2, 3), [*values(1, 3), GAP], (), BlockFindings(lost=1)),
        (answers(1, 2, 3), values(1, 3), [False, True, False], BlockFindings(late=1)),
        (answers(1, 2, 3), values(1, 3), [True, False, True], BlockFindings(lost=1)),
        (answers(1, 2, 2, 3), values(1, 2, 3), [False, True, False, False], BlockFindings(late=1)),
        (answers(1, 2, 2, 2), values(1, 2), [False, True, False, False], BlockFindings(lost=1, late=1)),
        (answers(1, 2, 3), [*values(1, 2), GAP], (), BlockFindings(late=1)),
        (answers(5, 5, 5, 5), values(5, 5, 5), (), BlockFindings(lost=1)),
        ([], [GAP, GAP], (), BlockFindings()),
        (answers(1), [], (), BlockFindings(lost=1)),
    ],
)
def test_block(said, held, excused, expected):
    assert compare_block(said, held, excused) == expected


@pytest.mark.parametrize(
    "said, held, expected",
    [
        (answers(1, 2, 3, 4), values(1, 2), BlockFindings(power_off=2)),
        (answers(5, 5, 5, 5), values(5, 5), BlockFindings(power_off=2)),
        (answers(1, 2, 3, 4), values(1, 3), BlockFindings(lost=1, power_off=1)),
        (answers(1, 2), values(1, 2, 2), BlockFindings(duplicated=1)),
        (answers(1, 2, 3), [], BlockFindings(power_off=3)),
        (answers(1, 2, 3, 4), [*values(1, 2), GAP], BlockFindings(late=1, power_off=1)),
    ],
)
def test_a_boot_that_ended_by_a_death_excuses_its_unsealed_tail_only(said, held, expected):
    assert compare_block(said, held, has_died=True) == expected


@given(st.integers(1, 200), st.data())
def test_every_dropped_value_is_lost(count, data):
    said = [number.to_bytes(2, "big") for number in range(count)]
    kept = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    held = [Slot(0, item) for item, keep in zip(said, kept, strict=True) if keep]
    assert compare_block(said, held) == BlockFindings(lost=count - sum(kept))


@given(st.integers(1, 100), st.data())
def test_every_repeated_value_is_a_duplicate(count, data):
    said = [number.to_bytes(2, "big") for number in range(count)]
    times = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    held = [Slot(0, item) for item, repeat in zip(said, times, strict=True) for _ in range(repeat)]
    assert compare_block(said, held) == BlockFindings(duplicated=sum(times) - count)


@given(st.lists(st.sampled_from(b"abc"), max_size=30), st.lists(st.sampled_from(b"abc"), max_size=30))
def test_the_difference_is_the_shortest(said, held):
    longest = [[0] * (len(held) + 1)]  # the textbook's longest common subsequence
    for one in said:
        row = [0]
        for other, ((above_left, above), left) in zip(
            held, zip(pairwise(longest[-1]), row, strict=False), strict=False
        ):
            row.append(above_left + 1 if one == other else max(above, left))
        longest.append(row)
    found = compare_block([bytes([one]) for one in said], values(*held))
    common = longest[-1][-1]
    assert (found.lost, found.duplicated) == (len(said) - common, len(held) - common)


def test_keys():
    assert compare_keys(["a", "b"], ["b", "b", "c"]) == SetFindings(missing=1, unexpected=1, repeated=1)
