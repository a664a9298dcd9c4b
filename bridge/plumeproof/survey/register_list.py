"""Register lists as manuals, integrators and other programs write them: one register a row, headings of many names.

Each device of the list becomes a profile. What a list leaves out gets a stated value (scale 1, offset 0, unit 1, no
bounds to speak of) and a remark; what it says and nobody can use (no word order, a block of several values) is refused
with its place. Plain numbers of an address column count from 0 unless the caller says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plumeproof.errors import ProfileError
from plumeproof.evidence.parameters import ORDERS
from plumeproof.survey.address import ALL_ORDERS, Address, parse_address
from plumeproof.survey.blocks import Span, group, is_decimal, locate
from plumeproof.survey.profile import PROFILE_FORMAT, Profile, check_profile
from plumeproof.survey.sheets import Grid, Refusal, column_name
from plumeproof.survey.table import DECIMAL_MEND

# Our name for a column and the headings it is met under; blanks, dots, dashes and underlines do not count
HEADINGS = {
    "device": ("device", "analyzer", "analyser", "model", "instrument"),
    "function": ("function", "functioncode", "fc"),
    "address": ("address", "addressdec", "addr", "register", "registeraddress", "modbusaddress", "reference", "reg"),
    "registers": ("registers", "registercount", "count", "length", "words"),
    "type": ("type", "datatype", "format"),
    "order": ("order", "wordorder", "byteorder", "endianness", "endian"),
    "quantity": ("parameter", "quantity", "name", "description", "signal", "tag"),
    "id": ("id", "channel"),
    "hj212_code": ("hj212code", "hj212", "code"),
    "unit": ("unit", "units", "uom"),
    "scale": ("scale", "factor", "multiplier", "gain"),
    "offset": ("offset",),
    "min": ("min", "minimum", "low", "rangelow"),
    "max": ("max", "maximum", "high", "rangehigh"),
    "notes": ("notes", "note", "comment", "remark", "remarks"),
    "source": ("source",),
}
TYPES = {
    "float": "float32", "real": "float32", "single": "float32", "double": "float64", "lreal": "float64",
    "int": "int16", "short": "int16", "word": "uint16", "uint": "uint16", "ushort": "uint16", "dint": "int32",
    "long": "int32", "dword": "uint32", "udint": "uint32", "ulong": "uint32", "bool": "bit", "boolean": "bit",
}  # fmt: skip
BOUNDS = ("-1e9", "1e9")  # of a channel whose list has none: every finite number an analyzer could mean
CERTAIN_ADDRESSES = ("addressdec",)  # headings under which a number is never a reference
REFERENCE_DIGITS = {"1": "0", "2": "1", "3": "4", "4": "3"}  # by function
TIMEOUT_MS = 250
RETRIES = 1
_ORDER_WORD = re.compile(r"([A-Ha-h]{2,8})(?:\s*\(.*\))?")  # `CDAB (called mid-little-endian)`


@dataclass(slots=True)
class Listed:
    """What a list gave: profiles, the cells that were refused, and what was filled in or left out."""

    profiles: list[Profile] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Channel:
    """A row that can be read, before its registers are in a block."""

    row: int
    span: Span
    bit: int | None
    unit: int | None
    facts: dict[str, Any]


@dataclass(slots=True)
class _Device:
    name: str
    channels: list[_Channel] = field(default_factory=list)
    units: set[int] = field(default_factory=set)  # that its rows name
    notes: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def parse_list(grid: Grid, name: str, first_address: int = 0, gap: int = 0, order: str = "") -> Listed:
    """Read a list. `name`: of the profile where no column names a device; `first_address`: what plain numbers count
    from; `gap`: unnamed registers that a block may read over; `order`: taken where a row of several registers names
    none. Raises ProfileError for a file without the columns that matter."""
    return _List(grid, name, first_address, gap, order).read()


def slug(text: str) -> str:
    """`SICK MCS100FT` -> `sick_mcs100ft`: what a profile or a channel may be called."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].strip("_")


class _List:
    def __init__(self, grid: Grid, name: str, first_address: int, gap: int, order: str) -> None:
        if not grid.rows:
            raise ProfileError(f"{grid.file}: is empty; the first row must be the heading")
        self._grid = grid
        self._name = name
        self._first_address = first_address
        self._gap = gap
        self._order = order
        self._found = Listed(refusals=list(grid.refusals))
        self._columns: dict[str, int] = {}
        self._bare: set[str] = set()  # headings under which plain numbers stand for addresses
        self._unbounded = 0
        self._assumed = 0  # rows that got the order of the caller
        ignored = []
        for place, cell in enumerate(grid.rows[0][1]):
            plain = re.sub(r"[\s._-]+", "", cell.lower())
            known = next((key for key, names in HEADINGS.items() if plain in names), None)
            if known is None or known in self._columns:
                ignored += [cell.strip()] if cell.strip() else []
            else:
                self._columns[known] = place
        for key in ("address", "type"):
            if key not in self._columns:
                raise ProfileError(
                    f"{grid.file}: row {grid.rows[0][0]}: no column for the {key}; name one {HEADINGS[key][0]}"
                    " (and function, order, unit, quantity), or start from `plumeproof table export`"
                )
        headed = {place for place, cell in enumerate(grid.rows[0][1]) if cell.strip()}
        if any(cell.strip() and at not in headed for _, cells in grid.rows[1:] for at, cell in enumerate(cells)):
            ignored.append("those without a heading")
        if ignored:
            self._found.remarks.append(f"columns not used: {', '.join(ignored)}")

    def read(self) -> Listed:
        devices: dict[str, _Device] = {}
        refused_rows = {refusal.row for refusal in self._found.refusals}
        for number, cells in self._grid.rows[1:]:
            row = {key: cells[place].strip() for key, place in self._columns.items() if place < len(cells)}
            title = row.get("device") or self._name
            channel = self._channel(number, row)
            if channel is None or number in refused_rows:
                continue
            device = devices.setdefault(slug(title), _Device(title))
            if channel.unit is not None:
                device.units.add(channel.unit)
                if len(device.units) > 1:
                    reason = f"names unit {channel.unit}, and rows before it another"
                    self._refuse(number, "address", reason, "one profile is one analyzer: add a column device")
                    device.units.discard(channel.unit)
                    continue
            device.channels.append(channel)
            if row.get("notes"):
                device.notes.append(f"{channel.facts['quantity']}: {row['notes']}")
            if row.get("source") and row["source"] not in device.sources:
                device.sources.append(row["source"])
        for key, device in devices.items():
            profile = self._profile(key, device)
            try:
                check_profile(profile, f"{self._grid.file}: device {device.name}")
            except ProfileError as fault:
                self._refuse(device.channels[0].row, "device", str(fault), "mend the rows of this device")
                continue
            self._found.profiles.append(profile)
        if self._bare:
            count = (
                "count from 1" if self._first_address else "count from 0, as requests do; --first-address 1 otherwise"
            )
            self._found.remarks.append(f"plain numbers of column {', '.join(sorted(self._bare))} {count}")
        if any(device.units for device in devices.values()):
            named = ", ".join(f"{key}@{min(device.units)}" for key, device in devices.items() if device.units)
            self._found.remarks.append(f"unit ids are no part of a profile; where one is used they are written {named}")
        if self._assumed:
            self._found.remarks.append(
                f"{self._assumed} rows without a word order got {self._order}; compare each once"
            )
        if self._unbounded:
            bounds = f"{BOUNDS[0]}..{BOUNDS[1]}"
            self._found.remarks.append(
                f"{self._unbounded} channels have no min and max and got {bounds}; set the certified range"
            )
        return self._found

    def _refuse(self, number: int, key: str, reason: str, mend: str) -> None:
        place = self._columns.get(key)
        where = f"{key} (missing)" if place is None else column_name(place, self._grid.rows[0][1][place].strip())
        self._found.refusals.append(Refusal(self._grid.file, self._grid.sheet, number, where, reason, mend))

    def _channel(self, number: int, row: Mapping[str, str]) -> _Channel | None:
        before = len(self._found.refusals)
        address = self._address(number, row)
        kind = self._type(number, row)
        if address is None or kind is None:
            return None
        if address.is_bits != (kind == "bit") and address.bit is None:
            what = "coils and inputs are of type bit" if address.is_bits else "a bit of a register is written 40003.5"
            self._refuse(number, "type", f"{kind} does not fit its address", what)
            return None
        order = self._word_order(number, row, kind, address)
        width = len(order) // 2
        counted = row.get("registers", "")
        if counted and counted != str(width):
            mend = (
                "write one row for each value"
                if counted.isdecimal() and int(counted) > width
                else "correct one of them"
            )
            self._refuse(number, "registers", f"{kind} has {width} and not {counted[:10]!r}", mend)
        quantity = row.get("quantity") or row.get("id") or f"register {address.address}"
        low, high = row.get("min", ""), row.get("max", "")
        if not low or not high:
            low, high = (low or "0", high or "1") if kind == "bit" else (low or BOUNDS[0], high or BOUNDS[1])
            self._unbounded += kind != "bit"
        facts: dict[str, Any] = {"id": row.get("id") or slug(quantity) or f"r{address.address}", "quantity": quantity}
        if row.get("hj212_code"):
            facts["hj212_code"] = row["hj212_code"]
        facts |= {"type": kind, "order": order, "scale": row.get("scale") or "1", "offset": row.get("offset") or "0"}
        facts |= {"unit": row.get("unit") or "1", "min": low, "max": high}
        for key in ("scale", "offset", "min", "max"):
            if not is_decimal(facts[key]):
                self._refuse(number, key, f"{facts[key][:20]!r} is no decimal number", DECIMAL_MEND)
        if len(self._found.refusals) > before:
            return None
        return _Channel(number, Span(address.function, address.address, width), address.bit, address.unit, facts)

    def _address(self, number: int, row: Mapping[str, str]) -> Address | None:
        text, function = row.get("address", ""), row.get("function", "").removeprefix("FC").lstrip("0")
        if function and function not in ("1", "2", "3", "4"):
            self._refuse(number, "function", f"{function[:10]!r} is no function that reads", "write 1, 2, 3 or 4")
            return None
        heading = re.sub(r"[\s._-]+", "", self._grid.rows[0][1][self._columns["address"]].lower())
        is_bare = text.isascii() and text.isdecimal() and bool(function) and heading != "reference"
        looks_like_reference = re.fullmatch(r"[0134]\d{4,5}", text) is not None and heading not in CERTAIN_ADDRESSES
        if is_bare and looks_like_reference and REFERENCE_DIGITS[function] == text[0]:
            reason = f"{text} beside function {function} may be a reference from 1 or an address from 0"
            self._refuse(
                number, "address", reason, f"head the column reference or address_dec, or write {function}:{text}"
            )
            return None
        if is_bare:
            self._bare.add(self._grid.rows[0][1][self._columns["address"]].strip())
            if int(text) < self._first_address:
                self._refuse(number, "address", "is 0 where addresses count from 1", "correct --first-address")
                return None
            text = f"{function}:{int(text) - self._first_address}"
        try:
            return parse_address(text, int(function) if function else None)
        except ProfileError as fault:
            reason, _, mend = str(fault).partition("; ")
            self._refuse(number, "address", reason, mend or "correct it")
            return None

    def _type(self, number: int, row: Mapping[str, str]) -> str | None:
        text = re.sub(r"[\s_-]+", "", row.get("type", "").lower())
        kind = TYPES.get(text, text)
        if kind in ORDERS:
            return kind
        mend = f"write one of {' '.join(ORDERS)}"
        if kind == "block":
            mend = "write one row for each value in it"
        elif kind in ("uint8", "int8", "byte"):
            mend = "write uint16 if the analyzer fills the register with it, or its single bits as type bit"
        self._refuse(number, "type", f"{row.get('type', '')[:20]!r} is no type that a channel can have", mend)
        return None

    def _word_order(self, number: int, row: Mapping[str, str], kind: str, address: Address) -> str:
        """The order; of a refused one something of the right width."""
        text = row.get("order", "") or (address.order or "")
        if address.order is not None and text.upper() != address.order:
            self._refuse(
                number, "address", f"says #{address.order} beside the order {text[:20]!r}", "correct one of them"
            )
        found = _ORDER_WORD.fullmatch(text)
        if found is not None and found[1].upper() in ORDERS[kind]:
            return found[1].upper()
        if not text and len(ORDERS[kind][0]) == 2:
            return "AB"
        is_order = found is not None and found[1].upper() in ALL_ORDERS
        if self._order in ORDERS[kind] and not is_order:
            self._assumed += 1
            return self._order
        reason = f"{text[:20]!r} is no word order of {kind}" if text else "is empty"
        self._refuse(number, "order", reason, f"find it with `plumeproof read`, write {' or '.join(ORDERS[kind])}")
        return ORDERS[kind][0]

    def _profile(self, key: str, device: _Device) -> Profile:
        blocks = group([channel.span for channel in device.channels], self._gap)
        channels: list[dict[str, Any]] = []
        taken: set[str] = set()
        for channel in device.channels:
            index = locate(blocks, channel.span) or 0
            offset = channel.span.address - blocks[index].address
            facts = dict(channel.facts)
            name = facts["id"]
            serial = 2
            while name in taken:
                name = f"{facts['id']}_{serial}"
                serial += 1
            taken.add(name)
            facts["id"] = name
            register = offset if channel.bit is None else 16 * offset + channel.bit
            head = {key: facts.pop(key) for key in ("id", "quantity", "hj212_code") if key in facts}
            channels.append(head | {"block": index, "register": register} | facts)
        sources = "; ".join(device.sources)
        is_official = bool(device.sources) and all(one.lower().startswith("manufacturer") for one in device.sources)
        return {
            "format": PROFILE_FORMAT,
            "profile": key or "unnamed",
            "version": "1",
            "title": device.name,
            "source": sources or f"register list {self._grid.file}",
            "status": "official" if is_official else "community" if sources else "provisional",
            "notes": device.notes,
            "timeout_ms": TIMEOUT_MS,
            "retries": RETRIES,
            "blocks": [
                {"function": block.function, "address": block.address, "quantity": block.quantity} for block in blocks
            ],
            "channels": channels,
            "statuses": [],
        }
