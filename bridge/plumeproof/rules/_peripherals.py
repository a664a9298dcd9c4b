"""Peripherals of the chain, compiled by numba: from what was measured to the factors that the other channels need.

Temperature, pressure, moisture and oxygen of a tile become factors (conditions.py), the flow becomes that of dry normal
gas (flow.py); each step is one plain loop over rows that stay near, which the compiler makes vectors of. What is
impossible is marked bad, slot by slot. `_chain.py` takes them from here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumeproof.rules._kernels import in_place, inner, sum_row

KELVIN, ATMOSPHERE_KPA = 273.15, 101.325  # 0 degC in K; pressure of the normal state, kPa
NEEDS_T, NEEDS_P, NEEDS_H2O, NEEDS_O2 = 1, 2, 4, 8  # bits: what a channel must be converted for
T, P, H2O, O2, FLOW = 0, 1, 2, 3, 4  # peripherals in this order, and their rows; the flow's becomes that of dry gas
NONE = np.uint8(0)  # greatest status that counts in rows of 0 and 1


@inner
def is_over(states: Any, worst: Any) -> Any:
    found = np.uint8(0)
    for i in range(states.shape[0]):
        found = max(found, states[i])
    return found > worst


@inner
def find_lost(bad: Any, step: Any, is_lost: Any) -> Any:
    """In which pieces of `step` slots some do not count; whether in any."""
    found = False
    for at in range((bad.shape[0] + step - 1) // step):
        is_lost[at] = is_over(bad[at * step : min(at * step + step, bad.shape[0])], NONE)
        found |= is_lost[at]
    return found


@inner
def count_slots(bad: Any, slots: Any, n: Any) -> None:
    """Slots of every minute whose mark is 0."""
    for at in range(n.shape[0]):
        lost = 0
        for i in range(at * slots, at * slots + slots):
            lost += bad[i]
        n[at] = slots - lost


@inner
def join(bad: Any, other: Any) -> None:
    for i in range(bad.shape[0]):
        bad[i] |= other[i]


@inner
def mark(status: Any, worst: Any, stopped: Any, bad: Any) -> None:
    for i in range(bad.shape[0]):
        bad[i] = np.uint8(status[i] > worst) | stopped[i]


@inner
def read(raw: Any, line: Any, value: Any) -> None:
    """a + b * (raw * scale + offset); each part only where it changes something but the sign of a zero."""
    scale, offset, a, b = line[0], line[1], line[2] + 0.0, line[3]
    if scale == 1.0 and offset == 0.0:
        if a == 0.0 and b == 1.0:
            for i in range(value.shape[0]):
                value[i] = raw[i]
        else:
            for i in range(value.shape[0]):
                value[i] = a + b * raw[i]
    else:
        for i in range(value.shape[0]):
            value[i] = a + b * (raw[i] * scale + offset)


@inner
def judge(row: Any, least: Any, below: Any, bad: Any) -> None:
    """Marks what is not above `least` and below `below`; in a loop of its own, which the compiler then makes vectors
    of."""
    for i in range(bad.shape[0]):
        bad[i] |= np.uint8(not (row[i] > least and row[i] < below))


@inner
def multiply(row: Any, other: Any) -> None:
    for i in range(row.shape[0]):
        row[i] = row[i] * other[i]


@in_place
def to_factors(
    value: Any, factor: Any, marks: Any, width: Any, setting: Any, is_o2_wet: Any, is_low_spared: Any
) -> None:  # fmt: skip
    """Rows T, P, H2O, O2: from what was measured to the factors of conditions.py; impossible ones are bad."""
    air, reference, clamp, invalid_from = setting[0], setting[1], setting[2], setting[3]
    t, p, h2o, o2 = value[T, :width], value[P, :width], value[H2O, :width], value[O2, :width]
    t_factor, p_factor, h2o_factor = factor[T, :width], factor[P, :width], factor[H2O, :width]
    o2_factor = factor[O2, :width]
    t_bad, p_bad, h2o_bad, o2_bad = marks[T, :width], marks[P, :width], marks[H2O, :width], marks[O2, :width]
    for i in range(t.shape[0]):
        t_factor[i] = (KELVIN + t[i]) / KELVIN
    judge(t_factor, 0.0, np.inf, t_bad)
    for i in range(p.shape[0]):
        p_factor[i] = ATMOSPHERE_KPA / p[i]
    judge(p, 0.0, np.inf, p_bad)
    judge(h2o, -np.inf, 100.0, h2o_bad)
    for i in range(h2o.shape[0]):
        h2o_factor[i] = 100.0 / (100.0 - h2o[i])
    if is_o2_wet:
        multiply(o2, h2o_factor)
        join(o2_bad, h2o_bad)
    top = air - reference
    if is_low_spared or clamp < np.inf:
        for i in range(o2.shape[0]):
            spared = is_low_spared and o2[i] < reference
            o2_factor[i] = 1.0 if spared else top / (air - (clamp if o2[i] > clamp else o2[i]))
    else:
        for i in range(o2.shape[0]):
            o2_factor[i] = top / (air - o2[i])
    judge(o2, -np.inf, min(air, invalid_from), o2_bad)


@inner
def to_gain(need: Any, factor: Any, gain: Any) -> None:
    """The factors to the dry normal state, multiplied from the left."""
    gain[:] = 1.0
    for kind in range(O2):
        if need & (1 << kind):
            multiply(gain, factor[kind, : gain.shape[0]])


@inner
def to_dry_flow(value: Any, gain: Any, factor: Any, bad: Any, need: Any, zero: Any) -> None:
    """Over the gain. HJ 75 prints 273 for the zero of this temperature factor only: then it is made again."""
    width = gain.shape[0]
    flow, kelvin = value[FLOW, :width], value[T, :width]  # degC up to here
    if zero != KELVIN and need & NEEDS_T:
        for i in range(width):
            kelvin[i] = (zero + kelvin[i]) / zero
        judge(kelvin, 0.0, np.inf, bad[FLOW, :width])
        for kind in (P, H2O):
            if need & (1 << kind):
                multiply(kelvin, factor[kind, :width])
        gain = kelvin
    for i in range(width):
        flow[i] = flow[i] / gain[i]


@in_place
def peripheral(
    kind: Any, begin: Any, end: Any, raw: Any, states: Any, out: Any, is_stopped: Any, worst: Any, slots: Any,
    line: Any, value: Any, bad: Any, lanes: Any, own: Any, n: Any, sums: Any,
) -> None:  # fmt: skip
    """A tile of a measured peripheral: calibrated, and summed as it is; the flow is summed later."""
    if is_stopped or is_over(states, worst):
        mark(states, worst, out, bad)
        count_slots(bad, slots, own)
    else:
        bad[:] = 0
        own[:] = slots
    read(raw, line, value)
    if kind < FLOW:
        is_plain = line[0] == 1.0 and line[1] == 0.0 and line[2] == 0.0 and line[3] == 1.0
        if is_plain and not is_stopped:
            sum_row(raw, states, worst, slots, lanes, n, sums)
        else:
            sum_row(value, bad, NONE, slots, lanes, n, sums)
