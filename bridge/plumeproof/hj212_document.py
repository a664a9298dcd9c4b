"""What a link reports of a period, from a ledger that is only read: the messages that its queue held or would hold.

The same input gives the same bytes: nothing is asked of a clock, and QNs follow from the messages. The password is
none of a document's business; in packets another word stands in its place.

    for upload in link_messages(config, "bureau", period_utc_ms, ["hour"]): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plumeproof.agreement.agreement_sheet import HJ212_STANDING as STANDING
from plumeproof.agreement_desk import LedgerAverages
from plumeproof.config import Config, Hj212SinkConfig
from plumeproof.errors import ConfigError
from plumeproof.hj212.messages import Identity, Upload, build_part, cut
from plumeproof.hj212_link import CN_OF, DAY, HOUR, MINUTE, LinkPlan, plan_links
from plumeproof.hj212_station import LedgerStation
from plumeproof.model import Average
from plumeproof.rules.figure import Figure
from plumeproof.store.records_by_time import RecordsByTime

FORMAT = "plumeproof.hj212/1"
PASSWORD = "*" * 6
DUTIES = (MINUTE, HOUR, DAY)


class _StandingClock:
    """ports.Clock at the end of a period: all in it is over, and nothing behind it."""

    def __init__(self, utc_ms: int) -> None:
        self._utc_ms = utc_ms

    def utc_ms(self) -> int:
        """As Clock.utc_ms."""
        return self._utc_ms

    def monotonic_s(self) -> float:
        """As Clock.monotonic_s."""
        return 0.0


class _Stored:
    """Averages and figures of a ledger file, as hj212_station.py asks for them."""

    def __init__(self, config: Config) -> None:
        self._averages = LedgerAverages(config.gateway.ledger_file)
        self._figures = RecordsByTime(config.gateway.ledger_file)

    def newest(self, device: str, interval_s: int, start_utc_ms: int) -> Sequence[Average]:
        """As AverageStore.newest."""
        return self._averages.newest(device, interval_s, start_utc_ms)

    def newest_starts(self, device: str) -> Sequence[tuple[int, int]]:
        """There is no present in a document."""
        return ()

    def of_period(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> Sequence[Figure]:
        """As FigureStore.of_period."""
        return self._figures.figures(plant, level, start_utc_ms, end_utc_ms)

    def close(self) -> None:
        """Give the file back."""
        self._averages.close()
        self._figures.close()


def choose_link(config: Config, name: str | None) -> tuple[Hj212SinkConfig, LinkPlan]:
    """The link of this name, or the only one. Raises ConfigError, RuleError."""
    names = [sink.name for sink in config.hj212_sinks]
    if not names or (name is None and len(names) > 1) or (name is not None and name not in names):
        raise ConfigError("--link", f"name one [[sink.hj212]] of the configuration: {', '.join(names) or 'none there'}")
    sink = config.hj212_sinks[names.index(name) if name is not None else 0]
    return sink, plan_links(config)[sink.name]


def link_messages(
    config: Config, sink: Hj212SinkConfig, plan: LinkPlan, period_utc_ms: tuple[int, int], duties: Sequence[str]
) -> Iterator[Upload]:
    """Messages of these duties whose intervals lie in the period; minutes, hours, days. Raises StoreError."""
    start, end = period_utc_ms
    stored = _Stored(config)
    try:
        station = LedgerStation(
            plan, stored, stored, _StandingClock(end), (), sink.real_time_interval_s, sink.interval_flags == "cause"
        )  # fmt: skip
        for duty in (one for one in DUTIES if one in duties):
            for upload in station.history(CN_OF[duty], start, end, sink.minute_interval_min):
                if upload is not None:
                    yield upload
    finally:
        stored.close()


def packets_of(sink: Hj212SinkConfig, plan: LinkPlan, upload: Upload) -> Iterator[bytes]:
    """A message as packets; QN: its DataTime and the number of the part."""
    identity = Identity(plan.mn, sink.st, PASSWORD)
    parts = cut(identity, upload.items)
    for number, items in enumerate(parts, 1):
        qn = f"{upload.items[0]['DataTime']}{number % 1000:03}"
        yield build_part(identity, upload.cn, qn, items, number, len(parts), wants_answer=True)


def document_head(sink: Hj212SinkConfig, plan: LinkPlan, period_utc_ms: tuple[int, int]) -> dict[str, Any]:
    """What a document says of itself, without its messages."""
    return {
        "format": FORMAT,
        "profile": STANDING.content,
        "link": sink.name,
        "mn": plan.mn,
        "st": sink.st,
        "plant": plan.plant,
        "ruleSet": plan.rule_set,
        "period_utc_ms": list(period_utc_ms),
    }
