"""What the faces show, from a real ledger filled through the real pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest
from acqwire import causes

from plumeproof.errors import StoreError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.keys import parse_keys
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.overview import PAGE_RECORDS, Overview
from plumeproof.pipeline import Ingest
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_session import SteppedTime
from tests.doubles.plant_module import PlantModule

NOW = 1_800_000_000_000
TREND_MS = 180_000  # buckets of 1 s


class FixedTime(SteppedTime):
    """Stands at NOW unless it is moved."""

    now_utc_ms = NOW

    def utc_ms(self) -> int:
        return self.now_utc_ms


class Bench:
    """One module, its ledger and an overview on it."""

    def __init__(self, folder: Path) -> None:
        self.clock = FixedTime()
        self.module = PlantModule("plume-01", 1001)
        self.keys = parse_keys(json.dumps([self.module.entry()]).encode(), "keys")
        self.file = folder / "ledger.sqlite"
        self.writer = Writer(self.file)
        self.ledger = SqliteLedger(self.writer, self.clock)
        self.module.start_up()
        self._views: list[Overview] = []

    def fetch(self) -> None:
        line = Line(self.module, FrameCodec(), Session(1), SteppedTime())
        ingest = Ingest("plume-01", line, self.keys, self.ledger)
        ingest.greet()
        while ingest.poll():
            pass

    def overview(self) -> Overview:
        view = Overview(self.file, self.keys.public_key, ("plume-01",), (10, 60), self.clock, TREND_MS)
        self._views.append(view)
        return view

    def close(self) -> None:
        for view in self._views:
            view.close()
        self.writer.close()
        self.module.close()


@pytest.fixture
def bench(tmp_path):
    found = Bench(tmp_path)
    yield found
    found.close()


def channels(view: Overview) -> dict[str, dict]:
    return {channel["id"]: channel for channel in view.live()["modules"][0]["channels"]}


def test_newest_values_with_unit_quality_and_time(bench):
    bench.module.measure(2, {"gas.so2": 42.5}, end_utc_ms=NOW - 2000)
    bench.module.measure(2, {"gas.so2": 43.25, "dust.dust": 7.5}, end_utc_ms=NOW)
    bench.fetch()
    found = channels(bench.overview())
    so2 = found["gas.so2"]
    assert (so2["value"], so2["unit"], so2["quality"], so2["status"]) == (43.25, "mg/m3", "good", "valid")
    assert so2["slot_utc_ms"] == NOW - 1000  # slots at NOW-2000 and NOW-1000, sealed at NOW
    assert so2["analyzer"] == "gas"
    assert found["dust.dust"]["value"] == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("arguments", "channel", "value", "quality", "status"),
    [
        ({"outcomes": {"gas": causes.GAP_TIMEOUT}}, "gas.so2", None, "gap", "timeout"),
        ({"outcomes": {"gas": causes.GAP_EXCEPTION + 2}}, "gas.so2", None, "gap", "exception_2_illegal_address"),
        ({"status_word": 1}, "dust.dust", 3.2, "bad", "failure"),
        ({"status_word": 2}, "dust.dust", 3.2, "check", "function_check"),
        ({"status_word": 4}, "dust.dust", 3.2, "bad", "out_of_specification"),
        ({"status_word": 8}, "dust.dust", 3.2, "maintenance", "warning"),
        ({"values": {"gas.so2": 5000.0}}, "gas.so2", 5000.0, "bad", "over_range"),
        ({"values": {"gas.so2": float("nan")}}, "gas.so2", 0.0, "bad", "not_finite"),
    ],
)
def test_quality(bench, arguments, channel, value, quality, status):
    bench.module.measure(2, end_utc_ms=NOW, **arguments)
    bench.fetch()
    found = channels(bench.overview())[channel]
    assert (found["quality"], found["status"]) == (quality, status)
    assert found["value"] == (None if value is None else pytest.approx(value))


def test_the_trend_keeps_lowest_highest_and_losses(bench):
    for index, value in enumerate((10.0, 30.0, 20.0)):
        bench.module.measure(2, {"gas.so2": value}, end_utc_ms=NOW - 4000 + index * 2000)
    bench.module.measure(2, outcomes={"gas": causes.GAP_CRC}, end_utc_ms=NOW + 2000)
    bench.fetch()
    view = bench.overview()
    bench.clock.now_utc_ms = NOW + 2000
    view.live()
    trend = view.trend()
    buckets = trend["modules"]["plume-01"]["gas.so2"]
    assert trend["bucket_ms"] == 1000
    assert [bucket[1:] for bucket in buckets[:6]] == [
        [10.0, 10.0, 1, 0], [10.0, 10.0, 1, 0], [30.0, 30.0, 1, 0], [30.0, 30.0, 1, 0], [20.0, 20.0, 1, 0],
        [20.0, 20.0, 1, 0],
    ]  # fmt: skip
    assert [bucket[3:] for bucket in buckets[6:]] == [[0, 1], [0, 1]]
    assert all(first[0] + 1000 == second[0] for first, second in zip(buckets, buckets[1:], strict=False))
    bench.clock.now_utc_ms = NOW + TREND_MS + 60_000
    view.live()
    assert view.trend()["modules"]["plume-01"]["gas.so2"] == []


def test_slots_of_a_clock_far_ahead_are_shown_and_not_kept(bench):
    bench.module.measure(2, {"gas.so2": 5.0}, end_utc_ms=NOW + 1000 * TREND_MS)
    bench.fetch()
    view = bench.overview()
    assert channels(view)["gas.so2"]["value"] == 5.0
    assert view.trend()["modules"]["plume-01"]["gas.so2"] == []


def test_a_later_look_reads_only_what_is_new(bench):
    for index in range(PAGE_RECORDS * 2):
        bench.module.measure(2, {"gas.so2": float(index)}, end_utc_ms=NOW - 2000 * (PAGE_RECORDS * 2 - index))
    bench.fetch()
    view = bench.overview()
    assert channels(view)["gas.so2"]["value"] == PAGE_RECORDS * 2 - 1
    bench.module.measure(2, {"gas.so2": 99.5}, end_utc_ms=NOW)
    bench.fetch()
    asked = []
    before = view._view.records_before
    view._view.records_before = lambda *values: asked.append(values) or before(*values)
    assert channels(view)["gas.so2"]["value"] == 99.5
    assert asked == []


def test_a_module_without_time_is_shown_where_its_records_arrived(bench):
    bench.module.measure(2, {"gas.so2": 5.0}, end_utc_ms=0)
    bench.fetch()
    view = bench.overview()
    module = view.live()["modules"][0]
    assert module["utc_status"] == "none"
    assert module["channels"][0]["slot_utc_ms"] == NOW - 1000


def test_what_stopped_coming_is_stale(bench):
    bench.module.measure(2, end_utc_ms=NOW)
    bench.fetch()
    view = bench.overview()
    assert view.live()["modules"][0]["is_stale"] is False
    bench.clock.now_utc_ms = NOW + 60_000
    assert view.live()["modules"][0]["is_stale"] is True


def test_a_changed_row_is_not_shown(bench):
    bench.module.measure(2, {"gas.so2": 42.5}, end_utc_ms=NOW - 2000)
    bench.module.measure(2, {"gas.so2": 77.5}, end_utc_ms=NOW)
    bench.fetch()
    connection = apsw.Connection(str(bench.file))
    newest = connection.execute("SELECT max(seq), envelope FROM record").get
    connection.execute("UPDATE record SET envelope = ? WHERE seq = ?", (newest[1][:-1] + b"\x00", newest[0]))
    connection.close()
    module = bench.overview().live()["modules"][0]
    assert f"record {newest[0]} does not verify any more: signature" in module["fault"]
    assert {channel["id"]: channel["value"] for channel in module["channels"]}["gas.so2"] == 42.5


def test_chain_boot_and_outbox(bench):
    bench.module.measure(2, end_utc_ms=NOW)
    bench.module.put(b"\xff poison", bytes(range(32)))
    bench.fetch()
    head = bench.ledger.head("plume-01")
    bench.writer._connection.execute(
        "INSERT INTO hole VALUES ('plume-01', 90, 92, 0);"
        "INSERT INTO outbox (sink, module, place, kind, key, body, created_utc_ms, state)"
        " VALUES ('a', 'm', 1, 'report', 'k1', x'00', 5, 'waiting'), ('a', 'm', 2, 'report', 'k2', x'00', 7, 'closed'),"
        " ('a', 'm', 3, 'report', 'k3', x'00', 9, 'quarantined');"
        "INSERT INTO cursor VALUES ('averaging', '', 3)"
    )
    live = bench.overview().live()
    chain = live["modules"][0]["chain"]
    assert (chain["seq"], chain["content_hash"]) == (head.seq, head.content_hash.hex())
    assert (chain["hole_count"], chain["holes"]) == (1, [(90, 92)])
    assert (chain["quarantine_count"], chain["quarantine_code"]) == (1, "tag")
    assert live["modules"][0]["firmware"] == "0.1.0"
    assert live["outbox"] == {"a": {"waiting": 1, "oldest_utc_ms": 5, "attempts": 0, "quarantined": 1}}
    assert live["cursors"] == {"averaging": 3}
    assert live["records_total"] == head.seq - 1


def test_an_empty_ledger_and_none(bench, tmp_path):
    live = bench.overview().live()
    assert live["modules"][0]["chain"]["seq"] == 0
    assert live["modules"][0]["channels"] == []
    with pytest.raises(StoreError, match="no such ledger"):
        Overview(tmp_path / "none.sqlite", bench.keys.public_key, (), (), bench.clock, 1000)


def test_records_without_their_parameter_set_are_said_so(bench):
    bench.fetch()
    bench.writer._connection.execute("DELETE FROM parameter_part")
    bench.module.measure(2, end_utc_ms=NOW)
    bench.fetch()
    module = bench.overview().live()["modules"][0]
    assert module["has_parameters"] is False
    assert module["channels"] == []
