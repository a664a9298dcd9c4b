"""Logs, counters and health of the running bridge: three different things (reference: architecture B9).

Logs are for the person repairing it tonight: one line per event, `event key=value`. Health is what the pages and
`doctor` show: per part its state, the last error as a sentence, and counters. Evidence and audit are in the ledger.
"""

from __future__ import annotations

import logging
import platform
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from acqwire import WIRE_VERSION, WIRE_VERSION_OLDEST

STARTING = "starting"
UP = "up"
WAITING = "waiting"  # degraded but lossless: tries again by itself
DOWN = "down"  # a person is needed

LEVELS = ("debug", "info", "warning", "error")
LIBRARIES = ("apsw", "cbor2", "cryptography", "numba", "numpy", "paho-mqtt", "pyserial", "urllib3")


def versions() -> dict[str, str]:
    """Releases of everything whose version can matter to a figure, by name."""
    found = {
        "plumeproof": metadata.version("plumeproof"),
        "wire": f"{WIRE_VERSION} (reads {WIRE_VERSION_OLDEST} to {WIRE_VERSION})",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return found | {name: metadata.version(name) for name in LIBRARIES}


def set_up_logging(level: str) -> None:
    """One line per event on standard error, UTC times."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


@dataclass(slots=True)
class PartHealth:
    """One part of the service: a module's line, averaging, relay, a sink, the dashboard.

    `kind`: module, stage, sink or page. `since_utc_ms`: when `state` was entered. `error`: last error, one sentence.
    """

    name: str
    kind: str
    state: str = STARTING
    since_utc_ms: int = 0
    error: str = ""
    error_utc_ms: int = 0
    counters: dict[str, int] = field(default_factory=dict)


class Health:
    """All parts; written by their threads, read by faces as one snapshot."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, str], PartHealth] = {}

    def enter(self, kind: str, name: str, state: str, now_utc_ms: int, error: str = "") -> bool:
        """Set the state of a part; True when it is another than before (time for one log line)."""
        with self._lock:
            part = self._parts.setdefault((kind, name), PartHealth(name, kind))
            is_change = part.state != state or (bool(error) and part.error != error)
            if part.state != state:
                part.state, part.since_utc_ms = state, now_utc_ms
            if error:
                part.error, part.error_utc_ms = error, now_utc_ms
            return is_change

    def count(self, kind: str, name: str, **counters: int) -> None:
        """Set counters of a part to their present values; names end in a unit or `_total`."""
        with self._lock:
            self._parts.setdefault((kind, name), PartHealth(name, kind)).counters.update(counters)

    def is_up(self, kind: str, name: str) -> bool:
        """A part is there and works."""
        with self._lock:
            part = self._parts.get((kind, name))
            return part is not None and part.state == UP

    def snapshot(self) -> list[dict[str, Any]]:
        """Every part as plain values, in the order of their first word."""
        with self._lock:
            return [
                {
                    "name": part.name,
                    "kind": part.kind,
                    "state": part.state,
                    "since_utc_ms": part.since_utc_ms,
                    "error": part.error,
                    "error_utc_ms": part.error_utc_ms,
                    "counters": dict(part.counters),
                }
                for part in self._parts.values()
            ]
