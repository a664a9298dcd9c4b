"""The emulated board: the ports of acq on a computer, under MicroPython's unix port and under CPython.

Serial lines are ttys (ptys), flash is a file, reset and power cut are process deaths. Files of the directory given:
board.json {"bus", "uplink", "flash", "flash_bytes"} (relative paths start there), settings.json, parameters.json,
key.bin (made at the first start), public_key.bin (written for enrolment).
Not imitated: line speed and parity (a pty has none), erase time, worn or decaying flash, power loss inside a program
(tests/doubles/power_cut_flash does that). The file is in the system's cache after each program: it survives kill -9,
not the loss of the host's own power.
"""

import errno
import json
import os
import select
import sys
import termios
import time

from acqwire import causes

from acq import ports

_SECTOR_BYTES = 4096
_PROGRAM_BYTES = 256
_TICKS_MASK = (1 << 30) - 1
_REOPEN_US = 200000  # a line that has hung up is tried again this often
_WRITE_MAX_BYTES = 256  # a tty that is ready for writing takes this many without blocking (Linux n_tty WAKEUP_CHARS)
_VTIME = 5  # index in the control characters, Linux
_VMIN = 6
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class HostClock(ports.Clock):
    """Microseconds, wrapped at 2**30 as on a 32-bit board, so that wraps happen every 17.9 minutes here too."""

    if _IS_MICROPYTHON:

        def ticks(self) -> int:
            return time.ticks_us() & _TICKS_MASK

    else:

        def ticks(self) -> int:
            return time.monotonic_ns() // 1000 & _TICKS_MASK

    def elapsed(self, later: int, earlier: int) -> int:
        return ((later - earlier + 0x20000000) & _TICKS_MASK) - 0x20000000


class HostEntropy(ports.Entropy):
    """The system's generator."""

    def random(self, count: int) -> bytes:
        return os.urandom(count)


class FileFlash(ports.Flash):
    """NOR flash in a file. A file that is absent or short is filled up with erased bytes."""

    sector_bytes = _SECTOR_BYTES
    program_bytes = _PROGRAM_BYTES

    def __init__(self, path: str, size_bytes: int) -> None:
        if size_bytes <= 0 or size_bytes % _SECTOR_BYTES:
            raise ports.JournalError(causes.FAULT_JOURNAL_GEOMETRY)
        self.sector_count = size_bytes // _SECTOR_BYTES
        self._blank = b"\xff" * _SECTOR_BYTES
        self._old = bytearray(_PROGRAM_BYTES)
        _touch(path)
        self._file = _open(path, "r+b")
        present = self._file.seek(0, 2)
        # killed while filling: the next start fills the rest; a part sector is erased bytes as well
        while present < size_bytes:
            present += self._file.write(self._blank[: size_bytes - present])

    def read(self, offset: int, buf) -> None:
        self._check(offset, len(buf), 1)
        try:
            self._file.seek(offset)
            count = self._file.readinto(buf)
        except OSError:
            raise ports.JournalError(causes.FAULT_FLASH_IO)
        if count != len(buf):
            raise ports.JournalError(causes.FAULT_FLASH_IO)

    def program(self, offset: int, buf) -> None:
        self._check(offset, len(buf), _PROGRAM_BYTES)
        old = self._old
        for start in range(0, len(buf), _PROGRAM_BYTES):
            self.read(offset + start, old)
            for index in range(_PROGRAM_BYTES):
                old[index] &= buf[start + index]
            # killed before: unit unchanged; after: unit programmed; the units behind it are still as they were
            self._write(offset + start, old)

    def erase(self, sector: int) -> None:
        self._check(sector * _SECTOR_BYTES, _SECTOR_BYTES, _SECTOR_BYTES)
        self._write(sector * _SECTOR_BYTES, self._blank)

    def _write(self, offset: int, buf) -> None:
        try:
            self._file.seek(offset)
            count = self._file.write(buf)
        except OSError:
            raise ports.JournalError(causes.FAULT_FLASH_IO)
        if count != len(buf):
            raise ports.JournalError(causes.FAULT_FLASH_IO)

    def _check(self, offset: int, count: int, unit: int) -> None:
        if offset < 0 or offset % unit or count % unit or offset + count > self.sector_count * _SECTOR_BYTES:
            raise ports.JournalError(causes.FAULT_FLASH_IO)


class Tty:
    """One tty, raw and never blocking. A line that hangs up is opened again when its peer is back.

    `is_up` is False while there is no line. Nothing is raised for a missing peer: it is silence."""

    def __init__(self, path: str, clock: HostClock, poller) -> None:
        self._path = path
        self._clock = clock
        self._poller = poller  # the board's: sleeps on every line
        self._own_poller = select.poll()
        self._file = None
        self._tried = clock.ticks()
        self._open()

    @property
    def is_up(self) -> bool:
        return self._file is not None

    def read(self, buf) -> int:
        """Up to len(buf) bytes that have arrived."""
        if self._ready(select.POLLIN) == 0:
            return 0
        try:
            count = self._file.readinto(buf)
        except OSError:  # EIO: the other side is gone
            self._close()
            return 0
        return count or 0

    def write(self, buf, start: int, end: int) -> int:
        """As much of buf[start:end] as fits now."""
        if self._ready(select.POLLOUT) == 0:
            return 0
        try:
            return self._file.write(memoryview(buf)[start : min(end, start + _WRITE_MAX_BYTES)]) or 0
        except OSError:
            self._close()
            return 0

    def _ready(self, wanted: int) -> int:
        if self._file is None:
            if self._clock.elapsed(self._clock.ticks(), self._tried) < _REOPEN_US:
                return 0
            self._open()
            if self._file is None:
                return 0
        self._own_poller.modify(self._file, wanted)
        for pair in _poll(self._own_poller, 0):
            if pair[1] & (select.POLLHUP | select.POLLERR):
                self._close()
                return 0
            return pair[1] & wanted
        return 0

    def _open(self) -> None:
        self._tried = self._clock.ticks()
        try:
            file = _open(self._path, "r+b")
        except OSError:
            return
        _set_raw(file)
        self._file = file
        self._own_poller.register(file, select.POLLIN)
        self._poller.register(file, select.POLLIN)

    def _close(self) -> None:
        self._own_poller.unregister(self._file)
        self._poller.unregister(self._file)
        self._file.close()
        self._file = None
        self._tried = self._clock.ticks()


class HostBus(ports.Bus485):
    """RS-485 line on a tty. A line without a peer is silent (timeouts), as an unplugged cable is."""

    def __init__(self, tty: Tty) -> None:
        self._tty = tty
        self._scratch = bytearray(256)
        self._one = bytearray(1)

    def send(self, buf, count: int) -> None:
        start = 0
        while start < count:  # an ADU is at most 256 bytes: one write unless the peer has stopped reading
            taken = self._tty.write(buf, start, count)
            if taken == 0:
                if self._tty.is_up:
                    raise ports.BusError(causes.FAULT_BUS_IO)
                return
            start += taken

    def receive(self, buf, start: int) -> int:
        if start == 0:
            return self._tty.read(buf)
        count = 0
        while start + count < len(buf) and self._tty.read(self._one):  # no slice: nothing allocated while polling
            buf[start + count] = self._one[0]
            count += 1
        return count

    def drain(self) -> int:
        total = 0
        count = self._tty.read(self._scratch)
        while count:
            total += count
            count = self._tty.read(self._scratch)
        return total


class HostBoard:
    """Everything an emulated module has. `bus`, `uplink`, `flash`, `clock`, `entropy`, `private_key`, `root`."""

    reset_cause = 1  # fields.RESET_POWER: a process always starts from nothing

    def __init__(self, directory: str) -> None:
        if "'" in directory:
            raise ValueError("directory of the emulated module must not contain a quotation mark")
        self._directory = directory
        board = json.loads(self.read_file("board.json"))
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
        self.root = here[: here.rfind("boards/")] or "."

    def read_file(self, name: str) -> bytes:
        """A file of the module's directory, whole."""
        with open(self._path(name), "rb") as file:
            return file.read()

    def publish_key(self, public_key: bytes) -> None:
        """Leave the public key where the registrar fetches it. Killed half-way: written again at the next start."""
        with open(self._path("public_key.bin"), "wb") as file:
            file.write(public_key)

    def feed(self) -> None:
        """No watchdog: the process' parent is one."""

    def wait(self, timeout_us: int) -> None:
        """Sleep until a line has bytes or the time has passed."""
        if timeout_us < 0:
            return
        pairs = _poll(self._poller, timeout_us // 1000)
        for pair in pairs:
            if pair[1] & (select.POLLHUP | select.POLLERR) and not pair[1] & select.POLLIN:
                time.sleep(0.001)  # a dead line reports at once, for ever, until its reader has closed it

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else self._directory + "/" + name

    def _load_key(self) -> bytes:
        path = self._path("key.bin")
        _touch(path)
        key = self.read_file("key.bin")
        if len(key) == 32:
            return key
        if key:
            raise ValueError("key.bin does not hold 32 bytes: restore it or remove the module's directory")
        # A key is drawn anew while it is no number of 1..n-1 (P-256). Killed before the rename: no record has been
        # signed with it. Killed after: it is whole.
        key = self.entropy.random(32)
        while not 0 < int.from_bytes(key, "big") < _ORDER:
            key = self.entropy.random(32)
        _touch(path + ".new")
        with open(path + ".new", "wb") as file:
            file.write(key)
        os.rename(path + ".new", path)
        return key


_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186


def _open(path: str, mode: str):
    return open(path, mode) if _IS_MICROPYTHON else open(path, mode, buffering=0)


def _touch(path: str) -> None:
    """Create a file that only its owner may read, unless it is there."""
    try:
        os.stat(path)
    except OSError as failure:
        if failure.errno != errno.ENOENT:
            raise
        if _IS_MICROPYTHON:  # has neither umask nor chmod
            if os.system("umask 077 && : > '" + path + "'"):
                raise OSError(errno.EACCES)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _set_raw(file) -> None:
    if _IS_MICROPYTHON:
        termios.setraw(file.fileno())
    else:
        import tty

        tty.setraw(file.fileno())
    # VMIN 0, VTIME 0: a read takes what is there. MicroPython's readinto asks until the buffer is full and would
    # otherwise block behind the last byte (seen with 1.25, 2026-11-23).
    attributes = termios.tcgetattr(file.fileno())
    attributes[6][_VMIN] = 0
    attributes[6][_VTIME] = 0
    termios.tcsetattr(file.fileno(), termios.TCSANOW, attributes)


def _poll(poller, timeout_ms: int):
    return poller.ipoll(timeout_ms) if _IS_MICROPYTHON else poller.poll(timeout_ms)
