"""Recomputation on a real Dask cluster: scheduler and two workers as their manual starts them, one of them killed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumeproof.cli import main
from tests.bridge.test_recompute import options, plant_folder

__all__ = ["plant_folder"]
BIN = Path(sys.executable).parent
START_S = 60.0


class Cluster:
    """`dask scheduler` and `dask worker` processes on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[subprocess.Popen[str]] = []
        self.address = ""

    def start(self, workers: int) -> None:
        scheduler = self._run("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        self.address = self._wait(scheduler, r"Scheduler at:\s+(tcp://\S+)")
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> subprocess.Popen[str]:
        worker = self._run(
            "worker", self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)
        )
        self._wait(worker, r"Registered to:\s+(\S+)")
        return worker

    def _run(self, *words: str) -> subprocess.Popen[str]:
        part = subprocess.Popen(
            [str(BIN / "dask"), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=self.folder
        )
        self.parts.append(part)
        return part

    @staticmethod
    def _wait(part: subprocess.Popen[str], pattern: str) -> str:
        deadline = time.monotonic() + START_S
        assert part.stderr is not None
        for line in part.stderr:
            if found := re.search(pattern, line):
                return found[1]
            assert time.monotonic() < deadline, line
        raise AssertionError("ended before it was ready")

    def stop(self) -> None:
        for part in reversed(self.parts):
            part.kill()
            part.wait()
            assert part.stderr is not None
            part.stderr.close()


@pytest.fixture
def cluster(tmp_path):
    found = Cluster(tmp_path)
    yield found
    found.stop()


def run(capsys, *arguments):
    status = main(["recompute", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    return status, json.loads(out)


# its client leaves the closing of sockets to the collector
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_gives_the_bits_of_one_machine_even_if_it_loses_a_worker(plant_folder, cluster, capsys):
    alone = run(capsys, *options(plant_folder), "--processes", "1")
    cluster.start(2)
    assert run(capsys, *options(plant_folder), "--dask", cluster.address) == alone
    cluster.parts[-1].kill()
    cluster.add_worker()
    assert run(capsys, *options(plant_folder), "--dask", cluster.address) == alone


def test_no_scheduler_there_is_one_line(plant_folder, capsys):
    status = main(["recompute", *map(str, options(plant_folder)), "--dask", "tcp://127.0.0.1:9"])
    told = capsys.readouterr()
    assert status == 3
    assert "no Dask scheduler at tcp://127.0.0.1:9" in told.err
    assert len(told.err.strip().splitlines()) == 1
