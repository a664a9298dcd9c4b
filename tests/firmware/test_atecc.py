"""Secure element: groups and CRC against published bytes, wake, poll, sleep, watchdog, signature. Both interpreters."""

import gc
import sys

from acqwire import causes
from atecc608 import SLOW_TIMES_MS, N, checksum, factory_zone, locked_zone
from atecc_parts import Chip, EmptyBus, RigClock, SignerFault, digest_of, fault_of, is_good
from vector_files import own

from acq import atecc_packet as packet
from acq import p256
from acq.atecc import Element
from acq.cose import Sealer


def _vectors():
    return own("atecc_packets.json")


def test_crc_of_groups_that_real_chips_and_other_drivers_sent():
    vectors = _vectors()
    for entry in vectors["commands"] + vectors["answers"] + vectors["statuses"]:
        group = bytes.fromhex(entry["hex"])
        assert packet.crc16(group, 0, len(group) - 2) == group[-2] | group[-1] << 8, entry
        assert checksum(group[:-2]) == group[-2:], entry  # the double's own
    (damaged,) = vectors["damaged"]
    group = bytes.fromhex(damaged["hex"])
    assert packet.crc16(group, 0, len(group) - 2) == int(damaged["crc"][2:] + damaged["crc"][:2], 16)
    assert packet.judge(group) == packet.GARBLED


def test_commands_are_the_bytes_that_other_drivers_send():
    for entry in _vectors()["commands"]:
        data = bytes.fromhex(entry.get("data", ""))
        command = packet.Command(entry["opcode"], entry["mode"], entry["number"], len(data))
        command.fill(data)
        assert command.packet == b"\x03" + bytes.fromhex(entry["hex"]), entry


def test_answers_of_real_chips_are_read():
    for entry in _vectors()["answers"]:
        group = bytearray(_hex(entry))
        if len(group) > 4:
            assert packet.judge(group) == packet.STATUS_DONE, entry
    for entry in _vectors()["statuses"]:
        for room in (4, 7, 35, 67):
            answer = bytearray(b"\xff" * room)
            answer[:4] = _hex(entry)
            status = packet.judge(answer)
            if entry["status"] == packet.STATUS_DONE:
                assert status == (packet.STATUS_DONE if room == 4 else packet.GARBLED)
            else:
                assert status == entry["status"], (entry, room)


def _hex(entry):
    return bytes.fromhex(entry["hex"])


def test_what_is_no_group_is_garbled():
    for room in (4, 7, 35, 67):
        for fill in (0x00, 0xFF, 0x04, 0x43, room):
            assert packet.judge(bytearray(bytes((fill,)) * room)) == packet.GARBLED, (room, fill)
    for room in (8, 35, 67):  # whole, but of another command
        answer = bytearray(b"\xff" * room)
        answer[:7] = b"\x07\x01\x23\x4a\xb6\x04\xcf"
        assert packet.judge(answer) == packet.GARBLED, room
    good = bytearray(b"\x04\x11\x33\x43")
    for bit in range(32):
        good[bit >> 3] ^= 1 << (bit & 7)
        assert packet.judge(good) == packet.GARBLED, bit
        good[bit >> 3] ^= 1 << (bit & 7)


def test_command_data_of_another_length_is_refused():
    command = packet.Command(packet.NONCE, 3, 0, 32)
    for count in (0, 31, 33):
        try:
            command.fill(bytes(count))
            raise AssertionError("taken")
        except ValueError:
            pass


def test_a_command_goes_wake_send_poll_sleep():
    chip = Chip()
    start = chip.start()
    assert chip.chip.log == ["wake", "02", "02", "02", "02", "sleep"]
    began = chip.clock.now
    assert start.revision() == b"\x00\x00\x60\x03"
    assert chip.chip.is_asleep and chip.element.status == 0 and chip.element.retries_total == 0
    assert chip.clock.now - began < 12000  # wake 1.5 ms, Info 5 ms, some polls


def test_an_answer_that_arrives_damaged_is_read_again_not_asked_again():
    chip = Chip()
    start = chip.start()
    chip.chip.log = []
    chip.chip.faults.read_flips = {chip.chip.reads + 2: 9}
    assert start.revision() == b"\x00\x00\x60\x03"
    assert chip.chip.log == ["wake", "30", "sleep"] and chip.element.retries_total == 0


def test_a_chip_that_did_not_go_to_sleep_is_put_to_sleep_first():
    """How long it has been awake is not known, nor whether its watchdog is near."""
    chip = Chip()
    start = chip.start()
    nonce = packet.Command(packet.NONCE, 3, 0, 32)
    chip.chip.faults.no_sleep = 1
    start.run(nonce)
    assert not chip.chip.is_asleep
    chip.chip.log = []
    start.run(nonce)
    assert chip.chip.log == ["sleep", "wake", "16", "sleep"]


def test_the_status_is_that_of_the_last_group():
    chip = Chip()
    start = chip.start()
    assert not start.has_key(0) and chip.element.status == packet.STATUS_EXECUTION
    start.revision()
    assert chip.element.status == 0


def test_the_signature_verifies_and_is_sliced():
    chip = Chip()
    signer = chip.with_key().open(0)
    assert len(signer.public_key) == 65 and len(signer.kid) == 16
    for number in range(3):
        digest = digest_of(number)
        chip.waits = 0
        began = chip.clock.now
        signature = chip.sign(signer, digest)
        assert is_good(signer.public_key, digest, signature)
        assert p256.verify(signer.public_key, digest, signature)
        assert chip.waits > 60  # waits for the chip and slices of the check
        assert chip.clock.now - began < 200000  # 20 + 115 ms in the chip and what is between
    assert signer.step()  # and stays ready
    assert chip.element.retries_total == 0


def test_high_s_of_the_chip_is_made_low():
    chip = Chip()
    signer = chip.with_key().open(0)
    for is_high in (True, False, True):
        chip.chip.faults.high_s = is_high
        digest = digest_of(int(is_high))
        signature = chip.sign(signer, digest)
        assert int.from_bytes(signature[32:], "big") <= N // 2
        assert is_good(signer.public_key, digest, signature)


def test_a_slow_chip_is_only_slower():
    chip = Chip(times_ms=SLOW_TIMES_MS)
    signer = chip.with_key().open(0)
    digest = digest_of(5)
    assert is_good(signer.public_key, digest, chip.sign(signer, digest))
    assert chip.element.retries_total == 0


def test_a_slow_chip_with_an_early_watchdog_signs_in_two_wakes():
    chip = Chip(times_ms=SLOW_TIMES_MS, watchdog_us=700000)
    signer = chip.with_key().open(0)
    chip.chip.log = []
    chip.late_us = 8000  # a poll in between; 20 + 665 ms do not fit any more
    assert is_good(signer.public_key, digest_of(5), chip.sign(signer, digest_of(5)))
    assert chip.chip.log == ["wake", "16", "41", "idle", "wake", "41", "sleep"]  # the first 41 is answered EE
    assert chip.element.retries_total == 0


def test_sealing_asks_for_the_wait_and_the_envelope_carries_the_signature():
    chip = Chip()
    signer = chip.with_key().open(0)
    sealer = Sealer(signer)
    sealer.payload[:3] = b"\xa1\x00\x01"
    sealer.begin(3)
    longest = 0
    while not sealer.step():
        longest = max(longest, signer.wait_us())
        chip.wait(signer.wait_us())
    assert longest == 40000  # the first look at Sign: polls go on meanwhile
    assert is_good(signer.public_key, sealer.content_hash, bytes(sealer.envelope()[-64:]))


def test_a_begin_in_the_middle_drops_what_was_under_way():
    chip = Chip()
    signer = chip.with_key().open(0)
    for steps in range(0, 110, 7):  # into the check of the signature, too
        signer.begin(digest_of(1))
        for _ in range(steps):
            signer.step()
            chip.wait(signer.wait_us())
        assert is_good(signer.public_key, digest_of(2), chip.sign(signer, digest_of(2))), steps


def test_two_groups_at_once_are_refused():
    chip = Chip()
    command = (packet.Command(packet.INFO, 0, 0),)
    chip.element.begin(command)
    try:
        chip.element.begin(command)
        raise AssertionError("taken")
    except ValueError:
        pass
    chip.element.drop()
    chip.element.begin(command)


def test_late_steps_meet_the_watchdog():
    for late_us in (1000, 100000, 300000, 450000):
        chip = Chip()
        signer = chip.with_key().open(0)
        chip.late_us = late_us  # a board that blocks in between
        signature = chip.sign(signer, digest_of(9))
        assert is_good(signer.public_key, digest_of(9), signature), late_us


def test_idle_keeps_the_digest_over_a_new_wake():
    chip = Chip(watchdog_us=700000)
    signer = chip.with_key().open(0)
    chip.chip.log = []
    signer.begin(digest_of(3))
    while "16" not in chip.chip.log:
        signer.step()
        chip.wait(signer.wait_us())
    chip.clock.now += 550000  # flash was being erased: 0.15 s are left, too few for Sign
    while not signer.step():
        chip.wait(signer.wait_us())
    assert is_good(signer.public_key, digest_of(3), signer.signature)
    assert chip.chip.log == ["wake", "16", "idle", "wake", "41", "sleep"]
    assert chip.element.retries_total == 0


def test_a_chip_that_fell_asleep_in_between_is_asked_again():
    chip = Chip(watchdog_us=700000)
    signer = chip.with_key().open(0)
    chip.chip.log = []
    signer.begin(digest_of(3))
    while "16" not in chip.chip.log:
        signer.step()
        chip.wait(signer.wait_us())
    chip.clock.now += 900000  # TempKey is gone
    while not signer.step():
        chip.wait(signer.wait_us())
    assert is_good(signer.public_key, digest_of(3), signer.signature)
    assert chip.chip.log[:3] == ["wake", "16", "watchdog"] and chip.element.retries_total == 1


def test_nobody_on_the_bus_ends_in_a_fault_after_four_attempts():
    for is_up, code in ((False, causes.FAULT_ELEMENT_SILENT), (True, causes.FAULT_ELEMENT_SILENT)):
        clock = RigClock()
        element = Element(EmptyBus(is_up), clock)
        began = clock.now
        element.begin((packet.Command(packet.INFO, 0, 0),))
        try:
            while not element.step():
                clock.now += max(element.wait_us(), 10)
            raise AssertionError("answered")
        except SignerFault as fault:
            assert fault.code == code
        assert element.retries_total == 3 and not element.is_busy
        assert 2000000 < clock.now - began < 2500000  # past the watchdog's longest, and no longer


def test_another_address():
    chip = Chip(address=0x36)
    assert chip.start().revision() == b"\x00\x00\x60\x03"
    other = Chip()
    stranger = Element(EmptyBus(), other.clock, 0x36)
    stranger.begin((packet.Command(packet.INFO, 0, 0),))
    assert fault_of(_finish, stranger, other.clock)[0] == causes.FAULT_ELEMENT_SILENT


def _finish(element, clock):
    while not element.step():
        clock.now += max(element.wait_us(), 10)


def test_the_double_keeps_the_rules_of_the_chip():
    chip = Chip(zone=factory_zone())
    bus = chip.chip
    info = packet.Command(packet.INFO, 0, 0)
    assert not bus.write(0x60, info.packet)  # asleep
    bus.wake()
    assert not bus.write(0x60, b"\x00")  # not yet awake
    chip.clock.now += 1500
    answer = bytearray(4)
    assert bus.write(0x60, b"\x00") and bus.read(0x60, answer) and answer == b"\x04\x11\x33\x43"
    assert bus.read(0x60, answer) and answer == b"\xff\xff\xff\xff"  # behind the end
    assert bus.write(0x60, info.packet) and not bus.read(0x60, answer)  # busy
    chip.clock.now += 5000
    long = bytearray(9)
    assert bus.read(0x60, long) and packet.judge(long[:7]) == 0 and long[7:] == b"\xff\xff"
    wrong = bytearray(info.packet)
    wrong[-1] ^= 1
    assert bus.write(0x60, wrong)
    chip.clock.now += 1000
    assert bus.read(0x60, answer) and answer[1] == packet.STATUS_CRC
    assert not bus.write(0x61, b"\x00")
    chip.clock.now += 1300000
    assert bus.is_asleep and not bus.read(0x60, answer)
    assert packet.crc16(locked_zone(), 0, 128) != packet.crc16(factory_zone(), 0, 128)


def test_waiting_for_the_chip_allocates_nothing():
    if sys.implementation.name != "micropython":
        return  # CPython counts nothing
    clock = RigClock()
    element = Element(EmptyBus(), clock)
    element.begin((packet.Command(packet.SIGN, 0x80, 0),))
    element.step()
    clock.now += 1600
    element.step()
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(15):
        element.step()
        element.wait_us()
    assert gc.mem_alloc() == before
