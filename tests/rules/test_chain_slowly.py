"""From first level data to the year: random plants through our rules and through the slow ones of tests/doubles.

Everything that is said by a truth (valid, lost, state, letter) must be equal, every number within 1e-11 of the exact
fraction. Ours runs on whole arrays, the slow one value by value.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.rules import conditions, flow, long_term, plant_state, rounding, short_term, status, validated
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.settings import Settings
from tests.doubles import slow_short_term as slow

NAMES = ("c", "T", "p", "H2O", "O2", "flow")
CENTRES = {"c": 60.0, "T": 140.0, "p": 99.8, "H2O": 14.0, "O2": 10.5, "flow": 9e4}
SPREADS = {"c": 90.0, "T": 60.0, "p": 2.0, "H2O": 9.0, "O2": 11.5, "flow": 1e5}  # below zero, and over 21 % O2
PER_TERM, DAYS, WINDOW = 6, 4, 3  # first level values of a term; days; days of a rolling window
PERMIT = {"o2_ref": 11.0, "pct": 20.0, "elv": 50.0, "qal2": 6.5}


class Made:
    """A plant's first level data: (days, terms, PER_TERM) of everything."""

    def __init__(self, seed: int, terms: int, loss: float, stop: float) -> None:
        random = np.random.default_rng(seed)
        shape = (DAYS, terms, PER_TERM)
        self.values = {
            name: np.round(CENTRES[name] + SPREADS[name] * (random.random(shape) - 0.5) * 2, 3) for name in NAMES
        }
        letters = np.array(list("VVVVWSCMFLOUX"))
        bad = {name: random.random(shape) < loss for name in NAMES}
        self.letters = {name: np.where(bad[name], random.choice(letters, shape), "V") for name in NAMES}
        runs = np.array(["operating", "operating", "other", "start_up", "shut_down"])
        # States hold for some terms, and change inside one now and then.
        blocks = np.repeat(random.choice(runs, (DAYS, terms, 2)), PER_TERM // 2, axis=2)
        self.states = np.where(random.random(shape) < stop, "stopped", blocks)
        self.durations = random.integers(1, 60_000, shape)

    def codes(self, name: str) -> np.ndarray:
        return status.codes_of("".join(self.letters[name].ravel())).reshape(self.letters[name].shape)

    def state_codes(self) -> np.ndarray:
        return np.vectorize(plant_state.state_of, otypes=[np.uint8])(self.states)

    def flds(self, name: str, day: int, term: int) -> list[slow.Fld]:
        place = (day, term)
        columns = (self.values[name], self.letters[name], self.states, self.durations)
        return [
            slow.Fld(float(value), str(letter), str(state), int(ms))
            for value, letter, state, ms in zip(*(column[place] for column in columns), strict=True)
        ]


def plain(found: Settings) -> dict:
    return {name: getattr(found, name) for name in Settings.__dataclass_fields__}


def terms_of(made: Made, name: str, rules: Settings):
    """(mean, is_valid, is_lost) of all terms."""
    states, codes, durations = made.state_codes(), made.codes(name), made.durations
    total, n = short_term.sum_valid(made.values[name], codes, states, durations)
    runs = np.where(plant_state.is_reportable(states), durations, 0).sum(axis=-1)
    expected = short_term.count_expected(durations.sum(axis=-1), runs, rules.coverage_basis)
    mean, _, is_valid = short_term.short_term(total, n, expected, rules.coverage)
    is_excused = ~status.counts(codes) & ~status.is_lost(codes, rules.lost_letters)
    excused = np.where(is_excused & plant_state.is_reportable(states), durations, 0).sum(axis=-1)
    return mean, is_valid, short_term.is_discarded(n, excused, expected, rules.coverage)


def run_ours(made: Made, rules: Settings, substitutes: dict):
    states = plant_state.state_of_period(plant_state.count_states(made.state_codes(), made.durations), rules.state_rule)
    terms = {name: terms_of(made, name, rules) for name in NAMES}
    letters, values = np.where(terms["c"][1], status.VALID, status.FAULT), {}
    for name in ("T", "p", "H2O", "O2"):
        mean, is_valid, _ = terms[name]
        substitute = substitutes.get(name)
        letters = status.judge_peripheral(letters, is_valid, substitute is not None)
        values[name] = (mean if substitute is None else np.where(is_valid, mean, substitute), is_valid)
    oxygen = conditions.oxygen_factor(
        values["O2"][0],
        PERMIT["o2_ref"],
        rules.o2_air,
        rules.o2_no_conversion_below_ref,
        rules.o2_invalid_above,
        rules.o2_clamp,
    )
    standardised, exists = conditions.standardise(
        terms["c"][0],
        conditions.temperature_factor(values["T"][0]),
        conditions.pressure_factor(values["p"][0]),
        conditions.moisture_factor(values["H2O"][0]),
        oxygen,
    )
    exists = exists & status.counts(letters)
    letters = np.where(status.counts(letters) & ~exists, status.PERIPHERAL, letters)
    standardised = np.where(exists, standardised, 0.0)
    mass, has_mass = flow.mass_kg_h(standardised, terms["flow"][0], rules.mass_zero_when_negative)
    interval = validated.interval_mg_m3(standardised, rules.ci_mode, PERMIT["pct"], PERMIT["elv"], PERMIT["qal2"])
    value, has_value = validated.validate(standardised, interval, rules.clip_negative, exists)
    compared = plant_state.is_compared(states, rules.start_up_compared)
    discarded = ~has_value & compared & (terms["c"][2] | (letters == status.PERIPHERAL))
    days = long_term.day_averages(
        value, has_value & compared, discarded, rules.discard_limit_per_day, rules.min_valid_sta_per_day
    )
    return (
        states,
        letters,
        (standardised, exists),
        (value, has_value),
        (mass, has_mass & exists & terms["flow"][1]),
        days,
    )


def same(found: float, exists: bool, exact) -> bool:
    if exact is None:
        return not exists and found == 0.0
    return bool(exists) and math.isclose(found, exact, rel_tol=1e-11, abs_tol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["eu_ied_waste", "eu_ied_lcp", "de_17bimschv", "de_13bimschv", "at_emvl", "eu_mrr", "cn_hj75"]),
    st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    st.sampled_from([{}, {"H2O": 15.0}, {"O2": 11.0, "T": 150.0}]),
)
def test_random_plants(seed, name, loss, stop, substitutes):
    rules = load_rule_set(name).settings
    made = Made(seed, 1440 // rules.sta_min, loss, stop)
    table, permit = plain(rules), PERMIT | {"substitutes": substitutes}
    states, letters, standardised, value, mass, days = run_ours(made, rules, substitutes)
    slow_days = []
    for day in range(DAYS):
        steps = []
        for term in range(made.states.shape[1]):
            place = (day, term)
            parts = {entry: slow.slow_term(made.flds(entry, day, term), table) for entry in NAMES}
            step = slow.slow_step(parts, permit, table)
            steps.append(step)
            assert plant_state.NAMES[states[place]] == step.state
            assert status.letters_of(letters[place]) == step.letter
            assert same(standardised[0][place], standardised[1][place], step.standardised)
            assert same(value[0][place], value[1][place], step.validated)
            assert same(mass[0][place] if mass[1][place] else 0.0, mass[1][place], step.mass_kg_h)
        slow_days.append(slow.slow_day(steps, table))
    for index, one in enumerate(slow_days):
        assert (days.n_used[index], days.n_discarded[index]) == (len(one.values), one.n_lost)
        assert days.is_valid[index] == slow.is_day_valid(one, table)
        assert days.is_discarded[index] == slow.is_day_discarded(one, table)
        assert same(days.mean[index], days.exists[index], one.mean())
        if one.values:
            near = abs(float(one.mean()) % 1 - 0.5) < 1e-9  # a tie of the exact value is none of the float
            assert near or rounding.exceeds(days.mean[index], "40", 0) == slow.slow_exceeds(one.mean(), "40", 0)
    assert same(*long_term.mean_of_days_sums(days.total, days.n_used), slow.slow_mean_of_all(slow_days))
    assert same(*long_term.mean_of_days(days.mean, days.is_valid), slow.slow_mean_of_days(slow_days, table))
    rolling, has, _ = long_term.rolling_averages(days.total, days.n_used, WINDOW)
    for mean, exists, exact in zip(rolling, has, slow.slow_rolling(slow_days, WINDOW), strict=True):
        assert same(mean, exists, exact)
