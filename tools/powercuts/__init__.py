"""The power-cut campaign: the module's own journal on flash that fails in every way flash does, at every operation.

    python -m tools.powercuts --seconds 600 --seed 1 --json        # what `make powercuts` starts

The journal code of firmware/acq runs unchanged. The workload is recorded once, with the flash's image in front of each
operation; every cut then starts from its image, so that nothing is replayed. Five parts: `images` (whatever may lie in
the region), `bits` (every bit of every sector changed), `singles` (every operation x every byte prefix and every other
misbehaviour), `pairs` (all pairs on a ring of eight sectors), `triples` (drawn from the seed). A failure prints the
seed and the shortest schedule found that reproduces it.

Not imitated: cells that stay half programmed and read differently each time after a program (they do after an erase),
wear, time, sectors that suffer from their neighbours.
"""

import sys
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
if str(FIRMWARE) not in sys.path:
    sys.path.insert(0, str(FIRMWARE))  # the module's program is no package of the gateway
