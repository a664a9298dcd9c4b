"""What the module takes from its heap: nothing in a poll cycle, and no more after 10,000 slots than after 1,000.

On CPython the same runs check the records only.
"""

import gc
import sys

from app_parts import Rig, slots_of

_MASK = (1 << 30) - 1
_LONGEST_US = 500000000  # Timebase.look
_IS_MICROPYTHON = sys.implementation.name == "micropython"


def _used():
    gc.collect()
    return gc.mem_alloc() if _IS_MICROPYTHON else 0


def _flash_bytes(flash):
    """What the simulated flash takes of the same heap: a bytearray and its object, one heap block, for each that is
    not blank."""
    each = 512 + (32 if sys.maxsize > 1 << 31 else 16)
    return each * sum(1 for block in flash._blocks if block is not None)


class _Reader:
    """Fetches, checks that every slot is in a record, and forgets: the gateway's memory is the module's heap here."""

    def __init__(self, rig) -> None:
        self._rig = rig
        self.slots = 0

    def fetch(self) -> None:
        self._rig.fetch_all()
        for number, is_overflow, _ in slots_of(self._rig.records, 1):
            assert number == self.slots and not is_overflow
            self.slots += 1
        self._rig.records = []


def _taken_by_polling(rig, reader, rounds, is_hasty=False):
    """Bytes that `rounds` rounds took; the heap is locked in effect: every byte shows, since nothing is collected in
    between. Rounds of a record, from its first slice to the collection behind it, and of an erase are not the poll
    cycle's. Hasty: the module sleeps from slot to slot, as far as its time base allows."""
    app, clock, bus = rig.app, rig.clock, rig.bus
    sampler, sealing = app._sampler, app._sealing
    polls, records = sampler.polls_total, sealing.records_total
    taken = 0
    limit = 20 * rounds
    while rounds:
        is_counted = not app._journal.prepare(True)  # no segment is erased ahead in this one
        clock.now &= _MASK  # of the same counter: on 32-bit words the double shall take nothing either
        if _IS_MICROPYTHON:
            gc.collect()
            gc.disable()
            start = gc.mem_alloc()
            wait_us = app.step()
            spent = gc.mem_alloc() - start
            gc.enable()
        else:
            wait_us = app.step()
            spent = 0
        if is_counted and sealing.is_idle and sealing.records_total == records:
            taken += spent
            rounds -= 1
        records = sealing.records_total
        limit -= 1
        assert limit, "always sealing"
        if limit % 50 == 0:
            reader.fetch()
            records = sealing.records_total
        left_us = bus.left_us
        if left_us >= 0:
            wait_us = min(wait_us, left_us)
        elif is_hasty and sampler.is_idle:
            wait_us = min(sampler.wait_us(app._timebase.look()), _LONGEST_US)
        clock.now += max(100, wait_us)
    assert sampler.polls_total - polls >= 16
    return taken


def test_a_poll_cycle_allocates_nothing():
    """Slots of three analyzers, one of them mute."""
    rig = Rig(seal_ms=12000, units=(1, 2, 3))
    rig.bus.remove(3, 4)
    rig.start()
    rig.run(13500000)  # boot, parameters and one samples record: everything has run once
    assert rig.app._sealing.is_idle
    assert _taken_by_polling(rig, _Reader(rig), 400) == 0


def test_a_poll_cycle_allocates_nothing_however_old_the_boot():
    """Ages at which microseconds (17.9 minutes) and milliseconds (12.4 days) since the boot leave the small integers
    of 32-bit words, and behind them. The module has not stood still: every slot of forty days is in a record."""
    rig = Rig(slot_ms=3600000, seal_ms=3600000, units=(1, 2, 3))
    rig.board.flashes = lambda count: None  # the light's log of this rig grows
    rig.bus.remove(3, 4)
    rig.start()
    reader = _Reader(rig)
    age_s = 0
    for wanted_s in (60, 1075, 2 * 3600, 13 * 86400, 40 * 86400):
        while age_s < wanted_s:
            rig.clock.now = rig.clock.now + _LONGEST_US & _MASK
            age_s += _LONGEST_US // 1000000
            rig.run(1000)
            if age_s % 10000 == 0:
                reader.fetch()
        assert _taken_by_polling(rig, reader, 400, True) == 0, age_s
        age_s = rig.app._timebase.look().s // 500 * 500
    reader.fetch()
    assert reader.slots >= 40 * 24 - 2


def test_ten_thousand_slots_do_not_grow_the_heap():
    rig = Rig(seal_ms=60000, units=(1,), slices=1)
    rig.start()
    used = []
    for number in range(100):
        rig.run(100000000)
        if number % 10 == 9:
            rig.records = []
            rig.fetch_all()
            rig.records = []
            used.append(_used() - _flash_bytes(rig.flash))
    assert rig.app._sampler.next_slot >= 10000
    assert rig.head[0] > 160
    # The gateway's leavings differ a little: compare the highest of three
    assert max(used[7:]) <= max(used[1:4]) + 512, used
