"""Plants as `plumeproof readiness` sees them: what cannot be opened becomes a line, not the end of the review."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from plumeproof.clock import SystemClock
from plumeproof.config import Config
from plumeproof.documents.declared import Period
from plumeproof.documents.due_lines import Watched
from plumeproof.documents.materiality import SUBSTITUTED as REPLACED
from plumeproof.documents.materiality import SourceView
from plumeproof.documents.materiality_sheet import materiality_bars, materiality_words
from plumeproof.documents.materiality_view import (
    Opened,
    Weighed,
    chosen_sources,
    threshold_of,
    together,
    weigh,
    weigh_activities,
)
from plumeproof.documents.readiness import DISAGREES, EVIDENCE, MISSING, PAPERS, PERIOD, READY, UNJUDGED, Line
from plumeproof.documents.readiness_file import ReadinessFile
from plumeproof.documents.sheet import GOOD, OPEN, Bar
from plumeproof.documents.site import EmissionSource, SiteFile
from plumeproof.documents.weaknesses import charts_of, local_day
from plumeproof.errors import BridgeError, ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.instants import read_instant
from plumeproof.ledger_checks import LedgerChecks
from plumeproof.ledger_strips import LedgerStrips, Tick
from plumeproof.plant_file import open_engine
from plumeproof.rules import calendar
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import SHORT_TERM
from plumeproof.surveillance_desk import SurveillanceDesk

if TYPE_CHECKING:
    from plumeproof.rules.plant import Plant

COVERAGE = "Source {}: hours of operation with a measurement"
FIGURES = "Source {}: declared figures are there"
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class _Open:
    file: Path
    engine: Engine
    desk: FigureDesk
    strips: LedgerStrips
    checks: LedgerChecks


class PlantReview:
    """Every plant of the configuration. `plants`: those whose description can be read; `faults`: lines about others.
    One thread."""

    def __init__(
        self, config_file: Path, config: Config, site_file: SiteFile, own: ReadinessFile, stack: ExitStack, tick: Tick
    ) -> None:
        self.config_file, self.ledger = config_file, config.gateway.ledger_file
        self.plants: dict[str, Plant] = {}
        self.faults: list[Line] = []
        self.period: Period = (0, 0)
        self.tick = tick
        self._site_file, self._own = site_file, own
        self.opened: dict[str, _Open] = {}
        if not config.plants:
            mend = "describe the stack (`plumeproof average --sample-plant`) and name it in a [[plant]]"
            asked = "Plant descriptions"
            self.faults.append(Line("papers.plant", PAPERS, asked, MISSING, f"{config_file.name} names none", mend))
        for one in config.plants:
            asked = f"Plant description {one.file.name}"
            try:
                engine = open_engine(one.file, one.rule_files)
            except BridgeError as error:
                key = f"papers.plant.{one.file.name}"
                self.faults.append(Line(key, PAPERS, asked, MISSING, _told(error), "put the description right"))
                continue
            self.plants[engine.plant.id] = engine.plant
            try:
                strips = LedgerStrips(self.ledger, engine.devices())
                stack.callback(strips.close)
                checks = stack.enter_context(closing(LedgerChecks(self.ledger, engine.devices())))
            except (BridgeError, OSError) as error:
                key, asked = f"evidence.records.{engine.plant.id}", f"Signed records of plant {engine.plant.id}"
                mend = "let the bridge run with its modules until records are there"
                self.faults.append(Line(key, EVIDENCE, asked, MISSING, _told(error), mend))
                continue
            self.opened[engine.plant.id] = _Open(one.file, engine, FigureDesk(engine, strips), strips, checks)

    @property
    def offset_min(self) -> int:
        """Of the site's clock, that of its first plant."""
        return next((one.utc_offset_min for one in self.plants.values()), 0)

    def today(self) -> date:
        """By the site's clock."""
        return local_day(SystemClock().utc_ms(), self.offset_min)

    def choose_period(self, first: str | None, end: str | None) -> None:
        """Whole months: as named, else those of the records. Raises ConfigError."""
        offset = self.offset_min
        extents = [found for one in self.opened.values() if (found := one.strips.extent()) is not None]
        if (first is None or end is None) and not extents:
            return  # no records and no period: the lines say so
        low = min((one[0] for one in extents), default=0)
        high = max((one[1] for one in extents), default=0)
        start = calendar.month_of(low, offset)[0] if first is None else read_instant(first, offset, "--from")
        last = calendar.month_of(high - 1, offset)[1] if end is None else read_instant(end, offset, "--to")
        if last <= start:
            raise ConfigError("--to", f"{end or 'the last record'} is not behind --from {first or ''}")
        for name, at in (("--from", start), ("--to", last)):
            if calendar.month_of(at, offset)[0] != at:
                raise ConfigError(name, "documents are made of whole months of the site's clock; write 2026-11 or 2026")
        self.period = (start, last)

    @property
    def has_period(self) -> bool:
        """There are months to look at."""
        return self.period[1] > self.period[0]

    def period_days(self) -> tuple[date, date]:
        """First day, and the day behind the last; the same day twice where there is no period."""
        return local_day(self.period[0], self.offset_min), local_day(self.period[1], self.offset_min)

    def extent(self) -> Period | None:
        """Of all slots inside the period."""
        extents = [found for one in self.opened.values() if (found := one.strips.extent()) is not None]
        if not extents:
            return None
        low = max(self.period[0], min(one[0] for one in extents))
        high = min(self.period[1], max(one[1] for one in extents))
        return (low, high) if high > low else None

    def period_lines(self) -> tuple[list[Line], tuple[Bar, ...]]:
        """Coverage and figures of each declared source, and the materiality of all."""
        site, lines = self._site_file.site, list[Line]()
        if not site.sources:
            told = f"{self._site_file.path.name} declares no [[source]]"
            mend = "declare what is emitted and by which rules"
            return [Line("period.sources", PERIOD, "Declared sources", MISSING, told, mend)], ()
        found: list[Weighed] = []
        try:
            sources = chosen_sources(self._site_file)
        except ConfigError as error:
            mend = "choose with sources in [statement] what counts"
            return [Line("period.sources", PERIOD, "Declared sources", DISAGREES, _told(error), mend)], ()
        for source in sources:
            plant = site.outlet(source.outlet)[1].plant
            verdict, mend = UNJUDGED, "see its line"
            told = f"plant {plant} cannot be opened"
            if plant in self.opened:
                try:
                    found.append(self._weigh(source, self.opened[plant]))
                    lines += self._of_source(found[-1][0])
                    continue
                except BridgeError as error:
                    verdict, told, mend = MISSING, _told(error), "put the source in site.toml right"
            lines.append(Line(f"period.coverage.{source.id}", PERIOD, COVERAGE.format(source.id), verdict, told, mend))
            lines.append(Line(f"period.figures.{source.id}", PERIOD, FIGURES.format(source.id), verdict, told, mend))
        key, asked = "period.materiality", "Share of tonnes on weak inputs within the materiality threshold"
        try:
            activities = weigh_activities(
                self._site_file, self._own, self.period, threshold_of(self._site_file)[0], self.offset_min
            )
        except BridgeError as error:
            mend = "put [statement] of site.toml right"
            return [*lines, Line(key, PERIOD, asked, UNJUDGED, _told(error), mend)], ()
        if len(found) < len(sources):
            told = "not every declared source can be read"
            return [*lines, Line(key, PERIOD, asked, UNJUDGED, told, "see the lines of the sources")], ()
        found += activities
        view = together(self._site_file, found, self.period)
        words, mood = materiality_words(view)
        verdict = {GOOD: READY, OPEN: UNJUDGED}.get(mood, MISSING)
        ids = ", ".join(own.id for one in view.sources for own in one.declared) or "no figure"
        mend = "" if verdict == READY else "`plumeproof report materiality` names each weak hour and why"
        lines.append(Line(key, PERIOD, asked, verdict, f"{words}; figures {ids}", mend))
        return lines, materiality_bars(view.account)

    def _weigh(self, source: EmissionSource, one: _Open) -> Weighed:
        opened = Opened(one.desk, one.strips, one.checks.readings)
        return weigh(source, opened, self._own, self.period, threshold_of(self._site_file)[0], self.tick)

    def _of_source(self, view: SourceView) -> Iterator[Line]:
        replaced = view.account.of_kind[REPLACED].hours
        in_operation = view.measured_hours + replaced + view.missing_hours
        told = f"{view.measured_hours} of {in_operation} hours measured, {replaced} substituted"
        told += f", {view.missing_hours} missing"
        limit = f"own limit {self._own.coverage_min_pct:g} % ([readiness] coverage_min_pct)"
        enough = view.measured_hours * 100 >= self._own.coverage_min_pct * in_operation > 0
        mend = "" if enough else "`plumeproof average` shows what is missing and why; name a period that is over"
        verdict = READY if enough else MISSING
        yield Line(f"period.coverage.{view.id}", PERIOD, COVERAGE.format(view.id), verdict, f"{told}; {limit}", mend)
        key, asked = f"period.figures.{view.id}", FIGURES.format(view.id)
        if not view.declared:
            yield Line(key, PERIOD, asked, MISSING, "no figure in this period", "name a period with records")
            return
        ids = ", ".join(own.id for own in view.declared)
        running = [own.id for own in view.declared if not own.is_closed]
        mend = "" if not running else "made from the records that are there: let the bridge close the period"
        yield Line(key, PERIOD, asked, READY, f"{ids}; opened by `plumeproof trace`", mend)

    def watched(self, on: date) -> Iterator[Watched]:
        """Each plant with its charts and weeks, as of the end of a day."""
        until = ((on - _EPOCH).days + 1) * DAY_MS - self.offset_min * 60_000
        for plant in self.plants.values():
            one = self.opened.get(plant.id)
            if one is None:
                continue
            settings = one.engine.rule_sets[0].settings
            charts = {own.id: charts_of(own, settings, one.checks.readings, until) for own in plant.measurands}
            weeks = {}
            if any(own.valid_to is not None for measurand in plant.measurands for own in measurand.calibrations):
                survey = SurveillanceDesk(one.engine, one.strips, one.checks).survey(until, until - 1, self.tick)
                weeks = {own.measurand: own.weeks for own in survey.calibrated if own.weeks is not None}
            yield Watched(plant, one.file.name, settings, charts, weeks)

    def parameter_lines(self) -> Iterator[Line]:
        """Do the signed parameter sets measure what the descriptions say? By the last day with records."""
        extent = self.extent()
        for name, one in self.opened.items():
            asked = f"Plant {name}: description and signed parameter sets"
            key = f"papers.parameters.{name}"
            if extent is None:
                yield Line(key, PAPERS, asked, UNJUDGED, "no record in this period", "name a period with records")
                continue
            desk = FigureDesk(one.engine, one.strips)
            last = one.engine.floor(extent[1] - 1)
            day = local_day(last, one.engine.plant.utc_offset_min)
            try:
                first = calendar.day_of(last, one.engine.plant.utc_offset_min)[0]
                for _ in desk.figures((SHORT_TERM,), (first, first + DAY_MS)):
                    pass
                faults = [remark.sentence for remark in desk.remarks() if remark.is_fault]
            except BridgeError as error:
                faults = [_told(error)]
            mend = "sign a parameter set that measures as described, or put the description right"
            if faults:
                yield Line(key, PAPERS, asked, DISAGREES, f"on {day}: {'; '.join(faults)}", mend)
            else:
                yield Line(
                    key, PAPERS, asked, READY, f"channels, units and slots of {one.file.name} as signed on {day}"
                )


def _told(error: BaseException) -> str:
    """One line for people."""
    return " ".join(str(error).split())[:300]
