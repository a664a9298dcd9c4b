"""Rules 3 to 6 on a verification: the opinion fits the findings, the very statement, its level, and who reviewed it.

Words of an opinion are judged in English only, sentence by sentence; an opinion in another language passes rule 5 where
it has none of these words and must be read by a person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any

from plumeproof.documents.declared import add, text_of
from plumeproof.documents.finding import Finding
from plumeproof.documents.statement_trail import value_at

OPINION, HASH, WORDING, REVIEWER, MISSTATEMENT = "3 opinion", "4 hash", "5 wording", "6 reviewer", "misstatement"
PCT_STEP = Decimal("0.01")  # as which a share is stated
_WIDE = Context(prec=400)  # holds the quotient of any two numbers that the schema lets through
# ISO 14064-3:2019 clause 6.3.2, by sense: limited assurance says that nothing was found, reasonable that it is right
_NEGATIVE = re.compile(
    r"nothing (has come|came) to (our|my|the verifier's) attention|no evidence (was found |has been found )?that"
    r"|(have|has|did) not (become|come) aware|no matters? (has|have) come to (our|my) attention"
)
_POSITIVE = re.compile(
    r"in (our|my|the verifier's) opinion|(is|are) (materially correct|fairly (stated|presented))|presents? fairly"
    r"|fair(ly)? represent(s|ation)|true and fair|free (of|from) material misstatement|with reasonable assurance"
)


def findings_of(verification: dict[str, Any], statement: dict[str, Any], digest: str) -> Iterator[Finding]:
    """`digest`: of the statement as it stands. The document holds its schema already."""
    yield from _references(verification, statement)
    yield from _misstatement(verification, statement)
    yield from _reviewer(verification)
    opinion = verification["opinion"]
    if opinion is None:
        return
    yield from _unmodified(verification, opinion)
    yield from _statement(opinion["statementRef"], statement, digest)
    yield from _wording(verification["levelOfAssurance"], opinion)


def _unmodified(verification: dict[str, Any], opinion: dict[str, Any]) -> Iterator[Finding]:
    if opinion["type"] != "unmodified":
        return
    path = "/verification/opinion/type"
    whole = verification["aggregateMisstatement"]
    if not whole["withinMateriality"]:
        told = f"is unmodified, and aggregateMisstatement.withinMateriality false ({whole['pctOfTotal']} %)"
        yield Finding(OPINION, path, told)
    for at, one in enumerate(verification["findings"]):
        if one["severity"] == "material" and one["closedAt"] is None:
            yield Finding(OPINION, path, f"is unmodified, and material finding /verification/findings/{at} is open")


def _statement(ref: dict[str, Any], statement: dict[str, Any], digest: str) -> Iterator[Finding]:
    path = "/verification/opinion/statementRef"
    for key, own in (("id", statement["id"]), ("version", statement["version"]), ("sha256", digest)):
        if ref[key] != own:
            yield Finding(HASH, f"{path}/{key}", f"is {ref[key]}, the statement has {own}")


def _wording(level: str, opinion: dict[str, Any]) -> Iterator[Finding]:
    path = "/verification/opinion/text"
    if level == "none":
        told = "is an opinion at levelOfAssurance none; agreed-upon procedures report findings only"
        yield Finding(WORDING, "/verification/opinion", told)
        return
    if opinion["type"] not in ("unmodified", "modified"):
        return
    text = " ".join(opinion["text"].casefold().replace("\u2019", "'").split())
    sentences = [one for one in re.split(r"[.;!?](?: |$)", text) if one]
    negative = [found[0] for one in sentences if (found := _NEGATIVE.search(one)) is not None]
    plain = [one for one in sentences if _NEGATIVE.search(one) is None]
    positive = [found[0] for one in plain if (found := _POSITIVE.search(one)) is not None]
    if level == "limited":
        for words in positive:
            yield Finding(WORDING, path, f"says {words!r}, which is of reasonable assurance; the level is limited")
    else:
        for words in negative:
            yield Finding(WORDING, path, f"says {words!r}, which is of limited assurance; the level is reasonable")


def _reviewer(verification: dict[str, Any]) -> Iterator[Finding]:
    """Whoever reviews has done none of the work, by name and whatever the case of its letters."""
    workers = {_name(one["name"]): one for one in verification["team"] if one["role"] != "independentReviewer"}
    reviewers = {
        one["name"]: f"/verification/team/{at}/name"
        for at, one in enumerate(verification["team"])
        if one["role"] == "independentReviewer"
    }
    review = verification["independentReview"]
    if review is not None:
        reviewers[review["reviewer"]] = "/verification/independentReview/reviewer"
    for name, path in reviewers.items():
        if (own := workers.get(_name(name))) is not None:
            yield Finding(REVIEWER, path, f"{name} is also the team's {own['role']} {own['name']}")


def _misstatement(verification: dict[str, Any], statement: dict[str, Any]) -> Iterator[Finding]:
    """The aggregate says of itself what follows from it; rule 3 rests on that."""
    whole = verification["aggregateMisstatement"]
    if whole is None:
        return
    path = "/verification/aggregateMisstatement"
    total = abs(Decimal(statement["results"]["total"]["value"]))
    amount, pct = Decimal(whole["absTCO2e"]), Decimal(whole["pctOfTotal"])
    least = add(
        [
            abs(Decimal(one["quantityTCO2e"]))
            for one in verification["findings"]
            if one["type"] == "misstatement" and one["quantityTCO2e"] is not None and one["closedAt"] is None
        ]
    )
    if amount < least:
        told = f"is {text_of(amount)}, the open misstatements add up to {text_of(least)}"
        yield Finding(MISSTATEMENT, f"{path}/absTCO2e", told)
    if not total:
        return
    share = _WIDE.quantize(_WIDE.divide(_WIDE.multiply(amount, Decimal(100)), total), PCT_STEP)
    if abs(_WIDE.subtract(share, pct)) > PCT_STEP:
        yield Finding(MISSTATEMENT, f"{path}/pctOfTotal", f"is {text_of(pct)}, absTCO2e of the total is {share:f}")
    threshold = Decimal(verification["materiality"]["quantitativeThresholdPct"])
    if whole["withinMateriality"] and share > threshold:
        told = f"is true, and {share:f} % is above the threshold {text_of(threshold)} %"
        yield Finding(MISSTATEMENT, f"{path}/withinMateriality", told)


def _references(verification: dict[str, Any], statement: dict[str, Any]) -> Iterator[Finding]:
    """What is named elsewhere is there."""
    evidence = {one["id"] for one in statement["evidence"]}
    sources = {one["id"] for one in statement["sourcesSinks"]}
    ids = {one["id"] for one in verification["findings"]}
    for at, one in enumerate(verification["findings"]):
        path = f"/verification/findings/{at}"
        try:
            value_at({"ghgStatement": statement}, one["affectedPath"])
        except LookupError:
            told = f"{one['affectedPath']!a} is nowhere here; write a pointer such as /ghgStatement/results/total"
            yield Finding("references", f"{path}/affectedPath", told)
        for name in one["evidenceIds"]:
            if name not in evidence:
                yield Finding("references", f"{path}/evidenceIds", f"{name} is none of ghgStatement.evidence[]")
    named = [("scope/sources", name) for name in verification["scope"]["sources"]]
    named += [("evidenceGatheringPlan", one["sourceId"]) for one in verification["evidenceGatheringPlan"]]
    for key, name in named:
        if name not in sources:
            yield Finding("references", f"/verification/{key}", f"{name} is none of ghgStatement.sourcesSinks[]")
    for at, one in enumerate(verification["siteVisits"]):
        for name in one["findingsIds"]:
            if name not in ids:
                yield Finding("references", f"/verification/siteVisits/{at}/findingsIds", f"{name} is none of findings")


def _name(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
