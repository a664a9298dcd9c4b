"""The compiler's code is given back, and comes again when something is compiled after all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plumeproof import compiler_pages

ASKED = """
import re
from pathlib import Path

import numba
import numpy as np

from plumeproof import compiler_pages
from plumeproof.evidence import _kernels


def code_kib():
    found = 0
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text()):
        if compiler_pages.LIBRARY in mapping and " r-xp " in mapping:
            found += int(re.search(r"Rss: +(\\d+)", mapping)[1])
    return found


before = code_kib()
given = compiler_pages.give_back()
after = code_kib()
lanes = np.arange(20.0)
print(before, given, after, float(_kernels.sum_lanes(lanes)), numba.njit(lambda number: number * number + 1)(3))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is given back")
def test_code_of_the_compiler_is_no_memory_of_a_running_bridge():
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    before, given, after, total, compiled = done.stdout.split()
    assert int(before) > 10_000 and int(given) >= int(before) * 1024
    assert int(after) < int(before) / 10
    assert (float(total), int(compiled)) == (190.0, 10)


def test_without_the_compiler_nothing_is_given_back():
    asked = "from plumeproof import compiler_pages; print(compiler_pages.give_back())"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout == b"0\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is given back")
def test_maps_that_cannot_be_read_stop_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler_pages, "MAPS", tmp_path / "none")
    assert compiler_pages.give_back() == 0
