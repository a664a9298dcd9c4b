"""Places for further programs in a folder: what the emulated board and boards of hardware share of ports.UpdateStore.

root.bin       the factory's root document, put there when the module is provisioned
choice.0, .1   the two copies of the record of choice
a, b           the slots; incoming: roots and manifest while they are checked
"""

import os
import sys

_FOLDERS = ("", "a", "b", "incoming")  # by update.SLOT_A, SLOT_B, INCOMING
_IS_FOLDER = 0x4000
_MPY_BITS = 0x3FF  # version and sub-version of .mpy files
_ROOT_MAX_BYTES = 4096
_CHOICE_MAX_BYTES = 256
_NONE_SUCH = 2  # ENOENT


class UpdateFolder:
    """ports.UpdateStore but for writing and for room."""

    mpy = getattr(sys.implementation, "_mpy", 0) & _MPY_BITS

    def __init__(self, folder: str, board: str) -> None:
        self._folder = folder
        self.board = board

    def feed(self) -> None:
        """No watchdog is armed yet."""

    def guard(self):
        """Nothing: whoever started the process looks after it."""

    def give_up(self, reason) -> None:
        """Nothing: the process ends, and is started again."""

    def factory_root(self) -> bytes:
        return self._read("root.bin", _ROOT_MAX_BYTES)

    def read_choice(self, copy: int) -> bytes:
        return self._read("choice.{}".format(copy), _CHOICE_MAX_BYTES)

    def folder(self, place: int) -> str:
        """Where the files of a place lie."""
        return self._folder + "/" + _FOLDERS[place]

    def clear(self, place: int) -> bool:
        path = self.folder(place)
        if not _exists(path):
            return False
        _remove_one(path)
        return True

    def create(self, place: int, name: str):
        path = self.folder(place)
        for part in [""] + name.split("/")[:-1]:
            path = path + "/" + part if part else path
            if not _exists(path):
                os.mkdir(path)
        return self._open_new(self.folder(place) + "/" + name)

    def open(self, place: int, name: str):
        return open(self.folder(place) + "/" + name, "rb")

    def names(self, place: int):
        return _list(self.folder(place), "") if _exists(self.folder(place)) else []

    def _open_new(self, path: str):
        return open(path, "wb")

    def _read(self, name: str, limit: int) -> bytes:
        if not _exists(self._folder + "/" + name):
            return b""
        with open(self._folder + "/" + name, "rb") as file:
            return file.read(limit)


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as failure:
        if failure.errno != _NONE_SUCH:
            raise
        return False
    return True


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


def _remove_one(folder: str) -> None:
    """One file below it, or the first folder that is empty."""
    for name in os.listdir(folder):
        if _is_folder(folder + "/" + name):
            _remove_one(folder + "/" + name)
        else:
            os.remove(folder + "/" + name)
        return
    os.rmdir(folder)
