"""Who may change the module's program, and who may not: every attack of the reference (reliability section 6), on both
interpreters. Power cuts: test_update_power.py; over the link: test_update_app.py.
"""

import hashlib
import io

from acqwire import update
from update_parts import (
    FILES,
    FLIPPED,
    NOW_S,
    OLD_HASH,
    Bench,
    PowerCutStore,
    choose,
    document,
    key,
    read_choice,
    release,
    root,
    write_choice,
)

from acq.update_document import Manifest, is_path


def _refused(bench, made, roots=b"", total=None) -> int:
    """The reason; and nothing of what runs or was chosen has changed."""
    before = bench.store.choices[:]
    slot = [dict(place) for place in bench.store.places[1:3]]
    reason = bench.send(made, roots, total)
    assert bench.updater.phase == update.PHASE_REFUSED
    assert bench.store.choices == before
    running = bench.choice.slot
    assert running == 0 or bench.store.places[running] == slot[running - 1]
    return reason


# The way it should go


def test_a_release_is_taken_tried_and_confirmed():
    bench = Bench()
    made = release(3, minimum=2)
    assert bench.send(made) == 0
    assert bench.store.places[3] == {} and bench.store.choices == [b"", b""]
    assert bench.switch(made) == 0 and bench.updater.phase == update.PHASE_SWITCHED
    assert bench.start() == update.SLOT_A
    choice = bench.choice
    assert choice.is_trial and (choice.version, choice.trials, choice.newest, choice.floor) == (3, 2, 0, 0)
    assert (choice.told_result, choice.told_old) == (update.RESULT_SWITCHED, OLD_HASH)
    assert choice.told_new == _program_hash(FILES)
    bench.confirm()
    assert (choice.newest, choice.floor, choice.issued, choice.root_version) == (3, 2, NOW_S - 1000, 1)
    assert choice.release_kid == key("rel").kid
    assert bench.start() == update.SLOT_A and not bench.choice.is_trial
    assert bench.choice.told_result == update.RESULT_CONFIRMED
    bench.install(release(4))  # the other slot
    assert bench.slot == update.SLOT_B and bench.choice.floor == 2
    bench.install(release(4))  # the same again: a repair
    assert bench.slot == update.SLOT_A


def _program_hash(files) -> bytes:
    """SPEC.md section 4.3, written a second time."""
    whole = hashlib.sha256()
    for path, content in sorted(files):
        whole.update(path.encode() + b"\x00" + hashlib.sha256(content).digest())
    return whole.digest()


def test_three_trials_without_an_acknowledgement_and_it_comes_back():
    bench = Bench()
    bench.install(release(1))
    made = release(2)
    bench.send(made)
    bench.switch(made)
    for left in (2, 1, 0):
        assert bench.start() == update.SLOT_B and bench.choice.trials == left
    assert bench.start() == update.SLOT_A
    choice = bench.choice
    assert (choice.told_result, choice.told_version, choice.newest) == (update.RESULT_RETURNED, 2, 1)
    assert not choice.is_trial and choice.version == 1
    assert bench.start() == update.SLOT_A
    assert bench.send(release(2)) == 0  # and may be tried once more


def test_while_on_trial_nothing_else_is_taken():
    bench = Bench()
    made = release(1)
    bench.send(made)
    bench.switch(made)
    bench.start()
    assert _refused(bench, release(2)) == update.REASON_ORDER


def test_what_is_out_of_order():
    bench = Bench()
    bench.updater.end(bytes(32), OLD_HASH)
    assert (bench.updater.phase, bench.updater.reason) == (update.PHASE_REFUSED, update.REASON_ORDER)
    made = release(1)
    bench.send(made)
    bench.updater.end(bytes(32), OLD_HASH)  # of another manifest
    assert bench.updater.reason == update.REASON_HASH and bench.store.choices == [b"", b""]
    bench.send(made)
    bench.switch(made)
    bench.switch(made)  # its answer was lost
    assert bench.updater.phase == update.PHASE_SWITCHED and read_choice(bench.store).generation == 1


def test_a_module_without_root_keys_takes_nothing():
    bench = Bench(PowerCutStore(b""))
    assert _refused(bench, release(1)) == update.REASON_NO_ROOT


# Arbitrary install


def test_what_nobody_entitled_has_signed():
    bench = Bench()
    assert _refused(bench, release(1, signers=("thief",))) == update.REASON_THRESHOLD
    assert _refused(bench, release(1, signers=("r1", "r2"))) == update.REASON_THRESHOLD  # keepers sign roots only
    manifest, content = release(1)
    for at in (8 + 16, 8 + 79, 8 + 80, len(manifest) - 1):
        spoilt = bytearray(manifest)
        spoilt[at] ^= 1
        assert _refused(bench, (bytes(spoilt), content)) == update.REASON_SIGNATURE
    stolen = manifest[:8] + key("rel").kid + document(update.RELEASE_MAGIC, b"{}", ("thief",))[24:88] + manifest[88:]
    assert _refused(bench, (stolen, content)) == update.REASON_SIGNATURE


def test_a_signature_of_a_root_signs_no_release():
    bench = Bench(PowerCutStore(root(release_key="rel")))
    signed = release(1)[0][88:]
    as_root = document(update.ROOT_MAGIC, signed, ("rel",))
    made = (update.RELEASE_MAGIC + as_root[4:], release(1)[1])
    assert _refused(bench, made) == update.REASON_SIGNATURE


def test_files_that_are_not_those_that_were_signed():
    bench = Bench()
    manifest, content = release(1)
    for at in (0, len(content) - 1):
        spoilt = bytearray(content)
        spoilt[at] ^= 0x80
        assert _refused(bench, (manifest, bytes(spoilt))) == update.REASON_HASH


# Endless data


def test_nothing_is_written_before_the_sizes_are_known_and_allowed():
    bench = Bench()
    room = bench.store.capacity_bytes
    for sizes in (
        (0, 0, 100), (0, 16385, 20000), (32769, 100, 40000), (0, 100, 100), (0, 100, 101 + room), (0, 100, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
    ):  # fmt: skip
        bench.updater.begin(sizes[0], sizes[1], sizes[2], 0)
        assert (bench.updater.phase, bench.updater.reason) == (update.PHASE_REFUSED, update.REASON_SIZE), sizes
    assert bench.store.operations == 0
    for sizes in ((32768, 16384, 49153), (0, 16384, 16384 + room)):  # the limits themselves
        bench.updater.begin(sizes[0], sizes[1], sizes[2], 0)
        assert bench.updater.phase == update.PHASE_HEAD


def test_sizes_that_do_not_add_up_and_bytes_beyond_the_end():
    bench = Bench()
    made = release(1)
    right = len(made[0]) + len(made[1])
    for total in (right - 1, right + 1, right + 4096):
        assert _refused(bench, made, b"", total) == update.REASON_SIZE
        assert bench.store.places[1] == {}
    assert bench.send(made) == 0
    bench.updater.take(bench.updater.next_offset, bytes(512), 0)
    assert not bench.updater.has_work and bench.updater.next_offset == right


def test_a_release_larger_than_a_file_or_all_may_be():
    bench = Bench()
    for size, reason in ((65537, update.REASON_SIZE), (-1, update.REASON_SIZE), (True, update.REASON_SIZE)):
        listed = [["main.py", size, "00" * 32]]
        assert _refused(bench, release(1, listed=listed)) == reason
    listed = [["acq/x%03d.py" % number, 0, "00" * 32] for number in range(128)] + [["main.py", 0, "00" * 32]]
    assert len(release(1, listed=listed)[0]) < update.MANIFEST_MAX_BYTES
    assert _refused(bench, release(1, listed=listed)) == update.REASON_FILES


# Fast-forward


def test_a_stolen_release_key_cannot_lock_the_module_for_ever():
    bench = Bench()
    far = update.SECONDS_MAX
    assert _refused(bench, release(9, issued=far - 1, expires=far)) == update.REASON_NO_TIME  # nor move its clock
    bench.install(release(update.VERSION_MAX, minimum=update.VERSION_MAX, expires=far))
    assert _refused(bench, release(2)) == update.REASON_VERSION
    second = root(2, release_key="new", minimum=5)
    assert _refused(bench, release(2, root=2, signers=("new",)), second) == update.REASON_VERSION  # the root's minimum
    bench.install(release(5, root=2, signers=("new",)), second)
    choice = bench.choice
    assert (choice.version, choice.newest, choice.floor, choice.root_version) == (5, 5, 5, 2)
    # and what the thief signs has no weight any more, with or without the new root
    assert _refused(bench, release(6, root=2), second) == update.REASON_THRESHOLD
    assert _refused(bench, release(update.VERSION_MAX)) == update.REASON_ROOT_VERSION


# Freeze


def test_expired_words_are_not_taken():
    bench = Bench()
    assert _refused(bench, release(1, expires=NOW_S)) == update.REASON_EXPIRED
    bench.now_s = NOW_S + 100001
    assert _refused(bench, release(1, expires=NOW_S + 200000)) == update.REASON_EXPIRED  # the root has expired
    bench.now_s = NOW_S
    made = release(1)
    assert bench.send(made) == 0
    bench.now_s = NOW_S + 1000  # held back between transfer and switch
    assert bench.switch(made) == update.REASON_EXPIRED and bench.store.choices == [b"", b""]
    bench.now_s = NOW_S + 999
    assert bench.send(made) == 0 and bench.switch(made) == 0
    bench.now_s = None
    assert bench.start() == update.SLOT_A  # at a start nothing expires


def test_without_a_clock_nothing_is_taken_and_a_clock_cannot_be_put_back():
    bench = Bench()
    bench.now_s = None
    assert _refused(bench, release(1)) == update.REASON_NO_TIME
    bench.now_s = NOW_S
    bench.install(release(1, issued=NOW_S, expires=NOW_S + 10))
    old = release(2, issued=NOW_S - 100, expires=NOW_S - 50)
    bench.now_s = NOW_S - 60  # a gateway that lies so that an expired release is taken
    assert _refused(bench, old) == update.REASON_NO_TIME
    bench.now_s = NOW_S
    assert _refused(bench, old) == update.REASON_EXPIRED


# Mix and match


def test_parts_of_two_releases_are_no_release():
    bench = Bench()
    other = tuple((path, content.replace(b"app", b"bpp")) for path, content in FILES)
    assert _refused(bench, (release(1)[0], release(2, files=other)[1])) == update.REASON_HASH
    second = root(2)
    assert _refused(bench, release(1), second) == update.REASON_ROOT_VERSION  # a release of root 1 behind root 2
    assert _refused(bench, release(1, root=2)) == update.REASON_ROOT_VERSION
    bench.install(release(1))
    bench.install(release(2, files=other))
    bench.store.places[2]["acq/app.py"] = bench.store.places[1]["acq/app.py"]
    assert bench.start() == update.SLOT_A  # its release may still run: floor 0
    assert (bench.choice.told_result, bench.choice.told_reason) == (update.RESULT_DAMAGED, update.REASON_HASH)


# Rollback


def test_no_version_before_the_newest_confirmed_or_the_floor():
    bench = Bench()
    bench.install(release(5, minimum=4))
    for version in (1, 3, 4):
        assert _refused(bench, release(version)) == update.REASON_VERSION
    bench.install(release(6, minimum=6))
    bench.store.places[2]["main.py"][0] ^= 1
    assert bench.start() == update.FACTORY  # version 5 lies in slot A, whole, and is below the floor
    assert bench.choice.told_result == update.RESULT_DAMAGED
    assert bench.send(release(5)) == update.REASON_VERSION


def test_a_slot_put_back_by_hand_does_not_run_below_the_floor():
    bench = Bench()
    bench.install(release(1))
    kept = dict(bench.store.places[1])
    bench.install(release(2, minimum=2))
    bench.store.places[2] = kept
    assert bench.start() == update.FACTORY
    assert bench.choice.told_reason == update.REASON_VERSION


def test_no_root_before_the_newest_seen():
    bench = Bench()
    bench.install(release(1, root=3), root(2) + root(3))
    assert _refused(bench, release(2, root=2), root(2)) == update.REASON_ROOT_VERSION
    assert _refused(bench, release(2)) == update.REASON_ROOT_VERSION
    assert bench.send(release(2, root=3), root(1) + root(2) + root(3)) == 0  # the factory's own may stand in front
    assert _refused(bench, release(2, root=3), root(3)) == update.REASON_ROOT_VERSION  # a step is missing
    assert _refused(bench, release(2, root=3), root(3) + root(2)) == update.REASON_ROOT_VERSION


# Keys below the threshold


def test_too_few_keepers_make_no_root():
    bench = Bench()
    thief = ("r1", "t1", "t2")
    for signers in (("r1",), ("r1", "t1"), ("r1", "t1", "t2"), ("t1", "t2"), ("rel", "r1")):
        evil = root(2, keys=thief, signers=signers, release_key="thief")
        made = release(1, root=2, signers=("thief",))
        assert _refused(bench, made, evil) == update.REASON_THRESHOLD, signers
    # the old keepers are enough, the new ones have not agreed
    assert _refused(bench, release(1, root=2), root(2, keys=("n1", "n2"))) == update.REASON_THRESHOLD
    assert bench.send(release(1, root=2), root(2, keys=("n1", "n2"), signers=("r1", "r3", "n1", "n2"))) == 0


def test_one_key_counts_once():
    bench = Bench()
    twice = root(2, signers=("r1", "r1"))
    assert _refused(bench, release(1, root=2), twice) == update.REASON_DOCUMENT
    same = [key("r1").public_key.hex()] * 2
    for changes in (
        {"root_keys": same}, {"threshold": 1}, {"threshold": 4}, {"root_keys": []}, {"threshold": True},
        {"release_key": "r1"}, {"root_keys": [key("r1").public_key.hex()]},
        {"root_keys": ["04" * 65, "zz"]}, {"expires": None}, {"version": 2.0}, {"minimum": -1},
    ):  # fmt: skip
        evil = root(2, **changes)
        assert _refused(bench, release(1, root=2), evil) == update.REASON_DOCUMENT, changes


# Wrong product, wrong board


def test_what_is_made_for_something_else():
    bench = Bench()
    assert _refused(bench, release(1, product="another")) == update.REASON_PRODUCT
    assert _refused(bench, release(1, root=2), root(2, product="another")) == update.REASON_PRODUCT
    assert _refused(bench, release(1, board="esp32")) == update.REASON_BOARD
    assert _refused(bench, release(1, mpy=773)) == update.REASON_BOARD
    compiled = (("main.mpy", b"M\x06"),)
    assert _refused(bench, release(1, files=compiled)) == update.REASON_PATH  # without saying for what
    assert bench.send(release(1, files=compiled, mpy=774)) == 0
    bench.install(release(1))
    bench.store.board = "esp32"  # the flash chip moved to another board
    assert bench.start() == update.FACTORY


# Slow retrieval


def test_whoever_trickles_is_not_waited_for():
    bench = Bench()
    updater = bench.updater
    stream = b"".join(release(1))
    updater.begin(0, len(release(1)[0]), len(stream), 1000)
    bench.work()
    updater.watch(61000)
    assert updater.phase == update.PHASE_HEAD
    updater.watch(61001)
    assert (updater.phase, updater.reason) == (update.PHASE_REFUSED, update.REASON_SLOW)
    updater.begin(0, len(release(1)[0]), len(stream), 0)
    bench.work()
    now_ms = 0
    while updater.phase == update.PHASE_HEAD and now_ms < 4000000:
        updater.take(updater.next_offset, stream[updater.next_offset : updater.next_offset + 1], now_ms)
        bench.work()
        now_ms += 59000
        updater.watch(now_ms)
    assert updater.reason == update.REASON_SLOW and now_ms <= 3600000 + 59000
    bench.send(release(1))
    updater.watch(bench.now_ms + 60001)  # a switch that is not asked for
    assert bench.switch(release(1)) == update.REASON_SLOW and bench.store.choices == [b"", b""]


# Truncated and malformed


def test_documents_of_any_other_form():
    bench = Bench()
    manifest, content = release(1)
    for spoilt in (
        manifest[:-1], manifest + b" ", manifest[:50], b"x", b"PPRL", b"PPRT" + manifest[4:],
        manifest[:4] + b"\x02" + manifest[5:], manifest[:5] + b"\x00" + manifest[6:],
        manifest[:5] + b"\x11" + manifest[6:], manifest[:6] + b"\xff\xff" + manifest[8:],
    ):  # fmt: skip
        reason = _refused(bench, (spoilt, content))
        assert reason in (update.REASON_DOCUMENT, update.REASON_SIZE, update.REASON_THRESHOLD), spoilt[:16]
    for signed in (b"null", b"{", b"[]", b'{"type":"release"}', b"\xff\xfe", b"1"):
        made = (document(update.RELEASE_MAGIC, signed, ("rel",)), content)
        assert _refused(bench, made) == update.REASON_DOCUMENT, signed
    for changes in ({"extra": 1}, {"version": 0}, {"version": 1 << 31}, {"minimum": 2}, {"expires": 1}, {"format": 2},
                    {"board": ""}, {"board": 5}, {"release": "x" * 65}, {"mpy": 1024}, {"type": "root"}):  # fmt: skip
        assert _refused(bench, release(1, **changes)) == update.REASON_DOCUMENT, changes
    assert _refused(bench, release(1), root(2)[:-1]) == update.REASON_DOCUMENT
    assert _refused(bench, release(1), b"".join([root(2)] * 9)) == update.REASON_SIZE


def test_names_that_are_no_place_for_a_program():
    for path in (
        "../main.py", "/main.py", "acq/../main.py", "acq//x.py", "acq/./x.py", "acq\\x.py", "acq/x.py\x00", "boot.py",
        "x/main.py", "acq/x", "acq/x.txt", "acq/.py", "acq/x.y.py", "acq", "acq/", "", "acq/X.py", "acq/\xe4.py",
        "acq/a/b/c/x.py", "acq/" + "x" * 58 + ".py", "x" * 5000 + ".py", "roots.bin", "manifest.bin", "json.py", 5,
        None, "main", "main.pyc", "acq/x.py/", "acq /x.py", "acq/x.mpy.py",
    ):  # fmt: skip
        assert not is_path(path), path
    for path in (
        "main.py",
        "main.mpy",
        "acq/x.py",
        "acq/modbus/x_1.mpy",
        "acqwire/a/b/x.py",
        "acq/" + "x" * 57 + ".py",
    ):
        assert is_path(path), path
    bench = Bench()
    for path in ("acq/../../x.py", "../x.py", "acq/" + "x" * 58 + ".py"):
        made = release(1, listed=[[path, 0, "00" * 32], ["main.py", 0, "00" * 32]])
        assert _refused(bench, made) == update.REASON_PATH
        assert bench.store.places[1] == {}


def test_lists_of_files_that_are_not_allowed():
    bench = Bench()
    empty = hashlib.sha256().digest().hex()
    for listed in (
        [["acq/x.py", 0, empty]],  # no main
        [["main.mpy", 0, empty], ["main.py", 0, empty]],
        [["main.py", 0, empty], ["acq/x.py", 0, empty]],  # not ascending
        [["acq/x.py", 0, empty], ["acq/x.py", 0, empty], ["main.py", 0, empty]],
        [["acq/x.mpy", 0, empty], ["acq/x.py", 0, empty], ["main.py", 0, empty]],
        [], [["main.py", 0]], [["main.py", 0, empty, 1]], [["main.py" + "y" * 200, 0, empty]],
    ):  # fmt: skip
        assert _refused(bench, release(1, listed=listed, mpy=774)) == update.REASON_FILES, listed
    for listed in ("main.py", {}, 5, [5], [{}], ["main.py", 0, empty]):
        reason = _refused(bench, release(1, listed=listed, mpy=774))
        assert reason in (update.REASON_DOCUMENT, update.REASON_FILES), listed
    spaced = release(1)[0][88:].replace(b'","', b'", "')
    assert _refused(bench, (document(update.RELEASE_MAGIC, spaced, ("rel",)), b"x")) != update.REASON_NONE
    assert _refused(bench, release(1, listed=[["main.py", 0, "00"]])) == update.REASON_DOCUMENT


# What lies in a slot at a start


def test_a_slot_with_anything_more_or_less_does_not_run():
    for change in ("more", "less", "rot", "longer", "manifest", "roots"):
        bench = Bench()
        bench.install(release(1))
        slot = bench.store.places[1]
        if change == "more":
            slot["acq/json.py"] = bytearray(b"evil")
        elif change == "less":
            del slot["acq/__init__.py"]
        elif change == "rot":
            slot["acq/app.py"][7] ^= 1
        elif change == "longer":
            slot["main.py"] += b"\n"
        elif change == "manifest":
            slot["manifest.bin"][-2] ^= 1
        else:
            slot["roots.bin"] += root(2)[:-1]
        assert bench.start() == update.FACTORY, change
        assert bench.choice.told_result == update.RESULT_DAMAGED, change
        assert bench.start() == update.FACTORY


def test_a_write_that_goes_wrong_in_silence_is_found():
    reference = Bench()
    made = release(1)
    reference.send(made)
    count = reference.store.operations
    reasons = set()
    for number in range(count):
        store = PowerCutStore(root())
        bench = Bench(store)
        store.faults = {number: FLIPPED}
        reason = bench.send(made)
        if reason == 0:  # an operation without content to flip, or one whose damage the next start finds
            assert bench.switch(made) == 0
            assert bench.start() in (update.FACTORY, update.SLOT_A)
        reasons.add(reason)
    assert update.REASON_FLASH in reasons


def test_the_record_of_choice_takes_any_bytes():
    store = PowerCutStore(root())
    for junk in (b"", b"x", bytes(168), b"\xff" * 168, b"PPCH" + bytes(164), bytes(1000)):
        store.choices = [junk, junk]
        assert choose(store, store.feed) == update.FACTORY
    bench = Bench()
    bench.install(release(1))
    good = max(bench.store.choices, key=lambda record: int.from_bytes(record[8:12], "big"))
    for at in range(len(good)):
        spoilt = bytearray(good)
        spoilt[at] ^= 0x10
        bench.store.choices = [bytes(spoilt), b""]
        assert read_choice(bench.store).slot == update.FACTORY
    bench.store.choices = [good, b""]
    choice = read_choice(bench.store)
    choice.trials = 7
    write_choice(bench.store, choice)
    assert read_choice(bench.store).trials == 7 and good in bench.store.choices


def test_a_manifest_names_the_hash_of_its_program():
    signed = release(1)[0][88:]
    assert Manifest(io.BytesIO(signed), 0).program_hash == _program_hash(FILES)
