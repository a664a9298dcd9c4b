"""An SQLite VFS whose disk fills, errs, and forgets at a power cut what was not synced (reliability section 9).

Works on real files below the default VFS. It does not imitate torn sectors inside one write (SQLite's checksums of the
log are its own business), folders that forget a new name, or a disk that says it has synced and has not.
"""

from __future__ import annotations

import random
from pathlib import Path

import apsw


class FaultyDisk(apsw.VFS):
    """`operations` counts writes, syncs, truncations and deletions; from `fail_from` on, `fail_count` of them fail."""

    def __init__(self, name: str = "faulty-disk") -> None:
        self.name = name
        self.operations = 0
        self.fail_from: int | None = None
        self.fail_count = 1
        self.error: type[apsw.Error] = apsw.FullError
        self.synced: dict[str, bytes] = {}  # content of each file at its last sync
        self.unsynced: dict[str, list[tuple[int, bytes] | int]] = {}  # writes since (offset, bytes), truncations (size)
        super().__init__(name, "")

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def xDelete(self, filename, syncdir):
        self.step()
        super().xDelete(filename, syncdir)
        self.synced.pop(filename, None)
        self.unsynced.pop(filename, None)

    def step(self) -> None:
        """Count one operation; raise where it is to fail."""
        number = self.operations
        self.operations += 1
        if self.fail_from is not None and self.fail_from <= number < self.fail_from + self.fail_count:
            raise self.error(f"operation {number}")

    def image(self, path: str, dice: random.Random) -> bytes:
        """What a power cut now may leave of a file: what was synced, and of the rest whatever got through."""
        content = bytearray(self.synced.get(path, b""))
        for change in self.unsynced.get(path, []):
            if dice.random() < 0.5:
                continue
            if isinstance(change, int):
                del content[change:]
                continue
            offset, data = change
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
        return bytes(content)

    def cut(self, folder: Path, dice: random.Random) -> None:
        """Write the files as a power cut now may leave them into `folder`."""
        for path in {*self.synced, *self.unsynced}:
            (folder / Path(path).name).write_bytes(self.image(path, dice))


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name, flags) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xWrite(self, data, offset):
        self._disk.step()
        super().xWrite(data, offset)
        self._disk.unsynced.setdefault(self._path, []).append((offset, bytes(data)))

    def xTruncate(self, size):
        self._disk.step()
        super().xTruncate(size)
        self._disk.unsynced.setdefault(self._path, []).append(size)

    def xSync(self, flags):
        self._disk.step()
        super().xSync(flags)
        self._disk.synced[self._path] = Path(self._path).read_bytes()
        self._disk.unsynced[self._path] = []
