"""Something in a document that does not hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule`: number and name of what is broken; `path`: JSON pointer of the place; `told`: what stands there and what
    should."""

    rule: str
    path: str
    told: str

    def __str__(self) -> str:
        """One line; what cannot be printed is escaped, for the document may come from anybody."""
        line = f"{self.path}: {self.told} (rule {self.rule})"
        return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
