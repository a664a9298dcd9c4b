"""Composition and the three tasks: poll, seal, talk. Each is a step that returns soon; the board waits in between.

    while True:
        board.wait(app.step())

Nothing here sleeps, and nothing is caught that cannot be mended: an unknown fault ends the program, the board notes its
code and starts again, and an event record of the next boot tells of it. Killed at any instant, the next start goes on
with the journal's head.
"""

from acqwire import causes

from acq.chain import Chain
from acq.dialect import const
from acq.faults import BusError, JournalError, SettingsError, SignerFault
from acq.journal import Journal
from acq.link import Link
from acq.modbus.client import Client
from acq.sampler import Sampler
from acq.schedule import Schedule
from acq.sealing import Sealing
from acq.timebase import Timebase

_LONGEST_WAIT_US = const(250000)  # far below a watchdog's limit and the half of the tick counter
_LINE_FULL_WAIT_US = const(2000)  # 23 bytes at 115,200 baud
_READ_BYTES = 64


class App:
    """One module."""

    def __init__(self, board, plan, facts, writer, sealer) -> None:
        """board: what boards/host.HostBoard has; plan: plan.Plan; facts: identity.BootFacts;
        writer: framing.FrameWriter; sealer: cose.Sealer.
        Raises JournalError, OSError."""
        self._board = board
        signer = sealer.signer
        self._journal = journal = Journal(board.flash)
        journal.mount()
        chain = Chain(journal.head_seq, journal.head_boot, journal.head_hash)
        facts.torn_count = journal.torn_count
        self._timebase = Timebase(board.clock, board.entropy)
        client = Client(board.bus, board.clock, plan.baud, plan.parity, plan.stop_bits)
        self._notices = notices = None
        schedule = Schedule(plan.slot_ms)
        if plan.confirm:
            from acq.confirm import Confirming

            client = Confirming(client, plan, schedule, self._timebase)
        if plan.notices is not None:  # own inputs or calibration marks
            from acq.notices import Notices

            self._notices = notices = Notices(board, plan, client)
            client = notices.client
        self._sampler = Sampler(plan, client, schedule)
        self._link = Link(plan.link_address, plan.device, signer.kid, chain.boot, journal, self._timebase, writer)
        self._sealing = Sealing(
            board, plan, facts, journal, chain, self._timebase, self._sampler, self._link, sealer
        )  # fmt: skip
        self._sealing.notices = notices
        self._updates = None
        store = getattr(board, "updates", None)  # a board without a place for a second program has none
        if store is not None:
            from acq.update_door import UpdateDoor

            self._updates = UpdateDoor(store, self._timebase, facts.firmware_hash, chain.seq)
            self._link.updates = self._sealing.updates = self._updates
        self._read_buf = bytearray(_READ_BYTES)
        self._is_draining = False
        self._is_drained = False
        self.is_over = False  # everything is sealed and another program is to start

    def step(self) -> int:
        """One round of the tasks; for how many microseconds nothing needs to be done unless a line has bytes."""
        board, sampler, sealing = self._board, self._sampler, self._sealing
        now = self._timebase.look()
        notices = self._notices
        if notices is not None:
            notices.look(now)
        sampler.step(now)
        sealing.step(now)
        talk_wait_us = self._talk()
        updates = self._updates
        if updates is not None:
            is_idle = sampler.is_idle
            is_quiet = is_idle and sampler.wait_us(now) >= board.flash.append_ms * 1000
            updates.step(is_idle, is_quiet, self._link.acknowledged_seq)
            if updates.wants_restart:
                self._leave(updates)
        if sampler.is_alive(now) and sealing.is_alive(now):  # that this round has ended is the heartbeat of `_talk`
            board.feed()
        if not self._is_draining:
            if board.wants_drain():
                self._is_draining = True
                sampler.finish()
        elif updates is not None and updates.wants_restart:
            pass  # sealed for a restart, not for whoever asks by a file: the next start drains
        elif not self._is_drained and sampler.is_finished and sealing.is_idle:
            self._is_drained = True
            board.drained()
        self._timebase.look()
        if updates is not None and updates.has_work:
            return 0 if sampler.is_idle else min(talk_wait_us, 1000)
        if notices is not None:
            talk_wait_us = min(talk_wait_us, notices.wait_us(now))
        return min(talk_wait_us, sampler.wait_us(now), sealing.wait_us(now))

    def _leave(self, updates) -> None:
        """Seal what there is, then make room for another program."""
        if not self._is_draining:
            self._is_draining = True
            self._sampler.finish()
        is_sealed = self._sampler.is_finished and self._sealing.is_idle and self._link.is_quiet
        self.is_over = updates.must_restart(is_sealed)

    def _talk(self) -> int:
        """Move bytes between line and link, one piece each way; for how many microseconds nothing is to be done."""
        link, line = self._link, self._board.uplink
        count = line.read(self._read_buf)
        if count:
            link.feed(self._read_buf, count, self._timebase.now_ms())
        if link.poll():
            taken = line.write(link.buf, link.start, link.end)
            if taken == 0:
                return _LINE_FULL_WAIT_US
            link.sent(taken)
            return 0
        return 0 if count else _LONGEST_WAIT_US


def fault_code(fault: Exception) -> int:
    """causes.FAULT_* of an exception that ended the program."""
    if isinstance(fault, (BusError, JournalError, SettingsError, SignerFault)):
        return fault.code
    return causes.FAULT_MEMORY if isinstance(fault, MemoryError) else causes.FAULT_PROGRAM
