"""The stream of a module on a disk that fails or loses its power at every operation in turn (F3, F11).

Real pipeline, ledger and SQLite; the disk is tests/doubles/faulty_disk.py. Wanted at each of them: what was
acknowledged is stored, once, in order; nothing is acknowledged that is not; and it goes on without a hand.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import apsw
import pytest
from acqwire import fields

from plumeproof.averaging_stage import AveragingStage
from plumeproof.errors import LinkError, StoreError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.model import Average
from plumeproof.pipeline import Ingest
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_pipeline import OneKey, TickingTime
from tests.doubles.faulty_disk import FaultyDisk
from tests.doubles.sealed_module import SealedModule
from tests.doubles.timed_module import TimedModule, store_all

# On a disk that still fails SQLite rolls back; it reports the first fault only, apsw warns of the others.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRIES_MAX = 50
POISONED = 4
STATES = 6  # of the disk, at each power cut


def build_module() -> SealedModule:
    """Boots, samples, an event, and one record in the middle that nobody can read."""
    module = SealedModule()
    module.start()
    for _ in range(4):
        module.sample()
    module.start()
    module.seal(fields.KIND_EVENT, {fields.EVENT_CODE: 3, fields.EVENT_ARGS: []})
    module.sample()
    module.journal[POISONED] = (module.journal[POISONED][0], b"\xff no envelope")
    return module


def seqs_in(path: Path) -> list[int]:
    """What a fresh, plain connection finds; opening is also the recovery."""
    connection = apsw.Connection(str(path))
    try:
        assert connection.pragma("integrity_check") == "ok"
        if not connection.pragma("user_version"):
            return []
        seqs = [row[0] for row in connection.execute("SELECT seq FROM record ORDER BY position")]
        assert seqs == sorted(set(seqs))
        quarantined = [row[0] for row in connection.execute("SELECT DISTINCT seq FROM quarantine")]
        return sorted(seqs + quarantined)
    finally:
        connection.close()


def stream(module: SealedModule, path: Path, disk: FaultyDisk) -> None:
    """The service in small: open, greet, drain; after any error again from the start."""
    for _ in range(TRIES_MAX):
        writer = None
        try:
            writer = Writer(path, vfs=disk.name)
            ingest = Ingest(
                "plume-01", Line(module, FrameCodec(), Session(1), TickingTime()), OneKey(module),
                SqliteLedger(writer, TickingTime()),
            )  # fmt: skip
            ingest.greet()
            while ingest.poll(2):
                pass
            return
        except (StoreError, LinkError):
            continue
        finally:
            if writer is not None:
                try:
                    writer.close()
                except StoreError:
                    pass  # closing checkpoints; what is committed is in the log all the same
    raise AssertionError("does not go on by itself")


def counted(folder: Path, name: str) -> int:
    """How many operations the whole workload takes where nothing fails."""
    folder.mkdir()
    disk, module = FaultyDisk(name), build_module()
    stream(module, folder / "ledger.sqlite", disk)
    assert seqs_in(folder / "ledger.sqlite") == list(range(1, module.newest + 1))
    return disk.operations


@pytest.fixture(scope="module")
def operations(tmp_path_factory) -> int:
    return counted(tmp_path_factory.mktemp("whole") / "data", "counting-disk")


@pytest.mark.parametrize(("error", "fail_count"), [(apsw.FullError, 4), (apsw.IOError, 1)])
def test_the_disk_fails_at_every_operation_in_turn(tmp_path, operations, error, fail_count):
    for number in range(operations + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "ledger.sqlite"
        disk = FaultyDisk(f"failing-{error.__name__}-{fail_count}-{number}")
        disk.fail_from, disk.fail_count, disk.error = number, fail_count, error
        module = build_module()
        release = module._release

        def checked(seq, content_hash, release=release, path=path):
            assert seq in seqs_in(path), "acknowledged before it was stored"
            return release(seq, content_hash)

        module._release = checked
        stream(module, path, disk)
        assert seqs_in(path) == list(range(1, module.newest + 1)), number
        assert module.journal == {}
        disk.unregister()


def test_the_power_fails_at_every_operation_in_turn(tmp_path, operations):
    """Before each operation some of the states that the disk may be found in; seeds are fixed."""
    disk, module, cuts = FaultyDisk("cut-disk"), build_module(), []
    kept = dict(module.journal)
    step = disk.step

    def taking_images() -> None:
        for seed in range(STATES):
            after = tmp_path / f"after-{disk.operations}-{seed}"
            after.mkdir()
            disk.cut(after, random.Random(1000 * disk.operations + seed))
            cuts.append((after, max(module.acknowledged, default=0)))
        step()

    disk.step = taking_images
    stream(module, tmp_path / "ledger.sqlite", disk)
    assert len(cuts) == STATES * operations
    calm = FaultyDisk("calm-disk")
    for index, (after, acknowledged) in enumerate(cuts):
        path = after / "ledger.sqlite"
        found = seqs_in(path) if path.exists() else []
        assert set(range(1, acknowledged + 1)) <= set(found), path
        if index % STATES:
            continue
        # The module has what was not acknowledged, and the line goes on from there.
        again = build_module()
        again.journal = {seq: entry for seq, entry in kept.items() if seq > acknowledged}
        again.released = acknowledged
        stream(again, path, calm)
        assert seqs_in(path) == list(range(1, again.newest + 1)), path


def test_the_check_finds_a_commit_that_is_not_synced(tmp_path, monkeypatch):
    """The same cuts where the ledger does not wait for the disk: some lose what was acknowledged."""
    configure = Writer._configure

    def hasty(self):
        configure(self)
        self._connection.pragma("synchronous", "NORMAL")

    monkeypatch.setattr(Writer, "_configure", hasty)
    with pytest.raises(AssertionError, match="after-"):
        test_the_power_fails_at_every_operation_in_turn(tmp_path, counted(tmp_path / "hasty", "hasty-disk"))


def averaged(path: Path, disk: FaultyDisk) -> list[Average]:
    """The service's averaging in small: on any error the same step again, as its worker does."""
    writer = Writer(path, vfs=disk.name)
    ledger = SqliteLedger(writer, TickingTime())
    averages = SqliteAverages(writer, TickingTime())
    stage = AveragingStage(ledger, averages, (10, 60), 0)
    for _ in range(TRIES_MAX):
        try:
            while stage.step(3):
                pass
            break
        except StoreError:
            continue
    else:
        raise AssertionError("does not go on by itself")
    disk.fail_from = None
    rows = [average for _, average in averages.after(0, 10_000)]
    writer.close()
    return rows


def test_averages_are_the_same_on_a_disk_that_fails(tmp_path):
    module = TimedModule()
    module.start()
    for minute in range(4):
        module.sample([(0, minute + slot / 7, slot, False) for slot in range(60)])
        if minute == 2:
            module.clock_offset_ms -= 30_000
    template = tmp_path / "template.sqlite"
    writer = Writer(template)
    store_all(SqliteLedger(writer, TickingTime()), module.sealed)
    writer.close()
    calm = FaultyDisk("averaging-calm")
    shutil.copy(template, tmp_path / "calm.sqlite")
    whole = averaged(tmp_path / "calm.sqlite", calm)
    assert len(whole) > 30
    opening = FaultyDisk("averaging-opening")
    shutil.copy(template, tmp_path / "opening.sqlite")
    Writer(tmp_path / "opening.sqlite", vfs=opening.name).close()
    for number in range(opening.operations, calm.operations):
        disk = FaultyDisk(f"averaging-{number}")
        disk.fail_from, disk.fail_count = number, 3
        path = tmp_path / f"{number}.sqlite"
        shutil.copy(template, path)
        assert averaged(path, disk) == whole, number
        disk.unregister()
