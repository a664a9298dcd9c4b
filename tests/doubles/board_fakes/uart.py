"""machine.UART of three ports as far as timing goes: what a write, flush and read do, when each byte is on the line.

From the sources of MicroPython 1.25 (ports/*/machine_uart.c), 2026-11-25: esp32 flush gives up after
(3 + txbuf) * 26000 // baud milliseconds; rp2 flush waits for an idle line; stm32 write returns when the last byte
is out, flush does nothing, init knows no txbuf. A read that asks for more than has come waits a further character time.
Not imitated: FIFO levels, framing errors, a receiver that overruns its hardware (only the software buffer overruns).
"""

from board_fakes.iron_time import CALL_US

_OPTIONS = ("baudrate", "bits", "parity", "stop", "tx", "rx", "timeout", "rxbuf", "txbuf")


class FakeUart:
    """`sent`: (start, end, byte) of each character, nanoseconds; `deliver` puts bytes into its receiver."""

    the_rig = None

    def __init__(self, number, baudrate=115200, **options) -> None:
        self.rig = self.the_rig
        self.number = number
        self.sent = []
        self.received = bytearray()
        self.lost = 0
        self.waited_us = 0  # in reads that asked for more than there was
        self.baudrate, self.parity, self.stop, self.txbuf, self.rxbuf = baudrate, None, 1, 0, 256
        self.pins = {}
        self.free_ns = 0  # when the line is idle again
        self.echo = None  # called with what was sent: a receiver that hears its own driver
        self.fails = False
        self.rig.uarts[number] = self
        self.init(baudrate=baudrate, **options)

    def init(self, baudrate=None, **options) -> None:
        for name in options:
            if name not in _OPTIONS or (name == "txbuf" and self.rig.port == "stm32"):
                raise TypeError("extra keyword arguments given")
        if options.get("timeout", 0) != 0:
            raise AssertionError("the program may not wait inside a read")
        self.baudrate = baudrate or self.baudrate
        self.parity = options.get("parity", self.parity)
        self.stop = options.get("stop", self.stop)
        self.txbuf = options.get("txbuf", self.txbuf)
        self.rxbuf = options.get("rxbuf", self.rxbuf)
        for name in ("tx", "rx"):
            if name in options:
                self.pins[name] = getattr(options[name], "name", str(options[name]))

    @property
    def character_ns(self) -> int:
        return (1 + 8 + (self.parity is not None) + self.stop) * 1000000000 // self.baudrate

    def write(self, buf, *place):
        if self.fails:
            raise OSError(5)
        time = self.rig.time
        start, count = (0, len(buf)) if not place else (0, place[0]) if len(place) == 1 else place
        data = bytes(buf[start : start + count])
        if self.rig.port == "rp2":
            waiting = -((time.now * 1000 - self.free_ns) // self.character_ns)
            data = data[: max(0, self.txbuf + 32 - max(0, waiting))]
            if not data:
                return None
        for byte in data:
            begin = max(self.free_ns, time.now * 1000)
            self.free_ns = begin + self.character_ns
            self.sent.append((begin, self.free_ns, byte))
        if self.echo is not None:
            self.deliver(self.echo(data))
        if self.rig.port == "stm32":
            time.now = max(time.now, self.free_ns // 1000 + 1)
        time.now += CALL_US
        return len(data)

    def flush(self) -> None:
        time = self.rig.time
        limit_us = (3 + self.txbuf) * 26000 // self.baudrate * 1000
        if self.rig.port == "esp32" and self.free_ns // 1000 - time.now > limit_us:
            raise OSError(116)
        until_ns = self.free_ns - (self.character_ns if self.rig.flush == "early" else 0)
        if self.rig.port != "stm32":
            time.now = max(time.now, until_ns // 1000 + 1)
        time.now += CALL_US

    def any(self) -> int:
        self.rig.time.now += CALL_US
        return len(self.received)

    def readinto(self, buf, count=None):
        count = len(buf) if count is None else min(count, len(buf))
        if count > len(self.received):
            self.waited_us += self.character_ns // 750
        taken = min(count, len(self.received))
        buf[:taken] = self.received[:taken]
        self.received = self.received[taken:]
        return taken or None

    def deliver(self, data) -> None:
        room = self.rxbuf - len(self.received)
        self.received += data[:room]
        self.lost += max(0, len(data) - room)
