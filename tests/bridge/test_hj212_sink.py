"""The HJ 212 sink over real TCP, against the platform of tools/: what is queued arrives once, whatever happens.

The platform has a parser of its own; it keeps each message once and notices a resend that is another packet.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.clock_order_desk import ClockOrderDesk
from plumeproof.delivery import hj212_memory as memory_of
from plumeproof.delivery.hj212_memory import STRETCH_MS, LinkMemory, QnSource
from plumeproof.delivery.hj212_orders import ClockOrder
from plumeproof.errors import BlockedDelivery, EnvelopeError, RetryableDelivery, StoreError
from plumeproof.evidence.clock_order import find_break, parse_clock_order
from plumeproof.gateway_key import create_gateway_key
from plumeproof.hj212.commands import COMMANDS, read_request
from plumeproof.hj212.frame import Check, FrameSplitter, Policy
from plumeproof.hj212.messages import Identity, build_part, cut
from plumeproof.hj212.numbers import parse_time, to_time
from plumeproof.hj212.packet import CP_MAX, Packet, parse_data
from plumeproof.hj212_equipment import Equipment
from plumeproof.rules.channel_source import Source
from plumeproof.store.clock_orders import SqliteClockOrders, read_clock_orders
from tests.doubles.hj212_bench import (
    FLOW,
    HOUR_MS,
    MIDNIGHT_MS,
    MN,
    NOX,
    O2,
    PLAN,
    PW,
    WAIT_S,
    LinkBench,
    PlatformThread,
)  # fmt: skip
from tests.doubles.manual_clock import ManualClock

HOURS = [MIDNIGHT_MS + hour * HOUR_MS for hour in range(24)]
WIDE = replace(  # a message of two parts
    PLAN, entries=(*PLAN.entries, *(replace(NOX, code=f"a24{number:03}", measurand="") for number in range(12)))
)


@pytest.fixture
def platform(tmp_path):
    found = PlatformThread(tmp_path)
    yield found
    found.close()


@pytest.fixture
def link(tmp_path, platform):
    found = LinkBench(tmp_path, platform.port)
    yield found
    found.close()


def test_hours_arrive_in_order_and_close_by_their_answers(link, platform):
    link.average(3600, *HOURS[:3])
    link.queue()
    link.deliver()
    assert [time for time, _, _ in platform.kept("2061")] == ["20261201000000", "20261201010000", "20261201020000"]
    message = platform.of("2061")[0]
    assert dict(message.head)["Flag"] == "5" and message.checksum == "hj212"
    fields = [name for item in message.items for name, _ in item]
    assert fields[:6] == ["DataTime", "a21002-Cou", "a21002-Min", "a21002-Avg", "a21002-Max", "a21002-Flag"]
    assert message.value("a21002-Avg") == "38.2" and message.value("a00000-Cou") == "38.2"  # 38.25 half to even
    with link.writer.reading() as connection:
        proof = json.loads(connection.execute("SELECT proof FROM receipt LIMIT 1").get)
        body = connection.execute("SELECT body FROM outbox LIMIT 1").get
    assert proof["answers"][0] | {"qn": ""} == {"qn": "", "cn": "9014", "crc": "hj212", "policy": "strict"}
    assert PW.encode() not in body and b"plume-01/nox/3600s/" in body


@pytest.mark.parametrize("fault", ["no-answer:count=3", "late-answer:count=2:ms=220", "other-qn:count=3"])
def test_what_is_not_answered_goes_again_under_its_qn(link, platform, fault):
    platform.fault(fault)
    link.average(3600, HOURS[0])
    link.queue()
    link.deliver()
    copies = platform.of("2061")
    assert len(copies) > 1 and len({message.of("QN") for message in copies}) == 1
    assert len(platform.kept("2061")) == 1 and platform.differing() == 0


FAULTS = ["garbage", "split-bytes", "answer-twice", "wrong-crc:count=1", "cut-sending:count=1", "cut-receiving:count=1"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_is_bad(tmp_path, platform, fault):
    link = LinkBench(tmp_path, platform.port, WIDE)
    platform.fault(fault)
    link.average(3600, *HOURS[:2])
    link.queue()
    link.deliver()
    kept = platform.kept("2061")
    assert [(data_time, part) for data_time, part, _ in kept] == [
        ("20261201000000", 1), ("20261201000000", 2), ("20261201010000", 1), ("20261201010000", 2)
    ]  # fmt: skip
    assert platform.differing() == 0 and len({qn for _, _, qn in kept}) == 4
    link.close()


def test_a_platform_that_never_answers_keeps_the_rows_and_is_not_flooded(link, platform):
    platform.fault("no-answer")
    link.average(3600, HOURS[0])
    link.queue()
    with pytest.raises(RetryableDelivery, match="no answer to CN 2061 in 2 tries of 0.15 s; the link is down"):
        link.stage.step()
    assert link.waiting() == 1 and not link.sink._line.is_open and len(platform.of("2061")) == 2
    platform.plan.switch_off("all")
    link.clock.advance(60.0)
    link.deliver()
    assert len(platform.kept("2061")) == 1


@pytest.mark.parametrize("packets", [0, 1, 2, 4, 6])
def test_killed_between_any_two_packets(tmp_path, platform, packets):
    """Nothing is lost, and nothing is there twice under another QN, wherever the kill falls."""
    folder = tmp_path
    link = LinkBench(folder, platform.port, WIDE)
    link.average(3600, *HOURS[:3])
    link.queue()
    send, left = link.sink._line.send, [packets]

    def dying(raw):
        if not left[0]:
            raise SystemExit  # goes through everything, as a kill does
        left[0] -= 1
        send(raw)

    link.sink._line.send = dying
    try:
        link.deliver()
    except SystemExit:
        link.kill()
        link.clock.advance(1.0)
        link.open()
    link.queue()
    link.deliver()
    kept = platform.kept("2061")
    assert len(kept) == 6 and len({qn for _, _, qn in kept}) == 6 and platform.differing() == 0
    assert len({message.of("QN") for message in platform.of("2061")}) == 6
    link.close()


def test_the_platform_is_away_for_a_while(link, platform):
    link.average(3600, HOURS[0])
    link.queue()
    platform.stop()
    with pytest.raises(RetryableDelivery, match="refused; check host, port and firewall"):
        link.stage.step()
    link.average(3600, HOURS[1])
    link.queue()
    platform.start()
    link.clock.advance(60.0)
    link.deliver()
    assert len(platform.kept("2061")) == 2 and len(platform.of("2081")) == 1


def test_two_platforms_each_with_its_own_pace(tmp_path, platform):
    (tmp_path / "other").mkdir()
    other = PlatformThread(tmp_path / "other")
    links = [LinkBench(tmp_path, platform.port, name="city"), LinkBench(tmp_path, other.port, name="province")]
    other.fault("no-answer")
    for link in links:
        link.average(3600, *HOURS[:2])
        link.queue()
    links[0].deliver()
    with pytest.raises(RetryableDelivery):
        links[1].stage.step()
    assert len(platform.kept("2061")) == 2 and links[1].waiting() == 2
    other.plan.switch_off("all")
    links[1].clock.advance(60.0)
    links[1].deliver()
    assert len(other.kept("2061")) == 2
    for one in (*links, other):
        one.close()


# What the platform asks.


def test_settings_that_survive_a_restart(link, platform):
    link.step()
    for cn, area in (
        ("1000", "OverTime=7;ReCount=4"),
        ("1062", "RtdInterval=90"),
        ("1064", "MinInterval=1"),
        ("2011", ""),
    ):
        assert platform.ask(cn, area, link.step) == "done"
    link.kill()
    link.open()
    link.step()
    assert platform.ask("1061", "", link.step) == platform.ask("1063", "", link.step) == "done"
    assert platform.of("1061")[-1].value("RtdInterval") == "90"
    assert platform.of("1063")[-1].value("MinInterval") == "1"
    memory = LinkMemory(link.outbox, link.name, {})
    names = (memory_of.OVER_TIME, memory_of.TRIES, memory_of.IS_REAL_TIME)
    assert [memory.get(name) for name in names] == [7, 4, 1]


REFUSED = [
    ("1062", "RtdInterval=29", {}, "refused: QnRtn 2 refused"),
    ("1000", "OverTime=5", {}, "refused: QnRtn 2 refused"),
    ("1064", "MinInterval=5", {}, "failed: ExeRtn 3 condition"),  # is not averaged
    ("1064", "MinInterval=7", {}, "refused: QnRtn 2 refused"),
    ("1061", "", {"PW": "000000"}, "refused: QnRtn 3 password"),
    ("1061", "", {"MN": "1" * 24}, "refused: QnRtn 4 MN"),
    ("1061", "", {"ST": "32"}, "refused: QnRtn 5 ST"),
    ("1061", "", {"Flag": "9"}, "refused: QnRtn 6 Flag"),
    ("4711", "", {}, "refused: QnRtn 8 CN"),
    ("1011", "PolId=a21002", {}, "refused: QnRtn 2 refused"),
    ("1012", "SystemTime=20261201250000", {}, "failed: ExeRtn 3 condition"),
    ("2061", "BeginTime=20261201010000;EndTime=20261201000000", {}, "failed: ExeRtn 3 condition"),
    ("2061", "BeginTime=20200101000000;EndTime=20261201000000", {}, "failed: ExeRtn 3 condition"),
    ("2061", "BeginTime=20261201000000;EndTime=20261201050000", {}, "failed: ExeRtn 100 no data"),
    ("2041", "BeginTime=20261201000000;EndTime=20261201050000", {}, "refused: QnRtn 2 refused"),
    *((f"30{number}", "PolId=a21002;InfoId=i11001", {}, "refused: QnRtn 2 refused") for number in range(11, 22)),
]


def test_what_is_refused_and_by_which_code(link, platform):
    link.step()
    told = [(cn, area, head, platform.ask(cn, area, link.step, **head)) for cn, area, head, _ in REFUSED]
    assert told == REFUSED


def test_a_platform_that_asks_without_end_fills_no_log(link, caplog):
    identity = Identity(MN, "31", PW)
    for _ in range(500):
        link.sink._orders.take(packet_of("4711", ""), identity, lambda raw: None)
    assert len(caplog.records) == 1 and link.sink.counters()["requests_refused_total"] == 500
    link.clock.advance(1.0)
    link.sink._orders.take(packet_of("4711", ""), identity, lambda raw: None)
    assert len(caplog.records) == 2


def test_every_command_of_the_reference_has_a_grammar():
    listed = {"1000", "1011", "1012", "1061", "1062", "1063", "1064", "1072", "2011", "2012", "2021", "2022", "2031"}
    listed |= {"2041", "2051", "2061", *(f"30{number}" for number in range(11, 22)), "9015", "9021"}
    assert set(COMMANDS) == listed


@pytest.mark.parametrize("separator", [";", ","])
def test_history_on_request(link, platform, separator):
    link.average(3600, *HOURS[:2], HOURS[4])
    link.step()
    area = f"BeginTime=20261201000000{separator}EndTime=20261201040000"
    assert platform.ask("2061", area, link.step) == "done"
    told = platform.of("2061")
    assert [message.value("DataTime")[8:10] for message in told] == ["00", "01", "04"]  # what is not there is not sent
    assert len({message.of("QN") for message in told}) == 3 and all(message.wants_answer for message in told)
    result = platform.of("9012")[0]
    assert result.of("QN") == platform.of("9011")[0].of("QN") not in {message.of("QN") for message in told}


def test_a_request_that_comes_again_is_answered_again_and_done_once(link):
    link.average(3600, HOURS[0])
    packet = packet_of("2061", "BeginTime=20261201000000;EndTime=20261201000000")
    sent, orders, identity = [], link.sink._orders, Identity(MN, "31", PW)
    for _ in range(2):
        orders.take(packet, identity, sent.append)
        while orders.is_working:
            orders.work(identity, lambda upload: None, sent.append, time.monotonic())
    answers = [parse_data(frame.data, frame.check, frame.policy) for raw in sent for frame in FrameSplitter().feed(raw)]
    assert [answer.of_head("CN") for answer in answers] == ["9011", "9012", "9011", "9012"]
    assert orders.counters["history_total"] == 1
    # Some platforms use one QN for several requests.
    for interval in ("60", "90"):
        orders.take(packet_of("1062", f"RtdInterval={interval}"), identity, sent.append)
    orders.take(packet_of("1061", ""), identity, sent.append)
    assert b"RtdInterval=90" in sent[-2]


def packet_of(cn: str, area: str) -> Packet:
    data = f"QN=20261201060000001;ST=31;CN={cn};PW={PW};MN={MN};Flag=5;CP=&&{area}&&".encode()
    return parse_data(data, Check.HJ212, Policy.STRICT)


def test_real_time_is_the_present_and_not_queued(link, platform):
    link.step()
    assert platform.ask("2011", "", link.step) == "done"
    link.clock.step((MIDNIGHT_MS - link.clock.utc_ms()) / 1000 + 130)
    link.average(60, MIDNIGHT_MS, MIDNIGHT_MS + 60_000)
    for _ in range(3):
        link.step()
        link.clock.advance(61.0)
    wait_until(lambda: platform.of("2011"))
    message = platform.of("2011")[0]
    assert (message.value("DataTime"), message.value("a21002-Rtd")) == ("20261201000100", "38.2")
    assert dict(message.head)["Flag"] == "4" and link.waiting() == 0
    assert len(platform.of("2011")) == 1  # the same minute is not sent as a new one
    assert platform.ask("2012", "", link.step) == "done"
    link.average(60, MIDNIGHT_MS + 120_000)
    link.step()
    assert len(platform.of("2011")) == 1


def test_equipment_that_a_channel_shows(tmp_path, platform):
    fan = Equipment("DA001", 1, Source("plume-01", "fan"), "mg/m3", 5.0)
    pump = Equipment("DA001", 2, Source("plume-01", "pump"), "mg/m3", 100.0)
    extra = tuple(replace(NOX, code=one.source.channel, source=one.source, measurand="") for one in (fan, pump))
    link = LinkBench(tmp_path, platform.port, replace(PLAN, entries=(*PLAN.entries, *extra), equipment=(fan, pump)))
    link.step()
    link.average(60, *(MIDNIGHT_MS + minute * 60_000 for minute in range(90)))
    link.clock.step((MIDNIGHT_MS + 91 * 60_000 - link.clock.utc_ms()) / 1000)
    assert platform.ask("2021", "", link.step) == "done"
    link.step()
    wait_until(lambda: platform.of("2021"))
    told = platform.of("2021")[0]
    assert [told.value(name) for name in ("DataTime", "SB1-RS", "SB2-RS")] == ["20261201012900", "1", "0"]
    assert platform.ask("2022", "", link.step) == "done"
    area = "BeginTime=20261201000000;EndTime=20261202000000"
    assert platform.ask("2041", area, link.step) == "failed: ExeRtn 100 no data"  # the day is not over
    link.clock.advance(86_400.0)
    assert platform.ask("2041", area, link.step) == "done"
    (told,) = platform.of("2041")
    assert [told.value(name) for name in ("DataTime", "SB1-RT", "SB2-RT")] == ["20261201000000", "1.50", "0.00"]
    link.close()


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.005)


def test_what_the_platform_refuses_of_the_present_costs_no_row(tmp_path, platform):
    link = LinkBench(tmp_path, platform.port, real_time_answer=True)
    link.step()
    assert platform.ask("2011", "", link.step) == "done"
    link.clock.step((MIDNIGHT_MS - link.clock.utc_ms()) / 1000 + 3700)
    link.average(60, MIDNIGHT_MS + 3_600_000)
    link.average(3600, HOURS[0])
    link.queue()
    platform.refuse_next(2, "2011")
    link.deliver()
    counters = link.stage.counters()
    assert (counters["real_time_refused_total"], counters["quarantined_total"]) == (1, 0)
    assert len(platform.kept("2061")) == 1 and len(platform.of("2011")) == 1
    link.close()


def test_history_that_the_platform_does_not_take_ends(link, platform):
    link.average(3600, *HOURS[:3])
    link.step()
    platform.refuse_next(2, "2061")
    asked = platform.ask("2061", "BeginTime=20261201000000;EndTime=20261201020000", link.step)
    assert asked == "failed: ExeRtn 2 unknown" and len(platform.of("2061")) == 1


def test_numbers_that_no_packet_has_room_for(link):
    link.average(3600, HOURS[0], mean=1e300, maximum=1e300)
    assert link.station.message("hour", HOURS[0], 3600).items[1] == {"a21002-Min": "35.0", "a21002-Flag": "N"}


def test_a_password_from_the_platform(link, platform, tmp_path):
    link.step()
    assert platform.ask("1072", "NewPW=654321", link.step) == "done"
    assert (tmp_path / "secret").read_text() == "654321\n" and (tmp_path / "secret").stat().st_mode & 0o77 == 0
    assert platform.ask("1061", "", link.step, PW="123456") == "refused: QnRtn 3 password"
    assert platform.ask("1061", "", link.step, PW="654321") == "done"


def test_a_secret_that_is_none_blocks_until_it_is_mended(link, tmp_path, platform):
    (tmp_path / "secret").write_text("far too long a password")  # its mode stays
    with pytest.raises(BlockedDelivery, match="is no password of HJ 212"):
        link.sink.tend()
    (tmp_path / "secret").write_text(PW)
    link.sink.tend()


@pytest.mark.parametrize(("policy", "result"), [(Policy.STRICT, "no answer"), (Policy.MODBUS, "done")])
def test_what_the_policy_let_in_is_visible(tmp_path, platform, policy, result):
    link = LinkBench(tmp_path, platform.port, policy=policy)
    link.key, _ = create_gateway_key(tmp_path / "gateway.key", "gw-1")
    link.open()
    link.step()
    platform.fault("modbus-crc:cn=1012")
    platform.platform.manners = replace(platform.platform.manners, over_time_s=0.3)
    now = to_time(link.clock.utc_ms(), 480)
    # A strict link says 9011 with QnRtn 9 where the packet can be read at all.
    told = platform.ask("1012", f"SystemTime={now}", link.step)
    assert told == ("done" if policy is Policy.MODBUS else "refused: QnRtn 9 CRC")
    orders = [parse_clock_order(raw, lambda _: link.key.public_key)[0] for raw in read_clock_orders(link.writer.path)]
    assert [(one.check, one.policy) for one in orders] == ([("modbus", str(policy))] if result == "done" else [])
    assert link.sink.counters()["packets_by_policy_total"] == (1 if policy is Policy.MODBUS else 0)
    link.close()


def test_login_heartbeat_and_the_question_for_the_time(tmp_path, platform):
    """What some platforms want on each connection; the platform answers 1013 by its own 1012."""
    link = LinkBench(tmp_path, platform.port, login=True, heartbeat_s=60.0, ask_time=True)
    platform.fault("no-answer:cn=9013:count=2")
    with pytest.raises(RetryableDelivery, match="no answer to CN 9021"):
        link.stage.step()
    link.clock.advance(60.0)
    for _ in range(3):
        link.step()
        link.clock.advance(61.0)
    wait_until(lambda: len(platform.of("9015")) == 3 and platform.of("1013"))
    wait_until(lambda: link.step() or link.sink.counters()["requests_total"])
    assert len(platform.of("9021")) == 3 and len(platform.of("2081")) == 1
    assert link.sink.counters()["answers_unmatched_total"] == 0
    assert [message.value("ExeRtn") for message in platform.of("9012")] in ([], ["3"])  # no key to sign with
    link.close()


# The clock.


def orders_of(link):
    parsed = [parse_clock_order(raw, lambda _: link.key.public_key) for raw in read_clock_orders(link.writer.path)]
    assert find_break(parsed) is None
    return [event for event, _ in parsed]


def ordered(link, platform, seconds):
    link.clock.advance(11.0)
    wanted = to_time(link.clock.utc_ms() + seconds * 1000, 480)
    return platform.ask("1012", f"SystemTime={wanted}", link.step)


def test_an_order_to_set_the_clock_is_evidence_and_sets_nothing(link, platform, tmp_path):
    link.step()
    assert ordered(link, platform, 0) == "failed: ExeRtn 3 condition"  # no key: nothing that could be signed
    link.key, _ = create_gateway_key(tmp_path / "gateway.key", "gw-1")
    link.average(3600, HOURS[0])
    before = link.averages.newest("plume-01", 3600, HOURS[0])
    link.open()
    link.step()
    assert ordered(link, platform, 3) == "done"  # within the tolerance: right already
    assert ordered(link, platform, 600) == "failed: ExeRtn 3 condition"
    first, second = orders_of(link)
    assert [one.outcome for one in (first, second)] == ["within", "refused"]
    assert second.new_utc_ms - second.old_utc_ms in range(599_000, 600_001)
    assert (second.link, second.mn, second.platform) == ("bureau", MN, f"127.0.0.1:{platform.port}")
    assert link.averages.newest("plume-01", 3600, HOURS[0]) == before
    assert platform.ask("1012", "SystemTime=20261201060000", link.step) == "failed: ExeRtn 5 busy"


def test_the_clock_is_set_where_it_is_configured_behind_the_evidence(link, platform, tmp_path):
    link.key, _ = create_gateway_key(tmp_path / "gateway.key", "gw-1")
    done = []

    def set_clock(utc_ms):
        done.append((utc_ms, [one.outcome for one in orders_of(link)]))
        if len(done) > 1:
            raise PermissionError(1, "Operation not permitted")

    link.set_clock = set_clock
    link.open()
    link.step()
    assert ordered(link, platform, 600) == "done"
    assert ordered(link, platform, 1200) == "failed: ExeRtn 6 fault"
    assert [known for _, known in done] == [["set"], ["set", "set"]]  # signed before it was done
    assert [one.outcome for one in orders_of(link)] == ["set", "set", "failed"]
    assert done[0][0] == orders_of(link)[0].new_utc_ms


def test_a_clock_order_that_was_changed_or_taken_out_is_found(link, tmp_path):
    key, _ = create_gateway_key(tmp_path / "gateway.key", "gw-1")
    store = SqliteClockOrders(link.writer)
    desk = ClockOrderDesk("gw-1", key, store, link.clock, 60_000, None, threading.Lock(), lambda kid: b"")
    request = read_request(packet_of("1012", "SystemTime=20261201060000"), Identity(MN, "31", PW))
    order = ClockOrder("bureau", "p:1", MN, request, MIDNIGHT_MS)
    for _ in range(3):
        link.clock.advance(11.0)
        desk.take(order)
    raws = read_clock_orders(link.writer.path)
    events = [parse_clock_order(raw, lambda _: key.public_key) for raw in raws]
    assert find_break(events) is None and find_break(events[:1] + events[2:]) is not None
    assert find_break(events[1:]) is not None
    for at in range(0, len(raws[0]), 7):
        changed = raws[0][:at] + bytes([raws[0][at] ^ 1]) + raws[0][at + 1 :]
        with pytest.raises(EnvelopeError):
            parse_clock_order(changed, lambda _: key.public_key)


# Small parts.


@given(st.lists(st.integers(-5_000, 5_000), max_size=40), st.integers(0, 39))
@settings(deadline=None, max_examples=50)
def test_no_qn_comes_twice_whatever_clock_and_restarts_do(tmp_path_factory, steps_ms, restart_at):
    clock, memory = ManualClock(MIDNIGHT_MS), _Memory()
    numbers, seen = QnSource(clock, 480, memory), []
    for at, step_ms in enumerate(steps_ms):
        if at == restart_at:
            numbers = QnSource(clock, 480, memory)
        clock.step(step_ms / 1000)
        seen.append(numbers.next())
    assert seen == sorted(set(seen)) and all(len(qn) == 17 for qn in seen)
    assert not seen or parse_time(seen[-1], 480) <= MIDNIGHT_MS + 5_000 * len(seen) + STRETCH_MS


class _Memory:
    def __init__(self):
        self.value = 0

    def get(self, _name):
        return self.value

    def set(self, _name, value):
        self.value = value


def test_a_qn_whose_stretch_cannot_be_written_is_not_given_out():
    class Full(_Memory):
        def set(self, _name, value):
            raise StoreError("disk full")

    with pytest.raises(StoreError):
        QnSource(ManualClock(MIDNIGHT_MS), 480, Full()).next()


@given(st.integers(0, 4_102_444_800_000), st.sampled_from([0, 480, -720, 60]))
def test_times_there_and_back(utc_ms, offset_min):
    assert parse_time(to_time(utc_ms, offset_min, 17), offset_min) == utc_ms
    assert parse_time(to_time(utc_ms, offset_min), offset_min) == utc_ms // 1000 * 1000


@given(st.lists(st.integers(1, 90), min_size=0, max_size=60), st.integers(14, 24))
def test_every_cut_fits_and_says_the_same(sizes, mn_length):
    identity = Identity("1" * mn_length, "31", "9" * 9)
    items = [{"DataTime": "20261201000000"}]
    items += [{f"x{at}-Avg": "1" * size, f"x{at}-Flag": "N"} for at, size in enumerate(sizes)]
    parts = cut(identity, items)
    assert [item for part in parts for item in part[1:]] == items[1:]
    assert all(part[0] == items[0] for part in parts)
    for number, part in enumerate(parts, 1):
        raw = build_part(identity, "2061", "2" * 17, part, number, len(parts), True)
        (frame,) = FrameSplitter().feed(raw)
        packet = parse_data(frame.data, frame.check, frame.policy)
        assert frame.accepted and not [one for one in packet.warnings if "CP holds" in one]
        assert len(frame.data.partition(b"&&")[2]) - 2 <= CP_MAX


def test_a_day_is_of_the_sites_clock_and_needs_twenty_hours(link):
    link.average(3600, *HOURS[:19])
    link.average(3600, *HOURS[19:], n_valid=1000, mean=100.0)
    day = link.station.message("day", MIDNIGHT_MS, 0)
    item = next(item for item in day.items if "a21002-Avg" in item)
    assert day.items[0]["DataTime"] == "20261201000000"
    assert (item["a21002-Avg"], item["a21002-Flag"]) == ("38.2", "D")  # 19 good ones, and only they count
    assert link.station.message("day", MIDNIGHT_MS - 86_400_000, 0) is None


def test_two_modules_are_waited_for_while_they_move(tmp_path, platform):
    plan = replace(PLAN, entries=(NOX, FLOW, O2))
    link = LinkBench(tmp_path, platform.port, plan)
    link.average(600, MIDNIGHT_MS)
    link.queue()
    assert link.waiting() == 0  # the other one may still come
    link.average(600, MIDNIGHT_MS, device="plume-02")
    link.queue()
    assert link.waiting() == 1
    link.average(600, MIDNIGHT_MS + 600_000)
    link.queue()
    assert link.waiting() == 1
    link.clock.advance(301.0)
    link.queue()
    assert link.waiting() == 2  # it stands still
    link.deliver()
    last = platform.of("2051")[-1]
    assert (last.value("a19001-Flag"), last.value("a19001-Avg")) == ("B", "")
    link.close()


FLAGS = [  # what was invalid of 3600, how many were valid, the flag by the standard, by the cause
    ((), 3600, "N", "N"),
    ((("calibration", 900),), 2700, "N", "N"),
    ((("calibration", 901),), 2699, "D", "C"),
    ((("failure", 500), ("function_check", 2000)), 1100, "D", "M"),
    ((("over_range", 3600),), 0, "D", "T"),
    ((("exception_2", 3600),), 0, "D", "B"),
]


def test_flags(link):
    for at, (invalid, n_valid, *flags) in enumerate(FLAGS):
        link.average(3600, HOURS[at], n_valid=n_valid, mean=38.25 if n_valid else None)
        with link.writer.transaction() as connection:
            told = json.dumps(dict(invalid))
            connection.execute("UPDATE average SET n_invalid = ? WHERE start_utc_ms = ?", (told, HOURS[at]))
        for link.station._by_cause, flag in zip((False, True), flags, strict=True):
            item = link.station.message("hour", HOURS[at], 3600).items[1]
            assert item["a21002-Flag"] == flag and ("a21002-Avg" in item) == bool(n_valid)
