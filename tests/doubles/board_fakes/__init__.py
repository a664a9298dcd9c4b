"""What the board files import from MicroPython's ports, on a clock that only they move: `install(port)` puts it there.

Runs on both interpreters. Each call costs CALL_US, as Python does on a board; everything else that takes time says so.
Not imitated: electrical behaviour (bias, collisions, RC of automatic transceivers), interrupts, DMA, real latency of an
interpreter, pin functions that exclude each other, the ports' refusals of odd pins or speeds.
"""

import sys

from board_fakes.flash_device import FakeFlashDevice
from board_fakes.iron_time import FakePoll, FakeTime, Select
from board_fakes.pins import FakeI2c, FakePin, FakeWatchdog
from board_fakes.pio import pio_module
from board_fakes.uart import FakeUart
from board_fakes.w25q import FakeSpi, W25q

__all__ = ("FakePoll", "Rig", "install")

_modules = {}  # name: Module; they stay, so that board files are imported once and see the newest rig


class Module:
    """Stands in sys.modules."""

    def __init__(self, **names) -> None:
        self.set(names)

    def set(self, names) -> None:
        for name in getattr(self, "names", ()):
            if hasattr(self, name):
                delattr(self, name)
        for name in names:
            setattr(self, name, names[name])
        self.names = tuple(names)


class Rig:
    """Everything outside the program. `port`: esp32, rp2 or stm32; `events`: (time us, what, ...) in order."""

    def __init__(self, port, flush, sectors) -> None:
        self.port = port
        self.flush = flush
        self.time = FakeTime()
        self.events = []
        self.uarts = {}
        self.pins = {}
        self.watchdogs = []
        self.resets = 0
        self.told_cause = 1
        self.radio = []
        self.pixels = []
        self.device = None if port == "stm32" else FakeFlashDevice(self.time, sectors, 256 if port == "rp2" else 1)
        self.is_encrypted = False
        self.has_partition = True
        self.chip = W25q(self.time, sectors) if port == "stm32" else None
        self.state_machines = []
        self.chips = {}  # on the I2C line, by address

    def note(self, *what) -> None:
        self.events.append((self.time.now,) + what)

    def pin_times(self, name):
        """(time us, level) of every change of a pin."""
        return [(event[0], event[3]) for event in self.events if event[1] == "pin" and event[2] == str(name)]

    def reset(self) -> None:
        self.resets += 1


def install(port, flush="exact", sectors=8):
    """Put fakes of a port in place; the Rig. flush: exact, or early (rp2 before 1.24: one character before the end)."""
    rig = Rig(port, flush, sectors)
    _put("machine", _machine(rig))
    if port == "esp32":
        _put("esp32", {"Partition": _partition(rig)})
        _put("neopixel", {"NeoPixel": lambda pin, count: FakePixel(rig)})
        _put("network", {"STA_IF": 0, "WLAN": lambda which: Module(active=rig.radio.append)})
    elif port == "rp2":
        _put("rp2", pio_module(rig))
    else:
        _put("pyb", {"rng": lambda: 1})
    return rig


def _put(name, names) -> None:
    if name not in _modules:
        _modules[name] = sys.modules[name] = Module()
    _modules[name].set(names)


def bind_time(rig, *modules) -> None:
    """Let board files that have been imported use the rig's clock, and wait on its UARTs."""
    for module in modules:
        if hasattr(module, "time"):
            module.time = rig.time
        if hasattr(module, "select"):
            module.select = Select(rig)


class FakePixel:
    def __init__(self, rig) -> None:
        self._rig = rig
        self._colour = None

    def __setitem__(self, index, colour) -> None:
        self._colour = colour

    def write(self) -> None:
        self._rig.pixels.append(self._colour)


def _machine(rig):
    class Pin(FakePin):
        the_rig = rig

    class Uart(FakeUart):
        the_rig = rig

    class Watchdog(FakeWatchdog):
        the_rig = rig

    class I2c(FakeI2c):
        the_rig = rig

    names = {"PWRON_RESET": 1, "WDT_RESET": 3}
    if rig.port != "rp2":  # which knows these two only
        names["HARD_RESET"] = 2
        names["SOFT_RESET"] = 0 if rig.port == "stm32" else 5
    names.update(
        Pin=Pin, UART=Uart, WDT=Watchdog, I2C=I2c, SPI=lambda *what, **more: FakeSpi(rig.chip), reset=rig.reset,
        reset_cause=lambda: rig.told_cause,
    )  # fmt: skip
    return names


def _partition(rig):
    class Partition:
        TYPE_DATA = 1

        @staticmethod
        def find(type, label=None):
            if label != "journal" or type != 1 or not rig.has_partition:
                return []
            rig.device.info = lambda: (1, 0x40, 0x280000, 0x180000, "journal", rig.is_encrypted)
            return [rig.device]

    return Partition
