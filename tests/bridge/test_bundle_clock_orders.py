"""Clock orders of an HJ 212 platform in a bundle: they travel with their period, and what was done to them shows."""

from __future__ import annotations

import threading

import pytest
import rfc8785

from plumeproof.bundle.clock_orders import order_lines
from plumeproof.clock_order_desk import ClockOrderDesk
from plumeproof.delivery.hj212_orders import ClockOrder
from plumeproof.evidence.clock_order import CLOCK_ORDER_TYPE, ClockOrderEvent, build_clock_order
from plumeproof.gateway_key import GatewayKey
from plumeproof.hj212.commands import Request
from plumeproof.hj212.frame import Check, Policy
from plumeproof.store.clock_orders import SqliteClockOrders, read_clock_orders
from tests.bridge.test_bundle_anchors import codes, contents, export, gateway, sealed_again, second, verify
from tests.doubles.hj212_bench import MN
from tests.doubles.witnessed_gateway import GATEWAY

__all__ = ["gateway"]  # the fixture
ORDERS = "data/clock_orders.jsonl"


@pytest.fixture
def ordered(gateway):
    """Three orders on the last of the gateway's days."""
    desk = ClockOrderDesk(
        GATEWAY, GatewayKey(gateway.key_file), SqliteClockOrders(gateway.writer), gateway.clock, 60_000, None,
        threading.Lock(), lambda kid: b"",
    )  # fmt: skip
    gateway.clock.step(-3600)  # inside the exported days
    request = Request("20261203000000000", "1012", {}, True, Check.HJ212, Policy.STRICT)
    for _ in range(3):
        gateway.clock.advance(11.0)
        desk.take(ClockOrder("bureau", "platform:1", MN, request, 0))
    return gateway


def test_orders_travel_with_their_period(ordered, capsys):
    bundle = export(ordered)
    assert bundle.read_bytes() == export(ordered, "again.zip").read_bytes()
    lines = contents(bundle)[ORDERS].splitlines()
    assert len(lines) == 3 == len(read_clock_orders(ordered.writer.path))
    status, told = verify(ordered, bundle, capsys)
    assert (status, codes(told)) == (0, []) and second(ordered, bundle)[0] == 0
    assert ORDERS not in contents(export(ordered, "before.zip", ["--from", "2026-12-01", "--to", "2026-12-02"]))


def test_what_is_done_to_orders_shows(ordered, capsys):
    members = contents(export(ordered, key=False))
    lines = members[ORDERS].splitlines(keepends=True)
    turned = lines[1].replace(b'"statement":"0', b'"statement":"1')
    for name, altered, sentence in (
        ("gap", lines[0] + lines[2], "does not follow 1"),
        ("order", lines[1] + lines[0] + lines[2], "does not follow 2"),
        ("bit", lines[0] + turned + lines[2], "line 2"),
        ("form", lines[0][:-2] + b" }\n" + lines[1] + lines[2], "another form"),
        ("none", b"{}\n", "is no line of a clock order"),
    ):
        assert altered != members[ORDERS]
        changed = sealed_again(ordered.folder / f"{name}.zip", members | {ORDERS: altered})
        status, told = verify(ordered, changed, capsys)
        assert status == 1 and set(codes(told)) == {("clock_order", None)}, name
        assert sentence in told["findings"][0]["sentence"], told


def test_an_order_that_states_another_record_is_named(ordered, capsys):
    key = GatewayKey(ordered.key_file)
    members = contents(export(ordered, key=False))
    event = ClockOrderEvent(
        GATEWAY, 1, bytes(32), 0, 0, "refused", "bureau", "platform:1", MN, "2" * 17, "hj212", "strict",
        (("plume-01", 2, bytes(32)),),
    )  # fmt: skip
    (line,) = order_lines([key.sign(CLOCK_ORDER_TYPE, build_clock_order(event))])
    changed = sealed_again(ordered.folder / "other.zip", members | {ORDERS: rfc8785.dumps(line) + b"\n"})
    status, told = verify(ordered, changed, capsys)
    assert status == 1 and codes(told) == [("anchor", "plume-01")]
