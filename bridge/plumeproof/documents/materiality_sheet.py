"""The materiality view as people read it: a verdict, one bar for each weakness, then why and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from plumeproof.documents.declared import text_of
from plumeproof.documents.materiality import KINDS, STANDING, WORDS, Account, Materiality, Part, SourceView
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Bar, Block, Facts, Heading, Sheet, Table, Text, Verdict

TONNES_STEP = Decimal("0.000001")  # shown on the sheet; the JSON has every digit
FULL_WIDTHS = (10, 25, 50, 100)  # per cent that a bar's whole width may stand for
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def materiality_sheet(works: str, view: Materiality, foot: str) -> Sheet:
    """For page and paper."""
    one = view.account
    blocks: list[Block] = [
        _verdict(view),
        Facts(
            (
                ("Period (UTC)", f"{minute_text(view.start_utc_ms)} to {minute_text(view.end_utc_ms)}"),
                ("Declared", f"{_tonnes(one.whole.tonnes)} t CO2e in {one.whole.hours} hours"),
                ("Threshold", f"{text_of(one.threshold_pct)} % ({view.threshold_from})"),
            )
        ),
        *materiality_bars(one),
    ]
    for source in view.sources:
        if not source.is_measured:
            blocks.append(Heading(f"Activity {source.id}: {source.measurand}, calculated by factor {source.rule_set}"))
            blocks.append(Text(f"Factor of {source.rule_standing}: {_rests(source)}."))
            continue
        blocks.append(Heading(f"Source {source.id}: {source.measurand} of plant {source.plant} by {source.rule_set}"))
        blocks.append(Text(f"Rule set {source.rule_set}: {source.rule_standing}."))
        rows = [(WORDS[kind], *_row(source.account, source.account.of_kind[kind])) for kind in KINDS]
        rows.append(("Together, each hour once", *_row(source.account, source.account.together)))
        blocks.append(Table(("Rests on", "Hours", "t CO2e", "Share, %"), tuple(rows), frozenset({1, 2, 3})))
        if source.reasons:
            blocks.append(
                Table(
                    ("Weakness", "Why", "Hours", "t CO2e", "From hour (UTC)", "To hour (UTC)"),
                    tuple(
                        (
                            WORDS[reason.kind],
                            reason.text,
                            str(reason.hours),
                            _tonnes(reason.tonnes),
                            minute_text(reason.first_utc_ms),
                            minute_text(reason.last_utc_ms),
                        )
                        for reason in source.reasons
                    ),
                    frozenset({2, 3}),
                    widths=(15, 34, 8, 15, 14, 14),
                )
            )
        ids = ", ".join(own.id for own in source.declared) or "none"
        blocks.append(Text(f"Declared figures, opened by `plumeproof trace`: {ids}"))
    if view.open_points:
        blocks += [Heading("Not judged, because nothing is stated")]
        blocks += [Verdict(text, OPEN) for text in view.open_points]
    return Sheet("Materiality view", works, tuple(blocks), STANDING.text, foot)


def materiality_bars(one: Account) -> tuple[Bar, ...]:
    """What all rests on together, then each weakness by itself; all on one scale, with the threshold."""
    parts = [("Together, each hour once", one.together), *((WORDS[kind], one.of_kind[kind]) for kind in KINDS)]
    shares = [one.share_pct(part) for _, part in parts]
    most = max([2 * one.threshold_pct, *(share for share in shares if share is not None)])
    full = next((width for width in FULL_WIDTHS if width >= most), FULL_WIDTHS[-1])
    return tuple(
        Bar(
            name,
            float(share or 0) / 100,
            float(one.threshold_pct) / 100,
            f"{'none' if share is None else text_of(share)} % of the tonnes; red line: {text_of(one.threshold_pct)} %, "
            f"full width: {full} %",
            full / 100,
        )
        for (name, _), share in zip(parts, shares, strict=True)
    )


def materiality_words(view: Materiality) -> tuple[str, str]:
    """The verdict in one sentence, and its mood."""
    one = view.account
    wrong = [source.id for source in view.sources if not source.agrees]
    if wrong:
        return f"The hours of {', '.join(wrong)} are not the declared tonnes; see `plumeproof recompute`", BAD
    share = one.share_pct(one.together)
    if share is None:
        return "No tonnes in this period: there is nothing to judge", OPEN
    told = f"{text_of(share)} % of the tonnes rest on something weak; the threshold is {text_of(one.threshold_pct)} %"
    if one.exceeds:
        return f"Above the threshold: {told}", BAD
    if view.open_points:
        return f"Within the threshold as far as it can be judged: {told}; {len(view.open_points)} points are open", OPEN
    return f"Within the threshold: {told}", GOOD


def minute_text(utc_ms: int) -> str:
    """2026-12-01 00:00, UTC."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).strftime("%Y-%m-%d %H:%M")


def instant_text(utc_ms: int) -> str:
    """RFC 3339, to the second."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rests(one: SourceView) -> str:
    told = f"{_tonnes(one.account.whole.tonnes)} t CO2e"
    return f"{told}, {one.reasons[0].text}" if one.reasons else f"{told}, confirmed in [[readiness.factor]]"


def _verdict(view: Materiality) -> Verdict:
    return Verdict(*materiality_words(view))


def _row(one: Account, part: Part) -> tuple[str, str, str]:
    share = one.share_pct(part)
    return str(part.hours), _tonnes(part.tonnes), "none" if share is None else text_of(share)


def _tonnes(number: Decimal) -> str:
    return format(number.quantize(TONNES_STEP), "f")
