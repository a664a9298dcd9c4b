"""The set-up's judgements, on real programs and files; whole set-ups in clean roots are tried by `make trial`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "tools" / "setup"


@pytest.fixture
def setup(monkeypatch):
    """Import one of the set-up's files: they lie beside each other and belong to no package."""
    monkeypatch.syspath_prepend(str(SETUP))
    for name in ("packages", "interpreter", "broker", "browser", "environment"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def print_path(name: str) -> str:
    answer = subprocess.run([sys.executable, str(SETUP / name), "--print"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def names_in(requirements: list[str]) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-") for line in requirements}


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "tests/referees.lock", "tools/bench/peers.lock", "tools/setup/browser.lock"]
)
def test_locks_hold_hashes_and_no_addresses(lock):
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text())
    assert entries
    for entry in entries:
        if not entry.startswith("#"):
            assert "==" in entry.split("\\")[0], entry
            assert "--hash=sha256:" in entry, entry
        assert "://" not in entry
        assert "index" not in entry.split("\\")[0], entry


def test_the_lock_covers_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = names_in([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    locked = names_in([line for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line])
    assert wanted <= locked


def test_an_interpreter_of_the_wrong_kind_is_refused(setup, tmp_path, monkeypatch):
    interpreter = setup("interpreter")
    assert interpreter.version_of(sys.executable) is None, "CPython is no MicroPython"
    assert interpreter.version_of(script(tmp_path / "old", "echo 1.22.1")) is None
    assert interpreter.version_of(script(tmp_path / "new", "echo 1.25.0")) == (1, 25, 0)
    monkeypatch.setenv("PLUMEPROOF_MICROPYTHON", str(tmp_path / "old"))
    with pytest.raises(interpreter.Unobtainable, match="MICROPYTHON=.*old is no MicroPython >= 1.23"):
        interpreter.installed()


def test_builds_are_told_apart(setup, tmp_path, monkeypatch):
    interpreter = setup("interpreter")
    monkeypatch.setattr(interpreter, "CACHE", tmp_path)
    for name, build in interpreter.BUILDS.items():
        build.path.parent.mkdir()
        script(build.path, f"echo {build.release.version}")
        assert (interpreter.kept(name) is None) == (name == "32"), "words of 32 bits are looked at, not believed"
    script(interpreter.BUILDS["newest"].path, "echo 1.25.0")
    assert interpreter.kept("newest") is None


def test_where_a_32_bit_build_can_be_had(setup, monkeypatch):
    interpreter = setup("interpreter")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(interpreter.platform, "machine", lambda: "aarch64")
    assert interpreter.wanted_for_tests() == ("first", "newest")
    with pytest.raises(interpreter.Unobtainable, match="needs an amd64 machine.* this one is aarch64"):
        interpreter.obtain_all("32")
    monkeypatch.setenv("CI", "true")
    assert "32" in interpreter.wanted_for_tests(), "in CI its absence is an error everywhere"
    monkeypatch.delenv("CI")
    monkeypatch.setattr(interpreter.platform, "machine", lambda: "x86_64")
    assert interpreter.wanted_for_tests() == ("first", "32", "newest")


def test_the_broker_that_is_there(setup, tmp_path):
    broker = setup("broker")
    assert broker.version_of(script(tmp_path / "old", "echo mosquitto version 1.6.9")) is None
    assert broker.version_of(script(tmp_path / "none", "echo '2.0.1: cannot find a library' >&2; exit 127")) is None
    assert broker.version_of(tmp_path / "absent") is None
    found = print_path("broker.py")
    assert found == "amqtt" or broker.version_of(Path(found)) >= (2, 0)


def test_a_snap_is_no_browser(setup, tmp_path):
    browser = setup("browser")
    assert browser.runs(script(tmp_path / "chromium", 'echo "Chromium 153.0"'))
    assert not browser.runs(script(tmp_path / "wrapper", 'exec /snap/bin/chromium "$@" # Chromium'))
    assert not browser.runs(script(tmp_path / "broken", "echo Chromium; exit 1"))
    (tmp_path / "snap").mkdir()
    assert not browser.runs(script(tmp_path / "snap" / "chromium", "echo Chromium 153"))
    assert not browser.runs(tmp_path / "absent")


@pytest.mark.parametrize(
    ("release", "is_ubuntu"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", True), ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ("ID=debian\n", False), ('NAME="not ubuntu"\nID=fedora\n', False),
    ],
)  # fmt: skip
def test_where_the_browser_may_be_missing(setup, monkeypatch, release, is_ubuntu):
    browser, packages = setup("browser"), setup("packages")
    monkeypatch.setattr(packages.Path, "read_text", lambda _path, **_: release)
    monkeypatch.delenv("CI", raising=False)
    assert packages.is_ubuntu() == is_ubuntu
    assert browser.is_required() != is_ubuntu, "anywhere but on Ubuntu a missing browser is an error"
    monkeypatch.setenv("CI", "true")
    assert browser.is_required(), "and in CI everywhere"


def test_without_rights_one_line_names_everything(setup, monkeypatch):
    packages = setup("packages")
    monkeypatch.setattr(packages, "_elevation", lambda: None)
    with pytest.raises(packages.Unobtainable) as refused:
        packages.install("python3-venv", "chromium")
    assert str(refused.value) == (
        "not root and no sudo: ask the administrator for `apt-get install python3-venv chromium`, then run again"
    )


def test_a_command_that_fails_is_told_in_one_line(setup, tmp_path):
    packages = setup("packages")
    failing = script(tmp_path / "failing", "for i in 1 2 3 4 5; do echo line $i >&2; done; exit 3")
    with pytest.raises(packages.Unobtainable) as refused:
        packages.run(str(failing), "now")
    assert str(refused.value) == f"{failing} now failed: line 3 | line 4 | line 5"


def test_the_mirror_is_the_one_of_this_machine(setup):
    assert re.fullmatch(r"https?://\S+/debian", setup("interpreter").mirror())
