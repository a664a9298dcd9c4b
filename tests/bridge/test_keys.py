"""keys: the registry refuses what it cannot vouch for, in one line."""

from __future__ import annotations

import json

import pytest

from plumeproof.errors import ConfigError
from plumeproof.keys import build_entry, load_keys, parse_keys
from tests.doubles.evidence_chain import DEVICE, POINT

ENTRY = build_entry(DEVICE, POINT)


def parse(*entries):
    return parse_keys(json.dumps(entries).encode(), "keys.json")


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "00" * 16},
        {"device": "A"},
        {"device": ""},
        {"purpose": "all"},
        {"revoked": 0},
        {"valid_from_seq": -1},
        {"valid_until_seq": True},
        {"public_key": "-----BEGIN PRIVATE KEY-----"},
        {"public_key": 1},
        {"more": 1},
    ],
)
def test_refused(change):
    with pytest.raises(ConfigError) as caught:
        parse(ENTRY | change)
    assert str(caught.value).startswith("keys.json: entry 1") and "\n" not in str(caught.value)


def test_the_same_key_in_two_modules_is_refused():
    with pytest.raises(ConfigError, match="same key"):
        parse(ENTRY, ENTRY | {"device": "other"})


def test_every_field_is_needed():
    for name in ENTRY:
        with pytest.raises(ConfigError, match="missing"):
            parse({key: value for key, value in ENTRY.items() if key != name})


@pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 100_000, b'[{"kid":1,"kid":2}]', b"\xff"])
def test_no_registry(raw):
    with pytest.raises(ConfigError, match="keys.json"):
        parse_keys(raw, "keys.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json"):
        load_keys(tmp_path / "none.json")
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([ENTRY]))
    assert load_keys(path, allow_test_keys=True).find(bytes.fromhex(ENTRY["kid"]), DEVICE, 1) == POINT
