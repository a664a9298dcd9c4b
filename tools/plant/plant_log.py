"""The plant's own log: JSON lines, each handed to the operating system whole when its event has happened.

A process that dies leaves whole lines; close() syncs. What the lines hold: docstring of tools.plant.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class PlantLog:
    """Appends to `path`."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **fields: Any) -> None:
        """One line, stamped now."""
        entry = {"kind": kind, "t_utc_ns": time.time_ns()} | fields
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        while line:  # a full disk raises, a part is continued
            line = line[os.write(self._fd, line) :]

    def close(self) -> None:
        """Sync and close."""
        os.fsync(self._fd)
        os.close(self._fd)
