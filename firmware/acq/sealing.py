"""The seal task: one record after the other from what is due, signed in slices, durable in the journal.

Order: boot, parameters, key change, events, time sync, notices, then samples and overflow in the order of their slots,
then health.
A record takes seq, previous hash and time when it is built; from then on it is the next of the chain, and its bytes are
offered to the journal until they are durable. What the journal has no room for is therefore not built: samples wait in
the sampler, which counts further slots as lost, and one overflow record tells of them when space returns. Flash is
written while no analyzer is being asked.
"""

from acqwire import causes, fields

from acq.dialect import const
from acq.faults import JournalError
from acq.health import Health
from acq.instant import FAR_US, Instant
from acq.record import RecordBuilder, Stamp, part_count

_NONE = const(0)
_BOOT = const(1)
_PARAMETERS = const(2)
_FAULT = const(3)
_DAMAGE = const(4)
_REFUSED = const(5)
_TIME_SYNC = const(6)
_SAMPLES = const(7)
_OVERFLOW = const(8)
_UPDATE = const(9)
_HEALTH = const(10)
_NOTICE = const(11)
# The job behind _NOTICE, _NOTICE + 1, is a key change: each name costs a module's heap (DESIGN.md, Heap)
_KINDS = (
    0, fields.KIND_BOOT, fields.KIND_PARAMETERS, fields.KIND_EVENT, fields.KIND_EVENT, fields.KIND_EVENT,
    fields.KIND_TIME_SYNC, fields.KIND_SAMPLES, fields.KIND_OVERFLOW, fields.KIND_EVENT,
    fields.KIND_HEALTH, 0, fields.KIND_KEY_CHANGE,
)  # fmt: skip

_AROUND_BYTES = const(98)  # of an envelope: everything but the payload, at most
_SMALL_BYTES = const(512)  # more than any time sync or event envelope
_RETRY_US = const(250000)  # a journal without room is asked again this often
_HANG_US = const(30000000)  # of a signature; the slowest signer needs 2 s, a slot in between not much more
_PATIENCE_SLOTS = const(2)  # after so many slots without such a pause it takes any moment between two slots


class Sealing:
    """`step` drives it. `is_idle`: nothing is due or under way; then `wait_us` says when to look again."""

    def __init__(self, board, plan, facts, journal, chain, timebase, sampler, link, sealer) -> None:
        self._board = board
        self._facts = facts  # until the boot record is durable
        self._health = Health(sampler, link, journal, facts.reset_cause)
        self._journal = journal
        self._chain = chain
        self._timebase = timebase
        self._sampler = sampler
        self._link = link
        self._sealer = sealer
        self._builder = RecordBuilder(sealer.payload, plan.device, plan.hash)
        self._stamp = Stamp()
        self._slot_us = min(plan.slot_ms * 1000, FAR_US)
        self._patience_us = min(plan.slot_ms * 1000 * _PATIENCE_SLOTS, FAR_US)
        self._job = _NONE  # what the record under way is
        self._is_signed = False
        self._signed = Instant()  # when the record under way was begun, then when its signature was ready
        self._retry = Instant()  # nothing is offered to the journal before
        self._is_boot_due = True
        self._part = 0
        self._raw_bytes = plan.raw_bytes
        self._parts = part_count(plan.raw_bytes)
        self._fault = board.noted_fault()
        self._refused = None  # refused Sync whose time sync record is durable and whose event is due
        self._sync = None  # of the time sync record under way
        self._batch = None
        self._span = None
        self.records_total = 0
        self.notices = None  # notices.Notices, where the parameter set asks for them
        self.change = sealer.change
        self.updates = None  # update_door.UpdateDoor, where the board has a place for a second program

    @property
    def is_idle(self) -> bool:
        """Nothing is being sealed and nothing waits for room."""
        is_start_done = not self._is_boot_due and self._part == self._parts and self._fault[0] == 0
        if self.updates is not None and self.updates.due is not None:
            return False
        if self.notices is not None and self.notices.is_waiting:
            return False
        is_waiting = self._job != _NONE or self._batch is not None or self._span is not None
        return (
            is_start_done and not is_waiting and self.change is self._refused is None and self._timebase.pending is None
        )

    def wait_us(self, now) -> int:
        """How long `step` has nothing to do."""
        if self._job != _NONE and not self._is_signed:
            return self._sealer.signer.wait_us()
        left_us = self._retry.since_us(now)
        if left_us > 0:
            return left_us
        return 0 if self._job != _NONE and self._is_bus_quiet(now) else _RETRY_US

    def is_alive(self, now) -> bool:
        """The heartbeat: no signature takes for ever. A journal without room is no hang: it waits for the gateway."""
        return self._job == _NONE or self._is_signed or now.since_us(self._signed) < _HANG_US

    def step(self, now) -> None:
        """One slice of a signature, or one record built or written, or one segment erased ahead."""
        if self._job == _NONE:
            if now.since_us(self._retry) >= 0:
                self._begin(now)
            if self._job == _NONE:
                self._erase_ahead(now)
        elif not self._is_signed:
            if self._sealer.step():
                if self._job == _NOTICE + 1:
                    self.change.finish(self._sealer.content_hash)
                self._is_signed = True
                self._signed.set(now)
        elif now.since_us(self._retry) >= 0 and self._is_bus_quiet(now):
            self._write(now)

    # What is due

    def _begin(self, now) -> None:
        job = self._choose(now)
        if job == _NONE:
            return
        count = self._build(job)
        if job in (_SAMPLES, _HEALTH) and not self._journal.has_room(count + _AROUND_BYTES, False):
            self._wait_for_room(now)  # built again then, with the time of then
            return
        self._sealer.begin(count)
        self._link.busy_ms = 0
        self._job = job
        self._is_signed = False
        self._signed.set(now)

    def _choose(self, now) -> int:
        if self._is_boot_due:
            return _BOOT
        if self._part < self._parts:
            return _PARAMETERS
        if self.change is not None:
            return _NOTICE + 1
        if self._fault[0]:
            return _FAULT
        if self.updates is not None and self.updates.due is not None:
            return _UPDATE
        if self._link.damage_last_seq:
            return _DAMAGE
        if self._refused is not None:
            return _REFUSED
        if self._timebase.pending is not None and self._journal.has_room(_SMALL_BYTES, False):
            return _TIME_SYNC
        if self.notices is not None and self.notices.is_due(now) and self._journal.has_room(_SMALL_BYTES, False):
            return _NOTICE
        if self._batch is None:
            self._batch = self._sampler.take()
        if self._batch is not None:
            return _SAMPLES
        if self._span is None:
            self._span = self._sampler.take_lost()
        if self._span is not None:
            return _OVERFLOW
        return _HEALTH if self._health.is_due(now) else _NONE

    def _build(self, job: int) -> int:
        builder, chain, stamp = self._builder, self._chain, self._stamp
        if job == _TIME_SYNC:
            self._sync = self._timebase.pending
            self._timebase.adopt(self._sync, chain.seq)
        self._timebase.stamp(stamp)
        if job == _BOOT:
            return builder.build_boot(chain, stamp, self._facts)
        if job == _PARAMETERS:
            return builder.build_parameters(
                chain, stamp, self._read_parameters, self._raw_bytes, self._part, self._parts
            )  # fmt: skip
        if job == _NOTICE + 1:
            return self.change.build(builder, chain, stamp)
        if job == _FAULT:
            return builder.build_event(chain, stamp, self._fault[0], self._fault[1:])
        if job == _UPDATE:
            return builder.build_event(chain, stamp, causes.EVENT_UPDATE, self.updates.due)
        if job == _DAMAGE:
            span = (self._link.damage_first_seq, self._link.damage_last_seq)
            return builder.build_event(chain, stamp, causes.EVENT_JOURNAL_DAMAGE, span)
        if job == _REFUSED:
            return builder.build_event(chain, stamp, causes.EVENT_TIME_REFUSED, (self._refused.step_ms or 0,))
        if job == _TIME_SYNC:
            return builder.build_time_sync(chain, stamp, self._sync)
        if job == _SAMPLES:
            return builder.build_samples(chain, stamp, self._batch)
        if job == _NOTICE:
            return self.notices.build(builder, chain, stamp)
        if job == _HEALTH:
            return builder.build_health(chain, stamp, self._health)
        return builder.build_overflow(chain, stamp, self._span)

    def _read_parameters(self, start: int, count: int) -> bytes:
        return self._board.read_part("parameters.json", start, count)

    def _wait_for_room(self, now) -> None:
        """The journal is full: it is asked again a while later."""
        self._retry.set(now)
        self._retry.add_us(_RETRY_US)

    # Durable

    def _write(self, now) -> None:
        """Power fails within: the journal has the record or not, whole; the next start goes on from what it finds."""
        chain, content_hash = self._chain, self._sealer.content_hash
        try:
            kind = self.notices.kind if self._job == _NOTICE else _KINDS[self._job]
            self._journal.append(kind, chain.seq, chain.boot, content_hash, self._sealer.envelope())
        except JournalError as full:
            if full.code != causes.FAULT_JOURNAL_FULL:
                raise
            self._wait_for_room(now)
            return
        chain.advance(chain.seq, content_hash)
        self.records_total += 1
        job = self._job
        self._job = _NONE
        self._finish(job, now)
        self._board.collect()  # the leavings of the signature, while the bus is quiet
        self._health.look()

    def _finish(self, job: int, now) -> None:
        """The record is durable: what it told of is done with."""
        if job == _BOOT:
            self._is_boot_due = False
            self._facts = None
        elif job == _PARAMETERS:
            self._part += 1
        elif job == _NOTICE + 1:
            self.change.adopt(self._sealer, self._link)
            self.change = None
        elif job == _FAULT:
            self._board.forget_fault()
            self._fault = self._board.noted_fault()
        elif job == _UPDATE:
            self.updates.told()
        elif job == _DAMAGE:
            self._link.damage_first_seq = self._link.damage_last_seq = 0
        elif job == _REFUSED:
            self._refused = None
        elif job == _TIME_SYNC:
            if self._sync.decision == fields.SYNC_REFUSED:
                self._refused = self._sync
        elif job == _SAMPLES:
            if self.notices is not None:
                self.notices.feed(self._batch)
            self._batch = None
            self._sampler.release()
        elif job == _HEALTH:
            self._health.told(now)
        elif job == _OVERFLOW:
            self._span = None

    # Quiet moments

    def _is_bus_quiet(self, now) -> bool:
        """No analyzer is being asked, nor soon; after a long wait: no analyzer is being asked."""
        if not self._sampler.is_idle:
            return False
        if self._sampler.wait_us(now) >= min(self._board.flash.append_ms * 1000, self._slot_us // 4):
            return True
        return now.since_us(self._signed) >= self._patience_us

    def _erase_ahead(self, now) -> None:
        """In a pause of bus and link. The gateway is told BUSY while the bus would allow it and the link does not."""
        link, erase_ms = self._link, self._board.flash.erase_ms
        wait_us = min(erase_ms * 1000, self._slot_us // 2)
        is_bus_quiet = self._sampler.is_idle and self._sampler.wait_us(now) >= wait_us
        link.busy_ms = 0
        if not is_bus_quiet or not self._journal.prepare(True):
            return
        if link.is_quiet:
            self._journal.prepare()
        else:
            link.busy_ms = erase_ms
