"""The running check that packets and payloads say what is signed: each report that was queued, against the ledger.

A report is compared once it stands in the outbox. When an HJ 212 hour is closed, the messages of the last day are
compared again, because late records may have made a newer revision than the one that the platform keeps. A disagreement
is logged and noted in the audit table once for each hour and value, with both values and both traces; the stage then
shows as down until a day has passed, for a person is needed. Nothing is held back: alarms do not stop deliveries.

    stage = build_agreement_stage(config, writer, clock, averages, figures)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from plumeproof.agreement.comparison import Disagreement, compare
from plumeproof.agreement.packets import HOUR_CN, read_queued
from plumeproof.agreement.payloads import Names, read_payload
from plumeproof.agreement.said import Spoken
from plumeproof.agreement.signed import AverageAccount, LinkAccount
from plumeproof.config import Config
from plumeproof.delivery.profile import load_profile
from plumeproof.errors import AgreementError
from plumeproof.ports import AverageStore, Clock, FigureStore
from plumeproof.rules.figure import SHORT_TERM, Figure
from plumeproof.store.agreements import Row, SqliteAgreements
from plumeproof.store.connection import Writer

if TYPE_CHECKING:
    from plumeproof.hj212_link import LinkPlan

DAY_MS = 86_400_000
DAY_HOURS = 24
WINDOW = 16  # rows read at a time; a report of 500 averages is compared in some hundredths of a second
STEP_S = 1.0  # of work, then the worker looks whether the bridge stops
REST_S = 5.0  # while an alarm stands
NAMED_MAX = 1_000  # alarms of a day that are noted; what is wrong everywhere fills no disk
EVER = (0, 1 << 62)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Link:
    """An HJ 212 sink: what it reports, and what it must say."""

    plan: LinkPlan
    account: LinkAccount


class AgreementStage:
    """service.Stage. Raises StoreError; AgreementError while an alarm of the last day stands."""

    def __init__(
        self,
        links: Mapping[str, Link],
        platforms: Mapping[str, Names],
        account: AverageAccount,
        store: SqliteAgreements,
        clock: Clock,
    ) -> None:
        """`links`, `platforms`: by the name of their sink."""
        self._links, self._platforms, self._account = links, platforms, account
        self._store, self._clock = store, clock
        self._position: int | None = None
        self._has_more = False
        self._alarms: dict[tuple[str, ...], tuple[int, str]] = {}  # key: when, and its line
        self._counters = {"values_total": 0, "disagreements_total": 0, "unreadable_total": 0}

    def step(self) -> float | None:
        """As Stage.step."""
        now = self._clock.utc_ms()
        if self._position is None:
            for utc_ms, one in self._store.noted_since(now - DAY_MS):
                self._alarms[tuple(one["key"].split("\n"))] = (utc_ms, one["line"])
            self._position = self._store.position(now - DAY_MS)
        until_s = self._clock.monotonic_s() + STEP_S
        self._has_more = True
        while self._has_more and self._clock.monotonic_s() < until_s:
            rows = self._store.after(self._position, WINDOW)
            self._has_more = bool(rows)
            if rows:
                self._check(rows, now)
        self._alarms = {key: one for key, one in self._alarms.items() if one[0] > now - DAY_MS}
        if self._alarms:
            _, line = list(self._alarms.values())[-1]
            raise AgreementError(f"{len(self._alarms)} values of the last day disagree; the last: {line}")
        return 0.0 if self._has_more else None

    def _check(self, rows: Sequence[Row], now: int) -> None:
        found: list[Disagreement] = []
        for row_id, sink, body in rows:
            if sink in self._platforms:
                spoken = read_payload(f"outbox row {row_id}", body, self._platforms[sink])
                found += self._compare(spoken, self._account, is_followed=True)
            elif sink in self._links:
                found += self._of_link(self._links[sink], row_id, sink, body)
        fresh: dict[tuple[str, ...], Disagreement] = {}
        for one in found:
            if one.key not in self._alarms and len(self._alarms) + len(fresh) < NAMED_MAX:
                fresh[one.key] = one
        notes = [_note(one) for one in fresh.values()]
        self._store.commit(rows[-1][0], notes)
        self._position = rows[-1][0]
        for key, one in fresh.items():
            self._alarms[key] = (now, one.line)
            self._counters["disagreements_total"] += 1
            _log.error(
                "disagreement hour=%s tongue=%s subject=%s quantity=%s said=%s said_trace=%s place=%s signed=%s"
                " signed_trace=%s reason=%s",
                one.hour, one.tongue, "/".join(one.subject), one.quantity, one.said, one.said_trace, one.place,
                one.signed, one.signed_trace, one.reason,
            )  # fmt: skip

    def _of_link(self, link: Link, row_id: int, sink: str, body: bytes) -> list[Disagreement]:
        """A message of an hour, and with it those of the last day."""
        offsets = {link.plan.mn: link.plan.utc_offset_min}
        spoken = read_queued(row_id, body, link.plan.mn, offsets)
        found = self._compare(spoken, link.account)
        if spoken.said:
            for other_id, _, other in self._store.newest_of(sink, f"{HOUR_CN}/", DAY_HOURS):
                if other_id < row_id:
                    again = read_queued(other_id, other, link.plan.mn, offsets)
                    found += self._compare(again, link.account)
        return found

    def _compare(
        self, spoken: Spoken, account: AverageAccount | LinkAccount, is_followed: bool = False
    ) -> list[Disagreement]:
        for fault in spoken.faults:
            self._counters["unreadable_total"] += 1
            _log.error("unreadable_report %s", fault)
        tally = compare(spoken, account, EVER, is_followed, is_due_asked=False)
        self._counters["values_total"] += tally.values
        return list(tally.disagreements)

    def recover(self, error: Exception) -> float | None:
        """An alarm is no reason to hurry, and none to wait long."""
        if not isinstance(error, AgreementError):
            self._position = None  # where it stands is asked again
            return None
        return 0.0 if self._has_more else REST_S

    def counters(self) -> dict[str, int]:
        """Since the start; alarms that stand."""
        return self._counters | {"alarms": len(self._alarms)}

    def close(self) -> None:
        """Nothing is held."""


def _note(one: Disagreement) -> dict[str, str]:
    found = {name: str(value) for name, value in asdict(one).items() if name != "subject"}
    return found | {"subject": "/".join(one.subject), "key": "\n".join(one.key), "line": one.line}


def build_agreement_stage(
    config: Config, writer: Writer, clock: Clock, averages: AverageStore, figures: FigureStore
) -> AgreementStage:
    """Of everything that is queued for platforms. Raises ConfigError, RuleError."""

    def short_terms(plant: str, start: int, end: int) -> Sequence[Figure]:
        return figures.of_period(plant, SHORT_TERM, start, end)

    links = {}
    if config.hj212_sinks:
        from plumeproof.hj212_link import plan_links  # only where there is a link: what it needs takes its second

        for sink in config.hj212_sinks:
            plan = plan_links(config)[sink.name]
            by_cause = sink.interval_flags == "cause"
            links[sink.name] = Link(plan, LinkAccount(plan, by_cause, averages.newest, short_terms))
    shapes = {sink.name: load_profile(sink.profile).shape for sink in config.https_sinks}
    platforms = {name: Names(shape.report, shape.average) for name, shape in shapes.items()}
    return AgreementStage(links, platforms, AverageAccount(averages.newest), SqliteAgreements(writer, clock), clock)
