"""One measurement, many tongues: what the product writes agrees, and one digit or flag changed anywhere is named."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from html import unescape
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof import observe
from plumeproof.agreement import agreement_sheet
from plumeproof.agreement.comparison import compare
from plumeproof.agreement.hours_rows import read_hours
from plumeproof.agreement.packets import read_capture, read_queued
from plumeproof.agreement.payloads import Names, newest_only, read_payload, read_topic
from plumeproof.agreement.said import API, CBAM, HJ212, STATEMENT, TONGUES, Spoken
from plumeproof.agreement.senml_packs import PackAccount, read_pack
from plumeproof.agreement.signed import AverageAccount, HourAccount, LinkAccount, rounded
from plumeproof.agreement.states import notes_of
from plumeproof.agreement_desk import AgreementDesk, LedgerAverages
from plumeproof.agreement_stage import build_agreement_stage
from plumeproof.cbam import operator_data, operator_rows, producer_package
from plumeproof.cli import main, report, report_cbam_qreport
from plumeproof.cli.plant_desks import open_desks
from plumeproof.cli.plant_inputs import PlantInputs
from plumeproof.config import load_config
from plumeproof.delivery.report import AVERAGE_FIELDS, REPORT_FIELDS, build_average, build_report
from plumeproof.delivery.senml import build_senml
from plumeproof.documents import hours_file, materiality, permit, readiness, verification
from plumeproof.documents.declared import decimal_of
from plumeproof.documents.hours import MEASURED, Hour, HourSource, tonnes_text
from plumeproof.errors import AgreementError, ConfigError
from plumeproof.figure_ids import id_of_average
from plumeproof.hj212.frame import Frame, FrameSplitter, Policy, frame_bytes
from plumeproof.hj212.messages import Identity, build_part
from plumeproof.hj212.numbers import value_text
from plumeproof.hj212_link import Entry, LinkPlan, plan_links
from plumeproof.hj212_station import LedgerStation
from plumeproof.model import AveragingStep, NewRow
from plumeproof.pact import footprint_sheet
from plumeproof.rules.channel_source import Source
from plumeproof.rules.figure import SHORT_TERM
from plumeproof.service import Service
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_averages_store import AVERAGE
from tests.doubles.manual_clock import ManualClock
from tests.doubles.spoken_month import BEGIN_UTC_MS, DAYS, MN, PERIOD, SpokenMonth

HOUR_MS = 3_600_000
HOUR = (BEGIN_UTC_MS, BEGIN_UTC_MS + HOUR_MS)
SPAN = (BEGIN_UTC_MS, BEGIN_UTC_MS + 31 * 24 * HOUR_MS)
PLAIN = Names({name: name for name in REPORT_FIELDS}, {name: name for name in AVERAGE_FIELDS})
STANDS = re.compile(r"(official|community|provisional|own form): .{15,}; last checked \d{4}-\d\d-\d\d")


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    month = SpokenMonth(tmp_path_factory.mktemp("spoken"))
    yield month
    month.close()


@pytest.fixture(scope="module")
def accounts(month):
    """Of each tongue what it must say, from the ledger."""
    inputs = PlantInputs(None, month.folder / "ledger.sqlite", ((month.folder / "line-1.toml", ()),))
    averages = LedgerAverages(inputs.ledger)
    with open_desks(SimpleNamespace(rules=None, measurand=[]), inputs) as (desk,):
        source = HourSource(desk.desk, desk.ledger)
        hours = {("S1", one.start_utc_ms): one for one in source.of_period("CO2", "eu_mrr", SPAN)}

        def figures(plant, start, end):
            return desk.ledger.newest(plant, SHORT_TERM, start, end)

        plan = plan_links(month.config)["bureau"]
        yield {
            STATEMENT: HourAccount(STATEMENT, hours),
            CBAM: HourAccount(CBAM, hours),
            HJ212: LinkAccount(plan, False, averages.newest, figures, lambda name, start: hours.get(("S1", start))),
            API: AverageAccount(averages.newest),
        }
    averages.close()


def spoken_of(tongue, folder, raw):
    """What a receiver reads of these bytes."""
    if tongue == HJ212:
        return read_capture("capture.bin", raw, {MN: 0}, Policy.STRICT)
    if tongue == API:
        return read_payload("report", raw, PLAIN)
    (folder / "altered.csv").write_bytes(raw)
    return read_hours(folder / "altered.csv", tongue)


FILES = {STATEMENT: "statement.csv", CBAM: "cbam.csv", HJ212: "capture.bin", API: "report-1.json"}


def agree(capsys, month, *arguments):
    status = main(["agree", "-c", str(month.config_file), *PERIOD, *map(str, arguments)])
    return status, *capsys.readouterr()


def test_all_that_the_product_says_agrees(month, accounts, capsys, tmp_path):
    for tongue in TONGUES:
        tally = compare(
            spoken_of(tongue, tmp_path, (month.folder / FILES[tongue]).read_bytes()), accounts[tongue], SPAN
        )
        assert tally.is_fine and tally.equal == tally.values, tally.disagreements[:1]
        assert tally.hours >= (744 if tongue in (STATEMENT, CBAM) else 2 * (DAYS * 24 - 1))
    named = ("--statement-hours", month.folder / "statement.csv", "--cbam-hours", month.folder / "cbam.csv")
    status, out, _ = agree(capsys, month, *named, "--json", "--html", tmp_path / "page.html")
    document = json.loads(out)
    assert status == 0 and document["agrees"] and document["disagreements"] == []
    assert [one["tongue"] for one in document["tongues"]] == [
        *(STATEMENT, CBAM, "HJ 212 bureau", "API cloud", "MQTT broker", "SenML broker")
    ]
    assert all(one["equal"] == one["values"] > 900 for one in document["tongues"])
    assert [one["status"] for one in document["rests_on"]] == [
        "own form",
        "provisional",
        "community",
        "provisional",
        "own form",
        "official",
    ]
    assert "agree with the signed figures to their last decimal" in (tmp_path / "page.html").read_text()


def test_the_same_hour_in_every_tongue(month, accounts):
    """Kilograms of one hour by four readers: the pairs agree to the last decimal that each of them carries."""
    start = BEGIN_UTC_MS + HOUR_MS
    said = {}
    for tongue in (STATEMENT, CBAM):
        for one in spoken_of(tongue, month.folder, (month.folder / FILES[tongue]).read_bytes()).said:
            if one.start_utc_ms == start:
                said[tongue, one.quantity] = one.text
    for one in spoken_of(HJ212, month.folder, (month.folder / "capture.bin").read_bytes()).said:
        if one.start_utc_ms == start and one.subject == (MN, "a05001"):
            said[HJ212, one.quantity] = one.text
    exact = Decimal(said[STATEMENT, "mass_kg"])
    assert said[STATEMENT, "mass_t"] == said[CBAM, "mass_t"] == tonnes_text(exact)
    assert said[HJ212, "Cou"] == value_text(Fraction(exact), 3) and said[HJ212, "Flag"] == "N"
    assert said[STATEMENT, "status"] == said[CBAM, "status"] == MEASURED


def next_digit(text):
    """One more in the last decimal."""
    return text[:-1] + str((int(text[-1]) + 1) % 10)


def row_altered(column, change):
    def alter(raw):
        text = raw.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        rows[5][column] = change(rows[5][column])
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()

    return alter


def packet_altered(pattern, change):
    """The fifth packet of a capture, with a good checksum again."""

    def alter(raw):
        frames = [piece for piece in FrameSplitter().feed(raw) if isinstance(piece, Frame)]
        data, count = re.subn(pattern, lambda found: found[1] + change(found[2].decode()).encode(), frames[5].data)
        assert count == 1
        return b"".join(frame_bytes(data if at == 5 else one.data) for at, one in enumerate(frames))

    return alter


def body_altered(name, change):
    def alter(raw):
        content = json.loads(raw)
        content["averages"][10][name] = change(content["averages"][10][name])
        return json.dumps(content).encode()

    return alter


@pytest.mark.parametrize(
    ("tongue", "quantity", "alter"),
    [
        (STATEMENT, "mass_kg", row_altered("mass_kg", next_digit)),
        (STATEMENT, "mass_t", row_altered("mass_t", next_digit)),
        (STATEMENT, "status", row_altered("status", lambda text: "substituted")),
        (STATEMENT, "figure", row_altered("figure", lambda text: text[:-1] + "1")),
        (CBAM, "mass_t", row_altered("mass_t", next_digit)),
        (CBAM, "mass_t", row_altered("mass_t", lambda text: text + "0")),
        (CBAM, "status", row_altered("status", lambda text: "missing")),
        (CBAM, "flow_Nm3_per_h", row_altered("flow_Nm3_per_h", next_digit)),
        (HJ212, "Cou", packet_altered(rb"(a05001-Cou=)([0-9.]+)", next_digit)),
        (HJ212, "Avg", packet_altered(rb"(a05001-Avg=)([0-9.]+)", next_digit)),
        (HJ212, "Max", packet_altered(rb"(a00000-Max=)([0-9.]+)", next_digit)),
        (HJ212, "Flag", packet_altered(rb"(a05001-Flag=)(N)", lambda text: "D")),
        (HJ212, "Min", packet_altered(rb"(,a05001-)(Min=[0-9.]+)", lambda text: text.replace("Min", "Low"))),
        (API, "mean", body_altered("mean", lambda value: value * (1 + 2**-52))),
        (API, "valid", body_altered("valid", lambda value: value - 1)),
        (API, "invalid", body_altered("invalid", lambda value: {"timeout": 1})),
        (API, "deviation", body_altered("deviation", lambda value: None)),
    ],
)
def test_one_decimal_or_flag_is_named(month, accounts, tmp_path, tongue, quantity, alter):
    raw = alter((month.folder / FILES[tongue]).read_bytes())
    tally = compare(spoken_of(tongue, tmp_path, raw), accounts[tongue], SPAN, is_due_asked=False)
    assert {one.quantity for one in tally.disagreements} - {"Low"} == {quantity}
    (one,) = [one for one in tally.disagreements if one.quantity == quantity]
    assert one.said != one.signed and one.signed_trace and one.start_utc_ms == BEGIN_UTC_MS + 5 * HOUR_MS
    assert one.said in one.line and one.signed in one.line and one.signed_trace in one.line and one.place in one.line


def test_a_disagreement_ends_with_its_line_and_status_1(month, capsys, tmp_path):
    raw = row_altered("mass_t", next_digit)((month.folder / "cbam.csv").read_bytes())
    (tmp_path / "cbam.csv").write_bytes(raw)
    capture = (month.folder / "capture.bin").read_bytes()
    (tmp_path / "capture.bin").write_bytes(b"##0020broken" + capture[:400] + capture)
    arguments = ("--cbam-hours", tmp_path / "cbam.csv", "--hj212", tmp_path / "capture.bin")
    status, out, _ = agree(capsys, month, *arguments)
    lines = out.splitlines()
    assert status == 1 and lines[0].startswith("2026-12-01T05:00Z CBAM S1 mass_t: says ")
    assert lines[0].count("line-1/CO2/mass/60min/20261201T0500Z/eu_mrr/r0") == 2
    assert any(line.startswith("HJ 212 bureau: capture.bin byte ") for line in lines)


def test_a_newer_revision_is_no_disagreement_of_those_who_are_told_of_it(month, accounts):
    def later(device, interval_s, start):
        return [
            replace(one, mean=one.mean * 2.0, revision=1, reason="late") if one.mean is not None else one
            for one in month.averages.newest(device, interval_s, start)
        ]

    (row, body) = month.rows("cloud")[0]
    spoken = read_payload(f"row {row}", body, PLAIN)
    account = AverageAccount(later)
    assert compare(spoken, account, SPAN, is_followed=True).is_fine
    told = compare(spoken, account, SPAN).disagreements
    assert told and all("it rests on revision 0, the newest is 1" in one.reason for one in told)
    newer = [replace(one, traces=(one.traces[0][:-1] + "1",)) for one in spoken.said[:9]]
    assert newest_only([*spoken.said[:9], *newer]) == newer
    plan = plan_links(month.config)["bureau"]
    (row, body) = month.rows("bureau")[0]
    told = compare(read_queued(row, body, MN, {MN: 0}), LinkAccount(plan, False, later, lambda *_: []), SPAN)
    flow = next(one for one in told.disagreements if one.subject == (MN, "a00000") and one.quantity == "Avg")
    assert flow.said_trace.endswith("/r0") and flow.signed_trace == flow.said_trace[:-1] + "1"


def test_masses_by_another_rule_set_are_told(month, capsys):
    other = month.folder / "other.toml"
    other.write_text(month.config_file.read_text().replace('rule_set = "eu_mrr"\n', ""))
    status = main(["agree", "-c", str(other), *PERIOD, "--sink", "bureau"])
    told = capsys.readouterr().out  # the packets are those of the link as it was
    assert status == 1 and "a05001 Cou: says" in told
    assert "masses (Cou) of a05001 are by concentration and flow, those of source S1 by eu_mrr" in told


def test_flags_and_statuses_that_differ_are_counted_and_named(month, accounts):
    raw = (month.folder / "capture.bin").read_bytes()
    spoken, account = spoken_of(HJ212, month.folder, raw), accounts[HJ212]
    assert notes_of(spoken.said, account, SPAN) == ()
    flags = [one for one in spoken.said if one.quantity == "Flag" and one.subject[1] == "a05001"]
    assert {one.text for one in flags} == {"N", "D"}  # twelve hours without CO2 are substituted
    (note,) = notes_of([replace(one, text="N") for one in flags], account, SPAN)
    assert note.startswith("a05001: 12 hours have flag N in packets and status substituted in the statement, the first")
    assert len(notes_of([replace(one, text="F") for one in flags], account, SPAN)) == 2


# The running alarm


class Running:
    """The stage over a copy of the ledger."""

    def __init__(self, month, folder):
        with month.writer.reading() as connection:
            connection.execute("VACUUM INTO ?", (str(folder / "ledger.sqlite"),))
        self.month, self.clock = month, ManualClock(month.clock.utc_ms())
        self.writer = Writer(folder / "ledger.sqlite")
        self.start()

    def start(self):
        averages, figures = SqliteAverages(self.writer, self.clock), SqliteFigures(self.writer, self.clock)
        self.stage = build_agreement_stage(self.month.config, self.writer, self.clock, averages, figures)

    def alter(self, sink, old, new):
        with self.writer.transaction() as connection:
            row, body = connection.execute(
                "SELECT id, body FROM outbox WHERE sink = ? ORDER BY id DESC LIMIT 1", (sink,)
            ).get
            found = re.sub(old, new, body, count=1)
            assert found != body
            connection.execute("UPDATE outbox SET body = ? WHERE id = ?", (found, row))

    def audit(self):
        with self.writer.reading() as connection:
            rows = connection.execute("SELECT detail FROM audit WHERE code = 'disagreement' ORDER BY id").fetchall()
        return [json.loads(row[0]) for row in rows]


@pytest.fixture
def running(month, tmp_path):
    running = Running(month, tmp_path)
    yield running
    running.writer.close()


def test_what_is_queued_is_held_against_the_ledger(running, caplog):
    assert running.stage.step() is None
    assert running.stage.counters()["values_total"] > 2_000 and running.audit() == []


def test_an_alarm_comes_once_for_each_hour_and_value(running, caplog):
    running.alter("bureau", rb'"a05001-Flag","N"', b'"a05001-Flag","D"')
    running.alter("cloud", rb'"mean":(\d+)', rb'"mean":9\1')
    for _ in range(2):
        with pytest.raises(AgreementError, match="2 values of the last day disagree"):
            running.stage.step()
    assert running.stage.recover(AgreementError("")) > 0
    flag, mean = sorted(running.audit(), key=lambda one: one["tongue"], reverse=True)
    assert (flag["said"], flag["signed"], flag["quantity"]) == ("D", "N", "Flag")
    assert flag["said_trace"] == flag["signed_trace"] != "" and "outbox row" in flag["place"]
    assert mean["quantity"] == "mean" and mean["said_trace"] == mean["signed_trace"]
    told = [record for record in caplog.records if record.message.startswith("disagreement hour=2026-12-")]
    assert len(told) == 2 and "said=D" in told[0].message + told[1].message
    running.start()  # killed and started again: the alarm stands, and is not noted twice
    with pytest.raises(AgreementError):
        running.stage.step()
    assert len(running.audit()) == 2
    running.clock.advance(86_401.0)
    assert running.stage.step() is None


def test_a_revision_that_comes_late_is_an_alarm_of_the_link(running):
    stage, (_, body) = running.stage, running.month.rows("bureau")[-1]
    assert stage.step() is None
    averages, outbox = SqliteAverages(running.writer, running.clock), SqliteOutbox(running.writer, running.clock)
    start = BEGIN_UTC_MS + (DAYS * 24 - 2) * HOUR_MS  # the last that was compared
    changed = next(one for one in averages.newest("plume-01", 3600, start) if one.channel == "dust")
    (state,) = averages.states()
    averages.commit(
        AveragingStep(1 << 40, (state,), (), (), (), (replace(changed, mean=changed.mean * 2, reason="late"),))
    )
    assert stage.step() is None  # nothing new was said
    outbox.enqueue([NewRow("bureau", MN, "report", "2061/20261204230000", body)], "test", "bureau", 1)
    with pytest.raises(AgreementError, match="it rests on revision 0, the newest is 1"):
        stage.step()
    assert {(one["tongue"], one["subject"], one["quantity"]) for one in running.audit()} == {
        (HJ212, f"{MN}/a00000", "Avg"), (HJ212, f"{MN}/a00000", "Cou"),
    }  # fmt: skip


def test_the_service_shows_the_alarm(running, tmp_path):
    running.alter("bureau", rb'"a05001-Flag","N"', b'"a05001-Flag","D"')
    running.writer.close()
    for path in running.month.folder.iterdir():
        if not path.name.startswith("ledger"):
            shutil.copy(path, tmp_path / path.name)
    service = Service(load_config(tmp_path / "bridge.toml"))
    service.start()
    try:
        deadline = time.monotonic() + 60.0
        while True:
            part = next(one for one in service.health.snapshot() if one["name"] == "agreement")
            if part["state"] == observe.DOWN and part["counters"].get("alarms"):
                break
            assert time.monotonic() < deadline, part
            time.sleep(0.02)
    finally:
        assert service.stop()
    assert "says D (" in part["error"] and "signed is N (" in part["error"]
    assert part["counters"]["alarms"] == 1


# Any number through every writer and back

numbers = st.floats(allow_nan=False, allow_infinity=False)
PLAN = LinkPlan(
    MN,
    "line-1",
    0,
    (
        Entry("a21002", Source("plume-01", "nox"), "mg/m3", Fraction(1), Fraction(0), 1, frozenset({"hour"}), "NOx",
              Fraction(1)),
        Entry("a00000", Source("plume-01", "flow"), "m3/h", Fraction(1, 3600), Fraction(0), 1, frozenset({"hour"}),
              is_companion=True),
        Entry("a01012", Source("plume-01", "T"), "K", Fraction(1), Fraction("-273.15"), 1, frozenset({"hour"}),
              is_companion=True),
    ),
    None,
    frozenset({"NOx"}),
)  # fmt: skip


class Kept:
    """The averages of one hour, as stores have them. No ledger: it would cost a second for each hundred examples."""

    def __init__(self, *averages):
        self.averages = averages

    def newest(self, device, interval_s, start_utc_ms):
        return [one for one in self.averages if one.start_utc_ms == start_utc_ms]

    def of_period(self, plant, level, start_utc_ms, end_utc_ms):
        return []


@settings(max_examples=60)
@given(numbers)
def test_any_mass_through_both_papers(tmp_path_factory, number):
    hour = Hour(BEGIN_UTC_MS, "line-1/CO2/mass/60min/20261201T0000Z/eu_mrr/r0", decimal_of(number), MEASURED, True)
    folder = tmp_path_factory.getbasetemp()
    text = io.StringIO(newline="")
    csv.writer(text).writerows([hours_file.COLUMNS, hours_file.row_of("S1", "CO2", hour, 60)])
    (folder / "statement.csv").write_text(text.getvalue())
    one = SimpleNamespace(
        hours=[hour], source=SimpleNamespace(id="S1", outlet="DA001"), rules=SimpleNamespace(id="eu_mrr"),
        measurand=SimpleNamespace(greenhouse_gas="CO2"),
    )  # fmt: skip
    (folder / "cbam.csv").write_bytes(operator_rows.hours_csv(SimpleNamespace(measured=[one], offset_min=60)))
    for tongue in (STATEMENT, CBAM):
        tally = compare(
            read_hours(folder / FILES[tongue], tongue), HourAccount(tongue, {("S1", BEGIN_UTC_MS): hour}), HOUR
        )
        assert tally.is_fine and tally.values >= 4, tally.disagreements[0].line


@given(st.tuples(*[numbers] * 4), st.integers(0, 3600))
def test_any_average_through_the_report(values, valid):
    low, mean, high, deviation = values
    average = replace(
        AVERAGE, mean=mean, minimum=low, maximum=high, deviation=deviation, n_valid=valid, start_utc_ms=BEGIN_UTC_MS
    )
    report = build_report("gw-1", [(7, average)])
    tally = compare(read_payload("report", report.body, PLAIN), AverageAccount(Kept(average).newest), HOUR)
    assert tally.is_fine and tally.values == 9, tally.disagreements[0].line
    assert read_payload("report", report.body, PLAIN).said[0].traces == (id_of_average(average),)


@given(st.tuples(*[numbers] * 4), st.sampled_from(["mg/m3", "%", "m3/h", "degC", "furlong"]))
def test_any_average_through_topics(values, unit):
    low, mean, high, deviation = values
    average = replace(
        AVERAGE, unit=unit, mean=mean, minimum=low, maximum=high, deviation=deviation, start_utc_ms=BEGIN_UTC_MS
    )
    for spoken, kind in (
        (read_topic("topic", build_average("gw-1", 7, average)), AverageAccount),
        (read_pack("topic", build_senml("gw-1", 7, average)), PackAccount),
    ):
        tally = compare(spoken, kind(Kept(average).newest), HOUR)
        assert tally.is_fine and tally.values >= 5, (tally.faults, tally.disagreements[:1])
        other = compare(spoken, kind(Kept(replace(average, n_valid=average.n_valid - 1)).newest), HOUR)
        (one,) = other.disagreements
        assert one.quantity == "valid" and one.said_trace == one.signed_trace == id_of_average(average)


ties = st.integers(-(10**7), 10**7).map(lambda whole: whole / 100)  # halves of the last decimal among them


@settings(max_examples=60)
@given(st.tuples(*[st.floats(-1e12, 1e12) | ties] * 3), st.integers(0, 3600), st.booleans())
def test_any_average_through_a_packet(values, valid, by_cause):
    kept = Kept(
        *(
            replace(
                AVERAGE, device="plume-01", channel=entry.source.channel, unit=entry.unit, interval_s=3600, mean=value,
                minimum=value, maximum=value, n_expected=3600, n_valid=valid, start_utc_ms=BEGIN_UTC_MS,
                n_invalid=(("timeout", 3600 - valid),) if valid < 3600 else (),
            )
            for entry, value in zip(PLAN.entries, values, strict=True)
        )
    )  # fmt: skip
    station = LedgerStation(PLAN, kept, kept, ManualClock(BEGIN_UTC_MS + 2 * HOUR_MS), [10], 60, by_cause)
    upload = station.message("hour", BEGIN_UTC_MS, 3600)
    raw = build_part(Identity(MN, "31", "123456"), upload.cn, "20261201010000000", upload.items)
    spoken = read_capture("capture", raw, {MN: 0}, Policy.STRICT)
    tally = compare(spoken, LinkAccount(PLAN, by_cause, kept.newest, lambda *_: []), HOUR)
    assert tally.is_fine and tally.hours == 3, (tally.faults, tally.disagreements[0].line)


@given(st.fractions(), st.integers(0, 6))
def test_numbers_are_rounded_once(value, decimals):
    text = value_text(value, decimals)
    assert abs(Fraction(text) - value) * 2 <= Fraction(1, 10**decimals) and Decimal(text) == rounded(
        value, decimals, True
    )
    assert (text.partition(".")[2] != "" or not decimals) and len(text.partition(".")[2]) == decimals
    away = Fraction(rounded(value, decimals, False)) - value
    assert abs(away) * 2 < Fraction(1, 10**decimals) or away * value > 0


# Bad input


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\xff\xfe", "no UTF-8"),
        (b"a,b\n1,2\n", "has no column figure"),
        (b"source,start_utc,status,mass_kg,mass_t,figure\nS1,yesterday,measured,1,1,x\n", "is no UTC time"),
        (b"source,start_utc,status,mass_kg,mass_t,figure\nS1,2026-12-01T00:00:00,measured,1,1,x\n", "is no UTC time"),
        (b"source,start_utc,status,mass_kg,mass_t,figure\nS1,2026-12-01T00:00:00Z,measured\n", "not as many fields"),
        (b'source,start_utc,status,mass_kg,mass_t,figure\nS1,"2026', "is no CSV"),
    ],
)
def test_what_is_no_file_of_hours_is_one_line(tmp_path, raw, told):
    (tmp_path / "hours.csv").write_bytes(raw)
    with pytest.raises(ConfigError, match=told) as caught:
        read_hours(tmp_path / "hours.csv", STATEMENT)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200) | st.sampled_from([b"[" * 100_000, b'{"averages":[{}],"module":1,"interval_s":"x"}']))
def test_whatever_bytes_are_read_in_one_line_each(raw):
    for spoken in (
        read_payload("x", raw, PLAIN),
        read_topic("x", raw),
        read_pack("x", raw),
        read_queued(1, raw, MN, {MN: 0}),
        read_capture("x", raw, {MN: 0}, Policy.STRICT),
    ):
        assert not spoken.said and all("\n" not in fault for fault in spoken.faults)


def test_nothing_to_compare_and_a_strange_source_are_told(month, accounts, capsys, tmp_path):
    status = main(["agree", "--site", str(month.folder / "site.toml"), "--ledger", str(month.folder / "ledger.sqlite"),
                   "--plant", str(month.folder / "line-1.toml"), *PERIOD])  # fmt: skip
    assert status == 2 and "a tongue: is missing" in capsys.readouterr().err
    for arguments, told in (
        (("--sink", "x"), "is no link, platform or broker"),
        (("--sink", "cloud", "--hj212", "x"), "needs -c"),
        (("--sink", "bureau", "--api", "x"), "the one platform"),
    ):
        status, _, err = agree(capsys, month, *arguments)
        assert status == 2 and told in err and err.count("\n") == 1
    raw = row_altered("source", lambda text: "S9")((month.folder / "statement.csv").read_bytes())
    tally = compare(spoken_of(STATEMENT, tmp_path, raw), accounts[STATEMENT], SPAN)
    assert {one.reason for one in tally.disagreements} == {"nothing signed stands behind it"}
    assert tally.not_said == 1
    assert compare(Spoken(API, ()), accounts[API], SPAN).hours == 0
    desk = AgreementDesk(month.folder / "ledger.sqlite", SPAN)
    desk.close()


def test_every_document_names_status_act_and_last_check(month, capsys):
    texts = {
        "permit": permit.STANDING.text,
        "statement": verification.STANDING.text,
        "materiality": materiality.STANDING,
        "footprint": footprint_sheet.STANDING,
        "cbam": operator_data.STANDING.text,
        "hj212": agreement_sheet.HJ212_STANDING.text,
        "qreport": report_cbam_qreport.STANDING,
        "producer-package": producer_package.STANDING.text,
        "readiness": readiness.STANDING,
        "agree": agreement_sheet.STANDING.text,
    }
    assert {document.NAME for document in report.DOCUMENTS} <= set(texts)
    for name, text in texts.items():
        text = getattr(text, "text", text)
        assert STANDS.match(text), f"{name}: {text}"
    named = ["--html", str(month.folder / "permit.html"), "--json", str(month.folder / "permit.json")]
    assert main(["report", "permit", "-c", str(month.config_file), *named]) == 0
    for document in ("permit", "statement", "cbam"):
        page = unescape((month.folder / f"{document}.html").read_text())
        assert re.search(f'<p class="standing">{STANDS.pattern}', page), document
        profile = json.loads((month.folder / f"{document}.json").read_text())["profile"]
        assert profile["status"] and profile["checked"] and (profile.get("act") or profile.get("basis"))


def test_what_a_terminal_obeys_is_not_printed(accounts):
    body = json.loads(build_report("gw-1", [(7, AVERAGE)]).body)
    body["module"], body["averages"][0]["channel"], body["averages"][0]["unit"] = "a\x1b[2J", "b\nc", "\x07"
    (one, *_) = compare(
        read_payload("report", json.dumps(body).encode(), PLAIN), accounts[API], (0, 1 << 60), False, False
    ).disagreements
    assert one.line.isprintable()
