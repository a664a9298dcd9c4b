"""A module with own inputs on the rig of app_parts: its parameter set and its inputs, by hand.

Not imitated: noise, the time that a real conversion takes (one look goes by), pull-ups.
"""

import json

from acqwire import causes
from app_parts import Rig, parameter_set

from acq.faults import BusError


class RigInputs:
    """ports.Inputs; `is_torn`: every access fails. `is_slow`: no conversion ends."""

    def __init__(self, analog, digital_count: int) -> None:
        self.analog = analog
        self.analog_count = len(analog)
        self.digital_count = digital_count
        self.mask = 0
        self.is_torn = self.is_slow = False
        self._index = self._asked = 0

    def begin(self, index: int) -> None:
        self._check()
        self._index, self._asked = index, 0

    def counts(self) -> int:
        self._check()
        self._asked += 1
        return -1 if self._asked < 3 or self.is_slow else self.analog[self._index]

    def levels(self) -> int:
        self._check()
        return self.mask

    def _check(self) -> None:
        if self.is_torn:
            raise BusError(causes.FAULT_BUS_IO)


def own_set(slot_ms=1000, seal_ms=3000, debounce_ms=20, calibrations=None):
    """Unit 1 on the bus (block 0), then own inputs: counts 0 to 2, levels 0 to 9, edges 0 to 3 (blocks 1 to 3)."""
    whole = json.loads(parameter_set(slot_ms, seal_ms, (1, 0)))
    whole["inputs"] = {"debounce_ms": debounce_ms}
    whole["blocks"] = whole["blocks"][:1] + [
        {"analyzer": 1, "function": 4, "address": 0, "quantity": 3},
        {"analyzer": 1, "function": 2, "address": 0, "quantity": 10},
        {"analyzer": 1, "function": 3, "address": 0, "quantity": 4},
    ]
    if calibrations is not None:
        whole["calibrations"] = calibrations
    return whole


def own_rig(whole, port):
    """A rig whose board has these inputs; `port` None: it has none."""
    rig = Rig(units=(1,))
    rig.parameters = rig.board.parameters = json.dumps(whole).encode()
    rig.board.open_inputs = lambda: port
    return rig
