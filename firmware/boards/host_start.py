"""What the emulated board needs once, at its start: its directory's files, its key, the program's files.

HostBoard.forget_start drops all of it, code included, to make room in the module's heap.
"""

import json
import os
import sys

from acqwire import causes, fields

from boards.host_files import exists, replace

_BOARD_KEYS = (("bus", str), ("uplink", str), ("flash", str), ("flash_bytes", int))
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186


class HostStart:
    """`reset_cause`, `interpreter`, `lines` (board.json)."""

    def __init__(self, directory: str) -> None:
        """Raises ValueError or OSError for a directory that cannot be used."""
        if "'" in directory:
            raise ValueError("directory of the emulated module must not contain a quotation mark")
        self._directory = directory
        self.lines = _check_board(self.read_file("board.json"))
        self._private_key = _load_key(directory + "/key.bin")
        self.interpreter = "{} {} {}".format(
            sys.implementation.name, ".".join(str(part) for part in sys.implementation.version[:3]), sys.platform
        )
        path = __file__.replace("\\", "/")
        self._root = path[: path.rfind("boards/")] or "./"
        self.reset_cause = fields.RESET_POWER  # a process starts from nothing, unless its supervisor says otherwise
        if exists(directory + "/reset_cause.bin"):
            told = self.read_file("reset_cause.bin")
            os.remove(directory + "/reset_cause.bin")
            self.reset_cause = fields.RESET_WATCHDOG if told == b"watchdog" else fields.RESET_UNKNOWN

    def read_file(self, name: str) -> bytes:
        """A file of the module's directory, whole."""
        try:
            return _read(self._directory + "/" + name)
        except OSError as failure:
            raise ValueError("{} cannot be read (errno {}): provision the directory".format(name, failure.errno))

    def open_signer(self):
        """The module's ports.Signer: a soft one over the directory's key."""
        from acq.soft_signer import SoftSigner

        return SoftSigner(self._private_key)

    def publish_key(self, public_key: bytes) -> None:
        """Leave the public key where the registrar fetches it."""
        replace(self._directory + "/public_key.bin", public_key)

    def firmware_paths(self):
        """The program's files below its root (SPEC.md section 4.3), in any order."""
        paths = ["main.py"]
        for folder in ("acq", "acqwire", "boards"):
            paths += _list_python(self._root, folder)
        return paths

    def open_firmware(self, path: str):
        """One of them, open for reading bytes."""
        return open(self._root + path, "rb")

    def explain(self, code: int) -> str:
        """A causes.FAULT_SETTINGS_* in words."""
        if code == causes.FAULT_SETTINGS_MISSING:
            return "is missing"
        return "is not readable as JSON" if code == causes.FAULT_SETTINGS_SYNTAX else "has a value that is not allowed"


def _list_python(root: str, folder: str):
    found = []
    for name in os.listdir(root + folder):
        path = folder + "/" + name
        if name.endswith(".py") or name.endswith(".mpy"):
            found.append(path)
        elif "." not in name and name != "__pycache__":
            found += _list_python(root, path)
    return found


def _check_board(raw: bytes):
    try:
        board = json.loads(raw) if raw.rstrip().endswith(b"}") else None  # MicroPython reads what was cut off
    except ValueError:
        raise ValueError("board.json is not readable as JSON")
    if not isinstance(board, dict):
        raise ValueError("board.json is not an object")
    for key, kind in _BOARD_KEYS:
        if not isinstance(board.get(key), kind):
            raise ValueError("board.json: " + key + " is absent or of the wrong type")
    if not isinstance(board.get("inputs", ""), str):
        raise ValueError("board.json: inputs is no name of a file")
    return board


def _load_key(path: str) -> bytes:
    if exists(path):
        key = _read(path)
        if len(key) != 32:
            raise ValueError("key.bin does not hold 32 bytes: restore it or remove the module's directory")
        return key
    # Drawn anew while it is no number of 1..n-1. Killed before the file is there: no record has been signed with it
    key = os.urandom(32)
    while not 0 < int.from_bytes(key, "big") < _ORDER:
        key = os.urandom(32)
    replace(path, key)
    return key


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
