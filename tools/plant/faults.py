"""Faults on demand: what, of which analyzer, when, how often.

    ANALYZER:KIND[:FROM-TO][:rate=R][:ms=N][:code=N]      * as ANALYZER: all;  FROM-TO: seconds since `ready`

KIND     what the module meets
mute       no answer
crc        an answer with a wrong CRC
cut        an answer that ends in its middle
foreign    a good answer of another unit id
late       the answer `ms` later (500)
stray      an answer with some bytes of noise before or behind it
exception  Modbus exception `code` (4, server failure)
frozen     values and status that no longer change (no rate)
Without FROM-TO it lasts from the start to the end; `rate` is the share of requests that are hit (1).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.plant.layout import PlantError

KINDS = ("mute", "crc", "cut", "foreign", "late", "stray", "exception", "frozen")
EXCEPTION_CODES = (1, 2, 3, 4, 5, 6, 8, 10, 11)  # Modbus Application Protocol V1.1b3 section 7
LATE_MS = 500
SERVER_FAILURE = 4
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Fault:
    """One wish. `until_s` None: to the end. `text`: as it was given, for the log."""

    text: str
    analyzer: str
    kind: str
    from_s: float = 0.0
    until_s: float | None = None
    rate: float = 1.0
    late_ms: int = LATE_MS
    code: int = SERVER_FAILURE

    def is_active(self, t_s: float) -> bool:
        return self.from_s <= t_s and (self.until_s is None or t_s < self.until_s)


def parse_fault(text: str, analyzers: Sequence[str]) -> Fault:
    """Raises PlantError for anything but the form above."""
    parts = text.split(":")
    if len(parts) < 2 or parts[1] not in KINDS:
        raise PlantError(f"fault {text!r}: is not ANALYZER:KIND[:FROM-TO][:rate=R]; kinds: {' '.join(KINDS)}")
    if parts[0] != "*" and parts[0] not in analyzers:
        raise PlantError(f"fault {text!r}: no analyzer {parts[0]!r}; there are: {' '.join(analyzers)}")
    fields: dict[str, float | int] = {}
    for part in parts[2:]:
        span = re.fullmatch(rf"({_NUMBER})-({_NUMBER})?", part)
        option = re.fullmatch(rf"(rate|ms|code)=({_NUMBER})", part)
        if span is not None:
            fields["from_s"] = float(span[1])
            if span[2]:
                fields["until_s"] = float(span[2])
        elif option is not None and option[1] == "rate":
            fields["rate"] = float(option[2])
        elif option is not None and option[2].isdigit():
            fields["late_ms" if option[1] == "ms" else "code"] = int(option[2])
        else:
            raise PlantError(f"fault {text!r}: cannot read {part!r}; use FROM-TO, rate=R, ms=N or code=N")
    fault = Fault(text, parts[0], parts[1], **fields)
    if not 0 < fault.rate <= 1 or fault.code not in EXCEPTION_CODES:
        raise PlantError(f"fault {text!r}: rate is 0..1, code one of {EXCEPTION_CODES}")
    if fault.kind == "frozen" and fault.rate != 1:
        raise PlantError(f"fault {text!r}: values are frozen for a time, not at a rate; leave rate out")
    if fault.until_s is not None and fault.until_s <= fault.from_s:
        raise PlantError(f"fault {text!r}: ends before it begins")
    return fault


class FaultPlan:
    """Which fault hits a request; the draws of an analyzer depend on seed and its own requests only."""

    def __init__(self, faults: Sequence[Fault], seed: int, analyzers: Sequence[str]) -> None:
        self.faults = tuple(faults)
        self._random = {name: random.Random(f"{seed} {name}") for name in analyzers}

    def draw(self, analyzer: str, t_s: float) -> Fault | None:
        """The first of the wishes that hits the request of `analyzer` at `t_s`, frozen ones apart."""
        for fault in self.faults:
            if fault.kind == "frozen" or fault.analyzer not in ("*", analyzer) or not fault.is_active(t_s):
                continue
            if fault.rate == 1 or self._random[analyzer].random() < fault.rate:
                return fault
        return None

    def frozen_since(self, analyzer: str, t_s: float) -> float | None:
        """When the values of the analyzer stopped to change, None while they do."""
        since_s = [
            fault.from_s
            for fault in self.faults
            if fault.kind == "frozen" and fault.analyzer in ("*", analyzer) and fault.is_active(t_s)
        ]
        return min(since_s, default=None)

    def noise(self, analyzer: str) -> bytes:
        """One to six bytes as a disturbed line makes them."""
        drawn = self._random[analyzer]
        return drawn.randbytes(drawn.randint(1, 6))
