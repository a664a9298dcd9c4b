"""The fuels and carbon streams of one year, from which annual CO2 is calculated once more ((EU) 2018/2066 Art. 46).

A file of its own, TOML: what was burnt is known after the year, and no figure rests on it, so it must not change the
description that every figure names by its hash. Compared with the measured fossil CO2 by rules/mass_balance.py.

    year = load_fuels(Path("fuels-2026.toml")); year.calculated_t()
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from plumeproof.errors import ConfigError
from plumeproof.rules.mass_balance import DIRECTIONS, CarbonStream, Fuel, calculate_co2_t
from plumeproof.section import Section, number_in, one_of, setting, text_like
from plumeproof.toml_file import parse_toml, read_text

SAMPLE = "plumeproof limits --sample-fuels"
FILE_MAX_BYTES = 64 * 1024
ENTRIES_MAX = 200


@dataclass(frozen=True, slots=True)
class FuelYear:
    """`tolerance_pct`: of the measured tonnes, as agreed with the authority; None: the difference is only stated."""

    plant: str
    measurand: str
    year: int
    tolerance_pct: float | None
    fuels: tuple[Fuel, ...]
    streams: tuple[CarbonStream, ...]

    def calculated_t(self) -> float:
        """Fossil CO2 of the year by fuels and the balance of carbon. Raises RuleError."""
        return calculate_co2_t(self.fuels, self.streams)


@dataclass(frozen=True, slots=True)
class _Head:
    plant: str = setting(text_like())
    year: int = setting(number_in(int, 2000, 2200))
    measurand: str = setting(text_like(), "CO2")
    tolerance_pct: float | None = setting(number_in(float, 0.0, 100.0), None)


@dataclass(frozen=True, slots=True)
class _Fuel:
    id: str = setting(text_like())
    amount_t: float = setting(number_in(float, 0.0, 1e9))
    net_calorific_value_gj_t: float = setting(number_in(float, 0.0, 1e3))
    emission_factor_t_tj: float = setting(number_in(float, 0.0, 1e3))
    oxidation: float = setting(number_in(float, 0.0, 1.0), 1.0)
    biomass_fraction: float = setting(number_in(float, 0.0, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class _Stream:
    id: str = setting(text_like())
    direction: str = setting(one_of(*DIRECTIONS))
    amount_t: float = setting(number_in(float, -1e9, 1e9))
    carbon_fraction: float = setting(number_in(float, 0.0, 1.0))


def load_fuels(path: Path) -> FuelYear:
    """Read and check completely. Raises ConfigError: one line with file, line, key and mend."""
    text = read_text(path, FILE_MAX_BYTES, f"`{SAMPLE}` prints one", "these are no fuels of a year")
    tree, lines = parse_toml(text, path)
    top = Section(tree, (), lines, path, SAMPLE)
    top.only("corroborating", "fuel", "stream")
    head = top.inner("corroborating", is_needed=True).build(_Head)
    fuels = tuple(Fuel(**asdict(one)) for one in top.each("fuel", _Fuel))
    streams = tuple(CarbonStream(**asdict(one)) for one in top.each("stream", _Stream))
    if not 1 <= len(fuels) + len(streams) <= ENTRIES_MAX:
        raise ConfigError(str(path), f"has no [[fuel]] and no [[stream]], or more than {ENTRIES_MAX}; `{SAMPLE}`")
    return FuelYear(head.plant, head.measurand, head.year, head.tolerance_pct, fuels, streams)


def sample_fuels() -> str:
    """A commented file."""
    return (resources.files("plumeproof.rules") / "sample_fuels.toml").read_text(encoding="utf-8")
