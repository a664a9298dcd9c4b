"""A file that is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when it is whole; what goes wrong before leaves nothing behind."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Power failing before this line leaves the .part file only, behind it the whole output.
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
