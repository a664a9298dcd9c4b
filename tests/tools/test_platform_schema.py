"""The running platform against its own description: schemathesis with all checks, a short run, and what it reached.

The long run: python -m tools.eu_platform.conformance --examples 2000 --seconds 3600
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

from tests.tools.platform_process import DESCRIPTION, ROOT, report
from tools.eu_platform.description import Description
from tools.eu_platform.problems import KINDS
from tools.eu_platform.schemathesis_hooks import make_consistent

OPERATIONS = {  # as the log names them; /openapi.json is what schemathesis reads first and leaves out afterwards
    ("POST", "/oauth/token"),
    ("POST", "/v1/reports"),
    ("GET", "/v1/reports"),
    ("GET", "/v1/reports/X"),
    ("POST", "/v1/anchors"),
    ("GET", "/v1/anchors"),
    ("GET", "/v1/keys"),
    ("GET", "/openapi.json"),
    ("GET", "/"),
    ("GET", "/reports/X"),
    ("GET", "/problems/X"),
    ("GET", "/static/X"),
}
LINE = re.compile(r"method=([A-Z]+) path='([^']*)' status=(\d+) problem=([a-z-]+)")


def test_schemathesis(tmp_path):
    command = [sys.executable, "-m", "tools.eu_platform.conformance", "--examples", "5", "--seed", "1"]
    ended = subprocess.run(
        [*command, "--log", str(tmp_path / "log")], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
    assert "No issues found" in ended.stdout
    assert "11 selected / 11 total" in ended.stdout
    log = (tmp_path / "log").read_text()
    seen = Counter(
        ((method, re.sub(r"^(/v1/reports|/reports|/problems|/static)/.+", r"\1/X", path)), int(status), kind)
        for method, path, status, kind in LINE.findall(log)
    )
    assert "Traceback" not in log and not [case for case in seen if case[1] >= 500]
    reached = {operation for operation, status, _ in seen if status in (200, 201)}
    assert reached == OPERATIONS, "every operation, with its token, has answered well"
    assert seen[("POST", "/v1/reports"), 201, "none"] >= 5
    assert seen[("POST", "/v1/reports"), 422, "report-refused"] >= 100, "wrong bodies were looked at"


def test_description_names_every_kind_of_problem():
    (parameter,) = DESCRIPTION["paths"]["/problems/{kind}"]["get"]["parameters"]
    assert parameter["schema"]["enum"] == list(KINDS)


def test_consistent_reports_stay_valid():
    what = report()
    what["averages"][0] |= {"id": 9, "minimum": 3.0, "mean": 1, "maximum": 2.0, "firstSeq": 7, "lastSeq": 3}
    made = make_consistent(what)
    assert Description().find_faults(made) == []
    assert [average["id"] for average in made["averages"]] == [9, 10]
    assert (made["averages"][0]["minimum"], made["averages"][0]["maximum"]) == (1, 3.0)
    assert what["averages"][0]["mean"] == 1, "a copy"
