"""What a statement is made of, and the forms that its elements share: quantities, periods, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from plumeproof.documents.declared import Period, text_of
from plumeproof.documents.gwp_values import GwpValues
from plumeproof.documents.site import Site
from plumeproof.documents.site_time import time_text
from plumeproof.documents.statement_evidence import Resolved
from plumeproof.documents.statement_inputs import COVERAGE_FACTOR, StatementInputs
from plumeproof.documents.statement_plan import StatementPlan
from plumeproof.rules.plant import Plant

TONNES, TONNES_CO2E = "t", "tCO2e"
PFC, HFC = ("CF4", "C2F6", "C3F8"), "HFC-"


@dataclass(frozen=True, slots=True)
class StatementParts:
    """All that a statement is made of. `plants`: by id."""

    site: Site
    plan: StatementPlan
    values: GwpValues
    plants: Mapping[str, Plant]
    found: StatementInputs
    evidence: tuple[Resolved, ...]
    period_utc_ms: Period
    offset_min: int

    def urn(self, *names: str) -> str:
        """Stable over all statements of a site; the name space `plumeproof` is our own, not a registered one."""
        party = self.site.party.identifiers[0]
        return ":".join(quote(name, safe=":") for name in ("urn:plumeproof", party, self.site.works.id, *names))

    def time(self, utc_ms: int) -> str:
        """By the site's clock."""
        return time_text(utc_ms, self.offset_min)


def gas_group(gas: str) -> str:
    """As which of GASES a gas is reported; CO2e of a factor is by itself."""
    return "PFCs" if gas in PFC else "HFCs" if gas.startswith(HFC) else gas


def period_of(parts: StatementParts, span: Period) -> dict[str, str]:
    """Half-open: `end` is the first instant that is not in it."""
    return {"start": parts.time(span[0]), "end": parts.time(span[1])}


def quantity_of(value: Decimal, unit: str, expanded: Decimal | None = None) -> dict[str, Any]:
    told = None if expanded is None else {"expanded": text_of(expanded), "coverageFactor": str(COVERAGE_FACTOR)}
    return {"value": text_of(value), "unit": unit, "uncertainty": told}
