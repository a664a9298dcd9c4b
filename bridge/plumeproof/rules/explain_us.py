"""Mass of an hour once more by 40 CFR 75 Appendix F, in pounds or short tons, beside what the engine made in kg.

The engine's mass is that of every rule set: mg/m3 times m3/h, both at 0 degC (our_units.mass_state_factor). A US reader
compares with the formulas of Appendix F (DK 0.9), which take ppm or % and standard cubic feet an hour at 68 degF and
29.92 inHg, both dry here.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumeproof.rules import conditions, part75
from plumeproof.rules.figure import MASS
from plumeproof.rules.our_units import BY_VOLUME
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.short_terms import MeasurandTerms
from plumeproof.rules.step import Step
from plumeproof.rules.term_sums import TermSums

PART_75 = "us_part75"
STANDARD_K = 293.15  # 68 degF
KG_PER_LB = 0.45359237
KG_PER_SHORT_TON = 2000.0 * KG_PER_LB
CUBIC_FEET = 35.31466672148859  # of a cubic metre
SOURCE = "40 CFR 75 Appendix F; ppm and scfh at 68 degF, 29.92 inHg, dry; for comparison, no figure rests on it"
OF_GAS = {"SO2": "SO2", "NO": "NOx", "NO2": "NOx", "NOx": "NOx", "CO2": "CO2"}


def appendix_f_steps(rules: RuleSet, sums: TermSums, own: MeasurandTerms) -> Iterator[Step]:
    """Nothing for another rule set, another gas, or without mass."""
    one = own.measurand
    if one is None or PART_75 not in rules.lineage or MASS not in own.layers or not own.layers[MASS].exists[0]:
        return
    gas = OF_GAS.get(one.gas or one.id)
    if gas is None:
        return
    dry, normal = float(own.workings["dry_mg_m3"][0]), float(own.workings["flow_m3_h"][0])
    weight = conditions.molar_mass_g_mol("NO2" if gas == "NOx" else gas)
    # Back to ppm by what made mg/m3 of it; a channel in mg/m3 is normal, at 0 degC
    volume = rules.settings.molar_volume if one.unit in BY_VOLUME else conditions.MOLAR_VOLUME
    ppm, zero = dry * volume / weight, conditions.ZERO_CELSIUS_K
    yield Step(f"{gas}, dry", f"{dry!r} * {volume!r} / {weight!r}", ppm, "ppm", SOURCE)
    scfh = normal * STANDARD_K / zero * CUBIC_FEET
    yield Step("flow, dry", f"{normal!r} * {STANDARD_K!r} / {zero!r} * {CUBIC_FEET!r}", scfh, "scfh", SOURCE)
    if gas == "CO2":
        factor, unit, value = part75.CO2_TON_PER_PCT_SCF, "short ton/h", ppm / 10_000.0
        yield Step("CO2, dry", f"{ppm!r} / 10000.0", value, "%", SOURCE)
        rate = part75.co2_ton_h(value, scfh)
    else:
        is_so2, value, unit = gas == "SO2", ppm, "lb/h"
        factor = part75.SO2_LB_PER_PPM_SCF if is_so2 else part75.NOX_LB_PER_PPM_SCF
        rate = (part75.so2_lb_h if is_so2 else part75.nox_lb_h)(value, scfh)
    made = float(own.layers[MASS].values[0])
    kg_h = float(rate) * (KG_PER_SHORT_TON if gas == "CO2" else KG_PER_LB)
    told = f"{kg_h:.6g} kg/h; the mass above is {made:.6g} kg/h"
    if made:
        told += f", apart by {abs(kg_h / made - 1.0) * 100.0:.2f} %: the factor of Appendix F is rounded"
    yield Step("rate by Appendix F", f"{factor!r} * {value!r} * {scfh!r}", float(rate), unit, SOURCE, told)
    run, whole = int(sums.expected[own.row, 0]), int(sums.period[own.row])
    told = f"{run} of {whole} slots in operation"
    mass = float(part75.in_hour(rate, run / whole))
    yield Step("of the hour", f"{float(rate)!r} * ({run} / {whole})", mass, unit.removesuffix("/h"), SOURCE, told)
