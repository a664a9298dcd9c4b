"""Stands in the sampler's place in safe mode: nothing is polled, nothing is due, and there is always time.

Imported only then. Neither the sampler nor the Modbus client is, nor are their batches made: what made three starts bad
may well be among them.
"""

from acq.dialect import const

_NEVER_US = const(1000000)
_COLUMNS = const(14)  # of a health record's row, acqwire/counts.py


class Sampler:
    """The face of sampler.Sampler as far as app.py, sealing.py and health.py see it."""

    is_idle = is_finished = has_leisure = True
    stray_bytes_total = next_slot = polls_total = 0
    patience = ()

    def __init__(self, plan) -> None:
        self.counts = [0] * (_COLUMNS * len(plan.analyzers))

    def step(self, now) -> None:
        """Nothing."""

    def wait_us(self, now) -> int:
        return _NEVER_US

    def is_alive(self, now) -> bool:
        return True

    def finish(self) -> None:
        """It is finished."""

    def take(self):
        return None

    def take_lost(self):
        return None
