"""Register addresses as manuals and tables write them, and which of them count from 0 and which from 1.

    from 1   40001  400001  4x0001  30001  10001  00001   first digit: 4 holding registers (function 3), 3 input
                                                          registers (4), 1 discrete inputs (2), 0 coils (1)
    from 0   hr:0  ir:138  di:4000  co:0  4:138  hr:0x8A  `NUMBER:` is the function; the address is that of the request
    from 0   138  0x8A  8Ah                               only with a function given beside it

Any of them may stand between a unit id and a word order, `1!40001#CDAB`, and register addresses may end in a bit,
`hr:2.5` (bit 0 is the least significant). What says nothing about function or counting is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from acqwire import limits

from plumeproof.errors import ProfileError
from plumeproof.evidence.parameters import BIT_FUNCTIONS, ORDERS

ADDRESS_MAX = 0xFFFF
TEXT_MAX = 40  # characters of the longest address that makes sense
SPACES = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers"}
SHORT = {1: "co", 2: "di", 3: "hr", 4: "ir"}
ALL_ORDERS = tuple(dict.fromkeys(order for orders in ORDERS.values() for order in orders))
FORMS = "40001, 4x0001, hr:0 or 4:138"

_FUNCTIONS_OF_DIGIT = {"0": 1, "1": 2, "3": 4, "4": 3}
_DIGIT_OF_FUNCTION = {function: digit for digit, function in _FUNCTIONS_OF_DIGIT.items()}
_FUNCTIONS_OF_WORD = {"co": 1, "coil": 1, "di": 2, "hr": 3, "ir": 4, "1": 1, "2": 2, "3": 3, "4": 4}
_FIVE_DIGITS_MAX = 9_999  # entries that a reference of five digits can name
_WHOLE = re.compile(r"(?:(?P<unit>\d{1,3})!)?(?P<place>[0-9A-Za-z:]+)(?:\.(?P<bit>\d{1,2}))?(?:#(?P<order>[A-Za-z]+))?")
_REFERENCE = re.compile(r"([0134])(\d{4,5})")
_CROSSED = re.compile(r"([0134])[xX](\d{1,5})")
_SPACED = re.compile(r"([a-z]+|\d):(.+)")
_NUMBER = re.compile(r"0[xX]([0-9A-Fa-f]{1,4})|([0-9A-Fa-f]{1,4})[hH]|(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A place in an analyzer. `address` counts from 0, as requests do; `unit`, `bit`, `order`: None where not said."""

    function: int
    address: int
    unit: int | None = None
    bit: int | None = None
    order: str | None = None

    @property
    def is_bits(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.function in BIT_FUNCTIONS


def parse_address(text: str, function: int | None = None) -> Address:
    """An address in any of the notations above. `function`: for notations that name none; one that is named and another
    contradict each other. Raises ProfileError that says how to write it."""
    shown = repr(text[:TEXT_MAX])
    found = _WHOLE.fullmatch(text.strip()) if len(text) <= TEXT_MAX and text.isascii() else None
    if found is None:
        raise ProfileError(f"{shown} is no register address; write {FORMS}")
    named, address = _parse_place(found["place"], function, shown)
    if function is not None and function != named:
        raise ProfileError(f"{shown} means function {named}, and function {function} was asked for; give one of them")
    if address > ADDRESS_MAX:
        raise ProfileError(f"{shown} lies behind the last address, 65535 counted from 0")
    unit = int(found["unit"]) if found["unit"] else None
    if unit is not None and not limits.UNIT_MIN <= unit <= limits.UNIT_MAX:
        raise ProfileError(f"{shown}: unit id {unit} is outside {limits.UNIT_MIN}..{limits.UNIT_MAX}")
    bit = int(found["bit"]) if found["bit"] else None
    if bit is not None and (named in BIT_FUNCTIONS or bit > 15):
        raise ProfileError(f"{shown}: a bit is .0 to .15 of a register; coils and inputs are bits already")
    order = found["order"].upper() if found["order"] else None
    if order is not None and (order not in ALL_ORDERS or named in BIT_FUNCTIONS):
        raise ProfileError(f"{shown}: #{order} is no word order of it; there are {' '.join(ALL_ORDERS)}")
    return Address(named, address, unit, bit, order)


def to_zero_based(address: Address) -> str:
    """`hr:138`, `di:4000`, `hr:2.5`: what parse_address reads as the same place."""
    bit = "" if address.bit is None else f".{address.bit}"
    return f"{SHORT[address.function]}:{address.address}{bit}"


def to_reference(address: Address) -> str:
    """`30139`, or of six digits where five cannot name it."""
    entry = address.address + 1
    width = 4 if entry <= _FIVE_DIGITS_MAX else 5
    bit = "" if address.bit is None else f".{address.bit}"
    return f"{_DIGIT_OF_FUNCTION[address.function]}{entry:0{width}}{bit}"


def _parse_place(place: str, function: int | None, shown: str) -> tuple[int, int]:
    """Function and address from 0."""
    counted = _REFERENCE.fullmatch(place) or _CROSSED.fullmatch(place)
    # With a function beside it, 40001 of digits alone is still a reference: nobody counts to it from 0 by accident,
    # and whoever does writes 4:40001.
    if counted is not None:
        entry = int(counted[2])
        if entry == 0:
            raise ProfileError(f"{shown}: references count from 1, so the first is {counted[1]}0001")
        return _FUNCTIONS_OF_DIGIT[counted[1]], entry - 1
    spaced = _SPACED.fullmatch(place.lower())
    if spaced is not None:
        if spaced[1] not in _FUNCTIONS_OF_WORD:
            raise ProfileError(f"{shown}: {spaced[1]}: is none of co: di: hr: ir: 1: 2: 3: 4:")
        return _FUNCTIONS_OF_WORD[spaced[1]], _parse_number(spaced[2], shown)
    address = _parse_number(place, shown)
    if function is None:
        raise ProfileError(
            f"{shown} does not say what kind of register it is; write hr:{address} (function 3) or ir:{address}"
            f" (function 4), both from 0, or {FORMS}"
        )
    return function, address


def _parse_number(text: str, shown: str) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ProfileError(f"{shown} is no register address; write {FORMS}")
    hexadecimal = found[1] or found[2]
    return int(hexadecimal, 16) if hexadecimal else int(found[3])
