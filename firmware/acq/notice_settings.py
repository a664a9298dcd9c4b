"""The optional parts of a parameter set that notices.py needs: own inputs and calibration marks (SPEC.md section 5).

Read with the readers of settings.py, which gives them, and dropped behind it by main.py.
"""

from acqwire import causes

from acq.faults import SettingsError


class Wanted:
    """The part of a plan: `debounce_ms`, 0 without own inputs; `marks`: rows of analyzer, phase, block, bit, is."""

    def __init__(self) -> None:
        self.debounce_ms = 0
        self.marks = ()


def read_notices(top, plan, integer, listed) -> Wanted:
    """From the parameter set `top`; `integer` and `listed` are the readers of settings.py. Raises SettingsError."""
    from acqwire import inputs

    wanted = Wanted()
    if "inputs" in top:
        wanted.debounce_ms = integer(
            top["inputs"], "inputs.debounce_ms", inputs.DEBOUNCE_MIN_MS, inputs.DEBOUNCE_MAX_MS
        )
    units = [analyzer.unit for analyzer in plan.analyzers]
    if (inputs.UNIT in units) != ("inputs" in top):
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "parameters.inputs")
    for block in plan.blocks:
        if units[block.analyzer] == inputs.UNIT:
            _check_block(block, inputs)
    if "calibrations" in top:
        from acqwire import calibration

        marks = listed(top, "parameters.calibrations", calibration.MARKS_MAX)
        wanted.marks = [_read_mark(item, plan, integer, calibration.PHASE_NAMES) for item in marks]
    return wanted


def _check_block(block, inputs) -> None:
    if block.function not in (inputs.LEVELS_FUNCTION, inputs.COUNTERS_FUNCTION, inputs.COUNTS_FUNCTION):
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "blocks.function")
    most = inputs.ANALOG_MAX if block.function == inputs.COUNTS_FUNCTION else inputs.DIGITAL_MAX
    if block.address + block.quantity > most:
        raise SettingsError(causes.FAULT_SETTINGS_VALUE, "blocks.quantity")


def _read_mark(item, plan, integer, phases):
    analyzer = integer(item, "calibrations.analyzer", 0, len(plan.analyzers) - 1)
    block = integer(item, "calibrations.block", 0, len(plan.blocks) - 1)
    is_bits = plan.blocks[block].function <= 2  # coils and discrete inputs
    bits = plan.blocks[block].quantity * (1 if is_bits else 16)
    bit = integer(item, "calibrations.bit", 0, bits - 1)
    is_set = integer(item, "calibrations.is", 0, 1)
    for number, word in phases:
        if item.get("phase") == word:
            return analyzer, number, block, bit, is_set
    raise SettingsError(causes.FAULT_SETTINGS_VALUE, "calibrations.phase")
