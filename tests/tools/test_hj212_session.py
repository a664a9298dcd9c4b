"""The product's own field unit and the platform's program on a TCP line: a session, captured, decoded by both parsers.

The unit reads its figures from a real ledger; what the platform kept is what the ledger holds.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plumeproof.cli import main
from plumeproof.hj212.preview import Edition
from tests.doubles.hj212_bench import HOUR_MS, MIDNIGHT_MS, MN, PW, LinkBench, PlatformThread
from tests.tools.test_hj212_agreement import of_entries, read_here

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
units 1
ask 1000 OverTime=5;ReCount=3
ask 1062 RtdInterval=30
ask 1064 MinInterval=10
fault split-bytes:cn=2061:count=1
ask 2061 BeginTime=20261201000000;EndTime=20261201010000
fault garbage:cn=9014:count=2
wait 2051 within 15
wait 2051 within 15
wait 2051 within 15
wait 2061 within 15
wait 2061 within 15
wait 2061 within 15
wait 2061 within 15
wait 2061 within 15
ask 1061
ask 3014 PolId=a21002 expect refused
ask 1012 SystemTime=20261201060000 head:PW=000000 expect refused: QnRtn 3
"""


def test_a_session_of_the_field_unit(tmp_path, capsys):
    script = tmp_path / "script.txt"
    script.write_text(SCRIPT)
    (tmp_path / "pw").write_text(PW)
    command = [sys.executable, "-m", "tools.hj212_platform", "--json", "--script", str(script), "--mn", MN]
    command += ["--password-file", str(tmp_path / "pw"), "--capture", str(tmp_path / "session")]
    command += ["--store", str(tmp_path / "platform.sqlite")]
    told: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        link = LinkBench(tmp_path, json.loads(run.stdout.readline())["port"])
        listening = threading.Thread(target=lambda: told.extend(run.stdout or ()))
        listening.start()
        try:
            for hour in range(3):
                link.average(3600, MIDNIGHT_MS + hour * HOUR_MS)
            link.average(600, *(MIDNIGHT_MS + minute * 600_000 for minute in range(3)))
            link.queue()
            while run.poll() is None:
                link.step()
        finally:
            run.kill()
            listening.join()
            link.close()
    assert run.returncode == 0, "".join(told)
    assert PW not in "".join(told)
    decoded = {
        direction: read_by_both(tmp_path / f"session.1.{direction}", capsys) for direction in ("received", "sent")
    }
    assert {entry["version"] for entries in decoded.values() for entry in entries} == {"2017"}
    commands = [entry["head"]["CN"] for entry in decoded["received"]]
    assert commands.count("2051") == 3 and commands.count("2061") == 3 + 2, "three as they came, two asked for"
    assert {entry["verdict"] for entry in decoded["received"]} == {"good"}, "a field unit says nothing else"
    base = sqlite3.connect(tmp_path / "platform.sqlite")
    kept = base.execute(
        "SELECT DISTINCT data_time, name, value FROM message JOIN value ON message = message.id"
        " WHERE cn = '2061' AND name IN ('a21002-Avg', 'a21002-Min', 'a21002-Max') ORDER BY data_time, name"
    ).fetchall()
    base.close()
    ledger = {"Avg": "38.2", "Max": "41.0", "Min": "35.0"}  # of the bench's averages, 38.25 to one decimal
    times = [f"20261201{hour:02}0000" for hour in range(3)]
    assert kept == [(time, f"a21002-{name}", value) for time in times for name, value in ledger.items()]


def read_by_both(file: Path, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """Entries of `plumeproof hj212 decode`, after the platform's parser has said the same."""
    assert main(["hj212", "decode", str(file), "--json"]) in (0, 1)
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    good = of_entries(entries)[0]
    assert good == read_here(file.read_bytes(), "strict", [])[0] and good
    return [entry for entry in entries if entry["verdict"] != "rubbish"]


def test_a_link_of_the_preview_says_so_in_its_flags(tmp_path):
    platform = PlatformThread(tmp_path)
    link = LinkBench(tmp_path, platform.port, name="new", edition=Edition.PREVIEW, heartbeat_s=30.0)
    try:
        link.average(3600, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS)
        link.queue()
        link.deliver()
        assert [message.of("Flag") for message in platform.of("2061")] == ["9", "9"]
        assert platform.of("9015")[0].of("Flag") == "8"
        results = [platform.ask(cn, area, link.step, Flag="8") for cn, area in (("1061", ""), ("3014", "PolId=a21002"))]
        assert results == ["done", "refused: QnRtn 8 CN"]
        assert platform.ask("1061", "", link.step, Flag="4") == "refused: QnRtn 6 Flag", "2017 is another link"
    finally:
        link.close()
        platform.close()
