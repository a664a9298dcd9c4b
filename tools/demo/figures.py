"""The figures of a finished run, each from somebody who is not the line itself.

Samples and gaps: the ledger's envelopes, parsed again. Lost and duplicated: the plant's log, the witness at the broker,
the platform's listing. Chain: `plumeproof verify` as a user would call it. Names: issue of the demo, DESIGN section 8.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plumeproof.keys import load_keys
from plumeproof.store.connection import open_reader
from tools.demo.comparison import BlockFindings, compare_block, compare_keys
from tools.demo.layout import MODULES, Layout
from tools.demo.ledger_view import ModuleView, read_module
from tools.demo.subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class PlatformView:
    """What the platform says it has: one idempotency key per stored report, and how often a key came again."""

    keys: tuple[str, ...]
    repeated: int


def read_plant(path: Path) -> dict[tuple[int, int, int, int], list[bytes]]:
    """Intact answers with values, in order, by (unit, function, address, quantity)."""
    answers: dict[tuple[int, int, int, int], list[bytes]] = {}
    with path.open() as log:
        for line in log:
            entry = json.loads(line)
            if entry["kind"] == "answer" and entry["intact"] and entry["exception"] == 0:
                block = (entry["unit"], entry["function"], entry["address"], entry["quantity"])
                answers.setdefault(block, []).append(bytes.fromhex(entry["registers"]))
    return answers


def compare_with_plant(view: ModuleView, plant_log: Path) -> BlockFindings:
    """The sums over all blocks of a module."""
    answers = read_plant(plant_log)
    total = BlockFindings(0, 0, 0)
    parameters = view.parameters
    for index, block in enumerate(parameters.get("blocks", [])):  # type: ignore[arg-type]
        unit = parameters["analyzers"][block["analyzer"]]["unit"]  # type: ignore[index]
        said = answers.get((unit, block["function"], block["address"], block["quantity"]), [])
        found = compare_block(said, view.blocks.get(index, []), view.retries)
        total = BlockFindings(total.lost + found.lost, total.duplicated + found.duplicated, total.late + found.late)
    return total


def percentile(values: Sequence[int], share: float) -> int | None:
    """Nearest rank; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[int]) -> dict[str, int | None]:
    return {"p50": percentile(values, 0.50), "p99": percentile(values, 0.99)}


def take_figures(
    layout: Layout, witness: Subscriber, platform: PlatformView, sealed: dict[str, int], has_chain: bool
) -> dict[str, object]:
    """The one JSON object. `sealed`: newest seq in each module's journal; `has_chain`: `plumeproof verify` was fine."""
    keys = load_keys(layout.keys)
    views = [read_module(layout.ledger, keys, name) for name in MODULES]
    plant = [compare_with_plant(view, layout.plant_log(view.device)) for view in views]
    at_broker = compare_keys(
        [_identity(view.device, raw) for view in views for raw in view.records],
        [_identity(module, raw) for module, raw in witness.envelopes],
    )
    counts = _count_rows(layout.ledger)
    at_platform = compare_keys(counts.report_keys, platform.keys)
    samples = sum(view.channel_counts()[0] for view in views)
    gaps = sum(view.channel_counts()[1] for view in views)
    records = sum(len(view.records) for view in views)
    latencies = [value for view in views for value in view.latencies_ms]
    waits = [value for view in views for value in view.sealing_waits_ms]
    return {
        "slots_planned": samples + gaps,
        "samples": samples,
        "gaps": gaps,
        "records_sealed": sum(sealed.values()),
        "records_verified": records,
        "records_rejected": counts.quarantined,
        "averages": counts.averages,
        "mqtt_published": len({_identity(*item) for item in witness.envelopes})
        + len({(topic, raw) for topic, raw in witness.averages}),
        "api_receipts": counts.receipts,
        "lost": sum(found.lost for found in plant)
        + (sum(sealed.values()) - records)
        + at_broker.missing
        + at_platform.missing,
        "duplicated": sum(found.duplicated for found in plant)
        + at_broker.unexpected
        + at_broker.repeated
        + at_platform.repeated
        + at_platform.unexpected,
        "late_answers": sum(found.late for found in plant),
        "mqtt_repeated": at_broker.repeated,
        "chain_ok": has_chain,
        "micropython_version": next((view.interpreter for view in views if view.interpreter), ""),
        "latency_ms": spread(latencies),
        "sealing_wait_ms": spread(waits),
        "after_sealing_ms": spread([whole - wait for whole, wait in zip(latencies, waits, strict=True)]),
        "modules": {
            view.device: {
                "analyzers": len(view.parameters.get("analyzers", [])),  # type: ignore[arg-type]
                "records": len(view.records),
                "boots": view.boots,
                "retries": view.retries,
            }
            for view in views
        },
    }


def _identity(module: str, raw: bytes) -> tuple[str, bytes]:
    return module, hashlib.sha256(raw).digest()


@dataclass(frozen=True, slots=True)
class _Counts:
    averages: int
    quarantined: int
    receipts: int
    report_keys: tuple[str, ...]


def _count_rows(ledger: Path) -> _Counts:
    connection = open_reader(ledger)
    try:

        def number(query: str) -> int:
            return int(connection.execute(query).fetchone()[0])

        keys = connection.execute("SELECT key FROM outbox WHERE kind = 'report' AND state <> 'split' ORDER BY id")
        return _Counts(
            averages=number("SELECT count(*) FROM average"),
            quarantined=number("SELECT count(*) FROM quarantine"),
            receipts=number(
                "SELECT count(*) FROM receipt JOIN outbox ON outbox.id = receipt.outbox_id WHERE outbox.kind = 'report'"
            ),
            report_keys=tuple(row[0] for row in keys),
        )
    finally:
        connection.close()
