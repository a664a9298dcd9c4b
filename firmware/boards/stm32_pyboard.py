"""Pyboard v1.1 (STM32F405RG) with a W25Q64 flash chip and an RS-485 transceiver on its headers.

Pins: MicroPython 1.25, ports/stm32/boards/PYBV11/mpconfigboard.h. Bus: UART 6 on Y1 (TX), Y2 (RX), DE and /RE on Y3.
Uplink: UART 4 on X1 (TX), X2 (RX), for an RS-232, RS-485 or USB adapter. Flash: SPI 2 on Y5 (/CS), Y6 (SCK), Y7 (MISO),
Y8 (MOSI), /WP and /HOLD to 3.3 V. Secure element: I2C X, X9 (SCL), X10 (SDA); an
ADS1115 for own inputs may share it. Contacts to ground: X3 to X6. Light: the green one. Console: USB.

The journal lies on the chip, not in the microcontroller: its own flash stops the core for up to a second when a sector
of 128 KiB is erased, and its UARTs hold one byte.
"""

import machine
import pyb

from boards import iron
from boards.iron_entropy import Entropy, NoEntropy
from boards.iron_i2c import element_bus
from boards.iron_inputs import inputs_maker
from boards.spi_nor import SpiNor
from boards.uart_bus import RX_BUFFER_BYTES, PinDriver, UartBus, UartLine

NAME = "stm32_pyboard"
FOLDER = "/flash/plumeproof"
WATCHDOG_MS = 30000  # the independent watchdog takes 32,768 at most
_BUS_UART, _BUS_DE = 6, "Y3"
_LINK_UART = 4
_LINK_BAUD = 115200
_LINK_PIECE_BYTES = 32  # write blocks until they are out: 2.8 ms
_SPI = 2
_SPI_BAUD = 10000000
_SELECT = "Y5"
_CONTACTS = ("X3", "X4", "X5", "X6")
_LIGHT = "LED_GREEN"


def open_board(folder: str = FOLDER) -> iron.IronBoard:
    """Raises ValueError for a board that is not set up."""
    driver = PinDriver(machine.Pin(_BUS_DE, machine.Pin.OUT, value=0))
    bus = UartBus(machine.UART(_BUS_UART, 9600), driver, txbuf_bytes=0)
    link = machine.UART(_LINK_UART, _LINK_BAUD, timeout=0, rxbuf=RX_BUFFER_BYTES)
    select = machine.Pin(_SELECT, machine.Pin.OUT, value=1)
    flash = SpiNor(machine.SPI(_SPI, baudrate=_SPI_BAUD, polarity=0, phase=0), select)
    i2c = element_bus(machine.I2C, "X")
    return iron.IronBoard(
        iron.Parts(
            folder=folder, bus=bus, uplink=UartLine(link, piece_bytes=_LINK_PIECE_BYTES), flash=flash,
            entropy=Entropy() if hasattr(pyb, "rng") else NoEntropy(), polled=(bus.uart, link),
            watchdog=lambda: machine.WDT(timeout=WATCHDOG_MS),
            light=machine.Pin(_LIGHT, machine.Pin.OUT, value=0).value, reset=machine.reset,
            reset_cause=iron.reset_cause(machine),
            element_bus=i2c, inputs=inputs_maker(i2c, iron.IronClock(), machine.Pin, _CONTACTS),
        )
    )  # fmt: skip
