"""The plant model: a waste-to-energy line whose values follow load, start-up, calibrations and faults.

Ours, invented for trying the line; realistic in range and in how things go together, not a simulation of combustion.
Every value is a function of seed and plant time alone, so a run can be repeated and any instant asked for.
Plant time begins in normal operation. One week of it:
  load        60..100 %, a new target each hour from the seed, reached in 10 min; a little unrest at 30 s and 7 min
  shut-down   hour 120: load down in 1 h, stopped 3 h (air in the stack), start-up in 2 h with CO, dust and NH3 up
  calibration each analyzer once a day for 8 min, the k-th first at minute 30 + 10 k: 4 min zero, 4 min span; code C
  faults      each analyzer once a day, at an hour of the seed, values held for 10 min, code F; M for 3 h before
  code S      while the line starts up
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b

from tools.plant.layout import Channel

HOUR_S = 3600.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
RAMP_S = 600.0  # from one hour's target to the next
SHUT_DOWN_S = 120 * HOUR_S  # within the week
STOPPED_S = SHUT_DOWN_S + HOUR_S
START_UP_S = STOPPED_S + 3 * HOUR_S
RUNNING_S = START_UP_S + 2 * HOUR_S
CALIBRATION_FIRST_S = 1800.0
CALIBRATION_APART_S = 600.0
CALIBRATION_PART_S = 240.0  # zero, then span
FAULT_S = 600.0
MAINTENANCE_S = 3 * HOUR_S
STEP_S = 0.1  # values change this often at most: analyzers update 10 times a second
SPAN_SHARE = 0.75  # test gas relative to the channel's maximum

# quantity, unit -> (load 0..1, running 0..1, start-up 0..1) -> value. Concentrations as measured (wet, actual state).
_Process = Callable[[float, float, float], float]
PROCESS: dict[tuple[str, str], _Process] = {
    ("NOx", "mg/m3"): lambda load, run, up: run * (70 + 90 * load + 30 * up),
    ("NO2", "mg/m3"): lambda load, run, up: run * (70 + 90 * load + 30 * up) * 0.06,
    ("NO", "mg/m3"): lambda load, run, up: run * (70 + 90 * load + 30 * up) * 0.94 / 1.533,  # NOx counted as NO2
    ("CO", "mg/m3"): lambda load, run, up: run * (12 + 25 * (1 - load)) + 400 * up,
    ("SO2", "mg/m3"): lambda load, run, up: run * (14 + 22 * load),
    ("HCl", "mg/m3"): lambda load, run, up: run * (4 + 4 * load),
    ("NH3", "mg/m3"): lambda load, run, up: run * (1.5 + 1.5 * load) + 6 * up,
    ("dust", "mg/m3"): lambda load, run, up: run * (1.2 + 2.2 * load) + 12 * up,
    ("extinction", "%"): lambda load, run, up: run * (0.8 + 1.3 * load) + 7 * up,
    ("H2O", "%"): lambda load, run, up: 1.0 + run * (13 + 4 * load),
    ("CO2", "%"): lambda load, run, up: run * (7.5 + 3.5 * load),
    ("O2", "%"): lambda load, run, up: 20.9 - run * (10.4 + 3.6 * load),
    ("flow", "m3/h"): lambda load, run, up: 4000 + run * (38_000 + 92_000 * load),
    ("velocity", "m/s"): lambda load, run, up: 0.6 + run * (5.5 + 13 * load),
    ("temperature", "degC"): lambda load, run, up: 24 + run * (96 + 28 * load),
    ("pressure", "hPa"): lambda load, run, up: 1012.0 - run * (1.5 + 3.5 * load),
    ("furnace temperature", "degC"): lambda load, run, up: 30 + run * (830 + 130 * load),
    ("maintenance", "1"): lambda load, run, up: 0.0,
}
# Analyzers of such quantities are not sent zero and span gas; their check concerns the electronics only
UNGASSED = {"flow", "velocity", "temperature", "pressure", "furnace temperature", "maintenance"}


class PlantModel:
    """Values and NE 107 codes of every analyzer as functions of plant time in seconds.

    `analyzers`: ids in the order of the bus; the order decides who is calibrated when.
    """

    def __init__(self, seed: int, analyzers: Sequence[str]) -> None:
        self._seed = seed
        self._place = {name: index for index, name in enumerate(analyzers)}

    def codes(self, analyzer: str, t_s: float) -> frozenset[str]:
        """NE 107 codes that apply: any of F C S M."""
        found = set()
        if self.calibration(analyzer, t_s) is not None:
            found.add("C")
        since_s = self._since_fault_s(analyzer, t_s)
        if 0 <= since_s < FAULT_S:
            found.add("F")
        if -MAINTENANCE_S <= since_s < FAULT_S:
            found.add("M")
        if self.start_up(t_s) > 0:
            found.add("S")
        return frozenset(found)

    def value(self, analyzer: str, channel: Channel, t_s: float) -> float:
        """What the analyzer shows; within the channel's bounds, as a healthy analyzer is."""
        since_s = self._since_fault_s(analyzer, t_s)
        if 0 <= since_s < FAULT_S:
            t_s -= since_s  # holds the last good value
        if channel.quantity == "maintenance":
            return float("M" in self.codes(analyzer, t_s))
        phase = self.calibration(analyzer, t_s)
        if phase is not None and channel.quantity not in UNGASSED:
            gas = channel.maximum * SPAN_SHARE if phase == "span" else max(channel.minimum, 0.0)
            shown = gas + 0.002 * channel.maximum * self._noise(channel.id, t_s, STEP_S)
        else:
            shown = self.undisturbed(channel, t_s)
        return min(max(shown, channel.minimum), channel.maximum)

    def calibration(self, analyzer: str, t_s: float) -> str | None:
        """`zero`, `span` or None."""
        since_s = (t_s - CALIBRATION_FIRST_S - CALIBRATION_APART_S * self._place[analyzer]) % DAY_S
        if since_s >= 2 * CALIBRATION_PART_S:
            return None
        return "zero" if since_s < CALIBRATION_PART_S else "span"

    def running(self, t_s: float) -> float:
        """0 stopped, 1 in operation, between while the line goes down or comes up."""
        in_week_s = t_s % WEEK_S
        if SHUT_DOWN_S <= in_week_s < STOPPED_S:
            return 1 - (in_week_s - SHUT_DOWN_S) / (STOPPED_S - SHUT_DOWN_S)
        if STOPPED_S <= in_week_s < START_UP_S:
            return 0.0
        if START_UP_S <= in_week_s < RUNNING_S:
            return (in_week_s - START_UP_S) / (RUNNING_S - START_UP_S)
        return 1.0

    def start_up(self, t_s: float) -> float:
        """How much of a start-up it is: 0 none, 1 at its middle."""
        in_week_s = t_s % WEEK_S
        if not START_UP_S < in_week_s < RUNNING_S:
            return 0.0
        return math.sin(math.pi * (in_week_s - START_UP_S) / (RUNNING_S - START_UP_S))

    def load(self, t_s: float) -> float:
        """Share of the rated load that the dispatcher wants, 0.6..1 and a little unrest."""
        hour, in_hour_s = divmod(t_s, HOUR_S)
        target = 0.6 + 0.4 * self._uniform("load", int(hour))
        if in_hour_s < RAMP_S:
            before = 0.6 + 0.4 * self._uniform("load", int(hour) - 1)
            target = before + (target - before) * in_hour_s / RAMP_S
        return target + 0.006 * self._unrest("fast", t_s, 30.0) + 0.01 * self._unrest("slow", t_s, 420.0)

    def undisturbed(self, channel: Channel, t_s: float) -> float:
        """The process value as a healthy analyzer that is not being checked sees it."""
        load, run, up = self.load(t_s), self.running(t_s), self.start_up(t_s)
        process = PROCESS.get((channel.quantity, channel.unit))
        if process is None:  # a quantity without a line above moves with the load in the middle of its bounds
            true = channel.minimum + (channel.maximum - channel.minimum) * (0.2 + 0.4 * load * run)
        else:
            true = process(load, run, up)
        drift = self._unrest(channel.quantity, t_s, 90.0)  # the same for all who measure this quantity
        noise = self._noise(channel.id, t_s, STEP_S)
        if channel.quantity == "pressure":
            return true + 0.4 * drift + 0.05 * noise
        return true * (1 + 0.02 * drift + 0.004 * noise)

    def _since_fault_s(self, analyzer: str, t_s: float) -> float:
        """Seconds since the fault of this plant day began; negative before it."""
        day, in_day_s = divmod(t_s, DAY_S)
        hour = 4 + 18 * self._uniform(f"fault {analyzer}", int(day))
        return in_day_s - hour * HOUR_S

    def _unrest(self, name: str, t_s: float, period_s: float) -> float:
        """Wanders smoothly about 0 with spread 1: noise on a grid, joined by half cosines."""
        place, share = divmod(t_s / period_s, 1.0)
        first, second = self._normal(name, int(place)), self._normal(name, int(place) + 1)
        return first + (second - first) * (1 - math.cos(math.pi * share)) / 2

    def _noise(self, name: str, t_s: float, step_s: float) -> float:
        return self._normal(f"noise {name}", int(t_s // step_s))

    def _uniform(self, name: str, index: int) -> float:
        return int.from_bytes(self._random(name, index), "big") / 2**64

    def _normal(self, name: str, index: int) -> float:
        """Sum of four uniform numbers, mean 0, spread 1: nearly normal, at most 3.47."""
        drawn = self._random(name, index)
        total = sum(int.from_bytes(drawn[place : place + 2], "big") for place in (0, 2, 4, 6))
        return (total / 65_536 - 2) * math.sqrt(3)

    def _random(self, name: str, index: int) -> bytes:
        return blake2b(f"{self._seed} {name} {index}".encode(), digest_size=8).digest()
