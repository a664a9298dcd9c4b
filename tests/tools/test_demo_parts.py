"""What the demo's line is made of, each alone: processes and their deaths, cables, summary, files of the modules."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import pytest

from plumeproof.config import load_config
from plumeproof.keys import load_keys
from tests.doubles.sealed_module import SealedModule
from tools.demo.cable import BACKLOG_BYTES, Cable
from tools.demo.layout import GATEWAY, MODULES, Layout
from tools.demo.part import Cancelled, Part, PartError
from tools.demo.provision import configure_bridge, enroll, provision_module
from tools.demo.summary import Summary

WAIT_S = 20.0
STUBBORN = (
    "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready 1', flush=True); time.sleep(60)"
)


def wait_for(condition) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "did not come true"
        time.sleep(0.01)


def make_part(folder: Path, program: str) -> Part:
    return Part("one", [sys.executable, "-c", program], folder / "one.log", folder)


def test_a_part_is_ready_dies_and_starts_again(tmp_path):
    part = make_part(tmp_path, "import os,time; print('ready', os.getpid(), flush=True); time.sleep(60)")
    part.start()
    assert part.wait_for("ready", WAIT_S) == f"ready {part.pid}"
    first = part.pid
    assert part.status is None
    part.kill()
    assert part.status == -signal.SIGKILL
    with pytest.raises(PartError, match=r"^one ended with status -9: ready \d+; see .*one\.log$"):
        part.check()
    part.start()
    assert part.wait_for("ready", WAIT_S) == f"ready {part.pid}" != f"ready {first}"
    part.stop()


def test_a_part_that_fails_hangs_or_is_not_wanted_any_more(tmp_path):
    part = make_part(tmp_path, "import sys; sys.exit('no such port; free it')")
    part.start()
    with pytest.raises(PartError, match="ended with status 1: no such port; free it"):
        part.wait_for("ready", WAIT_S)
    part = make_part(tmp_path, "import time; time.sleep(60)")
    part.start()
    with pytest.raises(PartError, match="was not ready within 0 s"):
        part.wait_for("ready", 0.2)
    with pytest.raises(Cancelled):
        part.wait_for("ready", WAIT_S, lambda: True)
    part.stop()


def test_one_that_does_not_obey_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.demo.part.STOP_S", 0.2)
    part = make_part(tmp_path, STUBBORN)
    part.start()
    part.wait_for("ready", WAIT_S)
    pid = part.pid
    part.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_parts_die_with_a_demo_that_is_killed(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom tools.demo.part import Part\n"
        f"part = Part('one', [sys.executable, '-c', {STUBBORN!r}], Path('one.log'), Path('.'))\n"
        "part.start(); part.wait_for('ready', 20); print(part.pid, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    demo = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path, env=environment)
    assert demo.stdout is not None
    pid = int(demo.stdout.readline())
    demo.kill()
    demo.communicate()

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_for(is_gone)


@pytest.fixture
def cable(tmp_path):
    cable = Cable(tmp_path / "module.tty", tmp_path / "gateway.tty")
    cable.start()
    yield tmp_path / "module.tty", tmp_path / "gateway.tty"
    cable.stop()
    assert not (tmp_path / "module.tty").exists() and not (tmp_path / "gateway.tty").exists()


def open_tty(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, termios.TCSANOW)
    return fd


def read_all(fd: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += os.read(fd, count - len(found))
    return found


def test_a_cable_carries_every_byte_both_ways_also_after_a_side_has_died(cable):
    module, gateway = map(open_tty, cable)
    everything = bytes(range(256)) * 4
    for _ in range(2):
        for here, there in ((module, gateway), (gateway, module)):
            os.write(here, everything)
            assert read_all(there, len(everything)) == everything
        os.close(gateway)
        gateway = open_tty(cable[1])
    os.close(module)
    os.close(gateway)


def test_a_side_that_does_not_read_holds_nobody_up(cable):
    module, gateway = map(open_tty, cable)
    for _ in range(4 * BACKLOG_BYTES // 1024):
        os.write(module, bytes(1024))
    os.write(gateway, b"still")
    assert read_all(module, 5) == b"still"
    os.close(module)
    os.close(gateway)


def test_the_summary_in_a_pipe_is_plain_lines(tmp_path):
    said = io.StringIO()
    summary = Summary(Layout(tmp_path), said)
    summary.tick(None)
    summary.tick(None)
    summary.say("a sentence")
    assert said.getvalue() == "     0 s   the ledger is not there yet\na sentence\n"


class SomeBroker:
    host, port, is_mqtt5 = "127.0.0.1", 8883, False


def test_what_is_provisioned_is_what_both_sides_read(tmp_path):
    layout = Layout(tmp_path / "a folder, ü")
    for number, name in enumerate(MODULES):
        provision_module(layout, name, 1000, 3000)
        assert json.loads((layout.module(name) / "settings.json").read_text()) == {"link_address": 1}
        assert json.loads(layout.parameters(name).read_bytes())["device"] == name
        (layout.module(name) / "public_key.bin").write_bytes(SealedModule(name, 100 + number).public_key)
    enroll(layout)
    assert [entry.device for entry in load_keys(layout.keys).entries] == [*MODULES, GATEWAY]
    configure_bridge(layout, SomeBroker(), "https://127.0.0.1:1", 8470)
    config = load_config(layout.config)
    assert [Path(module.port) for module in config.modules] == [layout.gateway_tty(name) for name in MODULES]
    assert config.gateway.ledger_file == layout.ledger
    assert config.anchors.key_file == layout.gateway_key and config.anchors.folders == (layout.kept,)
    assert (config.mqtt_sinks[0].protocol, config.mqtt_sinks[0].port) == ("3.1.1", 8883)
    assert config.https_sinks[0].secret_file == layout.platform / "client.secret"
