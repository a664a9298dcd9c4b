"""The emulated board: the ports of acq on a computer, under MicroPython's unix port and under CPython.

Serial lines are ttys (host_tty), flash is a file (host_flash), reset and power cut are process deaths. Started as
`micropython -X heapsize=128wk firmware/main.py DIRECTORY`. In the directory:

    board.json        {"bus", "uplink", "flash", "flash_bytes"}; relative paths start at the directory. "inputs", where
                      there: the file of the module's own inputs (host_inputs.py)
    settings.json     {"link_address"}
    parameters.json   the parameter set
    key.bin           private key, made at the first start
    public_key.bin    written at each start, for enrolment
    fault.bin         why the program ended by itself; gone when its event record is durable
    last_faults.bin   bad starts and the last faults (notes.py)
    heartbeat.bin     a supervisor's file (tools/demo/watchdog.py): written to while every task makes progress
    reset_cause.bin   why the supervisor ended the last run, where it did: `watchdog`
    lamp_flashes      where this file is there at the start: what the light of a module of hardware shows (acq/lamp.py)
    update/           programs beside the checkout's own (host_updates.py); absent: the module takes no updates
    drain             whoever makes this file asks the module to stop polling at the end of the present slot and to seal
                      what it has. It goes on answering the link. When everything is sealed and durable it removes the
                      file and prints `drained`. A module killed in between drains at its next start. It polls again
                      only after a new start.

Prints `ready` when the link answers. Exit status: 0 stopped (Ctrl-C), 1 a fault of the program, 2 directory, settings
or parameters refused. SIGTERM and SIGKILL are power cuts: what is journaled is safe, what is not sealed is lost.
"""

import gc
import os
import select
import sys
import time

from boards import open_updates
from boards.host_clock import HostClock
from boards.host_files import exists, open_raw, replace
from boards.host_flash import FileFlash
from boards.host_tty import HostBus, Tty, poll_lines
from boards.notes import Notes

_LOOK_US = 500000  # the drain file is looked for this often
_IS_MICROPYTHON = sys.implementation.name == "micropython"


class HostEntropy:
    """The system's generator."""

    def random(self, count: int) -> bytes:
        return os.urandom(count)


class HostBoard(Notes):
    """`bus`, `uplink`, `flash`, `clock`, `entropy`; `start`: host_start.HostStart, until it is forgotten."""

    def __init__(self, directory: str) -> None:
        """Raises ValueError or OSError for a directory that cannot be used."""
        from boards.host_start import HostStart

        self.start = HostStart(directory)
        self._directory = directory
        self._count_start()
        lines = self.start.lines
        self._inputs = lines.get("inputs")
        self.clock = HostClock()
        self.entropy = HostEntropy()
        self._poller = select.poll()
        self.bus = HostBus(Tty(self._path(lines["bus"]), self.clock, self._poller))
        self.uplink = Tty(self._path(lines["uplink"]), self.clock, self._poller)
        self.flash = FileFlash(self._path(lines["flash"]), lines["flash_bytes"])
        self._looked = self.clock.ticks()
        self._is_draining = exists(self._path("drain"))
        self.updates = open_updates((None, directory))
        self._beat = open_raw(self._path("heartbeat.bin"), "r+b") if self.exists("heartbeat.bin") else None
        self.has_light = self.exists("lamp_flashes")
        self._seen = -1

    def _count_start(self) -> None:
        import boards
        from boards.notes_start import begin

        begin(self, self.start.reset_cause)
        del boards.notes_start, sys.modules["boards.notes_start"]

    def forget_start(self) -> None:
        """Nothing of host_start is needed any more."""
        import boards

        self.start = None
        del boards.host_start, sys.modules["boards.host_start"]

    def open_inputs(self):
        """The module's own inputs, None where there are none."""
        if self._inputs is None:
            return None
        from boards.host_inputs import FileInputs

        return FileInputs(self._path(self._inputs))

    def read_part(self, name: str, start: int, count: int) -> bytes:
        """Up to `count` bytes of a file of the directory."""
        with open(self._path(name), "rb") as file:
            file.seek(start)
            return file.read(count)

    def exists(self, name: str) -> bool:
        return exists(self._path(name))

    def replace(self, name: str, content) -> None:
        replace(self._path(name), content)

    def remove(self, name: str) -> None:
        os.remove(self._path(name))

    # Running

    def say(self, line: str) -> None:
        """A line for whoever started the process."""
        print(line)
        if not _IS_MICROPYTHON:  # which has no buffer there
            sys.stdout.flush()

    def collect(self) -> None:
        """A quiet moment: tidy the module's heap. CPython does without."""
        if _IS_MICROPYTHON:
            gc.collect()

    def feed(self) -> None:
        """Touch the supervisor's file, where there is one. Without a supervisor nobody watches."""
        if self._beat is not None:
            self._beat.seek(0)
            self._beat.write(b"\n")

    def flashes(self, count: int) -> None:
        """The light: a number in a file, written when it changes."""
        if count != self._seen:
            self._seen = count
            self.replace("lamp_flashes", str(count).encode())

    def wants_drain(self) -> bool:
        """Whether the file `drain` has been seen."""
        if not self._is_draining and self.clock.elapsed(self.clock.ticks(), self._looked) >= _LOOK_US:
            self._looked = self.clock.ticks()
            self._is_draining = exists(self._path("drain"))
        return self._is_draining

    def drained(self) -> None:
        """Everything is sealed and durable. Killed before the file is gone: the next start drains again."""
        os.remove(self._path("drain"))
        self.say("drained")

    def wait(self, timeout_us: int) -> None:
        """Sleep until a line has bytes or the time has passed."""
        for pair in poll_lines(self._poller, timeout_us // 1000):
            if pair[1] & (select.POLLHUP | select.POLLERR) and not pair[1] & select.POLLIN:
                time.sleep(0.001)  # a dead line reports at once, for ever, until its reader has closed it

    def restart(self) -> None:
        """Another program is to start: boards/loader.py chooses it. The lines are left to it."""
        self.bus.close()
        self.uplink.close()

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else self._directory + "/" + name
