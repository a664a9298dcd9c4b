"""What a site adds to composed profiles: by the two commands that take a site file, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from acqwire import calibration

from plumeproof.errors import ParametersError, ProfileError
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.survey.site import SITE_MAX_BYTES, read_site
from tools.module.provision import compose_plan
from tools.module.refusal import Refusal
from tools.parameters import compose, parse_choice

ROOT = Path(__file__).resolve().parents[2]
ANALYZERS = ["gas=sick_mcs100ft@1", "own=generic_own_inputs@0"]
SITE = {
    "debounce_ms": 20,
    "loops": {"own.loop1": {"zero": "4803.5", "span": "24011", "calibration": "shunt-2026-114"}},
    "calibrations": [
        {"analyzer": "gas", "phase": "zero", "source": "own", "block": 1, "bit": 0, "is": 1},
        {"analyzer": "gas", "phase": "span", "source": "own", "block": 1, "bit": 1, "is": 0},
    ],
}


def composed(site):
    return parse_parameters(compose("plume-01", [parse_choice(text) for text in ANALYZERS], 1000, 60000, site=site))


def test_a_site_is_in_the_set():
    whole = composed(SITE)
    blocks = [(whole.analyzers[block.analyzer].id, block.function) for block in whole.blocks]
    assert whole.debounce_ms == 20
    loops = {channel.id: channel.loop for channel in whole.channels if channel.loop is not None}
    assert [(name, loop.zero, loop.span, loop.calibration) for name, loop in loops.items()] == [
        ("own.loop1", 4803.5, 24011.0, "shunt-2026-114")
    ]
    found = [(mark.analyzer, mark.phase, blocks[mark.block], mark.bit, mark.is_set) for mark in whole.calibrations]
    assert found == [
        (0, calibration.PHASE_ZERO, ("own", 2), 0, True),
        (0, calibration.PHASE_SPAN, ("own", 2), 1, False),
    ]


def test_both_commands_make_the_same_set(tmp_path):
    site = tmp_path / "site.json"
    site.write_text(json.dumps(SITE))
    out = tmp_path / "parameters.json"
    words = [word for text in ANALYZERS for word in ("--analyzer", text)]
    command = [
        sys.executable,
        "tools/parameters.py",
        "--device",
        "plume-01",
        *words,
        "--site",
        str(site),
        "-o",
        str(out),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    plan = compose_plan("plume-01", ANALYZERS, None, 7, 1000, 60000, {}, 1, site)
    assert plan.parameters == out.read_bytes()

    site.write_text("{")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1) and "site.json" in ended.stderr
    with pytest.raises(Refusal, match=r"site\.json"):
        compose_plan("plume-01", ANALYZERS, None, 7, 1000, 60000, {}, 1, site)
    site.unlink()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1) and "site.json" in ended.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loops": {"own.loop9": SITE["loops"]["own.loop1"]}}, "unknown key 'own.loop9'"),
        ({"loops": []}, "loops: is no object"),
        ({"calibrations": {}}, "calibrations: is no list"),
        ({"calibrations": [5]}, r"calibrations\[0\]: is no object"),
        ({"calibrations": [{"analyzer": "gas"}]}, "key 'phase' is missing"),
        ({"calibrations": [SITE["calibrations"][0] | {"source": "dust"}]}, "no analyzer 'dust'; there are: gas own"),
        ({"calibrations": [SITE["calibrations"][0] | {"analyzer": []}]}, "no analyzer"),
        ({"calibrations": [SITE["calibrations"][0] | {"block": 3}]}, "own has 3 blocks, counted from 0"),
        ({"calibrations": [SITE["calibrations"][0] | {"more": 1}]}, "unknown key 'more'"),
        ({"debounce_ms": 10**400}, "integers and text only"),
        ({"debounce_ms": 0}, "outside 1..10000"),
        ({"debounce_ms": 2.5}, "not readable|no integer"),
        ({"calibrations": [SITE["calibrations"][0] | {"bit": 4}]}, "outside 0..3"),
    ],
)
def test_refused(change, words):
    with pytest.raises((ProfileError, ParametersError), match=words):
        composed(SITE | change)


def test_unit_0_without_a_site_is_refused():
    with pytest.raises(ParametersError, match="unit 0 go together"):
        composed(None)


def test_a_site_file_of_any_size_or_kind(tmp_path):
    path = tmp_path / "site.json"
    for text in ("[]", '{"more": 1}', '{"loops": ' * 30_000, "\x00", "1"):
        path.write_text(text[:SITE_MAX_BYTES])
        with pytest.raises(ProfileError, match=r"site\.json"):
            read_site(path)
    path.write_bytes(b" " * (SITE_MAX_BYTES + 1))
    with pytest.raises(ProfileError, match="more than"):
        read_site(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ProfileError, match=r"site\.json"):
        read_site(path)
