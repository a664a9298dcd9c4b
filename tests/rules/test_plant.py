"""The plant description: the shipped sample holds, its hash knows content only, and every wrong key has its line."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import rfc8785

from plumeproof.errors import ConfigError
from plumeproof.rules.plant import Source, parse_plant
from plumeproof.toml_lines import find_lines

PATH = Path("line-1.toml")
SAMPLE = (Path(__file__).resolve().parents[2] / "bridge/plumeproof/rules/sample_plant.toml").read_text()


def read(text):
    return parse_plant(tomllib.loads(text), PATH, find_lines(text, PATH))


def test_the_sample_is_a_plant():
    plant = read(SAMPLE)
    assert plant.utc_offset_min == 60
    assert plant.rule_sets == ("eu_ied_waste", "eu_mrr")
    assert Source("plume-01", "nox") in plant.sources()
    nox = plant.measurands[0]
    assert [(limit.kind, limit.value) for limit in nox.limits][0] == ("day", 200.0)
    assert nox.calibrations[0].begins == 1748736000000  # 2025-06-01T00:00:00Z, `date -u -d @1748736000`
    assert plant.flow.uncertainty[0].k == 2.0


def test_json_is_the_same_plant():
    plant = read(SAMPLE)
    again = parse_plant(json.loads(plant.document), Path("line-1.json"))
    assert again == plant
    assert plant.document == rfc8785.dumps(tomllib.loads(SAMPLE))


def test_comments_and_order_do_not_change_the_hash_and_content_does():
    plain = re.sub(r" *#.*", "", SAMPLE)
    assert read(plain).digest == read(SAMPLE).digest
    assert read(SAMPLE.replace("b = 1.06", "b = 1.07")).digest != read(SAMPLE).digest


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "NOx"', 'id = "NOx"\ncolour = "red"', "line 61: measurand.colour"),
        ('utc_offset = "+01:00"', 'utc_offset = "CET"', "line 7: plant.utc_offset"),
        ('utc_offset = "+01:00"', 'utc_offset = "+15:00"', "fixed UTC offset"),
        ('begins = "2025-06-01T00:00:00Z"', 'begins = "2025-13-01T00:00:00Z"', "no instant"),
        ('begins = "2025-06-01T00:00:00Z"', "begins = 2025-06-01", "times are text"),
        ('source = "plume-01/nox"', 'source = "nox"', "device/channel"),
        ("above = 19.5", "", "above and below"),
        ("above = 19.5", "above = nan", "outside|what JSON cannot"),
        ("o2_reference_pct = 11.0", "", "o2_reference_pct"),
        ('kind = "H2O"', 'kind = "O2"', "twice"),
        ('needs = ["O2"]', 'needs = ["O2", "O2"]', "twice"),
        ('unit = "m3/h"', 'unit = "m/s"', "area_m2"),
        ('unit = "%"\ngas = "CO2"', 'unit = "ppm"', "needs its gas"),
        ("value_pct = 2.0", "", "value and value_pct"),
        ("slot_ms = 1000", "slot_ms = 7000", "does not divide a minute"),
        ('unit = "hPa"', 'unit = "psi"', "peripheral p"),
        ("[plant]", "[factory]", "factory"),
        ('gas = "NO2"', 'gas = "NO2"\nno2_share_pct = 5.0', "belongs to gas"),
        ('id = "CO2"', 'id = "flow"', "measurand flow: has the name of the flow"),
    ],
)
def test_refused_in_one_line(old, new, told):
    assert old in SAMPLE
    with pytest.raises(ConfigError, match=told) as refused:
        read(SAMPLE.replace(old, new, 1))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tree", [None, [], 7, {"plant": []}, {"plant": {"id": 1}}, {}])
def test_other_trees_are_refused(tree):
    with pytest.raises(ConfigError):
        parse_plant(tree, PATH)
