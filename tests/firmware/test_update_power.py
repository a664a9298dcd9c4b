"""Power cuts at every write of an update, before, within and after it, on both interpreters: the module always starts,
with the old program or the new one, whole; and whatever was cut can be done again.
"""

import hashlib

from acqwire import update
from update_parts import ERROR, Bench, PowerCut, PowerCutStore, choose, read_choice, release, root

SMALL = (("acq/app.py", b"new " * 150), ("main.py", b"print(2)\n"))


def _running(store) -> int:
    """Version that a start runs, 0 the factory's. A second start must say the same unless a trial was used up."""
    slot = choose(store, store.feed)
    choice = read_choice(store)
    assert choice.slot == slot
    if slot:
        manifest = bytes(store.places[slot]["manifest.bin"])
        assert choice.version == (1 if manifest == release(1)[0] else 2)
    return choice.version if slot else 0


def _installed():
    """A module that runs version 1 from slot A, confirmed."""
    bench = Bench()
    bench.install(release(1))
    return bench


def _update(bench) -> None:
    """The whole way to version 2, confirmed and told."""
    made = release(2, files=SMALL)
    bench.install(made)
    bench.choice.told_result = 0
    from acq.update_choice import write_choice

    write_choice(bench.store, bench.choice)


def _copy(store):
    copy = PowerCutStore(store.root)
    copy.places = [{name: bytearray(content) for name, content in place.items()} for place in store.places]
    copy.choices = store.choices[:]
    return copy


def test_at_every_write_of_an_update():
    before = _installed().store
    bench = Bench(_copy(before))
    first = bench.store.operations
    _update(bench)
    last = bench.store.operations
    assert last - first >= 15
    seen = set()
    for number in range(first, last):
        for prefix in (0, 1, 60, 100000):
            bench = Bench(_copy(before))
            store = bench.store
            store.cut_operation, store.cut_prefix = number, prefix
            try:
                _update(bench)
                raise AssertionError("no cut")
            except PowerCut:
                pass
            store.power_on()
            version = _running(store)
            assert version in (1, 2), (number, prefix)
            assert version == 1 or hashlib.sha256(store.places[2]["acq/app.py"]).digest() == _digest(), number
            seen.add(version)
            again = Bench(store)
            if again.choice.is_trial:  # it has switched: it need only be confirmed
                again.confirm()
            else:
                _update(again)
            assert _running(store) == 2, (number, prefix)
    assert seen == {1, 2}


def _digest() -> bytes:
    return hashlib.sha256(SMALL[0][1]).digest()


def test_at_every_write_of_a_return():
    bench = _installed()
    made = release(2, files=SMALL)
    bench.send(made)
    bench.switch(made)
    for _ in range(3):
        bench.start()
    trial = bench.store
    for prefix in range(0, 170, 13):
        store = _copy(trial)
        store.cut_operation, store.cut_prefix = 0, prefix
        try:
            choose(store, store.feed)
            raise AssertionError("no cut")
        except PowerCut:
            pass
        store.power_on()
        assert _running(store) == 1, prefix
        assert read_choice(store).told_result == update.RESULT_RETURNED


def test_a_cut_never_gives_a_trial_more_starts_than_it_has():
    bench = _installed()
    made = release(2, files=SMALL)
    bench.send(made)
    bench.switch(made)
    store = bench.store
    starts = 0
    for prefix in (0, 30, 168) * 20:
        store.cut_operation, store.cut_prefix = store.operations, prefix
        try:
            slot = choose(store, store.feed)
        except PowerCut:
            store.power_on()
            slot = choose(store, store.feed)
        store.power_on()
        if slot == update.SLOT_A:
            break
        starts += 1
    assert slot == update.SLOT_A and starts <= update.TRIALS


def test_flash_that_fails_refuses_the_update_and_keeps_the_program():
    before = _installed().store
    bench = Bench(_copy(before))
    made = release(2, files=SMALL)
    bench.send(made)
    last = bench.store.operations
    for number in range(last + 1):
        bench = Bench(_copy(before))
        bench.store.faults = {number: ERROR}
        if bench.send(made) == 0:
            bench.switch(made)
        assert (bench.updater.phase, bench.updater.reason) == (update.PHASE_REFUSED, update.REASON_FLASH), number
        bench.store.faults = {}
        assert not bench.choice.is_trial and bench.choice.slot == update.SLOT_A
        assert _running(bench.store) == 1
        bench.install(made)
        assert _running(bench.store) == 2


def test_a_start_that_cannot_write_its_record_does_not_try_the_program():
    bench = _installed()
    made = release(2, files=SMALL)
    bench.send(made)
    bench.switch(made)
    store = bench.store
    store.faults = {store.operations: ERROR}
    try:
        choose(store, store.feed)
        raise AssertionError("started")
    except OSError:
        pass
    assert read_choice(store).trials == update.TRIALS
    assert root() == store.root
