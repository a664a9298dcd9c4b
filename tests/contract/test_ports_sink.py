"""ports.Sink: MQTT, HTTPS, HJ 212 and the scripted double answer the same questions; then any script at all ends well.

The last test drives the delivery stage with words drawn at random: whatever the other side does, every row is closed or
set aside, nothing takes effect out of order, and nothing that was proven is sent again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.delivery.mqtt_sink import LONGEST_S
from plumeproof.delivery.report import build_report
from plumeproof.errors import BlockedDelivery, DeliveryError, FinalDelivery, RetryableDelivery
from plumeproof.model import NewRow, OutboxRow
from tests.bridge.delivery_bench import Bench
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_delivery_https import sink_for
from tests.bridge.test_delivery_mqtt import mqtt_settings, sink_of
from tests.doubles.hj212_bench import MN, LinkBench, PlatformThread
from tests.doubles.manual_clock import ManualClock
from tests.doubles.scripted_platform import SECRET, Script, ScriptedPlatform, problem
from tests.doubles.scripted_sink import ScriptedSink
from tests.doubles.told_broker import ToldBroker
from tools import test_ca
from tools.eu_platform.receipts import write_private


def report_row(number: int) -> OutboxRow:
    report = build_report("gw-1", [(number, replace(AVERAGE, maximum=4.0))])
    return OutboxRow(number, "sink", "plume-01", "report", report.key, report.body, (), 0, 0)


def envelope_row(number: int) -> OutboxRow:
    return OutboxRow(number, "sink", "plume-01", "envelope", f"envelope/{number}", b"raw", (("seq", "1"),), 0, 0)


class Scripted:
    """`says`: what the other side does with the next row; `took`: how many rows took effect."""

    row = staticmethod(envelope_row)

    def __init__(self, _folder: Path) -> None:
        self.sink = ScriptedSink()

    def says(self, word: str) -> None:
        self.sink.script = [{"again": "retry", "never": "final", "person": "blocked"}.get(word, word)]

    def took(self) -> int:
        return len(self.sink.effects)

    def close(self) -> None:
        self.sink.close()


class Mqtt:
    row = staticmethod(envelope_row)

    def __init__(self, _folder: Path) -> None:
        self.broker = ToldBroker()
        self.sink = sink_of(mqtt_settings(self.broker, None, "root"))(ManualClock())

    def says(self, word: str) -> None:
        self.broker.codes = [{"again": 0x97, "never": 0x99, "person": 0x87}[word]]

    def took(self) -> int:
        return len(self.broker.published)

    def close(self) -> None:
        self.sink.close()
        self.broker.close()


class Https:
    row = staticmethod(report_row)

    def __init__(self, folder: Path) -> None:
        test_ca.make(folder)
        write_private(folder / "secret", SECRET.encode())
        self.platform = ScriptedPlatform(folder / "server.pem", folder / "server.key")
        self.sink = sink_for(self.platform, folder)(ManualClock())

    def says(self, word: str) -> None:
        self.platform.script = [Script(problem({"again": 503, "never": 422, "person": 403}[word]))]

    def took(self) -> int:
        return len(self.platform.effects)

    def close(self) -> None:
        self.sink.close()
        self.platform.close()


class Hj212:
    """A platform that says by 9011 why it takes nothing, as some do; else the one of tools/."""

    @staticmethod
    def row(number: int) -> OutboxRow:
        part = {"qn": f"2026120108000{number:04}", "items": [[["DataTime", "20261201080000"]]]}
        body = json.dumps({"cn": "2061", "parts": [part]}).encode()
        return OutboxRow(number, "bureau", MN, "report", f"2061/{number}", body, (), 0, 0)

    def __init__(self, folder: Path) -> None:
        self.platform = PlatformThread(folder)
        self.link = LinkBench(folder, self.platform.port)
        self.sink = self.link.sink

    def says(self, word: str) -> None:
        self.platform.refuse_next({"again": 100, "never": 2, "person": 3}[word])

    def took(self) -> int:
        return len(self.platform.kept_qns("2061"))

    def close(self) -> None:
        self.link.close()
        self.platform.close()


@pytest.fixture(params=[Scripted, Mqtt, Https, Hj212])
def side(request, tmp_path):
    found = request.param(tmp_path)
    yield found
    found.close()


def test_receipts_are_of_a_prefix_and_say_what_proves_them(side):
    rows = [side.row(number) for number in range(1, 1 + side.sink.window)]
    receipts = side.sink.deliver(rows)
    assert [one.outbox_id for one in receipts] == [row.id for row in rows][: len(receipts)] and receipts
    assert all(isinstance(json.loads(one.proof), dict) for one in receipts)
    assert side.took() == len(receipts)


@pytest.mark.parametrize(
    ("word", "kind"), [("again", RetryableDelivery), ("never", FinalDelivery), ("person", BlockedDelivery)]
)
def test_what_is_not_proven_raises_what_the_caller_does_next(side, word, kind):
    side.says(word)
    with pytest.raises(DeliveryError) as caught:
        side.sink.deliver([side.row(1)])
    assert type(caught.value) is kind
    assert len(side.sink.deliver([side.row(1)])) == 1  # and the sink is as good as before


def test_one_row_cannot_be_divided_below_its_content(side):
    for _, body in side.sink.split(side.row(1)):
        assert len(body) < len(side.row(1).body)


def test_tend_counters_and_close_may_be_asked_at_any_time(side):
    side.sink.tend()
    side.sink.deliver([side.row(1)])
    side.sink.tend()
    counters = side.sink.counters().items()
    assert all(name.endswith(("_total", "_days")) and type(value) is int for name, value in counters)
    side.sink.close()
    side.sink.close()


@given(
    st.lists(st.sampled_from(["ok", "lost", "retry", "blocked", "final", "divide"]), max_size=40),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_script_ends_with_every_row_closed_or_set_aside(tmp_path_factory, script, wanted):
    sink = ScriptedSink()
    bench = Bench(tmp_path_factory.mktemp("any") / "ledger.sqlite", lambda _clock: sink, LONGEST_S)
    rows = [
        NewRow(sink.name, module, "report", f"{number:02}", bytes(range(16 * number, 16 * number + size)))
        for number, (module, size) in enumerate(wanted)
    ]
    bench.add(*rows)
    sink.script = list(script)
    bench.run()
    states = bench.states()
    assert set(states) <= {"closed", "split", "quarantined"}
    assert states.get("closed", 0) == len(bench.proofs())
    closed = {key for key, _ in bench.rows("closed")}
    assert closed <= set(sink.effects)
    if "final" not in script and "divide" not in script:
        for module in "abc":
            keys = [row.key for row in rows if row.module == module]
            assert [key for key in sink.effects if key in keys] == keys
    bench.close()
