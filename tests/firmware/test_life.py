"""Bad starts, safe mode and the ring of faults: the notes of a board over many starts, and a whole safe module."""

import struct

from acqwire import causes, fields, frames, life
from app_parts import Rig

from boards import notes, notes_start

POWER, WATCHDOG, WANTED = fields.RESET_POWER, fields.RESET_WATCHDOG, fields.RESET_WANTED


class Board(notes.Notes):
    """Files in a dictionary that outlives it."""

    def __init__(self, files, reset_cause) -> None:
        self.files = files
        notes_start.begin(self, reset_cause)

    def read_part(self, name, start, count):
        return self.files[name][start : start + count]

    def exists(self, name):
        return name in self.files

    def replace(self, name, content) -> None:
        self.files[name] = bytes(content)

    def remove(self, name) -> None:
        del self.files[name]


def _ring(board):
    raw = board.faults()
    found = [struct.unpack(life.FAULT_FORMAT, raw[at : at + 9]) for at in range(0, len(raw), life.FAULT_BYTES)]
    return [one for one in found if one[0]]


def test_three_starts_that_end_by_a_fault_or_the_watchdog_and_the_fourth_is_safe():
    for ways in ("fff", "www", "fwf", "wfw"):
        files = {}
        board = Board(files, POWER)
        for number, way in enumerate(ways):
            assert (board.safe, board.fault_count) == (0, number), ways
            if way == "f":
                board.note_fault(causes.FAULT_MEMORY, number + 1, 20)
            board = Board(files, WATCHDOG)  # a board of hardware is reset by it either way
        assert board.safe == (causes.FAULT_MEMORY if ways[-1] == "f" else causes.FAULT_WATCHDOG)
        assert board.fault_count == 3 and len(_ring(board)) == 3


def test_a_power_cut_is_no_fault_and_a_start_that_ran_well_ends_the_row():
    files = {}
    for _ in range(2):
        Board(files, POWER)
        assert Board(files, WATCHDOG).safe == 0
        for _ in range(5):
            assert Board(files, POWER).fault_count in (1, 2)
    board = Board(files, POWER)
    board.good()
    for _ in range(3):  # the run that was good, and then two bad ones
        board = Board(files, WATCHDOG)
    assert (board.safe, board.fault_count) == (0, 2)
    assert Board(files, WATCHDOG).safe == causes.FAULT_WATCHDOG


def test_whatever_ends_safe_mode_without_a_fault_is_followed_by_one_try():
    for cause in (POWER, WANTED, fields.RESET_UNKNOWN):
        files = {}
        Board(files, POWER)
        for _ in range(2):
            Board(files, WATCHDOG)
        assert Board(files, WATCHDOG).safe
        assert Board(files, WATCHDOG).safe  # a hang in safe mode itself does not bring polling back
        assert Board(files, cause).safe == 0
        assert Board(files, WATCHDOG).safe  # one bad start is enough
        board = Board(files, cause)
        board.good()
        assert Board(files, WATCHDOG).fault_count == 0


def test_another_program_begins_with_a_clean_sheet_and_keeps_the_ring():
    files = {}
    Board(files, POWER)
    for _ in range(3):
        board = Board(files, WATCHDOG)
    assert board.safe
    own, notes_start.__file__ = notes_start.__file__, "/update/1/boards/notes_start.py"
    try:
        board = Board(files, WATCHDOG)
        assert (board.safe, board.fault_count, len(_ring(board))) == (0, 0, 4)
    finally:
        notes_start.__file__ = own


def test_a_fault_gets_into_the_ring_once_and_is_told_once():
    files = {}
    board = Board(files, POWER)
    assert board.noted_fault() == (0, 0, 0)
    board.note_fault(causes.FAULT_PROGRAM, 7, 86401)
    for _ in range(3):  # power fails before its event record is durable
        board = Board(files, POWER)
        assert board.noted_fault() == (causes.EVENT_TASK_FAULT, causes.FAULT_PROGRAM, 1)
        assert _ring(board) == [(causes.FAULT_PROGRAM, 7, 86401)]
    board.note_fault(causes.FAULT_PROGRAM, 8, 2)
    board = Board(files, POWER)
    assert board.noted_fault() == (causes.EVENT_TASK_FAULT, causes.FAULT_PROGRAM, 2)
    board.forget_fault()
    assert board.noted_fault() == (0, 0, 0)
    board.note_fault(causes.FAULT_SIGNER, 0, 0)  # before the boot has a number
    board = Board(files, POWER)
    board.forget_fault()
    board = Board(files, POWER)
    board.note_fault(causes.FAULT_SIGNER, 0, 0)
    assert [one[0] for one in _ring(Board(files, POWER))] == [41, 41, 30, 30]


def test_safe_mode_is_told_behind_its_fault():
    files = {}
    board = Board(files, POWER)
    for boot in (1, 2, 3):
        board.note_fault(causes.FAULT_BUS_IO, boot, 1)
        board = Board(files, WATCHDOG)
    assert board.noted_fault() == (causes.EVENT_TASK_FAULT, causes.FAULT_BUS_IO, 3)
    board.forget_fault()
    assert board.noted_fault() == (causes.EVENT_SAFE_MODE, causes.FAULT_BUS_IO, 3)
    board.forget_fault()
    assert board.noted_fault() == (0, 0, 0)


def test_the_ring_keeps_the_last_sixteen_and_is_what_the_link_takes():
    files = {}
    board = Board(files, POWER)
    for boot in range(1, 21):
        board.note_fault(causes.FAULT_MEMORY, boot, boot * 1000000)
        board = Board(files, WATCHDOG)
    assert [one[1] for one in _ring(board)] == list(range(5, 21))
    assert len(board.faults()) == life.FAULTS_MAX * life.FAULT_BYTES == 144


def test_damaged_files_keep_no_module_from_its_work():
    for fault in (b"", b"x", b"1 2 3", b"1 2 3 x", b"-1 2 3 4", b"\xff\x00 1 2 3", b"1 " * 300, b"9" * 40 + b" 1 1 1"):
        for kept in (b"", b"x", bytes(143), bytes(144), bytes(150), b"\xff" * 154, b"\xff" * 600):
            files = {"fault.bin": fault, "last_faults.bin": kept}
            try:
                board = Board(files, POWER)
                board.noted_fault()
                board.note_fault(1, 2, 3)
                board.good()
            except Exception as failure:
                raise AssertionError((fault, kept, failure))
            assert len(board.faults()) == 144


# A whole module


def _safe_rig():
    rig = Rig()
    rig.board.safe, rig.board.fault_count = causes.FAULT_WATCHDOG, 3
    rig.board.fault = (causes.EVENT_SAFE_MODE, causes.FAULT_WATCHDOG, 3)
    return rig


def test_safe_mode_answers_the_link_says_so_and_polls_nothing():
    rig = Rig()
    rig.start()
    rig.run(10000000)
    held = rig.app._journal.newest_seq
    rig.board.safe, rig.board.fault_count = causes.FAULT_WATCHDOG, 3
    rig.board.fault = (causes.EVENT_SAFE_MODE, causes.FAULT_WATCHDOG, 3)
    requests = rig.bus.requests
    rig.start()
    rig.run(70000000)
    assert rig.bus.requests == requests
    rig.fetch_all()  # what was there before is served and acknowledged
    assert rig.head[0] >= held + 4 and rig.app._journal._released_seq == rig.head[0]
    safe = [record for record in rig.records if record[fields.BOOT] == 2]
    assert [record[fields.KIND] for record in safe] == [
        fields.KIND_BOOT, fields.KIND_PARAMETERS, fields.KIND_EVENT, fields.KIND_HEALTH,
    ]  # fmt: skip
    assert safe[2][fields.EVENT_CODE] == causes.EVENT_SAFE_MODE
    assert safe[2][fields.EVENT_ARGS] == [causes.FAULT_WATCHDOG, 3]
    ((type_, body),) = rig.ask(frames.FAULTS_ASK)
    assert type_ == frames.FAULTS and body == rig.board.faults()
    assert rig.board.lamp[-1] == 7
    assert rig.board.good_count == 0


def test_time_is_taken_in_safe_mode():
    rig = _safe_rig()
    rig.start()
    rig.run(2000000)
    ((_, nonce),) = rig.ask(frames.TIME_ASK)
    rig.ask(frames.TIME_SET, nonce + struct.pack(">QI", 1795000000000, 5))
    rig.run(2000000)
    rig.fetch_all()
    assert rig.kinds()[-1] == fields.KIND_TIME_SYNC


def test_safe_mode_ends_by_a_restart_after_an_hour():
    rig = _safe_rig()
    rig.start()
    rig.run(3590000000)
    assert not rig.app.is_over
    before = rig.board.fed
    rig.run(15000000)
    assert rig.app.is_over and rig.board.fed > before


def test_a_start_is_good_after_five_minutes_and_not_before():
    rig = Rig()
    rig.start()
    rig.run(299000000)
    assert rig.board.good_count == 0
    rig.run(3000000)
    assert rig.board.good_count == 1
    rig.run(400000000)
    assert rig.board.good_count == 1 and not rig.app.is_over


def test_the_light_says_the_worst():
    rig = Rig(sectors=64)
    rig.start()
    rig.run(3000000)
    assert rig.board.lamp == [1]
    rig.bus.remove(1, 4)
    rig.run(20000000)
    assert rig.board.lamp == [1, 2]
    rig.bus.remove(2, 4)
    rig.run(20000000)
    assert rig.board.lamp == [1, 2, 3]
    for unit in (1, 2):
        rig.bus.put(unit, 4, bytes((unit, 1, 2, 3)))
    rig.run(140000000)  # the longest pause of a back-off is 64 slots
    assert rig.board.lamp[-1] == 1
    rig = Rig(seal_ms=1000, sectors=16)
    rig.start()
    rig.run(200000000)
    assert rig.board.lamp[:3] == [1, 5, 6]
    rig.fetch_all()
    rig.run(3000000)
    assert rig.board.lamp[-1] == 1


def test_the_light_says_when_no_gateway_has_been_heard():
    rig = Rig(slot_ms=10000, seal_ms=60000, sectors=64)
    rig.start()
    rig.run(590000000)
    assert rig.board.lamp == [1]
    rig.run(20000000)
    assert rig.board.lamp == [1, 4]
    rig.ask(frames.TIME_ASK)
    rig.run(2000000)
    assert rig.board.lamp == [1, 4, 1]
