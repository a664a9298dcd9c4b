"""What a module tells beside readings, where its parameter set asks for it: edges of own inputs, calibration marks.

Loaded only then (app.py): other modules have no room to spare. It makes own inputs answer as one more analyzer, looks
at them in every round, and has a record for sealing.py whenever one is due. The bits of a batch are looked at when its
samples are durable, so that a mark speaks of exactly the slots that stand in the record before it.
"""

from acqwire import causes, fields

_FAR_US = 1000000000


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
