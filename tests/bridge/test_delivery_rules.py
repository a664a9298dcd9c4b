"""The pure rules of delivery: reports, waits, decisions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.delivery import outbox, retry
from plumeproof.delivery.profile import load_profile
from plumeproof.delivery.report import (
    AVERAGE_FIELDS,
    PLAIN,
    REPORT_FIELDS,
    ReportShape,
    build_average,
    build_report,
    identify,
    split_report,
)
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import Average, OutboxRow

NOW_UTC_MS = 1_767_312_000_000  # 2026-01-02T00:00:00Z
AVERAGE = Average(
    device="plume-01", channel="gas.so2", quantity="SO2", unit="mg/m3", interval_s=60, start_utc_ms=NOW_UTC_MS,
    n_expected=60, n_valid=58, n_invalid=(("crc", 1), ("timeout", 1)), mean=42.25, minimum=40.0, maximum=44.5,
    deviation=0.125, first_seq=7, last_seq=9, head_hash=bytes(range(32)), parameters_hash=bytes(32), rule="plain_utc",
    rule_version="1", order="lanes20-v1", revision=0, reason="first",
)  # fmt: skip
OTHER = ReportShape(
    {name: name.upper() for name in REPORT_FIELDS}, {name: f"x_{name}" for name in AVERAGE_FIELDS}
)  # a platform with its own words


def numbered(*ids: int) -> list[tuple[int, Average]]:
    return [(one, replace(AVERAGE, channel=f"c{one}")) for one in ids]


# Reports


def test_the_body_of_a_report_is_what_the_agreement_says():
    report = build_report("gw-1", [(41, AVERAGE)])
    assert report.body == json.dumps(json.loads(report.body), sort_keys=True, separators=(",", ":")).encode()
    assert json.loads(report.body) == {
        "schema": "plumeproof-report/1",
        "gateway": "gw-1",
        "module": "plume-01",
        "interval_s": 60,
        "averages": [
            {
                "id": 41, "channel": "gas.so2", "quantity": "SO2", "unit": "mg/m3", "start": "2026-01-02T00:00:00Z",
                "end": "2026-01-02T00:01:00Z", "revision": 0, "reason": "first", "expected": 60, "valid": 58,
                "invalid": {"crc": 1, "timeout": 1}, "mean": 42.25, "minimum": 40, "maximum": 44.5, "deviation": 0.125,
                "firstSeq": 7, "lastSeq": 9, "headHash": bytes(range(32)).hex(), "parametersHash": "00" * 32,
                "rule": "plain_utc", "ruleVersion": "1", "summation": "lanes20-v1",
            }
        ],
    }  # fmt: skip


def test_the_key_names_owner_first_last_and_bytes():
    report = build_report("gw-1", numbered(3, 5, 8))
    text = f"gw-1/plume-01\n3\n8\n{hashlib.sha256(report.body).hexdigest()}"
    assert report.key == hashlib.sha256(text.encode()).hexdigest()
    keys = {
        build_report(gateway, numbered(*ids)).key
        for gateway, ids in (("gw-1", (3, 5, 8)), ("gw-2", (3, 5, 8)), ("gw-1", (3, 6, 8)), ("gw-1", (3, 8)))
    }
    assert len(keys) == 4


def test_values_that_do_not_exist_are_null():
    empty = replace(AVERAGE, n_valid=0, mean=None, minimum=None, maximum=float("inf"), deviation=float("nan"))
    content = json.loads(build_report("gw-1", [(1, empty)]).body)["averages"][0]
    assert [content[name] for name in ("mean", "minimum", "maximum", "deviation")] == [None] * 4


@given(st.integers(1, 40), st.sampled_from([PLAIN, OTHER]))
def test_a_report_divides_down_to_single_averages(count, shape):
    """Every average once, in order; nothing but averages, ids and key differs."""
    waiting, single = [build_report("gw-1", numbered(*range(1, count + 1)), shape)], []
    while waiting:
        report = waiting.pop(0)
        halves = split_report(report.body, shape)
        waiting = [*halves, *waiting]
        if not halves:
            single.append(report)
    assert [identify(one.body, shape).first_id for one in single] == list(range(1, count + 1))
    assert all(identify(one.body, shape).average_count == 1 for one in single)
    for at, one in enumerate(single, 1):
        assert (one.key, one.body) == (lambda r: (r.key, r.body))(build_report("gw-1", numbered(at), shape))


def test_one_average_for_a_topic():
    content = json.loads(build_average("gw-1", 41, AVERAGE))
    assert (content["gateway"], content["module"], content["interval_s"], content["id"]) == ("gw-1", "plume-01", 60, 41)
    assert set(content) == {*AVERAGE_FIELDS, "gateway", "module", "interval_s"}


def test_the_shipped_profile_uses_the_names_of_the_agreement():
    profile = load_profile("eu-carbon-cloud")
    assert (profile.status, profile.shape) == ("provisional", PLAIN)


# Waits


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.sampled_from([60.0, 900.0]))
def test_a_wait_is_between_a_second_and_its_cap(failures, dice, longest_s):
    wait_s = retry.backoff_s(failures, dice, longest_s)
    assert 1.0 <= wait_s <= min(longest_s, max(2.0, 2.0 ** min(failures, 40)))


@given(st.integers(1, 100), st.floats(0, 0.999))
def test_waits_grow_with_failures_and_reach_a_quarter_of_an_hour(failures, dice):
    assert retry.backoff_s(failures, dice) <= retry.backoff_s(failures + 1, dice)
    assert retry.backoff_s(40, 0.999999999) == pytest.approx(900.0)


def test_jitter_is_full():
    """Over the whole span, not about its end: many gateways must not knock together."""
    waits = [retry.backoff_s(20, step / 100) for step in range(100)]
    assert sum(wait < 450 for wait in waits) == 50


@given(st.integers(0, 10**12))
def test_retry_after_in_seconds_is_obeyed_and_capped(seconds):
    assert retry.parse_retry_after(str(seconds), NOW_UTC_MS) == min(seconds, 86_400)


@given(st.integers(-(10**7), 10**7))
def test_retry_after_as_a_date_is_obeyed_and_capped(seconds):
    date = format_datetime(datetime.fromtimestamp(NOW_UTC_MS / 1000 + seconds, UTC), usegmt=True)
    assert retry.parse_retry_after(date, NOW_UTC_MS) == min(max(seconds, 0), 86_400)


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "soon", "-5", "1.5", "1e9", "\u0663", "9" * 65, "Fri, 99 Xxx 2026 99:99:99 GMT", "Fri", "0x10"],
)
def test_retry_after_that_says_nothing(value):
    assert retry.parse_retry_after(value, NOW_UTC_MS) is None


@given(st.text(max_size=80))
def test_any_retry_after_is_harmless(value):
    found = retry.parse_retry_after(value, NOW_UTC_MS)
    assert found is None or 0 <= found <= 86_400


# Decisions


def row(module: str = "a", number: int = 1, attempts: int = 0) -> OutboxRow:
    return OutboxRow(number, "eu", module, "report", f"k{number}", b"{}", (), attempts, 0)


def test_modules_take_turns_and_a_window_is_of_one_module():
    rows = [row(module, 10 * index + number) for index, module in enumerate("abc") for number in range(4)]
    for last, order in (("", "abc"), ("a", "bca"), ("b", "cab"), ("bb", "cab"), ("c", "abc"), ("z", "abc")):
        windows = outbox.take_turns(rows, last)
        assert [window[0].module for window in windows] == list(order)
        for window in windows:
            assert window == [one for one in rows if one.module == window[0].module]
    assert outbox.take_turns([], "a") == []


@given(st.integers(1, 50), st.integers(0, 50), st.one_of(st.none(), st.floats(0, 10**9)))
def test_a_retryable_error_defers_and_obeys_the_other_side(failures, attempts, asked_s):
    decision = outbox.decide(
        RetryableDelivery("503", asked_s), row(attempts=attempts), failures, iter([0.3, 0.7]).__next__
    )
    assert decision.action == outbox.DEFER
    assert 1.0 <= decision.rest_s <= decision.row_wait_s <= 86_400
    assert decision.rest_s >= min(asked_s or 0.0, 86_400)


def test_a_poisoned_row_waits_longer_than_the_sink_rests():
    """Its own attempts, not those of the others, decide when it comes again."""
    decision = outbox.decide(RetryableDelivery("409"), row(attempts=30), 1, lambda: 0.5)
    assert decision.rest_s <= 2.0
    assert decision.row_wait_s > 400


def test_final_errors_split_or_leave_and_blocked_ones_stay():
    dice = iter(()).__next__  # no wait of these is by chance
    assert outbox.decide(FinalDelivery("422", can_split=True), row(), 1, dice).action == outbox.SPLIT
    assert outbox.decide(FinalDelivery("0x90"), row(), 1, dice).action == outbox.QUARANTINE
    blocked = outbox.decide(BlockedDelivery("403"), row(), 1, dice)
    assert (blocked.action, blocked.row_wait_s, blocked.rest_s) == (outbox.KEEP, 0.0, outbox.BLOCKED_S)


def test_a_reason_is_one_bounded_line():
    decision = outbox.decide(RetryableDelivery("a\nb\r\n" + "x" * 1000), row(), 1, lambda: 0.0)
    assert decision.reason.startswith("a b x") and len(decision.reason) == outbox.REASON_MAX_CHARACTERS
