"""The chain of conversions of a plant, slot by slot, compiled by numba (EVIDENCE.md section 3; averaging-rules 4).

What is measured becomes a concentration at reference conditions, a flow of dry normal gas and a load, and is summed to
minutes by `_kernels.sum_row`. Minutes are gone through in tiles of TILE, whose rows stay in the cache; each step is one
plain loop over rows, float64, only + - * / in the order of conditions.py and flow.py. Impossible peripherals (p = 0,
H2O = 100, O2 at or above air) make a slot that needs them not count, whatever number stands there.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from plumeproof.rules._kernels import OPTIONS, Decorator, compiled, fetch, inner, sum_row, sums_of
from plumeproof.rules._vectors import LANES

# numba's cache asks for the age of this file only: a test sees to it that another _kernels.py comes with another line.
KERNELS_SHA256 = "2178d87c98326923"

TILE = 16  # minutes
KELVIN, ATMOSPHERE_KPA = 273.15, 101.325  # 0 degC in K; pressure of the normal state, kPa
NEEDS_T, NEEDS_P, NEEDS_H2O, NEEDS_O2 = 1, 2, 4, 8  # bits: what a channel must be converted for
allocating: Decorator = numba.njit(**OPTIONS)
T, P, H2O, O2, FLOW = 0, 1, 2, 3, 4  # peripherals in this order, and their rows
_ONE = FLOW  # row of the factors: 1.0, for what needs nothing
_OTHER, _LOAD = 5, 6  # rows of values, the first of marks too: of the channel at hand, and its load
_NONE = np.uint8(0)  # greatest status that counts in rows of 0 and 1
_LINE = 8  # float64 of a cache line


@allocating
def _rows(count: Any, width: Any) -> Any:
    """Rows of float64 that begin with a cache line: loads that touch two take twice as long."""
    flat = np.empty(count * width + _LINE)
    skip = (-flat.ctypes.data % (8 * _LINE)) // 8
    return flat[skip : skip + count * width].reshape(count, width)


@allocating
def _scratch(width: Any) -> Any:
    """Of a tile: rows of values, of factors, and of marks: bytes that are 0 where a slot counts."""
    factor = _rows(5, width)
    factor[_ONE] = 1.0  # multiplying by it changes no bit
    return _rows(7, width), factor, np.zeros((6, width), np.uint8)


@inner
def _greatest(states: Any) -> Any:
    found = np.uint8(0)
    for i in range(states.shape[0]):
        found = max(found, states[i])
    return found


@inner
def _count_slots(is_bad: Any, bad: Any, slots: Any, n: Any) -> None:
    """Slots of every minute whose mark is 0; `is_bad`: there are others."""
    if not is_bad:
        n[:] = slots
        return
    for at in range(n.shape[0]):
        lost = 0
        for i in range(at * slots, at * slots + slots):
            lost += bad[i]
        n[at] = slots - lost


@inner
def _join(bad: Any, other: Any) -> None:
    for i in range(bad.shape[0]):
        bad[i] |= other[i]


@inner
def _fetch_row(raw: Any, status: Any, first: Any, end: Any) -> None:
    """The next tile's slots of a channel: the processor does not guess them, each tile begins elsewhere in memory."""
    for i in range(first, end, 16):
        fetch(raw, i)
    for i in range(first, end, 64):
        fetch(status, i)


@inner
def _copy(bad: Any, to: Any) -> None:
    for i in range(bad.shape[0]):
        to[i] = bad[i]


@inner
def _differs(bad: Any, stopped: Any) -> Any:
    found = np.uint8(0)
    for i in range(bad.shape[0]):
        found |= bad[i] ^ stopped[i]
    return found != 0


@inner
def _mark(status: Any, worst: Any, stopped: Any, bad: Any) -> None:
    for i in range(bad.shape[0]):
        bad[i] = np.uint8(status[i] > worst) | stopped[i]


@inner
def _read(raw: Any, line: Any, value: Any) -> None:
    """A row of a tile: a + b * (raw * scale + offset)."""
    scale, offset, a, b = line[0], line[1], line[2], line[3]
    for i in range(value.shape[0]):
        value[i] = a + b * (raw[i] * scale + offset)


@inner
def _read_converted(raw: Any, line: Any, t: Any, p: Any, h2o: Any, value: Any) -> None:
    """The same, times the factors one after the other."""
    scale, offset, a, b = line[0], line[1], line[2], line[3]
    for i in range(value.shape[0]):
        value[i] = (a + b * (raw[i] * scale + offset)) * t[i] * p[i] * h2o[i]


@inner
def _to_load(value: Any, flow: Any, o2: Any, load: Any) -> None:
    """Load before oxygen, with the flow beside it; then the concentration at reference oxygen."""
    for i in range(value.shape[0]):
        load[i] = value[i] * flow[i]
        value[i] = value[i] * o2[i]


@inner
def _to_factors(value: Any, bad: Any, factor: Any, oxygen: Any, is_o2_wet: Any, is_low_spared: Any) -> None:
    """Rows T, P, H2O, O2: from what was measured to the factors of conditions.py; impossible values are bad."""
    air, reference, clamp, invalid_from = oxygen[0], oxygen[1], oxygen[2], oxygen[3]
    kelvin, pressure, moisture, o2 = value[T], value[P], value[H2O], value[O2]
    dry = value[FLOW]  # free until the flow is read: 100 - H
    for i in range(kelvin.shape[0]):
        kelvin[i] = KELVIN + kelvin[i]
        factor[T, i] = kelvin[i] / KELVIN
    for i in range(kelvin.shape[0]):
        factor[P, i] = ATMOSPHERE_KPA / pressure[i]
    for i in range(kelvin.shape[0]):
        dry[i] = 100.0 - moisture[i]
        factor[H2O, i] = 100.0 / dry[i]
    for i in range(kelvin.shape[0]):
        bad[T, i] |= np.uint8(not kelvin[i] > 0.0)
        bad[P, i] |= np.uint8(not pressure[i] > 0.0)
        bad[H2O, i] |= np.uint8(not dry[i] > 0.0)
    if is_o2_wet:
        for i in range(kelvin.shape[0]):
            o2[i] = o2[i] * factor[H2O, i]
        _join(bad[O2], bad[H2O])
    for i in range(kelvin.shape[0]):
        spared = is_low_spared and o2[i] < reference
        factor[O2, i] = 1.0 if spared else (air - reference) / (air - (clamp if o2[i] > clamp else o2[i]))
    for i in range(kelvin.shape[0]):
        bad[O2, i] |= np.uint8(not (o2[i] < air and o2[i] < invalid_from))


@inner
def _to_normal_flow(needs: Any, value: Any, bad: Any) -> None:
    """The row FLOW to dry gas at 273.15 K and 101.325 kPa, as far as it needs it; T is in kelvin by now."""
    flow = value[FLOW]
    if needs & NEEDS_T:
        for i in range(flow.shape[0]):
            flow[i] = flow[i] * KELVIN / value[T, i]
        _join(bad[FLOW], bad[T])
    if needs & NEEDS_P:
        for i in range(flow.shape[0]):
            flow[i] = flow[i] * value[P, i] / ATMOSPHERE_KPA
        _join(bad[FLOW], bad[P])
    if needs & NEEDS_H2O:
        for i in range(flow.shape[0]):
            flow[i] = flow[i] * (100.0 - value[H2O, i]) / 100.0
        _join(bad[FLOW], bad[H2O])


@allocating
def _order(channels: Any, roles: Any, load_of: Any) -> Any:
    """Peripherals first, then the flow, then all others; the row of each, the row of its load or -1, and how many of
    T, P, H2O and O2 there are."""
    order, kinds, load_row = np.empty(channels, np.int64), np.full(channels, _OTHER), np.full(channels, -1)
    found = basic = 0
    for kind in range(5):
        if roles[kind] >= 0:
            kinds[roles[kind]] = kind
            order[found] = roles[kind]
            found += 1
            basic = found if kind < FLOW else basic
    for at in range(channels):
        if kinds[at] == _OTHER:
            order[found] = at
            found += 1
    for to in range(load_of.shape[0]):
        load_row[load_of[to]] = to
    return order, kinds, load_row, basic


@inner
def _run_tiles(
    begin: Any,
    finish: Any,
    tile: Any,
    value: Any,
    factor: Any,
    bad: Any,
    lanes: Any,
    is_lost: Any,
    order: Any,
    kinds: Any,
    load_row: Any,
    basic: Any,
    raw: Any,
    status: Any,
    stopped: Any,
    worst: Any,
    slots: Any,
    lines: Any,
    needs: Any,
    roles: Any,
    fixed: Any,
    oxygen: Any,
    is_o2_wet: Any,
    is_low_spared: Any,
    expected: Any,
    own: Any,
    n: Any,
    sums: Any,
    load_n: Any,
    load: Any,
) -> None:
    """`is_lost`: whether some slot of a peripheral does not count although the plant's does."""
    for first in range(begin, finish, tile):
        end = first + tile
        here = slice(first * slots, end * slots)
        out = stopped[here]
        is_stopped = _greatest(out) > 0
        _count_slots(is_stopped, out, slots, expected[first:end])
        for kind in range(5):
            if roles[kind] < 0:
                value[kind] = fixed[kind]
                _copy(out, bad[kind])
        for step in range(order.shape[0] + 1):
            if step == basic:
                _to_factors(value, bad, factor, oxygen, is_o2_wet, is_low_spared)
                for kind in range(5):
                    is_lost[kind] = kind < FLOW and _differs(bad[kind], out)
            if step == order.shape[0]:
                break
            at = order[step]
            _fetch_row(raw[at], status[at], end * slots, (end + tile) * slots)
            kind, need, to = kinds[at], needs[at], load_row[at]
            row, bad_row, states = value[kind], bad[kind], status[at, here]
            is_bad = is_stopped or _greatest(states) > worst
            if is_bad:
                _mark(states, worst, out, bad_row)
            else:
                bad_row[:] = 0
            _count_slots(is_bad, bad_row, slots, own[at, first:end])
            if kind < FLOW or not need & (NEEDS_T | NEEDS_P | NEEDS_H2O):
                _read(raw[at, here], lines[at], row)
            elif kind == FLOW:
                _read(raw[at, here], lines[at], row)
                _to_normal_flow(need, value, bad)
            else:
                t = factor[T] if need & NEEDS_T else factor[_ONE]
                p = factor[P] if need & NEEDS_P else factor[_ONE]
                h2o = factor[H2O] if need & NEEDS_H2O else factor[_ONE]
                _read_converted(raw[at, here], lines[at], t, p, h2o, row)
            if kind == FLOW:
                is_lost[FLOW] = _differs(bad_row, out)
            elif kind == _OTHER:
                for other in range(FLOW):
                    if is_lost[other] and need & (1 << other):
                        _join(bad_row, bad[other])
                if to >= 0 or need & NEEDS_O2:
                    _to_load(row, value[FLOW], factor[O2] if need & NEEDS_O2 else factor[_ONE], value[_LOAD])
            sum_row(row, bad_row, _NONE, slots, lanes, n[at, first:end], sums_of(sums, at, first, end))
            if to >= 0:
                if is_lost[FLOW]:
                    _join(bad_row, bad[FLOW])
                sum_row(value[_LOAD], bad_row, _NONE, slots, lanes, load_n[to, first:end], (load[to, first:end],))


_CHAIN = (
    "void({kind}[:, ::1], uint8[:, ::1], uint8[::1], uint8, int64, float64[:, ::1], uint8[::1], int64[::1],"
    " float64[::1], float64[::1], boolean, boolean, int64[::1], int32[::1], int32[:, ::1], int32[:, ::1],"
    " float64[:, :, ::1], int32[:, ::1], float64[:, ::1])"
)


@compiled(_CHAIN.format(kind="float32"), _CHAIN.format(kind="float64"))
def run_chain(
    raw: Any,
    status: Any,
    stopped: Any,
    worst: Any,
    slots: Any,
    lines: Any,
    needs: Any,
    roles: Any,
    fixed: Any,
    oxygen: Any,
    is_o2_wet: Any,
    is_low_spared: Any,
    load_of: Any,
    expected: Any,
    own: Any,
    n: Any,
    sums: Any,
    load_n: Any,
    load: Any,
) -> None:
    """The whole chain of a plant, slots to minutes, every slot converted by itself (rules "FLD"); EVIDENCE.md 3.

    `raw`, `status` (channels, minutes * slots), `stopped` (minutes * slots): 1 where the plant's state is not reported.
    `lines` (channels, 4): scale, offset, a, b. `needs` (channels): bits. `roles` (5): channel of T degC, p kPa, H2O
    vol-%, O2 vol-%, flow m3/h, -1 for the value in `fixed` (5). `oxygen`: air, reference, clamp, invalid from.
    `load_of`: channels whose load mg/h = concentration (before oxygen) * flow is summed. Results: `expected` (minutes),
    slots that count by themselves `own` and with what they need `n` (channels, minutes), `sums` (4, channels, minutes)
    as in sum_minutes, `load_n`, `load` (len(load_of), minutes).
    """
    order = _order(n.shape[0], roles, load_of)
    minutes, lanes, is_lost = n.shape[1], np.empty(LANES), np.zeros(5, np.bool_)
    whole = minutes - minutes % TILE
    for begin, finish, tile in ((0, whole, TILE), (whole, minutes, minutes - whole)):
        if begin < finish:
            rows = _scratch(tile * slots)
            inputs = (raw, status, stopped, worst, slots, lines, needs, roles, fixed, oxygen, is_o2_wet, is_low_spared)
            results = (expected, own, n, sums, load_n, load)
            _run_tiles(begin, finish, tile, *rows, lanes, is_lost, *order, *inputs, *results)
