"""Own inputs of the board files: contacts on pins, an ADS1115 beside the secure element on its I2C line."""

from acqwire import causes
from board_fakes.ads1115 import ADDRESS, FakeAds1115
from board_parts import BOARDS, Set, on_each, refused

from acq.faults import BusError

SHUNT_OHM = 150
CONTACTS = {
    "rp2_pico_2ch": ("10", "11", "12", "13"),
    "rp2_pico_de": ("10", "11", "12", "13"),
    "stm32_pyboard": ("X3", "X4", "X5", "X6"),
}


def _volts(milliamperes):
    return milliamperes * SHUNT_OHM / 1000


def _convert(place, port, index):
    port.begin(index)
    for _ in range(100):
        before = place.rig.time.now
        counts = port.counts()
        assert place.rig.time.now - before <= 1000, "blocks for longer than ports.Inputs says"
        if counts >= 0:
            return counts
        place.rig.time.now += 500
    raise AssertionError("never ready")


def test_the_currents_of_a_loop():
    def test(place):
        chip = place.rig.chips[ADDRESS] = FakeAds1115(place.rig.time, [_volts(4), _volts(20), _volts(21), -0.01])
        port = place.board.open_inputs()
        assert port.analog_count == 4
        assert [_convert(place, port, index) for index in range(4)] == [4800, 24000, 25200, 0]
        chip.volts[0] = 5.0
        assert _convert(place, port, 0) == 32767
        assert chip.conversions == 5

    on_each(test)


def test_a_result_is_never_another_inputs():
    place = Set("rp2_pico_de", "rp2")
    for slow_percent in (-10, 0, 10):
        chip = place.rig.chips[ADDRESS] = FakeAds1115(place.rig.time, [0.1, 1.0, 2.0, 3.0], slow_percent)
        port = place.board.open_inputs()
        assert [_convert(place, port, index) for index in (3, 0, 2, 1, 3)] == [24000, 800, 16000, 8000, 24000]
        port.begin(3)
        place.rig.time.now += 4000
        chip.reset()  # a brown-out in mid-conversion
        place.rig.time.now += 10000
        assert refused(BusError, port.counts).code == causes.FAULT_BUS_IO
        assert _convert(place, port, 3) == 24000
    place.clear()


def test_a_chip_that_is_not_there_or_goes_away_is_a_fault():
    place = Set("rp2_pico_de", "rp2")
    port = place.board.open_inputs()  # whoever has not wired one finds gaps, not a module that will not start
    assert refused(BusError, port.begin, 0).code == causes.FAULT_BUS_IO
    place.rig.chips[ADDRESS] = FakeAds1115(place.rig.time, [1.0] * 4)
    port.begin(0)
    place.rig.time.now += 10000
    del place.rig.chips[ADDRESS]
    refused(BusError, port.counts)
    place.clear()


def test_contacts_close_to_ground():
    for name, port in BOARDS:
        place = Set(name, port)
        inputs = place.board.open_inputs()
        pins = CONTACTS.get(name, ())
        assert inputs.digital_count == len(pins)
        assert inputs.levels() == 0, "open, held up by the pull-ups"
        for index in range(len(pins)):
            place.rig.pins[pins[index]] = 0
            assert inputs.levels() == 1 << index
            place.rig.pins[pins[index]] = 1
        place.clear()


def test_a_board_that_is_not_asked_touches_no_pin():
    def test(place):
        for pin in CONTACTS.get(place.module.NAME, ()):
            assert pin not in place.rig.pins

    on_each(test)
