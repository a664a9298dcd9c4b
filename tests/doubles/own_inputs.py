"""The inputs file of an emulated module (boards/host_inputs.py), replaced whole while the module runs.

Not imitated: noise, bouncing contacts, the time of a conversion.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path


class OwnInputs:
    """`counts` of the analog inputs, `levels` of the digital ones; say `write` after a change."""

    def __init__(self, path: Path, counts: list[int], digital_count: int) -> None:
        self.path, self.counts, self.digital_count = path, counts, digital_count
        self.levels = 0
        self.write()

    def write(self) -> None:
        """What the module sees from now on."""
        head = bytes((len(self.counts), self.digital_count))
        raw = head + struct.pack(f">{len(self.counts)}HH", *self.counts, self.levels)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(raw)
        os.replace(fresh, self.path)

    def set(self, counts: dict[int, int] | None = None, levels: int | None = None) -> None:
        """Change some and write."""
        for index, value in (counts or {}).items():
            self.counts[index] = value
        if levels is not None:
            self.levels = levels
        self.write()
