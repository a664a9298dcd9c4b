"""An ADS1115 on an I2C line, byte by byte as its data sheet has it (TI SBAS444D, January 2018, sections 9.3, 9.5, 9.6).

Not imitated: comparator, continuous conversion, differential inputs, noise, high-speed mode, the reset by general call.
"""

ADDRESS = 72
_FULL_SCALES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)  # volts, table 8: PGA
_RATES = (8, 16, 32, 64, 128, 250, 475, 860)  # samples a second: DR
_POWER_UP = 0x8583


class FakeAds1115:
    """`volts` at AIN0 to AIN3; `slow_percent`: of its oscillator, 10 at most."""

    def __init__(self, time, volts, slow_percent=10) -> None:
        self._time = time
        self.volts = volts
        self._slow_percent = slow_percent
        self.reset()

    def reset(self) -> None:
        """Power was away."""
        self._pointer = 0
        self._configuration = _POWER_UP
        self._result = 0
        self._ready_us = 0
        self.conversions = 0

    def write(self, raw) -> None:
        if len(raw) not in (1, 3):
            raise OSError(5)
        self._pointer = raw[0] & 3
        if len(raw) == 3 and self._pointer == 1:
            self._settle()
            self._configuration = (raw[1] << 8 | raw[2]) & 0x7FFF
            if raw[1] & 0x80 and raw[1] & 1:  # OS in power-down mode: a single shot
                self._start()

    def read(self, buf) -> None:
        self._settle()
        if self._pointer == 0:
            word = self._result & 0xFFFF
        elif self._pointer == 1:
            word = self._configuration | (0 if self._is_busy() else 0x8000)
        else:
            word = (0x8000, 0x7FFF)[self._pointer - 2]
        for index in range(len(buf)):
            buf[index] = (word >> 8 if index % 2 == 0 else word) & 0xFF

    def _start(self) -> None:
        rate = _RATES[self._configuration >> 5 & 7]
        self._ready_us = self._time.now + 1000000 * (100 + self._slow_percent) // (100 * rate)
        self.conversions += 1

    def _is_busy(self) -> bool:
        return self._time.now < self._ready_us

    def _settle(self) -> None:
        """A conversion that has ended is in its register; until then the one before."""
        if self._ready_us and not self._is_busy():
            self._ready_us = 0
            which = self._configuration >> 12 & 7
            assert which >= 4, "against ground only"
            full = _FULL_SCALES[self._configuration >> 9 & 7]
            counts = int(round(self.volts[which - 4] / full * 32768))
            self._result = max(-32768, min(32767, counts))
