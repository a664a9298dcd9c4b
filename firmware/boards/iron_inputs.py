"""ports.Inputs of a board of hardware: an ADS1115 for 4-20 mA, pins with pull-ups for contacts.

The microcontrollers' own converters are not used: ESP32 and RP2040 are not linear to the part in a thousand that a
loop needs (reference: micropython-notes section 10). A contact that closes to ground reads 1.
"""

from boards.ads1115 import Ads1115


class IronInputs(Ads1115):
    """`pins`: machine.Pin, input 0 first."""

    def __init__(self, bus, clock, pins) -> None:
        super().__init__(bus, clock)
        self._pins = pins
        self.digital_count = len(pins)

    def levels(self) -> int:
        levels = 0
        mask = 1
        for pin in self._pins:
            if not pin.value():
                levels |= mask
            mask <<= 1
        return levels


def inputs_maker(element_bus, clock, pin=None, numbers=()):
    """A maker of the inputs: a module that has none in its parameter set never touches them. `element_bus`: the board's
    maker of its I2C line; pin: machine.Pin; numbers: of the contacts."""
    return lambda: IronInputs(element_bus(), clock, [pin(number, pin.IN, pin.PULL_UP) for number in numbers])
