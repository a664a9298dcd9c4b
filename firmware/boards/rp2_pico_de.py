"""Raspberry Pi Pico or Pico 2 with two RS-485 transceivers of the MAX3485 kind, direction by PIO and by pin.

Bus: TX GP2 and DE GP3 from a PIO state machine (rp2_pio_bus), RX GP1 into UART 0; /RE joined with DE, so no echo.
Uplink: UART 1 on GP4, GP5, its DE and /RE on GP6. Any breakout with DI, RO, DE, /RE at 3.3 V will do (MAX3485, SP3485,
THVD1400). A resistor of 10 kOhm from each DE to ground keeps the drivers off until the program starts. Console: USB.

Light: GP25. Secure element: I2C 0, SDA GP8, SCL GP9; an ADS1115
for own inputs may share it. Contacts to ground: GP10 to GP13.
"""

import machine

from boards import iron, rp2_chip
from boards.iron_entropy import Entropy
from boards.iron_i2c import element_bus
from boards.iron_inputs import inputs_maker
from boards.rp2_pio_bus import PioBus
from boards.uart_bus import RX_BUFFER_BYTES, TX_BUFFER_BYTES, PinDriver, UartLine

NAME = "rp2_pico_de"
_BUS_UART, _BUS_TX, _BUS_DE, _BUS_RX, _UART_TX = 0, 2, 3, 1, 0
_LINK_UART, _LINK_TX, _LINK_RX, _LINK_DE = 1, 4, 5, 6
_LINK_BAUD = 115200
_SDA, _SCL = 8, 9
_CONTACTS = (10, 11, 12, 13)
_LIGHT = 25


def open_board(folder: str = iron.FOLDER) -> iron.IronBoard:
    """Raises ValueError for a board that is not set up."""
    # The UART listens only; its own TX (GP0) is not connected, for UART() will not do without one
    uart = machine.UART(_BUS_UART, baudrate=9600, tx=machine.Pin(_UART_TX), rx=machine.Pin(_BUS_RX))
    bus = PioBus(uart, machine.Pin(_BUS_TX), machine.Pin(_BUS_DE))
    link = machine.UART(
        _LINK_UART, baudrate=_LINK_BAUD, tx=machine.Pin(_LINK_TX), rx=machine.Pin(_LINK_RX), timeout=0,
        rxbuf=RX_BUFFER_BYTES, txbuf=TX_BUFFER_BYTES,
    )  # fmt: skip
    link_driver = PinDriver(machine.Pin(_LINK_DE, machine.Pin.OUT, value=0))
    i2c = element_bus(machine.I2C, 0, sda=machine.Pin(_SDA), scl=machine.Pin(_SCL))
    return iron.IronBoard(
        iron.Parts(
            folder=folder, bus=bus, uplink=UartLine(link, link_driver, rp2_chip.LINK_PIECE_BYTES),
            flash=rp2_chip.open_journal(), entropy=Entropy(), polled=(bus.uart, link),
            watchdog=rp2_chip.open_watchdog, light=machine.Pin(_LIGHT, machine.Pin.OUT, value=0).value,
            reset=machine.reset, reset_cause=iron.reset_cause(machine),
            element_bus=i2c, inputs=inputs_maker(i2c, iron.IronClock(), machine.Pin, _CONTACTS),
        )
    )  # fmt: skip
