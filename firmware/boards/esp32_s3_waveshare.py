"""Waveshare ESP32-S3-RS485-CAN: ESP32-S3R8, 16 MB flash, isolated SP3485EN with driver-enable on a pin.

Pins: Waveshare, ESP32-S3-RS485-CAN wiki page and its WS_GPIO.h (as read in 2025-09): TXD 17, RXD 18, TXD1EN 21. GPIO 21
drives DE and /RE as one net and floats at reset: it is set low before anything else, or the receiver stays off
(RAR/esphome-tigomonitor pull request 54, 2026-08-18). So there is no echo of our own bytes. Console: USB.

Uplink and secure element: 3.3 V lines on pins 1, 2 and 4, 5 of the chip, for a wiring of one's own: look which of them
the header of your revision brings out; an ADS1115 for own inputs may share the element's. No contacts. No light of our
own: the board's TX and RX lamps show the bus.
"""

import machine

from boards import esp32_chip, iron
from boards.iron_i2c import element_bus
from boards.iron_inputs import inputs_maker
from boards.uart_bus import RX_BUFFER_BYTES, TX_BUFFER_BYTES, PinDriver, UartBus, UartLine

NAME = "esp32_s3_waveshare"
_BUS_UART, _BUS_TX, _BUS_RX, _BUS_DE = 1, 17, 18, 21
_LINK_UART, _LINK_TX, _LINK_RX = 2, 1, 2
_LINK_BAUD = 115200
_SDA, _SCL = 4, 5


def open_board(folder: str = iron.FOLDER) -> iron.IronBoard:
    """Raises ValueError for a board that is not set up."""
    driver = PinDriver(machine.Pin(_BUS_DE, machine.Pin.OUT, value=0))
    bus = UartBus(machine.UART(_BUS_UART, baudrate=9600, tx=_BUS_TX, rx=_BUS_RX), driver)
    link = machine.UART(
        _LINK_UART, baudrate=_LINK_BAUD, tx=_LINK_TX, rx=_LINK_RX, timeout=0, rxbuf=RX_BUFFER_BYTES,
        txbuf=TX_BUFFER_BYTES,
    )  # fmt: skip
    i2c = element_bus(machine.I2C, 0, sda=machine.Pin(_SDA), scl=machine.Pin(_SCL))
    return iron.IronBoard(
        iron.Parts(
            folder=folder, bus=bus, uplink=UartLine(link, piece_bytes=esp32_chip.PIECE_BYTES),
            flash=esp32_chip.open_journal(), entropy=esp32_chip.open_entropy(), polled=(bus.uart, link),
            watchdog=esp32_chip.open_watchdog, light=lambda is_on: None, reset=machine.reset,
            reset_cause=iron.reset_cause(machine),
            element_bus=i2c, inputs=inputs_maker(i2c, iron.IronClock()),
        )
    )  # fmt: skip
