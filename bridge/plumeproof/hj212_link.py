"""From the permit to what one HJ 212 link reports: factor codes, their channels, units, decimals and duties.

MN, codes and duties stand in site.toml (documents/site.py) beside the limits, so that statement, limits and packets
speak of the same outlet. Oxygen, moisture, temperature and flow go with every message of their outlet; the pressure of
a plant is absolute and that of a01013 is not, so it is reported only as an [[hj212.channel]] of its own.

    plan = plan_link(sink, site_file, plants)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from plumeproof.config import Config, Hj212SinkConfig
from plumeproof.documents.permit import require_agreement
from plumeproof.documents.site import DUTIES, Outlet, SiteFile, load_site
from plumeproof.errors import ConfigError, RuleError
from plumeproof.hj212.codes import Factor, factors, read_local
from plumeproof.hj212.numbers import decimals_of
from plumeproof.hj212_equipment import Equipment
from plumeproof.plant_file import choose_rule_sets, load_plant
from plumeproof.rules.channel_source import Source, source_text
from plumeproof.rules.our_units import to_mg_m3
from plumeproof.rules.plant import Measurand, Plant
from plumeproof.rules.rule_set import RuleSet
from plumeproof.section import Section, list_of, one_of, setting, text_like

REAL_TIME, MINUTE, HOUR, DAY = "real_time", "minute", "hour", "day"
CN_OF = {REAL_TIME: "2011", MINUTE: "2051", HOUR: "2061", DAY: "2031"}
CHINA = "cn_hj75"  # whose molar volume (22.4) makes mg/m3 of ppm where the link names no rule set
TABLE_MAX_BYTES = 1 << 20
FLOW, VELOCITY = "a00000", "a01011"
PERIPHERALS = {"O2": "a19001", "H2O": "a01014", "T": "a01012"}
ALL = frozenset((REAL_TIME, MINUTE, HOUR, DAY))
MG_PER_M3 = {"mg/m3": Fraction(1), "ug/m3": Fraction(1, 10**3), "ng/m3": Fraction(1, 10**6), "g/m3": Fraction(10**3)}
LINEAR = {  # (channel's unit, factor's unit): (scale, offset)
    ("K", "degC"): (Fraction(1), Fraction("-273.15")), ("Pa", "kPa"): (Fraction(1, 1000), Fraction(0)),
    ("hPa", "kPa"): (Fraction(1, 10), Fraction(0)), ("mbar", "kPa"): (Fraction(1, 10), Fraction(0)),
    ("bar", "kPa"): (Fraction(100), Fraction(0)), ("m3/h", "m3/s"): (Fraction(1, 3600), Fraction(0)),
}  # fmt: skip
KG_IN = {"kg": Fraction(1), "g": Fraction(10**3), "mg": Fraction(10**6), "t": Fraction(1, 10**3)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One factor of a link: value = mean * scale + offset, exactly, in the factor's unit. `mass_scale`: mass unit
    per kg, None where the factor has no mass; `measurand`: whose figures it has, "" where it has none."""

    code: str
    source: Source
    unit: str
    scale: Fraction
    offset: Fraction
    decimals: int
    duties: frozenset[str]
    measurand: str = ""
    mass_scale: Fraction | None = None
    mg_per_m3: Fraction = Fraction(1)  # of the factor's unit, where it is a concentration
    slot_ms: int = 0  # distance of the measurand's first level data; 0: it has no figures
    is_companion: bool = False  # goes with the others, and is no reason for a message of its own

    @property
    def is_flow(self) -> bool:
        """Its sum over an interval is m3."""
        return self.code == FLOW


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """`concentration_is_normal`: measured as mg per m3 of the gas whose flow is measured, so that both may be
    multiplied; else masses come from figures only."""

    mn: str
    plant: str
    utc_offset_min: int
    entries: tuple[Entry, ...]
    rule_set: str | None
    may_multiply: frozenset[str]
    equipment: tuple[Equipment, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        """Modules that a message rests on."""
        return tuple(sorted({entry.source.device for entry in self.entries}))

    def entries_of(self, duty: str) -> tuple[Entry, ...]:
        """What a message of this duty holds; empty where there is none to send."""
        found = tuple(entry for entry in self.entries if duty in entry.duties)
        return found if any(not entry.is_companion for entry in found) else ()


@dataclass(frozen=True, slots=True)
class ExtraChannel:
    """A channel that no plant description has, such as the furnace's temperature (a01901)."""

    outlet: str = setting(text_like())
    code: str = setting(text_like())
    source: Source = setting(source_text)
    unit: str = setting(text_like())
    duties: tuple[str, ...] = setting(list_of(one_of(*DUTIES), 1))


def plan_links(config: Config) -> dict[str, LinkPlan]:
    """The plan of every [[sink.hj212]] by its name. Raises ConfigError and RuleError: one line with place and mend."""
    if not config.hj212_sinks:
        return {}
    if config.documents.site_file is None:
        raise ConfigError("documents.site_file", "is missing; [[sink.hj212]] takes MN, codes and duties from it")
    site_file = load_site(config.documents.site_file)
    plants: dict[str, tuple[Plant, tuple[Path, ...]]] = {}
    for plant in config.plants:
        found = load_plant(plant.file)
        plants[found.id] = (found, plant.rule_files)
    require_agreement(site_file, {name: plant for name, (plant, _) in plants.items()})
    return {sink.name: plan_link(sink, site_file, plants, config) for sink in config.hj212_sinks}


def plan_link(
    sink: Hj212SinkConfig,
    site_file: SiteFile,
    plants: Mapping[str, tuple[Plant, tuple[Path, ...]]],
    config: Config,
) -> LinkPlan:
    """What one link reports. Raises ConfigError, RuleError."""
    at = f"sink.hj212 {sink.name}"
    known = [outlet.id for _, outlet in site_file.site.outlets()]
    if sink.outlet not in known:
        raise ConfigError(f"{at}: outlet", f"{sink.outlet[:40]!r} is no outlet of {site_file.path}: {', '.join(known)}")
    _, outlet = site_file.site.outlet(sink.outlet)
    plant, rule_files = plants[outlet.plant]
    mn = sink.mn or outlet.mn
    if not mn:
        raise ConfigError(f"{site_file.path}: outlet {outlet.id}", "has no mn; the platform's operator assigns one")
    if plant.utc_offset_min % 60:
        raise ConfigError(f"plant {plant.id}", "its clock is not whole hours from UTC; hours could not be reported")
    if sink.rule_set is not None and sink.rule_set not in plant.rule_sets:
        there = ", ".join(plant.rule_sets)
        raise ConfigError(f"{at}: rule_set", f"{sink.rule_set!r} is none of plant {plant.id}: {there}")
    rules = choose_rule_sets([sink.rule_set or CHINA], rule_files)[0]
    tables = _Tables(sink, at)
    entries = [*_pollutants(outlet, plant, rules, tables), *_companions(plant, tables)]
    own = site_file.section("hj212").only("channel", "equipment")
    for section in own.sections("channel"):
        extra = section.build(ExtraChannel)
        _refuse_unknown(section, extra.outlet, known)
        if extra.outlet == outlet.id:
            entries.append(tables.entry(extra.code, extra.source, extra.unit, frozenset(extra.duties)))
    equipment = tuple(_equipment(own.sections("equipment"), outlet, known))
    _check(entries, at, sink, config)
    _check_equipment(equipment, at, sink, config)
    may = _may_multiply(plant)
    return LinkPlan(mn, plant.id, plant.utc_offset_min, tuple(entries), sink.rule_set, may, equipment)


def _refuse_unknown(section: Section, outlet: str, known: Sequence[str]) -> None:
    if outlet not in known:
        raise section.refuse("outlet", f"{outlet[:40]!r} is no outlet of a permit here: {', '.join(known)}")


def _equipment(sections: Sequence[Section], outlet: Outlet, known: Sequence[str]) -> Iterator[Equipment]:
    numbers: set[int] = set()
    for section in sections:
        one = section.build(Equipment)
        _refuse_unknown(section, one.outlet, known)
        if one.outlet == outlet.id:
            if one.number in numbers:
                raise section.refuse("number", f"SB{one.number} is there twice; each piece of equipment has its own")
            numbers.add(one.number)
            yield one


def _check_equipment(equipment: Sequence[Equipment], at: str, sink: Hj212SinkConfig, config: Config) -> None:
    modules = {module.device for module in config.modules}
    for one in equipment:
        if one.source.device not in modules:
            raise ConfigError(at, f"SB{one.number}: {one.source} is no channel of a [[module]] here")
    if equipment and sink.real_time_interval_s not in config.averaging.intervals_s:
        reason = f"equipment rests on {sink.real_time_interval_s} s averages; add it to averaging.intervals_s"
        raise ConfigError(at, reason)


class _Tables:
    """Factor tables of a link: the package's, and the site's own codes."""

    def __init__(self, sink: Hj212SinkConfig, at: str) -> None:
        self._at = at
        self._factors = dict(factors())
        if sink.factor_file is not None:
            self._factors = load_local(sink.factor_file)

    def factor(self, code: str) -> Factor:
        """Raises ConfigError where the code is unknown or names two."""
        found = self._factors.get(code, ())
        if len(found) != 1:
            what = "names two factors" if found else "is in no factor table; put it into factor_file as a local code"
            raise ConfigError(self._at, f"code {code[:20]!r} {what}")
        return found[0]

    def entry(
        self, code: str, source: Source, unit: str, duties: frozenset[str], scale: Fraction | None = None,
        measurand: str = "", slot_ms: int = 0, is_companion: bool = False,
    ) -> Entry:  # fmt: skip
        """`scale`: to mg/m3, where only the plant knows it. Raises ConfigError for units that do not fit."""
        factor = self.factor(code)
        offset = Fraction(0)
        if unit in MG_PER_M3 and scale is None:
            scale = MG_PER_M3[unit]
        if scale is not None and factor.unit in MG_PER_M3:
            scale /= MG_PER_M3[factor.unit]
        elif unit == factor.unit:
            scale = Fraction(1)
        elif (unit, factor.unit) in LINEAR:
            scale, offset = LINEAR[unit, factor.unit]
        else:
            raise ConfigError(self._at, f"{code} is in {factor.unit}, channel {source} in {unit}; no way between them")
        try:
            decimals = decimals_of(factor.value_format)
        except ValueError as error:
            raise ConfigError(self._at, f"factor {code}: {error}") from error
        mass = KG_IN.get(factor.mass_unit)
        mg = MG_PER_M3.get(factor.unit, Fraction(1))
        return Entry(
            code, source, unit, scale, offset, decimals, duties & ALL, measurand, mass, mg, slot_ms, is_companion
        )


def load_local(path: Path) -> dict[str, tuple[Factor, ...]]:
    """The package's factors and those of a site's file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(TABLE_MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"no UTF-8 at byte {error.start}; save it as UTF-8") from error
    return read_local(text, str(path))


def _pollutants(outlet: Outlet, plant: Plant, rules: RuleSet, tables: _Tables) -> list[Entry]:
    found = []
    measurands = {one.id: one for one in plant.measurands}
    for pollutant in outlet.pollutants:
        one = measurands[pollutant.measurand]
        if not pollutant.hj212:
            continue
        duties = frozenset(pollutant.duties)
        scale = _mg_m3(one, rules)
        found.append(tables.entry(pollutant.hj212, one.source, one.unit, duties, scale, one.id, one.slot_ms))
    return found


def _mg_m3(one: Measurand, rules: RuleSet) -> Fraction | None:
    """mg/m3 of one unit of the channel, the shortest decimal of its float64; None for a gas whose molar mass nobody
    needs (a share, such as O2)."""
    import numpy as np

    try:
        return Fraction(Decimal(repr(float(np.asarray(to_mg_m3(np.ones(1), one, rules.settings))[0]))))
    except RuleError:
        if one.unit == "%":
            return None
        raise


def _companions(plant: Plant, tables: _Tables) -> list[Entry]:
    found = []
    for one in plant.peripherals:
        if one.kind in PERIPHERALS:
            found.append(tables.entry(PERIPHERALS[one.kind], one.source, one.channel_unit, ALL, is_companion=True))
    if plant.flow is not None:
        code = VELOCITY if plant.flow.unit == "m/s" else FLOW
        found.append(tables.entry(code, plant.flow.source, plant.flow.unit, ALL, is_companion=True))
    return found


def _may_multiply(plant: Plant) -> frozenset[str]:
    """Measurands in mg of the very m3 that the flow counts: normal, dry, nothing left to convert but oxygen."""
    if plant.flow is None or plant.flow.conditions != "normal_dry" or plant.flow.calibrations:
        return frozenset()
    return frozenset(one.id for one in plant.measurands if not set(one.needs) - {"O2"} and not one.calibrations)


def _check(entries: list[Entry], at: str, sink: Hj212SinkConfig, config: Config) -> None:
    codes = [entry.code for entry in entries]
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise ConfigError(at, f"factor {twice} comes from two channels; one code is one value")
    modules = {module.device for module in config.modules}
    for entry in entries:
        if entry.source.device not in modules:
            raise ConfigError(at, f"{entry.code}: {entry.source} is no channel of a [[module]] here")
    duties = {duty for entry in entries if not entry.is_companion for duty in entry.duties}
    if not duties:
        raise ConfigError(at, f"no pollutant of outlet {sink.outlet} has a code and one of {', '.join(sorted(ALL))}")
    wanted = {
        REAL_TIME: sink.real_time_interval_s,
        MINUTE: sink.minute_interval_min * 60,
        HOUR: 3600,
        DAY: 3600,
    }
    for duty in sorted(duties):
        if wanted[duty] not in config.averaging.intervals_s:
            raise ConfigError(at, f"{duty} rests on {wanted[duty]} s averages; add it to averaging.intervals_s")
