"""Programs of the emulated board: the folder `update` of its directory. Without that folder it knows no updates.

    root.bin       the factory's root document, put there with the key when the module is provisioned
    choice.0, .1   the two copies of the record of choice
    a, b           the slots; incoming: roots and manifest while they are checked

The factory's program is the checkout that main.py was started from. Files are in the system's cache after each write:
they survive kill -9, not the loss of the host's own power.
"""

import os
import sys

from boards.host_files import exists, open_raw, touch

_FOLDERS = ("", "a", "b", "incoming")  # by update.SLOT_A, SLOT_B, INCOMING
_CAPACITY_BYTES = 1048576
_IS_FOLDER = 0x4000
_MPY_BITS = 0x3FF  # version and sub-version of .mpy files
_ROOT_MAX_BYTES = 4096
_CHOICE_MAX_BYTES = 256


class HostUpdates:
    """ports.UpdateStore in a folder."""

    board = "host"
    mpy = getattr(sys.implementation, "_mpy", 0) & _MPY_BITS
    capacity_bytes = _CAPACITY_BYTES

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def feed(self) -> None:
        """No watchdog: the process' parent is one."""

    def factory_root(self) -> bytes:
        return self._read("root.bin", _ROOT_MAX_BYTES)

    def read_choice(self, copy: int) -> bytes:
        return self._read("choice.{}".format(copy), _CHOICE_MAX_BYTES)

    def write_choice(self, copy: int, record: bytes) -> None:
        path = "{}/choice.{}".format(self._folder, copy)
        touch(path)
        with open_raw(path, "wb") as file:  # killed within: this copy is void, the other one counts
            file.write(record)

    def folder(self, place: int) -> str:
        """Where the files of a place lie."""
        return self._folder + "/" + _FOLDERS[place]

    def clear(self, place: int) -> None:
        if exists(self.folder(place)):
            _remove(self.folder(place))

    def create(self, place: int, name: str):
        path = self.folder(place)
        for part in [""] + name.split("/")[:-1]:
            path = path + "/" + part if part else path
            if not exists(path):
                os.mkdir(path)
        path = self.folder(place) + "/" + name
        touch(path)
        return open_raw(path, "wb")

    def open(self, place: int, name: str):
        return open_raw(self.folder(place) + "/" + name, "rb")

    def names(self, place: int):
        return _list(self.folder(place), "")

    def _read(self, name: str, limit: int) -> bytes:
        if not exists(self._folder + "/" + name):
            return b""
        with open(self._folder + "/" + name, "rb") as file:
            return file.read(limit)


def _is_folder(path: str) -> bool:
    return os.stat(path)[0] & 0xF000 == _IS_FOLDER


def _list(folder: str, prefix: str):
    found = []
    for name in os.listdir(folder):
        if _is_folder(folder + "/" + name):
            found += _list(folder + "/" + name, prefix + name + "/")
        else:
            found.append(prefix + name)
    return found


def _remove(folder: str) -> None:
    for name in os.listdir(folder):
        if _is_folder(folder + "/" + name):
            _remove(folder + "/" + name)
        else:
            os.remove(folder + "/" + name)
    os.rmdir(folder)
