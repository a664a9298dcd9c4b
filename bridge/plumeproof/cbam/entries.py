"""Entries of [cbam] in site.toml, one dataclass each; site_table.py reads them and checks them against each other.

Numbers are text in quotes and keep their digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from plumeproof.documents.site import day_text
from plumeproof.section import Check, list_of, one_of, setting, text_like, typed

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CURRENCY = re.compile(r"[A-Z]{3}")
CALCULATED = ("calculationStandard", "massBalance")
HEAT_KINDS = ("heat", "waste_gas")
GASES = ("CO2", "N2O", "PFC")
OPINIONS = ("unmodified", "modified", "adverse", "disclaimer", "none yet")
NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")  # so that sums and products stay exact
_ID: Check = text_like(ID, "id (letters, digits, . _ -)")
_TEXT: Check = text_like()


def _amount(value: Any, _folder: Path) -> Decimal:
    """A number in quotes, 0 or more."""
    number = _signed(value, _folder)
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number


def _signed(value: Any, _folder: Path) -> Decimal:
    """A number in quotes."""
    text = typed(value, str)
    if NUMBER.fullmatch(text) is None:
        raise ValueError(f'{text[:40]!r} is no number; write it in quotes, "10.5", with 12 digits on each side at most')
    return Decimal(text)


def _percent(value: Any, _folder: Path) -> Decimal:
    """As `_amount`, 100 at most."""
    number = _amount(value, _folder)
    if number > 100:
        raise ValueError(f"{number} is more than 100 %")
    return number


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who verified; absent until somebody has."""

    name: str = setting(_TEXT)
    accreditation_no: str = setting(_TEXT)
    accreditation_body: str = setting(_TEXT)
    report_id: str = setting(_TEXT)
    opinion: str = setting(one_of(*OPINIONS), "none yet")


@dataclass(frozen=True, slots=True)
class SourceShare:
    """An emission source of the site that a process stands for, whole or in part. `biomass_evidence`: what zero-rated
    biomass rests on (such as a C-14 report)."""

    id: str = setting(_TEXT)
    share_pct: Decimal = setting(_percent, Decimal(100))
    biomass_evidence: str = setting(_TEXT, "")


@dataclass(frozen=True, slots=True)
class Process:
    """A production process. `category`: of its goods."""

    id: str = setting(_ID)
    category: str = setting(_TEXT)
    boundary: str = setting(_TEXT)
    data_quality: str = setting(_TEXT)
    routes: tuple[str, ...] = setting(list_of(_TEXT), ())
    is_joint: bool = setting(one_of(True, False), False)
    sources: tuple[SourceShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Produced:
    """A CN code that a process makes."""

    cn: str = setting(_TEXT)
    process: str = setting(_TEXT)
    name: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class Production:
    """Activity level of a good in a period, in its functional unit."""

    cn: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)
    basis: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class Stream:
    """Emissions that are calculated, not measured."""

    id: str = setting(_ID)
    process: str = setting(_TEXT)
    method: str = setting(one_of(*CALCULATED))
    t_co2e: Decimal = setting(_signed)
    basis: str = setting(_TEXT)
    gas: str = setting(one_of(*GASES), "CO2")


@dataclass(frozen=True, slots=True)
class Heat:
    """Heat or waste gas that crosses the boundary of a process."""

    process: str = setting(_TEXT)
    kind: str = setting(one_of(*HEAT_KINDS))
    factor_t_tj: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    imported_tj: Decimal = setting(_amount, Decimal(0))
    exported_tj: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Electricity:
    """`factor_t_mwh`: of what is consumed; `export_factor_t_mwh`: of what the process made and gave away."""

    process: str = setting(_TEXT)
    source: str = setting(_TEXT)
    consumed_mwh: Decimal = setting(_amount)
    factor_t_mwh: Decimal = setting(_amount)
    factor_source: str = setting(_TEXT)
    exported_mwh: Decimal = setting(_amount, Decimal(0))
    export_factor_t_mwh: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a precursor a process consumed."""

    process: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)


@dataclass(frozen=True, slots=True)
class Precursor:
    """Bought goods that are CBAM goods themselves. `report`: of their verification, where the basis is actual."""

    id: str = setting(_ID)
    cn: str = setting(_TEXT)
    country: str = setting(_TEXT)
    installation: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)
    see_direct: Decimal = setting(_amount)
    see_indirect: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    report: str = setting(_TEXT, "")
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnPrecursor:
    """A good that is made here and consumed by another process here: it carries the SEE that it has here."""

    cn: str = setting(_TEXT)
    process: str = setting(_TEXT)
    quantity: Decimal = setting(_amount)


@dataclass(frozen=True, slots=True)
class Corroboration:
    """The calculation that is kept beside a measured source, t of its gas."""

    source: str = setting(_TEXT)
    t_gas: Decimal = setting(_amount)
    basis: str = setting(_TEXT)
    tolerance_pct: Decimal | None = setting(_percent, None)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A qualifying parameter of a good, such as its clinker share."""

    cn: str = setting(_TEXT)
    name: str = setting(_TEXT)
    value: str = setting(_TEXT)
    unit: str = setting(_TEXT)


@dataclass(frozen=True, slots=True)
class CarbonPrice:
    """What was paid for carbon in the country of origin."""

    instrument: str = setting(_TEXT)
    legal_act: str = setting(_TEXT)
    amount: Decimal = setting(_amount)
    currency: str = setting(text_like(CURRENCY, "currency code (ISO 4217, such as CNY)"))
    covered_t: Decimal = setting(_amount)
    evidence: str = setting(_TEXT)
    rebate: Decimal = setting(_amount, Decimal(0))


@dataclass(frozen=True, slots=True)
class Period:
    """What was in one period. `prepared_on`: the day of its documents."""

    first: str
    end: str
    prepared_on: date = setting(day_text)
    justification: str = setting(_TEXT, "")
    deviations: tuple[str, ...] = setting(list_of(_TEXT), ())
    improvements: tuple[str, ...] = setting(list_of(_TEXT), ())
    production: tuple[Production, ...] = ()
    streams: tuple[Stream, ...] = ()
    heat: tuple[Heat, ...] = ()
    electricity: tuple[Electricity, ...] = ()
    precursors: tuple[Precursor, ...] = ()
    own_precursors: tuple[OwnPrecursor, ...] = ()
    corroborations: tuple[Corroboration, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    carbon_prices: tuple[CarbonPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """Of the whole table."""

    installation_id: str = setting(text_like(ID, "installation id (letters, digits, . _ -)"))
    economic_activity: str = setting(_TEXT)
    monitoring_plan: str = setting(_TEXT)
    monitoring_plan_version: str = setting(_TEXT)
    registry_operator_id: str = setting(_TEXT, "")
    registry_installation_id: str = setting(_TEXT, "")
    unlocode: str = setting(_TEXT, "")
