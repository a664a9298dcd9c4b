"""ADS1115: four analog inputs against ground, 16 bits, on the I2C line of the secure element (address 72, ADDR to GND).

Registers and times: Texas Instruments SBAS444D (January 2018), sections 9.3 and 9.6. Single shots at 128 samples a
second and 4.096 V full scale: over 150 Ohm 4 mA are 4,800 counts, 20 mA 24,000, 21 mA 25,200 (BOARDS.md section 9). The
chip is asked for its configuration before each result: after a brown-out it would answer with another input's voltage.
"""

from acqwire import causes

from acq.faults import BusError

_ADDRESS = 72
_CONVERSION = bytes((0,))  # pointer register
_CONFIGURATION = bytes((1,))
_HIGH = 0xC3  # OS start, MUX AIN0 against GND, PGA 4.096 V, single shot
_HIGH_NEXT = 0x10  # MUX of the next input
_LOW = 0x83  # 128 samples a second, comparator off
_IDLE = 0x80  # OS when read: no conversion is going on
_CONVERSION_US = 8600  # 1/128 s, and 10 % for the chip's oscillator


class Ads1115:
    """`bus`: ports.ElementBus, a shared one will do; `clock`: ports.Clock. Methods as in ports.Inputs."""

    analog_count = 4

    def __init__(self, bus, clock) -> None:
        self._bus = bus
        self._clock = clock
        self._command = bytearray((1, _HIGH, _LOW))
        self._answer = bytearray(2)
        self._began = 0

    def begin(self, index: int) -> None:
        self._command[1] = _HIGH + index * _HIGH_NEXT
        self._write(self._command)
        self._began = self._clock.ticks()

    def counts(self) -> int:
        passed_us = self._clock.elapsed(self._clock.ticks(), self._began)
        if 0 <= passed_us < _CONVERSION_US:
            return -1
        answer = self._answer
        self._write(_CONFIGURATION)
        self._read()
        if answer[0] & ~_IDLE != self._command[1] & ~_IDLE or answer[1] != _LOW:
            raise BusError(causes.FAULT_BUS_IO)  # it has started anew since
        if not answer[0] & _IDLE:
            return -1
        self._write(_CONVERSION)
        self._read()
        # A single input against ground may read a little below zero
        return 0 if answer[0] & 0x80 else answer[0] << 8 | answer[1]

    def _write(self, buf) -> None:
        if not self._bus.write(_ADDRESS, buf):
            raise BusError(causes.FAULT_BUS_IO)

    def _read(self) -> None:
        if not self._bus.read(_ADDRESS, self._answer):
            raise BusError(causes.FAULT_BUS_IO)
