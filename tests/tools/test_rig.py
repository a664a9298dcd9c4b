"""tools.rig: wiring files refused with file and key, the verbs, and the suite run at ports as if they were iron."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.rig.capture import CaptureWriter, read_capture
from tools.rig.power import CommandSwitch, RelaySwitch, UsbHubSwitch
from tools.rig.pty_bench import PtyBench
from tools.rig.relay_board import RelayBoard
from tools.rig.report import Run, Test, render
from tools.rig.run import read_outcomes
from tools.rig.wiring import EMULATED, NEEDS, Wiring, WiringError, find_wiring, open_switch, parse_wiring

ROOT = Path(__file__).resolve().parents[2]
HASH = "ab" * 32
GOOD = f"""board = "rp2_pico_2ch"
journal_bytes = 1048576
[module]
device = "plume-rig"
port = "/dev/ttyA"
link_address = 7
firmware_hash = "{HASH}"
keys = "keys.json"
parameters = "parameters.json"
[bus]
port = "/dev/ttyB"
[power]
kind = "usb_hub"
location = "1-1.4"
hub_port = 2
"""


def rig(*words, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.rig", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False, **more)


def test_a_wiring_file_is_read():
    wiring = parse_wiring(GOOD.encode(), Path("/bench/big.toml"))
    assert (wiring.name, wiring.board, wiring.device, wiring.bus_port) == (
        "big",
        "rp2_pico_2ch",
        "plume-rig",
        "/dev/ttyB",
    )
    assert wiring.keys == Path("/bench/keys.json") and wiring.firmware_hash == bytes.fromhex(HASH)
    assert (wiring.module_baud, wiring.start_s, wiring.program_unit_bytes) == (115_200, 30, 256)
    assert [need for need in NEEDS if wiring.offers(need)] == ["module_port", "bus_port", "power_switch"]
    assert isinstance(open_switch(wiring.power), UsbHubSwitch)


def test_what_a_file_does_not_name_is_missing():
    bare = GOOD.split("[bus]")[0].replace('port = "/dev/ttyA"\n', "")
    wiring = parse_wiring(bare.encode(), Path("x.toml"))
    assert not [need for need in NEEDS if wiring.offers(need)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("board =", "bord ="), "x.toml: board is missing"),
        (("[bus]", "speed = 1\n[bus]"), "x.toml: module.speed is no key"),
        (("link_address = 7", "link_address = 0"), "x.toml: module.link_address 0 is outside 1 to 247"),
        (("link_address = 7", 'link_address = "7"'), "x.toml: module.link_address is no int"),
        (("link_address = 7", "link_address = true"), "x.toml: module.link_address is no int"),
        ((HASH, "ab"), "x.toml: module.firmware_hash is no SHA-256"),
        (('"usb_hub"', '"magic"'), "x.toml: power.kind is none of relay usb_hub command"),
        (("hub_port = 2", "relay = 2"), "x.toml: power.hub_port is missing"),
        (("hub_port = 2", "hub_port = 2\nrelay = 1"), "x.toml: power.relay is no key"),
        (("[bus]\n", "[bus]\nbaud = 1\n"), "x.toml: bus.baud is no key"),
        (('"usb_hub"\nlocation = "1-1.4"\nhub_port = 2', '"command"\noff = "sh"\non = []'), "power.off is no list"),
        (("[power]", "[power"), "x.toml: no TOML"),
        (('port = "/dev/ttyB"', 'port = ""'), "x.toml: bus.port is no str with something in it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_and_key(change, words):
    with pytest.raises(WiringError, match=re.escape(words)) as caught:
        parse_wiring(GOOD.replace(*change).encode(), Path("x.toml"))
    assert "\n" not in str(caught.value).replace("no TOML", "")


@pytest.mark.parametrize("name", ["example_usb_relay", "template"])
def test_what_is_shipped_can_be_read(name):
    wiring = find_wiring(name, None)
    assert wiring.offers("bus_port") and wiring.offers("power_switch") and wiring.offers("module_port")
    assert find_wiring(name, "/dev/ttyOTHER").module_port == "/dev/ttyOTHER"


def test_the_emulated_rig_lacks_nothing_and_takes_no_port():
    assert all(find_wiring(EMULATED, None).offers(need) for need in NEEDS)
    with pytest.raises(WiringError, match="name its rig as well"):
        find_wiring(EMULATED, "/dev/ttyA")
    with pytest.raises(WiringError, match="there are emulated example_usb_relay template"):
        find_wiring("nowhere", None)
    with pytest.raises(WiringError, match="unknown"):
        find_wiring(EMULATED, None).offers("coffee")


def test_every_need_that_a_test_states_is_one():
    """A typing mistake in a mark would be found on a bench only."""
    stated = set()
    for path in [*(ROOT / "tests" / "hil").glob("test_*.py"), *(ROOT / "tests" / "system").glob("test_*.py")]:
        for words in re.findall(r"mark\.needs\(([^)]*)\)", path.read_text()):
            stated |= set(re.findall(r'"([^"]+)"', words))
    assert {"bus_port", "power_switch", "module_folder"} <= stated <= set(NEEDS)


def test_each_kind_of_switch_is_opened():
    board = RelayBoard(lambda relay, is_closed: None)
    try:
        relay = f'kind = "relay"\nport = "{board.port}"\nis_inverted = true\n'
        words = GOOD.split('kind = "usb_hub"')[0]
        switch = open_switch(parse_wiring((words + relay).encode(), Path("x.toml")).power)
        assert isinstance(switch, RelaySwitch)
        switch.close()
    finally:
        board.stop()
    command = 'kind = "command"\noff = ["false"]\non = ["true", "now"]\n'
    assert isinstance(open_switch(parse_wiring((words + command).encode(), Path("x.toml")).power), CommandSwitch)


def test_a_capture_ends_where_its_limit_is(tmp_path):
    path = tmp_path / "bus.jsonl"
    writer = CaptureWriter(path, "bus", 400)
    for _ in range(20):
        writer.write("module", bytes(20))
    writer.write("module", b"x")  # would fit again, but behind a hole
    writer.close()
    capture = read_capture(path)
    assert writer.is_cut and path.stat().st_size <= 400 and 1 <= len(capture.pieces) < 20
    assert all(piece.raw == bytes(20) for piece in capture.pieces)


def test_the_verbs_refuse_in_one_line(tmp_path):
    for words, status, said in (
        (("record", "--rig", "nowhere", "-o", tmp_path), 2, "rig: --rig nowhere"),
        (("run", "--module", "/dev/ttyNONE"), 2, "name its rig as well"),
        (("power", "off", "--rig", "emulated"), 2, "lacks power_switch"),
        (("power", "off", "--rig", "example_usb_relay"), 3, "power switch: serial port /dev/ttyUSB2"),
        (("emulate", ROOT), 2, "is not empty"),
    ):
        ended = rig(*words)
        assert (ended.returncode, ended.stderr.count("\n")) == (status, 1), ended.stderr
        assert said in ended.stderr
    ended = rig("record", "-o", tmp_path, "--seconds", "9999")
    assert ended.returncode == 2 and "--seconds is 1 to 600" in ended.stderr


def test_pytest_refuses_an_unknown_rig():
    command = [sys.executable, "-m", "pytest", "-q", "--rig", "nowhere", "tests/hil"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 4 and "--rig nowhere" in ended.stderr


def test_emulate_says_its_options_and_ends_when_told(tmp_path):
    command = [sys.executable, "-m", "tools.rig", "emulate", str(tmp_path / "bench")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        words = child.stdout.readline().split()
        wiring = find_wiring(words[3], words[1])
        ended = rig("power", "cycle", "--rig", words[3])
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=20)
    assert (words[0], words[2], child.returncode) == ("--module", "--rig", 0), said
    assert wiring.device == "plume-bench" and not os.path.exists(words[1])
    assert ended.returncode == 0 and ended.stdout.strip().endswith(": cycle"), ended.stderr


WITH_PORTS = (
    "test_nothing_journaled_is_lost_by_cuts_at_any_moment or test_a_gateway_that_comes_back or test_wrong_usage"
    " or test_time_of_the_gateway"
)


def test_the_suite_runs_at_ports_as_if_they_were_iron(tmp_path):
    """Same test bodies, through two adapters and relay bytes; what is not wired is skipped by name; the report says all
    of it. The whole suite behind ports takes minutes: `python -m tools.rig emulate`, then `make rig`."""
    with PtyBench(tmp_path / "bench", slot_ms=400, seal_ms=800) as bench:
        words = [*bench.options(), "-o", tmp_path, "--cuts", "2", "--who", "<Ann>", "--", "-k", WITH_PORTS]
        ended = rig("run", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed, 0 failed, 1 skipped" in ended.stdout.splitlines()[-1]
    tests = {test.name.rsplit("::")[-1]: test for test in read_outcomes(tmp_path / "outcomes.jsonl")}
    skipped = tests["test_wrong_usage_is_2"]
    assert (skipped.outcome, skipped.reason) == ("skipped", "Skipped: rig bench lacks module_folder")
    power = tests["test_nothing_journaled_is_lost_by_cuts_at_any_moment"].seen["power"]
    assert [cut["lost"] for cut in power["cuts"]] == [0, 0]
    page = (tmp_path / "report.html").read_text()
    for words in (
        "plume-bench",
        "lacks module_folder",
        "&lt;Ann&gt;",
        "2 cuts at drawn moments",
        "0 records lost",
        "UTC",
    ):
        assert words in page, words
    assert page.count("<svg") >= 3


def run_of(tests) -> Run:
    now = datetime.datetime(2026, 11, 25, 5, 0, tzinfo=datetime.UTC)
    return Run(Wiring(EMULATED, "host"), "somebody", now, now, "0123456789ab+", tests)


HEALTH = [
    {"mono_ms": 60_000 * n, "boot": 1, "heap_free": 40_000 - n, "analyzers": [[100, 2, 900, 950, 4000]]} for n in (1, 2)
]
SEEN = {
    "baud": 9600, "round_trips_ms": [1.0, 1.5, 80.0] * 50, "bus_use_percent": [3.0, 9.5, 9.4, 9.6, 2.0], "records": 12,
    "firmware": HASH, "samples": [[900, 2000]] * 4, "health": HEALTH, "holes": 0, "gaps": 1, "values": 100,
}  # fmt: skip
CUTS = {"cuts": [{"wait_s": 1, "answers_s": 0.5, "record_s": 0.9, "lost": 0}] * 30, "boots": 31, "torn": 2, "seed": 1}


def test_the_report_stands_alone():
    page = render(run_of([Test("tests/hil/a.py::test_b", "passed", 1.0, "", {"rig": SEEN, "power": CUTS})]))
    assert page.count("<svg") == 4
    assert not re.search(r"<script|<link|<img|url\(|@import|<!--", page)
    assert set(re.findall(r"https?://[^\"' )<]+", page)) == {"http://www.w3.org/2000/svg"}
    for words in (HASH, "30 cuts", "Lowest 39,998 bytes", "somebody", "UTC+0000", "4.00"):
        assert words in page, words


def test_a_report_of_nothing_but_trouble_says_so():
    tests = [
        Test("tests/hil/a.py::test_b", "failed", 1.0, "assert 1 == 2 <b>", {}),
        Test("tests/hil/a.py::test_c", "skipped", 0.0, "Skipped: rig x lacks bus_port", {}),
    ]
    page = render(run_of(tests))
    assert "<svg" not in page and "&lt;b&gt;" in page and "rig x lacks bus_port" in page
    for words in (
        "No good answer",
        "No test polled",
        "no test with cuts",
        "No health record",
        "no boot record was seen",
    ):
        assert words in page, words


def test_a_lost_record_is_red():
    lost = {"cuts": [{"wait_s": 1, "answers_s": 0.5, "record_s": 0.9, "lost": 3}], "boots": 2, "torn": 0, "seed": 1}
    page = render(run_of([Test("t.py::test_b", "failed", 1.0, "", {"power": lost})]))
    assert re.search(r'class="bad">3</b><span>records lost', page)


def test_outcomes_are_the_worst_of_a_test(tmp_path):
    path = tmp_path / "outcomes.jsonl"
    line = {"test": "t", "when": "call", "outcome": "passed", "seconds": 1.0, "reason": "", "seen": {"a": 1}}
    worse = line | {"when": "teardown", "outcome": "failed", "reason": "E", "seen": {"b": 2}}
    path.write_text(json.dumps(line) + "\n" + json.dumps(worse) + "\n")
    (test,) = read_outcomes(path)
    assert (test.outcome, test.reason, test.seconds, test.seen) == ("failed", "E", 2.0, {"a": 1, "b": 2})


def test_the_recorder_makes_both_captures(tmp_path):
    began = time.time_ns()
    ended = rig("record", "-o", tmp_path, "--seconds", "3", "--fault", "dust:crc")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    bus, uplink = (read_capture(tmp_path / name) for name in ("bus.jsonl", "uplink.jsonl"))
    assert bus.origin["faults"] == ["dust:crc"] and "ledger" not in bus.origin
    assert uplink.origin["ledger"]["kinds"]["1"] >= 1 and not uplink.origin["is_cut"]
    assert bus.sent_by("module") and bus.sent_by("analyzers") and uplink.sent_by("gateway")
    assert json.loads((tmp_path / "bus.jsonl").read_text().splitlines()[0])["begun_utc_ns"] >= began
