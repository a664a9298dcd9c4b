"""What was lost and what came twice: the plant's own log against ledger, broker subscriber and platform.

The plant wrote down every answer that left an analyzer. The ledger holds, per block, the register bytes of every slot
in order. Both are sequences of byte strings; a longest common alignment tells which answers are in no record (lost) and
which samples no analyzer gave (duplicated or invented). An answer that arrived after its timeout is not lost: its slot
is a signed gap, or holds the answer of the retry; such answers are counted apart as late.
Nothing here asks a counter of the line itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of one block as the ledger holds it: `outcome` 0 with `data`, or a gap cause with b""."""

    outcome: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlockFindings:
    """Of one block: answers in no record, samples of no answer, answers whose slot is a signed gap or a retry."""

    lost: int
    duplicated: int
    late: int


def compare_block(answers: Sequence[bytes], slots: Sequence[Slot], retries: int) -> BlockFindings:
    """Intact answers of one block against the slots of the ledger, both in order.

    `retries`: how often the module asked again within a slot. An unmatched answer is excused as late only where a gap
    stands at its place in the ledger or a retry was counted, each excusing one answer.
    """
    values = [slot.data for slot in slots if slot.outcome == 0]
    gaps_before = _gaps_before(slots)
    matcher = SequenceMatcher(None, answers, values, autojunk=False)
    unmatched = duplicated = excused = 0
    for tag, first, last, low, high in matcher.get_opcodes():
        if tag == "equal":
            continue
        missing, extra = last - first, high - low
        unmatched += missing
        duplicated += extra
        excused += min(missing, gaps_before[high] - (gaps_before[low - 1] if low else 0))
    late = min(unmatched, excused + retries)
    return BlockFindings(unmatched - late, duplicated, late)


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
