"""Members of columns: a deterministic CBOR map of tables and typed arrays, built and read in exactly one form.

Typed arrays are those of RFC 8746 (February 2020), little-endian; a float that is not there is the one quiet NaN. A
table holds what rows name by its number: ascending, nothing twice, nothing unused. What is read must give the same
bytes again, so whoever reads checks order and numbers and needs no other look at the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import cbor2
import numpy as np
import numpy.typing as npt

from plumeproof.errors import EvidenceError
from plumeproof.evidence.envelope import BUILT_IN_TAGS

MEMBER_MAX_BYTES = 64 * 1024 * 1024  # of a day: averages of 50 channels each second
TEXT_MAX = 200  # characters
TABLE_MAX = 65_536  # entries of a table whose numbers have 16 bits
NO_FLOAT = 0x7FF8_0000_0000_0000  # bits of the NaN that says "none"
DEPTH_MAX = 5
TAGS = {"|u1": 64, "<u2": 69, "<u4": 70, "<i8": 79, "<f8": 86}  # RFC 8746 section 2.1
_DTYPES = {tag: dtype for dtype, tag in TAGS.items()}

Array = npt.NDArray[Any]
Truths = npt.NDArray[np.bool_]


def dump(tables: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a member; every array already has its type."""
    tagged = {name: cbor2.CBORTag(TAGS[one.dtype.str], one.tobytes()) for name, one in arrays.items()}
    return cbor2.dumps({**tables, **tagged}, canonical=True)


class _NoArray(ValueError):
    """A tag that is no typed array of a bundle."""


def _refuse_tag(*_arguments: object) -> NoReturn:
    raise _NoArray


def _array(tag: cbor2.CBORTag, *_arguments: object) -> Array:
    dtype = _DTYPES.get(tag.tag)
    if dtype is None or not isinstance(tag.value, bytes):
        raise _NoArray
    return np.frombuffer(tag.value, dtype)


def load(raw: bytes, tables: Sequence[str], arrays: Mapping[str, str]) -> dict[str, Any]:
    """The map, its arrays of the types that `arrays` says. Raises EvidenceError (form), which names the field."""
    try:
        tree = cbor2.loads(
            raw,
            tag_hook=_array,
            semantic_decoders=dict.fromkeys(BUILT_IN_TAGS, _refuse_tag),
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise fault("map", f"not readable as CBOR: {type(error).__name__}") from error
    if not isinstance(tree, dict) or tree.keys() != {*arrays, *tables}:
        raise fault("map", "has other keys than such a member has")
    for name, dtype in arrays.items():
        if not isinstance(tree[name], np.ndarray) or tree[name].dtype.str != dtype:
            raise fault(name, f"is no array of {dtype}")
    for name in tables:
        if isinstance(tree[name], np.ndarray):
            raise fault(name, "is an array")
    return tree


def fault(field: str, detail: str) -> EvidenceError:
    """What is wrong with a field."""
    return EvidenceError("form", f"{field}: {detail}")


def refuse(wrong: Truths, field: str, detail: str) -> None:
    """Raises EvidenceError for the first entry that is wrong."""
    if wrong.any():
        raise fault(field, f"entry {int(np.argmax(wrong))} {detail}")


def numbered(entries: Sequence[Any], key: Any = None) -> tuple[tuple[Any, ...], npt.NDArray[np.int64]]:
    """The table of what there is, and the number of each entry in it."""
    found = sorted(set(entries), key=key)
    at = {entry: number for number, entry in enumerate(found)}
    return tuple(found), np.fromiter(map(at.__getitem__, entries), np.int64, len(entries))


def check_ascending(entries: Sequence[Any], name: str) -> None:
    """Raises EvidenceError where one is not behind the one before it."""
    for number, (one, other) in enumerate(pairwise(entries)):
        if not one < other:
            raise fault(name, f"entry {number + 1} is not behind the one before it")


def check_use(columns: Mapping[str, Array], size: int, table: str) -> None:
    """Every number in these columns has its entry, and every entry is used. Raises EvidenceError."""
    used = np.zeros(size, np.bool_)
    for name, column in columns.items():
        refuse(column >= size, name, f"is no entry of {table}")
        used[column] = True
    refuse(~used, table, "is used by nothing")


def check_floats(arrays: Mapping[str, Array], names: Sequence[str]) -> None:
    """Numbers with a zero that has no sign, or the one NaN. Raises EvidenceError."""
    for name in names:
        bits = arrays[name].view(np.uint64)
        refuse(~np.isfinite(arrays[name]) & (bits != NO_FLOAT), name, "is no number and not the NaN that says so")
        refuse(bits == 1 << 63, name, "is a zero with a sign")
