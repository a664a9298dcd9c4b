"""Uncertainty of means, sums and products from stated components (JCGM 100:2008), against fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import RuleError
from plumeproof.rules import uncertainty
from plumeproof.rules.plant import Component
from plumeproof.rules.uncertainty import Quantity
from tests.doubles import slow_greenhouse as slow
from tests.rules.examples import assert_close

GAS = Component(name="calibration gas", value_pct=2.0, k=2.0, is_common=True)  # certificate: 2 %, k = 2
NOISE = Component(name="repeatability", value=1.5)
READOUT = Component(name="resolution", value=0.3, distribution="rectangular")

COMPONENTS = st.lists(
    st.builds(
        lambda name, stated, is_relative, k, kind, is_common: Component(
            name=name,
            value=None if is_relative else stated,
            value_pct=stated if is_relative else None,
            k=k,
            distribution=kind,
            is_common=is_common,
        ),
        st.sampled_from(["a", "b"]),
        st.floats(0, 50),
        st.booleans(),
        st.sampled_from([1.0, 1.96, 2.0, 3.0]),
        st.sampled_from(["normal", "rectangular"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
VALUES = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50)


def test_single_values():
    assert uncertainty.standard_of(GAS, 200.0) == 2.0
    assert uncertainty.standard_of(GAS, -200.0) == 2.0
    assert uncertainty.standard_of(NOISE, 200.0) == 1.5
    assert_close(uncertainty.standard_of(READOUT, 200.0), 0.3 / 3**0.5)
    both = uncertainty.combined_of((GAS, NOISE), np.array([200.0, 0.0]))
    assert both.tolist() == [2.5, 1.5] and uncertainty.combined_of((GAS, NOISE), 200.0) == 2.5


def test_a_mean_keeps_its_common_error_and_averages_the_rest():
    found = uncertainty.of_mean("CO2", [200.0] * 100, (GAS, NOISE))
    assert_close(found.standard, math.hypot(2.0, 0.15))
    assert_close(found.expanded, 2.0 * found.standard)
    assert [line.component for line in found.budget] == ["calibration gas", "repeatability"]
    assert_close(sum(line.share for line in found.budget), 1.0)
    pct, exists = found.relative_pct(200.0)
    assert exists
    assert_close(pct, found.expanded / 2.0)
    assert found.relative_pct(0.0) == (0.0, False)


def test_no_component_is_no_knowledge():
    found = uncertainty.of_mean("CO2", [200.0], ())
    assert not found.exists and found.relative_pct(200.0) == (0.0, False)
    with pytest.raises(RuleError, match="no components"):
        uncertainty.judge_annual("CO2", found, 200.0)


def test_tonnes_of_a_year_and_their_tier():
    """c known to 2 % and V to 3 %, both common (expanded, k = 2): the product to sqrt(2^2 + 3^2) %."""
    rng = np.random.default_rng(3)
    c, flow = rng.uniform(150, 250, 8760), rng.uniform(1e5, 2e5, 8760)
    meter = Component(name="flow meter", value_pct=3.0, k=2.0, is_common=True)
    total = float((c * flow).sum() / 1e6)
    year = uncertainty.of_product_sum(Quantity("c", c, 1.0, (GAS,)), Quantity("V", flow, 1.0, (meter,)), scale=1e-6)
    pct, _ = year.relative_pct(total)
    assert_close(pct, math.sqrt(13.0))
    judged = uncertainty.judge_annual("CO2", year, total)
    assert judged.reached == 3 and judged.is_met
    assert not uncertainty.judge_annual("CO2", year, total, 4).is_met


@given(VALUES, COMPONENTS, st.sampled_from([1.0, 2.0]), st.data())
def test_sums_against_fractions(values, components, k, data):
    weights = data.draw(st.lists(st.floats(-10, 10), min_size=len(values), max_size=len(values)))
    counts = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    found = uncertainty.of_sum(
        [Quantity("x", values, np.array(weights), tuple(components), np.array(counts, dtype=np.bool_))], k
    )
    kept = [(x, w) for x, w, counted in zip(values, weights, counts, strict=True) if counted]
    variance = Fraction(0)
    for component in components:
        divisor = Fraction(3) if component.distribution == "rectangular" else Fraction(component.k) ** 2
        stated = component.value_pct if component.value is None else component.value
        is_relative = component.value is None
        variance += slow.combined_variance(
            [x for x, _ in kept], [w for _, w in kept], stated, is_relative, divisor, component.is_common
        )
    assert math.isclose(found.standard, math.sqrt(variance), rel_tol=1e-9, abs_tol=1e-6)
    assert found.expanded == k * found.standard and found.exists


@given(VALUES, st.floats(0.1, 10))
def test_full_correlation_of_one_sign_is_never_better_than_none(values, stated):
    common = Component(name="a", value=stated, is_common=True)
    own = Component(name="a", value=stated)
    one, other = (uncertainty.of_mean("x", values, (component,)) for component in (common, own))
    assert one.standard >= other.standard * (1.0 - 1e-12)
    assert math.isclose(one.standard, stated, rel_tol=1e-12)
    assert math.isclose(other.standard, stated / math.sqrt(len(values)), rel_tol=1e-12)


@given(VALUES)
def test_what_does_not_count_is_not_looked_at(values):
    mask = np.array([True] * len(values) + [False])
    one = uncertainty.of_mean("x", [*values, math.nan], (GAS, NOISE), mask)
    assert math.isclose(one.standard, uncertainty.of_mean("x", values, (GAS, NOISE)).standard, rel_tol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: uncertainty.standard_of(Component(name="a"), 1.0),
        lambda: uncertainty.standard_of(Component(name="a", value=1.0, value_pct=1.0), 1.0),
        lambda: uncertainty.standard_of(Component(name="a", value=1.0, k=0.0), 1.0),
        lambda: uncertainty.standard_of(Component(name="a", value=1.0, distribution="triangular"), 1.0),
        lambda: uncertainty.of_mean("x", [], (GAS,)),
        lambda: uncertainty.of_mean("x", [1.0], (GAS,), np.array([False])),
        lambda: uncertainty.of_mean("x", [math.nan], (GAS,)),
        lambda: uncertainty.of_mean("x", [1.0], (GAS,), k=0.0),
        lambda: uncertainty.of_sum([Quantity("x", [1.0, 2.0], np.array([1.0]), (GAS,))]),
        lambda: uncertainty.of_product_sum(Quantity("x", [1.0], 1.0, (GAS,)), Quantity("y", [1.0, 2.0], 1.0, ())),
    ],
)
def test_refusals(make):
    with pytest.raises(RuleError):
        make()
