"""Choice, start, key, reset cause, faults and watchdog of the board files on fakes of their ports."""

import sys

from acqwire import causes, fields
from board_parts import BOARDS, Set, is_there, on_each, refused

# Choice


def test_a_board_is_chosen_by_port_and_machine_and_board_json_may_name_another_that_fits():
    from boards.iron_choice import choose

    for platform, machine, wanted, name in (
        ("esp32", "Generic ESP32 module with ESP32", "", "esp32_t_can485"),
        ("esp32", "Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "", "esp32_s3_waveshare"),
        ("rp2", "Raspberry Pi Pico with RP2040", "", "rp2_pico_2ch"),
        ("rp2", "Raspberry Pi Pico2 with RP2350", "", "rp2_pico_2ch"),
        ("rp2", "Raspberry Pi Pico2 with RP2350", "rp2_pico_de", "rp2_pico_de"),
        ("pyboard", "PYBv1.1 with STM32F405RG", "stm32_pyboard", "stm32_pyboard"),
    ):
        assert choose(platform, machine, wanted) == name
    for platform, machine, wanted in (
        ("esp32", "Generic ESP32C3 module with ESP32C3", ""),
        ("samd", "Adafruit", ""),
        ("rp2", "Raspberry Pi Pico with RP2040", "stm32_pyboard"),
        ("pyboard", "OPENMV4 with STM32H743", "stm32_pyboard"),
    ):
        assert machine in str(refused(ValueError, choose, platform, machine, wanted))


# Start, key, faults, watchdog


def test_a_module_without_its_folder_says_so():
    for name, port in BOARDS:
        assert "provision" in str(refused(ValueError, Set, name, port, "exact", None, False))


def test_the_key_is_made_once_and_stays():
    def test(place):
        start = place.board.start
        key = start._load_key()
        assert len(key) == 32 and start._load_key() == key
        assert place.board.read_part("key.bin", 0, 40) == key
        if place.rig.port == "esp32":
            assert place.rig.radio == [True, False, True, False]  # for the seed of nonces, and for the key
        place.write("key.bin", b"short")
        assert "32 bytes" in str(refused(ValueError, start._load_key))

    on_each(test)


def test_no_key_without_entropy():
    from boards.iron_entropy import Entropy, NoEntropy, SeededEntropy

    dead = lambda count: bytes(count)  # noqa: E731
    stuck = lambda count: bytes(range(count))  # noqa: E731
    for source in (Entropy(dead), Entropy(stuck), NoEntropy(), SeededEntropy(None)):
        assert "no entropy" in str(refused(ValueError, source.key))
    radio = []
    assert "no entropy" in str(refused(ValueError, SeededEntropy(radio.append, stuck).key))
    assert radio[-1] is False
    seeded = SeededEntropy(radio.append)
    assert len(seeded.random(8)) == 8 and len(seeded.random(100)) == 100
    assert SeededEntropy(None, dead).random(32) != SeededEntropy(None, dead).random(16) + bytes(16)

    def before(place):
        del sys.modules["pyb"].rng

    place = Set("stm32_pyboard", "stm32", before=before)
    assert "no entropy" in str(refused(ValueError, place.board.start._load_key))
    assert not is_there(place.folder + "/key.bin")
    place.clear()


def test_reset_causes():
    def test(place):
        for told, wanted, cause in (
            (1, False, fields.RESET_POWER),
            (3, False, fields.RESET_WATCHDOG),
            (3, True, fields.RESET_WANTED),  # what rp2 calls machine.reset()
            (2, True, fields.RESET_WANTED),
            (1, True, fields.RESET_POWER),  # power failed before the reset was carried out
            (2, False, fields.RESET_UNKNOWN),
        ):
            place.rig.told_cause = told
            if wanted:
                place.board.restart()
            assert place.module.open_board(place.folder).start.reset_cause == cause, (told, wanted)
        assert place.module.open_board(place.folder).start.reset_cause == fields.RESET_UNKNOWN  # a note counts once
        assert place.rig.resets == 3

    on_each(test)


def test_a_fault_is_kept_and_counted_until_it_is_told():
    def test(place):
        board = place.board
        assert board.noted_fault() == (0, 0, 0)
        board.note_fault(12, 4, 100)
        assert len(place.rig.watchdogs) == 1  # no round has armed it, and it is what brings the next start
        board.note_fault(10, 4, 101)
        assert place.module.open_board(place.folder).noted_fault() == (causes.EVENT_TASK_FAULT, 10, 2)
        board.forget_fault()
        assert board.noted_fault() == (0, 0, 0)

    on_each(test)


def test_the_watchdog_is_armed_by_the_first_round():
    def test(place):
        board = place.board
        assert not place.rig.watchdogs
        for _ in range(2000):
            board.feed()
            place.rig.time.now += 2000
        (watchdog,) = place.rig.watchdogs
        assert watchdog.fed == 2000
        assert 8000 <= watchdog.timeout <= 30000

    on_each(test)


def _flashes(place, pin, seconds, tick_us):
    """Lengths in milliseconds of the times in which the light was off, over so many seconds of rounds."""
    began = place.rig.time.now
    while place.rig.time.now - began < seconds * 1000000:
        place.board.feed()
        place.rig.time.now += tick_us
    dark, off = [], None
    for when, level in place.rig.pin_times(pin):
        if when < began:
            continue
        if level and off is not None:
            dark.append((when - off) // 1000)
        off = None if level else when if off is None else off
    return dark


def test_the_light_is_steady_at_the_start_then_flashes_so_often_between_two_pauses():
    for name, port, pin in (("rp2_pico_2ch", "rp2", "25"), ("stm32_pyboard", "stm32", "LED_GREEN")):
        place = Set(name, port)
        assert [level for _, level in place.rig.pin_times(pin)][-1] == 1
        for count in (1, 3, 7):
            place.board.flashes(count)
            del place.rig.events[:]
            _flashes(place, pin, 8, 2000)  # whatever group was under way
            dark = _flashes(place, pin, 24, 2000)
            groups = [index for index, length in enumerate(dark) if length > 1000]
            assert len(groups) >= 4 and all(b - a == count for a, b in zip(groups[1:], groups[2:])), (count, dark)
            late = _flashes(place, pin, 60, 240000)  # rounds that come late leave no flash out
            groups = [index for index, length in enumerate(late) if length > 1000]
            assert len(groups) >= 4 and all(b - a == count for a, b in zip(groups[1:], groups[2:])), (count, late)
        place.board.flashes(0)
        _flashes(place, pin, 8, 2000)
        assert max(_flashes(place, pin, 8, 2000)) < 300
        place.clear()


def test_waiting_ends_with_the_time_or_with_a_byte_on_either_line():
    def test(place):
        now = place.rig.time.now
        place.board.wait(250000)
        assert 250000 <= place.rig.time.now - now < 251000
        for uart in place.rig.uarts.values():
            uart.deliver(b"x")
            now = place.rig.time.now
            place.board.wait(250000)
            assert place.rig.time.now - now < 1000
            uart.received = bytearray()

    on_each(test)


def test_a_frozen_program_brings_its_hash_and_closes_the_console():
    calls = []

    class Fake:
        HASH = b"\x07" * 32

        @staticmethod
        def kbd_intr(key) -> None:
            calls.append(key)

    kept = sys.modules.get("micropython")
    for name, port in BOARDS:
        place = Set(name, port)
        assert place.board.start.frozen_hash == b"" and not calls
        sys.modules["frozen_hash"] = sys.modules["micropython"] = Fake
        try:
            assert place.module.open_board(place.folder).start.frozen_hash == Fake.HASH
        finally:
            del sys.modules["frozen_hash"], sys.modules["micropython"]
            if kept is not None:
                sys.modules["micropython"] = kept
            place.clear()
        assert calls.pop() == -1


def test_files_of_the_start():
    def test(place):
        start = place.board.start
        place.write("settings.json", b'{"link_address":1}')
        assert start.read_file("settings.json") == b'{"link_address":1}'
        assert "parameters.json" in str(refused(ValueError, start.read_file, "parameters.json"))
        start.publish_key(b"\x04" + bytes(64))
        start.publish_key(b"\x04" + bytes(64))
        assert place.board.read_part("public_key.bin", 0, 100) == b"\x04" + bytes(64)
        paths = start.firmware_paths()
        assert "main.py" in paths and "acq/modbus/client.py" in paths and "boards/iron.py" in paths
        with start.open_firmware("acq/app.py") as file:
            assert file.readinto(bytearray(16)) == 16
        place.board.forget_start()
        assert place.board.start is None

    on_each(test)


def test_an_element_that_is_named_wrongly_is_refused_and_an_absent_one_does_not_sign():
    from acq.faults import SignerFault

    def test(place):
        for words in (b"[]", b"{}", b'{"address":5,"slot":0}', b'{"address":96,"slot":16}', b"nothing"):
            place.write("element.json", words)
            assert "element.json" in str(refused(ValueError, place.board.start.open_signer))
        place.write("element.json", b'{"address":96,"slot":0,"counter":2}')
        assert "counter is 0 or 1" in str(refused(ValueError, place.board.start.open_signer))
        place.write("element.json", b'{"address":96,"slot":0}')
        place.board.start._wait = lambda wait_us: None
        place.board.start._clock.ticks = Later().ticks
        assert refused(SignerFault, place.board.start.open_signer).code == causes.FAULT_ELEMENT_SILENT
        assert not is_there(place.folder + "/key.bin")

    on_each(test)


def test_the_element_counts_the_starts_where_it_is_told_to():
    from atecc_parts import Chip, Wire

    place = Set("rp2_pico_2ch", "rp2")
    chip = Chip()
    chip.with_key()
    for words, expected in ((b"", 0), (b',"counter":1', 1), (b',"counter":1', 2), (b"", 0), (b',"counter":1', 3)):
        place.write("element.json", b'{"address":96,"slot":0' + words + b"}")
        start = place.board.start
        start._parts.element_bus, start._clock = lambda: Wire(chip.chip, chip.clock), chip.clock
        start._wait, start.element_counter = chip.wait, 0
        start.open_signer()
        assert start.element_counter == expected and chip.chip.counters[0] == 0
    place.clear()


class Later:
    """A clock on which every look is 10 ms later."""

    now = 0

    def ticks(self) -> int:
        self.now += 10000
        return self.now & (1 << 30) - 1
