"""Rules on one number or on a year of them: floats in, a float out; arrays in, arrays out, by numpy's broadcasting.

A rule gives (value, exists): whether there is a result is said by a bool or a boolean array beside it, never by a NaN;
what does not exist holds 0.0. Only + - * / and sqrt, in the order that the rule's docstring writes, each step rounded
(numpy's float64 ufuncs are exactly that), so the same figures give the same bits on every machine.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Truths: TypeAlias = npt.NDArray[np.bool_]
Codes: TypeAlias = npt.NDArray[np.uint8]
Number: TypeAlias = float | Numbers
Count: TypeAlias = int | Integers
Truth: TypeAlias = bool | Truths


def as_numbers(value: Number) -> Numbers:
    """float64, whatever number type came."""
    return np.asarray(value, np.float64)


def give(result: npt.NDArray[Any]) -> Any:
    """A plain Python number where everything was scalar, the array itself otherwise."""
    return result.item() if result.ndim == 0 else result


def give_existing(value: npt.NDArray[Any], exists: npt.NDArray[Any]) -> tuple[Any, Any]:
    """(value, exists) of one shape: 0.0 where nothing exists, and nothing exists beyond what float64 can hold."""
    value, exists = np.broadcast_arrays(value, exists)
    exists = exists & np.isfinite(value)
    return give(np.where(exists, value, 0.0)), give(exists)


def finite(*values: Numbers) -> Truths:
    """Where all of them are numbers: no NaN, no infinity."""
    found = np.isfinite(values[0])
    for value in values[1:]:
        found = found & np.isfinite(value)
    return np.asarray(found)


def safe(value: Numbers, exists: Truths, instead: float = 1.0) -> Numbers:
    """`value`, with a harmless number where it must not be computed with: a guard before a division or a root."""
    return np.where(exists, value, instead)
