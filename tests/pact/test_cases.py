"""The 28 public cases, spoken by the requester over TLS to the real host; and that the requester sees a bad host."""

from __future__ import annotations

import json

import pytest

from plumeproof.pact.shelf import Criteria
from tests.doubles.footprint_works import SECRET
from tests.pact.conftest import OPENAPI
from tools.eu_platform.receipts import write_private
from tools.pact_requester.__main__ import main
from tools.pact_requester.cases import CASES, run_all


@pytest.fixture(scope="module")
def outcomes(works):
    session = works.session(listener=works.listener)
    session.token = ""
    found = {outcome.number: outcome for outcome in run_all(session)}
    session.close()
    return found


@pytest.mark.parametrize(
    "number", range(1, 29), ids=lambda number: f"{number:02d}-{CASES[number][0].replace(' ', '-')}"
)
def test_public_case(outcomes, number):
    assert outcomes[number].is_passed, outcomes[number].told


def test_the_answer_came_as_an_event(outcomes):
    assert outcomes[12].told == "answered by an event"


def options(works, tmp_path, *more, password=SECRET, host=None):
    write_private(tmp_path / "a.secret", (password + "\n").encode())
    ca = works.folder / "ca" / "ca.pem"
    chosen = ["--host", host or works.service.url, "--client", "customer-a", "--secret-file", tmp_path / "a.secret"]
    return list(map(str, [*chosen, "--openapi", OPENAPI, "--ca-file", ca, *more]))


def test_as_a_program(works, tmp_path, capsys):
    assert main(options(works, tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:28]] == [["case", f"{n:02d}", "pass"] for n in range(1, 29)]
    assert lines[28].startswith("28 of 28 cases hold at https://127.0.0.1:") and len(lines) == 29


def test_a_wrong_secret_a_silent_host_and_wrong_files(works, tmp_path, capsys):
    assert main(options(works, tmp_path, "--json", password=SECRET[::-1])) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["is_passed"] for one in found["cases"][:3]] == [False, True, False]
    assert main(options(works, tmp_path, host="https://127.0.0.1:9")) == 3
    (tmp_path / "other.yaml").write_text("openapi: 3.0.0\n")
    assert main([*options(works, tmp_path), "--openapi", str(tmp_path / "other.yaml")]) == 2
    assert "no OpenAPI 3.1 description" in capsys.readouterr().err


def test_a_host_that_filters_nothing_fails_the_filter_cases(works, monkeypatch):
    monkeypatch.setattr(Criteria, "fit", lambda self, content: True)
    session = works.session()
    failed = {outcome.number for outcome in run_all(session) if not outcome.is_passed}
    session.close()
    assert failed == {20, 21, 22, 23, 24, 25, 26, 27, 28}
