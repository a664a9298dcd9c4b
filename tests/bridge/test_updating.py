"""The bridge's half of an update against the module's own machine, over a line that loses questions and answers."""

from __future__ import annotations

import random

import pytest
from acqwire import update
from update_parts import OLD_HASH, Bench, release

from plumeproof.errors import LinkError, LinkTimeout
from plumeproof.link.session import UpdateState
from plumeproof.link.updating import PATIENCE_COUNT, ReleaseFile, Sending, UpdateRefused, read_release, send_release


class LossyLine:
    """line.Line's questions, answered by acq.update.Updater; `loss`: of a question, and as often of an answer. Does not
    imitate frames, BUSY or time: tests/firmware/test_update_app.py, tests/system/test_module_update.py."""

    def __init__(self, bench: Bench, loss: float = 0.0, seed: int = 1) -> None:
        self.bench = bench
        self.loss = loss
        self.dice = random.Random(seed)
        self.rests = 0

    def _ask(self, carry) -> UpdateState:
        updater = self.bench.updater
        if self.dice.random() < self.loss:
            raise LinkTimeout("question lost")
        carry(updater)
        state = UpdateState(updater.phase, updater.reason, updater.next_offset, self.bench.slot, False, 0)
        self.bench.work()
        if self.dice.random() < self.loss:
            raise LinkTimeout("answer lost")
        return state

    def update_ask(self) -> UpdateState:
        return self._ask(lambda updater: None)

    def update_begin(self, roots: int, manifest: int, total: int) -> UpdateState:
        return self._ask(lambda updater: updater.begin(roots, manifest, total, 0))

    def update_data(self, offset: int, piece: bytes) -> UpdateState:
        return self._ask(lambda updater: updater.take(offset, piece, 0))

    def update_end(self, manifest_hash: bytes) -> UpdateState:
        return self._ask(lambda updater: updater.end(manifest_hash, OLD_HASH))

    def rest(self, duration_s: float) -> None:
        self.rests += 1


def file_of(made: tuple[bytes, bytes]) -> ReleaseFile:
    return read_release(ReleaseFile(0, len(made[0]), made[0] + made[1]).pack())


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_line_loses_the_release_arrives(seed):
    bench = Bench()
    seen = []
    send_release(LossyLine(bench, 0.2 if seed else 0.0, seed), file_of(release(1)), lambda *pair: seen.append(pair))
    assert bench.start() == update.SLOT_A and seen == sorted(seen)


def test_a_refusal_carries_its_reason():
    with pytest.raises(UpdateRefused) as refused:
        send_release(LossyLine(Bench()), file_of(release(1, board="esp32")))
    assert refused.value.reason == update.REASON_BOARD and "board" in str(refused.value)


def test_a_module_that_starts_anew_or_is_silent_ends_the_transfer():
    bench = Bench()
    line = LossyLine(bench)
    sending = Sending(line, file_of(release(1)))
    sending.step()
    bench.start()
    with pytest.raises(LinkError):
        for _ in range(9):
            sending.step()
    line.loss = 1.0
    sending = Sending(line, file_of(release(1)))
    for _ in range(PATIENCE_COUNT - 1):
        assert not sending.step()
    with pytest.raises(LinkTimeout):
        sending.step()


@pytest.mark.parametrize("raw", [b"", b"PPUP", bytes(200), b"PPUP" + bytes(20), b"PPUP" + b"\xff" * 8 + bytes(50)])
def test_what_is_no_release_file(raw):
    with pytest.raises(ValueError, match="release file"):
        read_release(raw)


def test_a_module_without_room_is_asked_again_but_not_for_ever():
    bench = Bench()
    line = LossyLine(bench)
    begin = line.update_begin
    full = [3]

    def crowded(*sizes: int) -> UpdateState:
        if full[0]:
            full[0] -= 1
            return UpdateState(update.PHASE_REFUSED, update.REASON_MEMORY, 0, 0, False, 0)
        return begin(*sizes)

    line.update_begin = crowded
    send_release(line, file_of(release(1)))
    assert bench.start() == update.SLOT_A and line.rests >= 3
    full[0] = 1000
    with pytest.raises(UpdateRefused) as refused:
        send_release(line, file_of(release(2)))
    assert refused.value.reason == update.REASON_MEMORY and full[0] > 900
