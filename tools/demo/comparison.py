"""What was lost and what came twice: the plant's own log against ledger, broker subscriber and platform.

The plant wrote down every answer that left an analyzer. The ledger holds, per block, the register bytes of every slot
in order. Both are sequences of byte strings; their shortest difference tells which answers are in no record (lost) and
which samples no analyzer gave (duplicated or invented). An answer is excused where the line itself has signed why it
has no sample: a gap at its place (it came after its timeout) or a power-off interval (it lay in a batch that was not
sealed when the module died); or where the plant saw the module ask again in the same slot. No counter of the line is
asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of one block as the ledger holds it: `outcome` 0 with `data`, or a gap cause with b""."""

    outcome: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlockFindings:
    """Of one block and one boot of its module, in answers: `lost` are in no record, `duplicated` are samples that no
    analyzer gave, `late` have a signed gap or a retry in their place, `power_off` died unsealed with the module."""

    lost: int = 0
    duplicated: int = 0
    late: int = 0
    power_off: int = 0

    def __add__(self, other: BlockFindings) -> BlockFindings:
        return BlockFindings(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.late + other.late,
            self.power_off + other.power_off,
        )


def compare_block(
    answers: Sequence[bytes], slots: Sequence[Slot], retries: int = 0, has_died: bool = False
) -> BlockFindings:
    """Intact answers of one block against its slots in the ledger, both of one boot and in order.

    `retries`: answers behind which the plant was asked again within the slot; each excuses one, as a gap at its place
    does.
    `has_died`: this boot ended by a death of the module, so that the answers behind the last sealed slot have none.
    """
    values = [slot.data for slot in slots if slot.outcome == 0]
    gaps_before = _gaps_before(slots)
    unmatched = duplicated = excused = power_off = 0
    for missing, low, high in _differences(answers, values):
        duplicated += high - low
        unmatched += missing
        by_gap = min(missing, gaps_before[high] - (gaps_before[low - 1] if low else 0))
        excused += by_gap
        if has_died and high == len(values):
            power_off += missing - by_gap
    late = min(unmatched - power_off, excused + retries)
    return BlockFindings(unmatched - power_off - late, duplicated, late, power_off)


def _gaps_before(slots: Sequence[Slot]) -> list[int]:
    """[i]: gaps that stand before value i; one entry more for those before the end."""
    counts = []
    gaps = 0
    for slot in slots:
        if slot.outcome == 0:
            counts.append(gaps)
        else:
            gaps += 1
    return [*counts, gaps]


def _differences(said: Sequence[bytes], held: Sequence[bytes]) -> Iterator[tuple[int, int, int]]:
    """Runs of the shortest difference (E. W. Myers, An O(ND) Difference Algorithm, 1986), in order.

    Each is (how many of `said` are not held, first and last + 1 of `held` that were not said).
    """
    pairs = [*_matches(said, held), (len(said), len(held))]
    x = y = 0
    for next_x, next_y in pairs:
        if next_x > x or next_y > y:
            yield next_x - x, y, next_y
        x, y = next_x + 1, next_y + 1


def _matches(said: Sequence[bytes], held: Sequence[bytes]) -> list[tuple[int, int]]:
    """Pairs of equal elements in order, as many as can be; the earliest ones, so that what is missing stands last."""
    front = 0
    while front < min(len(said), len(held)) and said[front] == held[front]:
        front += 1
    n, m = len(said) - front, len(held) - front
    reach = {1: 0}  # diagonal -> furthest x
    history: list[dict[int, int]] = []
    for depth in range(n + m + 1):
        history.append(dict(reach))
        for k in range(-depth, depth + 1, 2):
            is_down = k == -depth or (k != depth and reach[k - 1] < reach[k + 1])
            x = reach[k + 1] if is_down else reach[k - 1] + 1
            while x < n and x - k < m and said[front + x] == held[front + x - k]:
                x += 1
            reach[k] = x
            if x >= n and x - k >= m:
                return [(i, i) for i in range(front)] + _walk_back(history, n, m, front)
    raise AssertionError("two sequences always differ by at most their lengths")


def _walk_back(history: list[dict[int, int]], x: int, y: int, front: int) -> list[tuple[int, int]]:
    pairs = []
    for depth in range(len(history) - 1, -1, -1):
        reach, k = history[depth], x - y
        is_down = k == -depth or (k != depth and reach[k - 1] < reach[k + 1])
        before_k = k + 1 if is_down else k - 1
        before_x = reach[before_k] if depth else 0
        before_y = before_x - before_k if depth else 0
        while x > before_x and y > before_y:
            x, y = x - 1, y - 1
            pairs.append((front + x, front + y))
        x, y = before_x, before_y
    return pairs[::-1]


@dataclass(frozen=True, slots=True)
class SetFindings:
    """Things that one side has and the other has not, and those that came more than once."""

    missing: int
    unexpected: int
    repeated: int


def compare_keys(expected: Sequence[object], found: Sequence[object]) -> SetFindings:
    """`expected` against `found` by identity key, whatever the order."""
    wanted = set(expected)
    counts = Counter(found)
    return SetFindings(
        missing=len(wanted - counts.keys()),
        unexpected=len(counts.keys() - wanted),
        repeated=sum(count - 1 for count in counts.values()),
    )
