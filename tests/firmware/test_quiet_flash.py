"""Flash that blocks, as it does on boards: no erase or program while an analyzer is asked, none within a frame of the
gateway, and no poll that slips because of one. Time passes here while the flash works, and nothing else runs meanwhile.
"""

from acqwire import frames
from app_parts import ADDRESS, Rig

from acq.framing import FrameWriter

_SLOT_US = 200000
_ERASE_US = 45000  # of one sector of a W25Q128: its data sheet's typical value
_PROGRAM_US = 700


class _Watch:
    """Notes what is going on at each operation. `windows`: (first byte, last byte) of each frame from the gateway."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self.erases = []  # moments of erases
        self.programs = 0
        self.asked = 0  # operations while an analyzer was being asked
        self.within = 0  # erases within a frame
        self.windows = []
        self.is_partial = False
        rig.flash.erase_ms, rig.flash.append_ms = 2 * _ERASE_US // 1000, 17 * _PROGRAM_US // 1000 + 1
        rig.flash.observer = self.look

    def look(self, flash, offset, data):
        clock = self.rig.clock
        if not self.rig.app._sampler.is_idle or self.rig.bus.left_us >= 0:
            self.asked += 1
        if data is None:
            self.erases.append(clock.now)
            self.within += self.is_partial
            clock.now += _ERASE_US
        else:
            self.programs += 1
            clock.now += _PROGRAM_US


def _work(seconds, is_talking):
    """A module that fills its ring while the gateway fetches; its questions arrive in two halves, 30 ms apart.

    They begin when the boot record is durable: its segment is erased when it is needed, nothing was ahead yet."""
    rig = Rig(slot_ms=_SLOT_US // 1000, seal_ms=600)
    rig.bus.log = []
    watch = _Watch(rig)
    rig.start()
    began = rig.clock.now
    while rig.app._sealing.records_total == 0:
        rig.run(1000)
    writer = FrameWriter()
    writer.finish(ADDRESS, frames.HELLO, 1, 0, True)
    hello = bytes(memoryview(writer.buf)[writer.start : writer.end])
    while rig.clock.now < began + seconds * 1000000:
        if is_talking:
            rig.line.arriving.extend(hello[:7])
            rig.run(1000)  # the first half has been taken
            watch.is_partial = True
            rig.run(29000)
            watch.is_partial = False
            rig.line.arriving.extend(hello[7:])
        rig.run(170000)
        rig.line.sent = bytearray()
        if rig.flash.operations % 7 == 0:
            rig.fetch_all()
    return rig, watch, began


def _check_polls(rig, began):
    late = [(at - began) % _SLOT_US for at, unit in rig.bus.log if unit == 1]
    assert len(late) > 100 and max(late) < _SLOT_US // 10, max(late)


def test_no_flash_work_while_an_analyzer_is_asked_and_no_poll_slips():
    rig, watch, began = _work(60, False)
    assert watch.programs > 100 and len(watch.erases) >= 4
    assert watch.asked == 0
    _check_polls(rig, began)


def test_no_erase_within_a_frame_of_the_gateway():
    rig, watch, began = _work(60, True)
    assert watch.programs > 100 and len(watch.erases) >= 4
    assert (watch.asked, watch.within) == (0, 0)
    _check_polls(rig, began)


def test_an_erase_waits_for_a_pause_that_is_long_enough():
    """Slots without such a pause: erased when the place is needed, still never while an analyzer is asked."""
    rig = Rig(slot_ms=100, seal_ms=600)
    watch = _Watch(rig)
    rig.flash.erase_ms = 99  # longer than what two analyzers leave of a slot
    rig.start()
    for _ in range(30):
        rig.run(1000000)
        rig.fetch_all()
    assert watch.programs > 50 and watch.asked == 0
