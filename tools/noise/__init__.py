"""The bus-noise campaign (reference: reliability section 9, F4): a disturbed RS-485 line, and no wrong value.

    python -m tools.noise --seconds 60 --seed 1 --json        # what `make noise` starts

Sampler, Modbus client and double reads of the firmware poll simulated analyzers over a line that is modelled bit by bit
in simulated time. Registers hold another number in every slot, so that a value of another slot, address or unit is
seen. Phases of noise and of rest take turns. Judged: values that are wrong although no frame was altered and still had
a good CRC (must be 0), those with such a frame (the residual of CRC-16, which is counted), those of the slot before
whose late answer was taken (counted), wrong values of blocks that are read twice (must be 0 at all), and from which
slot of a rest on everything is polled well (the third at the latest). A failure prints its seed.

Not imitated: a second client whose requests are themselves damaged or answered late (two answers may then be owed that
nobody overheard: firmware/DESIGN.md, known limits), and the turn-around of drivers.
"""

import sys
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
if str(FIRMWARE) not in sys.path:
    sys.path.insert(0, str(FIRMWARE))  # the module's program is no package of the gateway
