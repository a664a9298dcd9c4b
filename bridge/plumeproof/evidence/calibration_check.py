"""Whether a calibration record says what its parameter set and the samples before it say (SPEC.md section 4.3).

Averages are made from the bits in the samples and need no such record; control charts are made from the records. Both
are signed by the same module, so a difference is a fault of its program, or of the order in which somebody shows them.
"""

from __future__ import annotations

import numpy as np
from acqwire import causes

from plumeproof.errors import ParametersError
from plumeproof.evidence.decoding import read_bit
from plumeproof.evidence.parameters import ParameterSet
from plumeproof.model import Calibration, Samples


def check_calibration(body: Calibration, parameters: ParameterSet, samples: Samples | None) -> None:
    """`samples`: the samples of the same boot sealed last before it; slots that are not theirs are not judged.

    Raises ParametersError: mark, slot_ms, bit.
    """
    if body.mark >= len(parameters.calibrations):
        raise ParametersError("mark", f"calibration mark {body.mark}, parameter set has {len(parameters.calibrations)}")
    mark = parameters.calibrations[body.mark]
    if (body.analyzer, body.phase) != (mark.analyzer, mark.phase):
        raise ParametersError("mark", f"calibration mark {body.mark} is another analyzer's or another phase")
    if body.slot_mono_ms != body.slot * parameters.slot_ms:
        raise ParametersError("slot_ms", f"slot {body.slot} is not planned at {body.slot_mono_ms} ms")
    index = body.slot - samples.slots.first_slot if samples is not None else -1
    if samples is None or not 0 <= index < samples.slots.slot_count or mark.block >= len(samples.blocks):
        return
    block, readings = parameters.blocks[mark.block], samples.blocks[mark.block]
    if readings.outcomes[index] != causes.VALUE:
        raise ParametersError("bit", f"calibration mark {body.mark}: slot {body.slot} has no value of its block")
    start = readings.outcomes[:index].count(causes.VALUE) * block.width_bytes
    row = np.frombuffer(readings.data[start : start + block.width_bytes], np.uint8).reshape(1, -1)
    if row.shape[1] == block.width_bytes and (bool(read_bit(block, mark.bit, row)[0]) == mark.is_set) != body.is_begin:
        raise ParametersError("bit", f"calibration mark {body.mark}: its bit in slot {body.slot} says otherwise")
