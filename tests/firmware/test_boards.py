"""The lines and flashes of the board files on fakes of their ports (tests/doubles/board_fakes): ports contract, driver
enable, journal. What only hardware can show is listed in firmware/BOARDS.md.
"""

import sys

from acqwire import causes
from board_parts import Set, on_each, refused

from acq.faults import BusError, JournalError
from acq.journal import Journal

REQUEST = bytes((1, 3, 0, 0, 0, 2, 0xC4, 0x0B))


# Clock


def test_ticks_wrap_where_boards_wrap_and_differences_go_on():
    def test(place):
        clock = place.board.clock
        before = clock.ticks()
        place.rig.time.now += 100000  # over the end of the counter
        after = clock.ticks()
        assert after < before < 1 << 30
        assert 100000 <= clock.elapsed(after, before) < 100100
        assert clock.elapsed(before, after) == -clock.elapsed(after, before)

    on_each(test)


# Bus


def test_a_request_goes_out_whole_in_the_format_of_the_parameter_set():
    def test(place):
        for baud, parity, stop in ((9600, "N", 1), (19200, "E", 1), (115200, "O", 1), (9600, "N", 2)):
            place.board.bus.set_line(baud, parity, stop)
            uart = place.uart
            assert (uart.baudrate, uart.stop) == (baud, stop)
            assert uart.parity == {"N": None, "E": 0, "O": 1}[parity]
            assert uart.rxbuf >= 512
            if not place.rig.state_machines:
                del uart.sent[:]
                place.board.bus.send(bytearray(REQUEST), 8)
                assert bytes(entry[2] for entry in uart.sent) == REQUEST

    on_each(test)


def test_driver_is_on_a_bit_before_the_first_start_bit_and_off_within_a_character_of_the_last_stop_bit():
    for name, port, pin in (("esp32_s3_waveshare", "esp32", "21"), ("stm32_pyboard", "stm32", "Y3")):
        for baud, parity in ((1200, "E"), (9600, "N"), (19200, "E"), (115200, "N")):
            place = Set(name, port)
            place.board.bus.set_line(baud, parity, 1)
            del place.rig.events[:]
            place.board.bus.send(bytearray(REQUEST), 8)
            (on_us, on), (off_us, off) = place.rig.pin_times(pin)
            assert (on, off) == (1, 0)
            first, last = place.uart.sent[0][0], place.uart.sent[-1][1]
            assert first - on_us * 1000 >= 1000000000 // baud, (name, baud)
            assert 0 <= off_us * 1000 - last < place.uart.character_ns, (name, baud)
            place.clear()


def test_a_flush_that_ends_early_is_made_good():
    place = Set("rp2_pico_2ch", "rp2", "early")
    import machine

    from boards.uart_bus import PinDriver, UartBus

    pin = machine.Pin(9, machine.Pin.OUT, value=0)
    for tail, is_held in ((0, False), (1, True)):
        uart = machine.UART(0, baudrate=9600)
        bus = UartBus(uart, PinDriver(pin), tail)
        del place.rig.events[:]
        bus.send(bytearray(REQUEST), 8)
        off_us = place.rig.pin_times("9")[1][0]
        assert (off_us * 1000 >= uart.sent[-1][1]) is is_held
        assert off_us * 1000 - uart.sent[-1][1] < uart.character_ns
    place.clear()


def test_a_driver_is_let_go_whatever_happens():
    for name, port, pin in (("esp32_s3_waveshare", "esp32", "21"), ("stm32_pyboard", "stm32", "Y3")):
        place = Set(name, port)
        place.uart.fails = True
        assert refused(BusError, place.board.bus.send, bytearray(REQUEST), 8).code == causes.FAULT_BUS_IO
        assert place.rig.pins[pin] == 0
        place.clear()


def test_esp32_flush_needs_the_transmit_buffer_that_we_ask_for():
    place = Set("esp32_s3_waveshare", "esp32")
    for baud in (1200, 9600, 115200):
        place.board.bus.set_line(baud, "E", 1)
        place.board.bus.send(bytearray(256), 256)  # the longest ADU
    place.uart.txbuf = 0
    refused(BusError, place.board.bus.send, bytearray(REQUEST), 8)
    place.clear()


def test_transceivers_that_turn_by_themselves_are_awake_and_hear_nothing_of_ours():
    place = Set("esp32_t_can485", "esp32")
    assert (place.rig.pins["16"], place.rig.pins["19"], place.rig.pins["17"]) == (1, 1, 1)
    place.clear()


def test_pio_sends_the_frame_bit_by_bit_and_holds_the_driver_exactly():
    place = Set("rp2_pico_de", "rp2")
    bus = place.board.bus
    for baud in (1200, 9600, 115200):
        for parity, stop in (("N", 1), ("E", 1), ("O", 1), ("N", 2), ("E", 2)):
            bus.set_line(baud, parity, stop)
            del place.rig.state_machines[:-1]
            (machine,) = place.rig.state_machines
            assert (machine.tx.name, machine.enable.name) == ("2", "3")
            for data in (REQUEST, b"\x00", b"\xff\x01\x80", bytes(range(15)), bytes(range(30))):
                del machine.levels[:], machine.driver[:]
                bus.send(bytearray(data), len(data))
                assert frames_of([bit for _, bit in machine.levels], parity, stop) == list(data)
                bit_ns = 8 * (1000000000 // (8 * baud))
                (on, one), (off, nought) = machine.driver[-2:]
                assert (one, nought) == (1, 0)
                assert machine.levels[0][0] - on == bit_ns
                spare = len(machine.levels) % ((9 + (parity != "N") + stop) * len(data))
                assert off - machine.levels[-1][0] == bit_ns and spare in (0, 1)
                assert place.rig.time.now * 1000 >= off
    assert place.rig.state_machines[0].program.options["pull_thresh"] == 30
    place.clear()


def frames_of(bits, parity, stop):
    """Characters in a row of line levels, as a UART reads them."""
    found = []
    at = 0
    while at < len(bits):
        if bits[at]:  # idle
            at += 1
            continue
        byte = sum(bits[at + 1 + index] << index for index in range(8))
        at += 9
        if parity != "N":
            assert (sum(byte >> index & 1 for index in range(8)) + bits[at]) % 2 == (parity == "O")
            at += 1
        assert bits[at : at + stop] == [1] * stop
        at += stop
        found.append(byte)
    return found


def test_a_pio_machine_that_never_ends_is_a_fault_of_the_port():
    place = Set("rp2_pico_de", "rp2")
    place.rig.pins["3"] = 1
    assert refused(BusError, place.board.bus.send, bytearray(REQUEST), 8).code == causes.FAULT_BUS_IO
    place.clear()


def test_what_came_is_received_behind_what_is_there_and_no_read_waits():
    def test(place):
        bus, uart = place.board.bus, place.uart
        buf = bytearray(16)
        assert bus.receive(buf, 0) == 0
        uart.deliver(b"\x01\x03\x04")
        assert bus.receive(buf, 0) == 3
        uart.deliver(bytes(range(20)))
        assert bus.receive(buf, 3) == 13
        assert bytes(buf) == b"\x01\x03\x04" + bytes(range(13))
        assert bus.receive(buf, 16) == 0
        assert bus.drain() == 7 and bus.drain() == 0
        uart.deliver(bytes(300))
        assert bus.drain() == 300
        assert uart.waited_us == 0 and uart.lost == 0

    on_each(test)


def test_self_test_reports_tail_and_echo():
    place = Set("esp32_s3_waveshare", "esp32")
    place.board.bus.set_line(9600, "N", 1)
    tail_us, echoed, wrong = place.board.bus.self_test()
    assert 0 <= tail_us < 1000 and (echoed, wrong) == (0, 0)
    place.clear()
    place = Set("esp32_t_can485", "esp32")
    place.uart.echo = lambda data: data if place.rig.pins["17"] == 0 else b""
    assert place.module.self_test(place.board.bus) == (None, 8, 0)
    assert place.rig.pins["17"] == 1
    place.uart.echo = lambda data: data[:7] + b"\x54"
    assert place.module.self_test(place.board.bus) == (None, 8, 1)
    place.clear()


# Uplink


def test_uplink_is_a_line_of_its_own_and_every_byte_is_data():
    def test(place):
        (link,) = [uart for uart in place.rig.uarts.values() if uart is not place.uart]
        assert link.baudrate == 115200
        assert place.rig.port != "esp32" or 0 not in place.rig.uarts  # the console
        whole = bytearray(range(256))
        start = 0
        while start < 256:
            taken = place.board.uplink.write(whole, start, 256)
            assert 0 <= taken <= 128
            start += taken
        assert bytes(entry[2] for entry in link.sent) == bytes(whole)
        link.deliver(bytes(whole))
        heard = bytearray()
        buf = bytearray(64)
        count = place.board.uplink.read(buf)
        while count:
            heard += buf[:count]
            count = place.board.uplink.read(buf)
        assert heard == whole and link.waited_us == 0

    on_each(test)


def test_the_driver_of_a_half_duplex_uplink_is_on_only_while_it_sends():
    place = Set("rp2_pico_de", "rp2")
    del place.rig.events[:]
    place.board.uplink.write(bytearray(64), 0, 64)
    (on_us, on), (off_us, off) = place.rig.pin_times("6")
    link = place.rig.uarts[1]
    assert (on, off) == (1, 0)
    assert on_us * 1000 <= link.sent[0][0] and 0 <= off_us * 1000 - link.sent[-1][1] < link.character_ns
    place.clear()


# Flash


def test_flash_keeps_the_promises_of_its_port():
    def test(place):
        flash = place.board.flash
        unit, size = flash.program_bytes, flash.sector_bytes * flash.sector_count
        assert flash.sector_bytes == 4096 and 4096 % unit == 0
        assert flash.erase_ms > 0 and flash.append_ms > 0
        page = bytearray(unit)
        flash.erase(1)
        flash.program(4096, bytes([0b11110000]) * unit)
        flash.read(4096, page)
        assert page == bytes([0b11110000]) * unit
        flash.program(4096, bytes([0b00111111]) * unit)
        flash.read(4096, page)
        assert page == bytes([0b00110000]) * unit  # only clears bits
        flash.program(4096 * 2 - unit, bytes(unit))
        flash.erase(1)
        whole = bytearray(4096)
        flash.read(4096, whole)
        assert whole == b"\xff" * 4096
        pages = bytes([(index * 7 + index // 256) & 0xFF for index in range(1280)])  # no page like another
        flash.program(4096, pages)
        part = bytearray(1000)
        flash.read(4096 + 100, part)
        assert part == pages[100:1100]
        for offset, count in ((1, unit), (0, unit + 1), (size, unit), (-unit, unit), (size - unit, 2 * unit)):
            assert refused(JournalError, flash.program, offset, bytes(count)).code == causes.FAULT_FLASH_IO
        refused(JournalError, flash.read, size - 1, bytearray(2))
        refused(JournalError, flash.erase, flash.sector_count)
        refused(JournalError, flash.erase, -1)

    on_each(test)


def test_a_journal_lives_on_each_flash():
    def test(place):
        head = b"\x11" * 32
        journal = Journal(place.board.flash)
        journal.mount()
        for seq in range(1, 6):
            journal.append(1, seq, 1, head, b"envelope %d" % seq * 20)
        again = Journal(place.board.flash)
        again.mount()
        assert (again.head_seq, again.head_boot, again.torn_count) == (5, 1, 0)

    on_each(test)


def test_failures_of_the_flash_carry_its_code():
    place = Set("rp2_pico_2ch", "rp2")
    place.rig.device.fails = True
    flash = place.board.flash
    for call, arguments in ((flash.read, (0, bytearray(4))), (flash.program, (0, bytes(256))), (flash.erase, (0,))):
        assert refused(JournalError, call, *arguments).code == causes.FAULT_FLASH_IO
    place.clear()


def test_rp2_journal_lies_behind_the_file_system_and_not_below_one():
    place = Set("rp2_pico_2ch", "rp2")
    assert place.rig.flash_start == 96 * 4096
    sys.modules["boards.rp2_chip"].file_system_bytes = lambda: 1408 * 1024  # as stock MicroPython lays it
    assert "covers" in str(refused(ValueError, place.module.open_board, place.folder))
    place.clear()


def test_esp32_wants_its_partition_and_wants_it_plain():
    place = Set("esp32_t_can485", "esp32")
    place.rig.is_encrypted = True
    assert "encrypted" in str(refused(ValueError, place.module.open_board, place.folder))
    place.rig.is_encrypted = False
    place.rig.has_partition = False
    assert "partition" in str(refused(ValueError, place.module.open_board, place.folder))
    place.clear()


# SPI NOR


def open_chip(**what):
    place = Set("stm32_pyboard", "stm32")
    chip = place.rig.chip
    for name in what:
        setattr(chip, name, what[name])
    return place, chip


def test_the_chip_is_looked_at_before_it_is_used():
    for what, word in (
        ({"is_absent": True}, "busy"),
        ({"jedec": b"\x00\x00\x00"}, "JEDEC"),
        ({"jedec": b"\xef\x40\x19"}, "JEDEC"),
        ({"is_protected": True}, "protected"),
        ({"is_stuck": True}, "busy"),
    ):
        place, chip = open_chip(**what)
        assert word in str(refused(ValueError, place.module.open_board, place.folder)), what
        place.clear()


def test_a_chip_that_sleeps_or_still_erases_after_our_reset_is_waited_for():
    place, chip = open_chip(is_asleep=True)
    chip.busy_until = place.rig.time.now + 300000
    assert place.module.open_board(place.folder).flash.sector_count == 2048
    assert chip.ignored == 0
    place.clear()


def test_a_write_that_the_chip_does_not_take_is_a_fault_not_silence():
    place, chip = open_chip(is_deaf=True)
    for call, arguments in ((place.board.flash.program, (0, bytes(256))), (place.board.flash.erase, (0,))):
        assert refused(JournalError, call, *arguments).code == causes.FAULT_FLASH_IO
    chip.is_deaf = False
    chip.is_protected = True
    refused(JournalError, place.board.flash.erase, 0)
    chip.is_protected = False
    place.board.flash.erase(0)
    chip.is_stuck = True
    refused(JournalError, place.board.flash.program, 0, bytes(256))
    chip.is_stuck = False
    chip.is_absent = True
    refused(JournalError, place.board.flash.erase, 0)
    place.clear()


def test_the_chip_is_never_spoken_to_while_it_works():
    place, chip = open_chip()
    place.board.flash.erase(0)
    place.board.flash.program(0, bytes(1024))
    assert chip.counts == [4, 1] and chip.ignored == 0
    assert place.rig.pins["Y5"] == 1
    place.clear()


def test_a_region_beyond_the_chip_is_refused():
    place, chip = open_chip()
    import machine

    from boards.spi_nor import SpiNor

    spi, select = machine.SPI(2), machine.Pin("Y5", machine.Pin.OUT, value=1)
    assert SpiNor(spi, select, 2040).sector_count == 8
    for first, count in ((2048, 0), (2040, 9), (-1, 4)):
        refused(ValueError, SpiNor, spi, select, first, count)
    place.clear()


class Still:
    """A UART, a pin and a clock in one that take nothing from the heap: what is taken is the board file's own."""

    def __init__(self) -> None:
        self.waiting = 0

    def init(self, **options) -> None:
        pass

    def on(self) -> None:
        pass

    off = flush = on

    def sleep_us(self, count) -> None:
        pass

    def ticks_us(self) -> int:
        return 5

    def write(self, buf, start, count=0) -> int:
        return count or start

    def any(self) -> int:
        return self.waiting

    def readinto(self, buf, count) -> int:
        self.waiting -= count
        return count


def test_polling_takes_nothing_from_the_heap():
    if sys.implementation.name != "micropython":
        return  # CPython counts references: there is nothing to measure
    import gc

    import boards.uart_bus as lines

    still = Still()
    kept, lines.time = lines.time, still
    bus, link = lines.UartBus(still, still, 1), lines.UartLine(still)
    request, answer = bytearray(REQUEST), bytearray(256)

    def poll() -> None:
        still.waiting = 100
        bus.drain()
        bus.send(request, 8)
        still.waiting = 30
        bus.receive(answer, 0)
        still.waiting = 40
        bus.receive(answer, 30)
        still.waiting = 10
        link.read(answer)
        link.write(answer, 10, 200)

    poll()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    poll()
    taken = gc.mem_alloc() - before
    gc.enable()
    lines.time = kept
    assert taken == 0, taken
