"""One suite for emulator and hardware: `--module PORT --rig NAME` puts the tests that can have it on a real module.

A test takes its rig from `make_rig` and says with `needs` what must be wired (tools/rig/wiring.py lists the names); on
a rig that lacks it the test is skipped with the missing name. The emulated rig lacks nothing. `hil`: tests that are
about a bench and nothing else; they run on the emulated one too, briefly.

Firmware tests run under pytest on CPython as well: their folder is on the path, their Skipped becomes a skip.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "firmware"))
sys.path.append(str(Path(__file__).parent / "doubles"))  # those that run on both interpreters

from mini_unittest import Skipped

from tools.rig.wiring import EMULATED, Wiring, WiringError, find_wiring

REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "reference"))
OF_MODULES = ("system", "hil")  # folders whose tests have a module; without make_rig it is an emulated one of their own
_WIRING = pytest.StashKey[Wiring]()


def pytest_addoption(parser):
    group = parser.getgroup("rig", "a module on a bench instead of the emulated one")
    group.addoption("--module", metavar="PORT", help="serial port of the module's uplink")
    group.addoption("--rig", metavar="NAME", default=EMULATED, help="tests/hil/wiring/NAME.toml, or a file *.toml")
    group.addoption("--cuts", type=int, default=4, help="power cuts of the test that counts them (4)")
    group.addoption("--soak-seconds", type=float, default=6.0, help="length of the long run (6)")
    group.addoption("--rig-outcomes", metavar="FILE", type=Path, help="what became of each test, for tools.rig run")


def pytest_configure(config):
    config.addinivalue_line("markers", "hil: about a bench and nothing else; the emulated rig runs it briefly")
    config.addinivalue_line("markers", "needs(name, ...): what must be wired; skipped with the missing name")
    if os.environ.get("CI") and not REFERENCE.is_dir():
        raise pytest.UsageError(
            f"{REFERENCE}: is not there, and what needs it would be skipped; set PLUMEPROOF_REFERENCE"
        )
    try:
        config.stash[_WIRING] = find_wiring(config.getoption("--rig"), config.getoption("--module"))
    except WiringError as fault:
        raise pytest.UsageError(str(fault)) from fault


def pytest_collection_modifyitems(config, items):
    seconds = 120 + 1.5 * config.getoption("--soak-seconds") + 20 * config.getoption("--cuts")
    for item in items:
        if item.get_closest_marker("hil") is not None:
            item.add_marker(pytest.mark.timeout(seconds))


def pytest_report_header(config):
    wiring = config.stash[_WIRING]
    return f"rig: {wiring.name}, board {wiring.board}, module {wiring.module_port or 'emulated'}"


def pytest_runtest_setup(item):
    wiring = item.config.stash[_WIRING]
    needs = [need for marker in item.iter_markers("needs") for need in marker.args]
    if item.path.parent.name in OF_MODULES:
        needs.append("module_port" if "make_rig" in item.fixturenames else "module_folder")
    missing = [need for need in dict.fromkeys(needs) if not wiring.offers(need)]
    if missing:
        pytest.skip(f"rig {wiring.name} lacks {' '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    path = item.config.getoption("--rig-outcomes")
    if path is not None and (report.when == "call" or report.outcome != "passed" or call.when == "teardown"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")[-2000:]
        line = {
            "test": item.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "seconds": report.duration,
            "reason": reason,
            "seen": dict(item.user_properties),
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    try:
        return (yield)
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def wiring(request) -> Wiring:
    """What is wired on this rig."""
    return request.config.stash[_WIRING]


@pytest.fixture
def make_rig(request, tmp_path, wiring):
    """make_rig(slot_ms=, seal_ms=): the module that this run is about. Iron has the parameter set it was given."""
    made = []

    def make(**plan):
        if wiring.name == EMULATED:
            from tests.doubles.module_rig import ModuleRig
            from tests.system.interpreters import find

            made.append(ModuleRig(tmp_path, find("first"), **plan))
        else:
            from tests.hil.hardware_rig import HardwareRig

            made.append(HardwareRig(tmp_path, wiring))
        return made[-1]

    yield make
    for rig in made:
        try:
            if request.config.getoption("--rig-outcomes") is not None:
                from tools.rig.figures import figures_of

                request.node.user_properties.append(("rig", figures_of(rig.plant_log(), rig.gateways)))
        finally:
            rig.close()
