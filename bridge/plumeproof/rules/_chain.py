"""The chain of conversions of a plant, slot by slot, compiled by numba (EVIDENCE.md section 3; averaging-rules 4).

What is measured becomes a concentration at reference conditions, a flow of dry normal gas and a load, and is summed to
minutes in the order of `_kernels.py`. Minutes are gone through in tiles of TILE: first the peripherals of a tile, whose
factors stay near, then every other channel, GROUP minutes at a time from raw value to sums in vectors. Each tile begins
elsewhere in memory, which the processor does not guess: what is next is asked for a tile ahead, by little and little
(without it the chain takes three times as long). Only + - * /, in the order of EVIDENCE.md. Impossible peripherals
(p = 0, H2O = 100, O2 at or above air) make a slot that needs them not count, whatever number stands there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from plumeproof.rules._kernels import (
    Decorator,
    compiled,
    fetch,
    fetch_to_write,
    in_place,
    inner,
    kind_of,
    pointers,
    sum_row,
    sums_of,
)
from plumeproof.rules._peripherals import (
    FLOW,
    NEEDS_H2O,
    NEEDS_O2,
    NEEDS_P,
    NEEDS_T,
    NONE,
    O2,
    count_slots,
    find_lost,
    is_over,
    join,
    mark,
    peripheral,
    read,
    to_dry_flow,
    to_factors,
    to_gain,
)
from plumeproof.rules._vectors import GROUP, I32, I64, LANES, SLOTS, Conversion, Slots, convert_four

# numba's cache asks for the age of this file only: a test sees to it that others of these come with other lines.
KERNELS_SHA256 = "132f1f1c7cf0f6d1"
PERIPHERALS_SHA256 = "e9ac78b46af05230"

TILE = 16  # minutes; 90 tiles a day
_TO_DRY = NEEDS_T | NEEDS_P | NEEDS_H2O
_built: Decorator = intrinsic(prefer_literal=True)
_unpack: Callable[..., Any] = cgutils.unpack_tuple
_OTHER = 5
_LINE = 8  # float64 of a cache line


def _rows(count: int, width: int) -> Any:
    """Rows of float64 that begin with a cache line: loads that touch two take twice as long."""
    wide = (width + _LINE - 1) // _LINE * _LINE
    flat = np.empty(count * wide + _LINE)
    skip = (-flat.ctypes.data % (8 * _LINE)) // 8
    return flat[skip : skip + count * wide].reshape(count, wide)


@_built
def _convert(
    typing_context: Any, raw: Any, line: Any, gain: Any, o2: Any, flow: Any, raw_at: Any, at: Any, marks: Any,
    load_marks: Any, is_zeroed: Any, n: Any, sums: Any, load_n: Any, load: Any, kinds: Any,
) -> Any:  # fmt: skip
    """Four minutes of a channel from slot `raw_at` of its row; `at`: their first slot in `gain`, `o2` and `flow`.

    `n`, `sums` (four rows), `load_n`, `load`: where the results stand. `kinds`: what is compiled: 1 for marks, 2 for a
    load, 4 for a scale and an offset.
    """
    kind = kinds.literal_value

    def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        rows = pointers(context, b, signature, arguments, 0, 1, 2, 3, 4, 7, 8)
        start = b.gep(rows[0], [arguments[5]])
        factors = tuple(b.gep(row, [arguments[6]]) for row in rows[2:5])
        scale, offset, first, slope = (b.load(b.gep(rows[1], [ir.Constant(I64, i)])) for i in range(4))
        numbers = (scale, offset, first, slope) if kind & 4 else (None, None, first, slope)
        is_bad = (rows[5], rows[6], arguments[9]) if kind & 1 else (None, None, None)
        slots = Slots(b, start, kind_of(signature))
        conversion = Conversion(b, slots, numbers, factors, is_bad)
        found, of_load = convert_four(b, conversion, bool(kind & 2))
        count, *numbers_of = found
        places = pointers(context, b, signature, arguments, 10, 12, 13)
        own = [context.make_array(sums.dtype)(context, b, row).data for row in _unpack(b, arguments[11])]
        whole = ir.Constant(ir.VectorType(I32, GROUP), [SLOTS] * GROUP)
        results = [(places[0], whole if count is None else count), *zip(own, numbers_of, strict=True)]
        if of_load:
            results += [(places[1], whole if of_load[0] is None else of_load[0]), (places[2], of_load[1])]
        for place, vector in results:
            b.store(vector, b.bitcast(place, vector.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(*(
        raw, line, gain, o2, flow, types.int64, types.int64, marks, load_marks, types.boolean, n, sums,
        load_n, load, kinds,
    )), build  # fmt: skip


@inner
def _fetch(raw: Any, status: Any, place: Any, width: Any) -> None:
    """The next tile's slots of this channel, by little and little: the processor cannot guess where they begin."""
    for i in range(place, place + width, 16):
        fetch(raw, i)
    for i in range(place, place + width, 64):
        fetch(status, i)


@inner
def _fetch_results(counts: Any, sums: Any, place: Any) -> None:
    """Where the next tile's results will stand: int32 and float64."""
    for i in range(place, place + TILE, 2 * _LINE):
        for row in range(len(counts)):
            fetch_to_write(counts[row], i)
    for i in range(place, place + TILE, _LINE):
        for row in range(len(sums)):
            fetch_to_write(sums[row], i)


def _kinds_of(channels: int, roles: Any, needs: Any, load_of: Any) -> Any:
    """What each channel is, the row of its load or -1, which gains are needed, and whose next slots are asked for
    together: a peripheral's with those of a concentration, little by little, or its own alone."""
    kinds, load_row, partner = np.full(channels, _OTHER), np.full(channels, -1), np.arange(channels)
    is_wanted = np.zeros(8, np.bool_)
    for kind, at in enumerate(roles):
        if at >= 0:
            kinds[at] = kind
    load_row[load_of] = np.arange(len(load_of))
    is_wanted[needs[kinds >= FLOW] & _TO_DRY] = True
    for at, other in zip(np.flatnonzero(kinds == _OTHER), roles[roles >= 0], strict=False):
        partner[at], partner[other] = other, at
    return kinds, load_row, is_wanted, partner


@inner
def _convert_plainly(
    raw: Any, line: Any, gain: Any, o2: Any, flow: Any, slots: Any, marks: Any, load_marks: Any, is_zeroed: Any,
    rows: Any, lanes: Any, n: Any, sums: Any, load_n: Any, load: Any, has_load: Any,
) -> None:  # fmt: skip
    """The same as `_convert` for any number of minutes and slots, step by step."""
    row, product = rows[0, : raw.shape[0]], rows[1, : raw.shape[0]]
    read(raw, line, row)
    for i in range(row.shape[0]):
        row[i] = row[i] * gain[i]
    if has_load:
        for i in range(row.shape[0]):
            product[i] = 0.0 if is_zeroed and (row[i] < 0.0 or flow[i] < 0.0) else row[i] * flow[i]
        sum_row(product, load_marks, NONE, slots, lanes, load_n, (load,))
    for i in range(row.shape[0]):
        row[i] = row[i] * o2[i]
    sum_row(row, marks, NONE, slots, lanes, n, sums)


@in_place
def _other(
    need: Any, at: Any, to: Any, first: Any, end: Any, raw: Any, status: Any, stopped: Any, is_stopped: Any,
    worst: Any, slots: Any, line: Any, flow: Any, o2: Any, gain: Any, bad: Any, is_lost: Any, is_zeroed: Any,
    rows: Any, marks_of: Any, lanes: Any, own: Any, n_of: Any, sums: Any, load_n_of: Any, load_of: Any,
    other_raw: Any, other_status: Any, has_other: Any,
) -> None:  # fmt: skip
    """A tile of a concentration, group by group: to the dry normal state, its load, to reference oxygen, sums."""
    ahead = (end - first) * slots
    has_scale, has_load = line[0] != 1.0 or line[1] != 0.0, to >= 0
    load_row = max(to, 0)
    for begin in range(first, end, GROUP):
        stop = min(begin + GROUP, end)
        place, inside, width = begin * slots, (begin - first) * slots, (stop - begin) * slots
        states, marks, load_marks = status[place : place + width], marks_of[0, :width], marks_of[1, :width]
        group = (begin - first) // GROUP
        is_short = False
        for kind in range(FLOW):
            is_short |= is_lost[kind, group] and need & (1 << kind) != 0
        is_load_short = has_load and is_lost[FLOW, group]
        is_bad = is_stopped or is_over(states, worst)
        if is_bad or is_short or is_load_short:
            if is_bad:
                mark(states, worst, stopped[place : place + width], marks)
                count_slots(marks, slots, own[begin:stop])
            else:
                marks[:] = 0
                own[begin:stop] = slots
            if is_short:
                for kind in range(FLOW):
                    if is_lost[kind, group] and need & (1 << kind):
                        join(marks, bad[kind, inside : inside + width])
            if has_load:
                load_marks[:] = 0
                join(load_marks, marks)
                join(load_marks, bad[FLOW, inside : inside + width])
            is_whole = False
        else:
            own[begin:stop] = slots
            is_whole = True
        n, found = (
            n_of[begin:stop],
            (sums[0][begin:stop], sums[1][begin:stop], sums[2][begin:stop], sums[3][begin:stop]),
        )
        load_n, load = load_n_of[load_row, begin:stop], load_of[load_row, begin:stop]
        if slots != SLOTS or width != GROUP * SLOTS:
            if is_whole:
                marks[:] = 0
                load_marks[:] = 0
            within = slice(inside, inside + width)
            _convert_plainly(
                raw[place : place + width], line, gain[within], o2[within], flow[within], slots, marks, load_marks,
                is_zeroed, rows, lanes, n, found, load_n, load, has_load,
            )  # fmt: skip
        elif is_whole and has_load and not has_scale and not is_zeroed:
            _convert(
                raw, line, gain, o2, flow, place, inside, marks_of[0, :], marks_of[1, :], is_zeroed,
                n, found, load_n, load, 2
            )  # fmt: skip
        elif is_whole and not has_load and not has_scale:
            _convert(
                raw, line, gain, o2, flow, place, inside, marks_of[0, :], marks_of[1, :], is_zeroed,
                n, found, load_n, load, 0
            )  # fmt: skip
        elif has_load:
            if is_whole:
                marks[:] = 0
                load_marks[:] = 0
            _convert(
                raw, line, gain, o2, flow, place, inside, marks_of[0, :], marks_of[1, :], is_zeroed,
                n, found, load_n, load, 7
            )  # fmt: skip
        else:
            if is_whole:
                marks[:] = 0
            _convert(
                raw, line, gain, o2, flow, place, inside, marks_of[0, :], marks_of[1, :], is_zeroed,
                n, found, load_n, load, 5
            )  # fmt: skip
        _fetch(raw, status, place + ahead, width)
        if has_other:
            _fetch(other_raw, other_status, place + ahead, width)


def _run_tiles(
    begin: Any, end: Any, value: Any, factor: Any, gain: Any, rows: Any, bad: Any, marks: Any, lanes: Any,
    is_lost: Any, kinds: Any, load_row: Any, is_wanted: Any, partner: Any, raw: Any, status: Any, stopped: Any,
    worst: Any, slots: Any, lines: Any, needs: Any, roles: Any, fixed: Any, setting: Any, is_o2_wet: Any,
    is_low_spared: Any, is_zeroed: Any, expected: Any, own: Any, n: Any, sums: Any, load_n: Any, load: Any,
) -> None:  # fmt: skip
    """`is_lost`: some slot of a peripheral in a group of the tile does not count."""
    flow_at = roles[FLOW]
    flow_need = needs[flow_at] & _TO_DRY if flow_at >= 0 else 0
    for first in range(begin, end, TILE):
        last = min(first + TILE, end)
        width = (last - first) * slots
        here = slice(first * slots, last * slots)
        out = stopped[here]
        is_stopped = is_over(out, NONE)
        for i in range(last * slots, last * slots + width, 64):
            fetch(stopped, i)
        if is_stopped:
            count_slots(out, slots, expected[first:last])
        else:
            expected[first:last] = slots
        for kind in range(_OTHER):
            at = roles[kind]
            if at < 0:
                value[kind, :width] = fixed[kind]
                bad[kind, :width] = 0
            else:
                peripheral(
                    kind, first, last, raw[at, here], status[at, here], out, is_stopped, worst, slots, lines[at],
                    value[kind, :width], bad[kind, :width], lanes, own[at, first:last], n[at, first:last],
                    sums_of(sums, at, first, last),
                )  # fmt: skip
                if partner[at] == at:
                    _fetch(raw[at], status[at], last * slots, width)
        to_factors(value, factor, bad, width, setting, is_o2_wet, is_low_spared)
        for need in range(1, is_wanted.shape[0]):
            if is_wanted[need]:
                to_gain(need, factor, gain[need, :width])
        for kind in range(_OTHER):
            if find_lost(bad[kind, :width], GROUP * slots, is_lost[kind]) and kind < O2 and flow_need & (1 << kind):
                join(bad[FLOW, :width], bad[kind, :width])
        if flow_at >= 0:
            if flow_need:
                to_dry_flow(value, gain[flow_need, :width], factor, bad, flow_need, setting[4])
                find_lost(bad[FLOW, :width], GROUP * slots, is_lost[FLOW])
            found = sums_of(sums, flow_at, first, last)
            flow_n = n[flow_at, first:last]
            sum_row(value[FLOW, :width], bad[FLOW, :width], NONE, slots, lanes, flow_n, found)
        kind = 0
        for at in range(kinds.shape[0]):
            found = (sums[0, at], sums[1, at], sums[2, at], sums[3, at])
            _fetch_results((own[at], n[at]), found, last)
            if kinds[at] == _OTHER:
                if load_row[at] >= 0:
                    _fetch_results((load_n[load_row[at]],), (load[load_row[at]],), last)
                need, also = needs[at], partner[at]
                o2 = factor[O2] if need & NEEDS_O2 else gain[0]
                _other(
                    need, at, load_row[at], first, last, raw[at], status[at], stopped, is_stopped, worst, slots,
                    lines[at], value[FLOW], o2, gain[need & _TO_DRY], bad, is_lost, is_zeroed, rows, marks, lanes,
                    own[at], n[at], found, load_n, load, raw[also], status[also], also != at,
                )  # fmt: skip


_CHAIN = (
    "void(int64, int64, float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], uint8[:, ::1],"
    " uint8[:, ::1], float64[::1], boolean[:, ::1], int64[::1], int64[::1], boolean[::1], int64[::1],"
    " {kind}[:, ::1], uint8[:, ::1], uint8[::1], uint8, int64, float64[:, ::1], uint8[::1], int64[::1],"
    " float64[::1], float64[::1], boolean, boolean, boolean, int32[::1], int32[:, ::1], int32[:, ::1],"
    " float64[:, :, ::1], int32[:, ::1], float64[:, ::1])"
)


@functools.cache
def kernel_for(kind: str) -> Callable[..., None]:
    """Compiled for values of one kind when the first of them come: nobody waits for the other."""
    return compiled(_CHAIN.format(kind=kind))(_run_tiles)


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
    setting: Any,
    is_o2_wet: Any,
    is_low_spared: Any,
    is_zeroed: Any,
    load_of: Any,
    begin: Any,
    end: Any,
    expected: Any,
    own: Any,
    n: Any,
    sums: Any,
    load_n: Any,
    load: Any,
) -> None:
    """The whole chain of a plant, slots to minutes, every slot converted by itself (rules "FLD"); EVIDENCE.md 3.

    Minutes `begin` to `end` of arrays that hold more: other threads may do the others. `raw`, `status` (channels,
    minutes * slots), `stopped` (minutes * slots): 1 where the plant's state is not reported. `lines` (channels, 4):
    scale, offset, a, b. `needs` (channels): bits. `roles` (5): channel of T degC, p kPa, H2O vol-%, O2 vol-%, flow
    m3/h, -1 for the value in `fixed` (5). `setting`: oxygen of air, reference, clamp, invalid from; 0 degC in K.
    `load_of`: channels whose load mg/h = concentration (before oxygen) * flow is summed. Results: `expected` (minutes),
    slots that count by themselves `own` and with what they need `n` (channels, minutes), `sums` (4, channels, minutes)
    as in sum_minutes, `load_n`, `load` (len(load_of), minutes).
    """
    kinds = _kinds_of(n.shape[0], roles, needs, load_of)
    width = min(TILE, max(end - begin, 1)) * slots
    value, factor, gain, rows = _rows(_OTHER, width), _rows(FLOW, width), _rows(8, width), _rows(2, GROUP * slots)
    bad, marks = np.zeros((_OTHER, width), np.uint8), np.zeros((2, GROUP * slots), np.uint8)
    gain[0] = 1.0  # multiplying by it changes no bit
    is_lost = np.zeros((_OTHER, TILE // GROUP), np.bool_)
    scratch = (value, factor, gain, rows, bad, marks, np.empty(LANES), is_lost)
    inputs = (raw, status, stopped, worst, slots, lines, needs, roles, fixed, setting)
    flags = (is_o2_wet, is_low_spared, is_zeroed)
    results = (expected, own, n, sums, load_n, load)
    kernel_for(raw.dtype.name)(begin, end, *scratch, *kinds, *inputs, *flags, *results)
