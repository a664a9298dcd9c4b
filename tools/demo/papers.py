"""What a demo can show of its site: the papers of the month in which it ran, each traced to register bytes.

They are drafts: the month runs on, and an hour counts by a rule set of the demo's own (site/demo_hour.json) from a few
seconds. Each is written as JSON, page and PDF by the command that a user has, and every id in it is walked down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.demo.layout import CHECKOUT, Layout

PERMIT, STATEMENT, MATERIALITY, CBAM = "permit", "statement", "materiality", "cbam"
FIRST = (PERMIT, MATERIALITY)
DECLARED = (STATEMENT, CBAM)  # refuse a month in which no hour counts; have a table of hours, which `agree` reads
PAPERS = (*FIRST, *DECLARED)
WITHOUT_PERIOD = (PERMIT,)  # these carry no figures
AT_ONCE = 2
FINE, FINDINGS = 0, 1  # exit statuses of `plumeproof report` behind which the paper is there


@dataclass(frozen=True, slots=True)
class PaperFindings:
    """`papers`: names of those written. `ids`: figures in them that lead down. `values`: numbers of hours in papers and
    API payloads that are the signed figures to their last decimal. `findings`: lines."""

    papers: tuple[str, ...] = ()
    ids: int = 0
    values: int = 0
    findings: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        return not self.findings


def end_with_papers(layout: Layout) -> PaperFindings:
    """Write and trace them; what the commands say is in the log `papers`. A run of a few seconds has no hour that
    counts, and then only the first ones."""
    first, behind = _month(layout)
    names: list[str] = []
    found: list[tuple[int, str]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for own in (FIRST, DECLARED):
            if own == FIRST or _has_hours(layout):
                names += own
                found += pool.map(lambda name: _paper(layout, name, first, behind), own)
    papers = tuple(name for name, (_, finding) in zip(names, found, strict=True) if not finding)
    findings = tuple(finding for _, finding in found if finding)
    values, finding = _agree(layout, first, behind) if set(DECLARED) <= set(papers) else (0, "")
    findings += (finding,) if finding else ()
    return PaperFindings(papers, sum(ids for ids, _ in found), values, findings)


def with_papers(figures: dict[str, object], found: PaperFindings) -> dict[str, object]:
    """The figures of a run and those of its papers."""
    findings = figures["findings"]
    assert isinstance(findings, list)
    more = {"papers": list(found.papers), "papers_ok": found.is_fine, "papers_ids": found.ids,
            "papers_values": found.values}  # fmt: skip
    return figures | more | {"findings": [*findings, *found.findings]}


def _paper(layout: Layout, name: str, first: str, behind: str) -> tuple[int, str]:
    """Ids that lead down, and what is wrong."""
    files = [layout.site / f"{name}.{ending}" for ending in ("json", "html", "pdf")]
    period = () if name in WITHOUT_PERIOD else ("--from", first, "--to", behind)
    outputs = [word for file in files for word in (f"--{file.suffix[1:]}", str(file))]
    outputs += ["--hours", str(_hours(layout, name))] if name in DECLARED else []
    status, _ = _ask(layout, "report", name, "-c", str(layout.config), *period, *outputs)
    if status not in (FINE, FINDINGS) or not all(map(Path.is_file, files)):
        return 0, f"papers: `report {name}` ended with status {status}; see {layout.log('papers')}"
    if name in WITHOUT_PERIOD or not _has_hours(layout):  # what it names may rest on no record at all
        return 0, ""
    status, told = _ask(layout, "trace", "-c", str(layout.config), "--document", str(files[0]), "--json")
    if status or not told:
        return 0, f"papers: not every id of {files[0]} leads down to register bytes; see {layout.log('papers')}"
    return len(json.loads(told)["ids"]), ""


def _has_hours(layout: Layout) -> bool:
    file = layout.site / f"{MATERIALITY}.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["hours"] > 0


def _hours(layout: Layout, name: str) -> Path:
    return layout.site / f"{name}-hours.csv"


def _agree(layout: Layout, first: str, behind: str) -> tuple[int, str]:
    """Values that papers and API payloads have from the signed figures, and what is wrong."""
    files = [word for name in DECLARED for word in (f"--{name}-hours", str(_hours(layout, name)))]
    words = ("agree", "-c", str(layout.config), "--from", first, "--to", behind, *files, "--json")
    status, told = _ask(layout, *words, "--html", str(layout.site / "agreement.html"))
    if status or not told:
        return 0, f"papers: papers and payloads do not say the same; see {layout.log('papers')}"
    return sum(tongue["equal"] for tongue in json.loads(told)["tongues"]), ""


def _month(layout: Layout) -> tuple[str, str]:
    """That for which the site description was made: a run that goes on over its end shows no more of it."""
    cbam = tomllib.loads((layout.site / "site.toml").read_text(encoding="utf-8"))["cbam"]["period"][0]
    return cbam["from"], cbam["to"]


def _ask(layout: Layout, *words: str) -> tuple[int, str]:
    """Exit status and standard output."""
    command = (sys.executable, "-m", "plumeproof", *words)
    with layout.log("papers").open("a") as log:  # in a group of its own: a second Ctrl-C is not for it
        ended = subprocess.run(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0, check=False
        )
        log.write(f"{' '.join(words)}: status {ended.returncode}\n")
    return ended.returncode, ended.stdout
