"""`loopback`: does a board let go of its analyzer bus in time, and does it hear what it says? Asked at its console.

An answer may begin 3.5 characters after the request, some analyzers are quicker: a driver that stays on for a character
behind its last stop bit cuts into them (reference: micropython-notes section 6). What the board's own program sees of
the tail contains its own steps and is an upper bound; an oscilloscope has the last word (firmware/BOARDS.md section 8).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from tools.module.refusal import Refusal

PART_SIDE = Path(__file__).resolve().parent / "part_side" / "loopback.py"
BAUDS = (9_600, 19_200, 115_200)
COLUMNS = 6


class Runner(Protocol):
    """console.Console as far as it is needed."""

    port: str

    def run(self, code: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """One speed. `tail_us`: None where no pin of the program's turns the line. `echoed`: bytes that came back, `wrong`
    of them others than sent; none come back where the receiver is off while sending."""

    baud: int
    bit_us: int
    character_us: int
    tail_us: int | None
    echoed: int
    wrong: int

    @property
    def fault(self) -> str:
        """What is not as it should be, empty for nothing."""
        if self.tail_us is not None and self.tail_us >= self.character_us:
            return f"the driver stays on for {self.tail_us} us, a character lasts {self.character_us} us"
        if self.tail_us is not None and self.tail_us < -self.bit_us:
            return f"the driver is let go {-self.tail_us} us before the last stop bit has ended"
        if self.wrong:
            return f"{self.wrong} of {self.echoed} bytes come back changed: termination, bias or something else talks"
        return ""


def ask_loopback(console: Runner, board: str, folder: str | None = None) -> list[Heard]:
    """Play it on the board. Raises Refusal."""
    said = console.run(PART_SIDE.read_text(encoding="utf-8") + f"\nloopback({board!r},{BAUDS!r},{folder!r})\n")
    line = next((line for line in reversed(said.splitlines()) if line.startswith("loopback ")), None)
    try:
        rows = json.loads("" if line is None else line.removeprefix("loopback "))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{console.port}: tells nothing of its bus; flash its program first") from error
    if not isinstance(rows, list) or [row[0] for row in rows if _is_row(row)] != list(BAUDS):
        raise Refusal(f"{console.port}: tells something else of its bus than this release asks; flash its program")
    return [Heard(*row) for row in rows]


def report(heard: list[Heard]) -> Mapping[str, Any]:
    """What --json prints."""
    return {"speeds": [asdict(one) | {"fault": one.fault or None} for one in heard]}


def lines_of(heard: list[Heard]) -> list[str]:
    """For people: one speed a line."""
    lines = []
    for one in heard:
        tail = "line turned without the program" if one.tail_us is None else f"tail at most {one.tail_us} us"
        echo = f"{one.echoed} bytes heard back" if one.echoed else "receiver off while sending"
        lines.append(f"{one.baud:>7} baud  {tail}, {echo}: {one.fault or 'fine'}")
    return lines


def _is_row(row: object) -> bool:
    if not isinstance(row, list) or len(row) != COLUMNS:
        return False
    return all(type(item) is int or (place == 3 and item is None) for place, item in enumerate(row))
