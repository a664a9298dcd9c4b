"""Health records of a whole module: what they count, when they come, and that they stand in nobody's way."""

from acqwire import causes, fields
from app_parts import Rig, slots_of

# acqwire/counts.py, which the module does not have
EXCEPTIONS, POLLS, RETRIES, LEAST_US, LAST_US, MOST_US = range(8, 14)


def _health(rig):
    return [record for record in rig.records if record[fields.KIND] == fields.KIND_HEALTH]


def _run(rig, seconds):
    """The gateway takes what there is every 20 s."""
    for _ in range(seconds // 20):
        rig.run(20000000)
        rig.fetch_all()


def _outcomes_before(rig, health, k):
    """What the samples before this record say of block k."""
    before = [record for record in rig.records if record[fields.SEQ] < health[fields.SEQ]]
    return [slot[2][k] for slot in slots_of(before, 1)]


def test_one_after_a_minute_and_one_each_hour():
    rig = Rig(slot_ms=10000, seal_ms=60000, units=(1,))
    rig.start()
    _run(rig, 2 * 3600 + 200)
    moments = [record[fields.MONO_MS] // 1000 for record in _health(rig)]
    assert len(moments) == 3, moments
    for moment, due in zip(moments, (60, 3600, 7200)):
        assert due <= moment <= due + 120, moments
    slots = slots_of(rig.records, 1)
    assert [slot[0] for slot in slots] == list(range(len(slots))) and {slot[2][0] for slot in slots} == {0}


def test_the_counters_are_those_of_the_samples():
    rig = Rig(seal_ms=3000, units=(1, 2, 3))
    rig.bus.remove(2, 4)
    rig.start()
    _run(rig, 80)
    (health,) = _health(rig)
    rows = health[fields.HEALTH_ANALYZERS]
    assert [len(row) for row in rows] == [14] * 3
    for k, row in enumerate(rows):
        outcomes = _outcomes_before(rig, health, k)
        sealed = sum(row[:9])
        assert len(outcomes) <= sealed <= len(outcomes) + 2  # slots behind the last samples record
        for cause in range(8):
            assert outcomes.count(cause) <= row[cause] <= outcomes.count(cause) + 2
    fine, mute = rows[0], rows[1]
    assert 0 <= fine[POLLS] - fine[0] <= 1 and fine[RETRIES] == 0 and sum(fine[1:9]) == 0
    assert 0 < fine[LEAST_US] <= fine[LAST_US] <= fine[MOST_US] < 100000
    assert mute[0] == 0 and mute[causes.GAP_TIMEOUT] >= 3 and mute[causes.GAP_BACKOFF] >= 10
    assert 0 <= mute[POLLS] - mute[causes.GAP_TIMEOUT] - mute[RETRIES] <= 1  # one may be under way
    assert mute[RETRIES] == 1
    assert mute[LEAST_US] == mute[LAST_US] == mute[MOST_US] == 0
    assert health[fields.RESET_CAUSE] == fields.RESET_POWER


def test_link_and_journal():
    rig = Rig(seal_ms=3000)
    rig.start()
    rig.run(5000000)
    rig.fetch_all()
    frame_count = rig.app._link.reader.frame_count
    rig.line.arriving.extend(b"\x00noise\x00")
    rig.run(75000000)
    rig.fetch_all()
    (health,) = _health(rig)
    good, dropped, foreign = health[fields.HEALTH_LINK]
    assert (good, dropped, foreign) == (frame_count, 1, 0)
    torn, faults, waiting = health[fields.HEALTH_JOURNAL]
    assert (torn, faults) == (0, 0)
    assert waiting == health[fields.SEQ] - 1 - rig_acknowledged(rig)


def rig_acknowledged(rig):
    """What was acknowledged before the module was left alone for 75 s: the samples of its first 5 s."""
    early = [record for record in rig.records if record[fields.MONO_MS] < 5000]
    return early[-1][fields.SEQ]


def test_none_while_the_journal_is_full():
    rig = Rig(seal_ms=1000)
    rig.start()
    rig.run(150000000)  # nobody acknowledges
    head = rig.app._journal.newest_seq
    rig.fetch_all()
    rig.run(5000000)
    rig.fetch_all()
    (health,) = _health(rig)
    (overflow,) = [record for record in rig.records if record[fields.KIND] == fields.KIND_OVERFLOW]
    assert health[fields.SEQ] > overflow[fields.SEQ] > head  # what is to be told of slots comes first
    slots = slots_of(rig.records, 1)
    assert [slot[0] for slot in slots] == list(range(len(slots)))


def test_none_after_the_end_of_sampling():
    rig = Rig()
    rig.start()
    rig.run(5500000)
    rig.board.is_draining = True
    rig.run(100000000)
    rig.fetch_all()
    assert rig.board.drained_count == 1 and not _health(rig)
