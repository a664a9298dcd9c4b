"""The table of instruction counts: measured on the emulated M3 and M0, kept in instructions.json, beside the last one.

A counted run is a fresh start with `-icount shift=0` on the same key, parameter set and paths, so that the numbers are
the same at each run of the same firmware, image and compiler. They are instructions, not cycles: QEMU knows neither
wait states nor caches.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.cortex.images import CORES, Images
from tools.cortex.machine import Machine, MachineError
from tools.cortex.rom import build_rom, part_side

TABLE = Path(__file__).with_name("instructions.json")
TICK = 40  # instructions: 25 MHz of virtual time, 1 ns each
FLASH_BYTES = 1 << 20  # a region of 256 sectors, as the demo's
SECRET = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # published: RFC 6979 A.2.5
PROGRAMS = (
    "import starting\nstarting.count('.')\n",
    f"import counting\ncounting.run('.', {FLASH_BYTES})\n",
)
COUNT_S = 300.0
PLAIN = ("payload", "records")  # not ticks


@dataclass(frozen=True, slots=True)
class Table:
    """`counts`: core -> name -> instructions (bytes, records for PLAIN); `made_with`: what else they depend on."""

    counts: dict[str, dict[str, int]]
    made_with: dict[str, str]


def count_all(images: Images, parameters: bytes) -> Table:
    """Both cores. Raises MachineError, GuestError."""
    made_with = {"micropython": images.micropython, "compiler": images.compiler}
    return Table({core: count_core(images, core, parameters) for core in CORES}, made_with)


def count_core(images: Images, core: str, parameters: bytes) -> dict[str, int]:
    """boot, sign_running, sign, verify, crc, encode, seal, mount in instructions; payload and records as they are."""
    rom = build_rom(images, part_side())
    found: dict[str, int] = {}
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder_name:
            folder = Path(folder_name)
            provision(folder, parameters)
            with Machine(images, rom, core, is_counted=True, folder=folder) as machine:
                for line in machine.run(program, COUNT_S).splitlines():
                    name, _, number = line.partition(" ")
                    if not number.isdecimal():
                        raise MachineError(f"the counting program said {line[:100]!r}")
                    found[name] = int(number) * (1 if name in PLAIN else TICK)
    return found


def provision(folder: Path, parameters: bytes) -> None:
    """A module's directory without lines."""
    board = {"bus": "", "uplink": "", "flash": "flash.bin", "flash_bytes": FLASH_BYTES}
    (folder / "board.json").write_text(json.dumps(board))
    (folder / "settings.json").write_text('{"link_address": 1}')
    (folder / "parameters.json").write_bytes(parameters)
    (folder / "key.bin").write_bytes(SECRET)


def read_table() -> Table | None:
    """The last table, None where there is none."""
    if not TABLE.exists():
        return None
    kept = json.loads(TABLE.read_text())
    return Table(kept["counts"], kept["made_with"])


def write_table(table: Table) -> None:
    """Keep it for the next comparison."""
    TABLE.write_text(json.dumps({"made_with": table.made_with, "counts": table.counts}, indent=1) + "\n")


def compare(now: Table, last: Table | None, core: str, name: str) -> str:
    """What the last table said, in a few words."""
    before = None if last is None else last.counts.get(core, {}).get(name)
    if before is None:
        return "nothing to compare with"
    if before == now.counts[core][name]:
        return "as in the last table"
    other = "" if last is not None and last.made_with == now.made_with else ", other compiler or MicroPython"
    return f"{100 * (now.counts[core][name] / before - 1):+.2f} % on the last table{other}"
