"""Operator emissions data as CSV: one row a line item, columns that stay, every unit in its column's name.

For people who type or paste into a template: UTF-8 with the mark that spreadsheets look for, a point as decimal sign,
text that a spreadsheet would take for a formula marked with an apostrophe. bridge/CBAM.md says which block goes where.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from plumeproof.cbam.attribution import PRECURSORS, Item
from plumeproof.cbam.entries import OwnPrecursor, Precursor
from plumeproof.cbam.measured import Measured, ids_of
from plumeproof.cbam.operator_data import OperatorData
from plumeproof.documents.declared import multiply, text_of
from plumeproof.documents.hours import tonnes_text
from plumeproof.documents.site_time import time_text

BOM = b"\xef\xbb\xbf"
COLUMNS = (
    "section", "item", "process", "cn_code", "country", "description", "method", "amount_t", "amount_MWh", "amount_TJ",
    "factor_tCO2e_per_MWh", "factor_tCO2e_per_TJ", "direct_tCO2e", "indirect_tCO2e",
    "see_direct_tCO2e_per_unit", "see_indirect_tCO2e_per_unit", "functional_unit", "operating_hours_h", "mean_kg_per_h",
    "mean_g_per_Nm3", "mean_Nm3_per_h",
    "uncertainty_pct", "tier", "corroborating_t", "difference_pct", "basis", "figures",
)  # fmt: skip
HOUR_COLUMNS = (
    "hour_start",
    "hour_start_utc",
    "source",
    "outlet",
    "gas",
    "rule_set",
    "status",
    "mass_t",
    "concentration_g_per_Nm3",
    "flow_Nm3_per_h",
    "closed",
    "figure",
)
FORMULA_SIGNS = ("=", "+", "-", "@", "\t")
_TEXTS = ("item", "description", "basis", "country", "method")
Row = dict[str, str]


def operator_csv(data: OperatorData) -> bytes:
    """The whole of it."""
    return _file(COLUMNS, _rows(data))


def hours_csv(data: OperatorData) -> bytes:
    """Each clock hour of each measured source: t of its gas with six decimals, and the id that `trace` opens."""
    return _file(HOUR_COLUMNS, (row for one in data.measured for row in _hours(one, data.offset_min)))


def _rows(data: OperatorData) -> Iterator[Row]:
    head, works, party = data.table.head, data.site.works, data.site.party
    for name, told in (
        ("operator", party.legal_name),
        ("registration number", party.identifiers[0]),
        ("installation", works.name),
        ("installation id", head.installation_id),
        ("economic activity", head.economic_activity),
        ("period", data.days),
        ("monitoring plan", f"{head.monitoring_plan}, version {head.monitoring_plan_version}"),
    ):
        yield {"section": "head", "item": name, "country": works.country, "description": told}
    for process in data.attribution.processes:
        yield {
            "section": "process",
            "item": process.process.id,
            "process": process.process.id,
            "description": f"{process.process.category}: {process.process.boundary}",
            "method": ", ".join(process.process.routes),
            "amount_MWh" if process.unit == "MWh" else "amount_t": text_of(process.level),
            "direct_tCO2e": text_of(process.attributed.direct),
            "indirect_tCO2e": text_of(process.attributed.indirect),
            "functional_unit": process.unit,
        }
    for source in data.measured:
        yield _source(source)
    for item in data.attribution.items:
        if item.kind not in PRECURSORS:
            yield _item(item)
    for period in data.periods:
        for precursor in period.precursors:
            yield from _precursor(precursor, data.table.book.good(precursor.cn).unit)
        for own in period.own_precursors:
            yield _own_precursor(own, data)
    for good in data.attribution.goods:
        see = next(one.see for one in data.attribution.processes if one.process.id == good.process)
        yield {
            "section": "good",
            "item": good.cn,
            "process": good.process,
            "cn_code": good.cn,
            "description": good.name,
            "amount_MWh" if good.unit == "MWh" else "amount_t": text_of(good.quantity),
            "direct_tCO2e": text_of(good.attributed.direct),
            "indirect_tCO2e": text_of(good.attributed.indirect),
            "see_direct_tCO2e_per_unit": text_of(see.direct),
            "see_indirect_tCO2e_per_unit": text_of(see.indirect),
            "functional_unit": good.unit,
        }
    for period in data.periods:
        for one in period.parameters:
            told = f"{one.name}: {one.value} {one.unit}"
            yield {"section": "parameter", "item": one.name, "cn_code": one.cn, "description": told}
        for price in period.carbon_prices:
            told = f"{price.instrument}: {text_of(price.amount)} {price.currency} for {text_of(price.covered_t)} t CO2e"
            yield {"section": "carbon_price", "item": price.legal_act, "description": told, "basis": price.evidence}


def _item(item: Item) -> Row:
    unit = "TJ" if item.kind in ("heat", "waste_gas") else "MWh"
    row = {
        "section": item.kind,
        "item": item.ref,
        "process": item.process,
        "method": item.method,
        "direct_tCO2e" if item.is_direct else "indirect_tCO2e": text_of(item.t),
        "basis": item.basis,
    }
    if item.amount is not None and item.factor is not None:
        row[f"amount_{unit}"] = text_of(item.amount)
        row[f"factor_tCO2e_per_{unit}"] = text_of(item.factor)
    return row


def _precursor(one: Precursor, unit: str) -> Iterator[Row]:
    for use in one.uses:
        yield {
            "section": "precursor",
            "item": one.id,
            "process": use.process,
            "cn_code": one.cn,
            "country": one.country,
            "description": one.installation,
            f"amount_{unit}": text_of(use.quantity),
            "direct_tCO2e": text_of(multiply(use.quantity, one.see_direct)),
            "indirect_tCO2e": text_of(multiply(use.quantity, one.see_indirect)),
            "see_direct_tCO2e_per_unit": text_of(one.see_direct),
            "see_indirect_tCO2e_per_unit": text_of(one.see_indirect),
            "functional_unit": unit,
            "basis": f"{one.basis} {one.report}".strip(),
        }


def _own_precursor(one: OwnPrecursor, data: OperatorData) -> Row:
    home = next(good.process for good in data.attribution.goods if good.cn == one.cn)
    made = next(process for process in data.attribution.processes if process.process.id == home)
    return {
        "section": "own_precursor",
        "item": one.cn,
        "process": one.process,
        "cn_code": one.cn,
        "description": f"made by process {home}",
        f"amount_{made.unit}": text_of(one.quantity),
        "direct_tCO2e": text_of(multiply(one.quantity, made.see.direct)),
        "indirect_tCO2e": text_of(multiply(one.quantity, made.see.indirect)),
        "see_direct_tCO2e_per_unit": text_of(made.see.direct),
        "see_indirect_tCO2e_per_unit": text_of(made.see.indirect),
        "functional_unit": made.unit,
    }


def _source(one: Measured) -> Row:
    """The source as a whole; `measured` rows are the parts of it that processes stand for."""
    row = {
        "section": "source",
        "item": one.source.id,
        "description": f"{one.source.process}; {one.measurand.greenhouse_gas} by rule set {one.rules.id}",
        "method": "measurement",
        "amount_t": text_of(one.t_gas),
        "direct_tCO2e": text_of(one.t_co2e),
        "operating_hours_h": str(one.hours_op),
        "figures": ids_of(one.co2e),
    }
    if one.mean_kg_h is not None:
        row["mean_kg_per_h"] = text_of(one.mean_kg_h)
    if one.mean_g_m3 is not None and one.mean_m3_h is not None:
        row |= {"mean_g_per_Nm3": text_of(one.mean_g_m3), "mean_Nm3_per_h": text_of(one.mean_m3_h)}
    if one.uncertainty_pct is not None:
        row["uncertainty_pct"] = text_of(one.uncertainty_pct)
    if one.tier is not None:
        row["tier"] = str(one.tier.reached)
    if one.corroboration is not None:
        row |= {"corroborating_t": text_of(one.corroboration.t_gas), "basis": one.corroboration.basis}
    if one.difference_pct is not None:
        row["difference_pct"] = text_of(one.difference_pct)
    return row


def _hours(one: Measured, offset_min: int) -> Iterator[Row]:
    for hour in one.hours:
        yield {
            "hour_start": time_text(hour.start_utc_ms, offset_min),
            "hour_start_utc": time_text(hour.start_utc_ms, 0).replace("+00:00", "Z"),
            "source": one.source.id,
            "outlet": one.source.outlet,
            "gas": one.measurand.greenhouse_gas or "",
            "rule_set": one.rules.id,
            "status": hour.status,
            "mass_t": "" if hour.kg is None else tonnes_text(hour.kg),
            "concentration_g_per_Nm3": "" if hour.mg_m3 is None else text_of(hour.mg_m3.scaleb(-3)),
            "flow_Nm3_per_h": "" if hour.m3_h is None else text_of(hour.m3_h),
            "closed": "yes" if hour.is_closed else "no",
            "figure": hour.figure_id,
        }


def _file(columns: tuple[str, ...], rows: Iterator[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")  # RFC 4180
    writer.writeheader()
    for row in rows:
        for name in _TEXTS:
            if row.get(name, "").startswith(FORMULA_SIGNS):
                row[name] = f"'{row[name]}"
        writer.writerow(row)
    return BOM + text.getvalue().encode()
