"""A file system in the emulated Cortex-M's memory, mounted at / there: the methods that MicroPython asks of one."""

import io
import os

import uctypes
import vfs

_START = 0x21400000
_SIZE = 4 << 20
_FOLDER, _FILE = 0x4000, 0x8000


class _Open(io.IOBase):
    def __init__(self, disk, path, is_new):
        self._disk, self._path, self._at = disk, path, 0
        if is_new:
            disk.files[path] = (disk.end, 0)

    def __enter__(self):
        return self

    def __exit__(self, a, b, c):
        pass

    def write(self, raw):
        start, size = self._disk.files[self._path]
        assert start + size == self._disk.end, "one file at a time"
        self._disk.memory[self._disk.end : self._disk.end + len(raw)] = raw
        self._disk.end += len(raw)
        self._disk.files[self._path] = (start, size + len(raw))
        return len(raw)

    def readinto(self, buf):
        start, size = self._disk.files[self._path]
        count = min(len(buf), size - self._at)
        buf[:count] = self._disk.memory[start + self._at : start + self._at + count]
        self._at += count
        return count

    def read(self, count=-1):
        start, size = self._disk.files[self._path]
        end = size if count < 0 else min(size, self._at + count)
        found = bytes(self._disk.memory[start + self._at : start + end])
        self._at = end
        return found

    def close(self):
        pass

    def ioctl(self, request, arg):
        return 0


class Disk:
    def __init__(self):
        self.memory = memoryview(uctypes.bytearray_at(_START, _SIZE))
        self.end = 0
        self.files = {}
        self.folders = {""}

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def chdir(self, path):
        pass

    def getcwd(self):
        return "/"

    def open(self, path, mode):
        path = path.strip("/")
        is_new = "w" in mode
        if path.rpartition("/")[0] not in self.folders or not (is_new or path in self.files):
            raise OSError(2)
        return _Open(self, path, is_new)

    def stat(self, path):
        path = path.strip("/")
        if path in self.files:
            return (_FILE, 0, 0, 0, 0, 0, self.files[path][1], 0, 0, 0)
        if path in self.folders:
            return (_FOLDER, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(2)

    def ilistdir(self, path):
        path = path.strip("/")
        if path not in self.folders:
            raise OSError(2)
        found = [(name, _FILE) for name in self.files] + [(name, _FOLDER) for name in self.folders if name]
        return iter([(n.rpartition("/")[2], kind, 0) for n, kind in found if n.rpartition("/")[0] == path])

    def mkdir(self, path):
        self.folders.add(path.strip("/"))

    def remove(self, path):
        del self.files[path.strip("/")]

    def rename(self, old, new):
        self.files[new.strip("/")] = self.files.pop(old.strip("/"))


vfs.mount(Disk(), "/")
os.chdir("/")
