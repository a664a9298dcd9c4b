"""Pin, I2C and watchdog of the fakes. Not imitated: drive, interrupts, pulls other than up; a floating pin reads 0."""

from board_fakes.iron_time import CALL_US


class FakePin:
    """One object for each name: `the_rig` is set by board_fakes.install."""

    the_rig = None
    IN = 0
    OUT = 1
    PULL_UP = 2

    def __init__(self, name, mode=None, pull=None, value=None) -> None:
        self.name = str(name)
        self.rig = self.the_rig
        self.rig.pins.setdefault(self.name, 0 if pull is None else 1)
        if value is not None:
            self.value(value)

    def value(self, level=None):
        rig = self.rig
        if level is None:
            reader = rig.pins[self.name]
            rig.time.now += CALL_US
            return reader() if callable(reader) else reader
        level = int(level)
        rig.time.now += CALL_US
        rig.pins[self.name] = level
        if rig.chip is not None and self.name == "Y5":
            rig.chip.select(level)
        else:
            rig.note("pin", self.name, level)
        return None


class FakeI2c:
    """A bus on which are the rig's `chips`, {address: chip with write(bytes), read(buf)}; 100 kHz."""

    the_rig = None

    def __init__(self, *what, **more) -> None:
        self.writes = []

    def writeto(self, address, buf) -> int:
        self.writes.append((address, bytes(buf)))
        self._chip(address, len(buf)).write(bytes(buf))
        return len(buf)

    def readfrom_into(self, address, buf) -> None:
        self._chip(address, len(buf)).read(buf)

    def _chip(self, address, count):
        self.the_rig.time.now += CALL_US + 90 * (1 + count)
        if address not in self.the_rig.chips:
            raise OSError(19)
        return self.the_rig.chips[address]


class FakeWatchdog:
    """Bites when `bite` finds it hungry. Limits of the ports: rp2 8388 ms, stm32 32768 ms."""

    the_rig = None

    def __init__(self, timeout) -> None:
        limit = {"esp32": 1 << 30, "rp2": 8388, "stm32": 32768}[self.the_rig.port]
        if not 0 < timeout <= limit:
            raise ValueError("timeout")
        self.timeout = timeout
        self.fed = 0
        self.the_rig.watchdogs.append(self)

    def feed(self) -> None:
        self.fed += 1
