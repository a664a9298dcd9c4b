"""Status letters of first level data: the short names that a rule set speaks (reference: averaging-rules section 3.2).

A code is the letter's rank by priority X > L > F > M > C > O > U > P > S > W > V: up to S it counts in a mean. The
statuses of evidence/decoding.py and evidence/intervals.py, which say exactly what happened, become letters by one
table; who asks why reads the status.

    letters_of(to_codes(status))              # uint8 statuses of decoding as letters
"""

from __future__ import annotations

from typing import Any

import numpy as np
from acqwire import causes

from plumeproof.errors import RuleError
from plumeproof.evidence import decoding, intervals
from plumeproof.rules.elementwise import Codes, give

LETTERS = "VWSPUOCMFLX"  # the place of a letter is its code
VALID, WARNING, SUBSTITUTE, PERIPHERAL, FAR_BELOW, OVER, CHECK, MAINTENANCE, FAULT, LINK, REJECTED = range(len(LETTERS))

RANGE_END = 250  # status of a value that was replaced by the end of the measuring range; beside those of evidence/

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


def letters_of(codes: Any) -> str:
    """The letters of codes, as one string. Raises RuleError."""
    flat = np.atleast_1d(np.asarray(codes)).ravel()
    if flat.size and not 0 <= int(flat.min()) <= int(flat.max()) < len(LETTERS):
        raise RuleError("status codes", f"outside 0..{len(LETTERS) - 1}; make them with to_codes")
    return "".join(LETTERS[code] for code in flat.tolist())
