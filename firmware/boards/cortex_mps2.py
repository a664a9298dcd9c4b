"""The emulated Cortex-M board: Arm's MPS2 with design AN385 in QEMU, MicroPython's QEMU port with our module `mps2`
(tools/cortex/board), the program frozen into the image, its sources in a ROM file system at /rom/firmware.

Serial lines are UART 1 (bus) and UART 2 (uplink), time is the FPGAIO's microsecond counter, flash is memory that is
written through to a file. The host's files are reached by semihosting: the directory holds what boards/host.py lists;
the lines of its board.json are connected by QEMU. Started by `python -m tools.cortex DIRECTORY`, which passes on
`ready` and `drained`. Reset and power cut are the death of QEMU's process.

Not imitated: baud rate, parity and driver-enable, erase time, flash wait states, a watchdog.
"""

import gc
import json
import os
import sys

import mps2
from acqwire import causes

from acq.faults import BusError, JournalError
from boards.notes import Notes

_BUS = 1
_UPLINK = 2
_ROM = "/rom/firmware/"
_FILE_MAX_BYTES = 65536
_SECTOR_BYTES = 4096
_PROGRAM_BYTES = 256
_STUCK_US = 100000  # a UART that takes no byte for so long has failed: one at 1,200 baud takes 9 ms
_TICKS_MASK = (1 << 30) - 1
_LOOK_US = 500000  # the drain file is looked for this often
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186


class MpsClock:
    """ports.Clock on the FPGAIO's counter."""

    def ticks(self) -> int:
        return mps2.ticks_us()

    def elapsed(self, later: int, earlier: int) -> int:
        # In this form everything on the way is a small integer
        return ((later - earlier & _TICKS_MASK) ^ 0x20000000) - 0x20000000


class MpsBus:
    """ports.Bus485 on UART 1."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._scratch = bytearray(16)

    def send(self, buf, count: int) -> None:
        clock = self._clock
        start = 0
        last = clock.ticks()
        while start < count:
            taken = mps2.uart_write(_BUS, buf, start, count)
            if taken:
                start += taken
                last = clock.ticks()
            elif clock.elapsed(clock.ticks(), last) >= _STUCK_US:
                raise BusError(causes.FAULT_BUS_IO)

    def receive(self, buf, start: int) -> int:
        return mps2.uart_read(_BUS, buf, start)

    def drain(self) -> int:
        total = 0
        count = mps2.uart_read(_BUS, self._scratch, 0)
        while count:
            total += count
            count = mps2.uart_read(_BUS, self._scratch, 0)
        return total


class MpsUplink:
    """ports.HostStream on UART 2."""

    def read(self, buf) -> int:
        return mps2.uart_read(_UPLINK, buf, 0)

    def write(self, buf, start: int, end: int) -> int:
        return mps2.uart_write(_UPLINK, buf, start, end)


class MpsFlash:
    """ports.Flash in PSRAM, each program and erase written through to a file."""

    sector_bytes = _SECTOR_BYTES
    program_bytes = _PROGRAM_BYTES
    erase_ms = 0
    append_ms = 0

    def __init__(self, path: str, size_bytes: int) -> None:
        if size_bytes <= 0 or size_bytes % _SECTOR_BYTES:
            raise JournalError(causes.FAULT_JOURNAL_GEOMETRY)
        self.sector_count = size_bytes // _SECTOR_BYTES
        mps2.flash_open(path, size_bytes)

    def read(self, offset: int, buf) -> None:
        try:
            mps2.flash_read(offset, buf)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)

    def program(self, offset: int, buf) -> None:
        try:
            mps2.flash_program(offset, buf)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)

    def erase(self, sector: int) -> None:
        try:
            mps2.flash_erase(sector * _SECTOR_BYTES, _SECTOR_BYTES)
        except OSError:
            raise JournalError(causes.FAULT_FLASH_IO)


class MpsEntropy:
    """ports.Entropy: the host's generator."""

    def random(self, count: int) -> bytes:
        return mps2.random(count)


class MpsStart:
    """What is needed once, at the start. `reset_cause`, `interpreter`, `lines` (board.json)."""

    reset_cause = 1  # fields.RESET_POWER: QEMU always starts from nothing

    def __init__(self, directory: str) -> None:
        """Raises ValueError or OSError for a directory that cannot be used."""
        self._directory = directory
        self.lines = _check_board(self.read_file("board.json"))
        self._private_key = _load_key(directory + "/key.bin")
        self.interpreter = "{} {} {}".format(
            sys.implementation.name, ".".join(str(part) for part in sys.implementation.version[:3]), sys.platform
        )

    def read_file(self, name: str) -> bytes:
        """A file of the module's directory, whole."""
        return mps2.file_read(self._directory + "/" + name, 0, _FILE_MAX_BYTES)

    def open_signer(self):
        """The module's ports.Signer: a soft one over the directory's key."""
        from acq.soft_signer import SoftSigner

        return SoftSigner(self._private_key)

    def publish_key(self, public_key: bytes) -> None:
        """Leave the public key where the registrar fetches it."""
        _replace(self._directory + "/public_key.bin", public_key)

    def firmware_paths(self):
        """The release's files (SPEC.md section 4.3), in any order; what this board runs was frozen from them."""
        paths = ["main.py"]
        for folder in ("acq", "acqwire", "boards"):
            paths += _list_firmware(folder)
        return paths

    def open_firmware(self, path: str):
        """One of them, open for reading bytes."""
        return open(_ROM + path, "rb")

    def explain(self, code: int) -> str:
        """A causes.FAULT_SETTINGS_* in words."""
        if code == causes.FAULT_SETTINGS_MISSING:
            return "is missing"
        return "is not readable as JSON" if code == causes.FAULT_SETTINGS_SYNTAX else "has a value that is not allowed"


class MpsBoard(Notes):
    """`bus`, `uplink`, `flash`, `clock`, `entropy`; `start`: MpsStart, until it is forgotten."""

    has_light = False
    updates = None  # no place for a second program: a new one is frozen into a new image

    def __init__(self, directory: str) -> None:
        """Raises ValueError or OSError for a directory that cannot be used."""
        self.start = MpsStart(directory)
        self._directory = directory
        self._count_start()
        mps2.start()
        self.clock = MpsClock()
        self.entropy = MpsEntropy()
        self.bus = MpsBus(self.clock)
        self.uplink = MpsUplink()
        self.flash = MpsFlash(self._path(self.start.lines["flash"]), self.start.lines["flash_bytes"])
        self._looked = self.clock.ticks()
        self._is_draining = mps2.file_exists(self._path("drain"))

    def _count_start(self) -> None:
        import boards
        from boards.notes_start import begin

        begin(self, self.start.reset_cause)
        del boards.notes_start, sys.modules["boards.notes_start"]

    def forget_start(self) -> None:
        """Its objects are not needed any more; its code lies in the image."""
        self.start = None

    def read_part(self, name: str, start: int, count: int) -> bytes:
        """Up to `count` bytes of a file of the directory."""
        return mps2.file_read(self._path(name), start, count)

    def exists(self, name: str) -> bool:
        return mps2.file_exists(self._path(name))

    def replace(self, name: str, content) -> None:
        _replace(self._path(name), content)

    def remove(self, name: str) -> None:
        mps2.file_remove(self._path(name))

    # Running

    def say(self, line: str) -> None:
        """A line for whoever started QEMU: the console passes it on."""
        print(line)

    def collect(self) -> None:
        """A quiet moment: tidy the module's heap."""
        gc.collect()

    def feed(self) -> None:
        """No watchdog: QEMU's parent is one."""

    def wants_drain(self) -> bool:
        """Whether the file `drain` has been seen."""
        if not self._is_draining and self.clock.elapsed(self.clock.ticks(), self._looked) >= _LOOK_US:
            self._looked = self.clock.ticks()
            self._is_draining = mps2.file_exists(self._path("drain"))
        return self._is_draining

    def drained(self) -> None:
        """Everything is sealed and durable. Killed before the file is gone: the next start drains again."""
        mps2.file_remove(self._path("drain"))
        self.say("drained")

    def wait(self, timeout_us: int) -> None:
        """Sleep until a line has bytes or the time has passed."""
        mps2.wait(timeout_us)

    def restart(self) -> None:
        """Asked for by updates only, and there are none."""

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else self._directory + "/" + name


def _load_key(path: str) -> bytes:
    if mps2.file_exists(path):
        key = mps2.file_read(path, 0, _FILE_MAX_BYTES)
        if len(key) != 32:
            raise ValueError("key.bin does not hold 32 bytes: restore it or remove the module's directory")
        return key
    # Drawn anew while it is no number of 1..n-1. Killed before the file is there: no record has been signed with it
    key = mps2.random(32)
    while not 0 < int.from_bytes(key, "big") < _ORDER:
        key = mps2.random(32)
    _replace(path, key)
    return key


def _replace(path: str, content: bytes) -> None:
    """Write a file whole. Killed before the rename: the old one stands; after it: the new one."""
    mps2.file_write(path + ".new", content)
    mps2.file_rename(path + ".new", path)


def _list_firmware(folder: str):
    found = []
    for entry in os.ilistdir(_ROM + folder):
        path = folder + "/" + entry[0]
        found += _list_firmware(path) if entry[1] & 0x4000 else [path]
    return found


def _check_board(raw: bytes):
    try:
        board = json.loads(raw)
    except ValueError:
        raise ValueError("board.json is not readable as JSON")
    if not isinstance(board, dict) or not isinstance(board.get("flash"), str):
        raise ValueError("board.json: flash is absent or of the wrong type")
    if not isinstance(board.get("flash_bytes"), int):
        raise ValueError("board.json: flash_bytes is absent or of the wrong type")
    return board
