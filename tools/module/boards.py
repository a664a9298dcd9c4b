"""Which chip and which files each board file of firmware/boards needs, and what a board says of itself.

`--board` is the name of a board file. A board is asked for `sys.platform`, `sys.implementation` and four draws of its
random number generator before anything is written.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.module.console import Console
from tools.module.refusal import FAULT, USAGE, Refusal

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
HELD = ".held"
FOLDER = "/plumeproof"  # boards/iron.py; another where the board file says so
MPY_VERSION = 0xFF  # of sys.implementation._mpy; the header of a .mpy file has the same byte
SMALL_INT_BITS = 31  # of 32-bit words
VERSION_FLOOR = (1, 23)
DRAW_BYTES = 32
QUESTION = """
import sys,json
i=sys.implementation
d=[]
try:
 import os
 d=[os.urandom(32).hex() for _ in range(4)]
except (ImportError,AttributeError,OSError):
 pass
print(json.dumps([sys.platform,getattr(i,'_machine',''),list(i[1][:3]),getattr(i,'_mpy',0),d]))
"""


@dataclass(frozen=True, slots=True)
class Board:
    """`platform`: sys.platform; `machine`: what `_machine` must name; `own`: beginnings of its files in boards/."""

    platform: str
    machine: str
    own: tuple[str, ...]
    without_generator: bool = False  # its image has no os.urandom and gets its keys elsewhere
    has_watchdog: bool = True


BOARDS = {
    "esp32_t_can485": Board("esp32", r"ESP32(?![A-Z0-9])(?!-[A-Z]\d)", ("esp32_t_can485", "esp32_chip")),
    "esp32_s3_waveshare": Board("esp32", r"ESP32-?S3", ("esp32_s3_waveshare", "esp32_chip")),
    "rp2_pico_2ch": Board("rp2", r"RP2040|RP2350", ("rp2_pico_2ch", "rp2_chip", "rp2_boot")),
    "rp2_pico_de": Board("rp2", r"RP2040|RP2350", ("rp2_pico_de", "rp2_chip", "rp2_boot", "rp2_pio_bus")),
    "stm32_pyboard": Board("pyboard", r"PYBv1\.1", ("stm32_pyboard",)),
    "cortex_mps2": Board("qemu", r"mps2|Cortex", ("cortex_mps2",), without_generator=True, has_watchdog=False),
}
_ALL_OWN = {start for board in BOARDS.values() for start in board.own} | {"host"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a board says of itself. `mpy`: sys.implementation._mpy; `draws` of its generator, none: it has none."""

    platform: str
    machine: str
    version: tuple[int, ...]
    mpy: int
    draws: tuple[str, ...]

    @property
    def release(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def has_entropy(self) -> bool:
        """Nothing is seen to be wrong with the generator: no draw comes twice, none is one byte over and over."""
        return len(self.draws) > 1 and len(set(self.draws)) == len(self.draws) and all(
            len(set(bytes.fromhex(draw))) >= 8 for draw in self.draws
        )  # fmt: skip


def ask(console: Console) -> Facts:
    """Raises Refusal when what answers is no MicroPython that can be judged."""
    said = console.run(QUESTION).strip()
    try:
        platform, machine, version, mpy, draws = json.loads(said)
        return Facts(str(platform), str(machine), tuple(map(int, version)), int(mpy), tuple(map(str, draws)))
    except (ValueError, TypeError) as error:
        raise Refusal(f"{console.port}: what answers is no MicroPython: {said[:80]!r}") from error


def check(name: str, facts: Facts, port: str, has_element: bool = False) -> Board:
    """Whether this board may get the files of `name`; has_element: a secure element makes the key. Raises Refusal."""
    board = find(name)
    if facts.platform != board.platform or not re.search(board.machine, facts.machine):
        raise Refusal(
            f"{port}: wrong chip: this is {facts.machine or facts.platform} ({facts.platform}), and {name} is for"
            f" {board.platform} {board.machine}; name another --board or connect the right one",
            FAULT,
        )
    if facts.version < VERSION_FLOOR:
        raise Refusal(
            f"{port}: MicroPython {facts.release} is older than {'.'.join(map(str, VERSION_FLOOR))}; flash a newer one"
        )
    if not (board.without_generator or has_element or facts.has_entropy):
        raise Refusal(
            f"{port}: no entropy: the random number generator of this image is absent or repeats itself, so no key"
            " could be made; use an image with a generator, or a secure element with --element"
        )
    return board


def find(name: str) -> Board:
    """Raises Refusal (usage)."""
    if name not in BOARDS:
        raise Refusal(f"--board {name}: unknown; there are {' '.join(sorted(BOARDS))}", USAGE)
    return BOARDS[name]


@contextmanager
def hold(console: Console, board: Board, is_flashing: bool = False) -> Iterator[None]:
    """Keep the program from starting while its board is worked at. A running program has armed a watchdog that nothing
    can stop: its main is put aside and the chip reset, so that there is none. Afterwards main is put back, whatever
    happened; is_flashing: it is not, for the files beside it are others now, and a board whose flashing was cut off
    has no program."""
    place = "/flash/" if board.platform == "pyboard" else "/"
    names = [place + name for name in ("main.py", "main.mpy")] if board.has_watchdog else []
    mains = [main for main in names if console.exists(main)]
    for main in mains:
        console.run(f"import os\nos.rename({main!r},{main + HELD!r})")
    if mains:
        console.restart()
    try:
        yield
    finally:
        for main in [] if is_flashing else mains:
            console.run(f"import os\nos.rename({main + HELD!r},{main!r})")
    for main in names if is_flashing else []:
        console.remove(main + HELD)


def is_wanted(path: str, board: Board) -> bool:
    """Whether a file of the program (path below its root) belongs on this board."""
    folder, _, name = path.rpartition("/")
    if folder != "boards":
        return True
    owned = [start for start in _ALL_OWN if name.startswith(start)]
    return not owned or any(name.startswith(start) for start in board.own)


def data_folder(name: str) -> str:
    """Where the board keeps settings, parameters and key: FOLDER of its board file, else iron's."""
    path = FIRMWARE / "boards" / f"{name}.py"
    if path.is_file():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FOLDER":
                return str(ast.literal_eval(node.value))
    return FOLDER


def check_mpy(path: str, content: bytes, facts: Facts, port: str) -> None:
    """Whether the board's interpreter reads this .mpy file. Raises Refusal."""
    if not path.endswith(".mpy"):
        return
    if len(content) < 4 or content[:1] != b"M":
        raise Refusal(f"{path}: is no .mpy file; build it again with mpy-cross", USAGE)
    version, sub, arch = content[1], content[2] & 3, content[2] >> 2
    has_native = arch != 0
    wanted = (facts.mpy & MPY_VERSION, facts.mpy >> 8 & 3, facts.mpy >> 10)
    if content[3] > SMALL_INT_BITS:
        raise Refusal(f"{path}: wrong .mpy version: it is for words of more than 32 bits; build it with `make mpy`")
    if version != wanted[0] or (has_native and (sub, arch) != wanted[1:]):
        raise Refusal(
            f"{path}: wrong .mpy version: it is {version}.{sub} (arch {arch}), MicroPython {facts.release} on {port}"
            f" reads {wanted[0]}.{wanted[1]} (arch {wanted[2]}); build with the mpy-cross of that release, or flash .py"
        )
