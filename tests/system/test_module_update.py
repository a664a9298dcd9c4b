"""A whole update over a pty of an emulated module on real MicroPython: the new program runs, is confirmed by a real
exchange, and the chain tells of it; one that does not work comes back by itself. Made by tools/release, sent by the
bridge's own half of the link, with test keys made for the occasion.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from acqwire import causes, update
from cryptography.hazmat.primitives.asymmetric import ec

from plumeproof.errors import LinkError
from plumeproof.link.updating import ReleaseFile, Sending, UpdateRefused
from plumeproof.model import Boot, Event, Samples
from tests.doubles.module_rig import ROOT, ModuleRig
from tools.release.documents import compose_root, point_of, signed_document
from tools.release.package import Choice, build, collect

DAY_S = 86400


@dataclass
class Keepers:
    """Root and release keys made for one test."""

    roots: list[ec.EllipticCurvePrivateKey] = field(default_factory=lambda: [new_key() for _ in range(3)])
    release: ec.EllipticCurvePrivateKey = field(default_factory=lambda: new_key())

    def root(self, version: int = 1) -> bytes:
        """A root signed by two of three."""
        points = [point_of(key.public_key()) for key in self.roots]
        signed = compose_root(version, 2, points, point_of(self.release.public_key()), int(time.time()) + 30 * DAY_S)
        return signed_document(update.ROOT_MAGIC, signed, self.roots[:2]).pack()

    def make(self, files: dict[str, bytes], version: int, minimum: int = 0, roots: list[bytes] | None = None):
        now_s = int(time.time())
        choice = Choice("host", 0, version, minimum, f"0.{version}.0", now_s - DAY_S, now_s + DAY_S)
        return build(files, roots or [self.factory], self.release, choice)

    def __post_init__(self) -> None:
        self.factory = self.root()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class UpdateRig(ModuleRig):
    """A rig whose factory is a copy of the checkout's program, which stays as it is while the test runs."""

    def __init__(self, root: Path, interpreter: str, factory_root: bytes) -> None:
        super().__init__(root, interpreter)
        self.factory = root / "factory"
        shutil.copytree(ROOT / "firmware", self.factory, ignore=shutil.ignore_patterns("__pycache__", "profiles"))
        (self.folder / "update").mkdir()
        (self.folder / "update" / "root.bin").write_bytes(factory_root)

    def program(self) -> dict[str, bytes]:
        """The factory's program."""
        return collect(self.factory)

    def launch(self) -> None:
        """Start the module and wait for nothing."""
        command = [self.interpreter, "-X", f"heapsize={self.heap}", str(self.factory / "main.py"), str(self.folder)]
        self.module = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start(self) -> None:
        self.launch()
        line = self.module.stdout.readline()
        assert line == "ready\n", (line, self.module.communicate(timeout=10))


def hash_of(files: dict[str, bytes]) -> bytes:
    """FIRMWARE_HASH, SPEC.md section 4.3."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(path.encode() + b"\x00" + hashlib.sha256(files[path]).digest())
    return whole.digest()


@pytest.fixture
def keepers() -> Keepers:
    return Keepers()


@pytest.fixture
def rig(tmp_path, micropython, keepers):
    made = UpdateRig(tmp_path, micropython, keepers.factory)
    made.start_plant()
    made.start()
    yield made
    made.close()


def send(gateway, release: ReleaseFile) -> None:
    """As the bridge does it; records are fetched in between."""
    sending = Sending(gateway.line, release)
    count = 0
    while not sending.step():
        count += 1
        if count % 50 == 0:
            gateway.fetch()


def events(gateway) -> list[tuple[int, ...]]:
    return [r.body.args for r in gateway.records if isinstance(r.body, Event) and r.body.code == causes.EVENT_UPDATE]


def boots(gateway) -> list[Boot]:
    return [record.body for record in gateway.records if isinstance(record.body, Boot)]


def hashes(args: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Old and new program of an event."""
    return struct.pack(">4q", *args[3:7]), struct.pack(">4q", *args[7:11])


def set_time(gateway) -> None:
    """The module has UTC: a record of this boot says so."""
    boot = gateway.line.hello().boot
    gateway.line.synchronise(50)
    until(gateway, lambda: any(r.boot == boot and r.utc_ms is not None for r in gateway.records[-1:]))


def until(gateway, is_enough, timeout_s: float = 60.0) -> None:
    gateway.collect(lambda records: is_enough(), timeout_s)


def test_an_update_runs_is_confirmed_and_told(rig, keepers):
    gateway = rig.gateway()
    until(gateway, lambda: len(gateway.records) >= 4)
    files = rig.program()
    files["acq/__init__.py"] = files["acq/__init__.py"].replace(b'VERSION = "', b'VERSION = "9.')
    made = keepers.make(files, 1)
    with pytest.raises(UpdateRefused) as refused:  # it has no time yet
        send(gateway, made)
    assert refused.value.reason == update.REASON_NO_TIME
    set_time(gateway)
    began = time.monotonic()
    send(gateway, made)
    print(f"{len(made.stream)} bytes in {time.monotonic() - began:.1f} s")
    assert rig.module.stdout.readline() == "ready\n"  # the new program, in the same process
    until(gateway, lambda: len(events(gateway)) >= 3)

    first, second = boots(gateway)
    assert second.firmware_version == "9." + first.firmware_version
    assert (first.firmware_hash, second.firmware_hash) == (hash_of(rig.program()), hash_of(files))
    results = [(args[0], args[1], args[2]) for args in events(gateway)]
    assert results == [
        (update.RESULT_REFUSED, update.REASON_NO_TIME, 1), (update.RESULT_SWITCHED, 0, 1),
        (update.RESULT_CONFIRMED, 0, 1),
    ]  # fmt: skip
    for args in events(gateway):
        assert hashes(args) == (first.firmware_hash, second.firmware_hash)
    state = gateway.line.update_ask()
    assert (state.phase, state.slot, state.is_trial, state.version) == (update.PHASE_IDLE, update.SLOT_A, False, 1)
    told_by = [r.boot for r in gateway.records if isinstance(r.body, Event) and r.body.code == causes.EVENT_UPDATE]
    assert told_by == [1, 1, 2]  # the old program has told of the switch itself
    until(gateway, lambda: any(r.boot == 2 and isinstance(r.body, Samples) for r in gateway.records))

    rig.kill()  # and it stays
    rig.start()
    until(gateway, lambda: len(boots(gateway)) == 3)
    assert boots(gateway)[2].firmware_hash == hash_of(files)


BROKEN = {
    "ends": b"raise ValueError('broken')\n",
    "is deaf": b"import time\ndef main(arguments):\n    print('ready')\n    while True:\n        time.sleep(1)\n",
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_program_that_does_not_work_comes_back(rig, keepers, fault):
    gateway = rig.gateway()
    set_time(gateway)
    files = {"main.py": BROKEN[fault]}
    made = keepers.make(files, 7, 7)
    send(gateway, made)
    for _ in range(update.TRIALS):
        if fault == "is deaf":
            assert rig.module.stdout.readline() == "ready\n"
            rig.kill()  # a watchdog would
        else:
            assert rig.module.wait(30) == 1
            rig.module.stdout.close()
            rig.module.stderr.close()
        rig.launch()
    assert rig.module.stdout.readline() == "ready\n"
    until(gateway, lambda: len(events(gateway)) >= 2)
    assert [args[:3] for args in events(gateway)] == [
        (update.RESULT_SWITCHED, 0, 7), (update.RESULT_RETURNED, 0, 7)
    ]  # fmt: skip
    assert hashes(events(gateway)[-1]) == (hash_of(rig.program()), hash_of(files))
    assert {boot.firmware_hash for boot in boots(gateway)} == {hash_of(rig.program())}
    state = gateway.line.update_ask()
    assert (state.slot, state.is_trial, state.version) == (update.FACTORY, False, 0)


def test_killed_anywhere_in_the_transfer_the_old_program_runs(rig, keepers):
    gateway = rig.gateway()
    made = keepers.make(rig.program(), 1)
    for pieces in (1, 15, 60):
        set_time(gateway)
        sending = Sending(gateway.line, made)
        for _ in range(pieces):
            assert not sending.step()
        rig.kill()
        rig.start()
        with pytest.raises(LinkError):
            while True:
                sending.step()
        assert gateway.line.update_ask().slot == update.FACTORY
    set_time(gateway)
    send(gateway, keepers.make({"main.py": BROKEN["is deaf"]}, 2))  # what was left lying about is in nobody's way
    assert rig.module.stdout.readline() == "ready\n"
    slots = rig.folder / "update"
    assert sorted(path.name for path in (slots / "a").iterdir()) == ["main.py", "manifest.bin", "roots.bin"]
