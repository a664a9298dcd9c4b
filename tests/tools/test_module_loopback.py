"""`module loopback`: what is sent to a board, on fakes of its port under the real MicroPython, and how it is judged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.system.interpreters import find
from tools.module import __main__ as verbs
from tools.module import loopback
from tools.module.loopback import BAUDS, Heard, ask_loopback, lines_of
from tools.module.refusal import Refusal

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import sys
sys.path[:0] = [{root!r} + "/firmware", {root!r} + "/tests/firmware", {root!r} + "/tests/doubles"]
from board_parts import Set
place = Set({board!r}, {port!r}, {flush!r})
open_board = place.module.open_board
def open_again():
    opened = open_board(place.folder)
    {change}
    return opened
place.module.open_board = open_again
"""


class FakedBoard:
    """Runs what is sent to a console on a board file whose port is a fake (tests/doubles/board_fakes)."""

    port = "/dev/faked"

    def __init__(self, board: str, port: str, flush: str = "exact", change: str = "pass") -> None:
        self._prelude = PRELUDE.format(root=str(ROOT), board=board, port=port, flush=flush, change=change)

    def run(self, code: str) -> str:
        script = self._prelude + code + "\nplace.clear()\n"
        command = [find("first"), "-X", "heapsize=2m", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize(
    ("board", "port"), [("esp32_s3_waveshare", "esp32"), ("stm32_pyboard", "stm32"), ("rp2_pico_2ch", "rp2")]
)
def test_boards_are_fine(board, port):
    heard = ask_loopback(FakedBoard(board, port), board)
    assert [one.baud for one in heard] == list(BAUDS)
    assert [one.fault for one in heard] == [""] * 3
    for one in heard:
        assert one.character_us == -(-11_000_000 // one.baud)  # start, eight bits, parity, stop
        assert one.tail_us is None or 0 <= one.tail_us < one.character_us


def test_a_state_machine_ends_by_itself():
    heard = ask_loopback(FakedBoard("rp2_pico_de", "rp2"), "rp2_pico_de")
    assert [one.tail_us for one in heard] == [None] * 3
    assert "turned without the program" in lines_of(heard)[0]


def test_a_receiver_that_must_be_opened_hears_the_echo_and_what_is_wrong_in_it():
    board = "esp32_t_can485"
    echo = "opened.bus.uart.echo = lambda data: data if place.rig.pins['17'] == 0 else b''"
    heard = ask_loopback(FakedBoard(board, "esp32", change=echo), board)
    assert [(one.echoed, one.wrong, one.fault) for one in heard] == [(8, 0, "")] * 3
    spoilt = "opened.bus.uart.echo = lambda data: data[:7] + b'\\x54'"
    heard = ask_loopback(FakedBoard(board, "esp32", change=spoilt), board)
    assert all("1 of 8 bytes come back changed" in one.fault for one in heard)


def test_a_driver_that_stays_on_is_a_fault():
    slow = "opened.bus._tail_characters = 2"
    heard = ask_loopback(FakedBoard("esp32_s3_waveshare", "esp32", change=slow), "esp32_s3_waveshare")
    assert all("stays on" in one.fault for one in heard)


def test_a_driver_that_is_let_go_too_early_is_a_fault():
    early = "opened.bus.uart.flush = lambda: None"
    heard = ask_loopback(FakedBoard("esp32_s3_waveshare", "esp32", change=early), "esp32_s3_waveshare")
    assert all("before the last stop bit" in one.fault for one in heard)


@pytest.mark.parametrize(
    "said", ["", "hello\n", "loopback [\n", "loopback {}\n", "loopback []\n", "loopback [[9600,1,2,3,4,5]]\n",
             "loopback " + json.dumps([[baud, 1, 2, "3", 4, 5] for baud in BAUDS]) + "\n"]
)  # fmt: skip
def test_what_is_no_answer_is_refused(said):
    class Silent:
        port = "/dev/x"

        def run(self, code: str) -> str:
            assert code.endswith(f"loopback('b',{BAUDS!r},None)\n")
            return said

    with pytest.raises(Refusal, match="^/dev/x: tells"):
        ask_loopback(Silent(), "b")


def test_usage(capsys):
    assert verbs.main(["loopback", "/dev/none", "--board", "absent"]) == 2
    assert "--board absent: unknown" in capsys.readouterr().err
    assert verbs.main(["loopback", "/dev/none", "--board", "rp2_pico_de"]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_a_fault_is_status_1_and_still_tells_all(capsys, monkeypatch):
    class Opened:
        def __init__(self, port: str, baud: int) -> None:
            self.port = port

        def __enter__(self) -> Opened:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    heard = [Heard(baud, 9, 100, 150 if baud == 9600 else 1, 0, 0) for baud in BAUDS]
    monkeypatch.setattr(verbs, "Console", Opened)
    monkeypatch.setattr(verbs, "ask_facts", lambda console: None)
    monkeypatch.setattr(verbs, "check", lambda *words: None)
    monkeypatch.setattr(verbs, "hold", lambda console, board: console)
    monkeypatch.setattr(loopback, "ask_loopback", lambda console, board: heard)
    assert verbs.main(["loopback", "/dev/x", "--board", "rp2_pico_de", "--json"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert [one["fault"] is None for one in told["speeds"]] == [False, True, True]
    assert err == (
        "plumeproof module loopback: /dev/x: at 9600 baud the driver stays on for 150 us, a character lasts 100 us\n"
    )
    assert verbs.main(["loopback", "/dev/x", "--board", "rp2_pico_de"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3
