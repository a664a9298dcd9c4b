"""The emulated board: the ports of acq on a computer, under MicroPython's unix port and under CPython.

Serial lines are ttys (host_tty), flash is a file (host_flash), reset and power cut are process deaths. Started as
`micropython -X heapsize=128k firmware/main.py DIRECTORY`. In the directory:

    board.json        {"bus", "uplink", "flash", "flash_bytes"}; relative paths start at the directory
    settings.json     {"link_address"}
    parameters.json   the parameter set
    key.bin           private key, made at the first start
    public_key.bin    written at each start, for enrolment
    fault.bin         why the program ended by itself; gone when its event record is durable
    drain             whoever makes this file asks the module to stop polling at the end of the present slot and to seal
                      what it has. It goes on answering the link. When everything is sealed and durable it removes the
                      file and prints `drained`. A module killed in between drains at its next start. It polls again
                      only after a new start.

Prints `ready` when the link answers. Exit status: 0 stopped (Ctrl-C), 1 a fault of the program, 2 directory, settings
or parameters refused. SIGTERM and SIGKILL are power cuts: what is journaled is safe, what is not sealed is lost.
"""

import json
import os
import select
import sys
import time

from acqwire import causes

from boards.host_clock import HostClock
from boards.host_files import exists, list_python, replace
from boards.host_flash import FileFlash
from boards.host_tty import HostBus, Tty, poll_lines

_BOARD_KEYS = (("bus", str), ("uplink", str), ("flash", str), ("flash_bytes", int))
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186
_LOOK_US = 500000  # the drain file is looked for this often
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class HostEntropy:
    """The system's generator."""

    def random(self, count: int) -> bytes:
        return os.urandom(count)


class HostBoard:
    """Everything an emulated module has. `bus`, `uplink`, `flash`, `clock`, `entropy`, `private_key`."""

    refusals = {
        causes.FAULT_SETTINGS_MISSING: "is missing",
        causes.FAULT_SETTINGS_SYNTAX: "is not readable as JSON",
        causes.FAULT_SETTINGS_VALUE: "has a value that is not allowed",
    }
    reset_cause = 1  # fields.RESET_POWER: a process always starts from nothing

    def __init__(self, directory: str) -> None:
        """Raises ValueError or OSError for a directory that cannot be used."""
        if "'" in directory:
            raise ValueError("directory of the emulated module must not contain a quotation mark")
        self._directory = directory
        board = _check_board(self.read_file("board.json"))
        self.clock = HostClock()
        self.entropy = HostEntropy()
        self._poller = select.poll()
        self.bus = HostBus(Tty(self._path(board["bus"]), self.clock, self._poller))
        self.uplink = Tty(self._path(board["uplink"]), self.clock, self._poller)
        self.flash = FileFlash(self._path(board["flash"]), board["flash_bytes"])
        self.private_key = self._load_key()
        self.interpreter = "{} {} {}".format(
            sys.implementation.name, ".".join(str(part) for part in sys.implementation.version[:3]), sys.platform
        )
        here = __file__.replace("\\", "/")
        self._root = here[: here.rfind("boards/")] or "./"
        self._looked = self.clock.ticks()
        self._is_draining = exists(self._path("drain"))

    def read_file(self, name: str) -> bytes:
        """A file of the module's directory, whole."""
        with open(self._path(name), "rb") as file:
            return file.read()

    def firmware_paths(self):
        """The program's files below its root (SPEC.md section 4.3), in any order."""
        paths = ["main.py"]
        for folder in ("acq", "acqwire", "boards"):
            paths += list_python(self._root, folder)
        return paths

    def open_firmware(self, path: str):
        """One of them, open for reading bytes."""
        return open(self._root + path, "rb")

    def publish_key(self, public_key: bytes) -> None:
        """Leave the public key where the registrar fetches it."""
        replace(self._path("public_key.bin"), public_key)

    # Why the last run ended

    def note_fault(self, code: int) -> None:
        """The program ends by itself: keep the code for the next start."""
        replace(self._path("fault.bin"), "{} {}".format(code, self.noted_fault()[1] + 1).encode())

    def noted_fault(self):
        """(causes.FAULT_*, how often since the last event of it); (0, 0): none."""
        if not exists(self._path("fault.bin")):
            return 0, 0
        words = self.read_file("fault.bin").split()
        return (int(words[0]), int(words[1])) if len(words) == 2 else (0, 0)

    def forget_fault(self) -> None:
        """Its event record is durable."""
        if exists(self._path("fault.bin")):
            os.remove(self._path("fault.bin"))

    # Running

    def say(self, line: str) -> None:
        """A line for whoever started the process."""
        print(line)
        if not _IS_MICROPYTHON:  # which has no buffer there
            sys.stdout.flush()

    def feed(self) -> None:
        """No watchdog: the process' parent is one."""

    def wants_drain(self) -> bool:
        """Whether the file `drain` has been seen."""
        if not self._is_draining and self.clock.elapsed(self.clock.ticks(), self._looked) >= _LOOK_US:
            self._looked = self.clock.ticks()
            self._is_draining = exists(self._path("drain"))
        return self._is_draining

    def drained(self) -> None:
        """Everything is sealed and durable. Killed before the file is gone: the next start drains again."""
        os.remove(self._path("drain"))
        self.say("drained")

    def wait(self, timeout_us: int) -> None:
        """Sleep until a line has bytes or the time has passed."""
        for pair in poll_lines(self._poller, timeout_us // 1000):
            if pair[1] & (select.POLLHUP | select.POLLERR) and not pair[1] & select.POLLIN:
                time.sleep(0.001)  # a dead line reports at once, for ever, until its reader has closed it

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else self._directory + "/" + name

    def _load_key(self) -> bytes:
        path = self._path("key.bin")
        if exists(path):
            key = self.read_file("key.bin")
            if len(key) != 32:
                raise ValueError("key.bin does not hold 32 bytes: restore it or remove the module's directory")
            return key
        # Drawn anew while it is no number of 1..n-1. Killed before the file is there: no record has been signed with it
        key = self.entropy.random(32)
        while not 0 < int.from_bytes(key, "big") < _ORDER:
            key = self.entropy.random(32)
        replace(path, key)
        return key


def _check_board(raw: bytes):
    try:
        board = json.loads(raw)
    except ValueError:
        raise ValueError("board.json is not readable as JSON")
    if not isinstance(board, dict):
        raise ValueError("board.json is not an object")
    for key, kind in _BOARD_KEYS:
        if not isinstance(board.get(key), kind):
            raise ValueError("board.json: " + key + " is absent or of the wrong type")
    return board
