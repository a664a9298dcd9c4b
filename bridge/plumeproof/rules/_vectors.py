"""The sums of a minute of 60 slots, put together from LLVM's vector operations (EVIDENCE.md section 3).

numba's own loops do not keep the 20 lanes of "lanes20-v1" in registers; here they are three vectors, (8, 8, 4) float64,
and four minutes go through the tree together. Only + - * / and comparisons of IEEE 754, each rounded, no fastmath flag
and no contraction: LLVM cuts the vectors to what a processor has, and every processor gets the same bits.

Functions take a builder `b`, which writes the operations down, and values of its kind; `_kernels.py` compiles them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

LANES = 20
SLOTS = 60  # of a minute: one a second
GROUP = 4  # minutes summed together

F32, F64 = ir.FloatType(), ir.DoubleType()
I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_PIECES = ((0, 8), (8, 8), (16, 4))  # 20 lanes as vectors: first lane, how many


def _shuffle(b: Any, one: Any, other: Any, places: Sequence[int]) -> Any:
    """Elements of two vectors, numbered through, in the order wanted."""
    return b.shuffle_vector(one, other, ir.Constant(ir.VectorType(I32, len(places)), list(places)))


def spread(b: Any, value: Any, count: int) -> Any:
    empty = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    return _shuffle(b, b.insert_element(empty, value, ir.Constant(I32, 0)), empty, [0] * count)


def _constant(kind: Any, count: int, value: float) -> Any:
    return ir.Constant(ir.VectorType(kind, count), [value] * count)


def load(b: Any, start: Any, place: int, kind: Any, count: int, align: int) -> Any:
    at = b.gep(start, [ir.Constant(I64, place)])
    return b.load(b.bitcast(at, ir.VectorType(kind, count).as_pointer()), align=align)


def _take(b: Any, vector: Any, place: int) -> Any:
    return b.extract_element(vector, ir.Constant(I32, place))


def _lesser(b: Any, one: Any, other: Any) -> Any:
    return b.select(b.fcmp_ordered("<", one, other), one, other)


def _greater(b: Any, one: Any, other: Any) -> Any:
    return b.select(b.fcmp_ordered(">", one, other), one, other)


def fold(b: Any, vectors: Sequence[Any], choose: Callable[..., Any]) -> Any:
    found = vectors[0]
    for vector in vectors[1:]:
        found = choose(b, found, vector)
    return found


def _ten(b: Any, lanes: Sequence[Any]) -> tuple[Any, Any]:
    """20 lanes, (8, 8, 4), to 10: lane i and lane i + 10. The first eight, and the last two."""
    low, middle, last = lanes
    wide = _shuffle(b, last, last, [0, 1, 2, 3, 0, 1, 2, 3])
    eight = b.fadd(low, _shuffle(b, middle, wide, range(2, 10)))
    return eight, b.fadd(_shuffle(b, middle, middle, [0, 1]), _shuffle(b, last, last, [2, 3]))


def _tree(b: Any, lanes: Sequence[Any]) -> Any:
    """The tree of lanes20-v1 for one minute: 20 lanes to 10, to 5, and these from the left but for the last."""
    eight, two = _ten(b, lanes)
    last = _shuffle(b, two, two, [0, 1, 0, 1, 0, 1, 0, 1])
    sums = b.fadd(eight, _shuffle(b, eight, last, range(5, 13)))  # the last three mean nothing
    five = [_take(b, sums, i) for i in range(5)]
    return b.fadd(b.fadd(b.fadd(five[0], five[1]), b.fadd(five[2], five[3])), five[4])


def _tree_of_four(b: Any, minutes: Sequence[Sequence[Any]]) -> Any:
    """The same for four minutes at once; one sum of each in a vector of four."""
    return _tree_of_tens(b, [_ten(b, lanes) for lanes in minutes])


def _tree_of_tens(b: Any, tens: Sequence[tuple[Any, Any]]) -> Any:
    even = [_shuffle(b, tens[i][0], tens[i + 1][0], [0, 8, 2, 10, 4, 12, 6, 14]) for i in (0, 2)]
    odd = [_shuffle(b, tens[i][0], tens[i + 1][0], [1, 9, 3, 11, 5, 13, 7, 15]) for i in (0, 2)]
    pairs = [_shuffle(b, tens[i][1], tens[i + 1][1], [0, 2, 1, 3]) for i in (0, 2)]
    first, second = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
    # Each holds numbers i and i + 4 of the ten, of all four minutes.
    by_four = [_shuffle(b, one, other, places) for places in (first, second) for one, other in (even, odd)]
    ten = [_shuffle(b, both, both, half) for half in (range(4), range(4, 8)) for both in by_four]
    ten += [_shuffle(b, pairs[0], pairs[1], places) for places in ([0, 1, 4, 5], [2, 3, 6, 7])]
    five = [b.fadd(ten[i], ten[i + 5]) for i in range(5)]
    return b.fadd(b.fadd(b.fadd(five[0], five[1]), b.fadd(five[2], five[3])), five[4])


def _best_of_four(b: Any, vectors: Sequence[Any], choose: Callable[..., Any]) -> Any:
    """Least or greatest of each of four vectors, in a vector of four."""
    while len(vectors) > 1:
        width = vectors[0].type.count * len(vectors) // 4  # elements of one minute
        keep = [i for i in range(vectors[0].type.count * 2) if i % width < width // 2]
        vectors = [
            choose(b, _shuffle(b, one, other, keep), _shuffle(b, one, other, [i + width // 2 for i in keep]))
            for one, other in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    vector = vectors[0]
    count = vector.type.count
    step = count // 4
    while step > 1:
        step //= 2
        vector = choose(b, vector, _shuffle(b, vector, vector, [i ^ step for i in range(count)]))
    return _shuffle(b, vector, vector, range(0, count, count // 4))


class Slots:
    """The slots of the minutes behind one place of a row: values as float64 by lanes, and as they are for extremes."""

    def __init__(self, b: Any, values: Any, kind: Any) -> None:
        self.b, self.values, self.kind = b, values, kind
        self.align = 4 if kind == F32 else 8
        self.width = 16 if kind == F32 else 8
        # The last vector overlaps the one before: least and greatest do not mind.
        self.places = (*range(0, SLOTS - self.width, self.width), SLOTS - self.width)

    def lanes(self, minute: int, row: int) -> list[Any]:
        """Slots 20 * row to 20 * row + 19 of a minute, as float64."""
        found = [
            load(self.b, self.values, SLOTS * minute + LANES * row + first, self.kind, count, self.align)
            for first, count in _PIECES
        ]
        if self.kind == F64:
            return found
        return [self.b.fpext(piece, ir.VectorType(F64, piece.type.count)) for piece in found]

    def as_they_are(self, minute: int) -> list[Any]:
        """All slots of a minute in vectors as wide as can be: float32 is compared as float32, which is the same."""
        return [
            load(self.b, self.values, SLOTS * minute + place, self.kind, self.width, self.align)
            for place in self.places
        ]

    def as_float64(self, extremes: Any) -> Any:
        if self.kind == F64:
            return extremes
        is_vector = isinstance(extremes.type, ir.VectorType)
        return self.b.fpext(extremes, ir.VectorType(F64, 4) if is_vector else F64)


def _add_rows(b: Any, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Three times 20 slots into 20 lanes. Beginning with 0.0, as the order says, would change the sign of a zero at
    most, and that is set behind the tree."""
    return [b.fadd(b.fadd(one, two), three) for one, two, three in zip(*rows, strict=True)]


def sum_four(b: Any, slots: Slots, has_spread: bool) -> list[Any]:
    """Four minutes in which every slot counts: sums, and with `has_spread` m2, least, greatest; vectors of four."""
    zero = _constant(F64, 4, 0.0)
    minutes = range(GROUP)
    total = b.fadd(_tree_of_four(b, [_add_rows(b, [slots.lanes(at, row) for row in range(3)]) for at in minutes]), zero)
    if not has_spread:
        return [total]
    mean = b.fdiv(total, _constant(F64, 4, float(SLOTS)))
    low, high = (
        slots.as_float64(_best_of_four(b, [fold(b, slots.as_they_are(at), choose) for at in minutes], choose))
        for choose in (_lesser, _greater)
    )
    squares = []
    for at in minutes:
        means = [spread(b, _take(b, mean, at), count) for _, count in _PIECES]
        rows = []
        for row in range(3):
            away = [b.fsub(piece, own) for piece, own in zip(slots.lanes(at, row), means, strict=True)]
            rows.append([b.fmul(piece, piece) for piece in away])
        squares.append(_add_rows(b, rows))
    return [total, _tree_of_four(b, squares), b.fadd(low, zero), b.fadd(high, zero)]


def sum_one(b: Any, slots: Slots, status: Any, worst: Any, n: Any, has_spread: bool) -> list[Any]:
    """One minute in which some slots count, `n` of them."""

    def counts(place: int, count: int) -> Any:
        return b.icmp_unsigned("<=", load(b, status, place, I8, count, 1), spread(b, worst, count))

    rows, masks = [], []
    for row in range(3):
        masks.append([counts(LANES * row + first, count) for first, count in _PIECES])
        pieces = zip(masks[-1], slots.lanes(0, row), strict=True)
        rows.append([b.select(mask, piece, _constant(F64, piece.type.count, 0.0)) for mask, piece in pieces])
    zero = ir.Constant(F64, 0.0)
    total = b.fadd(_tree(b, _add_rows(b, rows)), zero)
    if not has_spread:
        return [total]
    mean = b.fdiv(total, b.sitofp(n, F64))
    squares = []
    for mask_row, row_of in zip(masks, rows, strict=True):
        away = [
            b.select(mask, b.fsub(piece, spread(b, mean, piece.type.count)), _constant(F64, piece.type.count, 0.0))
            for mask, piece in zip(mask_row, row_of, strict=True)
        ]
        squares.append([b.fmul(piece, piece) for piece in away])
    found = [total, _tree(b, _add_rows(b, squares))]
    for choose, worse in ((_lesser, np.inf), (_greater, -np.inf)):
        none = _constant(slots.kind, slots.width, worse)
        pieces = zip(slots.places, slots.as_they_are(0), strict=True)
        vector = fold(b, [b.select(counts(place, slots.width), piece, none) for place, piece in pieces], choose)
        while vector.type.count > 1:
            half = vector.type.count // 2
            vector = choose(
                b, _shuffle(b, vector, vector, range(half)), _shuffle(b, vector, vector, range(half, 2 * half))
            )
        found.append(b.fadd(slots.as_float64(_take(b, vector, 0)), zero))
    return found


class Conversion:
    """Four minutes of a channel: from what was measured to the dry normal state, its load, and reference oxygen.

    Pointers: `gain`, `o2`, `flow` to rows of float64 that begin with the first minute. `line`: scale, offset, a, b; the
    first two None where they change nothing. `marks` and `load_marks`: bytes that are 0 where a slot counts; None where
    all do. `is_zeroed`: a load is 0 where concentration or flow is below zero (with marks only).
    """

    def __init__(self, b: Any, slots: Slots, line: Sequence[Any], rows: Sequence[Any], marks: Sequence[Any]) -> None:
        self.b, self.slots, self.line = b, slots, line
        self.gain, self.o2, self.flow = rows
        self.marks, self.load_marks, self.is_zeroed = marks

    def _factor(self, row: Any, place: int, count: int) -> Any:
        return load(self.b, row, place, F64, count, 8)

    def _calibrated(self, piece: Any) -> Any:
        """a + b * (raw * scale + offset), each step rounded."""
        b, (scale, offset, first, slope) = self.b, self.line
        count = piece.type.count
        if scale is not None:
            piece = b.fadd(b.fmul(piece, spread(b, scale, count)), spread(b, offset, count))
        return b.fadd(spread(b, first, count), b.fmul(spread(b, slope, count), piece))

    def pieces(self, has_load: bool) -> tuple[list[Any], list[Any]]:
        """Of every minute three rows of 20 lanes: values, and loads."""
        b = self.b
        values, loads = [], []
        for minute in range(GROUP):
            for row in range(3):
                raw = self.slots.lanes(minute, row)
                own, own_load = [], []
                for (first, count), piece in zip(_PIECES, raw, strict=True):
                    place = SLOTS * minute + LANES * row + first
                    zero = _constant(F64, count, 0.0)
                    value = b.fmul(self._calibrated(piece), self._factor(self.gain, place, count))
                    if has_load:
                        flow = self._factor(self.flow, place, count)
                        product = b.fmul(value, flow)
                        if self.marks is not None:
                            is_below = b.or_(b.fcmp_ordered("<", value, zero), b.fcmp_ordered("<", flow, zero))
                            is_lost = b.or_(
                                b.and_(is_below, spread(b, self.is_zeroed, count)),
                                self.is_bad(self.load_marks, place, count),
                            )
                            product = b.select(is_lost, zero, product)
                        own_load.append(product)
                    value = b.fmul(value, self._factor(self.o2, place, count))
                    if self.marks is not None:
                        value = b.select(self.is_bad(self.marks, place, count), zero, value)
                    own.append(value)
                values.append(own)
                loads.append(own_load)
        return values, loads

    def is_bad(self, marks: Any, place: int, count: int) -> Any:
        return self.b.icmp_unsigned("!=", load(self.b, marks, place, I8, count, 1), _constant(I8, count, 0))


def _count(b: Any, marks: Any) -> Any:
    """Slots of each of four minutes whose mark is 0, in a vector of four int32."""
    found = ir.Constant(ir.VectorType(I32, GROUP), [0] * GROUP)
    for minute in range(GROUP):
        bits = [
            b.bitcast(
                b.icmp_unsigned("==", load(b, marks, SLOTS * minute + place, I8, 32, 1), _constant(I8, 32, 0)), I32
            )
            for place in (0, SLOTS - 32)
        ]
        n = b.add(b.ctpop(bits[0]), b.ctpop(b.lshr(bits[1], ir.Constant(I32, 4))))
        found = b.insert_element(found, n, ir.Constant(I32, minute))
    return found


def convert_four(b: Any, conversion: Conversion, has_load: bool) -> tuple[list[Any], list[Any]]:
    """Sums of four minutes: [n, total, m2, low, high] and [n of the load, load]; each n is None without marks."""
    zero = _constant(F64, GROUP, 0.0)
    values, loads = conversion.pieces(has_load)
    by_minute = [values[3 * at : 3 * at + 3] for at in range(GROUP)]
    total = b.fadd(_tree_of_four(b, [_add_rows(b, rows) for rows in by_minute]), zero)
    n = None if conversion.marks is None else _count(b, conversion.marks)
    number = _constant(F64, GROUP, float(SLOTS)) if n is None else b.sitofp(n, ir.VectorType(F64, GROUP))
    mean = b.fdiv(total, number)
    extremes = []
    for choose, worse in ((_lesser, np.inf), (_greater, -np.inf)):
        vectors = []
        for minute, rows in enumerate(by_minute):
            found = []
            for row, pieces in enumerate(rows):
                for (first, count), piece in zip(_PIECES, pieces, strict=True):
                    if n is not None:
                        place = SLOTS * minute + LANES * row + first
                        bad = conversion.is_bad(conversion.marks, place, count)
                        piece = b.select(bad, _constant(F64, count, worse), piece)
                    found.append(piece)
            wide = fold(b, [piece for piece in found if piece.type.count == 8], choose)
            narrow = fold(b, [piece for piece in found if piece.type.count == 4], choose)
            vectors.append(choose(b, wide, _shuffle(b, narrow, narrow, [0, 1, 2, 3, 0, 1, 2, 3])))
        extremes.append(_best_of_four(b, vectors, choose))
    squares = []
    for minute, rows in enumerate(by_minute):
        means = [spread(b, _take(b, mean, minute), count) for _, count in _PIECES]
        away_rows = []
        for row, pieces in enumerate(rows):
            away = [b.fsub(piece, own) for piece, own in zip(pieces, means, strict=True)]
            if n is not None:
                for i, (first, count) in enumerate(_PIECES):
                    bad = conversion.is_bad(conversion.marks, SLOTS * minute + LANES * row + first, count)
                    away[i] = b.select(bad, _constant(F64, count, 0.0), away[i])
            away_rows.append([b.fmul(piece, piece) for piece in away])
        squares.append(_add_rows(b, away_rows))
    results = [total, _tree_of_four(b, squares), b.fadd(extremes[0], zero), b.fadd(extremes[1], zero)]
    if n is not None:
        is_none = b.icmp_unsigned("==", n, ir.Constant(ir.VectorType(I32, GROUP), [0] * GROUP))
        results = [b.select(is_none, zero, result) for result in results]
    of_load = []
    if has_load:
        whole = b.fadd(_tree_of_four(b, [_add_rows(b, loads[3 * at : 3 * at + 3]) for at in range(GROUP)]), zero)
        of_load = [None if n is None else _count(b, conversion.load_marks), whole]
    return [n, *results], of_load


class Minutes:
    """The minutes of four intervals that follow each other: 10, 30 or 60 each, whole rows of 20 and then a half."""

    def __init__(self, b: Any, rows: Sequence[Any], length: int) -> None:
        """`rows`: pointers to n (int32) and total, and for more than those to m2, least, greatest."""
        self.b, self.rows, self.length = b, rows, length
        whole = [(row + first, count) for row in range(0, length - LANES + 1, LANES) for first, count in _PIECES]
        half = length - length % LANES
        self.places = whole + ([(half, 8), (half + 8, 2)] if length > half else [])

    def numbers(self, which: int, interval: int) -> list[Any]:
        """Of a row as float64, which holds every n."""
        places = [(self.length * interval + place, count) for place, count in self.places]
        if which:
            return [load(self.b, self.rows[which], place, F64, count, 8) for place, count in places]
        found = [load(self.b, self.rows[0], place, I32, count, 4) for place, count in places]
        return [self.b.sitofp(piece, ir.VectorType(F64, piece.type.count)) for piece in found]

    def ten(self, pieces: Sequence[Any]) -> tuple[Any, Any]:
        """The first sums of the tree."""
        b, whole = self.b, 3 * (self.length // LANES)
        lanes, half = list(pieces[:3]), pieces[whole:]
        if not whole:
            return half[0], half[1]
        for first in range(3, whole, 3):
            lanes = [b.fadd(one, other) for one, other in zip(lanes, pieces[first : first + 3], strict=True)]
        if half:
            eight = _shuffle(b, half[1], _constant(F64, 2, 0.0), [0, 1, 2, 2, 2, 2, 2, 2])
            lanes = [b.fadd(lanes[0], half[0]), b.fadd(lanes[1], eight), lanes[2]]
        return _ten(b, lanes)


def merge_four(b: Any, minutes: Minutes, has_spread: bool) -> list[Any]:
    """Sums of four intervals: n, total and with `has_spread` m2, least, greatest; vectors of four."""
    zero, intervals = _constant(F64, GROUP, 0.0), range(GROUP)
    counts, totals = ([minutes.numbers(which, at) for at in intervals] for which in (0, 1))
    n = _tree_of_tens(b, [minutes.ten(pieces) for pieces in counts])
    total = b.fadd(_tree_of_tens(b, [minutes.ten(pieces) for pieces in totals]), zero)
    whole = b.fptosi(n, ir.VectorType(I32, GROUP))
    if not has_spread:
        return [whole, total]
    is_some = [[b.fcmp_ordered(">", own, _constant(F64, own.type.count, 0.0)) for own in pieces] for pieces in counts]
    mean = b.fdiv(total, n)
    squares = []
    for at in intervals:
        terms = []
        for own, sum_of, square, has in zip(counts[at], totals[at], minutes.numbers(2, at), is_some[at], strict=True):
            away = b.fsub(b.fdiv(sum_of, own), spread(b, _take(b, mean, at), own.type.count))
            term = b.fadd(square, b.fmul(b.fmul(away, away), own))
            terms.append(b.select(has, term, _constant(F64, own.type.count, 0.0)))
        squares.append(minutes.ten(terms))
    found = [total, b.fadd(_tree_of_tens(b, squares), zero)]
    for which, choose, worse in ((3, _lesser, np.inf), (4, _greater, -np.inf)):
        vectors = []
        for at in intervals:
            pieces = zip(minutes.numbers(which, at), is_some[at], strict=True)
            own = [b.select(has, piece, _constant(F64, piece.type.count, worse)) for piece, has in pieces]
            wide = [_shuffle(b, piece, piece, [i % piece.type.count for i in range(8)]) for piece in own]
            vectors.append(fold(b, wide, choose))
        found.append(_best_of_four(b, vectors, choose))
    return [whole, *(b.select(b.fcmp_ordered("==", n, zero), zero, numbers) for numbers in found)]
