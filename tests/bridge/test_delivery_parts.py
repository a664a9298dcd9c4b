"""From a configuration to sinks and feeds: what Sparkplug knows at a birth, and that each form has its own cursor."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from plumeproof.config import parse_config
from plumeproof.delivery.sparkplug_sink import SparkplugSink
from plumeproof.delivery_parts import StoredModules, build_relay, build_sinks
from plumeproof.model import AveragingStep
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_config import uncommented_sample
from tests.doubles.manual_clock import ManualClock

EMPTY = AveragingStep(position=1, states=(), spans=(), skipped=(), resumed=(), averages=())


def config_with(tmp_path: Path, content: str):
    text = re.sub(r"(?m)^content = .*$", f"content = {content}", uncommented_sample())
    text = text[: text.index("[[sink.https]]")].replace("[anchors]", "[anchors]\n#", 1)
    text = re.sub(r"(?ms)^\[anchors\].*?(?=^\[)", "", text)
    return parse_config(re.sub(r"(?ms)^\[\[plant\]\].*?(?=^\[)", "", text), tmp_path / "bridge.toml")


@pytest.fixture
def parts(tmp_path):
    writer, clock = Writer(tmp_path / "ledger.sqlite"), ManualClock()
    yield writer, clock, SqliteAverages(writer, clock), SqliteOutbox(writer, clock)
    writer.close()


def commit(averages: SqliteAverages, *rows) -> None:
    averages.commit(replace(EMPTY, averages=rows))


def test_the_newest_of_each_length(parts):
    _, _, averages, _ = parts
    assert averages.newest_starts("plume-01") == []
    start = AVERAGE.start_utc_ms
    finite = replace(AVERAGE, maximum=4.0)
    for minute in range(5):
        commit(averages, *(replace(finite, start_utc_ms=start + 60_000 * minute, channel=c) for c in ("co", "o2")))
    commit(averages, replace(finite, interval_s=3600), replace(finite, device="plume-02", interval_s=600))
    commit(averages, replace(finite, start_utc_ms=start + 240_000, mean=9.0))
    assert averages.newest_starts("plume-01") == [(60, start + 240_000), (3600, start)]
    assert averages.newest_starts("plume-02") == [(600, start)]


def test_a_sink_for_sparkplug_knows_its_modules(tmp_path, parts):
    _, clock, averages, outbox = parts
    commit(averages, replace(AVERAGE, maximum=4.0), replace(AVERAGE, maximum=4.0, interval_s=3600, mean=None))
    commit(averages, replace(AVERAGE, maximum=4.0, mean=9.0))  # a revision
    config = config_with(tmp_path, '["sparkplug"]')
    modules = StoredModules(config, averages, lambda module: module == "plume-01")
    found = list(modules.newest())
    assert [(device, one["interval_s"], one["mean"]) for device, one in found] == [
        ("plume-01", 60, 9), ("plume-01", 3600, None),
    ]  # fmt: skip
    assert modules.is_reached("plume-01") and not modules.is_reached("plume-02")
    ((name, stage),) = build_sinks(config, outbox, clock, averages, lambda _module: True)
    assert name == "plant-broker" and isinstance(stage._sink, SparkplugSink)


def test_each_form_of_an_average_is_queued_once(tmp_path, parts):
    writer, clock, averages, outbox = parts
    config = config_with(tmp_path, '["average", "senml"]')
    relay = build_relay(config, SqliteLedger(writer, clock), averages, outbox, clock)
    relay.begin()
    commit(averages, replace(AVERAGE, maximum=4.0))
    while relay.step() is not None:
        pass
    rows = outbox.due("plant-broker", clock.utc_ms(), 10)
    assert sorted((row.key, dict(row.attributes).get("view")) for row in rows) == [
        ("average/1", None),
        ("senml/1", "senml"),
    ]
    assert {row.kind for row in rows} == {"average"}
    assert json.loads(next(row.body for row in rows if row.key == "senml/1"))[0]["bn"] == "gateway-01/plume-01/co/60/"
    assert relay.step() is None
