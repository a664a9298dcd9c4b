"""One slot after the other: every block is asked once, and every slot of every block ends as a value or a gap.

Retries stay inside the slot and inside the analyzer's count. An analyzer that has been silent in several slots running
is asked ever more rarely (the slots between are gaps of cause backoff) and never delays the others; one answer ends
that. Slots whose time has passed before their turn are gaps of cause overrun. Two batches take turns, so that polling
goes on while a record is signed; when both are full the slots are lost, up to the overflow record that counts them.
Between the first poll and the sealing nothing is allocated.
"""

from acqwire import causes

from acq.batch import pair
from acq.dialect import const

_SILENT_SLOTS = const(3)  # silent in so many slots running: back off
_BACKOFF_MAX_SLOTS = const(64)  # the longest pause between two probes, in slots
_NEVER_US = const(1000000)
_ATTEMPT_MIN_US = const(5000)  # an attempt that has less time left is not begun

# Columns of an analyzer's row of counters, acqwire/counts.py; 0 to 7 are its outcomes
_EXCEPTIONS = const(8)
_POLLS = const(9)
_RETRIES = const(10)
_ROUND_US = const(11)  # least, last, most
_COLUMNS = const(14)
_COUNT_MAX = const(0x3FFFFFFF)


class _Patience:
    """Back-off of one analyzer."""

    def __init__(self) -> None:
        self.silent_slots = 0  # running, only those in which it was asked
        self.pause_slots = 0  # length of the present pause
        self.left_slots = 0  # of the present pause

    def heard(self) -> None:
        self.silent_slots = 0
        self.pause_slots = 0
        self.left_slots = 0

    def unheard(self) -> None:
        self.silent_slots += 1
        if self.silent_slots >= _SILENT_SLOTS:
            self.pause_slots = min(max(1, self.pause_slots * 2), _BACKOFF_MAX_SLOTS)
            self.left_slots = self.pause_slots

    @property
    def is_pausing(self) -> bool:
        return self.left_slots > 0

    def is_trusted(self) -> bool:
        """Worth a retry: it has answered lately."""
        return self.silent_slots == 0


class Span:
    """A run of slots that could not be kept: first_slot, slot_count, slot_ms, first_slot_mono_ms (record.py)."""

    def __init__(self, slot_ms: int) -> None:
        self.first_slot = 0
        self.slot_count = 0
        self.slot_ms = slot_ms

    @property
    def first_slot_mono_ms(self) -> int:
        return self.first_slot * self.slot_ms


class Sampler:
    """`step` drives it, `take` hands out a batch that is due for sealing, `lost` are slots that found no place.
    `counts`: the rows of a health record, one behind the other.

    `plan`: plan.Plan. Raises ValueError when not one slot of all blocks fits a record.
    """

    def __init__(self, plan, client, schedule) -> None:
        self._blocks = plan.blocks
        self._analyzers = plan.analyzers
        self._client = client
        self._schedule = schedule
        self._filling, self._spare = plan.batches or pair(plan)
        self._full = None  # due for sealing, not taken yet
        self._is_spare_out = False  # with the sealer
        self.lost = Span(plan.slot_ms)
        self.patience = [_Patience() for _ in self._analyzers]
        self.counts = [0] * (_COLUMNS * len(self._analyzers))
        self._is_in_slot = False
        self._is_finishing = False
        self._is_cut = False  # the attempt has less time than the analyzer may take
        self._attempt_us = 0  # the time it has
        self._beat_slot = -1
        self._block = 0
        self._retries = 0  # used for the present block
        self.polls_total = 0
        self._filling.begin(0)

    @property
    def is_idle(self) -> bool:
        """No slot is under way."""
        return not self._is_in_slot

    def wait_us(self, now) -> int:
        """How long nothing needs to be done, unless bytes arrive on the bus."""
        if self._is_in_slot:
            return self._client.wait_us()
        return _NEVER_US if self._is_finishing else self._schedule.wait_us(now)

    def is_alive(self, now) -> bool:
        """The heartbeat: a slot has ended since it was asked last, or none is overdue. Mute analyzers, a broken port
        and slots lost for want of room are no hang; an attempt that does not end is one."""
        is_alive = self._schedule.next_slot != self._beat_slot or not self._schedule.is_over(now)
        self._beat_slot = self._schedule.next_slot
        return is_alive or self._is_finishing and not self._is_in_slot

    @property
    def next_slot(self) -> int:
        """The slot that is under way or comes next."""
        return self._schedule.next_slot

    def finish(self) -> None:
        """No further slot is begun; what has been sampled becomes due although the batch is not full."""
        self._is_finishing = True

    @property
    def has_leisure(self) -> bool:
        """Sampling goes on and the batch being filled is not half full: a small record between is in nobody's way."""
        return not self._is_finishing and 2 * self._filling.slot_count <= self._filling.slots_max

    @property
    def stray_bytes_total(self) -> int:
        """Bytes on the bus that belonged to no answer."""
        return self._client.stray_bytes_total

    @property
    def is_finished(self) -> bool:
        """After `finish`: every slot that was begun is in a record."""
        return not (self._is_in_slot or self._is_spare_out or self._filling.slot_count or self.lost.slot_count)

    def take(self):
        """The batch that is due, once; None when there is none. Say `release` when its record is durable."""
        batch = self._full
        self._full = None
        return batch

    def release(self) -> None:
        """The record of the batch handed out is durable: its buffers may be filled again."""
        self._is_spare_out = False
        if self._filling.slot_count == self._filling.slots_max:
            self._turn()

    def take_lost(self):
        """The span of lost slots once every batch before it is durable; None before. Sampling goes on behind it."""
        if self.lost.slot_count == 0 or self._is_spare_out:
            return None
        span = self.lost
        self.lost = Span(span.slot_ms)
        self._filling.begin(self._schedule.next_slot)
        return span

    def step(self, now) -> None:
        """Go on with the slot under way, or begin the one that is due."""
        if self._is_in_slot:
            self._go_on(now)
        elif self._is_finishing:
            if self._filling.slot_count:
                self._turn()
        elif self._schedule.is_due(now):
            self._begin_slot(now)

    def _begin_slot(self, now) -> None:
        if self.lost.slot_count or (self._filling.slot_count == self._filling.slots_max and not self._turn()):
            self._lose_slot()
            return
        for patience in self.patience:
            if patience.left_slots:
                patience.left_slots -= 1
        self._is_in_slot = True
        self._block = 0
        self._begin_block(now)

    def _turn(self) -> bool:
        """Make the full batch due and go on in the other one, if it is free."""
        if self._is_spare_out:
            return False
        full = self._filling
        self._filling = self._spare
        self._spare = full
        self._full = full
        self._is_spare_out = True
        self._filling.begin(self._schedule.next_slot)
        return True

    def _lose_slot(self) -> None:
        if self.lost.slot_count == 0:
            self.lost.first_slot = self._schedule.next_slot
        self.lost.slot_count += 1
        self._schedule.advance()

    def _begin_block(self, now) -> None:
        """Ask for the present block, or write its gap and go to the next, until one is asked or the slot ends."""
        while self._block < len(self._blocks):
            index = self._blocks[self._block].analyzer
            self._retries = 0
            if self._schedule.is_over(now) or self._schedule.left_us(now) < _ATTEMPT_MIN_US:
                self._put_gap(causes.GAP_OVERRUN)
            elif self.patience[index].is_pausing:
                self._put_gap(causes.GAP_BACKOFF)
            else:
                self._ask(now)
                return
        self._end_slot()

    def _ask(self, now) -> None:
        block = self._blocks[self._block]
        left_us = self._schedule.left_us(now)
        timeout_us = self._analyzers[block.analyzer].timeout_ms * 1000
        self._is_cut = left_us < timeout_us
        unit = self._analyzers[block.analyzer].unit
        self._attempt_us = min(timeout_us, left_us)
        self._client.begin(unit, block.function, block.address, block.quantity, self._attempt_us)
        self.polls_total += 1
        self._count(block.analyzer, _POLLS)

    def _count(self, analyzer: int, column: int) -> None:
        at = analyzer * _COLUMNS + column
        self.counts[at] = self.counts[at] + 1 & _COUNT_MAX

    def _count_value(self, analyzer: int) -> None:
        self._count(analyzer, causes.VALUE)
        counts, at = self.counts, analyzer * _COLUMNS + _ROUND_US
        passed_us = max(1, self._client.answer_us())
        if passed_us < counts[at] or counts[at] == 0:
            counts[at] = passed_us
        counts[at + 1] = passed_us
        if passed_us > counts[at + 2]:
            counts[at + 2] = passed_us

    def _go_on(self, now) -> None:
        if not self._client.step():
            return
        outcome = self._client.outcome
        index = self._blocks[self._block].analyzer
        patience = self.patience[index]
        if outcome == causes.VALUE:
            patience.heard()
            self._count_value(index)
            self._filling.put_value(self._block, self._client.buf, self._client.data_start, self._client.data_bytes)
            self._block += 1
            self._begin_block(now)
            return
        if self._may_retry(index, outcome, now):
            self._retries += 1
            self._filling.retries += 1
            self._count(index, _RETRIES)
            self._ask(now)
            return
        if outcome == causes.GAP_TIMEOUT:
            # Cut short, nobody can say whether it would have answered; yet who is silent for half a slot takes the
            # others' time and is asked more rarely
            is_due = not self._is_cut or 2 * self._attempt_us >= self._schedule.slot_us
            if is_due and not patience.is_pausing:
                patience.unheard()
            if self._is_cut:
                outcome = causes.GAP_OVERRUN
        elif outcome != causes.GAP_BUS_FAULT:
            patience.heard()
        self._put_gap(outcome)
        self._begin_block(now)

    def _may_retry(self, index: int, outcome: int, now) -> bool:
        if self._retries >= self._analyzers[index].retries or self._schedule.left_us(now) < _ATTEMPT_MIN_US:
            return False
        if outcome == causes.GAP_TIMEOUT:
            return self.patience[index].is_trusted()
        # exceptions 5 (acknowledge) and 6 (busy) may pass within the slot; the others are the analyzer's last word
        return outcome < causes.GAP_EXCEPTION or outcome in _PASSING

    def _put_gap(self, cause: int) -> None:
        self._filling.put_gap(self._block, cause)
        analyzer = self._blocks[self._block].analyzer
        self._count(analyzer, cause if cause < causes.GAP_EXCEPTION else _EXCEPTIONS)
        self._block += 1

    def _end_slot(self) -> None:
        self._filling.slot_count += 1
        self._is_in_slot = False
        self._schedule.advance()
        if self._filling.slot_count == self._filling.slots_max:
            self._turn()


_PASSING = (causes.GAP_EXCEPTION + 5, causes.GAP_EXCEPTION + 6)
