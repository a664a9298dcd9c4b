"""Secure element: which chips are refused, locking, keys, counters, random numbers, proof of possession, Verify."""

import hashlib

from acqwire import causes, counts
from atecc608 import COUNTER_MAX, factory_zone, locked_zone
from atecc_parts import Chip, digest_of, fault_of, is_good

from acq import atecc_setup, possession
from acq import atecc_zone as zones
from acq.soft_signer import SoftSigner

REFUSED = causes.FAULT_ELEMENT_REFUSED


def test_serial_and_revision():
    start = Chip().start()
    assert zones.serial(start.zone) == b"\x01\x23\x4b\x16\x0f\x3a\x7d\xf2\xee"
    assert zones.revision(start.zone) == start.revision() == b"\x00\x00\x60\x03"


def test_a_chip_that_must_not_be_used_is_refused_with_its_reason():
    cases = (
        (6, 0x00, zones.REFUSED_CHIP),  # ATSHA204
        (87, 0x55, zones.REFUSED_OPEN_CONFIG),
        (86, 0x55, zones.REFUSED_OPEN_DATA),
        (96, 0x32, zones.REFUSED_KEY_KIND),  # not private
        (96, 0x3F, zones.REFUSED_KEY_KIND),  # no P-256 key
        (20, 0x03, zones.REFUSED_READABLE),  # no secret
        (20, 0xC3, zones.REFUSED_READABLE),  # read encrypted
        (21, 0x60, zones.REFUSED_WRITABLE),
        (20, 0x82, zones.REFUSED_NO_SIGN),
        (20, 0xA3, zones.REFUSED_LIMITED),
        (96, 0xB3, zones.REFUSED_LIMITED),  # authorisation
        (97, 0x10, zones.REFUSED_LIMITED),  # persistent disable
        (96, 0x31, zones.REFUSED_NO_PUBLIC),
    )
    for at, value, reason in cases:
        zone = locked_zone()
        zone[at] = value
        chip = Chip(zone=zone)
        chip.chip.keys[0] = 12345
        start = chip.start()
        assert zones.refusal(start.zone, 0) == reason, (at, value)
        assert fault_of(start.open, 0) == (REFUSED, reason)
        assert fault_of(start.make_key, 0) == (REFUSED, reason)
        assert "41" not in chip.chip.log and "40" not in chip.chip.log


def test_every_bit_of_the_slots_words_is_judged_alike_for_each_slot():
    good = locked_zone()
    for bit in range(16):
        for start, own in ((20, 0x2083), (96, 0x0033)):
            reasons = []
            for slot in (0, 1, 7, 15):
                zone = bytearray(good)
                for at, word in ((20, 0x2083), (96, 0x0033)):
                    zone[at + 2 * slot] = word & 0xFF
                    zone[at + 2 * slot + 1] = word >> 8
                word = own ^ 1 << bit
                zone[start + 2 * slot] = word & 0xFF
                zone[start + 2 * slot + 1] = word >> 8
                reasons.append(zones.refusal(zone, slot))
            assert reasons == [reasons[0]] * 4, (start, bit, reasons)


def test_the_trust_platforms_slots_are_taken():
    """TrustFLEX: slot 0 made at the works for ever, slot 2 to be made by the user (85 00 / 53 00, 85 20 / 73 00)."""
    zone = locked_zone()
    zone[20:22], zone[96:98] = b"\x85\x00", b"\x53\x00"
    zone[24:26], zone[100:102] = b"\x85\x20", b"\x73\x00"
    chip = Chip(zone=zone, address=0x36)
    chip.chip.keys[0] = 77
    start = chip.start()
    assert start.open(0).public_key == start.public_key(0)
    assert zones.is_permanent(zone, 0) and not zones.is_permanent(zone, 2)
    assert fault_of(start.make_key, 0) == (REFUSED, zones.REFUSED_PERMANENT)
    assert start.make_key(2) == start.open(2).public_key


def test_a_key_is_made_once_and_replaced_only_on_demand():
    chip = Chip()
    start = chip.start()
    assert not start.has_key(0)
    assert fault_of(start.open, 0)[0] == causes.FAULT_ELEMENT_STATUS
    first = start.make_key(0)
    assert first[0] == 4 and start.has_key(0) and start.public_key(0) == first
    assert fault_of(start.make_key, 0) == (REFUSED, zones.REFUSED_HAS_KEY)
    assert start.public_key(0) == first
    second = start.make_key(0, True)
    assert second != first and start.open(0).public_key == second
    start.lock_slot(0)
    assert zones.is_permanent(start.zone, 0)
    assert fault_of(start.make_key, 0, True) == (REFUSED, zones.REFUSED_PERMANENT)
    start.lock_slot(0)  # again: nothing to do
    assert start.open(0).public_key == second


def test_the_key_that_counts_is_read_after_a_repeated_making():
    chip = Chip()
    start = chip.start()
    chip.chip.log = []
    chip.chip.faults.ecc_faults = 2  # both of has_key's and make_key's first attempts
    key = start.make_key(0)
    assert key == start.open(0).public_key


def test_an_open_chip_is_locked_only_with_consent_and_only_if_it_fits():
    chip = Chip(zone=factory_zone())
    start = chip.start()
    for words in ("", "yes", "lock", "Lock for ever"):
        try:
            atecc_setup.lock_zones(start, 0, words)
            raise AssertionError("locked")
        except ValueError:
            pass
    assert fault_of(atecc_setup.lock_zones, start, 1, atecc_setup.CONSENT) == (REFUSED, zones.REFUSED_KEY_KIND)
    assert chip.chip.zone[86] == chip.chip.zone[87] == 0x55
    assert fault_of(start.random)[0] == causes.FAULT_ELEMENT_STATUS  # the open chip's pattern
    atecc_setup.lock_zones(start, 0, atecc_setup.CONSENT)
    assert chip.chip.zone[86] == chip.chip.zone[87] == 0
    assert zones.refusal(start.zone, 0) == 0
    start.make_key(0)
    start.lock_slot(0)
    signer = start.open(0)
    assert is_good(signer.public_key, digest_of(1), chip.sign(signer, digest_of(1)))
    atecc_setup.lock_zones(start, 0, atecc_setup.CONSENT)  # again: nothing to do


def test_locking_goes_on_after_a_power_cut_between_the_zones():
    zone = factory_zone()
    zone[87] = 0
    chip = Chip(zone=zone)
    start = chip.start()
    assert zones.refusal(start.zone, 0) == zones.REFUSED_OPEN_DATA
    atecc_setup.lock_zones(start, 0, atecc_setup.CONSENT)
    assert zones.refusal(start.zone, 0) == 0


def test_another_configuration_than_was_read_is_not_locked():
    chip = Chip(zone=factory_zone())
    start = chip.start()
    chip.chip.zone[40] ^= 1  # somebody else writes to it
    assert fault_of(atecc_setup.lock_zones, start, 0, atecc_setup.CONSENT)[0] == causes.FAULT_ELEMENT_STATUS
    assert chip.chip.zone[87] == 0x55


def test_counters_only_grow_and_end():
    chip = Chip()
    start = chip.start()
    assert (start.read_counter(0), start.read_counter(1)) == (0, 0)
    assert [start.advance_counter(0) for _ in range(3)] == [1, 2, 3]
    assert (start.read_counter(0), start.read_counter(1)) == (3, 0)
    chip.chip.faults.garbled_reads = 8  # the answer is lost: counted twice rather than not at all
    assert start.advance_counter(0) >= 4
    chip.chip.faults.garbled_reads = 0
    chip.chip.counters[1] = COUNTER_MAX - 1
    assert start.advance_counter(1) == COUNTER_MAX
    assert fault_of(start.advance_counter, 1)[0] == causes.FAULT_ELEMENT_STATUS
    assert start.read_counter(1) == COUNTER_MAX


def test_every_start_is_counted_and_a_counter_at_its_end_stops_nobody():
    chip = Chip()
    assert [chip.start().count_start(0) for _ in range(3)] == [1, 2, 3]
    start = chip.start()
    chip.chip.faults.garbled_reads = 8  # the answer is lost: a number may be left out, none is given twice
    assert start.count_start(0) >= 4
    chip.chip.faults.garbled_reads = 0
    chip.chip.counters[0] = COUNTER_MAX - 1
    assert [chip.start().count_start(0) for _ in range(3)] == [COUNTER_MAX] * 3
    assert COUNTER_MAX == counts.ELEMENT_COUNTER_MAX
    chip.chip.faults.mute_reads = 1000000
    assert fault_of(start.count_start, 1)[0] == causes.FAULT_ELEMENT_SILENT


def test_random_numbers_differ_and_a_repetition_is_refused():
    chip = Chip()
    start = chip.start()
    assert len({start.random() for _ in range(4)}) == 4
    chip.chip._drawn -= 1
    assert fault_of(start.random)[0] == causes.FAULT_ELEMENT_STATUS


def test_the_chip_verifies():
    start = Chip().with_key()
    signer = SoftSigner(b"\x07" * 32)
    signature = signer.sign(digest_of(1))
    assert start.verifies(signer.public_key, digest_of(1), signature)
    assert not start.verifies(signer.public_key, digest_of(2), signature)


def test_possession_is_a_signature_over_the_whole_statement():
    chip = Chip()
    start = chip.with_key()
    signer = start.open(0)
    serial, firmware = zones.serial(start.zone), digest_of(8)
    nonce = digest_of(7)
    signature = possession.prove(signer, nonce, "mod-1", serial, firmware, chip.wait)
    statement = possession.build_statement(nonce, "mod-1", signer.public_key, serial, firmware)
    assert is_good(signer.public_key, hashlib.sha256(statement).digest(), signature)
    assert statement[:2] == b"\x87\x75" and statement[2:23] == b"PlumeProof possession"
    others = (
        possession.build_statement(digest_of(6), "mod-1", signer.public_key, serial, firmware),
        possession.build_statement(nonce, "mod-2", signer.public_key, serial, firmware),
        possession.build_statement(nonce, "mod-1", signer.public_key, b"", firmware),
        possession.build_statement(nonce, "mod-1", signer.public_key, serial, digest_of(9)),
    )
    for other in others:
        assert other != statement and not is_good(signer.public_key, hashlib.sha256(other).digest(), signature)


def test_possession_refuses_parts_of_another_length():
    good = (digest_of(1), "mod-1", b"\x04" + bytes(64), b"", digest_of(2))
    possession.build_statement(*good)
    for at, part in (
        (0, b""), (0, bytes(31)), (0, bytes(33)), (1, ""), (1, "x" * 33), (2, bytes(64)), (3, bytes(33)), (4, b""),
    ):  # fmt: skip
        parts = list(good)
        parts[at] = part
        try:
            possession.build_statement(*parts)
            raise AssertionError((at, part))
        except ValueError:
            pass
