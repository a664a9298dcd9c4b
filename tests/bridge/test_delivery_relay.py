"""The relay on a real ledger: where a new sink begins, what goes into which report, kills; and the profiles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plumeproof.delivery import relay as relay_file
from plumeproof.delivery.profile import load_profile, parse_profile
from plumeproof.delivery.relay import AverageFeed, EnvelopeFeed, Relay, ReportFeed, ReportRule
from plumeproof.errors import ConfigError, StoreError
from plumeproof.evidence.envelope import kid_in
from plumeproof.model import AveragingStep
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.doubles.manual_clock import ManualClock
from tests.doubles.timed_module import TimedModule, store_all

SHIPPED = Path(relay_file.__file__).parent / "profiles" / "eu-carbon-cloud.json"


class Bench:
    """A ledger with its stores; `relay` makes one for the sinks that are named."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.minute = 0
        self.open()

    def open(self) -> None:
        self.writer = Writer(self.path)
        self.ledger = SqliteLedger(self.writer, self.clock)
        self.averages = SqliteAverages(self.writer, self.clock)
        self.outbox = SqliteOutbox(self.writer, self.clock)

    def relay(self, *kinds: str, rule: ReportRule | None = None) -> Relay:
        makers = {
            "envelope": lambda: EnvelopeFeed("mqtt", self.ledger, self.outbox, kid_in),
            "average": lambda: AverageFeed("mqtt", "gw-1", self.averages, self.outbox),
            "report": lambda: ReportFeed(
                "https", "gw-1", rule or ReportRule(60), self.averages, self.outbox, self.clock
            ),
        }
        found = Relay([makers[kind]() for kind in kinds])
        found.begin()
        return found

    def average(self, channels: int = 2, interval_s: int = 60, module: str = "plume-01", late: bool = False) -> None:
        """One interval of a module; `late`: the newest one again, with another mean."""
        self.minute += not late
        rows = tuple(
            replace(
                AVERAGE, device=module, channel=f"c{index}", interval_s=interval_s, maximum=9.0,
                start_utc_ms=self.minute * 60_000, mean=float(self.minute) + late,
            )
            for index in range(channels)
        )  # fmt: skip
        self.averages.commit(AveragingStep(1, (), (), (), (), rows))

    def records(self, count: int) -> list[bytes]:
        module = TimedModule()
        module.start()
        for _ in range(count - len(module.sealed)):
            module.sample([(0, 1.0, 1, False)])
        store_all(self.ledger, module.sealed)
        return [envelope.raw for _, envelope in module.sealed]

    def rows(self, sink: str):
        return self.outbox.due(sink, self.clock.utc_ms(), 10_000)

    def reports(self) -> list[tuple[str, list[tuple[int, int]]]]:
        """(module, [(id, revision)]) of each report, in order."""
        bodies = [json.loads(row.body) for row in self.rows("https")]
        return [(body["module"], [(one["id"], one["revision"]) for one in body["averages"]]) for body in bodies]


@pytest.fixture
def bench(tmp_path):
    found = Bench(tmp_path / "ledger.sqlite")
    yield found
    found.writer.close()


def run(relay: Relay) -> None:
    while relay.step() is not None:
        pass


def test_envelopes_go_out_as_the_ledger_has_them(bench):
    relay = bench.relay("envelope")
    raws = bench.records(700)  # several windows
    run(relay)
    rows = bench.rows("mqtt")
    assert [row.body for row in rows] == raws
    stored = bench.ledger.after(0, 10_000)
    assert [dict(row.attributes) for row in rows] == [
        {"seq": str(one.seq), "hash": one.content_hash.hex(), "kid": bytes(16).hex()} for one in stored
    ]
    with bench.writer.reading() as connection:
        assert connection.execute("SELECT count(*) FROM outbox WHERE body IS NOT NULL").get == 0  # no copy of it


def test_a_new_broker_begins_now_and_a_new_platform_with_everything(bench):
    bench.records(5)
    bench.average()
    relay = bench.relay("envelope", "average", "report")
    run(relay)
    assert bench.rows("mqtt") == []
    assert [len(ids) for _, ids in bench.reports()] == [2]
    bench.average()
    run(relay)
    assert [row.kind for row in bench.rows("mqtt")] == ["average", "average"]


def test_a_sink_goes_on_where_it_was_over_restarts_and_absence(bench):
    relay = bench.relay("average", "report")
    bench.average()
    run(relay)
    bench.writer.close()
    bench.open()
    run(bench.relay())  # a configuration without sinks
    bench.average()
    run(bench.relay("average", "report"))
    assert [json.loads(row.body)["id"] for row in bench.rows("mqtt")] == [1, 2, 3, 4]
    assert [ids for _, ids in bench.reports()] == [[(1, 0), (2, 0)], [(3, 0), (4, 0)]]


def test_a_step_that_cannot_be_stored_is_made_again(bench):
    relay = bench.relay("average")
    bench.average()
    with bench.writer.reading() as connection:
        connection.pragma("query_only", True)
    with pytest.raises(StoreError):
        relay.step()
    with bench.writer.reading() as connection:
        connection.pragma("query_only", False)
    assert bench.rows("mqtt") == []
    run(relay)
    assert len(bench.rows("mqtt")) == 2


def test_a_report_is_of_one_module_and_one_interval(bench):
    for module in ("plume-01", "plume-02", "plume-01"):
        bench.average(module=module)
        bench.average(interval_s=10, module=module)
    run(bench.relay("report"))
    assert bench.reports() == [("plume-01", [(1, 0), (2, 0), (9, 0), (10, 0)]), ("plume-02", [(5, 0), (6, 0)])]


def test_a_report_closes_at_its_size(bench):
    for _ in range(5):
        bench.average(channels=3)
    run(bench.relay("report", rule=ReportRule(60, averages_max=4)))
    assert [[one for one, _ in ids] for _, ids in bench.reports()] == [
        [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15],
    ]  # fmt: skip


def test_what_is_fewer_waits_its_time(bench):
    relay = bench.relay("report", rule=ReportRule(60, close_after_s=30))
    bench.average()
    run(relay)
    bench.clock.advance(29)
    bench.average()
    run(relay)
    assert bench.reports() == []
    bench.clock.advance(1)
    run(relay)
    assert [len(ids) for _, ids in bench.reports()] == [4]
    bench.average()
    run(relay)
    bench.clock.advance(29)
    run(relay)
    assert len(bench.reports()) == 1


def test_a_full_window_does_not_wait(bench):
    relay = bench.relay("report", rule=ReportRule(60, averages_max=200, close_after_s=3600))
    for _ in range(50):
        bench.average(channels=10)
    run(relay)
    assert [len(ids) for _, ids in bench.reports()] == [200, 200]  # 100 wait for more
    bench.clock.advance(3600)
    run(relay)
    assert [len(ids) for _, ids in bench.reports()] == [200, 200, 100]


def test_a_late_revision_goes_into_a_later_report(bench):
    relay = bench.relay("report")
    bench.average()
    run(relay)
    bench.average(late=True)
    run(relay)
    assert bench.reports() == [("plume-01", [(1, 0), (2, 0)]), ("plume-01", [(3, 1), (4, 1)])]


def test_averages_of_other_intervals_hold_nothing_up(bench):
    relay = bench.relay("report", rule=ReportRule(3600, averages_max=5, close_after_s=60))
    for _ in range(300):
        bench.average(channels=5)
    run(relay)
    assert bench.reports() == []
    assert bench.outbox.cursor(relay_file.REPORTS, "https") == 1500


# Profiles


def refused(**changed) -> str:
    """The one line about the shipped profile with some keys changed (by dotted path; ... removes)."""
    tree = json.loads(SHIPPED.read_text())
    for path, value in changed.items():
        *at, last = path.split("__")
        table = tree
        for name in at:
            table = table[name]
        if value is ...:
            del table[last]
        else:
            table[last] = value
    with pytest.raises(ConfigError) as caught:
        parse_profile(json.dumps(tree).encode(), "own.json")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("own.json")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"more": 1}, "more: is no known key"),
        ({"paths__tokens": "/x"}, "/paths/tokens: is no known key"),
        ({"report__fields__modul": "m"}, "/report/fields/modul: is no known key"),
        ({"statuses": ...}, "statuses: is missing"),
        ({"receipt__fields__module": ...}, "/receipt/fields/module: is missing"),
        ({"paths": []}, "paths"),
        ({"paths__reports": "https://elsewhere.example/"}, "/paths/reports"),
        ({"paths__reports": "/a?b"}, "/paths/reports"),
        ({"status": "certified"}, "none of official, community, provisional"),
        ({"auth__kind": "password"}, "/auth/kind"),
        ({"headers__idempotency_key": "Key\r\nX"}, "/headers/idempotency_key"),
        ({"headers__is_key_quoted": 1}, "neither true nor false"),
        ({"report__averages_max": 501}, "no integer of 1 to 500"),
        ({"report__averages_max": True}, "no integer"),
        ({"report__average_fields__id": "channel"}, "gives two fields the same name"),
        ({"statuses__accepted": [200, 302]}, "statuses 200 to 299"),
        ({"statuses__blocked": [403, 429]}, "429 stands in blocked too"),
    ],
)
def test_a_profile_is_refused_with_one_line(changed, words):
    assert words in refused(**changed)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 100_000, b" " * 300_000 + b"{}"]
)
def test_no_profile_at_all(raw):
    with pytest.raises(ConfigError, match=r"^own\.json"):
        parse_profile(raw, "own.json")


def test_profiles_by_name_and_by_path(tmp_path):
    own = tmp_path / "own.json"
    own.write_text(SHIPPED.read_text().replace("/v1/reports", "/v2/reports"))
    assert load_profile(str(own)).reports_path == "/v2/reports"
    with pytest.raises(ConfigError, match="shipped are eu-carbon-cloud"):
        load_profile("eu-carbon-claud")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(str(tmp_path / "none.json"))
