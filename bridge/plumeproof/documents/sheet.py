"""A document as people read it: words and tables without looks; sheet_page.py and sheet_pdf.py show the same of it.

sheet = Sheet("GHG statement", "Works A, 2026", (Facts((("Permit", "9111-X"),)), Table(("Gas", "t CO2e"), rows)))
"""

from __future__ import annotations

from dataclasses import dataclass

GOOD, OPEN, BAD = "good", "open", "bad"  # of a verdict: holds, not known or not yet, does not hold
MOODS = (GOOD, OPEN, BAD)


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence with its mood, set off."""

    text: str
    mood: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values below each other."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`numbers`: which columns hold numbers, set to the right. `moods`: of each row, "" for none; empty: none has one.
    `widths`: shares of the columns; empty: by their content."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    moods: tuple[str, ...] = ()
    widths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of a whole, 0 to 1, with the threshold that it is judged by (None: none). `full`: what the whole width
    stands for, so that small shares can be seen."""

    name: str
    share: float
    threshold: float | None
    told: str
    full: float = 1.0


Block = Heading | Text | Verdict | Facts | Table | Bar


@dataclass(frozen=True, slots=True)
class Sheet:
    """`standing`: what kind of text this is (official, community, provisional, own form), shown with the title; `foot`:
    on every page of paper, mostly the document's hash."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
    standing: str = ""
    foot: str = ""
