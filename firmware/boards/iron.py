"""What all boards of hardware have in common: files, notes that outlive a reset, watchdog, light, waiting.

A board file builds the parts from its pins and hands them to IronBoard. Everything the module keeps beside its journal
lies in one folder of a LittleFS file system, where a file is replaced whole:

    settings.json, parameters.json   put there by provisioning
    key.bin                          soft signer's private key, made at the first start: who reads the flash has it
    element.json                     {"address", "slot"}: a secure element signs instead, and there is no key.bin
    public_key.bin                   written when it changes, for enrolment
    fault.bin                        why the program ended by itself; gone when its event record is durable
    last_faults.bin                  bad starts and the last faults (notes.py)
    wanted.bin                       the reset that follows is our own

The watchdog is armed by the first round of the program: mounting a journal and making a comb table take longer than
some of them allow. A module whose settings are refused does not reset: its console stays open for provisioning.
"""

import gc
import os
import select
import sys
import time

from acqwire import fields

from boards.notes import Notes

FOLDER = "/plumeproof"
_TICKS_MASK = (1 << 30) - 1
_BLINK_US = 250000
_PAUSE = 6  # blinks' halves between two groups of flashes
_NONE_SUCH = 2  # ENOENT
_POLL_IN = 1  # select.POLLIN, which the stubs of some ports lack


class IronClock:
    """ports.Clock on time.ticks_us, whose period is 2**30 on every port (2**62 where words have 64 bits)."""

    def ticks(self) -> int:
        return time.ticks_us() & _TICKS_MASK

    def elapsed(self, later: int, earlier: int) -> int:
        # In this form everything on the way is a small integer
        return ((later - earlier & _TICKS_MASK) ^ 0x20000000) - 0x20000000


def reset_cause(machine) -> int:
    """fields.RESET_* of the port's machine module. A reset of our own is told apart by wanted.bin. esp32 also calls a
    brown-out a power-on, and a panic the same as machine.reset(): unknown unless we wanted it."""
    told = machine.reset_cause()
    if told == machine.PWRON_RESET:
        return fields.RESET_POWER
    return fields.RESET_WATCHDOG if told == machine.WDT_RESET else fields.RESET_UNKNOWN


class Parts:
    """What a board file has built. `bus`, `uplink`, `flash`, `entropy`: ports; `start`: iron_start.IronStart;
    `polled`: the UARTs to wait for; `watchdog`: makes one (called once); `light`: shows True or False; `reset`: the
    port's machine.reset; `element_bus`: makes the ports.ElementBus, `inputs` the ports.Inputs."""

    def __init__(
        self, folder, bus, uplink, flash, entropy, polled, watchdog, light, reset, reset_cause, element_bus, inputs
    ):
        self.folder = folder
        self.bus = bus
        self.uplink = uplink
        self.flash = flash
        self.entropy = entropy
        self.polled = polled
        self.watchdog = watchdog
        self.light = light
        self.reset = reset
        self.reset_cause = reset_cause  # fields.RESET_*, as the port tells it
        self.element_bus = element_bus
        self.inputs = inputs


class IronBoard(Notes):
    """`bus`, `uplink`, `flash`, `clock`, `entropy`; `start`: IronStart, until it is forgotten."""

    has_light = True
    updates = None  # iron_choice.open_board gives it its places for a second program

    def __init__(self, parts: Parts) -> None:
        """Raises ValueError for a board that is not set up."""
        from boards.iron_start import IronStart
        from boards.notes_start import begin

        self.bus = parts.bus
        self.uplink = parts.uplink
        self.flash = parts.flash
        self.entropy = parts.entropy
        self.clock = IronClock()
        self.open_inputs = parts.inputs  # asked for only if the parameter set wants them
        self._folder = parts.folder
        self._light = parts.light
        self._reset = parts.reset
        self._make_watchdog = parts.watchdog
        self._watchdog = None
        self._flashes = 0
        self._phase = 0
        self._lit = self.clock.ticks()
        self._light(True)  # until the first round, and for good where this start is refused
        self._poller = select.poll()
        for uart in parts.polled:
            self._poller.register(uart, _POLL_IN)
        start = IronStart(parts, self.clock)
        self.start = start  # type: IronStart | None
        begin(self, start.reset_cause)
        if start.is_production:
            close_console()

    def forget_start(self) -> None:
        """Nothing of iron_start and notes_start is needed any more."""
        self.start = None
        sys.modules.pop("boards.iron_start", None)
        sys.modules.pop("boards.notes_start", None)

    def read_part(self, name: str, start: int, count: int) -> bytes:
        """Up to `count` bytes of a file of the folder."""
        with open(self._folder + "/" + name, "rb") as file:
            file.seek(start)
            return file.read(count)

    def note_fault(self, code: int, boot: int, seconds: int) -> None:
        """The program ends by itself; the watchdog brings the next start about, even if no round has armed it."""
        Notes.note_fault(self, code, boot, seconds)
        if self._watchdog is None:
            self._watchdog = self._make_watchdog()

    def exists(self, name: str) -> bool:
        return exists(self._folder + "/" + name)

    def replace(self, name: str, content) -> None:
        replace(self._folder + "/" + name, content)

    def remove(self, name: str) -> None:
        os.remove(self._folder + "/" + name)

    # Running

    def say(self, line: str) -> None:
        """A line on the console, where there is one: never on bus or uplink."""
        print(line)

    def collect(self) -> None:
        """A quiet moment: tidy the module's heap."""
        gc.collect()

    def feed(self) -> None:
        """A round of the program is over. The light flashes as long as there are rounds; one that comes late makes a
        flash longer and leaves none out."""
        watchdog = self._watchdog
        if watchdog is None:
            watchdog = self._watchdog = self._make_watchdog()
        watchdog.feed()
        now = self.clock.ticks()
        if not 0 <= self.clock.elapsed(now, self._lit) < _BLINK_US:
            self._lit = now
            flashes = self._flashes
            self._phase = phase = (self._phase + 1) % (2 * flashes + _PAUSE if flashes else 2)
            self._light(not phase & 1 and (phase < 2 * flashes or not flashes))

    def flashes(self, count: int) -> None:
        """So many flashes and a pause; 0: flashes without a pause."""
        self._flashes = count

    def wants_drain(self) -> bool:
        """Nobody asks a board of hardware to drain."""
        return False

    def drained(self) -> None:
        """Never asked for."""

    def wait(self, timeout_us: int) -> None:
        """Sleep until a line has bytes or the time has passed."""
        for _ in self._poller.ipoll(timeout_us // 1000):
            return

    def restart(self) -> None:
        """Start anew by a reset of the whole chip."""
        replace(self._folder + "/wanted.bin", b"1")
        self._reset()


def close_console() -> None:
    """A production image: no key interrupts it, no console is duplicated. What the port itself offers on USB or UART
    ends only with its build options (manifest.py)."""
    import micropython

    micropython.kbd_intr(-1)
    for slot in (0, 1) if hasattr(os, "dupterm") else ():
        try:
            os.dupterm(None, slot)
        except (ValueError, OSError):  # the port has fewer
            break


def exists(path: str) -> bool:
    """Whether there is anything at `path`."""
    try:
        os.stat(path)
    except OSError as failure:
        if failure.errno != _NONE_SUCH:
            raise
        return False
    return True


def replace(path: str, content: bytes) -> None:
    """Write a file whole. Power fails before the rename: the old one stands; after it: the new one (LittleFS)."""
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)
