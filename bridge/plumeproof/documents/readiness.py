"""The pre-deadline review: what is asked, line by line, how it stands, by which evidence, and how to mend it.

A line says one of five things, in words as well as in colour:

    ready                  shown, by the evidence that stands beside it
    missing                nothing shows it
    disagrees              two papers, or a paper and the data, say different things
    cannot be judged here  it was not tried, or nothing is stated that could be judged
    not asked              of this category or configuration

A works is ready when every line is ready or not asked: what could not be judged is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from plumeproof.documents.standing import OWN_FORM, Standing

FORMAT = "plumeproof.readiness/1"
READY, MISSING, DISAGREES, UNJUDGED, NOT_ASKED = VERDICTS = (
    "ready",
    "missing",
    "disagrees",
    "cannot be judged here",
    "not asked",
)
DATA_SET, PLATFORM, EVIDENCE, PERIOD, DATES, PAPERS, PARAMETERS, LINKS, STATEMENTS = GROUPS = (
    "Data set and documents",
    "Connection to the platform",
    "Signed evidence",
    "Data of the period",
    "Calibrations and dates",
    "Papers that must agree",
    "Parameters of the category",
    "Chinese platform (HJ 212)",
    "Contract and technical file",
)
STANDING = Standing(
    OWN_FORM,
    "what exporters were told of the rule change of 2026-12-01: an ISO 14064-3 compatible data set, a platform by API",
    "2026-11-25",
    "A review for the company itself, prescribed by nobody and no certificate.",
)


@dataclass(frozen=True, slots=True)
class Line:
    """`key`: stable, for statements and machines; `evidence`: file, figure id, date, command; `mend`: "" where there
    is nothing to do."""

    key: str
    group: str
    asked: str
    verdict: str
    evidence: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Statable:
    """A sentence for a contract or technical file. `rests_on`: keys of lines; `lacks`: those that are not ready, empty
    where the sentence can be stated."""

    key: str
    sentence: str
    rests_on: tuple[str, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """`on`: the day it is judged on; `period`: first day and the day behind the last."""

    works: str
    category: str
    category_title: str
    is_cbam: bool
    on: date
    deadline: date
    period: tuple[date, date]
    lines: tuple[Line, ...]
    statements: tuple[Statable, ...]

    @property
    def counts(self) -> Counter[str]:
        """Of each verdict."""
        return Counter(one.verdict for one in self.lines)

    @property
    def is_ready(self) -> bool:
        """Every line is ready or not asked."""
        return all(one.verdict in (READY, NOT_ASKED) for one in self.lines)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        counts, left = self.counts, (self.deadline - self.on).days
        days = f"{left} days before {self.deadline}" if left > 0 else f"the deadline of {self.deadline} has come"
        if self.is_ready:
            return f"Ready: {counts[READY]} points shown, nothing missing ({days})"
        told = [
            f"{count} {word}"
            for count, word in (
                (counts[MISSING], "things missing" if counts[MISSING] != 1 else "thing missing"),
                (counts[DISAGREES], "disagreements" if counts[DISAGREES] != 1 else "disagreement"),
                (counts[UNJUDGED], f"point{'s' if counts[UNJUDGED] != 1 else ''} that could not be judged here"),
            )
            if count
        ]
        return f"Not ready: {', '.join(told)} ({days})"


def review_document(review: Review) -> dict[str, Any]:
    """For machines."""
    return {
        "format": FORMAT,
        "profile": STANDING.content,
        "works": review.works,
        "category": review.category,
        "is_cbam_category": review.is_cbam,
        "on": review.on.isoformat(),
        "deadline": review.deadline.isoformat(),
        "period": {"start": review.period[0].isoformat(), "end": review.period[1].isoformat()},
        "ready": review.is_ready,
        "headline": review.headline,
        "counts": {verdict: review.counts[verdict] for verdict in VERDICTS},
        "lines": [
            {
                "key": one.key,
                "group": one.group,
                "asked": one.asked,
                "verdict": one.verdict,
                "evidence": one.evidence,
                "mend": one.mend,
            }
            for one in review.lines
        ],
        "statements": [
            {
                "key": one.key,
                "sentence": one.sentence,
                "can_be_stated": not one.lacks,
                "rests_on": list(one.rests_on),
                "lacks": list(one.lacks),
            }
            for one in review.statements
        ],
    }


def worst(lines: Sequence[Line]) -> str:
    """The gravest verdict of some lines."""
    for verdict in (MISSING, DISAGREES, UNJUDGED, READY):
        if any(one.verdict == verdict for one in lines):
            return verdict
    return NOT_ASKED
