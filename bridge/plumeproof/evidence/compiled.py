"""Kernels compiled for stated signatures at import, from numba's cache where it has them (DESIGN.md decision 12).

A cache folder that cannot be written, or a full disk, costs the compilation at every start, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numba
from numba.core.runtime.nrt import rtsys


def compile_now(
    function: Callable[..., Any], signatures: Sequence[str], options: Mapping[str, Any]
) -> Callable[..., Any]:
    """For these signatures and no others."""
    try:
        return _compile(function, signatures, options, has_cache=True)
    except (RuntimeError, OSError):
        # numba says RuntimeError where no cache folder can be written, and lets a full disk through as it is.
        return _compile(function, signatures, options, has_cache=False)


def _compile(
    function: Callable[..., Any], signatures: Sequence[str], options: Mapping[str, Any], has_cache: bool
) -> Callable[..., Any]:
    dispatcher: Any = numba.njit(cache=has_cache, **options)(function)
    if not hasattr(dispatcher, "compile"):  # NUMBA_DISABLE_JIT: the interpreter runs it as it stands
        return function
    if has_cache:
        _load_lightly(dispatcher)
    for signature in signatures:
        dispatcher.compile(signature)
    dispatcher.disable_compile()
    found: Callable[..., Any] = dispatcher
    return found


def _load_lightly(dispatcher: Any) -> None:
    """Before it looks into its cache, numba imports all that a compilation may need: 0.1 s of a start in which nothing
    is compiled. Of that only the runtime's symbols are wanted here; a compilation does the whole by itself (numba 0.68,
    core/compiler.py). Another numba that has other inner names takes the long way."""
    cache: Any = getattr(dispatcher, "_cache", None)
    whole = getattr(cache, "load_overload", None)
    if whole is None:
        return

    def load(signature: Any, context: Any) -> Any:
        with _unrefreshed(context):
            return whole(signature, context)

    cache.load_overload = load


@contextmanager
def _unrefreshed(context: Any) -> Iterator[None]:
    """Under numba's compiler lock, which whoever loads or compiles holds."""
    initialize: Any = rtsys.initialize
    context.refresh = lambda: initialize(context)
    try:
        yield
    finally:
        del context.refresh
