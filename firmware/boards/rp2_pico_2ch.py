"""Raspberry Pi Pico or Pico 2 on a Waveshare Pico-2CH-RS485: two RS-485 channels whose transceivers turn by themselves.

Pins: Waveshare's demo RS485_send.py for Pico-2CH-RS485: UART 0 on GP0, GP1 (channel 0: the bus), UART 1 on GP4, GP5
(channel 1: the uplink). The direction is made from TXD by an RC circuit: there is no DE pin, no echo, and the time it
takes to let go of the line limits the speed: measure before using more than 38,400 baud on the bus. Console: USB.

Light: the Pico's own (GP25 on Pico and Pico 2, not on the wireless ones). Secure element: I2C 1, SDA GP6, SCL GP7;
an ADS1115 for own inputs may share it. Contacts to ground: GP10 to GP13.
"""

import machine

from boards import iron, rp2_chip
from boards.iron_entropy import Entropy
from boards.iron_i2c import element_bus
from boards.iron_inputs import inputs_maker
from boards.uart_bus import RX_BUFFER_BYTES, TX_BUFFER_BYTES, UartBus, UartLine

NAME = "rp2_pico_2ch"
_BUS_UART, _BUS_TX, _BUS_RX = 0, 0, 1
_LINK_UART, _LINK_TX, _LINK_RX = 1, 4, 5
_LINK_BAUD = 115200
_SDA, _SCL = 6, 7
_CONTACTS = (10, 11, 12, 13)
_LIGHT = 25


def open_board(folder: str = iron.FOLDER) -> iron.IronBoard:
    """Raises ValueError for a board that is not set up."""
    bus = UartBus(
        machine.UART(_BUS_UART, baudrate=9600, tx=machine.Pin(_BUS_TX), rx=machine.Pin(_BUS_RX)),
        tail_characters=rp2_chip.TAIL_CHARACTERS,
    )
    link = machine.UART(
        _LINK_UART, baudrate=_LINK_BAUD, tx=machine.Pin(_LINK_TX), rx=machine.Pin(_LINK_RX), timeout=0,
        rxbuf=RX_BUFFER_BYTES, txbuf=TX_BUFFER_BYTES,
    )  # fmt: skip
    i2c = element_bus(machine.I2C, 1, sda=machine.Pin(_SDA), scl=machine.Pin(_SCL))
    return iron.IronBoard(
        iron.Parts(
            folder=folder, bus=bus, uplink=UartLine(link, piece_bytes=rp2_chip.LINK_PIECE_BYTES),
            flash=rp2_chip.open_journal(), entropy=Entropy(), polled=(bus.uart, link),
            watchdog=rp2_chip.open_watchdog, light=machine.Pin(_LIGHT, machine.Pin.OUT, value=0).value,
            reset=machine.reset, reset_cause=iron.reset_cause(machine),
            element_bus=i2c, inputs=inputs_maker(i2c, iron.IronClock(), machine.Pin, _CONTACTS),
        )
    )  # fmt: skip
