"""LILYGO T-CAN485: ESP32, 4 MB flash, MAX13487E that turns the line by itself.

Pins: LILYGO, T-CAN485, libraries/Mylibrary/pin_config.h, 2024-06-22; transceiver: Maxim 19-0740 Rev 0, 1/07. The boost
converter feeds the transceiver; /SHDN high wakes it. /RE high leaves the receiver to the AutoDirection circuit, so that
nothing of our own is heard; low forces it on: an echo, for the self-test. UART 0 is the console on USB.

Uplink: 3.3 V lines for an RS-232, RS-485 or USB adapter (see that the header has them). Light: the WS2812, dim green.
Secure element: SDA 25, SCL 18; an ADS1115 for own inputs may share them. No contacts: no free pin is sure.
"""

import machine
import neopixel

from boards import esp32_chip, iron
from boards.iron_i2c import element_bus
from boards.iron_inputs import inputs_maker
from boards.uart_bus import RX_BUFFER_BYTES, TX_BUFFER_BYTES, UartBus, UartLine

NAME = "esp32_t_can485"
_BUS_UART, _BUS_TX, _BUS_RX = 1, 22, 21
_RECEIVER_OFF, _AWAKE, _BOOST = 17, 19, 16
_LINK_UART, _LINK_TX, _LINK_RX = 2, 33, 32
_LINK_BAUD = 115200
_SDA, _SCL = 25, 18
_PIXEL = 4
_GREEN = (0, 8, 0)
_DARK = (0, 0, 0)


def open_board(folder: str = iron.FOLDER) -> iron.IronBoard:
    """Raises ValueError for a board that is not set up."""
    machine.Pin(_BOOST, machine.Pin.OUT, value=1)
    machine.Pin(_AWAKE, machine.Pin.OUT, value=1)
    machine.Pin(_RECEIVER_OFF, machine.Pin.OUT, value=1)
    bus = UartBus(machine.UART(_BUS_UART, baudrate=9600, tx=_BUS_TX, rx=_BUS_RX))
    link = machine.UART(
        _LINK_UART, baudrate=_LINK_BAUD, tx=_LINK_TX, rx=_LINK_RX, timeout=0, rxbuf=RX_BUFFER_BYTES,
        txbuf=TX_BUFFER_BYTES,
    )  # fmt: skip
    pixel = neopixel.NeoPixel(machine.Pin(_PIXEL), 1)

    def light(is_on: bool) -> None:
        pixel[0] = _GREEN if is_on else _DARK
        pixel.write()

    i2c = element_bus(machine.I2C, 0, sda=machine.Pin(_SDA), scl=machine.Pin(_SCL))
    return iron.IronBoard(
        iron.Parts(
            folder=folder, bus=bus, uplink=UartLine(link, piece_bytes=esp32_chip.PIECE_BYTES),
            flash=esp32_chip.open_journal(), entropy=esp32_chip.open_entropy(), polled=(bus.uart, link),
            watchdog=esp32_chip.open_watchdog, light=light, reset=machine.reset,
            reset_cause=iron.reset_cause(machine),
            element_bus=i2c, inputs=inputs_maker(i2c, iron.IronClock()),
        )
    )  # fmt: skip


def self_test(bus, count: int = 8):
    """UartBus.self_test with the receiver on, so that the own bytes come back."""
    machine.Pin(_RECEIVER_OFF, machine.Pin.OUT, value=0)
    try:
        return bus.self_test(count)
    finally:
        machine.Pin(_RECEIVER_OFF, machine.Pin.OUT, value=1)
