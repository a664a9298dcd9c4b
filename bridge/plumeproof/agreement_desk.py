"""The agreement of tongues over a period, for faces: what was written or queued, against one ledger that is only read.

desk = AgreementDesk(ledger_file, period)
tallies = [desk.hours(STATEMENT, path, declared), desk.link(sink, plan, ...), desk.platform("cloud", names, ...)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from plumeproof.agreement.comparison import Tally, compare
from plumeproof.agreement.hours_rows import read_hours
from plumeproof.agreement.packets import read_capture, read_queued
from plumeproof.agreement.payloads import Names, newest_only, read_payload, read_topic
from plumeproof.agreement.said import API, HJ212, MQTT, SENML, Spoken, read_bytes
from plumeproof.agreement.senml_packs import PackAccount, read_pack
from plumeproof.agreement.signed import AverageAccount, FiguresOf, HourAccount, HourOf, LinkAccount, Subject
from plumeproof.agreement.states import notes_of
from plumeproof.documents.hours import Hour
from plumeproof.errors import ConfigError
from plumeproof.hj212.frame import Policy
from plumeproof.hj212_link import LinkPlan
from plumeproof.model import Average
from plumeproof.store.agreements import queued_averages, queued_reports
from plumeproof.store.trace_rows import ROWS_MAX, TraceRows

BLOCK_STARTS = 24  # intervals that are read at once
BLOCKS_KEPT = 64
Period = tuple[int, int]


class LedgerAverages:
    """Newest revisions of averages of a ledger file, some intervals at once. One thread. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._rows = TraceRows(path)
        self._blocks: dict[tuple[str, int, int], dict[int, list[Average]]] = {}

    def close(self) -> None:
        """Give the file back."""
        self._rows.close()

    def newest(self, device: str, interval_s: int, start_utc_ms: int) -> Sequence[Average]:
        """As ports.AverageStore.newest."""
        span = BLOCK_STARTS * interval_s * 1000
        begin = start_utc_ms // span * span
        key = (device, interval_s, begin)
        if key not in self._blocks:
            while len(self._blocks) >= BLOCKS_KEPT:
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks[key] = self._read(device, interval_s, begin, span)
        return self._blocks[key].get(start_utc_ms, [])

    def keys(self, interval_s: int, period: Period) -> Iterator[tuple[Subject, int]]:
        """(module, channel, interval in s) and begin of every average of the period."""
        step = interval_s * 1000
        for device in self._rows.devices():
            for start in range(-(-period[0] // step) * step, period[1], step):
                for one in self.newest(device, interval_s, start):
                    yield (device, one.channel, str(interval_s)), start

    def _read(self, device: str, interval_s: int, begin: int, span: int) -> dict[int, list[Average]]:
        rows = self._rows.averages(device, None, interval_s, (begin, begin + span))
        if len(rows) == ROWS_MAX:  # hundreds of channels, or revisions without end: one begin after the other
            starts = range(begin, begin + span, interval_s * 1000)
            rows = [one for at in starts for one in self._rows.averages(device, None, interval_s, (at, at + 1))]
        found: dict[int, dict[tuple[str, str], Average]] = {}
        for one in rows:  # revisions ascend
            found.setdefault(one.start_utc_ms, {})[one.channel, one.unit] = one
        return {start: list(newest.values()) for start, newest in found.items()}


class AgreementDesk:
    """One ledger and period. One thread. Raises StoreError, ConfigError."""

    def __init__(self, ledger: Path, period: Period) -> None:
        self._ledger, self._period = ledger, period
        self._averages = LedgerAverages(ledger)

    def close(self) -> None:
        """Give the ledger back."""
        self._averages.close()

    def hours(self, tongue: str, path: Path, declared: Mapping[tuple[str, int], Hour]) -> Tally:
        """A CSV of hours, held against those of the ledger by (source, begin)."""
        return compare(read_hours(path, tongue), HourAccount(tongue, declared), self._period)

    def link(
        self,
        sink: str,
        plan: LinkPlan,
        by_cause: bool,
        figures: FiguresOf,
        hour_of: HourOf,
        captures: Sequence[Path],
        policy: Policy,
        offsets: Mapping[str, int],
    ) -> Tally:
        """An HJ 212 link: captures where there are any, else what stands in the outbox. `offsets`: of every station."""
        if captures:
            parts = [read_capture(path.name, read_bytes(path, "a capture"), offsets, policy) for path in captures]
        else:
            rows = queued_reports(self._ledger, sink)
            parts = [read_queued(row_id, body, plan.mn, offsets) for row_id, _, body in rows]
        whole = _joined(HJ212, parts)
        own = [one for one in whole.said if one.subject[0] == plan.mn]
        account = LinkAccount(plan, by_cause, self._averages.newest, figures, hour_of)
        found = compare(replace(whole, said=own), account, self._period)
        return replace(found, tongue=f"{HJ212} {sink}", notes=notes_of(own, account, self._period))

    def platform(self, sink: str, names: Names, interval_s: int, bodies: Sequence[Path]) -> Tally:
        """Reports of a platform: files where there are any, else what stands in the outbox."""
        if bodies:
            parts = [read_payload(path.name, read_bytes(path, "a report"), names) for path in bodies]
        else:
            rows = queued_reports(self._ledger, sink)
            parts = [read_payload(f"outbox row {row_id}", body, names) for row_id, _, body in rows]
        whole = _joined(API, parts)
        account = AverageAccount(self._averages.newest, lambda period: set(self._averages.keys(interval_s, period)))
        found = compare(replace(whole, said=newest_only(whole.said)), account, self._period)
        return replace(found, tongue=f"{API} {sink}")

    def broker(self, sink: str, view: str) -> Tally:
        """Averages for a broker, `average` or `senml`, as they stand in the outbox."""
        is_senml = view == "senml"
        read, kind = (read_pack, PackAccount) if is_senml else (read_topic, AverageAccount)
        rows = queued_averages(self._ledger, sink, view)
        whole = _joined(SENML if is_senml else MQTT, [read(f"outbox row {row_id}", body) for row_id, _, body in rows])
        account = kind(self._averages.newest)
        found = compare(replace(whole, said=newest_only(whole.said)), account, self._period, is_due_asked=False)
        return replace(found, tongue=f"{whole.tongue} {sink}")


def require_something(tallies: Sequence[Tally]) -> None:
    """Raises ConfigError where no tongue was named."""
    if not tallies:
        told = "is missing: name --statement-hours, --cbam-hours, or with -c a configuration with a platform"
        raise ConfigError("a tongue", told)


def _joined(tongue: str, parts: Iterable[Spoken]) -> Spoken:
    found = list(parts)
    said = [one for part in found for one in part.said]
    return Spoken(tongue, said, tuple(fault for part in found for fault in part.faults))
