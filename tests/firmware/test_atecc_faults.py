"""Secure element: whatever goes wrong on the bus or in the chip ends in a good signature or in a named fault."""

from acqwire import causes
from atecc_parts import Chip, SignerFault, digest_of, fault_of, is_good
from dice import Dice

from acq import atecc_packet as packet
from acq.faults import SignerFault as Fault


def _signer():
    chip = Chip()
    return chip, chip.with_key().open(0)


def _sign(chip, signer, number):
    """The signature, checked by the double's arithmetic, or the fault's code. After a fault nothing is left to take."""
    digest = digest_of(number)
    try:
        signature = chip.sign(signer, digest)
    except Fault as fault:
        assert signer.signature == b"" and not chip.element.is_busy
        return fault.code
    assert is_good(signer.public_key, digest, signature)
    return signature


def test_what_passes_is_overcome():
    chip, signer = _signer()
    number = 0
    for name in (
        "deaf_wakes", "nacked_writes", "mute_reads", "short_reads", "garbled_reads", "ecc_faults", "short_of_time",
        "no_sleep", "stuck",
    ):  # fmt: skip
        for times in (1,) if name == "stuck" else (1, 2, 3):  # of a hanging chip only the last attempt hears again
            number += 1
            setattr(chip.chip.faults, name, times)
            assert len(_sign(chip, signer, number)) == 64, (name, times)
            assert getattr(chip.chip.faults, name) == 0 or name in ("no_sleep", "stuck"), (name, times)
            setattr(chip.chip.faults, name, 0)
    assert chip.element.retries_total > 0


def test_what_lasts_is_named():
    silent, garbled, status = (
        causes.FAULT_ELEMENT_SILENT, causes.FAULT_ELEMENT_GARBLED, causes.FAULT_ELEMENT_STATUS,
    )  # fmt: skip
    for name, codes in (
        ("deaf_wakes", (silent,)),
        ("nacked_writes", (silent,)),
        ("mute_reads", (silent,)),
        ("garbled_reads", (silent, garbled)),  # the greeting is garbled too
        ("short_reads", (silent, garbled)),
        ("ecc_faults", (status,)),
        ("short_of_time", (silent,)),
        ("stuck", (silent,)),
    ):
        chip, signer = _signer()
        setattr(chip.chip.faults, name, True)
        assert _sign(chip, signer, 1) in codes, name
        setattr(chip.chip.faults, name, 0)
        chip.clock.now += 2000000
        assert len(_sign(chip, signer, 2)) == 64, name  # and all is well when it has passed


def test_answers_garbled_behind_a_good_greeting_are_named_so():
    chip, signer = _signer()
    signer.begin(digest_of(1))
    try:
        while True:
            chip.chip.faults.garbled_reads = 0 if chip.chip.log[-1] == "wake" else True
            if signer.step():
                raise AssertionError("signed")
            chip.wait(signer.wait_us())
    except SignerFault as fault:
        assert fault.code == causes.FAULT_ELEMENT_GARBLED


def test_a_wrong_signature_never_leaves():
    for name in ("bad_signatures", "noise_signatures"):
        chip, signer = _signer()
        setattr(chip.chip.faults, name, 1)
        assert _sign(chip, signer, 1) == causes.FAULT_SIGNER, name
        assert len(_sign(chip, signer, 2)) == 64, name


def test_an_old_answer_is_not_taken_for_a_new_one():
    """A Sign that the chip never received leaves Nonce's answer in its buffer."""
    chip, signer = _signer()
    honest = chip.chip._take

    def deaf_to_one_sign(group):
        if group[1] == packet.SIGN and chip.chip.log.count("41 lost") == 0:
            chip.chip.log.append("41 lost")
            return
        honest(group)

    chip.chip._take = deaf_to_one_sign
    assert len(_sign(chip, signer, 1)) == 64
    assert chip.chip.log.count("41 lost") == 1


def test_every_bit_of_a_command_and_of_an_answer():
    """One bit wrong in one transfer: the CRC finds it on one of the two sides, and the question is asked again."""
    chip = Chip()
    start = chip.start()
    for is_read, transfers, bits in ((True, 2, 56), (False, 4, 64)):
        for transfer in range(1, transfers + 1):
            for bit in range(bits):
                faults = chip.chip.faults
                now = chip.chip.reads if is_read else chip.chip.writes
                flips = faults.read_flips if is_read else faults.write_flips
                flips.clear()
                chip.chip.log = []
                if is_read or bit < 8 or transfer == 2:  # the other writes are one byte long
                    flips[now + transfer] = bit
                assert start.revision() == b"\x00\x00\x60\x03", (is_read, transfer, bit)


def test_random_bits_in_signatures():
    chip, signer = _signer()
    dice = Dice(20261125)
    for number in range(12):
        faults = chip.chip.faults
        faults.read_flips = {chip.chip.reads + 1 + dice.below(3): dice.below(8 * 67)}
        faults.write_flips = {chip.chip.writes + 2: dice.below(8 * 40)}
        assert len(_sign(chip, signer, number)) == 64, number


def test_random_histories():
    """Faults of every kind, several at once, a late board: good signatures and named faults, nothing else."""
    names = (
        "deaf_wakes", "nacked_writes", "mute_reads", "short_reads", "garbled_reads", "stuck", "ecc_faults",
        "bad_signatures", "noise_signatures", "high_s", "short_of_time", "no_sleep",
    )  # fmt: skip
    codes = (
        causes.FAULT_SIGNER, causes.FAULT_ELEMENT_SILENT, causes.FAULT_ELEMENT_GARBLED, causes.FAULT_ELEMENT_STATUS,
    )  # fmt: skip
    for seed in range(1, 6):
        dice = Dice(seed)
        chip, signer = _signer()
        for number in range(6):
            for _ in range(dice.below(4)):
                setattr(chip.chip.faults, names[dice.below(len(names))], 1 + dice.below(6))
            chip.late_us = (0, 3000, 60000, 400000)[dice.below(4)]
            ended = _sign(chip, signer, number)
            assert ended in codes or len(ended) == 64, (seed, number)
        chip.chip.faults.__init__()
        chip.late_us = 0
        chip.clock.now += 2000000
        assert len(_sign(chip, signer, 99)) == 64, seed


def test_a_power_cut_of_the_chip_alone():
    chip, signer = _signer()
    for steps in range(1, 12):
        signer.begin(digest_of(steps))
        for _ in range(steps):
            signer.step()
            chip.wait(signer.wait_us())
        chip.chip.sleep()  # its supply has gone and come back
        try:
            while not signer.step():
                chip.wait(signer.wait_us())
        except SignerFault:
            raise AssertionError(steps)
        assert is_good(signer.public_key, digest_of(steps), signer.signature), steps


def test_what_the_chip_will_never_do_is_said_at_once():
    chip = Chip()
    start = chip.start()
    for command in (
        packet.Command(packet.SIGN, 0x12, 0),  # parse error
        packet.Command(packet.GENKEY, 0, 0),  # no key in the slot
    ):
        began = chip.clock.now
        code, _ = fault_of(start.run, command)
        assert code == causes.FAULT_ELEMENT_STATUS
        assert chip.element.status in (packet.STATUS_PARSE, packet.STATUS_EXECUTION)
        assert chip.clock.now - began < 150000  # once, not four times
