"""SenML of averages, resolved by a reader written from RFC 8428 section 4.6 and held against the average itself."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.config import parse_config
from plumeproof.delivery.senml import UNITS, build_senml
from plumeproof.errors import ConfigError
from tests.bridge.test_averages_store import AVERAGE
from tests.bridge.test_config import FILE, uncommented_sample

BASES = {"bn": "n", "bt": "t", "bu": "u", "bv": "v"}
KNOWN = {*BASES, "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")
# Of the registry (RFC 8428 section 12.1, RFC 8798 section 2): those that are not discouraged there
REGISTERED = {"kg", "K", "Cel", "Pa", "A", "V", "W", "m/s", "m3/s", "kg/m3", "/", "count"}


def resolve(raw: bytes) -> dict[str, dict]:
    """Records by their full name, with absolute time and unit."""
    found, base = {}, {}
    for record in json.loads(raw, parse_int=float):  # numbers are doubles (section 4.3)
        assert set(record) <= KNOWN
        base |= {key: value for key, value in record.items() if key in BASES}
        name = base.get("bn", "") + record.get("n", "")
        assert NAME.fullmatch(name) and name not in found
        one = {"t": base.get("bt", 0) + record.get("t", 0), "u": record.get("u", base.get("bu"))}
        if "v" in record:
            one["v"] = base.get("bv", 0) + record["v"]
        one |= {key: record[key] for key in ("vs", "vb", "vd") if key in record}
        assert len(one.keys() & {"v", "vs", "vb", "vd"}) == 1 and one["t"] >= 2**28  # absolute
        found[name] = one
    return found


def test_one_average():
    average = replace(AVERAGE, mean=412.75, minimum=400.0, maximum=None, deviation=0.5)
    found = resolve(build_senml("gw-1", 7, average))
    base = "gw-1/plume-01/co/60/"
    assert found[base + "mean"] == {"t": AVERAGE.start_utc_ms // 1000, "u": "kg/m3", "v": 0.00041275}
    assert base + "maximum" not in found
    assert found[base + "valid"]["v"] == 50 and found[base + "valid"]["u"] == "count"
    assert found[base + "unit"]["vs"] == "mg/m3"
    assert found[base + "head"]["vs"] == f"4/{'00' * 32}" and found[base + "average"]["vs"] == "7/0"
    assert build_senml("gw-1", 7, average) == build_senml("gw-1", 7, average)


def test_percent_is_no_percent_there_and_a_deviation_is_no_temperature():
    found = resolve(build_senml("g", 1, replace(AVERAGE, unit="%", mean=12.5, deviation=1.0)))
    assert (found["g/plume-01/co/60/mean"]["u"], found["g/plume-01/co/60/mean"]["v"]) == ("/", 0.125)
    found = resolve(build_senml("g", 1, replace(AVERAGE, unit="degC", mean=130.0, deviation=0.25)))
    assert found["g/plume-01/co/60/mean"]["u"] == "Cel" and found["g/plume-01/co/60/deviation"]["u"] == "K"


@given(st.sampled_from([*UNITS, "1/km", "furlong"]), st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_in_any_unit(unit, value):
    found = resolve(build_senml("g", 1, replace(AVERAGE, unit=unit, mean=value)))
    mean = found.get("g/plume-01/co/60/mean")
    assert found["g/plume-01/co/60/unit"]["vs"] == unit
    symbol, factor = UNITS.get(unit, (None, Fraction(1)))
    if mean is None:
        assert not math.isfinite(value) or abs(Fraction(value) * factor) > Fraction(1.7976931348623157e308)
        return
    assert mean["u"] == symbol and (symbol is None or symbol in REGISTERED)
    assert mean["v"] == float(Fraction(value) * factor)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('content = ["sparkplug", "average"]', "content: give sparkplug a .*of its own"),
        ('content = ["fax"]', "content"),
        ("replay_rows_per_s = 2000", "replay_rows_per_s: 2000 is more than rows_per_s"),
        ("live_for_s = 5", "live_for_s"),
        ("rows_per_s = 0", "rows_per_s"),
        ('sparkplug_group = "a/b"', "sparkplug_group.*group id"),
    ],
)
def test_forms_and_rates_in_the_configuration(line, words):
    key = line.split(" = ")[0]
    text = re.sub(rf"(?m)^{key} = .*$", line, uncommented_sample())
    with pytest.raises(ConfigError, match=words) as caught:
        parse_config(text, FILE)
    assert "\n" not in str(caught.value)


def test_one_node_a_broker():
    text = re.sub(r"(?m)^content = .*$", 'content = ["sparkplug"]', uncommented_sample())
    assert parse_config(text, FILE).mqtt_sinks[0].content == ("sparkplug",)
    more = text[text.index("[[sink.mqtt]]") : text.index("[[sink.https]]")].replace('"plant-broker"', '"other"')
    with pytest.raises(ConfigError, match="has our sparkplug node already"):
        parse_config(text + "\n" + more, FILE)
