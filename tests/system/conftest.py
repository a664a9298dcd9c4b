"""What system tests share: the real interpreter (a missing one is an error, not a skip) and one finished demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.finished_demo import FinishedDemo, run_demo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def micropython() -> str:
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup" / "interpreter.py"), "--print"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory) -> FinishedDemo:
    return run_demo(tmp_path_factory.mktemp("demo") / "left")
