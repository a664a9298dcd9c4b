"""4-20 mA loops: counts to milliamperes, and what NAMUR NE 43 says of them (SPEC.md section 5, EVIDENCE.md section 1).

NE 43 (edition 2003-02-03, "Standardization of the Signal Level for the Failure Information of Digital Transmitters"):
3.8 to 20.5 mA carry the measurement; 3.6 mA and less, 21 mA and more are the transmitter's failure signal (reference:
averaging-rules 4.1). In between it neither measures nor has it failed. Below the failure signal that a two-wire
transmitter can still make there is no transmitter at all: 1.185 mA, the wire-break limit of 4-20 mA inputs in SIMATIC
ET 200S (manual EWA 4NEB 780 6024-02 07, table 12-1) and ET 200SP HA (A5E50101523-AB, 07/2022, appendix C).

NE 43 also lets a failure signal stand for 4 s before it is alarmed; a slot is judged by itself, so that the same bytes
always give the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.errors import ParametersError
from plumeproof.evidence.reader import Reader

LOW_MA, HIGH_MA = 4.0, 20.0
WIRE_BREAK_MA = 1.185  # below: no current that a transmitter would make
FAILURE_LOW_MA, FAILURE_HIGH_MA = 3.6, 21.0  # at and beyond: failure signal
MEASURING_LOW_MA, MEASURING_HIGH_MA = 3.8, 20.5  # between and at: measurement

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Loop:
    """How an input's counts become a current: `zero` counts at 4 mA, `span` counts at 20 mA, as its calibration
    (certificate or protocol `calibration`) found them."""

    zero: float
    span: float
    calibration: str


def read_loop(reader: Reader) -> Loop:
    """`loop` of a channel. Raises ParametersError."""
    loop = Loop(reader.decimal("zero"), reader.decimal("span"), reader.identifier("calibration"))
    if loop.zero >= loop.span:
        raise ParametersError("range", f"{reader.where}: zero is not below span")
    reader.done()
    return loop


def milliamperes(loop: Loop, numbers: Numbers) -> Numbers:
    """Current of each number: (number - zero) / (span - zero) * 16 + 4 in float64, each step rounded."""
    return (numbers - loop.zero) / (loop.span - loop.zero) * (HIGH_MA - LOW_MA) + LOW_MA


def judge(
    loop: Loop, numbers: Numbers, wire_break: int, failure: int, out_of_specification: int
) -> npt.NDArray[np.uint8]:
    """Per number 0 where the loop measures, else the status given for what it is. NaN is judged by nobody: 0."""
    current = milliamperes(loop, numbers)
    found = np.zeros(len(numbers), np.uint8)
    found[(current < MEASURING_LOW_MA) | (current > MEASURING_HIGH_MA)] = out_of_specification
    found[(current <= FAILURE_LOW_MA) | (current >= FAILURE_HIGH_MA)] = failure
    found[current < WIRE_BREAK_MA] = wire_break
    return found
