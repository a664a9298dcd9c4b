"""What was lost and what came twice: the plant's own log against ledger, broker subscriber and platform.

The plant wrote down every answer that left an analyzer. The ledger holds, per block, the slots in order, each with its
register bytes or a gap. Both are explained together with as few faults as possible: an answer in no record is lost, a
sample that no analyzer gave is duplicated or invented. An answer is excused where the line itself has signed why it has
no sample: a gap at its place, or a power-off interval (it lay in a batch that was not sealed when the module died); or
where the plant saw that it came late, with noise, or that it was asked for again in the same slot. No counter of the
line is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    answers: Sequence[bytes], slots: Sequence[Slot], excused: Sequence[bool] = (), has_died: bool = False
) -> BlockFindings:
    """Answers of one block against its slots in the ledger, both of one boot and in order.

    `excused`: whether an answer need not be a sample: it came after its timeout or with other bytes, or the plant was
    asked again within its slot. A gap excuses one answer at its place as well. `has_died`: this boot ended by a death
    of the module: the answers behind the last sealed slot have none.
    """
    front = 0  # what is plain needs no explanation
    while front < min(len(answers), len(slots)) and slots[front] == Slot(0, answers[front]):
        if excused and excused[front]:
            break
        front += 1
    counts = Counter(_explain(answers[front:], slots[front:], excused[front:], has_died))
    return BlockFindings(counts[_LOST], counts[_EXTRA], counts[_AT_GAP] + counts[_EXCUSED], counts[_POWER_OFF])


# Steps of an explanation: what an answer, a slot, or both at once are. Only _EXTRA and _LOST are faults.
_MATCH, _AT_GAP, _GAP, _EXTRA, _EXCUSED, _POWER_OFF, _LOST = range(1, 8)
_ANSWER_STEPS = frozenset((_MATCH, _AT_GAP, _EXCUSED, _POWER_OFF, _LOST))
_SLOT_STEPS = frozenset((_MATCH, _AT_GAP, _GAP, _EXTRA))
_SLACK = 64  # faults that are told apart exactly; beyond, they are found and may be counted too high


def _explain(answers: Sequence[bytes], slots: Sequence[Slot], excused: Sequence[bool], has_died: bool) -> list[int]:
    """Steps with the fewest faults that lead through both sequences (dynamic programming in a band)."""
    n, m = len(answers), len(slots)
    gaps = sum(slot.outcome != 0 for slot in slots)
    below, above = _SLACK + gaps + max(0, m - n), _SLACK + max(0, n - m + gaps)
    infinite = n + m + 1
    steps: list[bytearray] = []
    before: list[int] = []
    for i in range(n + 1):
        first, last = max(0, i - above), min(m, i + below)
        costs = [infinite] * (m + 1)
        row = bytearray(last + 1 - first)
        is_excused = bool(i and excused and excused[i - 1])
        for j in range(first, last + 1):
            best, step = (0, 0) if i == j == 0 else (infinite, 0)
            if i and j:
                slot = slots[j - 1]
                if slot.outcome:
                    if before[j - 1] < best:
                        best, step = before[j - 1], _AT_GAP
                elif before[j - 1] < best and slot.data == answers[i - 1]:
                    best, step = before[j - 1], _MATCH
            if j > first:
                cost = costs[j - 1] + (slots[j - 1].outcome == 0)
                if cost < best:
                    best, step = cost, _GAP if slots[j - 1].outcome else _EXTRA
            if i:
                is_power_off = has_died and j == m
                cost = before[j] + (not is_excused and not is_power_off)
                if cost < best:
                    best, step = cost, _EXCUSED if is_excused else _POWER_OFF if is_power_off else _LOST
            costs[j] = best
            row[j - first] = step
        before = costs
        steps.append(row)
    return _walk_back(steps, n, m, above)


def _walk_back(steps: list[bytearray], i: int, j: int, above: int) -> list[int]:
    taken = []
    while i or j:
        step = steps[i][j - max(0, i - above)]
        taken.append(step)
        i, j = i - (step in _ANSWER_STEPS), j - (step in _SLOT_STEPS)
    return taken


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
