"""Composition and the three tasks: poll, seal, talk. Each is a step that returns soon; the board waits in between.

    while True:
        board.wait(app.step())

Nothing here sleeps, and nothing is caught that cannot be mended: an unknown fault ends the program, the board notes its
code and starts again, and an event record of the next boot tells of it. Killed at any instant, the next start goes on
with the journal's head.
"""

from acq.chain import Chain
from acq.dialect import const
from acq.instant import FAR_US
from acq.journal import Journal
from acq.link import Link
from acq.sealing import Sealing
from acq.timebase import Timebase

_LONGEST_WAIT_US = const(250000)  # far below a watchdog's limit and the half of the tick counter
_LINE_FULL_WAIT_US = const(2000)  # 23 bytes at 115,200 baud
_READ_BYTES = 32


class App:
    """One module. `boot`: its number; `seconds`: since, looked at in every round."""

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
        self._notices = None
        if board.safe:
            from acq.still import Sampler

            self._sampler = Sampler(plan)
        else:
            self._sampler = self._open(plan)
        self._link = Link(plan.link_address, plan.device, signer.kid, chain.boot, journal, self._timebase, writer)
        self._sealing = Sealing(
            board, plan, facts, journal, chain, self._timebase, self._sampler, self._link, sealer
        )  # fmt: skip
        self._sealing.notices = self._notices
        self._link.faults = board.faults
        self._updates = None
        store = getattr(board, "updates", None)  # a board without a place for a second program has none
        if store is not None:
            from acq.update_door import UpdateDoor

            self._updates = UpdateDoor(store, self._timebase, facts.firmware_hash, chain.seq)
            self._link.updates = self._sealing.updates = self._updates
        self._lamp = None
        if board.has_light:
            from acq.lamp import Lamp

            self._lamp = Lamp(self._sampler, self._link, journal, self._updates)
        self._read_buf = bytearray(_READ_BYTES)
        self._is_draining = False
        self._is_drained = False
        self.is_over = False  # everything is sealed and another program is to start
        self.boot = chain.boot
        self.seconds = 0
        # A start that has lasted five minutes was a good one (boards/notes.py); safe mode ends by a restart after an
        # hour: whatever it was may have passed
        self._due_s = 3600 if board.safe else 300

    def _open(self, plan):
        from acq.modbus.client import Client
        from acq.sampler import Sampler
        from acq.schedule import Schedule

        board = self._board
        schedule = Schedule(plan.slot_ms)
        client = Client(board.bus, board.clock, plan.baud, plan.parity, plan.stop_bits)
        if plan.confirm:
            from acq.confirm import Confirming

            client = Confirming(client, plan, schedule, self._timebase)
        if plan.notices is not None:  # own inputs or calibration marks
            from acq.notices import Notices

            self._notices = Notices(board, plan, client)
            client = self._notices.client
        return Sampler(plan, client, schedule)

    def step(self) -> int:
        """One round of the tasks; for how many microseconds nothing needs to be done unless a line has bytes."""
        board, sampler, sealing = self._board, self._sampler, self._sealing
        now = self._timebase.look()
        notices = self._notices
        if notices is not None:
            notices.look(now)
        sampler.step(now)
        sealing.step(now)
        wait_us = self._talk()
        updates = self._updates
        if updates is not None:
            is_idle = sampler.is_idle
            is_quiet = is_idle and sampler.wait_us(now) >= board.flash.append_ms * 1000
            updates.step(is_idle, is_quiet, self._link.acknowledged_seq)
            if updates.wants_restart:
                self._is_draining = True
                self.is_over = updates.finish(sampler, sealing, self._link)
        is_alive = sampler.is_alive(now) and sealing.is_alive(now) and (updates is None or updates.is_alive())
        if is_alive:  # that this round has ended is the heartbeat of `_talk`
            board.feed()
        if now.s != self.seconds:
            self.look(now)
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
            return 0 if sampler.is_idle else min(wait_us, 1000)
        if notices is not None:
            wait_us = min(wait_us, notices.wait_us(now))
        return min(wait_us, sampler.wait_us(now), sealing.wait_us(now))

    def look(self, now) -> None:
        """Once a second: the light; whether this start has run well, or has been safe for long enough."""
        board = self._board
        self.seconds = now.s
        if self._lamp is not None:
            board.flashes(self._lamp.flashes(now))
        if now.s < self._due_s or not self._sampler.is_idle:
            return
        if not board.safe:
            self._due_s = FAR_US
            board.good()
        elif self._sealing.is_idle and self._link.is_quiet or now.s >= self._due_s + 120:  # a journal without room
            self.is_over = True

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
