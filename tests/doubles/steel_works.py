"""A [cbam] table of a steel works with two processes over one measured source, for site.toml; from the sample site."""

from __future__ import annotations

import re
from importlib.resources import files

HEAD = """
[cbam]
installation_id = "IN-CN-0001"
economic_activity = "Manufacture of basic iron and steel"
monitoring_plan = "MP-1"
monitoring_plan_version = "3"

[[cbam.process]]
id = "P1"
category = "crude_steel"
boundary = "Electric arc furnace and caster"
data_quality = "continuous measurement, EN 14181"
routes = ["EAF"]
[[cbam.process.source]]
id = "S1"
share_pct = "62.5"
biomass_evidence = "C-14 report 12/2026"
[[cbam.process]]
id = "P2"
category = "iron_or_steel_products"
boundary = "Hot rolling mill"
data_quality = "continuous measurement, EN 14181"
[[cbam.process.source]]
id = "S1"
share_pct = "37.5"
biomass_evidence = "C-14 report 12/2026"

[[cbam.good]]
cn = "72071111"
process = "P1"
name = "Billets"
[[cbam.good]]
cn = "72085120"
process = "P2"
name = "Flat-rolled products, hot-rolled"
[[cbam.good]]
cn = "72142000"
process = "P2"
name = "=Reinforcing bars"
"""
PERIOD = """
[[cbam.period]]
from = "FROM"
to = "TO"
prepared_on = "2027-04-15"
justification = "first months of measurement"
deviations = ["Weighbridge 2 stood still; weights of the crane were taken"]
[[cbam.period.production]]
cn = "72071111"
quantity = "1300.5"
basis = "weighbridge"
[[cbam.period.production]]
cn = "72085120"
quantity = "700"
basis = "weighbridge"
[[cbam.period.production]]
cn = "72142000"
quantity = "333.333"
basis = "weighbridge"
[[cbam.period.stream]]
id = "L1"
process = "P1"
method = "massBalance"
t_co2e = "12.5"
basis = "electrodes and carbon of charge"
[[cbam.period.heat]]
process = "P2"
kind = "heat"
imported_tj = "3.2"
exported_tj = "0.7"
factor_t_tj = "56.1"
basis = "heat meters; supplier's factor"
[[cbam.period.electricity]]
process = "P1"
source = "grid"
consumed_mwh = "650.25"
factor_t_mwh = "0.5366"
factor_source = "national grid factor 2025"
exported_mwh = "10"
export_factor_t_mwh = "0.4"
[[cbam.period.electricity]]
process = "P2"
source = "ppa"
consumed_mwh = "80"
factor_t_mwh = "0.01"
factor_source = "contract 4711"
[[cbam.period.precursor]]
id = "V1"
cn = "72031000"
country = "IN"
installation = "IN-DRI-7"
quantity = "1000"
see_direct = "1.4"
see_indirect = "0.2"
basis = "actualVerified"
report = "VR-77"
[[cbam.period.precursor.use]]
process = "P1"
quantity = "900"
[[cbam.period.own_precursor]]
cn = "72071111"
process = "P2"
quantity = "850"
[[cbam.period.corroboration]]
source = "S1"
t_gas = "4400"
basis = "carbon balance 12/2026"
tolerance_pct = "5"
[[cbam.period.parameter]]
cn = "72085120"
name = "Manganese"
value = "1.2"
unit = "%"
[[cbam.period.carbon_price]]
instrument = "emission trading"
legal_act = "National ETS order"
amount = "1000"
currency = "CNY"
covered_t = "20.5"
evidence = "invoice 5"
"""


def site_text(*periods: tuple[str, str]) -> str:
    """The sample site without its NOx, which the plant of carbon_month.py does not measure, and without what belongs
    to other documents; then the works."""
    text = files("plumeproof.documents").joinpath("sample_site.toml").read_text(encoding="utf-8")
    text = text[: text.index("[[source]]")] + text[text.index("[[source]]") :].split("\n\n", 1)[0] + "\n"
    text = re.sub(r"\[\[permit.outlet.pollutant\]\]\nmeasurand = \"NOx\".*?\n\n", "", text, flags=re.DOTALL)
    return text + HEAD + "".join(PERIOD.replace("FROM", first).replace("TO", end) for first, end in periods)
