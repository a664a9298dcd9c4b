"""What the module takes from its heap: nothing in a poll cycle, and no more after 10,000 slots than after 1,000.

On CPython the same runs check the records only.
"""

import gc
import sys

from app_parts import Rig

_IS_MICROPYTHON = sys.implementation.name == "micropython"


def _used():
    gc.collect()
    return gc.mem_alloc() if _IS_MICROPYTHON else 0


def test_a_poll_cycle_allocates_nothing():
    """Nine slots of three analyzers, one of them mute, between two sealings; the heap is locked in effect: every byte
    taken shows, since nothing is collected in between."""
    rig = Rig(seal_ms=12000, units=(1, 2, 3))
    rig.bus.remove(3, 4)
    rig.start()
    rig.run(13500000)  # boot, parameters and one samples record: everything has run once
    assert rig.app._sealing.is_idle
    step, clock = rig.app.step, rig.clock
    polls = rig.app._sampler.polls_total
    if _IS_MICROPYTHON:
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
    rounds = 0
    taken = 0
    while rounds < 4000:
        if _IS_MICROPYTHON:
            start = gc.mem_alloc()
            step()
            taken += gc.mem_alloc() - start
        else:
            step()
        clock.now += 2000
        rounds += 1
    if _IS_MICROPYTHON:
        gc.enable()
        assert before > 0
    assert rig.app._sampler.polls_total - polls >= 16
    assert rig.app._sealing.is_idle and rig.app._sampler._filling.slot_count >= 7
    assert taken == 0, taken


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
            used.append(_used())
    assert rig.app._sampler.next_slot >= 10000
    assert rig.head[0] > 160
    # The simulated flash is in the same heap and is filled and erased in turns: compare the highest of three
    assert max(used[7:]) <= max(used[1:4]) + 512, used
