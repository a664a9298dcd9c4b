"""One average as SenML JSON (RFC 8428). Pure.

A pack has the base name gateway/module/channel/interval/, the base time (start of the interval, Unix seconds) and one
record for each number: mean, minimum, maximum, deviation, expected, valid. A number that does not exist has no record.
Texts follow: the unit in our own words, rule, parameters and the record that the average ends with, so that a reader
finds its way back to the evidence. What can be recomputed bit for bit is the form `average`, not this one.

Units are those of the SenML registry. Where it holds only another multiple (mg/m3: kg/m3, %: /, m3/h: m3/s) the number
is converted, exactly and rounded once; in that registry "%" is no percent but the ratio itself. A unit that it does not
hold goes without `u`. Bodies are RFC 8785 JSON: the same average gives the same bytes.

    build_senml("gateway-01", 7, average)
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import rfc8785

from plumeproof.model import Average

# Our unit: symbol in the registry of RFC 8428 section 12.1 (kg/m3: RFC 8798 section 2), and what one of ours is in it
UNITS: dict[str, tuple[str, Fraction]] = {
    "kg/m3": ("kg/m3", Fraction(1)),
    "g/m3": ("kg/m3", Fraction(1, 10**3)),
    "mg/m3": ("kg/m3", Fraction(1, 10**6)),
    "ug/m3": ("kg/m3", Fraction(1, 10**9)),
    "1": ("/", Fraction(1)),
    "%": ("/", Fraction(1, 10**2)),
    "ppm": ("/", Fraction(1, 10**6)),
    "ppb": ("/", Fraction(1, 10**9)),
    "degC": ("Cel", Fraction(1)),
    "K": ("K", Fraction(1)),
    "Pa": ("Pa", Fraction(1)),
    "hPa": ("Pa", Fraction(10**2)),
    "mbar": ("Pa", Fraction(10**2)),
    "kPa": ("Pa", Fraction(10**3)),
    "bar": ("Pa", Fraction(10**5)),
    "m/s": ("m/s", Fraction(1)),
    "m3/s": ("m3/s", Fraction(1)),
    "m3/h": ("m3/s", Fraction(1, 3600)),
    "mA": ("A", Fraction(1, 10**3)),
    "V": ("V", Fraction(1)),
    "kW": ("W", Fraction(10**3)),
    "kg": ("kg", Fraction(1)),
    "t": ("kg", Fraction(10**3)),
}
COUNT = "count"
DIFFERENCES = {"Cel": "K"}  # a deviation of degrees Celsius is no temperature


def build_senml(gateway: str, average_id: int, average: Average) -> bytes:
    """The pack of one average."""
    symbol, factor = UNITS.get(average.unit, ("", Fraction(1)))
    numbers = (
        ("mean", average.mean, symbol),
        ("minimum", average.minimum, symbol),
        ("maximum", average.maximum, symbol),
        ("deviation", average.deviation, DIFFERENCES.get(symbol, symbol)),
    )
    records: list[dict[str, Any]] = []
    for name, value, unit in numbers:
        converted = None if value is None else _convert(value, factor)
        if converted is not None:
            records.append({"n": name, "v": converted} | ({"u": unit} if unit else {}))
    records += [
        {"n": "expected", "u": COUNT, "v": average.n_expected},
        {"n": "valid", "u": COUNT, "v": average.n_valid},
        {"n": "unit", "vs": average.unit},
        {"n": "rule", "vs": f"{average.rule}/{average.rule_version}"},
        {"n": "average", "vs": f"{average_id}/{average.revision}"},
        {"n": "parameters", "vs": average.parameters_hash.hex()},
        {"n": "head", "vs": f"{average.last_seq}/{average.head_hash.hex()}"},
    ]
    base = f"{gateway}/{average.device}/{average.channel}/{average.interval_s}/"
    # Seconds since 1970: from 2**28 on SenML reads them as that (section 4.5.3).
    records[0] = {"bn": base, "bt": average.start_utc_ms // 1000} | records[0]
    return rfc8785.dumps(records)


def _convert(value: float, factor: Fraction) -> float | None:
    if not math.isfinite(value):  # JSON has no such number
        return None
    try:
        return float(Fraction(value) * factor)
    except OverflowError:  # beyond float64 in that unit: there is no such number
        return None
