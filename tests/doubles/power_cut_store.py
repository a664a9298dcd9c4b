"""ports.UpdateStore in memory that fails as flash and file systems do: power cuts inside every write, writes that do
nothing, flip a bit or raise. Runs on both interpreters.

A cut leaves the first bytes of the write done. Removing a file is one operation each. Not imitated: wear, time, a file
system that loses more than the file that was being written.
"""

import io

from acqwire import update
from flash_parts import PowerCut

NOTHING = 1  # the write says it is done and did nothing
FLIPPED = 2  # one bit of it is wrong
ERROR = 3  # OSError


class PowerCutStore:
    """`operations`: changes so far. `cut_operation`, `cut_prefix`: where the power goes, before which byte of that
    write. `faults`: {operation: NOTHING, FLIPPED or ERROR}."""

    board = "host"
    mpy = 774
    capacity_bytes = 65536
    waste_bytes = 0  # of each file

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.places = [{}, {}, {}, {}]
        self.choices = [b"", b""]
        self.operations = 0
        self.cut_operation = -1
        self.cut_prefix = 0
        self.faults = {}
        self.fed = 0
        self._is_off = False

    def feed(self) -> None:
        self.fed += 1

    def factory_root(self) -> bytes:
        return self.root

    def read_choice(self, copy: int) -> bytes:
        self._live()
        return self.choices[copy]

    def write_choice(self, copy: int, record: bytes) -> None:
        def put(done):  # the bytes behind the cut are the old ones
            self.choices[copy] = bytes(done) + (self.choices[copy][len(done) :] if len(done) < len(record) else b"")

        self._change(record, put)

    def folder(self, place: int) -> str:
        return "place" + str(place)

    def room(self, place: int) -> int:
        return self.capacity_bytes

    def footprint(self, size: int) -> int:
        return size + self.waste_bytes

    def clear(self, place: int) -> bool:
        files = self.places[place]
        if not files:
            return False
        name = min(files)
        self._change(b"x", lambda done: files.pop(name) if done else None)
        return True

    def create(self, place: int, name: str):
        files = self.places[place]

        def put(done):
            if done:
                files[name] = bytearray()

        self._change(b"x", put)
        return _File(self, files.get(name, bytearray()))

    def open(self, place: int, name: str):
        self._live()
        if name not in self.places[place]:
            raise OSError(2)
        return io.BytesIO(self.places[place][name])  # the interpreter's json reads nothing but its own streams

    def names(self, place: int):
        self._live()
        return list(self.places[place])

    def power_on(self) -> None:
        """After a cut."""
        self._is_off = False
        self.cut_operation = -1

    def _live(self) -> None:
        if self._is_off:
            raise PowerCut()

    def _change(self, data, put) -> None:
        """put(what of data arrives)."""
        self._live()
        number = self.operations
        self.operations += 1
        if number == self.cut_operation:
            put(data[: min(self.cut_prefix, len(data))])
            self._is_off = True
            raise PowerCut()
        fault = self.faults.get(number)
        if fault == ERROR:
            put(data[: len(data) // 2])
            raise OSError(5)
        if fault == FLIPPED and data:
            data = bytearray(data)
            data[len(data) // 2] ^= 4
        if fault != NOTHING:
            put(bytes(data))


class _File:
    """Open for writing."""

    def __init__(self, store, content) -> None:
        self._store = store
        self._content = content

    def write(self, data) -> int:
        self._store._change(bytes(data), self._content.extend)
        return len(data)

    def close(self) -> None:
        pass


assert update.INCOMING == 3
