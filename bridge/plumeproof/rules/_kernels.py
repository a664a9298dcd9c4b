"""Slots to minutes, compiled by numba for the speed of years (EVIDENCE.md section 3).

Same order of summation as `evidence/_kernels.py`, "lanes20-v1", and the same bits. Rows are channels, minutes run along
them. `status` decides what counts, never a NaN: a slot counts when its status is at most `worst` (ranks of
rules/status.py). Values that count are finite; what stands at other places is never looked at.
No kernel takes the interpreter's lock, none starts a thread, and no result depends on where a caller cuts minutes or
channels. Everything is compiled at import and kept in numba's cache; a cache folder that cannot be written costs the
compilation at every start, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from plumeproof.evidence.compiled import compile_now
from plumeproof.rules._vectors import (
    F32,
    F64,
    GROUP,
    I8,
    I32,
    I64,
    LANES,
    SLOTS,
    Minutes,
    Slots,
    fold,
    load,
    merge_four,
    spread,
    sum_four,
    sum_one,
)

ORDER = "lanes20-v1"
# numba's cache asks for the age of this file only: a test sees to it that other vectors come with another line here.
VECTORS_SHA256 = "a3bf2e5634689c16"

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": False, "boundscheck": False}
Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
# Without counting references to arrays, which takes longer than the loops of a tile. What is inner allocates
# nothing, and gives no array to a function that does count.
_INNER: dict[str, Any] = {**OPTIONS, "_nrt": False}
inner: Decorator = numba.njit(**_INNER)
# Written out where it is called: a call hands over every field of every array, which takes longer than a group's sums,
# and what is compiled by itself is compiled again with all that calls it.
in_place: Decorator = numba.njit(**_INNER, inline="always")
_built: Decorator = intrinsic
_built_for: Decorator = intrinsic(prefer_literal=True)
_unpack: Callable[..., Any] = cgutils.unpack_tuple
_declare: Callable[..., Any] = cgutils.get_or_insert_function


def compiled(*signatures: str) -> Decorator:
    """Compile for these signatures now."""
    return lambda function: compile_now(function, signatures, _INNER)


def pointers(context: Any, b: Any, signature: Any, arguments: Sequence[Any], *which: int) -> list[Any]:
    return [context.make_array(signature.args[i])(context, b, arguments[i]).data for i in which]


def kind_of(signature: Any) -> Any:
    return F32 if signature.args[0].dtype == types.float32 else F64


@_built
def _minutes(typing_context: Any, values: Any, status: Any, worst: Any, first: Any, sums: Any) -> Any:
    """Sum the four minutes from `first` of a row into `sums` (1 or 4 rows of minutes), if every slot counts; if so."""

    def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        start = b.mul(arguments[3], ir.Constant(I64, SLOTS))
        value, state = (b.gep(data, [start]) for data in pointers(context, b, signature, arguments, 0, 1))
        worst_of_all = fold(
            b,
            [load(b, state, place, I8, 64, 1) for place in (0, 64, 128, SLOTS * GROUP - 64)],
            lambda b, one, other: b.select(b.icmp_unsigned(">", one, other), one, other),
        )
        is_over = b.bitcast(b.icmp_unsigned(">", worst_of_all, spread(b, arguments[2], 64)), I64)
        is_whole = b.icmp_unsigned("==", is_over, ir.Constant(I64, 0))
        with b.if_then(is_whole, likely=True):
            found = sum_four(b, Slots(b, value, kind_of(signature)), sums.count > 1)
            for vector, row in zip(found, _unpack(b, arguments[4]), strict=True):
                data = context.make_array(sums.dtype)(context, b, row).data
                at = b.bitcast(b.gep(data, [arguments[3]]), ir.VectorType(F64, GROUP).as_pointer())
                b.store(vector, at, align=8)
        return is_whole

    return types.boolean(values, status, types.uint8, types.int64, sums), build


@_built
def _minute(typing_context: Any, values: Any, status: Any, worst: Any, at: Any, sums: Any) -> Any:
    """Sum one minute of a row into `sums`; how many slots count. Nothing counts: zeros."""

    def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        start = b.mul(arguments[3], ir.Constant(I64, SLOTS))
        value, state = (b.gep(data, [start]) for data in pointers(context, b, signature, arguments, 0, 1))
        limit = spread(b, arguments[2], 32)
        bits = [
            b.bitcast(b.icmp_unsigned("<=", load(b, state, place, I8, 32, 1), limit), I32) for place in (0, SLOTS - 32)
        ]
        # The second vector begins 28 slots in: four of its slots are counted already.
        n = b.zext(b.add(b.ctpop(bits[0]), b.ctpop(b.lshr(bits[1], ir.Constant(I32, 4)))), I64)
        rows = _unpack(b, arguments[4])
        places = [b.gep(context.make_array(sums.dtype)(context, b, row).data, [arguments[3]]) for row in rows]
        with b.if_else(b.icmp_unsigned("==", n, ir.Constant(I64, 0))) as (none, some):
            with none:
                for place in places:
                    b.store(ir.Constant(F64, 0.0), place)
            with some:
                slots = Slots(b, value, kind_of(signature))
                found = sum_one(b, slots, state, arguments[2], n, sums.count > 1)
                for number, place in zip(found, places, strict=True):
                    b.store(number, place)
        return n

    return types.int64(values, status, types.uint8, types.int64, sums), build


@_built_for
def merge(typing_context: Any, n_of: Any, sums_of: Any, first: Any, n: Any, sums: Any, at: Any, length: Any) -> Any:
    """Four intervals of `length` minutes (10, 30, 60) from minute `first` of a row, into `n` and `sums` from `at` on;
    `sums_of` and `sums`: a tuple of rows, (total, m2, low, high) or (total,)."""
    minutes = length.literal_value

    def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        def places(count_at: int, rows_at: int, place: Any) -> list[Any]:
            kind = signature.args[rows_at].dtype
            rows = [context.make_array(kind)(context, b, row).data for row in _unpack(b, arguments[rows_at])]
            return [b.gep(row, [place]) for row in (*pointers(context, b, signature, arguments, count_at), *rows)]

        found = merge_four(b, Minutes(b, places(0, 1, arguments[2]), minutes), sums.count > 1)
        for vector, place in zip(found, places(3, 4, arguments[5]), strict=True):
            b.store(vector, b.bitcast(place, vector.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(n_of, sums_of, types.int64, n, sums, types.int64, length), build


def _fetcher(is_written: bool) -> Callable[..., Any]:
    def fetch_line(typing_context: Any, row: Any, place: Any) -> Any:
        def build(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            (data,) = pointers(context, b, signature, arguments, 0)
            address = b.bitcast(b.gep(data, [arguments[1]]), ir.PointerType(I8))
            kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(I8), I32, I32, I32])
            call = _declare(b.module, kind, "llvm.prefetch.p0")
            cache = 3 if is_written else 2  # LLVM has an instruction of writing for the nearest only
            b.call(call, [address, *(ir.Constant(I32, number) for number in (int(is_written), cache, 1))])
            return context.get_dummy_value()

        return types.void(row, types.int64), build

    return fetch_line


# Ask for the cache line of an element that will be read, or written, soon; beyond the end it does nothing.
fetch = _built(_fetcher(False))
fetch_to_write = _built(_fetcher(True))


@inner
def tree_of(lanes: Any) -> Any:
    for width in (10, 5):
        for i in range(width):
            lanes[i] += lanes[width + i]
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + lanes[4]


@inner
def _sum_plainly(values: Any, status: Any, worst: Any, lanes: Any) -> Any:
    """One minute of any number of slots: n, (sum, m2, least, greatest)."""
    n = 0
    lanes[:] = 0.0
    low, high = np.inf, -np.inf
    for i in range(values.shape[0]):
        if status[i] <= worst:
            value = float(values[i])
            n += 1
            lanes[i % LANES] += value
            low = value if value < low else low
            high = value if value > high else high
    if n == 0:
        return 0, (0.0, 0.0, 0.0, 0.0)
    total = tree_of(lanes)
    mean = total / n
    lanes[:] = 0.0
    for i in range(values.shape[0]):
        if status[i] <= worst:
            away = values[i] - mean
            lanes[i % LANES] += away * away
    return n, (total, tree_of(lanes), low + 0.0, high + 0.0)


@inner
def sum_row(values: Any, status: Any, worst: Any, slots: Any, lanes: Any, n: Any, sums: Any) -> None:
    """Minutes of one row; `sums`: a tuple of rows, (total, m2, low, high) or (total,)."""
    minutes = n.shape[0]
    if slots != SLOTS:
        for at in range(minutes):
            part = slice(at * slots, at * slots + slots)
            n[at], found = _sum_plainly(values[part], status[part], worst, lanes)
            for i in range(len(sums)):
                sums[i][at] = found[i]
        return
    grouped = minutes - minutes % GROUP
    for first in range(0, grouped, GROUP):
        if _minutes(values, status, worst, first, sums):
            n[first : first + GROUP] = SLOTS
        else:
            for at in range(first, first + GROUP):
                n[at] = _minute(values, status, worst, at, sums)
    for at in range(grouped, minutes):
        n[at] = _minute(values, status, worst, at, sums)


@inner
def sums_of(sums: Any, row: Any, first: Any, end: Any) -> Any:
    return sums[0, row, first:end], sums[1, row, first:end], sums[2, row, first:end], sums[3, row, first:end]


@inner
def _sum_rows(values: Any, status: Any, worst: Any, slots: Any, lanes: Any, n: Any, sums: Any) -> None:
    for row in range(values.shape[0]):
        found = sums_of(sums, row, 0, n.shape[1])
        sum_row(values[row], status[row], worst, slots, lanes, n[row], found)


@compiled(
    *(
        f"void({kind}[:, ::1], uint8[:, ::1], uint8, int64, float64[::1], int32[:, ::1], float64[:, :, ::1])"
        for kind in ("float32", "float64")
    )
)
def _sum_minutes(values: Any, status: Any, worst: Any, slots: Any, lanes: Any, n: Any, sums: Any) -> None:
    """Allocates nothing: a kernel that does brings a part of numba's compiler with it from the cache."""
    _sum_rows(values, status, worst, slots, lanes, n, sums)


def sum_minutes(values: Any, status: Any, worst: Any, slots: Any, n: Any, sums: Any) -> None:
    """One level: of every minute how many slots count, sum, squared deviations from the mean, least, greatest.

    `values`, `status` (rows, minutes * slots); `n` (rows, minutes), `sums` (4, rows, minutes): total, m2, low, high.
    A minute without any keeps 0.
    """
    _sum_minutes(values, status, worst, slots, np.empty(LANES), n, sums)
