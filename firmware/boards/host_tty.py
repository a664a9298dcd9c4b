"""Serial lines of the emulated board: ttys (ptys), raw and never blocking. A pty has neither speed nor parity.

A line that hangs up is opened again when its peer is back; until then it is silent, as an unplugged cable is.
"""

import select
import sys
import termios

from acqwire import causes

from acq import faults
from boards.host_files import open_raw

_REOPEN_US = 200000  # a line that has hung up is tried again this often
_WRITE_MAX_BYTES = 256  # a tty that is ready for writing takes this many without blocking (Linux n_tty WAKEUP_CHARS)
_ALL = 65536  # more than any buffer here
_VTIME = 5  # index in the control characters, Linux
_VMIN = 6
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class Tty:
    """One tty, raw and never blocking. A line that hangs up is opened again when its peer is back.

    `is_up` is False while there is no line. Nothing is raised for a missing peer: it is silence."""

    def __init__(self, path: str, clock, poller) -> None:
        self._path = path
        self._clock = clock
        self._poller = poller  # the board's: sleeps on every line
        # One for each direction: `modify` takes an object from the heap where the file's address is no small integer
        self._in_poller = select.poll()
        self._out_poller = select.poll()
        self._file = None
        self._tried = clock.ticks()
        self._open()

    @property
    def is_up(self) -> bool:
        return self._file is not None

    def read(self, buf, limit: int = _ALL) -> int:
        """Bytes that have arrived, as many as fit buf and at most `limit`."""
        if self._ready(self._in_poller, select.POLLIN) == 0:
            return 0
        try:
            count = self._file.readinto(buf, limit) if _IS_MICROPYTHON else self._file.readinto(memoryview(buf)[:limit])
        except OSError:  # EIO: the other side is gone
            self._close()
            return 0
        return count or 0

    def write(self, buf, start: int, end: int) -> int:
        """As much of buf[start:end] as fits now."""
        if self._ready(self._out_poller, select.POLLOUT) == 0:
            return 0
        try:
            count = min(end - start, _WRITE_MAX_BYTES)
            if _IS_MICROPYTHON:
                return self._file.write(buf, start, count) or 0  # no slice: nothing is allocated while polling
            return self._file.write(memoryview(buf)[start : start + count]) or 0
        except OSError:
            self._close()
            return 0

    def close(self) -> None:
        """For good."""
        if self._file is not None:
            self._close()

    def _ready(self, poller, wanted: int) -> int:
        if self._file is None:
            if self._clock.elapsed(self._clock.ticks(), self._tried) < _REOPEN_US:
                return 0
            self._open()
            if self._file is None:
                return 0
        for pair in poll_lines(poller, 0):
            if pair[1] & (select.POLLHUP | select.POLLERR):
                self._close()
                return 0
            return pair[1] & wanted
        return 0

    def _open(self) -> None:
        self._tried = self._clock.ticks()
        try:
            file = open_raw(self._path, "r+b")
        except OSError:
            return
        _set_raw(file)
        self._file = file
        self._in_poller.register(file, select.POLLIN)
        self._out_poller.register(file, select.POLLOUT)
        self._poller.register(file, select.POLLIN)

    def _close(self) -> None:
        self._in_poller.unregister(self._file)
        self._out_poller.unregister(self._file)
        self._poller.unregister(self._file)
        self._file.close()
        self._file = None
        self._tried = self._clock.ticks()


class HostBus:
    """RS-485 line on a tty. A line without a peer is silent (timeouts), as an unplugged cable is."""

    def __init__(self, tty: Tty) -> None:
        self._tty = tty
        self._scratch = bytearray(256)

    def close(self) -> None:
        """For good."""
        self._tty.close()

    def send(self, buf, count: int) -> None:
        start = 0
        while start < count:  # an ADU is at most 256 bytes: one write unless the peer has stopped reading
            taken = self._tty.write(buf, start, count)
            if taken == 0:
                if self._tty.is_up:
                    raise faults.BusError(causes.FAULT_BUS_IO)
                return
            start += taken

    def receive(self, buf, start: int) -> int:
        if start == 0:
            return self._tty.read(buf)
        scratch = self._scratch  # no slice of buf: nothing is allocated while polling
        count = self._tty.read(scratch, min(len(scratch), len(buf) - start))
        for index in range(count):
            buf[start + index] = scratch[index]
        return count

    def drain(self) -> int:
        total = 0
        count = self._tty.read(self._scratch)
        while count:
            total += count
            count = self._tty.read(self._scratch)
        return total


def poll_lines(poller, timeout_ms: int):
    """(file, events) pairs, without allocating on MicroPython."""
    return poller.ipoll(timeout_ms) if _IS_MICROPYTHON else poller.poll(timeout_ms)


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
