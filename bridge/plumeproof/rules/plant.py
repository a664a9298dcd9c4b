"""The plant description: which channel measures what, at which conditions, with which calibration, limits and states.

One document, TOML for people and JSON for machines; the SHA-256 of its RFC 8785 (June 2020) bytes stands in every
figure, so that a verifier recomputes with the very description that the plant used. Nothing here computes: rule sets
(rule_set.py) say what is done, engine.py does it.

    plant = parse_plant(tomllib.loads(text), Path("line-1.toml"), find_lines(text, path))

Sources are written "device/channel", times RFC 3339 UTC to the second. `unit` is what the parameter set calls the
channel's unit and `slot_ms` the distance of its slots; what was measured otherwise is not averaged. Averages are made
on the fixed offset of the site: no daylight saving (EN 17255-1:2019; reference averaging-rules section 12).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import rfc8785

from plumeproof.errors import ConfigError
from plumeproof.rules.channel_source import Source, slot_distance, source_text
from plumeproof.rules.computed_plan import COMPUTED, Computed, check_computed, read_computed
from plumeproof.rules.figure import FLOW_ID
from plumeproof.rules.quality_plan import DoneTest, Qal3, instant_ms, read_qal3, read_tests, site_day
from plumeproof.section import Section, list_of, number_in, one_of, setting, text_like, typed
from plumeproof.toml_lines import Lines

SAMPLE = "plumeproof average --sample-plant"
PLANT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")  # measurands, calibrations: parts of file names and of keys
RULE_SET = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")
OFFSET_MAX_MIN = 14 * 60  # Kiribati; no site lies beyond it
MEASURANDS_MAX = 64
CALIBRATIONS_MAX = 100  # ten years of QAL2 with all their corrections
STATES = ("start_up", "shut_down", "stopped", "other")
PERIPHERALS = ("O2", "H2O", "T", "p")
UNITS = ("mg/m3", "ug/m3", "g/m3", "ppm", "ppb", "%")  # of a concentration channel; % is of volume
PERIPHERAL_UNITS = {"O2": ("%",), "H2O": ("%",), "T": ("degC", "K"), "p": ("hPa", "kPa", "Pa", "mbar", "bar")}
FLOW_UNITS = ("m3/h", "m3/s", "m/s")
CONDITIONS = ("actual_wet", "normal_wet", "normal_dry")
GREENHOUSE_GASES = ("CO2", "N2O", "CH4", "CF4", "C2F6")
DISTRIBUTIONS = ("normal", "rectangular")


def _offset(value: Any, _folder: Path) -> int:
    found = OFFSET.fullmatch(typed(value, str))
    minutes = (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1) if found else OFFSET_MAX_MIN + 1
    if abs(minutes) > OFFSET_MAX_MIN:
        raise ValueError(f'{str(value)[:20]!r} is no fixed UTC offset; write "+01:00", without daylight saving')
    return minutes


@dataclass(frozen=True, slots=True)
class StateRule:
    """A signal that names a plant state: it applies where the source's value is above, or below, the threshold.

    Decided for every slot by itself, so that a minute can be recomputed without its past; the first rule that applies
    wins, and no rule means normal operation. A slot in which the source has no valid value keeps rules behind it.
    """

    state: str = setting(one_of(*STATES))
    source: Source = setting(source_text)
    above: float | None = setting(number_in(float, -1e9, 1e9), None)
    below: float | None = setting(number_in(float, -1e9, 1e9), None)
    slot_ms: int = setting(slot_distance, 1_000)


@dataclass(frozen=True, slots=True)
class Calibration:
    """y = a + b x (EN 14181:2014 clause 6.4), in force from an instant until the next one begins.

    `valid_from`, `valid_to`: the valid calibration range, in the unit of the standardised value; None: not stated.
    `qal2_on`: day of the QAL2 that it comes from; None: the day on which it begins.
    """

    id: str = setting(text_like(NAME, "name of a calibration"))
    begins: int = setting(instant_ms)  # UTC ms
    a: float = setting(number_in(float, -1e9, 1e9))
    b: float = setting(number_in(float, -1e9, 1e9))
    valid_to: float | None = setting(number_in(float, 0.0, 1e9), None)
    valid_from: float = setting(number_in(float, -1e9, 1e9), 0.0)
    qal2_on: date | None = setting(site_day, None)


@dataclass(frozen=True, slots=True)
class Component:
    """One component of uncertainty (JCGM 100:2008): a half width of the given distribution, or `k` standard ones.

    `value_pct` of the value, or `value` in the channel's unit; one of both. `is_common`: the same error in all values
    (a calibration gas), so that averaging does not make it smaller.
    """

    name: str = setting(text_like())
    value: float | None = setting(number_in(float, 0.0, 1e9), None)
    value_pct: float | None = setting(number_in(float, 0.0, 1e3), None)
    k: float = setting(number_in(float, 0.1, 10.0), 1.0)
    distribution: str = setting(one_of(*DISTRIBUTIONS), "normal")
    is_common: bool = setting(one_of(True, False), False)


@dataclass(frozen=True, slots=True)
class Limit:
    """An emission limit value: `value` in mg/m3 at reference conditions; `kind` as rules/limits.py names its tests."""

    kind: str = setting(text_like(NAME, "kind of limit"))
    value: float = setting(number_in(float, 0.0, 1e9))


@dataclass(frozen=True, slots=True)
class Peripheral:
    """O2 or H2O (vol-%), T, or p (absolute). `unit`: of the channel, None: the first of PERIPHERAL_UNITS.

    `basis`: of an O2 cell. `substitute`: what the permit allows where the channel has no value (flag S); None: the
    measurands that need it are invalid then (flag P). `uncertainty`: in the channel's unit; none stated: as exact.
    """

    kind: str = setting(one_of(*PERIPHERALS))
    source: Source = setting(source_text)
    basis: str = setting(one_of("dry", "wet"), "dry")
    substitute: float | None = setting(number_in(float, -100.0, 1e6), None)
    unit: str | None = setting(text_like(), None)
    slot_ms: int = setting(slot_distance, 1_000)
    uncertainty: tuple[Component, ...] = ()

    @property
    def channel_unit(self) -> str:
        """What the parameter set must call the channel's unit."""
        return self.unit or PERIPHERAL_UNITS[self.kind][0]


@dataclass(frozen=True, slots=True)
class MassBalance:
    """CO2 that the fuel made in a span of time in which flow was missing, kg/h of operation (balanced_flow.py).

    `basis`: how it was found, for the verifier.
    """

    begins: int = setting(instant_ms)  # UTC ms
    ends: int = setting(instant_ms)
    co2_kg_h: float = setting(number_in(float, 0.0, 1e9))
    basis: str = setting(text_like())


@dataclass(frozen=True, slots=True)
class Flow:
    """Flue gas flow: a channel in m3/h or m3/s, or a velocity in m/s with the duct's area (EN ISO 16911-1).

    `max_potential`: as a measurand's, in m3/h at normal conditions, dry.
    """

    source: Source = setting(source_text)
    unit: str = setting(one_of(*FLOW_UNITS), "m3/h")
    conditions: str = setting(one_of(*CONDITIONS), "actual_wet")
    area_m2: float | None = setting(number_in(float, 1e-6, 1e4), None)
    wall_factor: float = setting(number_in(float, 0.1, 2.0), 1.0)
    slot_ms: int = setting(slot_distance, 1_000)
    uncertainty: tuple[Component, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    max_potential: float | None = setting(number_in(float, 0.0, 1e9), None)
    mass_balances: tuple[MassBalance, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurand:
    """One concentration. `needs`: the conversions that its analyzer has not done itself (reference section 4.4).

    `gas`: whose molar mass converts ppm (rules/conditions.py). `no2_share_pct`: of a channel of NO that is reported
    as NO2: the permit's share of NO2 in NOx, 0 for none; None: reported as measured (section 4.3). `ci_pct` of the
    daily limit and `ci_qal2` in mg/m3: what is subtracted for comparison. `range_max`: end of the measuring range, in
    the channel's unit. `greenhouse_gas`: its mass is also tonnes of CO2e, less `biomass_share_pct` of it.
    `max_potential`: of the monitoring plan, mg/m3 normal and dry, which 40 CFR 75.33 takes at worst; None: such hours
    get no substitute. `qal3`, `tests`: surveillance (quality_plan.py); no figure is made from them.
    """

    id: str = setting(text_like(NAME, "name of a measurand"))
    source: Source = setting(source_text)
    unit: str = setting(one_of(*UNITS))
    gas: str | None = setting(text_like(NAME, "gas"), None)
    needs: tuple[str, ...] = setting(list_of(one_of(*PERIPHERALS)), ())
    o2_reference_pct: float | None = setting(number_in(float, 0.0, 20.0), None)
    no2_share_pct: float | None = setting(number_in(float, 0.0, 50.0), None)
    range_max: float | None = setting(number_in(float, 0.0, 1e9), None)
    ci_pct: float | None = setting(number_in(float, 0.0, 100.0), None)
    ci_qal2: float | None = setting(number_in(float, 0.0, 1e9), None)
    decimals: int = setting(number_in(int, 0, 9), 1)
    slot_ms: int = setting(slot_distance, 1_000)
    greenhouse_gas: str | None = setting(one_of(*GREENHOUSE_GASES), None)
    biomass_share_pct: float = setting(number_in(float, 0.0, 100.0), 0.0)
    tier: int | None = setting(number_in(int, 1, 4), None)  # that the permit asks for; None: minimum of category A
    limits: tuple[Limit, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    uncertainty: tuple[Component, ...] = ()
    max_potential: float | None = setting(number_in(float, 0.0, 1e9), None)
    qal3: Qal3 | None = None
    tests: tuple[DoneTest, ...] = ()


@dataclass(frozen=True, slots=True)
class Plant:
    """A stack. `utc_offset_min`: fixed, minutes east of UTC. `digest`: SHA-256 of `document`, its RFC 8785 bytes."""

    id: str
    title: str
    utc_offset_min: int
    rule_sets: tuple[str, ...]
    states: tuple[StateRule, ...]
    peripherals: tuple[Peripheral, ...]
    flow: Flow | None
    measurands: tuple[Measurand, ...]
    document: bytes
    digest: bytes
    computed: tuple[Computed, ...] = ()

    def sources(self) -> tuple[Source, ...]:
        """Every channel of a module that a figure of this plant needs, sorted."""
        found = {rule.source for rule in self.states} | {entry.source for entry in self.peripherals}
        found |= {entry.source for entry in self.measurands} | ({self.flow.source} if self.flow else set())
        found |= {one.source for entry in self.computed for one in entry.inputs if one.source is not None}
        return tuple(sorted(source for source in found if source.device != COMPUTED))

    def computed_of(self, source: Source) -> Computed | None:
        """The computed channel that a source is; None: it is a module's."""
        if source.device != COMPUTED:
            return None
        return next(entry for entry in self.computed if entry.id == source.channel)

    def peripheral(self, kind: str) -> Peripheral | None:
        """The peripheral channel of a kind."""
        return next((entry for entry in self.peripherals if entry.kind == kind), None)


@dataclass(frozen=True, slots=True)
class _Head:
    id: str = setting(text_like(PLANT_ID, "plant id (a-z 0-9 . _ -, at most 32)"))
    title: str = setting(text_like())
    utc_offset: int = setting(_offset)
    rule_sets: tuple[str, ...] = setting(list_of(text_like(RULE_SET, "rule set"), 1))


def parse_plant(tree: object, path: Path, lines: Lines | None = None) -> Plant:
    """Check a description completely. Raises ConfigError: one line with file, line where known, key and mend."""
    top = Section(tree, (), lines or {}, path, SAMPLE)
    top.only("plant", "state", "computed", "peripheral", "flow", "measurand")
    try:
        document = rfc8785.dumps(tree)  # type: ignore[arg-type] # a TOML time is no JSON, and refused here
    except rfc8785.CanonicalizationError as error:
        raise ConfigError(str(path), f"holds what JSON cannot: {error}; times are text in quotes") from error
    head = top.inner("plant", is_needed=True).build(_Head)
    states = top.each("state", StateRule)
    computed = tuple(read_computed(section) for section in top.sections("computed"))
    peripherals = tuple(
        section.build(Peripheral, uncertainty=section.each("uncertainty", Component))
        for section in top.sections("peripheral")
    )
    has_flow = isinstance(tree, dict) and "flow" in tree
    flow = _flow(top.inner("flow")) if has_flow else None
    measurands = tuple(_measurand(section) for section in top.sections("measurand", is_needed=True))
    plant = Plant(
        id=head.id,
        title=head.title,
        utc_offset_min=head.utc_offset,
        rule_sets=head.rule_sets,
        states=states,
        peripherals=peripherals,
        flow=flow,
        measurands=measurands,
        document=document,
        digest=hashlib.sha256(document).digest(),
        computed=computed,
    )
    _check_together(plant, path)
    return plant


def _flow(section: Section) -> Flow:
    nested = {"uncertainty": section.each("uncertainty", Component)}
    balances = tuple(sorted(section.each("mass_balance", MassBalance), key=lambda entry: entry.begins))
    return section.build(Flow, **nested, calibrations=_calibrations(section), mass_balances=balances)


def _measurand(section: Section) -> Measurand:
    limit_values, uncertainty = section.each("limit", Limit), section.each("uncertainty", Component)
    qal3 = read_qal3(section.inner("qal3")) if section.has("qal3") else None
    nested = {"limits": limit_values, "uncertainty": uncertainty, "calibrations": _calibrations(section)}
    return section.build(Measurand, **nested, qal3=qal3, tests=read_tests(section))


def _calibrations(section: Section) -> tuple[Calibration, ...]:
    return tuple(sorted(section.each("calibration", Calibration), key=lambda entry: entry.begins))


def _check_together(plant: Plant, path: Path) -> None:
    """What one key alone cannot show."""

    def refuse(where: str, reason: str) -> ConfigError:
        return ConfigError(f"{path}: {where}", reason)

    users = [(f"state {rule.state}", rule.source, "", rule.slot_ms) for rule in plant.states]
    users += [
        (f"peripheral {entry.kind}", entry.source, entry.channel_unit, entry.slot_ms) for entry in plant.peripherals
    ]
    users += [(f"measurand {entry.id}", entry.source, entry.unit, entry.slot_ms) for entry in plant.measurands]
    users += [("flow", plant.flow.source, plant.flow.unit, plant.flow.slot_ms)] if plant.flow is not None else []
    check_computed(plant.computed, users, path)
    if len(plant.measurands) > MEASURANDS_MAX:
        raise refuse("measurand", f"more than {MEASURANDS_MAX}")
    for what, names in (
        ("peripheral", [entry.kind for entry in plant.peripherals]),
        ("measurand", [entry.id for entry in plant.measurands]),
    ):
        for name in names:
            if names.count(name) > 1:
                raise refuse(f"{what} {name}", "is there twice; each stands once")
    for rule in plant.states:
        if (rule.above is None) == (rule.below is None):
            raise refuse(f"state {rule.state}", "needs one of above and below")
    if plant.flow is not None and (plant.flow.unit == "m/s") != (plant.flow.area_m2 is not None):
        raise refuse("flow", "area_m2 belongs to a velocity in m/s, and to nothing else")
    balances = plant.flow.mass_balances if plant.flow is not None else ()
    if balances and all(entry.greenhouse_gas != "CO2" for entry in plant.measurands):
        raise refuse(
            "flow.mass_balance", 'needs a measurand with greenhouse_gas = "CO2", whose concentration it divides'
        )
    for at, balance in enumerate(balances):
        if balance.ends <= balance.begins or (at and balance.begins < balances[at - 1].ends):
            raise refuse("flow.mass_balance", "ends before it begins, or lies over another one")
    for peripheral in plant.peripherals:
        if peripheral.channel_unit not in PERIPHERAL_UNITS[peripheral.kind]:
            known_units = ", ".join(PERIPHERAL_UNITS[peripheral.kind])
            raise refuse(f"peripheral {peripheral.kind}", f"unit is none of {known_units}")
    known = {entry.kind for entry in plant.peripherals}
    for entry in plant.measurands:
        where = f"measurand {entry.id}"
        for kind in entry.needs:
            if kind not in known:
                raise refuse(where, f"needs {kind}, but no [[peripheral]] of that kind is there")
        if ("O2" in entry.needs) != (entry.o2_reference_pct is not None):
            raise refuse(where, "o2_reference_pct belongs to a measurand that needs O2, and to nothing else")
        if entry.qal3 is not None and entry.source.device == COMPUTED:
            raise refuse(where, "has qal3, whose zero and span are read on the channel of a module, not a computed one")
        if entry.id == FLOW_ID:
            raise refuse(where, "has the name of the flow; give it another")
        if entry.no2_share_pct is not None and entry.gas != "NO":
            raise refuse(where, 'has no2_share_pct, which belongs to gas = "NO"')
        if entry.unit in ("ppm", "ppb", "%") and entry.gas is None:
            raise refuse(where, f"in {entry.unit} needs its gas, whose molar mass converts it")
    for where, calibrations, components in (
        *((f"measurand {entry.id}", entry.calibrations, entry.uncertainty) for entry in plant.measurands),
        *((("flow", plant.flow.calibrations, plant.flow.uncertainty),) if plant.flow else ()),
        *((f"peripheral {entry.kind}", (), entry.uncertainty) for entry in plant.peripherals),
    ):
        starts = [entry.begins for entry in calibrations]
        if len(set(starts)) != len(starts) or len(starts) > CALIBRATIONS_MAX:
            raise refuse(where, f"two calibrations begin at one instant, or there are more than {CALIBRATIONS_MAX}")
        for component in components:
            if (component.value is None) == (component.value_pct is None):
                raise refuse(f"{where}: uncertainty {component.name}", "needs one of value and value_pct")
