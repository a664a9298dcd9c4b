"""Programs of the emulated board: the folder `update` of its directory. Without that folder it knows no updates.

The factory's program is the checkout that main.py was started from. Files are in the system's cache after each write:
they survive kill -9, not the loss of the host's own power.
"""

from boards.host_files import open_raw, touch
from boards.update_folder import UpdateFolder

_ROOM_BYTES = 1048576


class HostUpdates(UpdateFolder):
    """ports.UpdateStore in a folder."""

    def __init__(self, folder: str) -> None:
        UpdateFolder.__init__(self, folder, "host")

    def room(self, place: int) -> int:
        return _ROOM_BYTES

    def footprint(self, size: int) -> int:
        return size

    def write_choice(self, copy: int, record: bytes) -> None:
        with self._open_new("{}/choice.{}".format(self._folder, copy)) as file:
            file.write(record)  # killed within: this copy is void, the other one counts

    def open(self, place: int, name: str):
        return open_raw(self.folder(place) + "/" + name, "rb")

    def _open_new(self, path: str):
        touch(path)
        return open_raw(path, "wb")
