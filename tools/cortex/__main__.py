"""`python -m tools.cortex [--core m0] DIRECTORY`: a module on the emulated Cortex-M, as `MICROPYTHON firmware/main.py
DIRECTORY` is one on the unix port: same directory, same lines on standard output (`ready`, `drained`).

SIGTERM and SIGKILL are power cuts. Exit status: 1 a fault of the program, 2 directory, settings or parameters refused,
3 no image or no QEMU.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType

from tools.cortex.images import CORES, ImagesError, find_images
from tools.cortex.machine import GuestError, Machine, MachineError
from tools.cortex.plug import Plugs
from tools.cortex.rom import RomError, build_rom

PROGRAM = "import main\nstatus = main.main(('main.py', {directory!r}))\nprint('status', status)\n"


def lines_of(directory: Path) -> tuple[Path, Path]:
    """The ttys of bus and uplink that board.json names. Raises ValueError or OSError."""
    try:
        board = json.loads((directory / "board.json").read_text())
        return directory / board["bus"], directory / board["uplink"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{directory}/board.json names no bus and uplink") from None


def run(directory: Path, core: str) -> int:
    """Until the program ends by itself; its exit status."""
    images = find_images()
    rom = build_rom(images)
    lines = lines_of(directory)
    with closing(Plugs(*lines)) as plugs, Machine(images, rom, core, plugs.near) as machine:
        for line in machine.run_lines(PROGRAM.format(directory=str(directory))):
            if line.startswith("status "):
                return int(line.removeprefix("status "))
            print(line, flush=True)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cortex", description="a module on the emulated Cortex-M")
    parser.add_argument("directory", type=Path, help="the module's directory (firmware/boards/host.py lists its files)")
    parser.add_argument("--core", choices=CORES, default="m3", help="instruction set of the image")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, _power_cut)
    try:
        return run(args.directory.resolve(), args.core)
    except (ImagesError, MachineError, RomError) as reason:
        print(f"cortex: {reason}", file=sys.stderr)
        return 3
    except GuestError as fault:
        print(fault, file=sys.stderr)
        return 1
    except (OSError, ValueError) as refused:
        print(f"cortex: {refused}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _power_cut(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
