"""What was done to the line and when, one JSON object a line: starts, deaths, kills, stops (reference: reliability 9).

Written by the demo itself, at once and in order; `t_utc_ns` is the host's clock, so it compares with the plant's log.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Events:
    """The file, kept open. `write` returns the time that it wrote."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, event: str, part: str, **more: Any) -> int:
        now_ns = time.time_ns()
        self._file.write(json.dumps({"t_utc_ns": now_ns, "event": event, "part": part} | more) + "\n")
        return now_ns

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Start:
    """One start of a module: from when on its requests can be. `boot` None: it died before its boot was durable."""

    t_utc_ns: int
    boot: int | None = None
