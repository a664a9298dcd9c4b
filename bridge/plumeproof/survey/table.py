"""A profile as a register table and back, without loss: one row for each fact, in the columns below.

    kind     rows of it
    profile  id: format, profile, version, title, source, status, timeout_ms, retries; value in `meaning`
    note     `meaning`
    block    register (first), registers (how many): one request each. Without block rows, adjoining registers are put
             into blocks (blocks.py)
    channel  id, quantity, hj212_code, register, type, order, scale, offset, unit, min, max, status (id of one)
    status   one row a bit: id, register (a bit), is, code, meaning

`register` is written as address.py has it; the first column `reference` beside it repeats it counted from 1 for people
and must agree where both are filled. `block` (from 1) says which block a register is read with where several hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plumeproof.errors import ProfileError
from plumeproof.evidence.parameters import ORDERS
from plumeproof.survey.address import Address, parse_address, to_reference, to_zero_based
from plumeproof.survey.blocks import Span, group, is_decimal, locate
from plumeproof.survey.profile import PROFILE_FORMAT, Profile, check_profile
from plumeproof.survey.sheets import Grid, Refusal, column_name

COLUMNS = (
    "kind", "id", "quantity", "hj212_code", "register", "reference", "registers", "type", "order", "scale", "offset",
    "unit", "min", "max", "status", "block", "is", "code", "meaning", "confirm",
)  # fmt: skip
FREE_TEXTS = (
    "quantity",
    "hj212_code",
    "unit",
    "status",
    "meaning",
)  # kept as they are; blanks of the others are taken off
# Columns that a row of each kind has; what stands in another would be lost, so it is refused
USED = {
    "profile": ("kind", "id", "meaning"),
    "note": ("kind", "meaning"),
    "block": ("kind", "register", "reference", "registers", "confirm"),
    "channel": ("kind", "id", "quantity", "hj212_code", "register", "reference", "type", "order", "scale", "offset",
                "unit", "min", "max", "status", "block", "confirm"),
    "status": ("kind", "id", "register", "reference", "block", "is", "code", "meaning"),
}  # fmt: skip
_HEAD_TEXTS = ("profile", "version", "title", "source", "status")
_HEAD_NUMBERS = ("format", "timeout_ms", "retries")
_CHANNEL_TEXTS = ("id", "quantity", "type", "order", "scale", "offset", "unit", "min", "max")
DECIMAL_MEND = "write it with a point and without blanks or separators: 0.1"
_NUMBER_MEND = "write a whole number"


def is_table(grid: Grid) -> bool:
    """Whether the heading is that of this form; anything else is somebody's register list (register_list.py)."""
    heading = [cell.strip().lower() for cell in grid.rows[0][1]] if grid.rows else []
    return {"kind", "id", "register"} <= set(heading)


def build_rows(profile: Profile) -> list[list[str]]:
    """The table of a checked profile, heading first."""
    entries: list[dict[str, str]] = [
        {"kind": "profile", "id": key, "meaning": str(profile[key])}
        for key in ("format", "profile", "version", "title", "source", "status", "timeout_ms", "retries")
    ]
    entries += [{"kind": "note", "meaning": note} for note in profile["notes"]]
    for block in profile["blocks"]:
        place = Address(block["function"], block["address"])
        entry = {"kind": "block", **_place(place), "registers": str(block["quantity"])}
        entries.append(entry | ({"confirm": "1"} if "confirm" in block else {}))
    for channel in profile["channels"]:
        entry = {"kind": "channel", "hj212_code": channel.get("hj212_code", "")}
        entry |= {key: channel[key] for key in _CHANNEL_TEXTS}
        entry |= _place(_address(profile, channel["block"], channel["register"], channel["type"] == "bit"))
        entry["block"] = str(channel["block"] + 1)
        if "status" in channel:
            entry["status"] = profile["statuses"][channel["status"]]["id"]
        entries.append(entry)
    for status in profile["statuses"]:
        for bit in status["bits"]:
            entry = {"kind": "status", "id": status["id"], "block": str(status["block"] + 1), "is": str(bit["is"])}
            entry |= {"code": bit["code"], "meaning": bit["meaning"]}
            entry |= _place(_address(profile, status["block"], bit["bit"], True))
            entries.append(entry)
    return [list(COLUMNS), *([entry.get(column, "") for column in COLUMNS] for entry in entries)]


def parse_table(grid: Grid) -> tuple[Profile | None, list[Refusal]]:
    """The profile of a table, or every cell that keeps it from being one. Raises ProfileError where no cell alone is to
    blame."""
    reader = _Table(grid)
    profile = reader.read()
    if profile is None or reader.refusals:
        return None, reader.refusals
    check_profile(profile, f"{grid.file}{', sheet ' + grid.sheet if grid.sheet else ''}")
    return profile, []


def _place(address: Address) -> dict[str, str]:
    return {"register": to_zero_based(address), "reference": to_reference(address)}


def _address(profile: Mapping[str, Any], block: int, register: int, is_bit: bool) -> Address:
    """Where a channel or a status bit lies, counted as the analyzer counts."""
    first = profile["blocks"][block]
    if not is_bit or first["function"] <= 2:
        return Address(first["function"], first["address"] + register)
    offset, bit = divmod(register, 16)
    return Address(first["function"], first["address"] + offset, bit=bit)


class _Row:
    """One row by column names; asks for cells and refuses them in place."""

    def __init__(self, table: _Table, number: int, cells: Mapping[str, str]) -> None:
        self._table = table
        self.number = number
        self.cells = cells

    def text(self, column: str) -> str:
        text = self.cells.get(column, "")
        return text if column in FREE_TEXTS else text.strip()

    def need(self, column: str, mend: str) -> str:
        text = self.text(column)
        if not text.strip():
            self.refuse(column, "is empty", mend)
        return text

    def integer(self, column: str, text: str | None = None) -> int:
        found = self.text(column).strip() if text is None else text.strip()
        if found.isascii() and found.isdecimal() and len(found) <= 6:
            return int(found)
        self.refuse(column, f"{found[:20]!r} is no whole number of up to six digits", _NUMBER_MEND)
        return 0

    def refuse(self, column: str, reason: str, mend: str) -> None:
        self._table.refuse(self.number, column, reason, mend)


class _Table:
    """Reading one table; refusals are collected so that a person mends all of them in one go."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.refusals = list(grid.refusals)
        number, heading = grid.rows[0]
        self._heading = heading
        self._columns: dict[str, int] = {}
        for place, cell in enumerate(heading):
            name = cell.strip().lower()
            if name in COLUMNS and name not in self._columns:
                self._columns[name] = place
            elif name:
                reason = "is there twice" if name in COLUMNS else f"{name[:30]!r} is no column of a register table"
                mend = f"there are: {' '.join(COLUMNS)}"
                self.refusals.append(Refusal(grid.file, grid.sheet, number, column_name(place), reason, mend))

    def refuse(self, number: int, column: str, reason: str, mend: str) -> None:
        where = column_name(self._columns[column], column) if column in self._columns else f"{column} (missing)"
        self.refusals.append(Refusal(self._grid.file, self._grid.sheet, number, where, reason, mend))

    def read(self) -> Profile | None:
        kinds: dict[str, list[_Row]] = {kind: [] for kind in USED}
        for number, cells in self._grid.rows[1:]:
            named = {name: cells[place] for name, place in self._columns.items() if place < len(cells)}
            row = _Row(self, number, named)
            for at, cell in enumerate(cells):
                if cell.strip() and not "".join(self._heading[at : at + 1]).strip():
                    where = column_name(at)
                    mend = f"give the column one of {' '.join(COLUMNS)}, or empty the cell"
                    self.refusals.append(
                        Refusal(self._grid.file, self._grid.sheet, number, where, "stands under no heading", mend)
                    )
            kind = row.text("kind")
            if kind not in USED:
                row.refuse("kind", f"{kind[:20]!r} is no kind of row", f"write one of {' '.join(USED)}")
                continue
            kinds[kind].append(row)
            for column in self._columns:
                if column not in USED[kind] and row.text(column):
                    row.refuse(column, f"means nothing in a row of kind {kind}", "empty it, or correct the kind")
        profile = self._head(kinds["profile"])
        profile["notes"] = [row.text("meaning") for row in kinds["note"]]
        spans = [span for row in kinds["block"] if (span := self._block(row))]
        wanted = [
            (row, place, _width(row)) for row in kinds["channel"] + kinds["status"] if (place := self._place_of(row))
        ]
        if not kinds["block"]:
            spans = group([*_spans(wanted)])
        profile["blocks"] = [
            {"function": span.function, "address": span.address, "quantity": span.quantity} for span in spans
        ]
        located = {}
        for row, place, width in wanted:
            block = self._block_of(row, spans, place, width)
            if block is not None:
                offset = place.address - spans[block].address
                is_bit = place.bit is not None
                located[row.number] = (block, 16 * offset + (place.bit or 0) if is_bit else offset)
        marked = {index for index, row in enumerate(kinds["block"]) if self._is_confirmed(row)}
        marked |= {located.get(row.number, (0,))[0] for row in kinds["channel"] if self._is_confirmed(row)}
        for index in marked & set(range(len(spans))):
            profile["blocks"][index]["confirm"] = 1
        profile["statuses"] = self._statuses(kinds["status"], located)
        ids = [status["id"] for status in profile["statuses"]]
        profile["channels"] = [self._channel(row, located, ids) for row in kinds["channel"]]
        return profile

    def _head(self, rows: Sequence[_Row]) -> Profile:
        profile: Profile = {"format": PROFILE_FORMAT, "timeout_ms": 250, "retries": 1}
        seen: set[str] = set()
        for row in rows:
            key = row.text("id")
            if key in seen:
                row.refuse("id", f"{key} is there twice", "take one of the two rows away")
            seen.add(key)
            if key in _HEAD_TEXTS:
                profile[key] = row.need("meaning", f"write the {key}")
            elif key in _HEAD_NUMBERS:
                profile[key] = row.integer("meaning")
            else:
                known = " ".join((*_HEAD_TEXTS, *_HEAD_NUMBERS))
                row.refuse("id", f"{key[:20]!r} is no fact of a profile", f"there are: {known}")
        for key in _HEAD_TEXTS:
            if key not in profile:
                self.refuse(self._grid.rows[0][0], "id", f"no row of kind profile with id {key}", "add it")
                profile[key] = ""
        return profile

    def _place_of(self, row: _Row) -> Address | None:
        """Where a row's register is; `reference` stands in for an empty `register` and must agree otherwise."""
        found = []
        for column in ("register", "reference"):
            text = row.text(column)
            if text:
                try:
                    found.append(parse_address(text))
                except ProfileError as fault:
                    row.refuse(column, *_halves(fault))
                    return None
        if not found:
            row.refuse("register", "is empty", "write 40001, 4x0001, hr:0 or 4:138")
            return None
        if found[0].unit is not None:
            row.refuse("register", "names a unit id, which a profile has not", "write it without NUMBER!")
            return None
        if found[0].order is not None and row.text("order") != found[0].order:
            row.refuse(
                "register", f"says #{found[0].order} beside the order {row.text('order')!r}", "correct one of them"
            )
            return None
        if replace(found[-1], order=found[0].order) != found[0]:
            row.refuse(
                "reference", f"is {to_zero_based(found[-1])}, not {row.text('register')}", "empty one of the two"
            )
            return None
        needs_bit = row.text("kind") == "status" or row.text("type") == "bit"
        if row.text("kind") != "block" and not found[0].is_bits and needs_bit != (found[0].bit is not None):
            reason = "names no bit" if needs_bit else "names a bit, which only type bit and status rows do"
            row.refuse("register", reason, "a bit of a register is written hr:2.5, .0 the least significant")
            return None
        return replace(found[0], order=None)

    def _is_confirmed(self, row: _Row) -> bool:
        """Of a block, or of a channel whose block is then read twice as a whole."""
        if row.text("confirm") not in ("", "1"):
            row.refuse("confirm", "is neither 1 nor empty", "write 1 for what is read twice on a bad line")
        return row.text("confirm") == "1"

    def _block(self, row: _Row) -> Span | None:
        place = self._place_of(row)
        quantity = row.integer("registers")
        return Span(place.function, place.address, quantity) if place else None

    def _block_of(self, row: _Row, spans: Sequence[Span], place: Address, width: int) -> int | None:
        wanted = Span(place.function, place.address, width)
        if row.text("block"):
            index = row.integer("block") - 1
            if 0 <= index < len(spans) and spans[index].holds(wanted):
                return index
            row.refuse(
                "block", f"block {index + 1} does not hold {to_zero_based(place)}", "correct it or leave it empty"
            )
            return None
        found = locate(spans, wanted)
        if found is None:
            row.refuse("register", f"no block row holds {to_zero_based(place)}", "add one, or take all block rows away")
        return found

    def _statuses(self, rows: Sequence[_Row], located: Mapping[int, tuple[int, int]]) -> list[dict[str, Any]]:
        statuses: dict[str, dict[str, Any]] = {}
        for row in rows:
            block, bit = located.get(row.number, (0, 0))
            name = row.need("id", "write a name for the status")
            status = statuses.setdefault(name, {"id": name, "block": block, "bits": []})
            if row.number in located and status["block"] != block:
                row.refuse("register", "lies in another block than the first bit of this status", "split the status")
            entry = {"bit": bit, "is": row.integer("is"), "code": row.text("code"), "meaning": row.text("meaning")}
            if entry["code"] not in tuple("FCSM"):
                row.refuse("code", "is none of F C S M", "write the NE 107 letter")
            status["bits"].append(entry)
        return list(statuses.values())

    def _channel(self, row: _Row, located: Mapping[int, tuple[int, int]], statuses: Sequence[str]) -> dict[str, Any]:
        block, register = located.get(row.number, (0, 0))
        channel: dict[str, Any] = {
            "id": row.need("id", "write a short name"),
            "quantity": row.need("quantity", "name it"),
        }
        if row.text("hj212_code"):
            channel["hj212_code"] = row.text("hj212_code")
        channel |= {"block": block, "register": register}
        kind = row.text("type")
        for key in ("type", "order", "scale", "offset", "unit", "min", "max"):
            channel[key] = row.text(key)
        if kind not in ORDERS:
            row.refuse("type", f"{kind[:20]!r} is no type", f"write one of {' '.join(ORDERS)}")
        elif channel["order"] not in ORDERS[kind]:
            row.refuse(
                "order", f"{channel['order'][:20]!r} is no order of {kind}", f"write {' or '.join(ORDERS[kind])}"
            )
        for key in ("scale", "offset", "min", "max"):
            if not is_decimal(channel[key]):
                row.refuse(key, f"{channel[key][:20]!r} is no decimal number", DECIMAL_MEND)
        row.need("unit", "write the unit, 1 where there is none")
        if row.text("status"):
            if row.text("status") in statuses:
                channel["status"] = statuses.index(row.text("status"))
            else:
                row.refuse(
                    "status", f"no status row has the id {row.text('status')[:20]!r}", "add it, or empty the cell"
                )
        return channel


def _spans(wanted: Sequence[tuple[_Row, Address, int]]) -> Iterator[Span]:
    """What blocks must hold whole: each channel, and all bits of a status together."""
    statuses: dict[tuple[str, int], Span] = {}
    for row, place, width in wanted:
        span = Span(place.function, place.address, width)
        if row.text("kind") == "channel":
            yield span
            continue
        known = statuses.get((row.text("id"), span.function), span)
        first = min(known.address, span.address)
        statuses[row.text("id"), span.function] = Span(span.function, first, max(known.end, span.end) - first)
    yield from statuses.values()


def _width(row: _Row) -> int:
    """Registers or bits that a row needs; of an unknown type, which is refused elsewhere, one."""
    orders = ORDERS.get(row.text("type"), ("AB",)) if row.text("kind") == "channel" else ("AB",)
    return len(orders[0]) // 2


def _halves(fault: ProfileError) -> tuple[str, str]:
    """A sentence of address.py as reason and mend."""
    reason, _, mend = str(fault).partition("; ")
    return reason, mend or "correct it"
