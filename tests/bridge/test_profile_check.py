"""Profiles as data: what is refused, and what `profile check` names when one thing is planted wrong."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof import cli
from plumeproof.delivery.openapi import read_description
from plumeproof.delivery.profile import FILE_MAX_BYTES, load_profile, parse_profile, read_profile, shipped
from plumeproof.delivery.profile_check import check_profile
from plumeproof.delivery.profile_findings import Finding
from plumeproof.errors import ConfigError
from tests.tools.platform_process import DESCRIPTION, ROOT, platform

FILE = ROOT / "tools" / "eu_platform" / "openapi.yaml"
SCHEMA = json.loads((ROOT / "bridge/plumeproof/delivery/profiles/profile.schema.json").read_text())
TODAY = dt.date(2026, 11, 25)
POST = "/paths/~1v1~1reports/post"
ASSERTED = ("/auth/kind", "private_key_jwt")


def changed(tree: Any, *changes: tuple[str, Any]) -> Any:
    """A copy with other values by pointer; a value of ... takes the member away, and so does a new name `->NAME`."""
    made = copy.deepcopy(tree)
    for pointer, value in changes:
        *way, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
        inner = made
        for step in way:
            inner = inner[int(step)] if isinstance(inner, list) else inner[step]
        last = int(last) if isinstance(inner, list) else last
        if value is ...:
            del inner[last]
        elif isinstance(value, str) and value.startswith("->"):
            inner[value[2:]] = inner.pop(last)
        else:
            inner[last] = value
    return made


def tree_of(name: str) -> Any:
    return json.loads(read_profile(name)[0])


def check(description: Any, *changes: tuple[str, Any], name: str = "eu-carbon-cloud") -> list[Finding]:
    small = ("/report/averages_max", 100)  # a fifth of the time
    profile = parse_profile(json.dumps(changed(tree_of(name), small, *changes)).encode(), "test profile")
    return check_profile(profile, read_description(json.dumps(description).encode(), "test"), TODAY)


BARE = {name: set(check(DESCRIPTION, name=name)) for name in ("eu-carbon-cloud", "generic-https")}


@pytest.mark.parametrize("name", shipped())
def test_shipped_profiles_fit_the_reference_platform(name, capsys):
    assert cli.main(["profile", "check", name, "--openapi", str(FILE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fine"] is True
    assert [one["sentence"].split()[0] for one in told["findings"]] == ["410"]  # named for platforms that have it
    jsonschema.Draft202012Validator(SCHEMA).validate(tree_of(name))


# pointer into the description or the profile, and how the one new finding begins
IN_DESCRIPTION: dict[str, tuple[list[tuple[str, Any]], str, str]] = {
    "path of reports": ([("/paths/~1v1~1reports", "->/v1/report")], "/paths", "no path /v1/reports"),
    "method of reports": ([(POST, "->put")], "/paths/~1v1~1reports", "no POST, but get, put"),
    "path of keys": ([("/paths/~1v1~1keys", ...)], "/paths", "no path /v1/keys"),
    "path of anchors": ([("/paths/~1v1~1anchors", ...)], "/paths", "no path /v1/anchors"),
    "scheme undeclared": (
        [("/components/securitySchemes/oauth", ...)], f"{POST}/security/0", "login: security scheme oauth is not",
    ),
    "another flow": (
        [("/components/securitySchemes/oauth/flows/clientCredentials", "->implicit")],
        "/components/securitySchemes/oauth", "login: oauth2 without the flow clientCredentials",
    ),
    "another token address": (
        [("/components/securitySchemes/oauth/flows/clientCredentials/tokenUrl", "/login")],
        "/components/securitySchemes/oauth", "login: tokenUrl is /login",
    ),
    "an API key": (
        [("/components/securitySchemes/oauth", {"type": "apiKey", "in": "header", "name": "X-Key"})],
        "/components/securitySchemes/oauth", "login: apiKey is not what the profile does",
    ),
    "no Basic": (
        [("/paths/~1oauth~1token/post/security", [])], "/paths/~1oauth~1token/post", "HTTP Basic is not declared",
    ),
    "one more needed member": (
        [("/components/schemas/Report/required/0", "site")],
        "/components/schemas/Report/required", "the body needs site, which the profile does not send",
    ),
    "a member unknown": (
        [("/components/schemas/Report/properties/averages/items/properties/mean", "->average"),
         ("/components/schemas/Report/properties/averages/items/required", [])],
        "/components/schemas/Report/properties/averages/items/additionalProperties",
        "member averages/* takes no mean, which the profile sends",
    ),
    "a type": (
        [("/components/schemas/Report/properties/averages/items/properties/id/type", "string")],
        "/components/schemas/Report/properties/averages/items/properties/id/type",
        'member averages/*/id: 41 does not satisfy type "string"',
    ),
    "null refused": (
        [("/components/schemas/Report/properties/averages/items/properties/mean/type", "number")],
        "/components/schemas/Report/properties/averages/items/properties/mean/type",
        'member averages/*/mean: null does not satisfy type "number"',
    ),
    "fewer averages": (
        [("/components/schemas/Report/properties/averages/maxItems", 50)],
        "/components/schemas/Report/properties/averages/maxItems", "member averages: with ",
    ),
    "media type of reports": (
        [(f"{POST}/requestBody/content/application~1json", "->application/xml")],
        f"{POST}/requestBody/content", "the body is application/xml, not application/json",
    ),
    "one more needed header": (
        [(f"{POST}/parameters/0", {"name": "X-Site", "in": "header", "required": True, "schema": {}})],
        f"{POST}/parameters/0", "header X-Site is needed",
    ),
    "a needed query": (
        [(f"{POST}/parameters/0", {"name": "site", "in": "query", "required": True, "schema": {}})],
        f"{POST}/parameters/0", "query site is needed",
    ),
    "form of the key": (
        [(f"{POST}/parameters/2/schema/pattern", "^[0-9]{8}$")],
        f"{POST}/parameters/2/schema/pattern", "header Idempotency-Key: ",
    ),
    "member of the receipt": (
        [("/components/schemas/Receipt/properties/contentDigest", "->digest")],
        "/components/schemas/Receipt", "no member contentDigest, which is read",
    ),
    "type of the receipt": (
        [("/components/schemas/Receipt/properties/averageCount/type", "string")],
        "/components/schemas/Receipt/properties/averageCount", "averageCount is no integer",
    ),
    "receipt may lack a member": (
        [("/components/schemas/Receipt/required/0", "receivedAt")],
        "/components/schemas/Receipt/properties/receiptId", "receiptId may be left out",
    ),
    "no answer that is taken": (
        [(f"{POST}/responses/200", ...), (f"{POST}/responses/201", "->202")],
        f"{POST}/responses", "none of the profile's accepted statuses is declared",
    ),
    "asynchronous answer": (
        [(f"{POST}/responses/202", {"description": "later"})], f"{POST}/responses/202", "is no receipt for the profile",
    ),
    "status in no list": (
        [(f"{POST}/responses/402", {"description": "pay"})], f"{POST}/responses/402", "stands in no list of the",
    ),
    "status undeclared": ([(f"{POST}/responses/429", ...)], f"{POST}/responses", "429 is not declared"),
    "token without its member": (
        [("/components/schemas/Token/properties/access_token", ...)],
        "/components/schemas/Token", "no member access_token",
    ),
    "reference to nowhere": (
        [(f"{POST}/requestBody/content/application~1json/schema/$ref", "#/components/schemas/Nothing")],
        f"{POST}/requestBody/content/application~1json/schema", "refers to #/components/schemas/Nothing",
    ),
    "reference to elsewhere": (
        [(f"{POST}/requestBody/content/application~1json/schema/$ref", "other.yaml#/Report")],
        f"{POST}/requestBody/content/application~1json/schema", "'other.yaml#/Report' lies outside",
    ),
    "broken schema": (
        [("/components/schemas/Report/type", "thing")], "/components/schemas/Report", "cannot be used as a schema",
    ),
    "broken pattern": (
        [("/components/schemas/Report/properties/gateway/pattern", "(")], "/components/schemas/Report", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", IN_DESCRIPTION)
def test_each_planted_defect_of_a_description_is_named(defect):
    changes, pointer, words = IN_DESCRIPTION[defect]
    found = check(changed(DESCRIPTION, *changes))
    new = [one for one in found if one not in BARE["eu-carbon-cloud"]]
    assert any(one.pointer == pointer and one.sentence.startswith(words) for one in new), [one.line() for one in new]
    assert all("\n" not in one.line() for one in new)


IN_PROFILE: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "path": ([("/paths/reports", "/v1/report")], "no path /v1/report, which the profile names at /paths/reports; did"),
    "login": ([("/auth/kind", "tls_client_auth"), ("/auth/scope", "all")], "login: scope all of the profile is not"),
    "key header": ([("/headers/idempotency_key", "X-Key"), ("/signature/components/4", "x-key")], "header Idem"),
    "unquoted key": ([("/headers/is_key_quoted", False)], "header Idempotency-Key: "),
    "digest header": (
        [("/headers/content_digest", "Digest"), ("/signature/components/2", "digest")], "header Content-Digest is",
    ),
    "media type": ([("/headers/content_type", "application/cbor")], "the body is application/json, not application/cb"),
    "field": ([("/report/fields/module", "site")], "the body takes no site, which the profile sends"),
    "field of an average": ([("/report/average_fields/unit", "einheit")], "member averages/* needs unit"),
    "receipt": ([("/receipt/fields/receipt_id", "id")], "no member id, which is read"),
    "statuses": ([("/statuses/accepted", [204])], "none of the profile's accepted statuses is declared"),
    "anchors": ([("/anchors/fields/number", "nr")], "the body takes no nr, which the profile sends"),
    "age": ([("/checked", "2025-11-01")], "2025-11-01 is long ago"),
    "scope too small": ([("/auth/scope", "reports:read")], "login: scope reports:write is needed"),
}  # fmt: skip


@pytest.mark.parametrize("defect", IN_PROFILE)
def test_each_planted_defect_of_a_profile_is_named(defect):
    changes, words = IN_PROFILE[defect]
    found = check(DESCRIPTION, *changes)
    new = [one.sentence for one in found if one not in BARE["eu-carbon-cloud"]]
    assert any(sentence.startswith(words) for sentence in new), new


@pytest.mark.parametrize("kind", ["client_credentials_body", "private_key_jwt", "tls_client_auth"])
def test_every_login_fits_the_reference_platform(kind):
    found = check(DESCRIPTION, ("/auth/kind", kind), ("/signature/is_on", True))
    assert set(found) == BARE["eu-carbon-cloud"]
    form = "/components/schemas/TokenRequest/properties"
    bare = changed(DESCRIPTION, (f"{form}/client_id", ...))
    assert "no member client_id, which the profile sends" in " ".join(
        one.sentence for one in check(bare, ("/auth/kind", kind))
    )


def test_openapi_3_0_with_nullable():
    """The same platform as 3.0 writes it: null is `nullable`, and without it null is named."""
    average = "/components/schemas/Report/properties/averages/items/properties"
    nulls = [(f"{average}/{name}", {"type": "number", "nullable": True}) for name in ("mean", "minimum", "maximum")]
    old = changed(
        DESCRIPTION, ("/openapi", "3.0.3"), ("/components/schemas/Report/$id", ...),
        (f"{average}/deviation", {"type": "number", "nullable": True}),
        ("/components/schemas/Report/properties/schema", {"type": "string", "enum": ["plumeproof-report/1"]}), *nulls,
    )  # fmt: skip
    assert [one.line() for one in check(old) if one.level == "error"] == []
    bad = check(changed(old, (f"{average}/mean/nullable", ...)))
    assert [one.sentence for one in bad if one.level == "error"] == [
        'member averages/*/mean: null does not satisfy type "number" (profile /report)'
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "no `openapi`"), (b'{"swagger": "2.0"}', "no `openapi`"), (b'{"openapi": "2.0"}', "says openapi: 2.0"),
        (b"{", "no JSON"), (b"a: [", "no YAML"), (b"\xff", "no UTF-8 at byte 0"), (b"&a [*a]", "an alias holds itself"),
        (b"openapi: 3.1.0\nx: " + b"[" * 300 + b"]" * 300, "deeper than 200"),
    ],
)  # fmt: skip
def test_what_is_no_description(tmp_path, capsys, content, words):
    (tmp_path / "file").write_bytes(content)
    assert cli.main(["profile", "check", "eu-carbon-cloud", "--openapi", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_running_platform_is_asked_and_one_that_is_not_there_is_said(tmp_path, capsys):
    with platform(tmp_path) as running:
        url, authority = f"{running.url}/openapi.json", str(running.authority / "ca.pem")
        ask = ["profile", "check", "generic-https", "--ca-file", authority, "--openapi"]
        assert cli.main([*ask, url]) == 0
        assert "0 errors, 1 warnings" in capsys.readouterr().out
        assert cli.main([*ask, f"{running.url}/nothing"]) == 3
    assert cli.main([*ask, url]) == 3
    assert capsys.readouterr().err.count("\n") == 2


def test_an_error_is_status_1_and_names_its_place(tmp_path, capsys):
    (tmp_path / "own.json").write_text(json.dumps(changed(tree_of("generic-https"), ("/paths/reports", "/v2/reports"))))
    assert cli.main(["profile", "check", str(tmp_path / "own.json"), "--openapi", str(FILE)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("error   description:/paths: no path /v2/reports") and "1 errors, 0 warnings" in out


def test_show_is_the_file_and_list_names_all(capsys, tmp_path):
    assert cli.main(["profile", "show", "generic-https"]) == 0
    (tmp_path / "own.json").write_text(capsys.readouterr().out)
    assert load_profile(str(tmp_path / "own.json")) == load_profile("generic-https")
    assert cli.main(["profile", "list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["profiles"]] == shipped()


REFUSED: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "missing": ([("/auth/scope", ...)], ": /auth/scope: is missing; `plumeproof profile show generic-https`"),
    "unknown": ([("/auth/scop", "")], ": /auth/scop: is no known key; known are kind, scope"),
    "format": ([("/format", "plumeproof-profile/2")], ": /format: 'plumeproof-profile/2' is none of"),
    "no object": ([("/paths", [])], ": /paths: is no object"),
    "status": ([("/status", "certified")], ": /status: 'certified' is none of official, community, provisional"),
    "date": ([("/checked", "20261125")], ": /checked: '20261125' is no date; write it as 2026-11-25"),
    "no such day": ([("/checked", "2026-02-30")], ": /checked: '2026-02-30' is no date"),
    "plain HTTP": ([("/base_url", "http://x")], ": /base_url: is no https:// address"),
    "secret in the address": ([("/base_url", "https://a:b@x")], ": /base_url: holds a user"),
    "path": ([("/paths/token", "oauth")], ": /paths/token: 'oauth' is no path"),
    "login": ([("/auth/kind", "hmac")], ": /auth/kind: 'hmac' is none of client_credentials_basic"),
    "long assertions": ([("/auth/assertion_lifetime_s", 601)], "/auth/assertion_lifetime_s: 601 is no integer of"),
    "truth": ([("/signature/is_on", 1)], ": /signature/is_on: 1 is neither true nor false"),
    "component": ([("/signature/components/4", "Date")], ": /signature/components/4: 'Date' is no component"),
    "not sent": ([("/signature/components/4", "date")], ": /signature/components: date is nothing that is sent"),
    "body uncovered": ([("/signature/components", ["@method"])], "/signature/components: content-digest is missing"),
    "component twice": ([("/signature/components/4", "@method")], "/signature/components: names one thing twice"),
    "fields alike": ([("/report/fields/module", "gateway")], ": /report/fields: gives two fields the same name"),
    "batch": ([("/report/averages_max", 501)], ": /report/averages_max: 501 is no integer of 1 to 500"),
    "two lists": ([("/statuses/retried", [403])], ": /statuses/retried: 403 stands in blocked too"),
    "nothing accepted": ([("/statuses/accepted", [])], ": /statuses/accepted: is empty"),
    "range": ([("/statuses/divided", [500])], ": /statuses/divided: [500] is no list of statuses 400 to 499"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line_with_path_reason_and_mend(name, tmp_path, capsys):
    changes, words = REFUSED[name]
    (tmp_path / "own.json").write_text(json.dumps(changed(tree_of("eu-carbon-cloud"), *changes)))
    assert cli.main(["profile", "check", str(tmp_path / "own.json")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1, said


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' stands twice"), (b'{"a": NaN}', "NaN is no JSON"), (b"\xff", "no UTF-8"),
        (b"[" * 100_000, "deeper than 16"), (b'{"a":' * 20 + b"1" + b"}" * 20, "deeper than 16"),
        (b" " * (FILE_MAX_BYTES + 1), f"larger than {FILE_MAX_BYTES} bytes"), (b" " * FILE_MAX_BYTES, "no JSON"),
        (b" " * 10**6 * 256, "larger than"), (b"", "no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_profile(raw, words):
    with pytest.raises(ConfigError, match=words) as caught:
        parse_profile(raw, "own.json")
    assert str(caught.value).startswith("own.json: ") and "\n" not in str(caught.value)


LEAVES = [
    f"/{a}/{b}" for a, inner in tree_of("eu-carbon-cloud").items() if isinstance(inner, dict) for b in inner
] + [f"/{a}" for a in tree_of("eu-carbon-cloud")]  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers(-1, 700) | st.text(max_size=8) | st.just({}) | st.just([])


@settings(max_examples=120, deadline=None)
@given(pointer=st.sampled_from(LEAVES), value=VALUES)
def test_whatever_the_schema_refuses_the_bridge_refuses_too(pointer, value):
    """The schema for editors never says more than the bridge does, and no value ends in anything but a refusal."""
    made = changed(tree_of("eu-carbon-cloud"), (pointer, value))
    is_valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(made)
    try:
        parse_profile(json.dumps(made).encode(), "own.json")
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert is_valid, (pointer, value)


def test_the_description_is_read_alike_as_json_and_yaml():
    found = [
        check_profile(load_profile("eu-carbon-cloud"), read_description(raw, "x"), TODAY)
        for raw in (FILE.read_bytes(), yaml.safe_dump(DESCRIPTION).encode(), json.dumps(DESCRIPTION).encode())
    ]
    assert found[0] == found[1] == found[2] == sorted(BARE["eu-carbon-cloud"])
