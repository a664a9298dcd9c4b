"""The compiled sums against the numpy of bridge/EVIDENCE.md, plain loops, fractions, and another processor's code."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.evidence import _kernels
from tests.doubles.slow_averages import add_lanes, exact_mean, exact_variance

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "bridge" / "EVIDENCE.md").read_text(encoding="utf-8")
EPSILON = Fraction(1, 2**53)

page: dict = {}
for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
    exec(block, page)  # noqa: S102 - the page's own words are what is tested

NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 1e-300, 5e-324, 1e150, -1e150])
ROWS = st.lists(st.tuples(NUMBERS, st.booleans()), min_size=1, max_size=130)


def from_slots(values, counts):
    """One row through the kernel."""
    n, sums = np.zeros(1, np.int64), np.zeros((4, 1))
    _kernels.sum_slots(np.array([values]), np.array([counts], np.uint8), n, *sums)
    return (int(n[0]), *(float(numbers[0]) for numbers in sums))


def from_minutes(minutes):
    """One channel through the merge kernel; minutes are (n, total, m2, low, high)."""
    n, sums = np.zeros(1, np.int64), np.zeros((4, 1))
    columns = [np.array([column], float) for column in list(zip(*minutes, strict=True))[1:]]
    _kernels.merge_sums(np.array([[minute[0] for minute in minutes]], np.int64), *columns, n, *sums)
    return (int(n[0]), *(float(numbers[0]) for numbers in sums))


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_slots_as_the_page_says(row):
    values, counts = (list(column) for column in zip(*row, strict=True))
    found = from_slots(values, counts)
    if not any(counts):
        assert found == (0, 0.0, 0.0, 0.0, 0.0)
        return
    said = page["from_slots"](np.array(values), np.array(counts))
    assert found == tuple(said)
    numbers = [(position, value) for position, (value, is_valid) in enumerate(row) if is_valid]
    mean = found[1] / found[0]
    assert found[1] == add_lanes(numbers)
    assert found[2] == add_lanes([(position, (value - mean) * (value - mean)) for position, value in numbers])


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=30))
def test_minutes_as_the_page_says(rows):
    minutes = [from_slots(*(list(column) for column in zip(*row, strict=True))) for row in rows]
    found = from_minutes(minutes)
    if not any(minute[0] for minute in minutes):
        assert found == (0, 0.0, 0.0, 0.0, 0.0)
        return
    n, *columns = (np.array(column) for column in zip(*minutes, strict=True))
    assert found == tuple(page["from_minutes"](n, *columns))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200))
def test_how_far_rounding_may_lead(numbers):
    """Against fractions: 13 roundings at most on the way of one number into the sum, and the lanes' own."""
    n, total, m2, low, high = from_slots(numbers, [True] * len(numbers))
    roundings = math.ceil(len(numbers) / 20) + 6
    magnitude = sum(abs(Fraction(number)) for number in numbers)
    least = Fraction(5e-324)  # the division may fall below what float64 can tell apart
    assert abs(Fraction(total / n) - exact_mean(numbers)) <= 2 * roundings * EPSILON * magnitude / n + least
    assert (low, high) == (min(numbers), max(numbers))
    variance = exact_variance(numbers)
    # The deviation is that from the rounded mean: its square comes on top of the relative error.
    error_of_mean = 2 * roundings * EPSILON * magnitude / n
    bound = 4 * (roundings + 4) * EPSILON * (variance + error_of_mean**2) + 4 * error_of_mean**2 + Fraction(1, 10**300)
    spread = max(abs(Fraction(number)) for number in numbers)
    bound += 8 * EPSILON * spread * (math.isqrt(math.ceil(variance * 10**12)) + 1) / 10**6
    assert abs(Fraction(m2 / (n - 1)) - variance) <= bound


def test_a_nan_that_does_not_count_is_never_asked():
    assert from_slots([1.0, math.nan, 3.0, math.inf], [1, 0, 1, 0]) == (2, 4.0, 2.0, 1.0, 3.0)


def test_zeros_are_positive_in_sums():
    n, total, *_ = from_slots([-0.0, -0.0], [1, 1])
    assert math.copysign(1.0, total) == 1.0 and n == 2


def test_all_equal_has_no_deviation():
    assert from_slots([0.1] * 60, [1] * 60)[2] == 0.0 or from_slots([0.1] * 60, [1] * 60)[2] < 1e-30
    assert from_slots([25.0] * 60, [1] * 60)[2] == 0.0


CHILD = """
import hashlib, sys
import numpy as np
from plumeproof.evidence import _kernels
rng = np.random.default_rng(7)
digest = hashlib.sha256()
n_of, sums_of = np.zeros((40, 60), np.int64), np.zeros((4, 40, 60))
for minute in range(60):
    values = rng.normal(50, 20, (40, 61)) * 10.0 ** rng.integers(-3, 9, (40, 1))
    counts = (rng.random((40, 61)) > 0.1).astype(np.uint8)
    n, sums = np.zeros(40, np.int64), np.zeros((4, 40))
    _kernels.sum_slots(values, counts, n, *sums)
    n_of[:, minute], sums_of[:, :, minute] = n, sums
    digest.update(n.tobytes() + sums.tobytes())
n, sums = np.zeros(40, np.int64), np.zeros((4, 40))
_kernels.merge_sums(n_of, *sums_of, n, *sums)
digest.update(n.tobytes() + sums.tobytes())
print(digest.hexdigest())
"""


def run_child(program=CHILD, **environment):
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("bridge", "firmware"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout.split()[0]


@pytest.fixture(scope="module")
def digest_here():
    return run_child()


def test_same_bits_without_a_compiler(digest_here):
    """numba switched off: the same source, run by the interpreter and numpy."""
    assert run_child(NUMBA_DISABLE_JIT="1") == digest_here


def test_same_bits_for_another_processor_and_without_a_cache(digest_here, tmp_path):
    """Code for the oldest x86-64, without vectors beyond SSE2; numba finds no folder that it could write to."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    program = CHILD.replace(
        "from plumeproof.evidence import _kernels",
        "import types, numba\n"
        "_kernels = types.ModuleType('_kernels')\n"
        f"source = open({str(Path(_kernels.__file__))!r}).read()\n"
        f"_kernels.__file__ = {str(blocker / '_kernels.py')!r}\n"
        "try:\n"
        "    exec(compile('import numba\\n@numba.njit(cache=True)\\ndef f(): pass', _kernels.__file__, 'exec'), {})\n"
        "except RuntimeError: pass\n"
        "else: raise SystemExit('numba has found a cache folder: this test tests nothing')\n"
        "exec(compile(source, _kernels.__file__, 'exec'), _kernels.__dict__)",
    )
    blocked = {"HOME": str(blocker), "XDG_CACHE_HOME": str(blocker / "x"), "NUMBA_CACHE_DIR": ""}
    assert run_child(program, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", **blocked) == digest_here
