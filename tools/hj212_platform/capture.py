"""Every byte of every connection, with the time: FILE as an index of JSON lines, the bytes beside it, untouched.

FILE.1.received and FILE.1.sent hold the bytes of the first connection in both directions, as they were; FILE has
one line a piece: {"utc", "connection", "peer", "direction", "file", "offset", "length"}. So a decoder of plain streams
reads the bytes, and the times are kept. The files hold passwords as they came: readable by their owner only.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

CAPTURE_MAX_BYTES = 64 * 1024 * 1024  # of all bytes; then nothing more, and `is_cut` says so


class CaptureError(Exception):
    """The capture cannot be written; one line."""


def _open_private(path: Path) -> IO[bytes]:
    """A new file: what was captured before is never written over."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


class Capture:
    """One run of the platform."""

    def __init__(self, path: Path, max_bytes: int = CAPTURE_MAX_BYTES) -> None:
        self.path = path
        self.is_cut = False
        self._left_bytes = max_bytes
        self._index = _open_private(path)
        self._streams: dict[tuple[int, str], IO[bytes]] = {}
        self._offsets: dict[tuple[int, str], int] = {}

    def note(self, connection: int, peer: str, direction: str, raw: bytes) -> None:
        """`direction`: received or sent. Raises CaptureError."""
        if len(raw) > self._left_bytes:
            self.is_cut = True
        if self.is_cut:
            return
        self._left_bytes -= len(raw)
        try:
            self._write(connection, peer, direction, raw)
        except OSError as fault:
            raise CaptureError(f"capture: {fault}") from fault

    def _write(self, connection: int, peer: str, direction: str, raw: bytes) -> None:
        key = (connection, direction)
        name = f"{self.path.name}.{connection}.{direction}"
        if key not in self._streams:
            self._streams[key] = _open_private(self.path.with_name(name))
        offset = self._offsets.get(key, 0)
        self._streams[key].write(raw)
        self._streams[key].flush()
        self._offsets[key] = offset + len(raw)
        line: dict[str, str | int] = {
            "utc": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        }
        line |= {"connection": connection, "peer": peer, "direction": direction}
        line |= {"file": name, "offset": offset, "length": len(raw)}
        self._index.write(json.dumps(line).encode() + b"\n")
        self._index.flush()

    def close_connection(self, connection: int) -> None:
        """Its streams get nothing more."""
        for key in [key for key in self._streams if key[0] == connection]:
            self._streams.pop(key).close()

    def close(self) -> None:
        """Of the whole run."""
        for stream in [*self._streams.values(), self._index]:
            stream.close()
        self._streams.clear()
