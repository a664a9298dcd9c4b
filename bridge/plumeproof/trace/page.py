"""A trace as one page for a verifier: HTML, self-contained, nothing in it runs and nothing is fetched."""

from __future__ import annotations

from html import escape

from plumeproof.trace.stage import Check, Grid, Stage, Trace
from plumeproof.trace.text import shown, told

ROWS_SHOWN = 1_500  # of a grid: two months of hours; JSON has all
OPEN_ROWS = 24  # grids up to so many rows are open at once

_STYLE = """
:root{--ink:#1b1f24;--quiet:#59636e;--line:#d5dbe1;--good:#17652f;--bad:#a11616;--soft:#f5f7f9;--pick:#fff3c9}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:var(--ink)}
h1{font-size:1.3rem;overflow-wrap:anywhere;margin:0 0 .3rem}
.verdict{padding:.6rem 1rem;color:#fff;background:var(--bad);font-weight:600}.verdict.fine{background:var(--good)}
.from{color:var(--quiet);overflow-wrap:anywhere}
nav ol{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding:0;list-style:none;margin:.8rem 0}
section{border-left:3px solid var(--line);padding:.2rem 0 .6rem 1rem;margin:1.6rem 0 0}
section.bad{border-color:var(--bad)}
h2{font-size:1.1rem;margin:.2rem 0 .6rem}
dl{display:grid;grid-template-columns:minmax(9rem,16rem) 1fr;margin:0}
dt,dd{padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line);margin:0;overflow-wrap:anywhere}
dt{color:var(--quiet)}
ul.checks{list-style:none;padding:0;margin:.8rem 0 0}
ul.checks li{padding:.15rem 0;color:var(--good);overflow-wrap:anywhere}
ul.checks li::before{content:"\\2713\\00a0\\00a0"}
ul.checks li.bad{color:var(--bad);font-weight:600}ul.checks li.bad::before{content:"\\2717\\00a0\\00a0"}
ol.steps{padding-left:1.4rem}ol.steps li{margin:.5rem 0}
.sum,.is{font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere}.is{font-weight:600}
.why{color:var(--quiet);font-size:.85em;overflow-wrap:anywhere}
details{margin:.8rem 0}summary{cursor:pointer;font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.88em}
th,td{text-align:left;padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td:first-child{white-space:nowrap}
tr.picked td{background:var(--pick);font-weight:600}
@media(max-width:40rem){body{margin:1rem auto}dl{grid-template-columns:1fr}dt{border:0;padding-bottom:0}
section{padding-left:.7rem}}
@media print{body{margin:0}details{break-inside:auto}}
"""


def page_of(trace: Trace) -> bytes:
    """The page. Every text of the evidence is escaped."""
    good = sum(check.is_good for stage in trace.stages for check in stage.checks)
    bad = sum(not check.is_good for stage in trace.stages for check in stage.checks)
    fine = trace.is_fine
    verdict = f"Every step holds: {good} checks" if fine else f"{bad} of {good + bad} checks do not hold"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(trace.id)}: {'fine' if fine else 'not fine'}</title><style>{_STYLE}</style>",
        f"<h1>{escape(trace.id)}</h1><p class='verdict{' fine' if fine else ''}'>{verdict}</p>",
        f"<p class=from>From {escape(trace.where)}; keys: {escape(trace.keys_from)}.</p><nav><ol>",
    ]
    parts += [
        f"<li><a href='#s{number}'>{number}. {escape(stage.name)}</a>" for number, stage in enumerate(trace.stages, 1)
    ]
    parts.append("</ol></nav><main>")
    for number, stage in enumerate(trace.stages, 1):
        parts += _stage(number, stage)
    parts.append("</main></html>\n")
    return "\n".join(parts).encode()


def _stage(number: int, stage: Stage) -> list[str]:
    is_bad = any(not check.is_good for check in stage.checks)
    parts = [f"<section id=s{number}{' class=bad' if is_bad else ''}><h2>{number}. {escape(stage.title)}</h2>"]
    if stage.facts:
        cells = (f"<dt>{escape(name)}<dd>{escape(shown(cell))}" for name, cell in stage.facts)
        parts.append("<dl>" + "".join(cells) + "</dl>")
    if stage.steps:
        parts.append("<ol class=steps>")
        for step in stage.steps:
            text = f"<li>{escape(step.title)}"
            text += f"<div class=sum>{escape(step.numbers)}</div>" if step.numbers else ""
            text += f"<div class=is>= {escape(told(step))}</div>" if step.result is not None else ""
            why = "; ".join(one for one in (step.remark, step.source) if one)
            parts.append(text + (f"<div class=why>{escape(why)}</div>" if why else ""))
        parts.append("</ol>")
    parts += [_grid(grid) for grid in stage.grids]
    if stage.checks:
        parts.append("<ul class=checks>" + "".join(_check(check) for check in stage.checks) + "</ul>")
    parts.append("</section>")
    return parts


def _check(check: Check) -> str:
    return f"<li{'' if check.is_good else ' class=bad'}>{escape(check.sentence)}"


def _grid(grid: Grid) -> str:
    first = 0
    if len(grid.rows) > ROWS_SHOWN and grid.picked is not None:
        first = min(max(0, grid.picked - ROWS_SHOWN // 2), len(grid.rows) - ROWS_SHOWN)
    rows = []
    for number, row in enumerate(grid.rows[first : first + ROWS_SHOWN], first):
        cells = (
            f"<td{' class=n' if isinstance(cell, (int, float)) else ''}>{'' if cell == '' else escape(shown(cell))}"
            for cell in row
        )
        rows.append(f"<tr{' class=picked' if number == grid.picked else ''}>" + "".join(cells))
    head = "".join(f"<th>{escape(name)}" for name in grid.columns)
    left = len(grid.rows) - len(rows)
    more = f"<p class=why>{left:,} rows are not shown; the JSON has all of them.</p>" if left else ""
    state = " open" if len(grid.rows) <= OPEN_ROWS else ""
    return (
        f"<details{state}><summary>{escape(grid.title)} ({len(grid.rows):,})</summary>"
        f"<div class=wide><table><tr>{head}{''.join(rows)}</table></div>{more}</details>"
    )
