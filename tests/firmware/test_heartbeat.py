"""The watchdog is fed by heartbeats: a task that hangs ends the feeding, whatever else goes on; trouble outside does
not."""

from app_parts import Rig


class Endless:
    """A signer whose signature never comes."""

    def __init__(self, signer) -> None:
        self.public_key, self.kid = signer.public_key, signer.kid

    def begin(self, digest) -> None:
        pass

    def step(self) -> bool:
        return False

    def wait_us(self) -> int:
        return 1000


def _is_fed(rig, seconds):
    """Whether the module was fed in each of these seconds."""
    is_fed = True
    for _ in range(seconds):
        before = rig.board.fed
        rig.run(1000000)
        is_fed = is_fed and rig.board.fed > before
    return is_fed


def _is_starved(rig, seconds):
    before = rig.board.fed
    rig.run(seconds * 1000000)
    return rig.board.fed == before


def _never():
    return False


def test_an_attempt_that_does_not_end_starves_the_watchdog():
    rig = Rig()
    rig.start()
    assert _is_fed(rig, 5)
    rig.app._sampler._client.step = _never
    rig.run(2500000)  # the slot under way is over
    assert not rig.app._sampler.is_idle
    assert _is_starved(rig, 40)
    rig.start()  # what the watchdog brings about
    assert _is_fed(rig, 5)


def test_a_signature_that_does_not_come_starves_the_watchdog():
    rig = Rig(seal_ms=3000)
    rig.signer = Endless(rig.signer)
    rig.start()
    assert _is_fed(rig, 25)
    rig.run(10000000)
    polls = rig.app._sampler.next_slot
    assert _is_starved(rig, 20)
    assert rig.app._sampler.next_slot > polls  # although the slots go on


def test_mute_analyzers_do_not():
    rig = Rig()
    rig.bus.remove(1, 4)
    rig.bus.remove(2, 4)
    rig.start()
    assert _is_fed(rig, 40)


def test_a_full_journal_does_not():
    rig = Rig(seal_ms=1000)
    rig.start()
    rig.run(150000000)
    head = rig.app._journal.newest_seq
    assert _is_fed(rig, 60)
    assert rig.app._journal.newest_seq == head and rig.app._sampler.lost.slot_count


def test_slots_that_are_made_up_for_are_heartbeats():
    rig = Rig(slot_ms=100, seal_ms=3000)
    rig.start()
    rig.run(5000000)
    rig.clock.now += 400000000  # something has stopped the module for 400 s: 4,000 slots are behind
    sampler, rounds = rig.app._sampler, 0
    while sampler._schedule.is_over(rig.app._timebase.look()):
        before = rig.board.fed
        slot = sampler.next_slot
        rig.app.step()
        rig.clock.now += 100
        rounds += 1
        assert rig.board.fed == before + 1 or sampler.next_slot == slot
        assert rounds < 20000
    assert rounds >= 1000
    assert _is_fed(rig, 5)


def test_the_end_of_sampling_does_not():
    rig = Rig()
    rig.start()
    rig.run(3500000)
    rig.board.is_draining = True
    assert _is_fed(rig, 60)
    assert rig.board.drained_count == 1
