"""What the plant must know of a parameter set (SPEC.md section 5): which analyzer has which registers.

Read from the JSON directly and not by the bridge's reader: plant and bridge are to agree because the text says so.
A parameter set is composed and checked by tools/parameters.py; here only what is used is looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


class PlantError(Exception):
    """Something the plant cannot work with; one line: what, where, how to mend."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request that the module will make. `quantity` in registers (functions 3, 4) or bits (1, 2)."""

    function: int
    address: int
    quantity: int

    @property
    def is_bits(self) -> bool:
        return self.function in (1, 2)


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity in the registers of `block`. value = number * scale + offset."""

    id: str
    quantity: str
    unit: str
    block: Block
    register: int
    type: str
    order: str
    scale: float
    offset: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class StatusBit:
    """A bit of `block` that equals `is_set` while NE 107 `code` applies."""

    block: Block
    bit: int
    is_set: bool
    code: str


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One Modbus server."""

    id: str
    unit: int
    blocks: tuple[Block, ...]
    channels: tuple[Channel, ...]
    bits: tuple[StatusBit, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole bus. `character_bits`: start, data, parity and stop bits of one character; `parity` "N", "E" or "O"."""

    baud: int
    character_bits: int
    analyzers: tuple[Analyzer, ...]
    parity: str = "N"
    stop_bits: int = 1


def read_layout(path: Path) -> tuple[Layout, bytes]:
    """The bus of a parameter set and the set's bytes. Raises PlantError."""
    try:
        raw = path.read_bytes()
        whole = json.loads(raw)
        return _layout(whole), raw
    except OSError as fault:
        raise PlantError(f"{path}: {fault.strerror}; compose one with tools/parameters.py") from fault
    except (ValueError, KeyError, TypeError, IndexError) as fault:
        raise PlantError(f"{path}: no parameter set ({fault!r}); compose one with tools/parameters.py") from fault


def _layout(whole: dict) -> Layout:
    blocks = [Block(item["function"], item["address"], item["quantity"]) for item in whole["blocks"]]
    owners = [item["analyzer"] for item in whole["blocks"]]
    analyzers = []
    for number, analyzer in enumerate(whole["analyzers"]):
        if analyzer["unit"] == 0:
            continue  # wired to the module's own inputs: not on this bus
        mine = [index for index, owner in enumerate(owners) if owner == number]
        channels = tuple(
            Channel(
                id=item["id"],
                quantity=item["quantity"],
                unit=item["unit"],
                block=blocks[item["block"]],
                register=item["register"],
                type=item["type"],
                order=item["order"],
                scale=float(item["scale"]),
                offset=float(item["offset"]),
                minimum=float(item["min"]),
                maximum=float(item["max"]),
            )
            for item in whole["channels"]
            if item["block"] in mine
        )
        bits = tuple(
            StatusBit(blocks[status["block"]], bit["bit"], bool(bit["is"]), bit["code"])
            for status in whole["statuses"]
            if status["block"] in mine
            for bit in status["bits"]
        )
        analyzers.append(Analyzer(analyzer["id"], analyzer["unit"], tuple(blocks[i] for i in mine), channels, bits))
    bus = whole["bus"]
    character_bits = 9 + (bus["parity"] != "N") + bus["stop_bits"]  # start and 8 data bits, parity, stop
    return Layout(bus["baud"], character_bits, tuple(analyzers), bus["parity"], bus["stop_bits"])
