"""The bulk kernels: the same bits as the live ones and as numpy's rules, however cut, threaded or compiled."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.evidence import _kernels as live
from plumeproof.rules import _chain, _kernels, _merges, _peripherals, _vectors, chain, conditions, flow

ROOT = Path(__file__).resolve().parents[2]
WORST = 2  # V, W and S count


def plainly(values, status, slots):
    """Through the kernels of the live path."""
    rows = values.astype(np.float64).reshape(-1, slots)
    n, sums = np.zeros(len(rows), np.int64), np.zeros((4, len(rows)))
    live.sum_slots(rows, (status <= WORST).astype(np.uint8).reshape(-1, slots), n, *sums)
    return n, sums


def summed(values, status, slots):
    shape = (values.shape[0], values.shape[1] // slots)
    n, sums = np.zeros(shape, np.int32), np.zeros((4, *shape))
    _kernels.sum_minutes(values, status, WORST, slots, n, sums)
    return n, sums


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([np.float32, np.float64]),
    slots=st.sampled_from([60, 60, 60, 1, 12, 20, 30, 61, 120]),
    minutes=st.integers(1, 13),
    share=st.sampled_from([0.0, 0.001, 0.02, 0.5, 1.0]),
)
def test_minutes_have_the_bits_of_the_live_path(seed, kind, slots, minutes, share):
    rng = np.random.default_rng(seed)
    values = (rng.normal(50, 20, (3, minutes * slots)) * 10.0 ** rng.integers(-3, 9, (3, 1))).astype(kind)
    values[rng.random(values.shape) < 0.05] = rng.choice([0.0, -0.0])
    status = np.where(rng.random(values.shape) < share, 3 + rng.integers(0, 8, values.shape), rng.integers(0, 3))
    status = status.astype(np.uint8)
    values[status > WORST] = rng.choice([np.nan, np.inf, -np.inf, 1e30])  # never looked at
    n, sums = summed(values, status, slots)
    n_live, sums_live = plainly(values, status, slots)
    assert np.array_equal(n.ravel(), n_live)
    assert np.array_equal(sums.reshape(4, -1), sums_live)
    assert not np.signbit(sums[sums == 0.0]).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.sampled_from([1, 7, 10, 10, 20, 30, 30, 60, 60, 1440]),
    intervals=st.integers(1, 11),  # four of 10, 30 and 60 min have a kernel of their own
    lost=st.sampled_from([0.0, 0.1, 0.9]),
)
def test_longer_intervals_have_the_bits_of_the_live_path(seed, length, intervals, lost):
    rng = np.random.default_rng(seed)
    intervals = min(intervals, 2) if length == 1440 else intervals
    values = rng.normal(50, 20, (2, length * intervals * 60)) * 10.0 ** rng.integers(-3, 9, (2, 1))
    values += values.mean() * np.repeat(rng.normal(0, 5, (2, length * intervals)), 60, axis=1)  # minutes lie far apart
    status = (rng.random(values.shape) < 0.3).astype(np.uint8) * 9
    status[:, : rng.integers(0, 3) * 60] = 9  # minutes in which nothing counts
    status[np.repeat(rng.random((2, length * intervals)) < lost, 60, axis=1)] = 9
    status[:, : rng.integers(0, 2) * length * 60] = 9
    n_of, sums_of = summed(values, status, 60)
    n, sums = np.zeros((2, intervals), np.int32), np.zeros((4, 2, intervals))
    cut = int(rng.integers(0, intervals + 1))
    for first, end in ((0, cut), (cut, intervals)):
        _merges.merge_minutes(n_of, sums_of, length, first, end, n, sums)
    wide = [part.reshape(2 * intervals, length) for part in (n_of.astype(np.int64), *sums_of)]
    n_live, sums_live = np.zeros(2 * intervals, np.int64), np.zeros((4, 2 * intervals))
    live.merge_sums(*wide, n_live, *sums_live)
    assert np.array_equal(n.ravel(), n_live)
    assert np.array_equal(sums.reshape(4, -1), sums_live) and not np.signbit(sums[sums == 0.0]).any()
    load_n, load = np.zeros((2, intervals), np.int32), np.zeros((2, intervals))
    _merges.merge_loads(n_of, np.ascontiguousarray(sums_of[0]), length, 0, intervals, load_n, load)
    assert np.array_equal(load_n, n) and np.array_equal(load, sums[0])


# Channels of the chain: T, p, H2O, O2, flow, in situ (all four), cold dry (O2 only), nothing needed
NEEDS = np.array([0, 0, 0, 0, 7, 15, 8, 0], np.uint8)
LOAD_OF = np.array([5, 6])


def make_plant(seed, minutes, kind=np.float32):
    rng = np.random.default_rng(seed)
    base = np.array([140.0, 100.0, 15.0, 9.0, 2e5, 100.0, 50.0, 20.0])[:, None]
    raw = (base * rng.normal(1, 0.1, (8, minutes * 60))).astype(kind)
    for row, edge in ((0, -273.15), (1, 0.0), (2, 100.0), (3, 21.0), (3, 5.0)):
        raw[row, rng.random(raw.shape[1]) < 0.01] = edge
    status = (rng.random(raw.shape) < rng.choice([0.0, 0.02])).astype(np.uint8) * 8
    stopped = np.repeat((rng.random(minutes) < 0.1).astype(np.uint8), 60)
    stopped[rng.random(stopped.shape) < 0.001] = 1
    lines = np.column_stack(
        [rng.uniform(0.5, 2, 8), rng.normal(0, 1, 8), rng.normal(0, 1, 8), rng.uniform(0.9, 1.1, 8)]
    )
    lines[:4] = (1.0, 0.0, 0.0, 1.0)
    return raw, status, stopped, np.ascontiguousarray(lines)


def run_chain(plant, oxygen, is_wet, is_spared, roles=(0, 1, 2, 3, 4), fixed=(0.0,) * 5, is_zeroed=False, zero=273.15):
    raw, status, stopped, lines = plant
    minutes = raw.shape[1] // 60
    counts = [np.zeros(minutes, np.int32), np.zeros((8, minutes), np.int32), np.zeros((8, minutes), np.int32)]
    results = (*counts, np.zeros((4, 8, minutes)), np.zeros((2, minutes), np.int32), np.zeros((2, minutes)))
    _chain.run_chain(
        raw, status, stopped, WORST, 60, lines, NEEDS, np.array(roles), np.array(fixed), np.array((*oxygen, zero)),
        is_wet, is_spared, is_zeroed, LOAD_OF, 0, minutes, *results,
    )  # fmt: skip
    return results


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    minutes=st.integers(1, 40),
    kind=st.sampled_from([np.float32, np.float64]),
    is_wet=st.booleans(),
    is_spared=st.booleans(),
    clamp=st.sampled_from([None, 12.0]),
    invalid=st.sampled_from([None, 18.0]),
    is_plain=st.booleans(),
    is_zeroed=st.booleans(),
    zero=st.sampled_from([273.15, 273.0]),
)
def test_the_chain_has_the_bits_of_the_rules(
    seed, minutes, kind, is_wet, is_spared, clamp, invalid, is_plain, is_zeroed, zero
):
    plant = make_plant(seed, minutes, kind)
    raw, status, stopped, lines = plant
    if is_plain:
        lines[:, :2] = (1.0, 0.0)
    if is_zeroed:
        raw[4:7, ::7] *= -1.0
    oxygen = (21.0, 11.0, np.inf if clamp is None else clamp, np.inf if invalid is None else invalid)
    found = run_chain(plant, oxygen, is_wet, is_spared, is_zeroed=is_zeroed, zero=zero)
    expected, own, n, sums, load_n, load = found
    counts = (status <= WORST) & (stopped == 0)
    value = lines[:, 2:3] + lines[:, 3:4] * (raw.astype(np.float64) * lines[:, :1] + lines[:, 1:2])
    t, t_has = conditions.temperature_factor(value[0])
    p, p_has = conditions.pressure_factor(value[1])
    h2o, h2o_has = conditions.moisture_factor(value[2])
    o2, o2_measured = conditions.dry_o2_pct(value[3], value[2]) if is_wet else (value[3], np.True_)
    o2, o2_has = conditions.oxygen_factor(o2, 11.0, 21.0, is_spared, invalid, clamp)
    has = [counts[0] & t_has, counts[1] & p_has, counts[2] & h2o_has]
    has.append(counts[3] & o2_has & o2_measured & (has[2] if is_wet else True))
    everything = has[0] & has[1] & has[2]
    flow_counts = counts[4] & everything & (zero + value[0] > 0.0)
    gain = t * p * h2o
    flow_gain = gain if zero == 273.15 else (zero + value[0]) / zero * p * h2o
    normal_dry = value[4] / np.where(everything, flow_gain, 1.0)
    normal_wet, _ = flow.normal_wet_m3_h(value[4], value[0], value[1], zero)
    dry, _ = flow.dry_m3_h(normal_wet, value[2])
    assert np.allclose(normal_dry[flow_counts], dry[flow_counts], rtol=1e-14)
    in_situ = value[5] * gain
    left, _ = conditions.standardise(value[5], (t, t_has), (p, p_has), (h2o, h2o_has))
    assert np.allclose(in_situ[everything], left[everything], rtol=1e-14)
    rows = [*value[:4], normal_dry, in_situ * o2, value[6] * o2, value[7]]
    ok = [*counts[:4], flow_counts, counts[5] & everything & has[3], counts[6] & has[3], counts[7]]
    ok[:4] = counts[:4]  # peripherals count by themselves, whatever can be made of them
    for at in range(8):
        found = plainly(rows[at][None], np.where(ok[at], 0, 9).astype(np.uint8)[None], 60)
        assert np.array_equal(n[at], found[0]), at
        assert np.array_equal(sums[:, at], found[1]), at
    for to, (concentration, at) in enumerate(((in_situ, 5), (value[6], 6))):
        product = concentration * normal_dry
        if is_zeroed:
            product[(concentration < 0.0) | (normal_dry < 0.0)] = 0.0
        found = plainly(product[None], np.where(ok[at] & flow_counts, 0, 9).astype(np.uint8)[None], 60)
        assert np.array_equal(load_n[to], found[0]) and np.array_equal(load[to], found[1][0])
    assert np.array_equal(expected, 60 - stopped.reshape(-1, 60).sum(axis=1))
    assert np.array_equal(own, counts.reshape(8, -1, 60).sum(axis=2))


def test_two_threads_have_the_bits_of_one():
    raw, status, stopped, lines = make_plant(11, 3 * 1_440 + 77)
    plan = chain.ChainPlan(
        lines, NEEDS, (0, 1, 2, 3, 4), 11.0, load_of=tuple(LOAD_OF.tolist()), is_o2_wet=True, worst=WORST
    )
    one = chain.run(plan, raw, status, stopped)
    two = chain.run(plan, raw, status, stopped, threads=2)
    direct = run_chain((raw, status, stopped, lines), (21.0, 11.0, np.inf, np.inf), True, False)
    fine = one[1]
    for rows, same in zip(direct, (fine.expected, fine.own, fine.n, fine.sums, fine.load_n, fine.load), strict=True):
        assert np.array_equal(rows, same)
    assert list(one) == [1, 10, 30, 60, 1440] and one[1440].n.shape == (8, 3)
    for length, sums in one.items():
        for name in ("n", "sums", "load_n", "load", "expected", "own"):
            assert np.array_equal(getattr(sums, name), getattr(two[length], name)), (length, name)
        assert (sums.n.sum(axis=1) > 0).all()
    again = chain.run(plan, raw, status, stopped, threads=2, into=two)
    assert again is two and np.array_equal(two[60].sums, one[60].sums)


def test_a_chain_that_does_not_fit_is_refused():
    raw, status, stopped, lines = make_plant(1, 4)
    plan = chain.ChainPlan(lines, NEEDS, (0, 1, 2, 3, 4))
    with pytest.raises(RuleError, match="do not fit"):
        chain.run(plan, raw, status[:, 1:], stopped)
    with pytest.raises(RuleError, match="beyond its 8 channels"):
        chain.run(chain.ChainPlan(lines, NEEDS, (0, 1, 2, 3, 8)), raw, status, stopped)


def test_the_same_bits_in_any_pieces_by_two_threads():
    plant = make_plant(3, 1_440)
    oxygen = (21.0, 11.0, np.inf, np.inf)
    whole = run_chain(plant, oxygen, True, False)
    cuts = [0, *sorted(np.random.default_rng(1).choice(np.arange(1, 1_440), 99, replace=False).tolist()), 1_440]

    def piece(first, end):
        part = slice(first * 60, end * 60)
        cut = [np.ascontiguousarray(rows[..., part]) for rows in plant[:3]]
        return first, run_chain((*cut, plant[3]), oxygen, True, False)

    pieces = list(zip(cuts, cuts[1:], strict=False))
    np.random.default_rng(2).shuffle(pieces)
    with ThreadPoolExecutor(2) as threads:
        found = sorted(threads.map(lambda one: piece(*one), pieces), key=lambda one: one[0])
    for index, rows in enumerate(whole):
        assert np.array_equal(np.concatenate([part[index] for _, part in found], axis=-1), rows)


def test_a_fixed_value_stands_for_a_channel():
    plant = make_plant(4, 8)
    plant[1][:] = 0
    for row, number in ((0, 140.0), (1, 100.0), (2, 15.0), (3, 9.0)):
        plant[0][row] = number
    measured = run_chain(plant, (21.0, 11.0, np.inf, np.inf), False, False)
    fixed = run_chain(
        plant, (21.0, 11.0, np.inf, np.inf), False, False, (-1, -1, -1, -1, 4), (140.0, 100.0, 15.0, 9.0, 0.0)
    )
    _, own, n, sums, load_n, load = measured
    _, own_fixed, n_fixed, sums_fixed, load_n_fixed, load_fixed = fixed
    assert np.array_equal(own[4:], own_fixed[4:]) and np.array_equal(n[4:], n_fixed[4:])
    assert np.array_equal(sums[:, 4:], sums_fixed[:, 4:])
    assert np.array_equal(load_n, load_n_fixed) and np.array_equal(load, load_fixed)


CHILD = """
import hashlib, sys
import numpy as np
from numba.core.registry import cpu_target
from tests.rules.test_kernels import make_plant, run_chain, summed
from plumeproof.rules import _chain, _kernels, _merges
plant = make_plant(9, 600)
found, made = list(summed(plant[0], plant[1], 60)), [_kernels._sum_minutes, _merges._merge_rows]
for length in (10, 30, 60, 150):
    n, sums = np.zeros((8, 600 // length), np.int32), np.zeros((4, 8, 600 // length))
    _merges.merge_minutes(found[0], found[1], length, 0, 600 // length, n, sums)
    found += [n, sums]
print(cpu_target.target_context.codegen().magic_tuple()[1], *{type(one._cache).__name__ for one in made})
print(_kernels.__file__)
print(hashlib.sha256(b"".join(rows.tobytes() for rows in found)).hexdigest())
if "chain" in sys.argv:
    found = run_chain(plant, (21.0, 11.0, np.inf, np.inf), True, False)
    print(hashlib.sha256(b"".join(rows.tobytes() for rows in found)).hexdigest())
"""


def run_child(*more, bridge=ROOT / "bridge", **environment):
    """Processor and how the code is kept; file of the kernels; hashes of minutes, and with "chain" of the chain."""
    paths = os.pathsep.join(str(folder) for folder in (bridge, ROOT, ROOT / "firmware"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, *more],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def child_here():
    found = run_child("chain")
    assert found[0].endswith(" FunctionCache") and not found[0].startswith("generic ")
    return found


def test_the_same_bits_for_the_oldest_processor(child_here):
    """Code for x86-64 without vectors beyond SSE2; numba keeps it beside that for the processor here."""
    found = run_child("chain", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert found[0] == "generic FunctionCache" and found[2:] == child_here[2:] and len(found) == 4


def test_without_a_cache_folder_the_kernels_are_compiled_each_time(child_here, tmp_path):
    """A file stands where numba wants each of its folders: not even root can write there. Without optimisation, which
    takes half the time and must not change a bit either."""
    copy = tmp_path / "plumeproof"
    shutil.copytree(ROOT / "bridge" / "plumeproof", copy, ignore=shutil.ignore_patterns("__pycache__"))
    blockers = [copy / folder / "__pycache__" for folder in ("rules", "evidence")]
    for blocker in blockers:
        blocker.write_text("")
    home = str(blockers[0])
    blocked = {"HOME": home, "XDG_CACHE_HOME": f"{home}/x", "NUMBA_CACHE_DIR": "", "NUMBA_OPT": "0"}
    about, file, digest = run_child(bridge=tmp_path, **blocked)
    assert about.endswith(" NullCache") and Path(file).parent == copy / "rules"
    assert digest == child_here[2]


def test_the_cache_knows_what_the_kernels_are_made_of():
    """numba asks for the age of the file of a kernel only, not for those that it is made of."""
    for above, said in (
        (_vectors, _kernels.VECTORS_SHA256),
        (_kernels, _chain.KERNELS_SHA256),
        (_peripherals, _chain.PERIPHERALS_SHA256),
        (_kernels, _merges.KERNELS_SHA256),
    ):
        found = hashlib.sha256(Path(str(above.__file__)).read_bytes()).hexdigest()[:16]
        assert found == said, f"{above.__name__} has changed: write {found} where it is used"
