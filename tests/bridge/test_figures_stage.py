"""The figures stage on a real ledger: it makes what a bulk run makes, whatever comes late, stops or is killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from plumeproof.averaging_stage import AveragingStage
from plumeproof.errors import StoreError
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.strips import strips_of
from plumeproof.figures_stage import FiguresStage
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MONTH, ROLLING_30_DAYS, SHORT_TERM, YEAR
from plumeproof.rules.long_terms import period_of
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_averaging_stage import StillClock
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set, store_all
from tests.rules.test_minutes import PLANT, plant

HOUR_MS = 3_600_000
DAY_START = START_UTC_MS - HOUR_MS


class Bench:
    """A ledger in a file with both stages."""

    def __init__(self, path: Path, text: str = PLANT, rules=("eu_mrr", "eu_ied_waste")) -> None:
        self.path, self.text, self.rules = path, text, rules
        self.open()

    def open(self):
        self.writer = Writer(self.path)
        self.ledger = SqliteLedger(self.writer, StillClock())
        self.averages = SqliteAverages(self.writer, StillClock())
        self.figures = SqliteFigures(self.writer, StillClock())
        self.engine = Engine(plant(self.text), [load_rule_set(name) for name in self.rules])
        self.averaging = AveragingStage(self.ledger, self.averages, (60, 3600), 0)
        self.stage = FiguresStage(self.ledger, self.averages, self.figures, [self.engine], 0)

    def restart(self):
        self.writer.close()
        self.open()

    def run(self, limit=64):
        while self.averaging.step(limit):
            pass
        while self.stage.step(limit):
            pass

    def rows(self, level=SHORT_TERM):
        return list(self.figures.of_period("line-1", level, 0, 2**50))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "ledger.sqlite")
    yield bench
    bench.writer.close()


def sampled(minutes, seed=1, device="plume-01"):
    module, rng = TimedModule(device), random.Random(seed)
    module.start()
    for _ in range(minutes):
        module.sample(
            [(rng.choice([0] * 30 + [1]), rng.gauss(100, 20), rng.randrange(-300, 300), False) for _ in range(60)]
        )
    return module


def bulk(bench, sealed, start, end):
    """What the engine makes of everything at once."""
    strips = [
        strip
        for record, _ in sorted(sealed, key=lambda item: item[0].seq)
        if record.kind in (2, 6)
        for strip in strips_of([record], TimedModule().parameters)
    ]
    return bench.engine.short_term_figures({"plume-01": strips}, start, end)


def bare(figures):
    return sorted((figure._replace(revision=0, reason="") for figure in figures), key=lambda figure: figure.place)


def test_live_is_bulk(bench):
    module = sampled(310)
    at = 0
    while at < len(module.sealed):
        store_all(bench.ledger, module.sealed[at : at + 17])
        bench.run(5)
        at += 17
    rows = bench.rows()
    assert {row.revision for row in rows} == {0}
    # the sixth hour is open: nobody has left it
    assert bare(rows) == bare(bulk(bench, module.sealed, START_UTC_MS, START_UTC_MS + 5 * HOUR_MS))
    assert bench.rows(DAY) == []


def test_live_is_bulk_with_uncertainty(tmp_path):
    component = '[[measurand.uncertainty]]\nname = "gas"\nvalue_pct = 2.0\nis_common = {}\n'
    text = PLANT + component.format("true") + component.format("false").replace("2.0", "7.0")
    bench = Bench(tmp_path / "ledger.sqlite", text)
    module = sampled(24 * 60 + 5)
    for at in range(0, len(module.sealed), 301):
        store_all(bench.ledger, module.sealed[at : at + 301])
        bench.run(7)
    short = bulk(bench, module.sealed, DAY_START, DAY_START + 24 * HOUR_MS)
    days = bench.engine.long_term_figures(DAY, DAY_START, short)
    assert bare(row for row in bench.rows() if row.end_utc_ms <= DAY_START + 24 * HOUR_MS) == bare(short)
    assert bare(bench.rows(DAY)) == bare(days)
    dust = [one for one in (*short, *days) if one.measurand == "dust" and one.value is not None]
    assert all(one.uncertainty > one.uncertainty_common > 0.0 for one in dust if one.value)
    bench.writer.close()


def test_the_day_comes_with_its_last_hour_and_equals_bulk(bench):
    module = sampled(24 * 60 + 5)
    store_all(bench.ledger, module.sealed)
    bench.run()
    days = bench.rows(DAY)
    assert {row.start_utc_ms for row in days} == {DAY_START}
    short = bulk(bench, module.sealed, DAY_START, DAY_START + 24 * HOUR_MS)
    assert bare(days) == bare(bench.engine.long_term_figures(DAY, DAY_START, short))
    assert bench.rows(MONTH) == []


@pytest.mark.parametrize("seed", range(4))
def test_restarts_at_any_step_change_nothing(tmp_path, seed):
    rng = random.Random(seed)
    module = sampled(200, seed)
    calm, shaken = Bench(tmp_path / "calm.sqlite"), Bench(tmp_path / "shaken.sqlite")
    store_all(calm.ledger, module.sealed)
    calm.run()
    at = 0
    while at < len(module.sealed):
        step = rng.randrange(1, 40)
        store_all(shaken.ledger, module.sealed[at : at + step])
        at += step
        for _ in range(rng.randrange(4)):
            shaken.averaging.step(rng.randrange(1, 30))
            shaken.stage.step(rng.randrange(1, 30))
        if rng.random() < 0.3:
            shaken.restart()
    shaken.run()
    assert bare(shaken.rows()) == bare(calm.rows())
    calm.writer.close()
    shaken.writer.close()


def test_a_late_record_makes_a_revision_and_its_day_another(bench):
    module = sampled(24 * 60 + 5)
    late = module.sealed.pop(100)
    store_all(bench.ledger, module.sealed)
    bench.run()
    before, days_before = bench.rows(), bench.rows(DAY)
    store_all(bench.ledger, [late])
    bench.run()
    rows = bench.rows()
    changed = [row for row in rows if row.revision]
    assert changed
    assert {row.reason for row in changed} == {"late_record"}
    assert {row.start_utc_ms // HOUR_MS for row in changed} == {(START_UTC_MS + 97 * 60_000) // HOUR_MS}
    everything = bulk(bench, [*module.sealed, late], DAY_START, DAY_START + 25 * HOUR_MS)
    assert bare(rows) == bare([row for row in everything if row.end_utc_ms <= START_UTC_MS + 24 * HOUR_MS])
    old = bench.figures.revisions(changed[0])
    assert [row.revision for row in old] == [0, 1]
    assert old[0] in before
    assert {row.revision for row in bench.rows(DAY)} >= {1}
    assert len(bench.rows(DAY)) == len(days_before)


def test_a_kill_between_the_two_commits_of_a_span_forgets_nothing(bench, monkeypatch):
    module = sampled(24 * 60 + 5)
    store_all(bench.ledger, module.sealed)
    while bench.averaging.step():
        pass
    commits = []
    real = SqliteFigures.commit

    def commit(self, figures, documents, position):
        commits.append(position)
        if len(figures) and any(figure.level == DAY for figure in figures):
            raise StoreError("power")
        return real(self, figures, documents, position)

    monkeypatch.setattr(SqliteFigures, "commit", commit)
    with pytest.raises(StoreError):
        while bench.stage.step():
            pass
    assert bench.rows(DAY) == []
    monkeypatch.undo()
    bench.restart()
    bench.run()
    assert {row.start_utc_ms for row in bench.rows(DAY)} == {DAY_START}
    assert {row.revision for row in bench.rows()} == {0}


def test_a_silent_module_keeps_nothing_back_for_long(tmp_path):
    text = PLANT.replace('source = "plume-01/dust"\nunit', 'source = "plume-02/dust"\nunit')
    bench = Bench(tmp_path / "ledger.sqlite", text)
    module = sampled(74)
    store_all(bench.ledger, module.sealed)
    bench.run()
    assert bench.rows() == []  # plume-02 may still come
    store_all(bench.ledger, [])
    for _ in range(2):
        module.sample([(0, 100.0, 0, False)] * 60)
    store_all(bench.ledger, module.sealed[-2:])
    bench.run()
    rows = bench.rows()
    assert {row.measurand for row in rows if row.is_valid} == {"CO"}
    assert {dict(row.n_invalid).get("absent") for row in rows if row.measurand == "dust"} == {1800, 3600}
    bench.writer.close()


def test_a_changed_plant_is_another_revision_when_it_is_made_again(bench):
    module = sampled(130)
    store_all(bench.ledger, module.sealed)
    bench.run()
    first = bench.rows()
    bench.text = PLANT.replace("b = 1.06", "b = 1.07")
    bench.restart()
    late = TimedModule()  # nothing new: what is stored stands
    assert late.sealed == []
    bench.run()
    assert bench.rows() == first


SLOW = PLANT.replace('unit = "mg/m3"', 'unit = "mg/m3"\nslot_ms = 60000').replace("40.0\n", "40.0\nslot_ms = 60000\n")


def three_a_day(days):
    """Records at 0, 12 and 23 o'clock of whole local days from the first of December, a slot a minute."""
    module, rng = TimedModule(raw_set=build_set(slot_ms=60_000)), random.Random(7)
    module.clock_offset_ms -= HOUR_MS
    module.start()
    for _ in range(days):
        for hours_to_next in (12, 11, 1):
            module.sample([(rng.choice([0] * 30 + [1]), rng.gauss(100, 20), rng.randrange(-300, 300), False)] * 60)
            module.wait((hours_to_next - 1) * HOUR_MS)
    module.sample([(0, 100.0, 0, False)] * 120)
    return module


def longer(bench, sealed, last_day):
    """Every day, window, month and year that a bulk run over everything makes."""
    strips = [
        strip
        for record, _ in sorted(sealed, key=lambda item: item[0].seq)
        if record.kind == 2
        for strip in strips_of([record], parse_parameters(build_set(slot_ms=60_000)))
    ]
    end = DAY_START + (last_day + 1) * DAY_MS
    offsets = sorted({bench.engine.offset_min(rules) for rules in bench.engine.rule_sets})
    short = bench.engine.short_term_figures({"plume-01": strips}, DAY_START - DAY_MS, end + DAY_MS)
    found = []
    for offset in offsets:
        first = calendar.day_of(DAY_START, offset)[0]
        found += bench.engine.long_term_figures(YEAR, calendar.year_of(first, offset)[0], short)
        for day in range(first, end - DAY_MS + 1, DAY_MS):
            for level in (DAY, ROLLING_30_DAYS, MONTH):
                period = period_of(level, day, offset)
                if period is not None and period[1] <= end:
                    found += bench.engine.long_term_figures(level, day, short)
    return found


@pytest.mark.parametrize("rules", [("de_13bimschv", "eu_mrr"), ("de_13bimschv", "cn_hj75")])
@pytest.mark.parametrize("restarts", [False, True])
def test_what_came_late_is_in_every_longer_figure_that_it_touches(tmp_path, rules, restarts):
    """Day, the windows of the 30 days from it, month and year, on the clock of every rule set: as in a bulk run."""
    bench = Bench(tmp_path / "ledger.sqlite", SLOW, rules)
    module = three_a_day(36)
    boot, own = module.sealed[:-109], module.sealed[-109:]
    late = [own[3 * day + place] for day, place in ((1, 1), (2, 2), (9, 0), (34, 1))]
    store_all(bench.ledger, [*boot, *(one for one in own if one not in late)])
    bench.run()
    if restarts:
        bench.restart()
    store_all(bench.ledger, late)
    bench.run()
    found = [row for level in (DAY, ROLLING_30_DAYS, MONTH, YEAR) for row in bench.rows(level)]
    wanted = longer(bench, module.sealed, 35)
    assert {row.level for row in wanted} == {DAY, ROLLING_30_DAYS, MONTH, YEAR}
    assert bare(found) == bare(wanted)
    touched = {row.end_utc_ms for row in found if row.level == ROLLING_30_DAYS and row.revision}
    assert len(touched) == 35, "every window from the second day on holds one of them"
    bench.writer.close()


def test_a_kill_after_a_silence_forgets_no_window_and_no_month(tmp_path, monkeypatch):
    """Silent over the turn of the month: the first span behind it makes what ended meanwhile, killed or not."""
    bench = Bench(tmp_path / "ledger.sqlite", SLOW, ("de_13bimschv",))
    module = three_a_day(36)
    silent = [*module.sealed[: -109 + 3 * 20], *module.sealed[-109 + 3 * 33 :]]
    store_all(bench.ledger, silent)
    real = SqliteFigures.commit

    def commit(self, figures, documents, position):
        if any(figure.level == MONTH for figure in figures):
            raise StoreError("power")
        return real(self, figures, documents, position)

    monkeypatch.setattr(SqliteFigures, "commit", commit)
    with pytest.raises(StoreError):
        bench.run()
    assert bench.rows(MONTH) == []
    monkeypatch.undo()
    bench.restart()
    bench.run()
    found = [row for level in (DAY, ROLLING_30_DAYS, MONTH, YEAR) for row in bench.rows(level)]
    assert bare(found) == bare(longer(bench, silent, 35))
    assert bench.rows(MONTH)
    bench.writer.close()


def test_a_day_that_comes_late_is_read_once(tmp_path, monkeypatch):
    """Its three spans touch the same longer figures: what is read for them does not grow with the spans."""
    reads = []
    real = SqliteFigures.of_period

    def of_period(self, *words):
        reads.append(words)
        return real(self, *words)

    found = {}
    for count in (1, 3):
        bench = Bench(tmp_path / f"{count}.sqlite", SLOW, ("de_13bimschv",))
        module = three_a_day(5)
        late = module.sealed[-16 + 3 : -16 + 3 + count]  # of the second day
        store_all(bench.ledger, [one for one in module.sealed if one not in late])
        bench.run()
        monkeypatch.setattr(SqliteFigures, "of_period", of_period)
        reads.clear()
        store_all(bench.ledger, late)
        bench.run()
        found[count] = len(reads)
        monkeypatch.undo()
        assert bare(row for level in (DAY, ROLLING_30_DAYS) for row in bench.rows(level)) == bare(
            row for row in longer(bench, module.sealed, 4) if row.level in (DAY, ROLLING_30_DAYS)
        )
        bench.writer.close()
    assert found[1] == found[3] > 30
