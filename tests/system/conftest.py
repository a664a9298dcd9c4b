"""What system tests share: the real interpreters and one finished demo."""

from __future__ import annotations

import pytest

from tests.system.finished_demo import FinishedDemo, run_demo
from tests.system.interpreters import find


@pytest.fixture(scope="session")
def micropython() -> str:
    return find("first")


@pytest.fixture(scope="session")
def micropython_32() -> str:
    return find("32")


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory) -> FinishedDemo:
    return run_demo(tmp_path_factory.mktemp("demo") / "left")
