"""Where a figure's readings come from: one channel of one module, and the distance of its slots, as people write them.

`source = "plume-01/nox"`, `slot_ms = 1000`: checks of keys (section.py) for descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqwire import limits

from plumeproof.section import typed

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One channel of one module."""

    device: str
    channel: str

    def __str__(self) -> str:
        return f"{self.device}/{self.channel}"


def source_text(value: Any, _folder: Path) -> Source:
    """Check of "device/channel"."""
    device, slash, channel = typed(value, str).partition("/")
    is_device = 1 <= len(device) <= limits.DEVICE_MAX_BYTES and set(device) <= set(limits.DEVICE_CHARACTERS)
    if not (is_device and slash and channel and channel.isprintable()):
        raise ValueError(f'{str(value)[:60]!r} is no source; write "device/channel"')
    return Source(device, channel)


def slot_distance(value: Any, _folder: Path) -> int:
    """Check of the distance of slots, ms."""
    slot_ms = typed(value, int)
    if not limits.SLOT_MIN_MS <= slot_ms <= MINUTE_MS or MINUTE_MS % slot_ms:
        raise ValueError(f"{slot_ms} ms does not divide a minute; first level data are 1 s to 1 min")
    return slot_ms
