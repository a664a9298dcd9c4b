"""What a board of hardware needs once, at its start: files of its folder, signer, reset cause, hash of its program.

IronBoard.forget_start drops all of it to make room in the module's heap.
"""

import json
import os
import sys

from acqwire import causes, fields

from boards.iron import exists, replace

_FILE_MAX_BYTES = 16384
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186
_WAIT_MAX_US = 20000


class IronStart:
    """`reset_cause`, `interpreter`; `frozen_hash`: of the program where its files are frozen, else b"";
    `is_production`: the image has a frozen one; `element_counter`: of this start, 0 where none is counted."""

    element_counter = 0

    def __init__(self, parts, clock) -> None:
        """Raises ValueError for a board that has not been provisioned."""
        self._folder = parts.folder
        self._parts = parts
        self._clock = clock
        if not exists(self._folder):
            raise ValueError("{} is not there: provision this module (BOARDS.md section 2)".format(self._folder))
        self.reset_cause = self._take_reset_cause(parts.reset_cause)
        self.interpreter = "{} {} {}".format(
            sys.implementation.name, ".".join(str(part) for part in sys.implementation.version[:3]), sys.platform
        )
        try:
            from frozen_hash import HASH  # type: ignore[import-not-found]  # made by manifest.py

            frozen = HASH
        except ImportError:
            frozen = b""
        here = __file__
        self._root = here[: here.rfind("boards/")]  # "" where the program lies in the current directory
        self.is_production = bool(frozen)
        # What runs from a slot on such an image is not what was frozen: its own files are hashed
        self.frozen_hash = b"" if "/update/" in self._root else frozen

    def read_file(self, name: str) -> bytes:
        """A file of the folder, whole."""
        try:
            size = os.stat(self._folder + "/" + name)[6]
            if size > _FILE_MAX_BYTES:
                raise ValueError("{} has {} bytes, {} at most".format(name, size, _FILE_MAX_BYTES))
            with open(self._folder + "/" + name, "rb") as file:
                return file.read(size)  # a bare read, or one of more, takes more of the heap than the file has
        except OSError as failure:
            raise ValueError("{} cannot be read (errno {}): provision the module".format(name, failure.errno))

    def open_signer(self):
        """The module's ports.Signer: a secure element's where element.json names one, else a soft one."""
        if exists(self._folder + "/element.json"):
            return self._open_element()
        from acq.soft_signer import SoftSigner

        return SoftSigner(self._load_key())

    def publish_key(self, public_key: bytes) -> None:
        """Leave the public key where the registrar fetches it; flash is not written for a key that lies there."""
        if not exists(self._folder + "/public_key.bin") or self.read_file("public_key.bin") != public_key:
            replace(self._folder + "/public_key.bin", public_key)

    def firmware_paths(self):
        """The program's files below its root (SPEC.md section 4.3), in any order."""
        paths = ["main" + _ending(self._root, "main")]
        for folder in ("acq", "acqwire", "boards"):
            paths += _list_program(self._root, folder)
        return paths

    def open_firmware(self, path: str):
        """One of them, open for reading bytes."""
        return open(self._root + path, "rb")

    def explain(self, code: int) -> str:
        """A causes.FAULT_SETTINGS_* in words."""
        if code == causes.FAULT_SETTINGS_MISSING:
            return "is missing"
        return "is not readable as JSON" if code == causes.FAULT_SETTINGS_SYNTAX else "has a value that is not allowed"

    def _take_reset_cause(self, told: int) -> int:
        # Ports call their own reset by different names (rp2: watchdog), so it leaves a note behind
        if exists(self._folder + "/wanted.bin"):
            os.remove(self._folder + "/wanted.bin")
            # Power failed between the note and the reset: that was a power-on all the same
            return fields.RESET_POWER if told == fields.RESET_POWER else fields.RESET_WANTED
        return told

    def _open_element(self):
        from acq.atecc import Element
        from acq.atecc_start import ElementStart

        try:
            wanted = json.loads(self.read_file("element.json"))
            address, slot, counter = wanted["address"], wanted["slot"], wanted.get("counter", -1)
        except (ValueError, KeyError, TypeError):
            raise ValueError('element.json is not {"address": n, "slot": n}, and perhaps "counter": n')
        if not (isinstance(address, int) and 8 <= address <= 0x77 and isinstance(slot, int) and 0 <= slot <= 15):
            raise ValueError("element.json: address is 8 to 119, slot 0 to 15")
        if counter not in (-1, 0, 1):
            raise ValueError("element.json: counter is 0 or 1, or not there")
        start = ElementStart(Element(self._parts.element_bus(), self._clock, address), self._wait)
        signer = start.open(slot)
        if counter >= 0:  # behind all that could still refuse this start
            self.element_counter = start.count_start(counter)
        return signer

    def _wait(self, wait_us: int) -> None:
        import time

        time.sleep_us(min(max(wait_us, 50), _WAIT_MAX_US))

    def _load_key(self) -> bytes:
        if exists(self._folder + "/key.bin"):
            key = self.read_file("key.bin")
            if len(key) != 32:
                raise ValueError("key.bin does not hold 32 bytes: restore it, or remove it and enrol the module anew")
            return key
        entropy = self._parts.entropy
        # Drawn anew while it is no number of 1..n-1. Power fails before the file is there: nothing was signed with it
        key = entropy.key()
        while not 0 < int.from_bytes(key, "big") < _ORDER:
            key = entropy.key()
        replace(self._folder + "/key.bin", key)
        return key


def _ending(root: str, name: str) -> str:
    return ".py" if exists(root + name + ".py") else ".mpy"


def _list_program(root: str, folder: str):
    found = []
    for name in os.listdir(root + folder):
        path = folder + "/" + name
        if name.endswith(".py") or name.endswith(".mpy"):
            found.append(path)
        elif "." not in name and name != "__pycache__":
            found += _list_program(root, path)
    return found
