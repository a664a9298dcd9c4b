"""The module's own inputs, asked by the sampler as if they were one more analyzer, unit 0 (SPEC.md section 5).

A client around modbus.client.Client: it answers unit 0 from the board's ports.Inputs and passes everything else on.
Function 4: counts of the analog inputs; 2: debounced levels; 3: rising edges since the boot. The bytes are laid out as
a server's answer would be. Levels are seen once in a round of the program: an edge is when a level was first seen that
then stayed for the debounce time, and it may have come up to one round earlier, which the event says. An input that
chatters fills no journal: its edges are counted, and told at most so often.
Nothing is allocated while no edge comes.
"""

from acqwire import causes, inputs

from acq.dialect import const
from acq.faults import BusError
from acq.instant import Instant

_LOOK_MIN_US = const(1000)
_LOOK_MAX_US = const(5000)
_CONVERSION_MAX_US = const(100000)  # an ADC that takes longer is broken; the slowest we know takes 9 ms
_GATHER_US = const(1000000)  # edges that come together share an event
_BURST_EVENTS = const(8)  # so many at once, then one a minute: 60 small records an hour at the most
_REFILL_US = const(60000000)
_COUNT_MAX = const(0x3FFFFFFF)


class Inputs:
    """The face of modbus.client.Client; `look` sees the digital inputs, `is_due` and `take_edges` tell of them."""

    def __init__(self, board, plan, client) -> None:
        """Raises ValueError when the board has not what the plan asks for, BusError when it fails."""
        self._client = client
        self._clock = board.clock
        maker = getattr(board, "open_inputs", None)
        port = None if maker is None else maker()
        if port is None:
            raise ValueError(
                "parameters.json asks for own inputs and this board has none set up; see BOARDS.md section 5"
            )
        self._port = port
        self._watched = 0
        self._check(plan)
        self.buf = client.buf
        self.data_start = client.data_start
        self.outcome = 0
        self.data_bytes = 0
        self._is_own = False
        self._function = 0
        self._next = 0  # analog input being converted
        self._end = 0
        self._began = 0
        self._converted = 0
        self._answered = 0
        # Digital inputs: one entry each
        self._stay_us = plan.notices.debounce_ms * 1000
        self._look_us = min(max(self._stay_us // 4, _LOOK_MIN_US), _LOOK_MAX_US)
        count = self._watched
        self._levels = 0  # debounced, bit by bit
        self._seen = 0  # as seen last
        self._since = [Instant() for _ in range(count)]  # when the level that is not yet believed was seen first
        self._unsure_ms = [0] * count  # how long before that nobody had looked
        self._counters = [0] * count
        self._looked = Instant()
        self._is_first = True  # nobody has seen them yet
        self._is_blind = True  # the port failed when they were to be seen last
        self._edges = []
        self._untold = 0
        self._gathered = Instant()  # when the oldest edge that is not told was believed
        self._events_left = _BURST_EVENTS
        self._refilled = Instant()

    def _check(self, plan) -> None:
        """Refuse what the board has not; `_watched` digital inputs are looked at."""
        for block in plan.blocks:
            if plan.analyzers[block.analyzer].unit != inputs.UNIT:
                continue
            is_analog = block.function == inputs.COUNTS_FUNCTION
            has = self._port.analog_count if is_analog else self._port.digital_count
            end = block.address + block.quantity
            if end > has:
                raise ValueError(
                    "parameters.json asks for {} inputs up to number {} and this board has {}; see BOARDS.md section 5"
                    .format("analog" if is_analog else "digital", end - 1, has)
                )  # fmt: skip
            if not is_analog:
                self._watched = max(self._watched, end)

    # Client

    @property
    def stray_bytes_total(self) -> int:
        return self._client.stray_bytes_total

    def begin(self, unit: int, function: int, address: int, quantity: int, timeout_us: int) -> None:
        """As modbus.client.Client.begin; own inputs have no time-out of the plan's."""
        self._is_own = unit == inputs.UNIT
        if not self._is_own:
            self._client.begin(unit, function, address, quantity, timeout_us)
            return
        self._function = function
        self._next = address
        self._end = address + quantity
        self._began = self._converted = self._clock.ticks()
        self.data_bytes = (quantity + 7) // 8 if function == inputs.LEVELS_FUNCTION else 2 * quantity
        try:
            if function == inputs.COUNTS_FUNCTION:
                self._port.begin(address)
        except BusError:
            self._next = -1

    def step(self) -> bool:
        """As modbus.client.Client.step."""
        if self._is_own:
            return self._step_own()
        client = self._client
        if not client.step():
            return False
        self.outcome = client.outcome
        self.data_bytes = client.data_bytes
        return True

    def wait_us(self) -> int:
        """As modbus.client.Client.wait_us; while an analog input is converted it is asked again at once."""
        return 0 if self._is_own else self._client.wait_us()

    def answer_us(self) -> int:
        """As modbus.client.Client.answer_us; of own inputs the time that reading them took."""
        return self._clock.elapsed(self._answered, self._began) if self._is_own else self._client.answer_us()

    def _step_own(self) -> bool:
        self.outcome = causes.GAP_BUS_FAULT
        if self._next < 0 or self._is_blind and self._function != inputs.COUNTS_FUNCTION:
            return True
        if self._function == inputs.COUNTS_FUNCTION:
            try:
                if not self._convert():
                    return False
            except BusError:
                return True
            if self._next < self._end:
                return True
        else:
            self._lay_out()
        self._answered = self._clock.ticks()
        self.outcome = causes.VALUE
        return True

    def _convert(self) -> bool:
        """One analog input after the other; True when all are there, or one never came."""
        counts = self._port.counts()
        now = self._clock.ticks()
        if counts < 0:
            return self._clock.elapsed(now, self._converted) >= _CONVERSION_MAX_US
        at = self.data_start + self.data_bytes - 2 * (self._end - self._next)
        self.buf[at] = counts >> 8
        self.buf[at + 1] = counts & 0xFF
        self._next += 1
        if self._next == self._end:
            return True
        self._converted = now
        self._port.begin(self._next)
        return False

    def _lay_out(self) -> None:
        buf, at = self.buf, self.data_start
        if self._function == inputs.COUNTERS_FUNCTION:
            for index in range(self._next, self._end):
                buf[at] = self._counters[index] >> 8 & 0xFF
                buf[at + 1] = self._counters[index] & 0xFF
                at += 2
            return
        for index in range(at, at + self.data_bytes):
            buf[index] = 0
        for index in range(self._next, self._end):
            if self._levels >> index & 1:
                buf[at + (index - self._next) // 8] |= 1 << (index - self._next) % 8

    # Digital inputs

    def look_wait_us(self, now) -> int:
        """Until `look` is due."""
        return max(0, self._look_us - now.since_us(self._looked)) if self._watched else _REFILL_US

    def look(self, now) -> None:
        """See the levels, if it is time. While the port fails their blocks are gaps."""
        if not self._watched or not self._is_first and now.since_us(self._looked) < self._look_us:
            return
        try:
            seen = self._port.levels()
        except BusError:
            self._is_blind = True
            return
        if self._is_first:  # what stands at the start is no edge
            self._is_first = False
            self._levels = seen
            self._refilled.set(now)
        elif seen != self._levels or seen != self._seen:
            self._believe(seen, now)
        self._seen = seen
        self._is_blind = False
        self._looked.set(now)

    def _believe(self, seen: int, now) -> None:
        for index in range(self._watched):
            mask = 1 << index
            if not (seen ^ self._levels) & mask:
                continue
            since = self._since[index]
            if (seen ^ self._seen) & mask or self._is_blind:  # it has just changed, or may have in between
                since.set(now)
                self._unsure_ms[index] = (now.since_us(self._looked) + 999) // 1000
            elif now.since_us(since) >= self._stay_us:
                self._levels ^= mask
                self._note(index, 1 if seen & mask else 0, now)

    def _note(self, index: int, level: int, now) -> None:
        if level:
            self._counters[index] = self._counters[index] + 1 & 0xFFFF
        if len(self._edges) >= inputs.EDGES_MAX * inputs.EDGE_ARGS:
            self._untold = min(self._untold + 1, _COUNT_MAX)
            return
        if not self._edges:
            self._gathered.set(now)
        since = self._since[index]
        self._edges += (index, level, since.s * 1000 + since.us // 1000, self._unsure_ms[index])

    def is_due(self, now) -> bool:
        """Whether an event is due: edges are there, have been gathered, and the hour's measure is not used up."""
        if not self._edges:
            return False
        while self._events_left < _BURST_EVENTS and now.since_us(self._refilled) >= _REFILL_US:
            self._events_left += 1
            self._refilled.add_us(_REFILL_US)
        if self._events_left == _BURST_EVENTS:
            self._refilled.set(now)
        return self._events_left > 0 and now.since_us(self._gathered) >= _GATHER_US

    @property
    def has_edges(self) -> bool:
        """Whether an event is due soon."""
        return self._events_left > 0 and len(self._edges) > 0

    def take_edges(self):
        """Arguments of causes.EVENT_INPUT_EDGES; from here on they are told."""
        arguments = [self._untold] + self._edges
        self._events_left -= 1
        self._untold = 0
        self._edges = []
        return arguments
