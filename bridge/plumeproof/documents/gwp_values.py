"""Global warming potentials that a statement is made with: an editable table with source, horizon and verified date.

Beside the averaging's own table (rules/gwp.py), which says what a regime such as EU ETS uses: a statement by ISO
14064-1:2018 clause 6.5 takes the newest IPCC values, or says why it does not.

    table = load_gwp_values("ar6", folder); table.values["N2O"]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plumeproof.documents.site import day_text, decimal_text
from plumeproof.errors import ConfigError
from plumeproof.section import Section, number_in, one_of, setting, text_like

SHIPPED = ("ar6", "ar5")
FILE_MAX_BYTES = 256 * 1024
GASES_MAX = 500
_GAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_VALUE = decimal_text("0.000001", "1000000")


def _values(value: Any, folder: Path) -> Mapping[str, Decimal]:
    if not isinstance(value, dict) or not 1 <= len(value) <= GASES_MAX:
        raise ValueError(f"must be an object of 1 to {GASES_MAX} gases")
    found = {}
    for gas, text in value.items():
        if _GAS.fullmatch(gas) is None:
            raise ValueError(f"{gas[:40]!r} is no gas")
        found[gas] = _VALUE(text, folder)
    if found.get("CO2") != 1:
        raise ValueError("CO2 must be there and be 1: it is what the others are compared with")
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class GwpValues:
    """t CO2e per t of each gas over `horizon_years`."""

    id: str = setting(text_like())
    version: str = setting(text_like())
    source: str = setting(text_like())
    publication: str = setting(text_like())
    horizon_years: int = setting(number_in(int, 1, 1000))
    is_latest: bool = setting(one_of(True, False))
    verified: date = setting(day_text)
    verified_how: str = setting(text_like())
    values: Mapping[str, Decimal] = setting(_values)


def load_gwp_values(name: str, folder: Path) -> GwpValues:
    """A shipped table by its name, or one of your own by its path. Raises ConfigError."""
    if name in SHIPPED:
        where = Path(f"gwp_{name}.json")
        raw = files("plumeproof.documents").joinpath("tables", where.name).read_bytes()
    else:
        where = folder / name
        try:
            with where.open("rb") as file:
                raw = file.read(FILE_MAX_BYTES + 1)
        except OSError as error:
            told = f"cannot be read: {error.strerror}; name a file or one of {', '.join(SHIPPED)}"
            raise ConfigError(str(where), told) from error
    try:
        tree: Any = json.loads(raw) if len(raw) <= FILE_MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(where), f"is no JSON: {str(error)[:80]}") from error
    top = Section(tree, (), {}, where, "the shipped table gwp_ar6.json")
    return top.build(GwpValues)
