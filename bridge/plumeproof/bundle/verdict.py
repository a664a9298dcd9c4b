"""The verdict on a bundle as one object and as one page (HTML, self-contained, nothing in it runs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any

from plumeproof.bundle.checking import BundleCheck
from plumeproof.inspection import Finding

FINDINGS_SHOWN = 1_000  # of a page; all of them are counted

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "h1{font-size:1.5rem;padding:.6rem 1rem;color:#fff;background:#a11}h1.fine{background:#17652f}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccd;vertical-align:top}"
    "td:first-child,.f td:nth-child(2),td.n,th{white-space:nowrap}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "code{font-size:.85em;word-break:break-all}"
    "@media print{body{margin:0}}"
)


def verdict_of(check: BundleCheck, findings: Sequence[Finding]) -> dict[str, Any]:
    """For `--json` and the page."""
    return {
        "fine": check.is_fine,
        "manifest_sha256": check.manifest_hash,
        "keys_from": "registry" if check.has_own_keys else "bundle",
        "period_utc_ms": check.manifest.get("period_utc_ms"),
        "anchors": 0 if check.anchors is None else len(check.anchors.judged.statements),
        "time_stamps": 0 if check.anchors is None else len(check.anchors.judged.stamped),
        "manifest_signed_by": None if check.anchors is None else check.anchors.signed_by,
        "bridge": check.manifest.get("bridge"),
        "devices": check.manifest.get("devices", []) if check.counts.records_verified else [],
        "finding_count": check.counts.findings,
        **{name: value for name, value in asdict(check.counts).items() if name != "findings"},
        "receipts_signed": check.receipts.signed,
        "receipts_matched": check.receipts.matched,
        "receipts_carried": check.receipts.carried,
        "limits": limits_of(check),
        "findings": [asdict(finding) for finding in findings],
    }


def limits_of(check: BundleCheck) -> list[str]:
    """What this verdict does not say."""
    found = []
    if not check.has_own_keys:
        found.append(
            "The keys are those that the bundle itself brings: compare their kids with the registry that you have, or"
            " name it with --keys."
        )
    if check.anchors is not None:
        found += check.anchors.limits()
    if check.receipts.carried:
        told = f"{check.receipts.carried} receipts are carried as the gateway keeps them: they bear no signature, or"
        found.append(f"{told} no --platform-keys were named.")
    if check.receipts.signed > check.receipts.matched:
        found.append(
            f"{check.receipts.signed - check.receipts.matched} receipts that a platform signed were not held against"
            " averages: they are about anchors, about intervals outside the period or open again, or name no averages."
        )
    for plant, reach in sorted(check.reach.items()):
        told = "there are none" if reach is None else f"they reach from {_period(reach)}"
        found.append(f"Short-term figures of {plant}: {told}. What a bridge made before or behind is not asked for.")
    counts = check.counts
    if counts.averages_superseded or counts.figures_superseded:
        found.append(
            f"{counts.averages_superseded + counts.figures_superseded} older revisions are there in their order;"
            " only the newest of each is computed again."
        )
    if counts.figures_not_recomputed:
        told = ", ".join(f"{count} of {level}" for level, count in sorted(counts.figures_not_recomputed.items()))
        found.append(f"Figures not computed again, because another version of the arithmetic made them: {told}.")
    return found


def page_of(name: str, verdict: dict[str, Any], findings: Sequence[Finding]) -> bytes:
    """The page. Every text from the bundle is escaped."""
    fine = bool(verdict["fine"])
    word = "Fine: every record, average and figure that was checked holds" if fine else "Not fine: see the findings"
    matched = f"{verdict['receipts_matched']:,} of them for just these averages"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(name)}: {'fine' if fine else 'not fine'}</title><style>{_STYLE}</style>",
        f"<h1{' class=fine' if fine else ''}>{word}</h1>",
        _table(
            [
                ("Bundle", escape(name)),
                ("Period", _period(verdict["period_utc_ms"])),
                ("SHA-256 of the manifest", f"<code>{escape(verdict['manifest_sha256'])}</code>"),
                ("Manifest signed by gateway", escape(str(verdict["manifest_signed_by"] or "nobody")[:40])),
                ("Anchors that hold", f"{verdict['anchors']:,}, {verdict['time_stamps']:,} with a good time-stamp"),
                ("Made by bridge", escape(str(verdict["bridge"])[:40])),
                ("Keys from", "your registry" if verdict["keys_from"] == "registry" else "the bundle itself"),
                ("Signatures that hold", f"{verdict['records_verified']:,}"),
                ("Averages equal bit for bit", f"{verdict['averages_equal']:,}"),
                ("Figures equal bit for bit", f"{verdict['figures_equal']:,}"),
                ("Receipts that a platform signed", f"{verdict['receipts_signed']:,}, {matched}"),
                ("Findings", f"{verdict['finding_count']:,}"),
            ]
        ),
        "<h2>Modules</h2><table><tr><th>module<th>records<th>seq<th>averages<th>head",
    ]
    for one in verdict["devices"]:
        parts.append(
            f"<tr><td>{escape(one['device'])}<td class=n>{one['record_count']:,}"
            f"<td>{one['first_seq']} to {one['last_seq']}<td class=n>{one['average_count']:,}"
            f"<td><code>{escape(str(one['head_hash']))}</code>"
        )
    parts.append("</table>")
    if findings:
        parts.append("<h2>Findings</h2><table class=f><tr><th>code<th>module<th>seq<th>where<th>what")
        for found in findings[:FINDINGS_SHOWN]:
            cells = (
                found.code,
                found.device or "",
                "" if found.seq is None else found.seq,
                found.place,
                found.sentence,
            )
            parts.append("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells))
        parts.append("</table>")
        if verdict["finding_count"] > FINDINGS_SHOWN:
            parts.append(f"<p>{verdict['finding_count'] - FINDINGS_SHOWN:,} more findings are not shown.")
    parts.append("<h2>What this does not say</h2><ul>")
    parts += [f"<li>{escape(one)}" for one in verdict["limits"]]
    parts.append("</ul></html>\n")
    return "\n".join(parts).encode()


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{name}<td>{value}" for name, value in rows) + "</table>"


def _period(period: Any) -> str:
    try:
        start, end = (datetime.fromtimestamp(one / 1000, UTC).isoformat(timespec="seconds") for one in period)
    except (TypeError, ValueError, OverflowError, OSError):
        return "unknown"
    return f"{start} to {end}"
