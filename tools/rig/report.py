"""The report of a rig run: one HTML file that needs nothing else, for the bench's folder and for whoever asks later."""

from __future__ import annotations

import datetime
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from tools.bench.wear import CYCLES, YEAR_DAYS, Region, wear
from tools.rig import plots
from tools.rig.wiring import EMULATED, NEEDS, Wiring

TEMPLATES = Path(__file__).with_name("templates")
EMULATED_FLASH_BYTES, EMULATED_UNIT_BYTES = 262_144, 256  # tests/doubles/module_rig.py, boards/host_flash.py
DAY_S = 86_400
REASON_MAX = 600
HOST, WIDE = "host", ", of a heap twice a board's: words have 64 bits here"
ANALYZER_COLUMNS = ("requests", "repeated", "shortest ms", "last ms", "longest ms")


@dataclass(frozen=True, slots=True)
class Test:
    """`seen`: what the test has told about (tests/conftest.py, tests/hil)."""

    name: str
    outcome: str
    seconds: float
    reason: str
    seen: dict[str, Any]

    __test__ = False  # no test class for pytest


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run."""

    wiring: Wiring
    who: str
    began: datetime.datetime
    ended: datetime.datetime
    revision: str
    tests: list[Test] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plot:
    """`svg` empty: `words` say why there is none."""

    title: str
    words: str
    svg: str = ""


def write_report(path: Path, run: Run) -> None:
    """Whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(render(run), encoding="utf-8")
    beside.replace(path)


def render(run: Run) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    rigs = [test.seen["rig"] for test in run.tests if "rig" in test.seen]
    return environment.get_template("report.html").render(
        run=run,
        facts=_facts(run),
        tiles=_tiles(run, rigs),
        plots=[_round_trips(rigs), _bus_use(rigs), _power(run), _heap(run, rigs)],
        wear=_wear(run, rigs),
        analyzers=_analyzers(rigs),
        columns=ANALYZER_COLUMNS,
        tests=[_row(test) for test in run.tests],
        needs=[(need, run.wiring.offers(need)) for need in NEEDS],
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    wiring = run.wiring
    hashes = sorted({test.seen["rig"]["firmware"] for test in run.tests if test.seen.get("rig", {}).get("firmware")})
    zone = run.began.tzname() or ""
    return [
        ("rig", wiring.name),
        ("board", wiring.board),
        ("module", wiring.device or "made for each test"),
        ("module port", wiring.module_port or "emulated, a pty for each test"),
        ("firmware hash", ", ".join(hashes) or "no boot record was seen"),
        ("checkout", run.revision or "not under git"),
        ("who", run.who),
        ("began", f"{run.began:%Y-%m-%d %H:%M:%S} {zone} (UTC{run.began:%z})"),
        ("took", f"{(run.ended - run.began).total_seconds():.0f} s"),
    ]


def _tiles(run: Run, rigs: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(figure, what it is, class)."""
    count = {word: sum(test.outcome == word for test in run.tests) for word in ("passed", "failed", "skipped")}
    cuts = [cut for test in run.tests for cut in test.seen.get("power", {}).get("cuts", [])]
    lost = sum(cut["lost"] for cut in cuts) + sum(rig["holes"] for rig in rigs)
    return [
        (str(count["passed"]), "tests passed", "good" if count["passed"] else ""),
        (str(count["failed"]), "failed", "bad" if count["failed"] else "good"),
        (str(count["skipped"]), "not wired here", ""),
        (str(len(cuts)), "power cuts counted", ""),
        (str(lost), "records lost", "bad" if lost else "good"),
        (f"{sum(rig['records'] for rig in rigs):,}", "records verified", ""),
    ]


def _round_trips(rigs: list[dict[str, Any]]) -> Plot:
    title = "Round trip of a poll"
    trips = [trip for rig in rigs for trip in rig["round_trips_ms"]]
    if not trips:
        return Plot(title, "No good answer was seen on the bus.")
    ordered = sorted(trips)
    words = (
        f"{len(trips):,} undisturbed answers, at the analyzers' end: request heard to answer sent. Median"
        f" {statistics.median(ordered):.2f} ms, 99 of 100 below {ordered[len(ordered) * 99 // 100]:.2f} ms, longest"
        f" {ordered[-1]:.2f} ms. The last column holds all that took longer."
    )
    return Plot(title, words, plots.histogram(trips, "ms"))


def _bus_use(rigs: list[dict[str, Any]]) -> Plot:
    title = "Use of the bus"
    longest = max(rigs, key=lambda rig: len(rig["bus_use_percent"]), default=None)
    if longest is None or len(longest["bus_use_percent"]) < 3:
        return Plot(title, "No test polled for long enough.")
    inner = longest["bus_use_percent"][1:-1]  # the first and last second are cut
    words = (
        f"Share of each second in which the line carries a request, a silence or an answer at {longest['baud']:,} baud,"
        f" in the test that polled longest. Mean {statistics.fmean(inner):.1f} %."
    )
    points = list(enumerate(inner))
    return Plot(title, words, plots.line({"": points}, "s", "% of the time"))


def _power(run: Run) -> Plot:
    title = "Power cuts"
    told = [test.seen["power"] for test in run.tests if "power" in test.seen]
    cuts = [cut for one in told for cut in one["cuts"]]
    if not cuts:
        return Plot(title, "None: no test with cuts ran here.")
    lost = sum(cut["lost"] for cut in cuts)
    words = (
        f"{len(cuts)} cuts at drawn moments (seed {told[0]['seed']}), {sum(one['boots'] for one in told)} boot records,"
        f" {sum(one['torn'] for one in told)} entries torn and told of, {lost} records lost. From power on: the link"
        f" answers after {max(cut['answers_s'] for cut in cuts):.2f} s at most, the first new record is at the gateway"
        f" after {max(cut['record_s'] for cut in cuts):.2f} s at most."
    )
    series = {"link answers": [cut["answers_s"] for cut in cuts], "first record": [cut["record_s"] for cut in cuts]}
    labels = [str(number) for number in range(1, len(cuts) + 1)]
    return Plot(title, words, plots.bars(series, labels, "cut", "s"))


def _heap(run: Run, rigs: list[dict[str, Any]]) -> Plot:
    title = "Free heap of the module"
    boots = [health for rig in rigs if (health := [h for h in rig["health"] if h["heap_free"]])]
    if not boots:
        return Plot(title, "No health record came: the first is sealed 60 s after a boot (soak of 75 s or more).")
    longest = max(boots, key=len)
    low = min(h["heap_free"] for health in boots for h in health)
    words = f"From the module's signed health records. Lowest {low:,} bytes{WIDE if run.wiring.board == HOST else ''}."
    points = [(h["mono_ms"] / 1000, h["heap_free"] / 1024) for h in longest]
    if len(points) < 2:
        return Plot(title, words + " One record only: nothing to draw (they come at 60 s and each hour).")
    return Plot(title, words, plots.line({"": points}, "s since boot", "KiB"))


def _wear(run: Run, rigs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What this run's records would do to the journal's flash if it went on for ever."""
    samples = [tuple(one) for rig in rigs for one in rig["samples"]]
    if not samples:
        return []
    size = round(statistics.median(size for size, _ in samples))
    period_s = statistics.median(span_ms for _, span_ms in samples) / 1000
    is_emulated = run.wiring.name == EMULATED
    total = EMULATED_FLASH_BYTES if is_emulated else run.wiring.journal_bytes
    unit = EMULATED_UNIT_BYTES if is_emulated else run.wiring.program_unit_bytes
    worn = wear(Region(run.wiring.board, total, unit), period_s, size)
    a_day = worn.erases / (worn.records * period_s / DAY_S)
    return [
        ("journal", f"{total // 1024:,} KiB, program unit {unit} bytes"),
        (
            "records of this run",
            f"{len(samples):,} with samples, {size:,} bytes in the median, one each {period_s:g} s",
        ),
        ("held without a gateway", f"{worn.held * period_s / 3600:,.1f} h"),
        ("erases of a sector", f"{a_day:,.1f} a day"),
        ("until it is worn", f"{CYCLES / a_day / YEAR_DAYS:,.1f} years at {CYCLES:,} erases"),
        (
            "at this plan only",
            "a bench seals far more often than a cabinet; firmware/DESIGN.md has the boards' figures",
        ),
    ]


def _analyzers(rigs: list[dict[str, Any]]) -> list[list[str]]:
    """Of the newest health record: what the module itself has counted."""
    health = [h for rig in rigs for h in rig["health"]]
    if not health:
        return []
    newest = max(health, key=lambda h: h["mono_ms"])
    return [
        [str(number), f"{row[0]:,}", f"{row[1]:,}", *(f"{us / 1000:.2f}" for us in row[2:])]
        for number, row in enumerate(newest["analyzers"])
    ]


def _row(test: Test) -> dict[str, str]:
    file, _, name = test.name.partition("::")
    reason = test.reason.strip()
    if test.outcome == "skipped":
        reason = reason.removeprefix("Skipped: ")
    return {
        "file": file,
        "name": name.removeprefix("test_").replace("_", " "),
        "outcome": test.outcome,
        "seconds": f"{test.seconds:.1f}",
        "reason": reason if len(reason) <= REASON_MAX else "…" + reason[-REASON_MAX:],
    }
