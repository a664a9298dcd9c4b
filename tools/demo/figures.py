"""The figures of a finished run, each from somebody who is not the line itself. Names: DESIGN sections 6 and 8.

Samples and gaps: the ledger's envelopes, verified and parsed again. Lost and duplicated: the plant's log, the modules'
flash, the witness at the broker, the platform's listing (witnesses.py). Chain: `plumeproof verify` as a user calls it.

`lost`: answers, records, messages, averages or reports that a later stage ought to have and has not. `duplicated`: a
second effect: samples or records that nobody gave, messages and reports that are none of the ledger's, a report or
average that counts twice at the platform. A repeated MQTT message is what QoS 1 permits after a death (it carries seq
and hash); it is always shown as `mqtt_repeated`, and counts as duplicated where no part had died. The newest intervals
may still be open when the plant stops: they have no average yet and miss none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from plumeproof.keys import load_keys
from plumeproof.store.connection import open_reader
from tools.demo.events import Start
from tools.demo.layout import MODULES, Layout
from tools.demo.ledger_view import ModuleView, read_module
from tools.demo.platform_view import StoredReport
from tools.demo.subscriber import Subscriber
from tools.demo.witnesses import (
    CopyFindings,
    FlashFindings,
    ReportFindings,
    ask_broker,
    ask_flash,
    ask_plant,
    ask_platform,
)
from tools.journal_dump import read_entries

# Of what the witnesses say, what is against the line; the rest are counts and what is permitted
FAULTS = (
    "lost", "duplicated", "missing", "altered", "invented", "unexpected", "mislabelled", "twice", "unreported",
    "unproven",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """What was done to the line: starts of each module, restarts of any part, deaths of the broker (Unix ns).

    `undrained`: the sentence about a stage that had not run empty, else "".
    """

    starts: dict[str, list[Start]]
    restarts: int = 0
    broker_deaths_ns: tuple[int, ...] = ()
    undrained: str = ""


def percentile(values: Sequence[int], share: float) -> int | None:
    """Nearest rank; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[int]) -> dict[str, int | None]:
    return {"p50": percentile(values, 0.50), "p99": percentile(values, 0.99)}


def take_figures(
    layout: Layout, course: Course, witness: Subscriber, stored: Sequence[StoredReport], has_chain: bool
) -> dict[str, object]:
    """The one JSON object. `has_chain`: `plumeproof verify` was fine."""
    keys = load_keys(layout.keys)
    views = [read_module(layout.ledger, keys, name) for name in MODULES]
    plant = {view.device: ask_plant(view, layout.plant_log(view.device), course.starts[view.device]) for view in views}
    flash = {view.device: ask_flash(view, read_entries(layout.flash(view.device))) for view in views}
    copies = ask_broker(layout.ledger, views, witness, course.broker_deaths_ns)
    reports = ask_platform(layout.ledger, stored)
    counts = _count_rows(layout)
    samples, gaps = (sum(view.channel_counts()[which] for view in views) for which in (0, 1))
    latencies = [value for view in views for value in view.latencies_ms]
    waits = [value for view in views for value in view.sealing_waits_ms]
    return {
        "slots_planned": samples + gaps,
        "samples": samples,
        "gaps": gaps,
        "records_sealed": sum(found.sealed for found in flash.values()),
        "records_verified": sum(len(view.records) for view in views),
        "records_rejected": counts["quarantine"],
        "averages": counts["average"],
        "mqtt_published": copies.messages,
        "api_receipts": reports.reports - len(reports.unexpected),
        "lost": sum(found.lost for found in plant.values()) + _lost(views, flash, copies, reports),
        "duplicated": sum(found.duplicated for found in plant.values())
        + sum(len(found.invented) for found in flash.values())
        + copies.unexpected
        + (0 if course.restarts else copies.repeated)
        + len(reports.unexpected)
        + len(reports.twice),
        "chain_ok": has_chain and all(view.boots == list(range(1, len(view.boots) + 1)) for view in views),
        "micropython_version": next((_version(view.interpreter) for view in views if view.interpreter), ""),
        "latency_ms": spread(latencies),
        "sealing_wait_ms": spread(waits),
        "after_sealing_ms": spread([whole - wait for whole, wait in zip(latencies, waits, strict=True)]),
        "late_answers": sum(found.late for found in plant.values()),
        "power_off_answers": sum(found.power_off for found in plant.values()),
        "mqtt_repeated": copies.repeated,
        "mqtt_gone_with_broker": len(copies.gone_with_broker),
        "api_repeated": reports.repeated,
        "restarts": course.restarts,
        "drained": not course.undrained,
        "modules": {view.device: _of_module(view) for view in views},
        "findings": [
            *([course.undrained] if course.undrained else []),
            *([] if has_chain else [f"`plumeproof verify` is not content; see {layout.log('verify')}"]),
            *(line for view in views for line in _name_slots(view)),
            *(line for name, found in plant.items() for line in _name_findings(name, found)),
            *(line for name, found in flash.items() for line in _name_findings(name, found)),
            *_name_findings("broker", copies),
            *_name_findings("platform", reports),
        ],
    }


def is_good(figures: dict[str, object]) -> bool:
    """Whether the run kept its promise; a run with recorded values has no papers."""
    truths = ["chain_ok", "drained", "bundle_ok", "second_verifier_ok"]
    truths += ["papers_ok"] if "papers_ok" in figures else []
    return figures["lost"] == figures["duplicated"] == 0 and all(figures[name] is True for name in truths)


def _lost(
    views: Sequence[ModuleView], flash: dict[str, FlashFindings], copies: CopyFindings, reports: ReportFindings
) -> int:
    return (
        sum(view.unexplained_slots for view in views)
        + sum(len(found.missing) + len(found.altered) for found in flash.values())
        + len(copies.missing)
        + copies.mislabelled
        + len(set(reports.missing) | set(reports.unproven))
        + len(reports.unreported)
    )


def _version(interpreter: str) -> str:
    """ "micropython 1.25.0 linux", as the boot record signs it, or what else it says."""
    words = interpreter.split()
    return words[1] if len(words) == 3 and words[0] == "micropython" else interpreter


def _of_module(view: ModuleView) -> dict[str, int]:
    return {
        "analyzers": len(view.parameters.get("analyzers", [])),
        "records": len(view.records),
        "boots": len(view.boots),
        "retries": sum(view.retries.values()),
    }


def _name_slots(view: ModuleView) -> list[str]:
    return [f"{view.device}: {view.unexplained_slots} slots in no record"] if view.unexplained_slots else []


def _name_findings(where: str, found: object) -> list[str]:
    """What one witness has against the line, by name."""
    values = asdict(found)  # type: ignore[call-overload] # a dataclass, whichever
    return [f"{where}: {what} {values[what]}" for what in FAULTS if values.get(what)]


def _count_rows(layout: Layout) -> dict[str, int]:
    connection = open_reader(layout.ledger)
    try:
        return {
            table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names
            for table in ("average", "quarantine")
        }
    finally:
        connection.close()
