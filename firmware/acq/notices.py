"""What a module tells beside readings, where its parameter set asks for it: edges of own inputs, calibration marks.

Loaded only then (settings.py, app.py): other modules have no room to spare. `read_notices` is the settings' part,
`Notices` the program's: it makes own inputs answer as one more analyzer, looks at them in every round, and has a
record for sealing.py whenever one is due. The bits of a batch are looked at when its samples are durable, so that a
mark speaks of exactly the slots that stand in the record before it.
"""

from acqwire import causes, fields

from acq.faults import SettingsError

_FAR_US = 1000000000


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


class Notices:
    """`client`: what the sampler asks; `kind` of the record that `build` made last."""

    kind = 0

    def __init__(self, board, plan, client) -> None:
        """Raises ValueError when the board has not the inputs that the plan asks for, BusError when they fail."""
        self.client = client
        self._inputs = None
        self._marks = None
        if plan.notices.debounce_ms:
            from acq.inputs import Inputs

            self._inputs = self.client = Inputs(board, plan, client)
        if plan.notices.marks:
            from acq.calibration import Marks

            self._marks = Marks(plan)

    def look(self, now) -> None:
        """A round of the program: see the own inputs."""
        if self._inputs is not None:
            self._inputs.look(now)

    def wait_us(self, now) -> int:
        """Until they are to be seen again."""
        return _FAR_US if self._inputs is None else self._inputs.look_wait_us(now)

    @property
    def is_waiting(self) -> bool:
        """Whether a record is due now or soon."""
        return self._marks is not None and self._marks.is_due or self._inputs is not None and self._inputs.has_edges

    def feed(self, batch) -> None:
        """A batch whose samples are durable."""
        if self._marks is not None:
            self._marks.feed(batch)

    def is_due(self, now) -> bool:
        """Whether there is something to tell."""
        return self._marks is not None and self._marks.is_due or self._inputs is not None and self._inputs.is_due(now)

    def build(self, builder, chain, stamp) -> int:
        """Payload bytes of the record that is due; it is the next of the chain from here on."""
        if self._marks is not None and self._marks.is_due:
            self.kind = fields.KIND_CALIBRATION
            return self._marks.build(builder, chain, stamp)
        self.kind = fields.KIND_EVENT
        return builder.build_event(chain, stamp, causes.EVENT_INPUT_EDGES, self._inputs.take_edges())
