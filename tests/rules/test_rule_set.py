"""Rule sets: those of the reference, what a file may hold, inheritance, the hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
import rfc8785

from plumeproof.errors import RuleError
from plumeproof.rules.rule_set import FILE_MAX_BYTES, load_rule_set, read_rule_set, rule_set_ids
from plumeproof.rules.settings import NAMES
from tests.rules.examples import example

PROFILES = example("profiles")


def plain(value):
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if hasattr(value, "items") else value


def own(**changes):
    """A file of a user, as bytes."""
    tree = {
        "id": "own",
        "version": "1",
        "title": "Own",
        "source": "permit of 2026",
        "status": "provisional",
        "inherits": "eu_ied_waste",
        "settings": {"discard_limit_per_day": 4},
        "confidence": {"discard_limit_per_day": {"value": 1, "note": "permit, page 3"}},
    } | changes
    return json.dumps(tree).encode()


def own_setting(name, value):
    return own(settings={name: value}, confidence={name: {"value": 0.5, "note": "a try"}})


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_profiles_of_the_reference(name):
    found = load_rule_set(name)
    for key, value in PROFILES[name].items():
        if key == "inherits":
            assert value == found.lineage[1]
        else:
            assert plain(getattr(found.settings, key)) == value, key


def test_all_sets_are_those_of_the_reference():
    assert set(rule_set_ids()) == set(PROFILES)


def test_what_no_profile_sets():
    """Section 2, last paragraph: the step is not done, but for these."""
    found = load_rule_set("eu_mrr").settings
    assert (found.discard_limit_per_day, found.min_valid_sta_per_day, found.clip_negative) == (None, None, False)
    assert found.o2_no_conversion_below_ref is False and found.limit_tests == "none"
    assert (found.o2_air, found.molar_volume, found.standardise_at) == (21.0, 22.414, "STA")
    assert (found.round_extra_digits, found.utc_offset, found.time_label) == (0, "site", "start")
    assert load_rule_set("us_part75").settings.coverage_basis == "operating"


def test_extra_sta_min_is_replaced_as_a_whole():
    assert load_rule_set("at_emvl").settings.sta_min_of("CO") == (30, 10)
    for name in ("eu_ied_lcp", "de_17bimschv", "de_13bimschv"):
        assert load_rule_set(name).settings.extra_sta_min == {}


@pytest.mark.parametrize("name", rule_set_ids())
def test_every_setting_says_how_sure_it_is(name):
    found = load_rule_set(name)
    assert found.status in ("community", "provisional")  # no authority has confirmed any of them
    assert set(found.confidence) == set(NAMES) == {entry.name for entry in dataclasses.fields(found.settings)}
    for setting, sure in found.confidence.items():
        assert 0 <= sure.value <= 1 and sure.note, setting
    # What the reference marks as doubtful stays marked.
    assert {"over_range", "under_range_pct", "state_rule", "o2_clamp", "o2_invalid_above"} <= set(found.doubtful())
    assert found.digest == hashlib.sha256(found.document).digest()
    assert rfc8785.dumps(json.loads(found.document)) == found.document


def read(folder, raw, name="own.json"):
    path = folder / name
    path.write_bytes(raw)
    return read_rule_set(path)


def test_digests_differ_and_stay(tmp_path):
    digests = {load_rule_set(name).digest for name in rule_set_ids()}
    assert len(digests) == len(rule_set_ids())
    assert read(tmp_path, own(), "one").digest == read(tmp_path, own(), "another").digest
    assert read(tmp_path, own(), "one").digest != read(tmp_path, own(title="Other"), "two").digest


def test_a_file_of_the_user(tmp_path):
    path = tmp_path / "own.json"
    path.write_bytes(own())
    found = read_rule_set(path)
    assert found.lineage == ("own", "eu_ied_waste", "base")
    assert found.settings.discard_limit_per_day == 4
    assert (found.given_by["discard_limit_per_day"], found.given_by["coverage"]) == ("own", "eu_ied_waste")
    assert found.confidence["discard_limit_per_day"].note == "permit, page 3"
    path.write_bytes(own(id="eu_mrr"))
    with pytest.raises(RuleError, match="eu_mrr is a set of this release"):
        read_rule_set(path)
    with pytest.raises(RuleError, match=r"missing\.json: cannot be read: No such file"):
        read_rule_set(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"{", "no JSON"),
        (b"[]", "is no object"),
        (b'{"id": 1, "id": 2}', "a key is there twice"),
        (b'{"id": NaN}', "NaN is no number of JSON"),
        (b'{"id": ' + b"9" * 5000 + b"}", "is too long"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b" " * (FILE_MAX_BYTES + 1), "larger than"),
        (own(extra=1), "extra: is no known key"),
        (own(status="certified"), "must be one of official, community, provisional"),
        (own(inherits=None), "must name a rule set"),
        (own(inherits="eu_unknown"), "does not exist; this release has"),
        (own(inherits="../base"), "does not have the form"),
        (own(id="Own set"), "does not have the form"),
        (own(title="two\nlines"), "must be one line"),
        (own(settings={"coverag": [2, 3]}), "coverag: is no known setting"),
        (own(confidence={}), "confidence.discard_limit_per_day: is missing"),
        (own(settings={}), "for a setting that is not given here"),
        (own(confidence={"discard_limit_per_day": {"value": 2, "note": "x"}}), "must be a number 0..1"),
        (own(confidence={"discard_limit_per_day": {"value": 1}}), "note: is missing"),
        (own_setting("coverage", [3, 2]), "two whole numbers"),
        (own_setting("coverage", [0, 3]), "above zero"),
        (own_setting("coverage", 0.66), "two whole numbers"),
        (own_setting("coverage", [2.0, 3.0]), "two whole numbers"),
        (own_setting("coverage", "quadrants"), "set sta_min to 60"),
        (own_setting("sta_min", 7), "minutes that divide a day"),
        (own_setting("sta_min", True), "minutes that divide a day"),
        (own_setting("extra_sta_min", {"CO": 7}), "CO must be minutes that divide a day"),
        (own_setting("min_valid_sta_per_day", 49), "a day has only 48 averages"),
        (own_setting("o2_clamp", 21), "is not below o2_air"),
        (own_setting("o2_air", 1e999), "must be a number|no JSON"),
        (own_setting("otnoc_window_h", None), "belong together"),
        (own_setting("utc_offset", "CET"), "must be"),
        (own_setting("utc_offset", "+15:00"), "must be"),
        (own_setting("lost_letters", "CP"), "in this order"),
        (own_setting("clip_negative", 1), "true or false"),
    ],
)
def test_refused(tmp_path, raw, sentence):
    with pytest.raises(RuleError, match=sentence) as caught:
        read(tmp_path, raw)
    assert "\n" not in str(caught.value)


def test_unknown_rule_set():
    with pytest.raises(RuleError, match="'eu_moon'.*does not exist; this release has at_emvl"):
        load_rule_set("eu_moon")
    with pytest.raises(RuleError):
        load_rule_set("base")


def test_utc_offsets(tmp_path):
    assert load_rule_set("cn_hj75").settings.utc_offset_min(60) == 480
    assert load_rule_set("eu_mrr").settings.utc_offset_min(60) == 60
    assert load_rule_set("us_part75").settings.utc_offset_min(-300) == -300
    negative = read(tmp_path, own_setting("utc_offset", "-03:30"))
    assert negative.settings.utc_offset_min(0) == -210
