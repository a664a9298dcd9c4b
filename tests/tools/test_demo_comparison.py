"""The demo's referee: it must see what is lost and what came twice, and must not call a signed gap a loss."""

from __future__ import annotations

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
    "said, held, retries, expected",
    [
        (answers(1, 2, 3), values(1, 2, 3), 0, BlockFindings(0, 0, 0)),
        (answers(1, 2, 3), values(1, 3), 0, BlockFindings(1, 0, 0)),
        (answers(1, 2, 3), values(1, 2, 2, 3), 0, BlockFindings(0, 1, 0)),
        (answers(1, 2), values(1, 7, 2), 0, BlockFindings(0, 1, 0)),
        (answers(1, 2, 3), [*values(1), GAP, *values(3)], 0, BlockFindings(0, 0, 1)),
        (answers(1, 2, 3), [GAP, *values(1), *values(3)], 0, BlockFindings(1, 0, 0)),
        (answers(1, 2, 3), [*values(1, 3), GAP], 0, BlockFindings(1, 0, 0)),
        (answers(1, 2, 3), values(1, 3), 1, BlockFindings(0, 0, 1)),
        (answers(1, 2, 3), [*values(1, 2), GAP], 0, BlockFindings(0, 0, 1)),
        ([], [GAP, GAP], 0, BlockFindings(0, 0, 0)),
        (answers(1), [], 0, BlockFindings(1, 0, 0)),
    ],
)
def test_block(said, held, retries, expected):
    assert compare_block(said, held, retries) == expected


@given(st.integers(1, 200), st.data())
def test_every_dropped_value_is_lost(count, data):
    said = [number.to_bytes(2, "big") for number in range(count)]
    kept = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    held = [Slot(0, item) for item, keep in zip(said, kept, strict=True) if keep]
    assert compare_block(said, held, 0) == BlockFindings(count - sum(kept), 0, 0)


@given(st.integers(1, 100), st.data())
def test_every_repeated_value_is_a_duplicate(count, data):
    said = [number.to_bytes(2, "big") for number in range(count)]
    times = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    held = [Slot(0, item) for item, repeat in zip(said, times, strict=True) for _ in range(repeat)]
    assert compare_block(said, held, 0) == BlockFindings(0, sum(times) - count, 0)


def test_keys():
    assert compare_keys(["a", "b"], ["b", "b", "c"]) == SetFindings(missing=1, unexpected=1, repeated=1)
