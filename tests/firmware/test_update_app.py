"""An update as the whole program meets it, in simulated time on both interpreters: the link's questions beside polling,
the events in the chain, the trial that ends well or by a restart. The start anew: tests/system/test_module_update.py.
"""

import hashlib
import struct

from acqwire import causes, fields, frames, update
from app_parts import Rig
from update_parts import NOW_S, PowerCutStore, choose, read_choice, release, root

_END_US = 400000000


def _rig(store=None):
    rig = Rig(slot_ms=1000, seal_ms=3000)
    rig.board.updates = PowerCutStore(root()) if store is None else store
    rig.start()
    return rig


def _ask(rig, type_, body=b""):
    """(phase, reason, offset, slot, is trial, version), None for BUSY."""
    ((type_, answer),) = rig.ask(type_, body)
    if type_ == frames.BUSY:
        rig.run(struct.unpack(">H", answer)[0] * 1000)
        return None
    assert type_ == frames.UPDATE_STATE, type_
    return struct.unpack(">BBIBBI", answer)


def _set_time(rig, now_s=NOW_S):
    ((_, nonce),) = rig.ask(frames.TIME_ASK)
    ((_, taken),) = rig.ask(frames.TIME_SET, nonce + struct.pack(">QI", now_s * 1000, 5))
    assert taken[0] == fields.SYNC_FIRST
    rig.run(3000000)


def _send(rig, made):
    """Up to READY or a refusal; the last state."""
    stream = made[0] + made[1]
    state = _ask(rig, frames.UPDATE_BEGIN, struct.pack(">III", 0, len(made[0]), len(stream)))
    while state is None or state[0] in (update.PHASE_HEAD, update.PHASE_FILES, update.PHASE_CHECKING):
        if state is None or state[0] == update.PHASE_CHECKING:
            rig.run(20000)
            state = _ask(rig, frames.UPDATE_ASK)
        else:
            piece = stream[state[2] : state[2] + 300]
            state = _ask(rig, frames.UPDATE_DATA, struct.pack(">I", state[2]) + piece)
    return state


def _end(rig, made):
    return _ask(rig, frames.UPDATE_END, hashlib.sha256(made[0]).digest())


def _run_until_over(rig):
    end = rig.clock.now + _END_US
    while not rig.app.is_over:
        assert rig.clock.now < end
        rig.run(100000)


def _restart(rig):
    """As boards/loader.py does it; the slot that runs."""
    slot = choose(rig.board.updates, rig.board.updates.feed)
    rig.start()
    return slot


def _events(rig):
    """Arguments of the update's events, in order."""
    return [
        record[fields.EVENT_ARGS] for record in rig.records if record.get(fields.EVENT_CODE) == causes.EVENT_UPDATE
    ]  # fmt: skip


def test_an_update_beside_polling_and_its_events():
    rig = _rig()
    _set_time(rig)
    made = release(1)
    assert _ask(rig, frames.UPDATE_ASK) == (update.PHASE_IDLE, 0, 0, update.FACTORY, 0, 0)
    assert _send(rig, made)[:2] == (update.PHASE_READY, 0)
    assert not rig.app.is_over
    state = _end(rig, made)
    while state is None or state[0] == update.PHASE_CHECKING:
        state = _ask(rig, frames.UPDATE_ASK)
    assert state == (update.PHASE_SWITCHED, 0, len(made[0] + made[1]), update.FACTORY, 0, 0)
    _run_until_over(rig)
    rig.fetch_all()
    assert [args[:3] for args in _events(rig)] == [[update.RESULT_SWITCHED, 0, 1]]
    old = hashlib.sha256().digest()  # the rig's program has no file
    new = struct.pack(">4q", *_events(rig)[0][7:])
    assert struct.pack(">4q", *_events(rig)[0][3:7]) == old and new != old
    assert rig.records[-1][fields.KIND] in (fields.KIND_EVENT, fields.KIND_SAMPLES)
    planned = sum(record.get(fields.SLOT_COUNT, 0) for record in rig.records)
    assert planned > 0 and rig.app._sampler.is_finished

    assert _restart(rig) == update.SLOT_A
    assert _ask(rig, frames.UPDATE_ASK)[3:] == (update.SLOT_A, 1, 1)
    rig.acknowledge()  # what the old program sealed proves nothing about the new one
    rig.run(5000000)
    assert read_choice(rig.board.updates).is_trial
    rig.fetch()
    rig.acknowledge()
    rig.run(5000000)
    assert not read_choice(rig.board.updates).is_trial
    rig.fetch_all()
    assert [args[:3] for args in _events(rig)[1:]] == [[update.RESULT_CONFIRMED, 0, 1]]
    assert struct.pack(">4q", *_events(rig)[1][7:]) == new
    assert _ask(rig, frames.UPDATE_ASK)[3:] == (update.SLOT_A, 0, 1)
    assert read_choice(rig.board.updates).told_result == 0


def test_a_trial_that_nobody_hears_ends_by_restarts_and_comes_back():
    rig = _rig()
    _set_time(rig)
    made = release(1)
    _send(rig, made)
    _end(rig, made)
    _run_until_over(rig)
    for _ in range(update.TRIALS):
        assert _restart(rig) == update.SLOT_A
        rig.bus.answers = {}
        rig.run(1000000)
        rig.clock.now += 300000000
        for _ in range(7):  # half an hour without a gateway, in leaps that the tick counter can tell
            rig.run(100000)
            rig.clock.now += 300000000
        rig.run(150000000)
        assert rig.app.is_over
    assert _restart(rig) == update.FACTORY
    rig.run(5000000)
    rig.fetch_all()
    assert [args[:3] for args in _events(rig)] == [[update.RESULT_SWITCHED, 0, 1], [update.RESULT_RETURNED, 0, 1]]


def test_refusals_are_told_but_not_without_end():
    rig = _rig()
    rig.run(3000000)
    assert _send(rig, release(1))[:2] == (update.PHASE_REFUSED, update.REASON_NO_TIME)
    _set_time(rig)
    for _ in range(12):
        assert _send(rig, release(1, board="esp32"))[:2] == (update.PHASE_REFUSED, update.REASON_BOARD)
        rig.run(1500000)
    rig.fetch_all()
    told = [args[:3] for args in _events(rig)]
    assert told == [[update.RESULT_REFUSED, update.REASON_NO_TIME, 1]] + 7 * [
        [update.RESULT_REFUSED, update.REASON_BOARD, 1]
    ]
    assert not rig.app.is_over and read_choice(rig.board.updates).generation == 0


def test_questions_of_a_wrong_form_and_a_board_without_slots():
    rig = _rig()
    for type_, body in (
        (frames.UPDATE_ASK, b"x"), (frames.UPDATE_BEGIN, bytes(11)), (frames.UPDATE_BEGIN, bytes(13)),
        (frames.UPDATE_END, bytes(31)), (frames.UPDATE_DATA, bytes(4)), (frames.UPDATE_DATA, b""),
    ):  # fmt: skip
        ((answer, reason),) = rig.ask(type_, body)
        assert (answer, reason[0]) == (frames.REFUSED, frames.REFUSE_BODY), (type_, len(body))
    state = _ask(rig, frames.UPDATE_DATA, bytes(5))  # nothing has begun
    assert state[:2] == (update.PHASE_IDLE, 0)
    assert _ask(rig, frames.UPDATE_END, bytes(32))[:2] == (update.PHASE_IDLE, 0)
    rig = Rig()
    rig.start()
    for type_, body in ((frames.UPDATE_ASK, b""), (frames.UPDATE_BEGIN, bytes(12)), (frames.UPDATE_END, bytes(32))):
        ((answer, reason),) = rig.ask(type_, body)
        assert (answer, reason[0]) == (frames.REFUSED, frames.REFUSE_TYPE)


def test_a_piece_again_and_one_too_early_change_nothing():
    rig = _rig()
    _set_time(rig)
    made = release(1)
    stream = made[0] + made[1]
    _ask(rig, frames.UPDATE_BEGIN, struct.pack(">III", 0, len(made[0]), len(stream)))
    rig.run(500000)
    first = struct.pack(">I", 0) + stream[:100]
    assert _ask(rig, frames.UPDATE_DATA, first)[2] == 100
    rig.run(500000)
    assert _ask(rig, frames.UPDATE_DATA, first)[2] == 100
    assert _ask(rig, frames.UPDATE_DATA, struct.pack(">I", 200) + b"x")[2] == 100
    while True:  # the rest of it
        state = _ask(rig, frames.UPDATE_ASK)
        if state is None or state[0] == update.PHASE_CHECKING:
            continue
        if state[0] == update.PHASE_READY:
            break
        _ask(rig, frames.UPDATE_DATA, struct.pack(">I", state[2]) + stream[state[2] : state[2] + 512])
    assert state[1] == 0


def test_flash_is_written_between_two_analyzers_only():
    rig = _rig()
    _set_time(rig)
    busy = []
    store = rig.board.updates
    change = store._change

    def watched(data, put):
        if not rig.app._sampler.is_idle:
            busy.append(store.operations)
        change(data, put)

    store._change = watched
    made = release(1)
    assert _send(rig, made)[0] == update.PHASE_READY
    _end(rig, made)
    _run_until_over(rig)
    assert store.operations > 15 and store.choices != [b"", b""] and busy == []
