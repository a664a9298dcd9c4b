"""The running service over real ptys, in this process and as the real command, killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from plumeproof.cli import main
from plumeproof.config import load_config
from plumeproof.errors import ConfigError, StoreError
from plumeproof.keys import load_keys
from plumeproof.service import Service
from plumeproof.store.lock import LedgerLock
from tests.doubles.plant_module import PlantModule

WAIT_S = 30.0  # far above what anything here takes; only a hang reaches it


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


class Site:
    """A folder with a configuration for some modules on ptys."""

    def __init__(self, folder: Path, *devices: str, more: str = "") -> None:
        self.folder = folder
        self.modules = [PlantModule(device, 1001 + index) for index, device in enumerate(devices)]
        self.file = folder / "bridge.toml"
        (folder / "keys.json").write_text(json.dumps([module.entry() for module in self.modules]))
        tables = "".join(
            f'[[module]]\ndevice = "{module.device}"\nport = "{module.port}"\npoll_interval_s = 0.02\n'
            for module in self.modules
        )
        self.file.write_text(
            f'[gateway]\nid = "gw-1"\ndata_dir = "data"\n[keys]\nfile = "keys.json"\n{tables}'
            f"[averaging]\nintervals_s = [10]\ngrace_s = 0\n{more}"
        )

    @property
    def ledger(self) -> Path:
        return self.folder / "data" / "ledger.sqlite"

    def rows(self, device: str) -> list[tuple[int, bytes]]:
        if not self.ledger.exists():
            return []
        connection = apsw.Connection(str(self.ledger), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(
                "SELECT seq, envelope FROM record WHERE device = ? ORDER BY position", (device,)
            ).fetchall()
        except apsw.SQLError:
            return []  # being made
        finally:
            connection.close()

    def close(self) -> None:
        for module in self.modules:
            module.close()


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path, "plume-01", "plume-02")
    yield found
    found.close()


def states(service: Service) -> dict[str, str]:
    return {f"{part['kind']}/{part['name']}": part["state"] for part in service.health.snapshot()}


def part(service: Service, name: str) -> dict:
    return next(part for part in service.health.snapshot() if part["name"] == name)


def test_records_of_two_modules_reach_the_ledger_and_are_released(site):
    for module in site.modules:
        module.start_up()
        for _ in range(12):
            module.measure(2)
    sealed = {module.device: dict(module.journal) for module in site.modules}
    service = Service(load_config(site.file))
    service.start()
    for module in site.modules:
        module.serve()
    wait_for(lambda: all(not module.journal for module in site.modules))
    assert all(module.times_set >= 1 for module in site.modules)
    wait_for(lambda: part(service, "plume-01")["counters"].get("journal_waiting_count") == 0)
    assert states(service)["module/plume-01"] == "up"
    assert service.stop()
    for module in site.modules:
        expected = [(seq, raw) for seq, (_, raw) in sorted(sealed[module.device].items())]
        assert site.rows(module.device) == expected


def test_a_key_that_was_revoked_is_believed_no_further_after_a_restart(tmp_path):
    """What it signed up to there stays; what it signs behind is put aside, acknowledged, and said."""
    site = Site(tmp_path, "plume-01", more="[dashboard]\nenabled = false\n")
    module = site.modules[0]
    module.start_up()
    for _ in range(5):
        module.measure(2)
    last = module.newest
    module.serve()
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: not module.journal)
    assert service.stop()
    before = site.rows("plume-01")
    assert before[-1][0] == last
    (entry,) = load_keys(site.folder / "keys.json").entries
    words = ["keys", "revoke", entry.kid.hex(), "--last-seq", str(last), "--reason", "cabinet broken into"]
    assert main([*words, "--keys", str(site.folder / "keys.json")]) == 0
    behind = [(last + 1 + number, "key_revoked", module.measure(2)) for number in range(3)]
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: len(quarantined(site)) == 3 and not module.journal)
    assert service.stop()
    assert site.rows("plume-01") == before
    assert quarantined(site) == behind
    site.close()


def quarantined(site: Site) -> list[tuple[int, str, bytes]]:
    connection = apsw.Connection(str(site.ledger), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute("SELECT seq, code, raw FROM quarantine ORDER BY id").fetchall()
    finally:
        connection.close()


def test_an_unplugged_line_waits_and_says_so(tmp_path):
    site = Site(tmp_path, "plume-01")
    text = site.file.read_text().replace(site.modules[0].port, "/dev/plumeproof-none")
    site.file.write_text(text)
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: states(service)["module/plume-01"] == "waiting")
    assert "/dev/plumeproof-none" in part(service, "plume-01")["error"]
    assert "\n" not in part(service, "plume-01")["error"]
    assert service.stop()
    site.close()


def test_the_wrong_module_on_a_line_is_named(tmp_path):
    site = Site(tmp_path, "plume-01", "plume-02")
    first, second = site.modules
    text = site.file.read_text()
    text = text.replace(first.port, "SWAP").replace(second.port, first.port).replace("SWAP", second.port)
    site.file.write_text(text)
    for module in site.modules:
        module.start_up()
        module.serve()
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: "exchange the cables" in part(service, "plume-01")["error"])
    assert service.stop()
    assert site.rows("plume-01") == site.rows("plume-02") == []
    site.close()


def test_a_fault_of_ours_stops_one_stage_only(site, caplog):
    for module in site.modules:
        module.start_up()
        module.serve()
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: states(service)["module/plume-01"] == "up")
    stage = next(worker for worker in service._workers if worker.part == "plume-01")._stage
    stage.step = lambda: 1 // 0
    wait_for(lambda: states(service)["module/plume-01"] == "down")
    site.modules[1].measure(2)
    wait_for(lambda: not site.modules[1].journal)
    assert "division" in part(service, "plume-01")["error"]
    assert "ZeroDivisionError" in caplog.text
    del stage.step
    site.modules[0].measure(2)
    wait_for(lambda: not site.modules[0].journal)
    assert service.stop()


def test_one_bridge_for_one_ledger(site):
    service = Service(load_config(site.file))
    service.start()
    with pytest.raises(ConfigError, match=rf"another bridge \(process {os.getpid()}\)"):
        Service(load_config(site.file)).start()
    assert service.stop()
    again = Service(load_config(site.file))
    again.start()
    assert again.stop()


def test_a_ledger_that_is_none_is_refused_and_the_lock_given_back(site):
    site.ledger.parent.mkdir()
    connection = apsw.Connection(str(site.ledger))
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(StoreError, match="not a PlumeProof ledger"):
        Service(load_config(site.file)).start()
    LedgerLock(site.ledger.parent).release()


class Command:
    """`plumeproof run` as a process of its own."""

    def __init__(self, site: Site, *more: str) -> None:
        command = [sys.executable, "-m", "plumeproof", "run", "-c", str(site.file), "--json", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.ready = json.loads(line)

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(site, number):
    site.modules[0].start_up()
    site.modules[0].serve()  # the other one stays silent: a stop must not wait for it
    command = Command(site)
    assert command.ready["dashboard"].startswith("http://127.0.0.1:")
    wait_for(lambda: len(site.rows("plume-01")) >= 3)
    started = time.monotonic()
    code, errors = command.end(number)
    assert code == 0
    assert time.monotonic() - started < 5.0  # a promise to the supervisor, not a measurement
    assert "Traceback" not in errors
    LedgerLock(site.ledger.parent).release()


def test_kill_in_the_middle_loses_and_doubles_nothing(tmp_path):
    """Killed while records flow, three times; each time the next run goes on where the ledger ends."""
    site = Site(tmp_path, "plume-01", more="[dashboard]\nenabled = false\n")
    module = site.modules[0]
    module.start_up()
    sealed = {seq: raw for seq, (_, raw) in module.journal.items()}
    module.serve()
    for round_number in range(3):
        command = Command(site, "--log-level", "error")
        target = len(sealed)
        while len(sealed) < target + 40:
            raw = module.measure(2)
            sealed[module.newest] = raw
        # Not a pause but a point in the stream: some of this round's records are stored, most are not.
        wait_for(lambda already=target: len(site.rows("plume-01")) > already)
        code, _ = command.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, round_number
    command = Command(site)
    wait_for(lambda: not module.journal)
    assert command.end(signal.SIGTERM)[0] == 0
    assert site.rows("plume-01") == sorted(sealed.items())
    site.close()


def test_what_does_not_average_does_not_load_the_compiler(site):
    """numba takes a second and 60 MB: only the averaging thread of a running service pays."""
    asked = (
        "import sys, plumeproof.cli, plumeproof.service, plumeproof.dashboard.app\n"
        f"plumeproof.cli.main(['doctor', '-c', {str(site.file)!r}, '--json'])\n"
        "print(sorted({'numba', 'llvmlite', 'paho', 'urllib3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_averages_follow_the_records(site):
    module = site.modules[0]
    module.start_up()
    service = Service(load_config(site.file))
    service.start()
    module.serve()
    start_utc_ms = time.time_ns() // 1_000_000 // 10_000 * 10_000
    for number in range(1, 12):
        module.measure(2, end_utc_ms=start_utc_ms + 2000 * number)
    wait_for(lambda: part(service, "averaging")["counters"].get("averages_total", 0) >= 20)
    assert states(service)["stage/averaging"] == "up"
    assert "stage/relay" not in states(service)  # no sink, nothing to relay
    assert service.stop()


SINKS = """
[[sink.mqtt]]
name = "broker"
host = "127.0.0.1"
port = {port}
[[sink.https]]
name = "eu"
profile = "eu-carbon-cloud"
base_url = "https://127.0.0.1:{port}"
client_id = "gw"
secret_file = "none.secret"
report_interval_s = 10
"""


def test_sinks_that_cannot_be_reached_wait_and_records_flow(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    site = Site(tmp_path, "plume-01", more=SINKS.format(port=port))
    module = site.modules[0]
    service = Service(load_config(site.file))
    service.start()
    module.start_up()
    module.serve()
    start_utc_ms = time.time_ns() // 1_000_000 // 10_000 * 10_000
    for number in range(1, 12):
        module.measure(2, end_utc_ms=start_utc_ms + 2000 * number)
    wait_for(lambda: not module.journal)
    wait_for(lambda: states(service)["sink/broker"] == "waiting")
    wait_for(lambda: states(service)["sink/eu"] == "down")  # a person must put the secret there
    assert "none.secret" in part(service, "eu")["error"] and f":{port}" in part(service, "broker")["error"]
    assert states(service)["stage/relay"] == "up"
    started = time.monotonic()
    assert service.stop()
    assert time.monotonic() - started < 5.0  # however long a sink wanted to rest
    site.close()


def test_a_profile_that_is_none_is_refused_at_the_start(tmp_path):
    site = Site(tmp_path, "plume-01", more=SINKS.format(port=1).replace("eu-carbon-cloud", "./own.json"))
    (tmp_path / "own.json").write_text('{"profile": "own"}')
    with pytest.raises(ConfigError, match=r"own\.json: .* is missing"):
        Service(load_config(site.file)).start()
    LedgerLock(site.ledger.parent).release()
    site.close()
