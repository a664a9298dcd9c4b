"""The command line as a contract: exit status, one-line errors, JSON; real `main`, ports and brokers on loopback."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import plumeproof
from plumeproof.cli import doctor, main
from plumeproof.config import load_config
from plumeproof.keys import build_entry
from plumeproof.service import Service
from tests.bridge.test_delivery_mqtt import ToldBroker
from tests.bridge.test_service import Site
from tests.doubles.scripted_platform import ScriptedPlatform, answer
from tests.doubles.sealed_module import SealedModule
from tools import test_ca
from tools.eu_platform.receipts import write_private


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path, "plume-01")
    yield found
    found.close()


@pytest.fixture(autouse=True)
def synchronised(monkeypatch):
    """The clock of the test machine is not under test."""
    monkeypatch.setattr(doctor, "check_time", lambda: "synchronised")


@pytest.fixture(autouse=True)
def own_log():
    """What `run` sets up for its process writes to this test's captured error stream, and goes with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "words",
    [(), ("no-such-verb",), ("run",), ("config",), ("config", "check"), ("verify",), ("version", "--no-such-option"),
     ("doctor", "-c"), ("run", "-c", "x.toml", "--log-level", "loud")],
)  # fmt: skip
def test_wrong_usage_is_2(capsys, words):
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert "usage: plumeproof" in err


def test_help_is_0_and_names_every_verb(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for verb in ("run", "config", "doctor", "verify", "average", "surveillance", "export", "demo", "version"):
        assert verb in out
    assert "Exit status: 0 fine, 1 fault found in the data" in out


def test_version(capsys):
    code, out, _ = run(capsys, "version", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["plumeproof"] == plumeproof.__version__
    assert set(found) >= {"wire", "python", "apsw", "cbor2", "numba"}
    assert run(capsys, "version")[1].startswith("plumeproof ")


def test_the_sample_passes_the_check(capsys, tmp_path):
    code, out, _ = run(capsys, "config", "sample")
    assert code == 0
    (tmp_path / "bridge.toml").write_text(out)
    code, out, err = run(capsys, "config", "check", "-c", tmp_path / "bridge.toml")
    assert (code, err) == (0, "")
    assert "[gateway]" in out
    code, out, _ = run(capsys, "config", "check", "-c", tmp_path / "bridge.toml", "--json")
    assert json.loads(out)["gateway"]["id"] == "gateway-01"


@pytest.mark.parametrize("verb", [("run",), ("config", "check"), ("doctor",)])
def test_a_bad_configuration_is_2_in_one_line(capsys, tmp_path, verb):
    path = tmp_path / "bridge.toml"
    path.write_text('[gateway]\nid = "gw"\ndata_dirs = "x"\n')
    code, out, err = run(capsys, *verb, "-c", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"{path}: line 3: gateway.data_dirs: is no known key" in err


def test_run_refuses_missing_keys_and_a_taken_port(capsys, site):
    (site.folder / "keys.json").rename(site.folder / "gone")
    code, _, err = run(capsys, "run", "-c", site.file)
    assert code == 2
    assert "keys.json: cannot be read" in err
    (site.folder / "gone").rename(site.folder / "keys.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.file.write_text(site.file.read_text() + f"[dashboard]\nport = {taken.getsockname()[1]}\n")
        code, _, err = run(capsys, "run", "-c", site.file)
    assert code == 2
    assert "dashboard.port" in err


def states(out: str) -> dict[str, str]:
    return {check["name"]: check["state"] for check in json.loads(out)["checks"]}


def test_doctor_is_fine_where_everything_answers(capsys, site):
    site.modules[0].start_up()
    site.modules[0].serve()
    code, out, _ = run(capsys, "doctor", "-c", site.file)
    assert code == 0
    assert "module plume-01" in out
    assert not (site.folder / "data").exists(), "doctor made a file"
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert json.loads(out)["fine"] is True


def test_doctor_names_what_cannot_be_reached(capsys, site):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    site.file.write_text(
        site.file.read_text().replace(site.modules[0].port, "/dev/plumeproof-none")
        + f'[[sink.mqtt]]\nname = "plant"\nhost = "127.0.0.1"\nport = {port}\n'
        f'[[sink.https]]\nname = "eu"\nprofile = "eu-carbon-cloud"\nbase_url = "https://127.0.0.1:{port}"\n'
        'client_id = "gw"\nsecret_file = "eu.secret"\nreport_interval_s = 10\n'
    )
    write_private(site.folder / "eu.secret", b"s")
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert code == 3
    assert states(out) == {
        "disk": "ok", "keys": "ok", "time": "ok", "module plume-01": "unreachable", "broker plant": "unreachable",
        "platform eu": "unreachable",
    }  # fmt: skip
    assert all(check["mend"] for check in json.loads(out)["checks"] if check["state"] != "ok")


def test_doctor_reaches_a_broker(capsys, site):
    told = ToldBroker()
    text = f'[[sink.mqtt]]\nname = "plant"\nhost = "127.0.0.1"\nport = {told.port}\n'
    site.file.write_text(site.file.read_text() + text)
    _, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert states(out)["broker plant"] == "ok"
    told.connack = 0x86  # bad user name or password
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert states(out)["broker plant"] == "problem"
    told.close()


def test_doctor_asks_a_platform_for_a_token(capsys, site):
    authority = site.folder / "ca"
    test_ca.make(authority)
    platform = ScriptedPlatform(authority / "server.pem", authority / "server.key")
    text = (
        f'[[sink.https]]\nname = "eu"\nprofile = "eu-carbon-cloud"\nbase_url = "{platform.base_url}"\n'
        'client_id = "gw"\nsecret_file = "eu.secret"\nreport_interval_s = 10\nca_file = "ca/ca.pem"\n'
    )
    site.file.write_text(site.file.read_text() + text)
    write_private(site.folder / "eu.secret", b"s")
    _, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert (states(out)["platform eu"], states(out)["certificates eu"]) == ("ok", "ok")
    assert "provisional" in out and f"the server's holds for {test_ca.DAYS - 1} more days" in out
    platform.token_script = [answer(401, {"error": "invalid_client"})]
    _, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert states(out)["platform eu"] == "problem"
    platform.close()


def test_doctor_finds_faults_of_this_pc(capsys, site):
    (site.folder / "keys.json").write_text("[]")
    site.modules[0].serve()
    site.modules[0].start_up()
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert code == 2
    assert states(out)["keys"] == "problem"


def test_doctor_finds_a_module_that_signs_with_another_key(capsys, site):
    other = SealedModule("plume-01", 4242)
    (site.folder / "keys.json").write_text(json.dumps([build_entry("plume-01", other.public_key)]))
    site.modules[0].serve()
    site.modules[0].start_up()
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert (code, states(out)["keys"], states(out)["module plume-01"]) == (2, "ok", "problem")
    assert f"kid {site.modules[0].kid.hex()} is not enrolled" in out


def test_doctor_leaves_the_ports_of_a_running_bridge_alone(capsys, site):
    service = Service(load_config(site.file))
    service.start()
    code, out, _ = run(capsys, "doctor", "-c", site.file)
    assert service.stop()
    assert code == 0
    assert "held by the running bridge" in out


@pytest.fixture
def ledger(site):
    """A ledger of a boot and one record of samples."""
    site.modules[0].start_up()
    site.modules[0].measure(2)
    site.modules[0].serve()
    service = Service(load_config(site.file))
    service.start()
    while site.modules[0].journal:
        service.stopping.wait(0.02)
    assert service.stop()
    return site.ledger


def test_export_spares_what_it_reads_and_leaves_no_pieces(capsys, site, ledger):
    capsys.readouterr()  # what the service said
    keys, before = site.folder / "keys.json", ledger.read_bytes()
    head = ("export", "envelopes", "--ledger", ledger, "--keys", keys, "-o")
    kept = {path.name for path in site.folder.iterdir()}
    for output, sentence in ((ledger, "is read by this command"), (keys, "is read by this command"),
                             (site.folder, "is a folder"), (site.folder / "none" / "out", "No such file")):  # fmt: skip
        code, _, err = run(capsys, *head, output)
        assert (code, err.count("\n")) == (2, 1)
        assert sentence in err
    assert run(capsys, *head, site.folder / "out", "--anchor", site.folder / "out")[0] == 2
    (site.folder / "rubbish").write_bytes(b"rubbish")
    assert (
        run(capsys, "export", "envelopes", "--ledger", site.folder / "rubbish", *head[4:], site.folder / "out")[0] == 2
    )
    assert {path.name for path in site.folder.iterdir()} == kept | {"rubbish"}
    assert ledger.read_bytes() == before


def test_export_of_a_module_that_is_not_there_says_so(capsys, site, ledger):
    keys = site.folder / "keys.json"
    code, _, err = run(
        capsys, "export", "envelopes", "--ledger", ledger, "--keys", keys, "-o", site.folder / "out", "--device", "plum"
    )
    assert code == 1
    assert "no verified record of plum" in err


def test_a_configuration_saved_by_a_windows_editor_is_read(capsys, site):
    site.file.write_bytes(b"\xef\xbb\xbf" + site.file.read_bytes().replace(b"\n", b"\r\n"))
    assert run(capsys, "config", "check", "-c", site.file)[0] == 0


def test_doctor_finds_a_data_folder_that_is_none(capsys, site):
    (site.folder / "data").write_text("x")
    code, out, _ = run(capsys, "doctor", "-c", site.file, "--json")
    assert states(out)["disk"] == "problem"
    assert code in (2, 3)


@pytest.mark.parametrize("words", [("verify", "-"), ("run",)])
def test_ctrl_c_ends_it_without_a_traceback(site, words):
    arguments = [*words, "--keys", str(site.folder / "keys.json")] if words[0] == "verify" else ["run", "-c", site.file]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "plumeproof", *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        if words[0] == "run":
            assert "ready" in process.stdout.readline()
        else:
            time.sleep(1.5)  # it says nothing before its input ends; a Ctrl-C before its start is Python's own
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == (0 if words[0] == "run" else 130)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words", [("config", "sample"), ("version", "--json"), ("verify", "rubbish", "--keys", "keys.json")]
)
def test_an_output_that_takes_nothing_is_2_in_one_line(site, words):
    """A verdict that could not be written is none: neither 0 nor 1."""
    (site.folder / "rubbish").write_bytes(b"rubbish")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "plumeproof", *words], cwd=site.folder, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"plumeproof {words[0]}: input or output: No space left on device\n"


@pytest.mark.parametrize("name", ["\u70df\u6c14.toml", "\udcff.toml"])
def test_a_name_that_the_console_cannot_show(site, name):
    """Chinese on a Western Windows console; a Linux name that is no UTF-8."""
    site.file.rename(site.folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "plumeproof", "config", "check", "-c", name], cwd=site.folder, capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b".toml: fine" in done.stdout


def test_a_reader_that_has_gone_is_no_success(site):
    """`plumeproof verify ... | head -1` with a pipe status asked for."""
    (site.folder / "rubbish").write_bytes(bytes(100) + b"rubbish")
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "plumeproof", "verify", "rubbish", "--keys", "keys.json"], cwd=site.folder,
        stdout=write_end, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_verify_and_export_are_verbs(capsys, site):
    site.modules[0].start_up()
    site.modules[0].measure(2)
    site.modules[0].serve()
    service = Service(load_config(site.file))
    service.start()
    while site.modules[0].journal:
        service.stopping.wait(0.02)
    assert service.stop()
    keys, out_file = site.folder / "keys.json", site.folder / "out.cbor"
    code, out, _ = run(capsys, "verify", site.ledger, "--keys", keys, "--json")
    assert (code, json.loads(out)["fine"]) == (0, True)
    assert run(capsys, "export", "envelopes", "--ledger", site.ledger, "--keys", keys, "-o", out_file)[0] == 0
    raw = bytearray(out_file.read_bytes())
    raw[-1] ^= 1
    out_file.write_bytes(raw)
    assert run(capsys, "verify", out_file, "--keys", keys)[0] == 1


@pytest.mark.parametrize(
    ("words", "mend"), [(("demo", "--seconds", "1"), "make demo"), (("module", "info", "x"), "clone")]
)
def test_a_verb_of_the_checkout_without_one_says_so(words, mend, tmp_path):
    """The package copied elsewhere, as an installation is."""
    shutil.copytree(Path(plumeproof.__file__).parent, tmp_path / "site" / "plumeproof")
    shutil.copytree(Path(plumeproof.__file__).parents[2] / "firmware" / "acqwire", tmp_path / "site" / "acqwire")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "plumeproof", *words],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert mend in done.stderr
