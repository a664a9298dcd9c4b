"""ports.Inputs of the emulated board: a small file that plant or test replaces whole while the module runs.

    offset  size  field
    0       1     analog inputs a
    1       1     digital inputs d
    2       2 a   counts of the analog inputs, 16 bits each, big-endian
    2 + 2a  2     levels, input 0 in bit 0, big-endian

The numbers of inputs are those of the file that lay there at the start. A file that is absent, has another length or
other numbers is a fault of the inputs, as a torn cable to an ADC is.
"""

from acqwire import causes

from acq.faults import BusError
from boards.host_files import open_raw

_HEAD_BYTES = 2
_LEVELS_BYTES = 2
_MOST = 32


class FileInputs:
    """`analog_count`, `digital_count`; an analog input is converted at once."""

    def __init__(self, path: str) -> None:
        """Raises OSError or ValueError for a file that says nothing of inputs."""
        with open_raw(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
        if len(head) != _HEAD_BYTES or head[0] > _MOST or head[1] > 8 * _LEVELS_BYTES:
            raise ValueError("{} does not begin with two numbers of inputs".format(path))
        self._path = path
        self.analog_count = head[0]
        self.digital_count = head[1]
        self._buf = bytearray(_HEAD_BYTES + 2 * head[0] + _LEVELS_BYTES + 1)  # one more: a longer file is seen
        self._index = 0

    def begin(self, index: int) -> None:
        self._index = index

    def counts(self) -> int:
        self._read()
        at = _HEAD_BYTES + 2 * self._index
        return self._buf[at] << 8 | self._buf[at + 1]

    def levels(self) -> int:
        self._read()
        at = _HEAD_BYTES + 2 * self.analog_count
        return (self._buf[at] << 8 | self._buf[at + 1]) & ((1 << self.digital_count) - 1)

    def _read(self) -> None:
        buf = self._buf
        try:
            with open_raw(self._path, "rb") as file:
                count = file.readinto(buf)
        except OSError:
            raise BusError(causes.FAULT_BUS_IO)
        if count != len(buf) - 1 or buf[0] != self.analog_count or buf[1] != self.digital_count:
            raise BusError(causes.FAULT_BUS_IO)
