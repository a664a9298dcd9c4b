"""RS-485 on a machine.UART: ports.Bus485 with driver-enable by pin or by the transceiver itself; ports.HostStream.

No port of MicroPython drives DE by itself (1.25), so the bytes go out as: driver on, one bit time, write, flush, the
board's tail correction, driver off. What flush and write do, from the sources of 1.25 (2026-11-25):

    esp32    flush ends with the last stop bit; its time limit is reckoned from txbuf, and is 0 without one
    rp2      flush ends with the last stop bit from 1.24 on, one character early before
    stm32    write itself returns behind the last stop bit, flush does nothing

Nothing is read without asking any() first: with more room than bytes readinto waits for a further character.
"""

import time

from acqwire import causes

from acq.faults import BusError

TX_BUFFER_BYTES = 512  # the longest ADU has 256
RX_BUFFER_BYTES = 1024  # 89 ms at 115,200 baud
_SCRATCH_BYTES = 64
_SELF_TEST_BYTE = 0x55  # alternating bits; no Modbus server answers a frame of them
_TICKS_MASK = (1 << 30) - 1


class PinDriver:
    """Driver-enable on a pin. `active`: its level while sending; the pin is at rest already."""

    def __init__(self, pin, active: int = 1) -> None:
        self._pin = pin
        self._active = active

    def on(self) -> None:
        self._pin.value(self._active)

    def off(self) -> None:
        self._pin.value(1 - self._active)


class UartBus:
    """ports.Bus485. `driver`: PinDriver, None where the transceiver turns the line by itself. `tail_characters`: for
    how many character times the driver stays on behind flush(), where that returns too early. `txbuf_bytes`: 0 on
    stm32, whose init knows no txbuf."""

    def __init__(self, uart, driver=None, tail_characters: int = 0, txbuf_bytes: int = TX_BUFFER_BYTES) -> None:
        self.uart = uart
        self._driver = driver
        self._txbuf_bytes = txbuf_bytes
        self._tail_characters = tail_characters
        self._scratch = bytearray(_SCRATCH_BYTES)
        self.set_line(9600, "N", 1)

    def set_line(self, baud: int, parity: str, stop_bits: int) -> None:
        """Speed and format of the analyzers, known once the parameter set has been read."""
        more = {"txbuf": self._txbuf_bytes} if self._txbuf_bytes else {}
        self.uart.init(
            baudrate=baud,
            bits=8,
            parity=None if parity == "N" else 0 if parity == "E" else 1,
            stop=stop_bits,
            timeout=0,
            rxbuf=RX_BUFFER_BYTES,
            **more,
        )
        bits = 1 + 8 + (parity != "N") + stop_bits
        self.bit_us = -(-1000000 // baud)
        self.character_us = -(-bits * 1000000 // baud)

    def send(self, buf, count: int) -> None:
        driver = self._driver
        try:
            if driver is not None:
                driver.on()
                time.sleep_us(self.bit_us)
            taken = self.uart.write(buf, count)
            self.uart.flush()
            if self._tail_characters:
                time.sleep_us(self._tail_characters * self.character_us)
        except OSError:
            raise BusError(causes.FAULT_BUS_IO)
        finally:
            if driver is not None:
                driver.off()  # whatever has happened: a driver that stays on silences every analyzer
        if taken != count:
            raise BusError(causes.FAULT_BUS_IO)

    def receive(self, buf, start: int) -> int:
        count = min(self.uart.any(), len(buf) - start)
        if count <= 0:
            return 0
        try:
            if start == 0:
                return self.uart.readinto(buf, count) or 0
            scratch = self._scratch  # no slice of buf: nothing is allocated while polling
            count = self.uart.readinto(scratch, min(count, _SCRATCH_BYTES)) or 0
        except OSError:
            raise BusError(causes.FAULT_BUS_IO)
        for index in range(count):
            buf[start + index] = scratch[index]
        return count

    def drain(self) -> int:
        total = 0
        try:
            waiting = self.uart.any()
            while waiting:
                count = self.uart.readinto(self._scratch, min(waiting, _SCRATCH_BYTES)) or 0
                if not count:
                    break
                total += count
                waiting = self.uart.any()
        except OSError:
            raise BusError(causes.FAULT_BUS_IO)
        return total

    def self_test(self, count: int = 8):
        """Send `count` bytes that no analyzer takes for a request; (tail_us, echoed bytes, wrong bytes among them).

        tail_us: for how long the driver was on before the first start bit and behind the last stop bit, by this
        program's clock, less the one bit time that is wanted; None where no pin turns the line. Echoed is 0 where the
        receiver is off while sending. For the bench, with nobody waiting for an answer."""
        buf = bytearray(_SELF_TEST_BYTE for _ in range(count))
        self.drain()
        started = time.ticks_us()
        self.send(buf, count)
        held_us = (time.ticks_us() - started) & _TICKS_MASK
        time.sleep_us(4 * self.character_us)
        echo = bytearray(2 * count)
        echoed = self.receive(echo, 0)
        wrong = 0
        for index in range(echoed):
            wrong += echo[index] != _SELF_TEST_BYTE
        tail_us = None if self._driver is None else held_us - count * self.character_us - self.bit_us
        return tail_us, echoed, wrong


class UartLine:
    """ports.HostStream. Takes at most `piece_bytes` at once: what a write blocks for where there is no transmit buffer
    or where `driver` (PinDriver) turns a half-duplex line."""

    def __init__(self, uart, driver=None, piece_bytes: int = 64) -> None:
        self.uart = uart
        self._driver = driver
        self._piece_bytes = piece_bytes

    def read(self, buf) -> int:
        count = min(self.uart.any(), len(buf))
        return (self.uart.readinto(buf, count) or 0) if count else 0

    def write(self, buf, start: int, end: int) -> int:
        count = min(end - start, self._piece_bytes)
        driver = self._driver
        if driver is None:
            return self.uart.write(buf, start, count) or 0
        driver.on()
        try:
            taken = self.uart.write(buf, start, count) or 0
            self.uart.flush()
        finally:
            driver.off()
        return taken
