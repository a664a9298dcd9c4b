"""Captures: what passed over one line of a rig, byte by byte, as JSON lines (tests/captures/README.md).

First line: {"capture": "bus"|"uplink", "format": 1, "begun_utc_ns", "origin": {...}}; then one object a piece of bytes:
{"t_us": since the first line, "from": "module"|"analyzers"|"gateway", "hex"}. Written while it happens, so a run that
breaks off leaves whole lines. `origin` is put in when the run is over and everything is known (record.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumeproof.ports import ByteStream

FORMAT = 1
SENDERS = {"bus": ("module", "analyzers"), "uplink": ("module", "gateway")}
CAPTURE_MAX_BYTES = 256 * 1024  # of a file that goes into the repository
READ_MAX_BYTES = 4 * 1024 * 1024
LINE_MAX_BYTES = 32 * 1024  # a frame of 4,096 bytes in hex, and then some
ORIGIN_KEYS = ("date", "rig", "board", "device", "firmware_hash", "seconds", "is_cut", "parameters", "public_key")


class CaptureError(Exception):
    """No capture; one line: file, line, what."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that were handed over at once."""

    t_us: int
    sender: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Capture:
    """A whole file. `origin`: ORIGIN_KEYS and what else record.py knew."""

    kind: str
    origin: dict[str, Any]
    pieces: tuple[Piece, ...]

    def sent_by(self, sender: str) -> bytes:
        """All bytes of one side."""
        return b"".join(piece.raw for piece in self.pieces if piece.sender == sender)


class CaptureWriter:
    """Appends pieces until `max_bytes`; `is_cut` tells that something was left out then."""

    def __init__(self, path: Path, kind: str, max_bytes: int = CAPTURE_MAX_BYTES) -> None:
        self.is_cut = False
        self._left_bytes = max_bytes
        self._began_ns = time.monotonic_ns()
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._put({"capture": kind, "format": FORMAT, "begun_utc_ns": time.time_ns(), "origin": {}})

    def write(self, sender: str, raw: bytes) -> None:
        """One piece, stamped now."""
        if raw:
            self._put({"t_us": (time.monotonic_ns() - self._began_ns) // 1000, "from": sender, "hex": raw.hex()})

    def close(self) -> None:
        self._file.close()

    def _put(self, fields: dict[str, Any]) -> None:
        line = json.dumps(fields, separators=(",", ":")) + "\n"
        if self.is_cut or len(line) > self._left_bytes:
            self.is_cut = True  # nothing after a hole: a replay ends where the capture does
            return
        self._left_bytes -= len(line)
        self._file.write(line)
        self._file.flush()


class TappedStream:
    """ports.ByteStream that writes down what passes through another one."""

    def __init__(self, inner: ByteStream, capture: CaptureWriter) -> None:
        self._inner = inner
        self._capture = capture

    def read(self, limit: int, timeout_s: float) -> bytes:
        raw = self._inner.read(limit, timeout_s)
        self._capture.write("module", raw)
        return raw

    def write(self, data: bytes) -> None:
        self._capture.write("gateway", data)
        self._inner.write(data)

    def close(self) -> None:
        self._inner.close()


def set_origin(path: Path, origin: dict[str, Any]) -> None:
    """Put the origin into the first line, whole; a failure leaves the old file."""
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    head = json.loads(first) | {"origin": origin}
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(head, separators=(",", ":")) + "\n" + rest, encoding="utf-8", newline="\n")
    beside.replace(path)


def read_capture(path: Path) -> Capture:
    """Raises CaptureError."""
    try:
        with path.open("rb") as file:
            raw = file.read(READ_MAX_BYTES + 1)
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror}; `python -m tools.rig record` makes one") from error
    if len(raw) > READ_MAX_BYTES:
        raise CaptureError(f"{path}: larger than {READ_MAX_BYTES} bytes")
    return parse_capture(raw, str(path))


def parse_capture(raw: bytes, where: str) -> Capture:
    """The bytes of a file. Raises CaptureError."""
    lines = raw.splitlines()
    head = _object(lines[0], where, 1) if lines else {}
    kind, origin = head.get("capture"), head.get("origin")
    if kind not in SENDERS or head.get("format") != FORMAT or not isinstance(origin, dict):
        raise CaptureError(f"{where}: line 1 is no head of a capture of format {FORMAT}")
    return Capture(kind, origin, tuple(_pieces(lines[1:], SENDERS[kind], where)))


def _pieces(lines: list[bytes], senders: tuple[str, ...], where: str) -> Iterator[Piece]:
    before_us = 0
    for number, line in enumerate(lines, 2):
        entry = _object(line, where, number)
        t_us, sender, text = entry.get("t_us"), entry.get("from"), entry.get("hex")
        if (
            type(t_us) is not int
            or t_us < before_us
            or sender not in senders
            or type(text) is not str
            or len(entry) > 3
        ):
            raise CaptureError(f"{where}: line {number}: no piece of bytes, or earlier than the one before")
        try:
            yield Piece(t_us, sender, bytes.fromhex(text))
        except ValueError as error:
            raise CaptureError(f"{where}: line {number}: {error}") from error
        before_us = t_us


def _object(line: bytes, where: str, number: int) -> dict[str, Any]:
    if len(line) > LINE_MAX_BYTES:
        raise CaptureError(f"{where}: line {number}: longer than {LINE_MAX_BYTES} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"{where}: line {number}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CaptureError(f"{where}: line {number}: no object")
    return found
