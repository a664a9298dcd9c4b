"""Operator emissions data as people read it: what each good carries, how it came about, what is open.

operator_sheet(data, digest)
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from plumeproof.cbam.attribution import Item, ProcessResult
from plumeproof.cbam.measured import Measured, ids_of
from plumeproof.cbam.operator_data import OTHER, STANDING, OperatorData, acts
from plumeproof.documents.declared import add, text_of
from plumeproof.documents.sheet import BAD, GOOD, OPEN, Block, Facts, Heading, Sheet, Table, Text, Verdict
from plumeproof.documents.site_time import time_text

GAPS_SHOWN = 12
SHOWN = Decimal("0.001")  # t on the sheet; JSON and CSV have every digit
KINDS = {
    "measured": "Measured", "calculated": "Calculated", "heat": "Heat", "waste_gas": "Waste gas",
    "electricity": "Electricity consumed", "electricity_exported": "Electricity given away",
    "precursor": "Precursor", "own_precursor": "Own precursor",
}  # fmt: skip


def operator_sheet(data: OperatorData, digest: str) -> Sheet:
    """For page and paper."""
    blocks: list[Block] = [*_verdicts(data), *_who(data), *_goods(data)]
    for process in data.attribution.processes:
        blocks += _process(process, data)
    for one in data.measured:
        blocks += _measured(one, data.offset_min)
    for period in data.periods:
        if period.parameters:
            rows = tuple((one.cn, one.name, one.value, one.unit) for one in period.parameters)
            blocks += [Heading("Qualifying parameters"), Table(("CN code", "Parameter", "Value", "Unit"), rows)]
        for price in period.carbon_prices:
            told = f"{text_of(price.amount)} {price.currency} for {text_of(price.covered_t)} t CO2e, "
            told += f"rebate {text_of(price.rebate)}"
            facts = (("Instrument", price.instrument), ("Legal act", price.legal_act), ("Paid", told))
            blocks += [Heading("Carbon price"), Facts((*facts, ("Evidence", price.evidence)))]
        for name, texts in (("Deviations", period.deviations), ("Planned improvements", period.improvements)):
            if texts:
                blocks += [Heading(name), *(Text(text) for text in texts)]
    blocks += [
        Heading("What this rests on"),
        Table(
            ("Act", "On", "Confidence", "Last checked"),
            tuple(
                (one.act, one.subject, one.confidence, f"{one.checked}, {one.how}")
                for one in acts()
                if one.kind == "definitive"
            ),
            widths=(29, 29, 15, 27),
        ),
        Text(
            f"Code lists: {data.table.book.unverified()} rows have not been compared with the acts by anybody yet; "
            "bridge/CBAM.md says which."
        ),
    ]
    subtitle = f"{data.site.works.name}, {data.days}"
    return Sheet("CBAM: operator emissions data", subtitle, tuple(blocks), STANDING.text, f"SHA-256 {digest}")


def _verdicts(data: OperatorData) -> list[Block]:
    found: list[Block] = []
    direct = add([one.attributed.direct for one in data.attribution.processes])
    told = f"All {_t(direct)} t CO2e of direct emissions are attributed to goods, to the last digit"
    found.append(Verdict(told, GOOD))
    if not all(one.is_closed for one in data.measured):
        found.append(Verdict("The period is not closed: later records may still change measured figures", OPEN))
    for one in data.measured:
        if one.hours_missing:
            told = f"Source {one.source.id}: {one.hours_missing} hours are in no total"
            found.append(Verdict(f"{told}: no record, no flow, or nothing to substitute from", BAD))
        if one.tier is not None and not one.tier.is_met:
            told = f"tier {one.tier.reached} is reached, tier {one.tier.required} required"
            found.append(Verdict(f"Source {one.source.id}: {told}", BAD))
        if one.tier is None:
            told = "the plant description states none" if not one.measurand.uncertainty else "it is of single figures"
            found.append(Verdict(f"Source {one.source.id}: no tier is judged for want of an uncertainty: {told}", OPEN))
        if missing := _not_named(one):
            found.append(Verdict(f"Source {one.source.id}: the plant description names no {', '.join(missing)}", OPEN))
        if one.corroboration is None:
            found.append(Verdict(f"Source {one.source.id}: no corroborating calculation is stated", OPEN))
        elif _is_outside(one):
            found.append(Verdict(f"Source {one.source.id}: the corroborating calculation differs too much", BAD))
    if data.table.verifier is None:
        found.append(Verdict("No verifier is named; definitive data must be verified", OPEN))
    if data.kind == OTHER:
        found.append(Verdict(f"The period is no calendar year: {data.justification}", OPEN))
    return found


def _not_named(one: Measured) -> list[str]:
    """What of EN 14181 the plant description does not tell."""
    named = {what for what, _ in one.quality_references()}
    return [what for what in ("QAL2", "AST", "QAL3") if what not in named]


def _is_outside(one: Measured) -> bool:
    tolerance = None if one.corroboration is None else one.corroboration.tolerance_pct
    return tolerance is not None and one.difference_pct is not None and abs(one.difference_pct) > tolerance


def _who(data: OperatorData) -> list[Block]:
    head, party, works, verifier = data.table.head, data.site.party, data.site.works, data.table.verifier
    rows = [
        ("Operator", f"{party.legal_name} ({party.identifiers[0]})"),
        ("Installation", f"{works.name} ({head.installation_id}), {works.address}, {works.country}"),
        ("Main emission point", f"{works.latitude:.6f}, {works.longitude:.6f} degrees (WGS 84)"),
        ("CBAM Registry", f"operator {head.registry_operator_id or 'not registered'}, "
         f"installation {head.registry_installation_id or 'not registered'}"),
        ("Permits", ", ".join(permit.number for permit in data.site.permits)),
        ("Economic activity", head.economic_activity),
        ("Monitoring plan", f"{head.monitoring_plan}, version {head.monitoring_plan_version}"),
        ("Prepared on", data.periods[-1].prepared_on.isoformat()),
    ]  # fmt: skip
    if verifier is not None:
        told = (
            f"{verifier.name}, {verifier.accreditation_body} {verifier.accreditation_no}, report {verifier.report_id}"
        )
        rows.append(("Verifier", f"{told}: {verifier.opinion}"))
    if data.outside:
        rows.append(("Sources in no process", ", ".join(data.outside)))
    return [Facts(tuple(rows))]


def _goods(data: OperatorData) -> list[Block]:
    see = {one.process.id: one.see for one in data.attribution.processes}
    rows = tuple(
        (
            good.cn, good.name, f"{text_of(good.quantity)} {good.unit}", _t(good.attributed.direct),
            _t(good.attributed.indirect), text_of(see[good.process].direct), text_of(see[good.process].indirect),
        )
        for good in data.attribution.goods
    )  # fmt: skip
    head = ("CN code", "Good", "Produced", "Direct, t", "Indirect, t", "SEE direct", "SEE indirect")
    units = ", ".join(dict.fromkeys(f"t CO2e per {good.unit}" for good in data.attribution.goods))
    told = f"Attributed t CO2e, without precursors; specific embedded emissions (SEE) in {units}, with them."
    widths = (13, 20, 14, 13, 13, 13, 15)
    return [Heading("Goods"), Table(head, rows, frozenset({2, 3, 4, 5, 6}), widths=widths), Text(told)]


def _process(one: ProcessResult, data: OperatorData) -> list[Block]:
    category = data.table.book.categories[one.process.category]
    counts = {
        "yes": "part of the embedded emissions", "no": "reported, not part of the embedded emissions",
        "unknown": "whether they are part of the embedded emissions was not found out",
    }[category.counts_indirect]  # fmt: skip
    rows = tuple(
        (KINDS[item.kind], item.ref, _amount(item, data), "" if item.factor is None else text_of(item.factor),
         "direct" if item.is_direct else "indirect", _t(item.t), item.basis)
        for item in data.attribution.items if item.process == one.process.id
    )  # fmt: skip
    together = (
        ("Attributed", f"{_t(one.attributed.direct)} t CO2e direct, {_t(one.attributed.indirect)} t CO2e indirect"),
        ("Precursors", f"{_t(one.precursors.direct)} t CO2e direct, {_t(one.precursors.indirect)} t CO2e indirect"),
        ("Activity level", f"{text_of(one.level)} {one.unit}"),
        ("Indirect emissions", f"{counts} (category {category.name}; not verified)"),
        ("Boundary", one.process.boundary),
        ("Data quality", one.process.data_quality),
    )
    head = ("Item", "Which", "Amount", "Factor", "Counts as", "t CO2e", "Basis")
    table = Table(head, rows, frozenset({2, 3, 5}), widths=(16, 12, 14, 14, 11, 13, 22))
    told = "Factors in t CO2e per MWh, per TJ, or per unit of the precursor." if any(row[3] for row in rows) else ""
    head_line = Heading(f"Process {one.process.id}: {category.name}")
    return [head_line, Facts(together), table, *([Text(told)] if told else [])]


def _measured(one: Measured, offset_min: int) -> list[Block]:
    tier, check = one.tier, one.corroboration
    rows = [
        ("Method", f"measurement-based, rule set {one.rules.id}: {one.rules.title} ({one.rules.status})"),
        ("Declared", f"{text_of(one.t_co2e)} t CO2e, of {text_of(one.t_gas)} t {one.measurand.greenhouse_gas}"),
        ("Operating hours", f"{one.hours_op}, of them {one.hours_substituted} substituted"),
        ("Average hourly emission", "none" if one.mean_kg_h is None else f"{text_of(one.mean_kg_h)} kg/h"),
        ("Uncertainty (k = 2)", "not stated" if one.uncertainty_pct is None else f"{text_of(one.uncertainty_pct)} %"),
    ]
    if tier is not None:
        told = f"tier {tier.reached} reached; required is tier {tier.required} ({tier.required_pct:g} %)"
        rows.append(("Tier", told))
    if check is not None:
        told = f"{text_of(check.t_gas)} t; measured differs by "
        told += "nothing to compare" if one.difference_pct is None else f"{text_of(one.difference_pct)} %"
        told += "" if check.tolerance_pct is None else f", {text_of(check.tolerance_pct)} % agreed"
        rows.append(("Corroborating calculation", f"{told} ({check.basis})"))
    if one.measurand.biomass_share_pct:
        rows.append(("Biomass", f"{one.measurand.biomass_share_pct:g} % zero-rated: {one.biomass_evidence}"))
    rows += [(f"Quality assurance: {what}", told) for what, told in one.quality_references()]
    if missing := _not_named(one):
        rows.append(("Not in the plant description", ", ".join(missing)))
    if one.mean_g_m3 is not None and one.mean_m3_h is not None:
        told = f"{text_of(one.mean_g_m3)} g/Nm3 in {text_of(one.mean_m3_h)} Nm3/h, means of the hours with a mass (dry)"
        rows.append(("Concentration and flow", told))
    rows.append(("Figures for `plumeproof trace`", ids_of((*one.co2e, *one.mass, *one.means))))
    blocks: list[Block] = [Heading(f"Source {one.source.id}: {one.source.process}"), Facts(tuple(rows))]
    if one.gaps:
        gaps = tuple(
            (time_text(gap.start_utc_ms, offset_min), time_text(gap.end_utc_ms, offset_min), gap.status,
             "in no total" if gap.kg is None else _t(gap.kg))
            for gap in one.gaps[:GAPS_SHOWN]
        )  # fmt: skip
        blocks.append(Table(("Gap from", "to", "Hours are", "kg"), gaps, frozenset({3})))
        if len(one.gaps) > GAPS_SHOWN:
            blocks.append(Text(f"{len(one.gaps) - GAPS_SHOWN} more gaps are in the JSON."))
    return blocks


def _amount(item: Item, data: OperatorData) -> str:
    if item.amount is None:
        return ""
    unit = "TJ" if item.kind in ("heat", "waste_gas") else "MWh"
    if item.kind == "precursor":
        bought = next(one for period in data.periods for one in period.precursors if one.id == item.ref)
        unit = data.table.book.good(bought.cn).unit
    if item.kind == "own_precursor":
        unit = data.table.book.good(item.ref).unit
    return f"{text_of(item.amount)} {unit}"


def _t(number: Decimal) -> str:
    return format(number.quantize(SHOWN, ROUND_HALF_EVEN), ",")
