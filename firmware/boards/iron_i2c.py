"""ports.ElementBus on machine.I2C at 100 kHz (SECURE_ELEMENT.md section 3)."""


class I2cElementBus:
    """One secure element on an I2C bus of its own."""

    def __init__(self, i2c) -> None:
        self._i2c = i2c

    def wake(self) -> None:
        try:
            self._i2c.writeto(0, b"\x00")  # address 0 and its write bit: SDA low for 80 us. Nobody acknowledges
        except OSError:
            pass

    def write(self, address: int, buf) -> bool:
        try:
            self._i2c.writeto(address, buf)
        except OSError:
            return False
        return True

    def read(self, address: int, buf) -> bool:
        try:
            self._i2c.readfrom_into(address, buf)
        except OSError:
            return False
        return True


def element_bus(i2c, number, **pins):
    """A maker of the bus: a module with a soft signer never touches its pins. i2c: machine.I2C."""
    return lambda: I2cElementBus(i2c(number, freq=100000, **pins))
