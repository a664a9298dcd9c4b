"""Gives the compiler's code back to the system once the kernels are there (Linux; elsewhere nothing is done).

Importing numba maps the code of LLVM, and reading the kernels from their cache touches 50 MB of it, which then count
as this process' memory although nothing needs them again. Only executable pages are given up, which are the file's own
and never written: should something be compiled after all, they are read again.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from pathlib import Path

LIBRARY = "libllvmlite"
MAPS = Path("/proc/self/maps")
_DONTNEED = 4  # MADV_DONTNEED of madvise(2)

_log = logging.getLogger(__name__)


def give_back() -> int:
    """How many bytes of code were given up."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        lines = MAPS.read_text().splitlines()
    except OSError as error:
        _log.debug("kept error=%r", str(error))  # only memory is lost, here and below
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    given = 0
    for line in lines:
        place, rights, *_, name = line.split(maxsplit=5)
        if LIBRARY not in name or rights != "r-xp":
            continue
        first, end = (int(part, 16) for part in place.split("-"))
        if madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _DONTNEED):
            _log.debug("kept errno=%d", ctypes.get_errno())
            continue
        given += end - first
    return given
