"""What a test on a rig has seen of bus and module, for the report: from the plant's log and from the records that came.

Times of the bus are those at the analyzers' end: from a request's arrival until the last byte of its answer was handed
to the line. What the module itself measured is in its health records (acqwire.counts).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from acqwire import counts

from plumeproof.model import Boot, Health, Record, Samples

ROUND_TRIPS_MAX = 5000  # of one test; more are thinned out evenly


class Asker(Protocol):
    """A gateway of a rig: what it was given and what was declared missing."""

    records: list[Record]
    envelopes: list[bytes]
    holes: list[tuple[int, int]]


def figures_of(log: Sequence[dict[str, Any]], gateways: Iterable[Asker]) -> dict[str, Any]:
    """One JSON object."""
    asked: dict[int, int] = {}
    trips_ms: list[float] = []
    busy_us: dict[int, int] = defaultdict(int)
    baud = 0
    for entry in log:
        if entry["kind"] == "state" and entry["state"] == "start":
            baud = entry["baud"]
        elif entry["kind"] == "request":
            asked[entry["n"]] = entry["t_utc_ns"]
        elif entry["kind"] == "answer" and entry["n"] in asked:
            busy_us[entry["t_utc_ns"] // 1_000_000_000] += entry["wire_us"]
            if entry["intact"] and entry["fault"] is None:
                trips_ms.append((entry["t_utc_ns"] - asked[entry["n"]]) / 1e6)
    seconds = range(min(busy_us), max(busy_us) + 1) if busy_us else range(0)
    found: dict[str, Any] = {
        "baud": baud,
        "round_trips_ms": [round(trip, 3) for trip in trips_ms[:: len(trips_ms) // ROUND_TRIPS_MAX + 1]],
        "bus_use_percent": [round(busy_us[second] / 1e4, 2) for second in seconds],
        "records": 0,
        "samples": [],
        "health": [],
        "firmware": "",
        "holes": 0,
        "gaps": 0,
        "values": 0,
    }
    known: set[int] = set()  # a gateway that comes back has what the first one had
    for gateway in gateways:
        found["holes"] += sum(last - first + 1 for first, last in gateway.holes)
        # The last envelopes are those of the last records: a rig may have dropped what was before its test
        envelopes = zip(reversed(gateway.records), reversed(gateway.envelopes), strict=False)
        sizes = {record.seq: len(envelope) for record, envelope in envelopes}
        for record in gateway.records:
            if record.seq not in known:
                known.add(record.seq)
                _add(found, record, sizes.get(record.seq, 0))
    found["records"] = len(known)
    return found


def _add(found: dict[str, Any], record: Record, envelope_bytes: int) -> None:
    if isinstance(record.body, Boot):
        found["firmware"] = record.body.firmware_hash.hex()
    elif isinstance(record.body, Samples):
        slots = record.body.slots
        outcomes = b"".join(block.outcomes for block in record.body.blocks)
        found["values"] += outcomes.count(0)
        found["gaps"] += len(outcomes) - outcomes.count(0)
        if envelope_bytes:
            found["samples"].append([envelope_bytes, slots.slot_count * slots.slot_ms])
    elif isinstance(record.body, Health):
        rows = [
            [row[counts.POLLS], row[counts.RETRIES], *row[counts.ROUND_LEAST_US : counts.ROUND_MOST_US + 1]]
            for row in record.body.analyzers
        ]
        found["health"].append(
            {"mono_ms": record.mono_ms, "boot": record.boot, "heap_free": record.body.heap_free, "analyzers": rows}
        )
