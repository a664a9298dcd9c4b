"""The review as a manager reads it: the verdict, where it hurts, what to do first; then every line with its evidence.

Each row says its state in words; the colour at its edge only repeats it.
"""

from __future__ import annotations

from plumeproof.documents.presets import WAYS, Preset
from plumeproof.documents.readiness import (
    DISAGREES,
    GROUPS,
    MISSING,
    NOT_ASKED,
    PERIOD,
    READY,
    STANDING,
    UNJUDGED,
    Line,
    Review,
    worst,
)
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Bar, Block, Facts, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.statable import asked_of

MOOD = {READY: GOOD, MISSING: BAD, DISAGREES: BAD, UNJUDGED: OPEN, NOT_ASKED: ""}
SHOWN = {READY: "READY", MISSING: "MISSING", DISAGREES: "DISAGREES", UNJUDGED: "NOT JUDGED", NOT_ASKED: "not asked"}
NOTED = "READY, see note"
NAMED_MAX = 15  # of lines with one mend
STATED_WIDTHS = (15, 50, 35)
NEVER = (
    "Never to be stated on the strength of this review: certified, approved, or conforming to an ISO edition of 2025 "
    "or to an official EU carbon cloud interface. No ISO 14064-3:2025 and no public specification of such a platform "
    "was found; ISO 14064-3 defines no file format."
)


def readiness_sheet(review: Review, preset: Preset, bars: tuple[Bar, ...], foot: str) -> Sheet:
    """For page and paper. `bars`: of the materiality view, shown with the data of the period."""
    first, last = review.period
    blocks: list[Block] = [
        Verdict(review.headline, GOOD if review.is_ready else BAD),
        Facts(
            (
                ("Project category", f"{review.category_title}; {_listed(preset)}"),
                ("Judged on", f"{review.on}; all must hold on {max(review.on, review.deadline)}"),
                ("Data from", f"{first} until {last}, that day excluded" if last > first else "no records, no period"),
            )
        ),
        Text(_cbam(review)),
        _summary(review),
    ]
    if not review.is_ready:
        blocks += [Heading("What to do"), *_todo(review)]
    for group in GROUPS:
        own = [one for one in review.lines if one.group == group]
        if not own:
            continue
        blocks.append(Heading(group))
        if group == PERIOD:
            blocks += bars
        blocks.append(
            Table(
                ("State", "Asked", "Evidence", "How to mend"),
                tuple((_shown(one), one.asked, one.evidence, one.mend) for one in own),
                moods=tuple(_mood(one) for one in own),
                widths=(14, 27, 36, 23),
            )
        )
    blocks += _statements(review)
    return Sheet("Readiness review", f"{review.works}, {review.on}", tuple(blocks), STANDING.text, foot)


def _cbam(review: Review) -> str:
    if review.is_cbam:
        return "The goods of this works are CBAM goods: the operator's emissions data are asked for as well."
    ways = "; ".join(f"({number}) {way}" for number, way in enumerate(WAYS, 1))
    return (
        f"A {review.category.upper()} works makes no CBAM goods (cement, iron and steel, aluminium, fertilisers, "
        f"hydrogen; electricity only where it is sold into the Union). Carbon data reach it in three ways: {ways}."
    )


def _summary(review: Review) -> Table:
    rows, moods = [], []
    for group in GROUPS:
        own = [one for one in review.lines if one.group == group]
        if not own:
            continue
        verdict = worst(own)
        counts = [sum(1 for one in own if one.verdict == word) for word in (READY, MISSING, DISAGREES, UNJUDGED)]
        rows.append((SHOWN[verdict], group, *map(str, counts)))
        moods.append(MOOD[verdict])
    columns = ("State", "Part", "Ready", "Missing", "Disagrees", "Not judged")
    return Table(columns, tuple(rows), frozenset({2, 3, 4, 5}), tuple(moods), (15, 37, 11, 11, 13, 13))


def _todo(review: Review) -> list[Block]:
    """What is missing or disagrees first, then what could not be judged; equal mends once."""
    by_mend: dict[tuple[str, str], list[Line]] = {}
    for verdict in (MISSING, DISAGREES, UNJUDGED):
        for one in review.lines:
            if one.verdict == verdict:
                by_mend.setdefault((verdict, one.mend), []).append(one)
    rows, moods = [], []
    for number, ((verdict, mend), own) in enumerate(by_mend.items(), 1):
        asked = "; ".join(one.asked for one in own[:NAMED_MAX])
        asked += f"; and {len(own) - NAMED_MAX} more" if len(own) > NAMED_MAX else ""
        rows.append((SHOWN[verdict], f"{number}.", asked, mend))
        moods.append(MOOD[verdict])
    return [Table(("State", "No.", "What", "How to mend"), tuple(rows), frozenset(), tuple(moods), (15, 6, 37, 42))]


def _statements(review: Review) -> list[Block]:
    can = [one for one in review.statements if not one.lacks]
    cannot = [one for one in review.statements if one.lacks]
    blocks: list[Block] = [Heading("What a contract or technical file can state today")]
    if can:
        rows = tuple(("CAN STATE", one.sentence, asked_of(one.rests_on, review.lines)) for one in can)
        columns = ("State", "Sentence", "Rests on")
        blocks.append(Table(columns, rows, frozenset(), (GOOD,) * len(can), STATED_WIDTHS))
    else:
        blocks.append(Text("Nothing: no sentence has all of its lines ready."))
    if cannot:
        blocks.append(Heading("What it cannot state yet"))
        rows = tuple(("CANNOT STATE", one.sentence, asked_of(one.lacks, review.lines)) for one in cannot)
        columns = ("State", "Sentence", "Not ready")
        blocks.append(Table(columns, rows, frozenset(), (BAD,) * len(cannot), STATED_WIDTHS))
    return [*blocks, Text(NEVER)]


def _shown(one: Line) -> str:
    return NOTED if one.verdict == READY and one.mend else SHOWN[one.verdict]


def _mood(one: Line) -> str:
    return OPEN if one.verdict == READY and one.mend else MOOD[one.verdict]


def _listed(preset: Preset) -> str:
    told = f"asked is what this product lists for it ({preset.source})"
    by = (
        f"compared with permit and standards on {preset.verified}"
        if preset.verified
        else "not yet compared with permit"
    )
    return f"{told}, {by}" if preset.verified else f"{told}, {by} and standards by a person"
