"""Time that only the program moves, and select.poll on fake UARTs. Wraps as on a board: ticks_us at 2**30."""

CALL_US = 15  # one call into the port, with the interpreter's work around it


class FakeTime:
    """Stands for module `time`. `now`: microseconds since the rig began, without a wrap."""

    def __init__(self) -> None:
        self.now = (1 << 30) - 50000  # the counter wraps 50 ms after the start

    def ticks_us(self) -> int:
        self.now += CALL_US
        return self.now & (1 << 30) - 1

    def ticks_ms(self) -> int:
        self.now += CALL_US
        return self.now // 1000 & (1 << 30) - 1

    def ticks_diff(self, later: int, earlier: int) -> int:
        return ((later - earlier + (1 << 29)) & (1 << 30) - 1) - (1 << 29)

    def sleep_us(self, count: int) -> None:
        self.now += count + CALL_US


class Select:
    """Stands for module `select`."""

    def __init__(self, rig) -> None:
        self._rig = rig

    def poll(self):
        return FakePoll(self._rig)


class FakePoll:
    """Ends at once when a UART has bytes, else lets the time pass."""

    def __init__(self, rig) -> None:
        self._rig = rig
        self._uarts = []

    def register(self, uart, events) -> None:
        self._uarts.append(uart)

    def ipoll(self, timeout_ms: int):
        ready = [(uart, 1) for uart in self._uarts if uart.any()]
        if not ready:
            self._rig.time.now += timeout_ms * 1000
        return ready
