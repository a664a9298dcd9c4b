"""Status letters of first level data: which count, which are lost, which wins (reference: averaging-rules section 3.2).

A code is the letter's rank by priority X > L > F > M > C > O > U > P > S > W > V, so the worst of several is their
maximum and a value counts in a mean when its code is at most S. The statuses of evidence/decoding.py and
evidence/intervals.py, which say exactly what happened, become letters by one table; who asks why reads the status.

    codes = to_codes(status)                  # uint8 statuses of decoding to codes
    worst(codes, codes_of("VVPV")), letters_of(codes), counts(codes)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from acqwire import causes

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding, intervals
from plumeproof.rules.elementwise import Codes, Truth, give

LETTERS = "VWSPUOCMFLX"  # the place of a letter is its code
VALID, WARNING, SUBSTITUTE, PERIPHERAL, FAR_BELOW, OVER, CHECK, MAINTENANCE, FAULT, LINK, REJECTED = range(len(LETTERS))

MEANINGS = (
    ("V", "valid"),
    ("W", "valid, the analyzer asks for maintenance"),
    ("S", "substitute value that the permit allows, marked"),
    ("P", "peripheral missing: oxygen, moisture, temperature, pressure or flow"),
    ("U", "far below zero"),
    ("O", "above the measuring range"),
    ("C", "zero or span check, automatic calibration"),
    ("M", "maintenance"),
    ("F", "malfunction of the analyzer"),
    ("L", "no reading: link, module or signature"),
    ("X", "rejected by a person"),
)

RANGE_END = 250  # status of a value that was replaced by the end of the measuring range; beside those of evidence/

MALFUNCTION, MAINTENANCE_LOSS = "malfunction", "maintenance"
# As which an absent value counts (section 3.2, third column). C and M: confidence 0.75 for C.
LOST_AS = {letter: MAINTENANCE_LOSS if letter in "CM" else MALFUNCTION for letter in "PUOCMFLX"}

# Status by name to letter. What the analyzer or its loop says comes first, then what the module and the gateway found.
STATUS_LETTERS = {
    "valid": "V",
    "warning": "W",  # NE 107 M: data stay valid (confidence 0.85)
    "failure": "F",  # NE 107 F
    "function_check": "M",  # NE 107 C is work on the device, of whatever kind; a check with test gas is "calibration"
    "out_of_specification": "F",  # NE 107 S: the analyzer doubts its own value
    "status_missing": "L",  # the register with the status was not read
    "over_range": "O",
    "under_range": "U",
    "range_end": "S",  # over_range = use_range_end, confidence 0.5
    "not_finite": "F",  # NaN or infinity in the register
    "loop_failure": "F",  # NAMUR NE 43
    "loop_out_of_specification": "F",  # between measurement and failure signal, which of both ends is not said
    "wire_break": "L",
    "calibration": "C",
    "timeout": "L",
    "crc": "L",
    "mismatch": "L",
    "length": "L",
    "backoff": "L",
    "overrun": "L",
    "bus_fault": "L",
    "unconfirmed": "L",
    "exception": "L",  # any Modbus exception: an answer, but no reading
    "overflow": "L",
    "power_off": "L",
    "hole": "L",
    "absent": "L",
    "parameters_changed": "L",  # measured something else
    "overlap": "L",  # a second slot at a place that is taken
}

_UNKNOWN = 255


def _table() -> Codes:
    table = np.full(256, _UNKNOWN, np.uint8)
    table[decoding.VALID] = VALID
    own = (intervals.ABSENT, intervals.PARAMETERS_CHANGED, intervals.OVERLAP)
    found = ((cause, intervals.name_of(cause)) for cause in own)
    for number, name in (*decoding.STATUS_NAMES, *found, (RANGE_END, "range_end")):
        letter = STATUS_LETTERS.get("exception" if name.startswith("exception_") else name)
        table[number] = _UNKNOWN if letter is None else LETTERS.index(letter)
    for number in range(causes.GAP_EXCEPTION + 1, causes.GAP_OVERFLOW):
        table[number] = LETTERS.index(STATUS_LETTERS["exception"])
    return table


CODE_OF_STATUS = _table()  # (256,) uint8 for kernels; 255 where a number is no status
CODE_OF_STATUS.flags.writeable = False


def to_codes(status: Any) -> Any:
    """Codes of statuses (uint8 numbers of decoding.py and intervals.py; a scalar gives an int). Raises RuleError."""
    numbers = np.asarray(status)
    if numbers.dtype.kind not in "iu" or (numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < 256):
        raise RuleError("status", "no status numbers 0..255; give what evidence.decoding made")
    codes = CODE_OF_STATUS[numbers]
    if (codes == _UNKNOWN).any():
        number = int(numbers[codes == _UNKNOWN].flat[0]) if numbers.ndim else int(numbers)
        raise RuleError(f"status {number}", "has no letter; give it one in rules/status.py")
    return give(np.asarray(codes))


def codes_of(letters: str) -> Codes:
    """Codes of a string of letters. Raises RuleError."""
    for letter in letters:
        if letter not in LETTERS:
            raise RuleError(f"status letter {letter!r}", f"is none of {' '.join(LETTERS)}")
    return np.array([LETTERS.index(letter) for letter in letters], np.uint8)


def letters_of(codes: Any) -> str:
    """The letters of codes, as one string. Raises RuleError."""
    flat = np.atleast_1d(np.asarray(codes)).ravel()
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < len(LETTERS):
        raise RuleError("status codes", f"outside 0..{len(LETTERS) - 1}; make them with to_codes")
    return "".join(LETTERS[code] for code in flat.tolist())


def worst(*codes: Any) -> Any:
    """The one that wins where several apply, place by place."""
    found = np.asarray(codes[0], np.uint8)
    for more in codes[1:]:
        found = np.maximum(found, np.asarray(more, np.uint8))
    return give(found)


def counts(codes: Any) -> Truth:
    """Which enter the mean: V, W and S. S is marked by the caller, never silent."""
    return give(np.asarray(np.asarray(codes) <= SUBSTITUTE))


def is_lost(codes: Any, lost_letters: str = "PUOCMFLX") -> Truth:
    """Which count as lost by malfunction or maintenance; `lost_letters` is a setting (Austria: without C)."""
    return give(np.isin(np.asarray(codes), codes_of(lost_letters)))


def judge_peripheral(codes: Any, has_peripheral: Any, has_substitute: Any = False) -> Any:
    """Codes of a pollutant whose peripheral may be missing: P without it, S with the permit's substitute for it.

    What is worse already (C, M, F ...) stays; a peripheral that is there changes nothing.
    """
    has = np.asarray(has_peripheral, np.bool_)
    instead = np.where(np.asarray(has_substitute, np.bool_), np.uint8(SUBSTITUTE), np.uint8(PERIPHERAL))
    return worst(codes, np.where(has, np.uint8(VALID), instead))
