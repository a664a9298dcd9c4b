"""The switch in a module's supply (tools/rig/power.py): every implementation, against what it really drives.

The relay board is a double byte by byte behind a pty; uhubctl is a program that keeps state and refuses what the real
one refuses (options of uhubctl 2.5.0, uhubctl(8)); the module is a process. Nothing here has met a voltage.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
import serial

from tools.demo.part import Part
from tools.rig.power import CommandSwitch, PowerError, RelaySwitch, UsbHubSwitch, relay_order
from tools.rig.pty_bench import ProcessSwitch
from tools.rig.relay_board import RelayBoard

PATIENCE_S = 5.0
SWITCHER = """#!{python}
import sys
from pathlib import Path
Path({log!r}).open("a").write(" ".join(sys.argv[1:]) + "\\n")
words = sys.argv[1:]
if words[:4] != ["-l", "1-1.4", "-p", "2"]:
    print("No compatible devices detected at location " + words[1] + "!", file=sys.stderr)
    print("Run with -h to get usage info.", file=sys.stderr)
    sys.exit(1)
Path({state!r}).write_text(words[words.index("-a") + 1])
"""


class RelayBench:
    """A relay board; `is_on`: whether the module behind the contact has power."""

    def __init__(self, _folder: Path, is_inverted: bool) -> None:
        self._is_inverted = is_inverted
        self.changes = []
        self.board = RelayBoard(lambda relay, is_closed: self.changes.append((relay, is_closed)), relays=2)
        self.board.start()

    def make(self):
        return RelaySwitch(self.board.port, 2, is_inverted=self._is_inverted)

    def is_on(self) -> bool:
        return self.board.closed[1] != self._is_inverted

    def close(self) -> None:
        self.board.stop()
        assert self.board.refused_bytes == 0
        assert {relay for relay, _ in self.changes} <= {2}


class FileBench:
    """A program whose last order lies in a file: uhubctl, or a command of the bench's own."""

    def __init__(self, folder: Path, is_hub: bool) -> None:
        self.folder, self._is_hub = folder, is_hub
        self._state = folder / "state"
        self.program = folder / "uhubctl"
        self.log = folder / "log"
        self.program.write_text(SWITCHER.format(python=sys.executable, log=str(self.log), state=str(self._state)))
        self.program.chmod(0o755)

    def make(self):
        if self._is_hub:
            return UsbHubSwitch("1-1.4", 2, str(self.program))
        where = (str(self.program), "-l", "1-1.4", "-p", "2", "-a")
        return CommandSwitch((*where, "off"), (*where, "on"))

    def is_on(self) -> bool:
        return self._state.read_text() == "on"

    def close(self) -> None:
        pass


class ProcessBench:
    """An emulated module: any process that lives until it is killed."""

    def __init__(self, folder: Path) -> None:
        self._part = Part("module", ["sleep", "60"], folder / "log", folder)
        self._switch = ProcessSwitch(self._part)

    def make(self):
        return self._switch

    def is_on(self) -> bool:
        return self._part.starts > 0 and self._part.status is None

    def close(self) -> None:
        self._switch.off()


BENCHES = {
    "process": ProcessBench,
    "relay": lambda folder: RelayBench(folder, False),
    "relay_inverted": lambda folder: RelayBench(folder, True),
    "usb_hub": lambda folder: FileBench(folder, True),
    "command": lambda folder: FileBench(folder, False),
}


@pytest.fixture(params=BENCHES)
def bench(request, tmp_path):
    made = BENCHES[request.param](tmp_path)
    yield made
    made.close()


def until(is_so) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_so()


def test_off_and_on_again_and_twice_is_once(bench):
    switch = bench.make()
    try:
        for _ in range(2):
            switch.on()
            switch.on()
            assert until(bench.is_on)
            switch.off()
            switch.off()
            assert until(lambda: not bench.is_on())
        switch.on()
        assert until(bench.is_on)
    finally:
        switch.close()
        switch.close()


def test_closing_leaves_it_as_it_stands(bench):
    for order, is_on in (("off", False), ("on", True)):
        switch = bench.make()
        getattr(switch, order)()
        assert until(lambda: bench.is_on() is is_on)  # noqa: B023 - asked at once
        switch.close()
        assert bench.is_on() is is_on


def test_it_has_a_name_for_people(bench):
    switch = bench.make()
    assert switch.name and "\n" not in switch.name
    switch.close()


def test_the_bytes_of_a_relay_board():
    assert relay_order(1, True) == bytes.fromhex("A00101A2")  # the maker's own two examples
    assert relay_order(1, False) == bytes.fromhex("A00100A1")
    assert relay_order(4, True) == bytes.fromhex("A00401A5")


def test_a_relay_board_takes_whole_orders_only():
    heard = []
    board = RelayBoard(lambda relay, is_closed: heard.append((relay, is_closed)), relays=2)
    board.start()
    try:
        with serial.Serial(board.port, 9600) as line:
            for raw in (b"\x00\xff", bytes.fromhex("A00101A3"), bytes.fromhex("A00301A4"), bytes.fromhex("A00102A3")):
                line.write(raw)
            line.write(bytes.fromhex("A001"))
            time.sleep(0.05)
            line.write(bytes.fromhex("01A2A002"))
            line.write(bytes.fromhex("01A3"))
            assert until(lambda: len(heard) == 2)
    finally:
        board.stop()
    assert heard == [(1, True), (2, True)] and board.refused_bytes == 14


def test_the_exact_words_for_a_usb_hub(tmp_path):
    bench = FileBench(tmp_path, True)
    switch = bench.make()
    switch.off()
    switch.on()
    assert bench.log.read_text() == "-l 1-1.4 -p 2 -a off -r 5\n-l 1-1.4 -p 2 -a on\n"


def test_what_cannot_be_switched_is_one_line(tmp_path):
    bench = FileBench(tmp_path, True)
    sleeper = tmp_path / "no_program_but_a_file"
    sleeper.write_text("x")
    cases = [
        (lambda: UsbHubSwitch("9-9", 2, str(bench.program)).off(), "No compatible devices detected at location 9-9"),
        (lambda: UsbHubSwitch("1-1.4", 2, "no-such-program").on(), "no-such-program: no such program"),
        (lambda: CommandSwitch((str(sleeper),), ("true",)).off(), "no_program_but_a_file"),
        (lambda: CommandSwitch(("false",), ("true",)).off(), "exit status 1"),
        (lambda: RelaySwitch(str(tmp_path / "ttyNONE")), "does not exist; plugged in?"),
    ]
    for order, words in cases:
        with pytest.raises(PowerError, match=words) as caught:
            order()
        assert "\n" not in str(caught.value) and str(caught.value).startswith("power switch: ")


def test_a_relay_board_that_is_pulled_out_is_no_power_cut():
    near, far = os.openpty()
    switch = RelaySwitch(os.ttyname(far))
    os.close(near)
    with pytest.raises(PowerError, match="plugged in"):
        switch.off()
    switch.close()
    os.close(far)
