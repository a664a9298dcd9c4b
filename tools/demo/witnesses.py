"""What each witness outside the bridge says, against the ledger: plant, flash of the modules, broker, platform.

One function a witness. All of them name things (seqs, ids, keys), so that a finding can be looked up; the sums are in
figures.py. MQTT is at least once: the same message again is `repeated`, never a second effect.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumeproof.store.connection import open_reader
from tools.demo.comparison import BlockFindings, compare_block
from tools.demo.events import Start
from tools.demo.layout import BROKER_NAME, PLATFORM_NAME, REPORT_INTERVAL_S
from tools.demo.ledger_view import ModuleView
from tools.demo.platform_view import StoredReport
from tools.demo.subscriber import Subscriber
from tools.journal_dump import Entry

END_NS = 2**63  # later than any log
LINE_QUIET_NS = 1_000_000  # behind an answer: what comes sooner runs into it (above 19,200 baud 1.75 ms are asked for)
BROKER_MEMORY_MS = 2_000  # before its death: what a broker has acknowledged and perhaps not on its disk yet


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with values whose bytes arrived, when it was asked for and given. `is_alone`: nothing else was on the
    line from its request on, so that nothing but its values can have been understood."""

    asked_utc_ns: int
    given_utc_ns: int
    registers: bytes
    is_alone: bool


@dataclass(slots=True)
class BlockLog:
    """What the plant wrote down about one block, in order. `requests`: when each came."""

    requests: list[int] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def between(self, begin_ns: int, end_ns: int) -> BlockLog:
        """What was asked in [begin, end) and its answers."""
        return BlockLog(
            [at_ns for at_ns in self.requests if begin_ns <= at_ns < end_ns],
            [answer for answer in self.answers if begin_ns <= answer.asked_utc_ns < end_ns],
        )

    def excused(self, slot_ms: int, timeout_ms: int) -> list[bool]:
        """Of each answer: whether it came too late or not alone, or was asked for again so soon that it was in the
        same slot."""
        found = []
        for answer in self.answers:
            place = bisect_right(self.requests, answer.asked_utc_ns)
            is_soon = place < len(self.requests) and self.requests[place] - answer.asked_utc_ns < slot_ms * 500_000
            is_late = answer.given_utc_ns - answer.asked_utc_ns > timeout_ms * 1_000_000
            found.append(is_soon or is_late or not answer.is_alone)
        return found


def read_plant(path: Path) -> dict[tuple[int, int, int, int], BlockLog]:
    """By (unit, function, address, quantity)."""
    blocks: dict[tuple[int, int, int, int], BlockLog] = {}
    asked: dict[int, int] = {}  # of this start of the plant: number of a request, when it came
    answers: list[dict[str, Any]] = []
    with path.open() as log:
        for entry in map(json.loads, log):
            if entry["kind"] == "request":
                asked[entry["n"]] = entry["t_utc_ns"]
                blocks.setdefault(_block_of(entry), BlockLog()).requests.append(entry["t_utc_ns"])
            elif entry["kind"] == "answer" and entry["fault"] != "mute":
                answers.append(entry | {"asked_utc_ns": asked[entry["n"]]})
    spoken = sorted(entry["t_utc_ns"] for entry in answers)
    for entry in answers:
        is_whole = entry["intact"] or (entry["fault"] == "stray" and entry["taken"])
        if not is_whole or entry["exception"]:
            continue
        begin_ns, end_ns = entry["asked_utc_ns"], entry["t_utc_ns"]
        count = bisect_right(spoken, end_ns + LINE_QUIET_NS) - bisect_left(spoken, begin_ns)
        is_alone = entry["intact"] and count == 1
        answer = Answer(begin_ns, end_ns, bytes.fromhex(entry["registers"]), is_alone)
        blocks[_block_of(entry)].answers.append(answer)
    return blocks


def _block_of(entry: dict[str, Any]) -> tuple[int, int, int, int]:
    return entry["unit"], entry["function"], entry["address"], entry["quantity"]


def ask_plant(view: ModuleView, plant_log: Path, starts: Sequence[Start]) -> BlockFindings:
    """The sums over all blocks and boots of a module. Every start but the last ended by a death."""
    logs = read_plant(plant_log)
    total = BlockFindings()
    boots = set(view.boots) | {boot for boot, _ in view.slots}
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        boots.discard(start.boot or 0)
        for number, block in enumerate(view.parameters.get("blocks", [])):
            analyzer = view.parameters["analyzers"][block["analyzer"]]
            log = logs.get((analyzer["unit"], block["function"], block["address"], block["quantity"]), BlockLog())
            log = log.between(start.t_utc_ns, following.t_utc_ns if following else END_NS)
            slots = view.slots.get((start.boot or 0, number), [])
            excused = log.excused(view.parameters["slot_ms"], analyzer["timeout_ms"])
            total += compare_block([one.registers for one in log.answers], slots, excused, following is not None)
    for boot in boots:  # of no start: whatever it holds is invented
        invented = sum(slot.outcome == 0 for (one, _), slots in view.slots.items() if one == boot for slot in slots)
        total += BlockFindings(duplicated=invented)
    return total


@dataclass(frozen=True, slots=True)
class FlashFindings:
    """Seqs. `sealed`: newest in the journal; `missing`: sealed and not in the ledger; `altered`: in the ledger with
    other bytes than on the flash; `invented`: in the ledger and beyond what was ever sealed."""

    sealed: int
    missing: tuple[int, ...]
    altered: tuple[int, ...]
    invented: tuple[int, ...]


def ask_flash(view: ModuleView, entries: Sequence[Entry]) -> FlashFindings:
    """What the module's flash still holds, released or not, against the ledger."""
    sealed = max((entry.seq for entry in entries), default=0)
    return FlashFindings(
        sealed,
        tuple(seq for seq in range(1, sealed + 1) if seq not in view.records),
        tuple(entry.seq for entry in entries if view.records.get(entry.seq, entry.envelope) != entry.envelope),
        tuple(seq for seq in view.records if seq > sealed),
    )


@dataclass(frozen=True, slots=True)
class CopyFindings:
    """Copies of ledger rows. `gone_with_broker`: acknowledged by a broker that was killed at once, so not its word.
    `mislabelled`: envelopes whose properties name no record of the ledger."""

    messages: int
    missing: tuple[str, ...]
    gone_with_broker: tuple[str, ...]
    unexpected: int
    repeated: int
    mislabelled: int


def ask_broker(
    ledger: Path, views: Sequence[ModuleView], witness: Subscriber, broker_deaths_ns: Sequence[int]
) -> CopyFindings:
    """Every envelope of the ledger, bit for bit, and every average came to the witness."""
    expected = {
        f"envelope/{view.device}/{seq}": (view.device, hashlib.sha256(raw).digest())
        for view in views
        for seq, raw in view.records.items()
    }
    connection = open_reader(ledger)
    try:
        averages = connection.execute("SELECT id, device FROM average").fetchall()
        bodies = dict(
            connection.execute("SELECT key, body FROM outbox WHERE sink = ? AND kind = 'average'", (BROKER_NAME,))
        )
        acknowledged = dict(
            connection.execute(
                "SELECT outbox.key, receipt.received_utc_ms FROM receipt JOIN outbox ON outbox.id = receipt.outbox_id"
                " WHERE outbox.sink = ?",
                (BROKER_NAME,),
            )
        )
    finally:
        connection.close()
    for number, device in averages:  # one that was never queued has no bytes that could have come
        key = f"average/{number}"
        expected[key] = (device, hashlib.sha256(bodies[key]).digest() if key in bodies else b"")
    came = Counter(witness.envelopes + witness.averages)
    labels = {(view.device, str(seq), *names) for view in views for seq, names in view.labels.items()}
    missing = [key for key, name in expected.items() if name not in came]
    gone = [key for key in missing if _is_near_a_death(acknowledged.get(key), broker_deaths_ns)]
    return CopyFindings(
        messages=len(came),
        missing=tuple(key for key in missing if key not in gone),
        gone_with_broker=tuple(gone),
        unexpected=len(came.keys() - set(expected.values())),
        repeated=sum(count - 1 for count in came.values()),
        mislabelled=sum(label not in labels for label in witness.labels),
    )


@dataclass(frozen=True, slots=True)
class ReportFindings:
    """Reports at the platform. `missing`: keys of ours that it has not, unsigned, or with other bytes; `unexpected`:
    keys that are none of ours; `twice`: keys or averages with a second effect; `unreported`: averages in no report;
    `unproven`: keys without a receipt in the ledger; `repeated`: requests beyond the first of a key."""

    reports: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    twice: tuple[str, ...]
    unreported: tuple[int, ...]
    unproven: tuple[str, ...]
    repeated: int


def ask_platform(ledger: Path, stored: Sequence[StoredReport]) -> ReportFindings:
    """Every average of the reported interval stands in one report, and that report once at the platform."""
    connection = open_reader(ledger)
    try:
        averages = connection.execute("SELECT id FROM average WHERE interval_s = ?", (REPORT_INTERVAL_S,)).fetchall()
        rows = connection.execute(
            "SELECT outbox.key, outbox.body, receipt.outbox_id IS NOT NULL FROM outbox"
            " LEFT JOIN receipt ON receipt.outbox_id = outbox.id"
            " WHERE outbox.sink = ? AND outbox.kind = 'report' AND outbox.state <> 'split'",
            (PLATFORM_NAME,),
        ).fetchall()
    finally:
        connection.close()
    ours = {key: hashlib.sha256(body).digest() for key, body, _ in rows}
    theirs = {report.key: report for report in stored}
    reported = Counter(
        average["id"] for key, body, _ in rows if key in theirs for average in json.loads(body)["averages"]
    )
    keys = Counter(report.key for report in stored)
    return ReportFindings(
        reports=len(theirs),
        missing=tuple(
            key
            for key, digest in ours.items()
            if key not in theirs or theirs[key].body_hash != digest or not theirs[key].is_signed
        ),
        unexpected=tuple(key for key in theirs if key not in ours),
        twice=(
            *(key for key, count in keys.items() if count > 1),
            *(f"average {number}" for number, count in reported.items() if count > 1),
        ),
        unreported=tuple(row[0] for row in averages if row[0] not in reported),
        unproven=tuple(key for key, _, has_receipt in rows if not has_receipt),
        repeated=sum(report.deliveries - 1 for report in stored),
    )


def _is_near_a_death(acknowledged_utc_ms: int | None, deaths_ns: Sequence[int]) -> bool:
    return acknowledged_utc_ms is not None and any(
        -BROKER_MEMORY_MS <= acknowledged_utc_ms - death_ns // 1_000_000 <= BROKER_MEMORY_MS for death_ns in deaths_ns
    )
