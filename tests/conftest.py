"""Firmware tests run under pytest on CPython as well: their folder is on the path, their Skipped becomes a skip."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "firmware"))
sys.path.append(str(Path(__file__).parent / "doubles"))  # those that run on both interpreters

from mini_unittest import Skipped


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    try:
        return (yield)
    except Skipped as reason:
        pytest.skip(str(reason))
