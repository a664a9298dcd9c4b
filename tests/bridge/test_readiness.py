"""The review before the deadline: a works that has everything, and one planted fault at a time that must be named."""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files

import pypdfium2
import pytest

from plumeproof.cli import main
from plumeproof.cli.readiness import CATEGORIES as OFFERED
from plumeproof.delivery.profile import read_profile
from plumeproof.documents.presets import load_preset
from plumeproof.documents.readiness import VERDICTS
from plumeproof.documents.site import CATEGORIES
from plumeproof.documents.statable import find_statable
from plumeproof.errors import ConfigError
from plumeproof.hj212.codes import factors
from tests.doubles.ready_site import build_site, site_text
from tests.doubles.scripted_platform import ScriptedPlatform, answer
from tests.tools.platform_process import ROOT
from tools import test_ca

LAST_DAY = "2026-12-31"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("built")).parent


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    authority = tmp_path_factory.mktemp("ca")
    test_ca.make(authority)
    found = ScriptedPlatform(authority / "server.pem", authority / "server.key")
    found.authority = authority
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _synchronised(monkeypatch):
    monkeypatch.setattr("plumeproof.cli.readiness_evidence.check_time", lambda: "now, synchronised")


class Works:
    """A copy of the built folder, with a platform."""

    def __init__(self, folder, built, platform):
        shutil.copytree(built, folder)
        self.folder = folder
        shutil.copy(platform.authority / "ca.pem", folder / "ca.pem")
        (folder / "eu.secret").write_text("canary-client-secret")
        (folder / "eu.secret").chmod(0o600)
        profile = json.loads(read_profile("eu-carbon-cloud")[0])
        profile["report"]["averages_max"] = 100  # held against a description in a fifth of the time
        (folder / "own.json").write_text(json.dumps(profile))
        (folder / "openapi.yaml").write_bytes((ROOT / "tools/eu_platform/openapi.yaml").read_bytes())
        self.change(
            "bridge.toml",
            ("[documents]", f'[[sink.https]]\nname = "eu"\nprofile = "./own.json"\nclient_id = "gw-client"\n'
             f'base_url = "{platform.base_url}"\nsecret_file = "eu.secret"\nca_file = "ca.pem"\ntimeout_s = 5.0\n'
             "report_interval_s = 3600\n[documents]"),
        )  # fmt: skip

    def change(self, name, *pairs):
        text = (self.folder / name).read_text()
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new)
        (self.folder / name).write_text(text)

    def review(self, capsys, *more, is_whole=False):
        options = ["-c", self.folder / "bridge.toml", "--on", LAST_DAY, "--json", "-", *more]
        status = main(["readiness", *map(str, options), *([] if is_whole else ["--last-day"])])
        told = capsys.readouterr()
        return status, json.loads(told.out) if status != 2 else None, told.err


@pytest.fixture
def works(tmp_path, built, platform):
    return Works(tmp_path / "works", built, platform)


def lines_of(document, *verdicts):
    return {one["key"]: one for one in document["lines"] if not verdicts or one["verdict"] in verdicts}


def open_points(document):
    return set(lines_of(document, "missing", "disagrees", "cannot be judged here"))


def test_a_works_that_has_everything_is_ready(works, capsys, tmp_path):
    description = f'\n[[readiness.platform]]\nsink = "eu"\nopenapi = "{works.folder}/openapi.yaml"\n'
    (works.folder / "site.toml").write_text(site_text("wte", description))
    outputs = [tmp_path / f"r.{ending}" for ending in ("json", "html", "pdf")]
    options = [word for kind, path in zip(("--json", "--html", "--pdf"), outputs, strict=True) for word in (kind, path)]
    status, document, err = works.review(capsys, is_whole=True)
    assert (status, document["ready"], open_points(document)) == (0, True, set()), err
    assert all(one["can_be_stated"] for one in document["statements"]) and len(document["statements"]) == 11
    assert all(one["evidence"] for one in document["lines"])
    figures = lines_of(document)["period.figures.S1"]["evidence"]
    assert "line-1/CO2/co2e/month/20261201T0000Z/eu_mrr" in figures
    assert "a token was given" in lines_of(document)["platform.login.eu"]["evidence"]
    # Asked offline it says so, and nothing outside is in it: the same bytes each time
    works.change("site.toml", (description, ""))
    asked = ["-c", str(works.folder / "bridge.toml"), "--on", LAST_DAY, "--offline", "--last-day"]
    arguments = ["readiness", *asked, *map(str, options)]
    assert main(arguments) == 1
    first = [path.read_bytes() for path in outputs]
    unshown = {"paper.Supply contract 2027.signed_at_source"}  # of one day's bundle
    assert open_points(json.loads(first[0])) == {"platform.login.eu", "platform.description.eu"} | unshown
    assert main(arguments) == 1 and [path.read_bytes() for path in outputs] == first
    page = first[1].decode()
    paper = " ".join(each.get_textpage().get_text_range() for each in pypdfium2.PdfDocument(first[2]))
    for words in (
        "Not ready: 1 disagreement, 2 points that could not be judged here",
        "CAN STATE",
        "NOT JUDGED",
        "READY",
    ):
        assert words in page and words in paper
    assert "canary" not in page + paper + first[0].decode()


PLANTED = [  # file, (old, new)s: (begin of the line's key, verdict, word of its evidence)s
    (
        "site.toml",
        [
            ('valid_to = "2028-12-31"', 'valid_to = "2026-12-30"'),
            ('expires = "2027-06-30"', 'expires = "2026-12-30"'),
            ('valid_to = "2027-12-31"\nstates', 'valid_to = "2026-12-01"\nstates'),
            ('hj212 = "a05001"', 'hj212 = "a21002"'),
            ('mn = "010000A8900016F000169DC0"', 'mn = "12345678901234"'),
        ],
        [
            ("dates.permit.", "missing", "1 day ago"),
            ("dates.cylinder.", "missing", "2026-12-30"),
            ("dates.paper.", "missing", "30 days ago"),
            ("hj212.code.DA001.CO2", "disagrees", "CO2 has a05001"),
            ("hj212.mn.", "disagrees", "14 characters"),
        ],
    ),
    (
        "site.toml",
        [('id = "bottle 4711"', 'id = "bottle 4712"'), ('rule_set = "eu_mrr"', 'rule_set = "cn_hj75"')],
        [
            ("dates.cylinder.", "cannot be judged here", "no [[cylinder]]"),
            ("statement.", "missing", "cn_hj75"),
            ("period.coverage.S1", "missing", "cn_hj75 is none of plant line-1"),
        ],
    ),
    (
        "line-1.toml",
        [('on = "2026-05-04"', 'on = "2025-12-20"'), ("span_s_ams = 0.2", "span_s_ams = 0.0001")],
        [
            ("dates.ast.line-1.CO2", "missing", "2026-12-20"),
            ("dates.qal3.", "missing", "out of control"),
            ("period.materiality", "missing", "Above the threshold"),
        ],
    ),
    (
        "line-1.toml",
        [('id = "CO2"', 'id = "CO2x"'), ('source = "plume-01/co"', 'source = "plume-01/none"')],
        [
            ("papers.permit.1", "disagrees", "no measurand of plant line-1"),
            ("papers.parameters", "disagrees", "no channel"),
        ],
    ),
    (
        "bridge.toml",
        [
            ('device = "plume-01"', 'device = "plume-02"'),
            ('secret_file = "eu.secret"', 'secret_file = "no.secret"'),
            ('key_file = "gateway.key"\nfolders = ["share"]\n', ""),
        ],
        [
            ("evidence.keys.plume-02", "missing", "0 keys"),
            ("papers.modules.line-1", "disagrees", "plume-02"),
            ("platform.login.eu", "missing", "no.secret"),
            ("evidence.anchors", "missing", "no [anchors] key_file"),
        ],
    ),
]


@pytest.mark.parametrize(("name", "changes", "expected"), PLANTED)
def test_planted_faults_are_named(works, capsys, name, changes, expected):
    works.change(name, *changes)
    status, document, _ = works.review(capsys, *(() if name == "bridge.toml" else ("--offline",)))
    assert status == 1
    for key, verdict, word in expected:
        found = [one for one in document["lines"] if one["key"].startswith(key) and one["verdict"] == verdict]
        assert found and word in found[0]["evidence"] and found[0]["mend"], (key, lines_of(document, verdict))
    lacking = {key for one in document["statements"] for key in one["lacks"]}
    # Without a function there is no line of an AST; of one day's bundle nothing is stated
    assert lacking - open_points(document) <= {"dates.ast", "dates.cylinder", "evidence.bundle.period"}
    assert lacking & open_points(document)


def test_a_contract_may_not_promise_what_is_not_shown(works, capsys):
    works.change("line-1.toml", ('on = "2026-05-04"', 'on = "2026-05-04"\nresult = "failed"'))
    _, document, _ = works.review(capsys, "--offline")
    promise = lines_of(document, "disagrees")["paper.Supply contract 2027.calibrated"]
    assert "last annual test passed" in promise["evidence"]
    works.change("site.toml", ('"calibrated"]', '"certified"]'))
    status, _, err = works.review(capsys, "--offline")
    assert status == 2 and "states certified; keys are signed_at_source" in err and err.count("\n") == 1


def test_a_platform_that_refuses_or_is_silent(works, capsys, platform):
    platform.token_script = [answer(401, {"error": "invalid_client"})]
    _, document, _ = works.review(capsys)
    assert lines_of(document, "missing")["platform.login.eu"]["mend"].startswith("check base_url")
    works.change("bridge.toml", (platform.base_url, "https://127.0.0.1:9"))
    _, document, _ = works.review(capsys)
    assert "platform.login.eu" in lines_of(document, "missing")


def test_a_bundle_that_was_altered(works, capsys, tmp_path):
    bundle = tmp_path / "day.zip"
    options = ["--ledger", works.folder / "ledger.sqlite", "--keys", works.folder / "keys.json"]
    days = ["--from", "2026-12-30", "--to", "2026-12-31", "-o", bundle]
    assert main(["evidence", "export", *map(str, (*options, *days))]) == 0
    raw = bytearray(bundle.read_bytes())
    raw[len(raw) // 2] ^= 1
    bundle.write_bytes(raw)
    capsys.readouterr()
    _, document, _ = works.review(capsys, "--offline", "--bundle", bundle)
    assert lines_of(document, "missing")["evidence.bundle"]["evidence"].startswith("day.zip")


@pytest.mark.parametrize("ledger", [None, b"SQLite format 3\0 and nothing more"])
def test_without_a_usable_ledger_it_is_still_a_review(works, capsys, ledger):
    (works.folder / "ledger.sqlite").unlink()
    if ledger is not None:
        (works.folder / "ledger.sqlite").write_bytes(ledger)
    status, document, _ = works.review(capsys, "--offline")
    assert status == 1 and document["period"]["start"] == document["period"]["end"]
    assert {"evidence.records.line-1", "evidence.records.plume-01"} <= set(lines_of(document, "missing"))
    assert lines_of(document)["parameter.co2"]["verdict"] == "ready"


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_list_has_codes_of_the_standard(category):
    parameters = [one for _, one in load_preset(category, None).parameters()]
    assert OFFERED == CATEGORIES and len(parameters) > 10 and any(one.need == "required" for one in parameters)
    assert all(not one.code or one.code in factors() for one in parameters)


@pytest.mark.parametrize(
    ("category", "words"),
    [("zld", "A ZLD works makes no CBAM goods"), ("cbam", "The goods of this works are CBAM goods")],
)
def test_another_category_is_reviewed(works, capsys, tmp_path, category, words):
    page = tmp_path / "r.html"
    _, document, _ = works.review(capsys, "--offline", "--category", category, "--html", page)
    assert document["category"] == category and document["is_cbam_category"] == (category == "cbam")
    assert set(document["counts"]) == set(VERDICTS)
    cbam = lines_of(document)["cbam.operator_data"]
    assert cbam["verdict"] == ("ready" if category == "cbam" else "not asked")
    asked = " ".join(one["asked"] for one in document["lines"])
    assert all(one.name in asked for _, one in load_preset(category, None).parameters())
    text = page.read_text()
    assert words in text and ("(1) its customers&#39; CBAM plants" in text) == (category == "zld")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--on", "31.12.2026"], "--on: '31.12.2026' is no day"),
        (["--from", "2026-12-05", "--to", "2027-01"], "--from: documents are made of whole months"),
        (["--from", "2027-01", "--to", "2026-12"], "is not behind --from"),
    ],
)
def test_wrong_usage_is_one_line(works, capsys, arguments, told):
    status, _, err = works.review(capsys, "--offline", *arguments)
    assert status == 2 and told in err and err.count("\n") == 1


def test_no_configuration_and_no_site(works, capsys):
    assert main(["readiness"]) == 2 and "-c: is missing" in capsys.readouterr().err
    works.change("bridge.toml", ('site_file = "site.toml"', ""))
    status, _, err = works.review(capsys)
    assert status == 2 and "names no site_file" in err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('need = "required"', 'need = "always"', "'always' is none of required, if_fitted"),
        ('code = "a34013"', 'code = "34013"', "'34013' is no HJ 212 code"),
        ('id = "so2"', 'id = "dust"', "a parameter id is there twice"),
        ("is_cbam = false", "", "is_cbam: is missing"),
    ],
)
def test_a_list_of_one_s_own_is_checked(tmp_path, capsys, old, new, told):
    assert main(["readiness", "--sample-preset", "wte"]) == 0
    text = capsys.readouterr().out
    assert text == files("plumeproof.documents").joinpath("presets", "wte.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_preset("wte", tmp_path / "own.toml")


def test_nothing_can_be_stated_without_lines():
    assert find_statable([]) == ()


def test_every_sentence_is_documented():
    text = (ROOT / "bridge" / "READINESS.md").read_text()
    keys = re.findall(
        r'^key = "(\w+)"', files("plumeproof.documents").joinpath("presets/statements.toml").read_text(), re.M
    )
    assert len(keys) == 12 and all(f"| `{key}` |" in text for key in keys)
    assert not re.search(r"certif|approv|official", " ".join(one for one in keys))
