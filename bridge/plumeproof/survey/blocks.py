"""Registers into blocks: what is read with one request (firmware/profiles/README.md).

Only registers that adjoin share a block: some analyzers answer a block with an exception because of one register that
they do not have (reference: reporting interfaces section 5). Whoever knows better allows gaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from acqwire import limits

from plumeproof.evidence.parameters import BIT_FUNCTIONS
from plumeproof.evidence.reader import DECIMAL


@dataclass(frozen=True, slots=True)
class Span:
    """A run of registers or bits. `address` counts from 0."""

    function: int
    address: int
    quantity: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.quantity

    def holds(self, other: Span) -> bool:
        """Whether the other lies wholly inside."""
        return self.function == other.function and self.address <= other.address and other.end <= self.end


def group(spans: Sequence[Span], gap: int = 0) -> list[Span]:
    """The fewest blocks that hold all spans with at most `gap` unnamed registers between two; in order of address."""
    blocks: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.function, one.address, one.quantity)):
        last = blocks[-1] if blocks else None
        most = limits.BITS_MAX if span.function in BIT_FUNCTIONS else limits.REGISTERS_MAX
        if last and last.function == span.function and span.address - last.end <= gap:
            end = max(last.end, span.end)
            if end - last.address <= most:
                blocks[-1] = Span(span.function, last.address, end - last.address)
                continue
        blocks.append(span)
    return blocks


def locate(blocks: Sequence[Span], span: Span) -> int | None:
    """Index of the first block that holds a span."""
    return next((index for index, block in enumerate(blocks) if block.holds(span)), None)


def is_decimal(text: str) -> bool:
    """Whether a parameter set takes it as a decimal number."""
    return DECIMAL.fullmatch(text) is not None and math.isfinite(float(text))
