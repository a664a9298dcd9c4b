"""The agreement of tongues as people and machines read it: a verdict, a count of each tongue, every disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plumeproof.agreement.comparison import Tally, hour_text
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Block, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.standing import COMMUNITY, OWN_FORM, Standing

FORMAT = "plumeproof.agreement/1"
STANDING = Standing(
    OWN_FORM,
    "a check for work and verification, prescribed by nobody; rounding as bridge/AGREEMENT.md states",
    "2026-11-25",
)
HJ212_STANDING = Standing(
    COMMUNITY,
    "HJ 212-2017, messages of an air-pollution source; decimals of its factor table, rounding of GB/T 8170",
    "2026-11-25",
    "The standard is official, our reading of it is from second-hand tables: not compared with the printed text, not "
    "certified.",
)
SHOWN_MAX = 500  # disagreements on the sheet; JSON and terminal have them all
Standings = Sequence[tuple[str, Standing]]


def agreement_document(
    site: str, period: tuple[int, int], tallies: Sequence[Tally], standings: Standings
) -> dict[str, Any]:
    """For machines."""
    return {
        "format": FORMAT,
        "profile": STANDING.content,
        "site": site,
        "period": {"start": hour_text(period[0]), "end": hour_text(period[1])},
        "agrees": all(one.is_fine for one in tallies),
        "tongues": [
            {
                "tongue": one.tongue,
                "hours": one.hours,
                "values": one.values,
                "equal": one.equal,
                "disagreeing": len(one.disagreements),
                "hours_not_said": one.not_said,
                "unreadable": list(one.faults),
                "notes": list(one.notes),
            }
            for one in tallies
        ],
        "rests_on": [{"tongue": name} | one.content for name, one in standings],
        "disagreements": [
            {
                "hour": found.hour,
                "tongue": one.tongue,
                "subject": "/".join(found.subject),
                "quantity": found.quantity,
                "said": found.said,
                "said_trace": found.said_trace,
                "place": found.place,
                "signed": found.signed,
                "signed_trace": found.signed_trace,
                "reason": found.reason,
            }
            for one in tallies
            for found in one.disagreements
        ],
    }


def agreement_sheet(
    works: str, period: tuple[int, int], tallies: Sequence[Tally], standings: Standings, foot: str
) -> Sheet:
    """For page and paper."""
    blocks: list[Block] = [_verdict(tallies)]
    silent = sum(one.not_said for one in tallies)
    if silent:
        blocks.append(Verdict(f"Of {silent} hours a tongue says nothing yet; silence is no disagreement", OPEN))
    blocks.append(
        Table(
            ("", "Tongue", "Hours", "Values", "Equal", "Disagree", "Hours not said"),
            tuple(("agrees" if one.is_fine else "DIFFERS", one.tongue, *map(_count, _counts(one))) for one in tallies),
            frozenset({2, 3, 4, 5, 6}),
            tuple(GOOD if one.is_fine else BAD for one in tallies),
        )
    )
    blocks += [Verdict(f"{one.tongue}, {note}", OPEN) for one in tallies for note in one.notes]
    rows = [
        (
            found.hour,
            f"{one.tongue} {'/'.join(found.subject)} {found.quantity}",
            f"{found.said} ({found.said_trace or 'names no id'}; {found.place})",
            f"{found.signed} ({found.signed_trace or 'no figure'})",
            found.reason,
        )
        for one in tallies
        for found in one.disagreements
    ]
    if rows:
        blocks.append(Heading("Where they disagree"))
        columns = ("Hour (UTC)", "Value", "Says", "Signed", "Why")
        blocks.append(Table(columns, tuple(rows[:SHOWN_MAX]), widths=(13, 20, 26, 26, 15)))
        if len(rows) > SHOWN_MAX:
            blocks.append(Text(f"And {len(rows) - SHOWN_MAX:,} more; the JSON has them all."))
        blocks.append(Text("Both ids are opened by `plumeproof trace`."))
    faults = [(one.tongue, fault) for one in tallies for fault in one.faults]
    if faults:
        blocks += [Heading("What cannot be read"), Table(("Tongue", "Place and reason"), tuple(faults[:SHOWN_MAX]))]
    blocks += [
        Heading("How they are compared"),
        Text(
            "Each value is taken back out of the tongue's own bytes and held against the signed figure, converted by "
            "exact decimals and rounded once to the decimals that the tongue carries. Two tongues that both say the "
            "figure to their last decimal agree with each other."
        ),
        Heading("What each tongue rests on"),
        Table(
            ("Tongue", "Status", "Act", "Last checked"),
            tuple(
                (name, one.status, ". ".join(filter(None, (one.act.rstrip("."), one.note))), one.checked)
                for name, one in standings
            ),
            widths=(16, 14, 54, 16),
        ),
    ]
    subtitle = f"{works}, {hour_text(period[0])} to {hour_text(period[1])}"
    return Sheet("One measurement, many tongues", subtitle, tuple(blocks), STANDING.text, foot)


def _verdict(tallies: Sequence[Tally]) -> Verdict:
    wrong, faults = sum(len(one.disagreements) for one in tallies), sum(len(one.faults) for one in tallies)
    equal = sum(one.equal for one in tallies)
    if wrong:
        told = "1 value disagrees" if wrong == 1 else f"{wrong:,} values disagree"
        return Verdict(f"{told} with the signed figures; {equal:,} are equal", BAD)
    if faults:
        return Verdict(f"{faults:,} places cannot be read; the {equal:,} values that can are equal", BAD)
    if not equal:
        return Verdict("Nothing was said in this period: there is nothing to compare", OPEN)
    return Verdict(f"All {equal:,} values agree with the signed figures to their last decimal", GOOD)


def _counts(one: Tally) -> tuple[int, ...]:
    return one.hours, one.values, one.equal, len(one.disagreements), one.not_said


def _count(number: int) -> str:
    return f"{number:,}"
