"""The whole module on each board's fakes, built by main.py's own steps: asks analyzers at the parameter set's speed,
seals into the board's flash with its soft signer, answers the link, and after a reset goes on from the flash.
"""

import sys

from acqwire import fields, frames
from app_parts import parameter_set
from board_parts import on_each

from acq.framing import FrameReader, FrameWriter
from acq.modbus.rtu import close_frame

_ADDRESS = 7
_ANSWER = bytearray((1, 4, 4, 10, 20, 30, 40, 0, 0))
close_frame(_ANSWER, 7)


_IS_MICROPYTHON = sys.implementation.name == "micropython"


class NoCollector:
    @staticmethod
    def collect() -> None:
        pass


class Analyzer:
    """Unit 1 on the board's bus: answers what the board has put on the line. `speeds`: bauds it was asked at."""

    def __init__(self, board) -> None:
        self.requests = 0
        self.speeds = set()
        self._uart = board.bus.uart
        self._send = board.bus.send
        board.bus.send = self.send

    def send(self, buf, count: int) -> None:
        self._send(buf, count)
        self.requests += 1
        self.speeds.add(self._uart.baudrate)
        if buf[0] == 1:
            self._uart.deliver(bytes(_ANSWER))


def build(board):
    """main._build, which drops the reader of settings: it is put back for other tests."""
    import main

    import acq.settings

    if not _IS_MICROPYTHON:  # under pytest CPython would need 0.1 s for each
        main.gc = NoCollector
        board.collect = NoCollector.collect

    kept = sys.modules["acq.settings"]
    try:
        return main._build(board)
    finally:
        sys.modules["acq.settings"] = acq.settings = kept


def run(place, board, app, time_us: int) -> None:
    end = place.rig.time.now + time_us
    while place.rig.time.now < end:
        board.wait(app.step())
        place.rig.time.now += 200  # the interpreter's work


def ask(place, board, app, type_: int):
    """(type, body) of the first answer to a question over the uplink."""
    (link,) = [uart for uart in place.rig.uarts.values() if uart is not board.bus.uart]
    writer, reader = FrameWriter(), FrameReader(frames.FRAME_MAX_BYTES)
    writer.body[:2] = b"\x01\x01"
    writer.finish(_ADDRESS, type_, 1, 2, True)
    del link.sent[:]
    link.deliver(bytes(writer.buf[writer.start : writer.end]))
    for _ in range(100):
        run(place, board, app, 20000)
        heard = bytes([entry[2] for entry in link.sent])
        del link.sent[:]
        at = 0
        while at < len(heard):
            at = reader.feed(heard, at, len(heard))
            if reader.is_whole:
                return reader.type, bytes(reader.body[: reader.body_count])
    raise AssertionError("no answer")


def test_a_module_polls_seals_answers_and_goes_on_after_a_reset():
    def test(place):
        place.write("settings.json", b'{"link_address":7}')
        place.write("parameters.json", parameter_set(units=(1, 2)))
        board = place.board
        app = build(board)
        analyzer = Analyzer(board)
        run(place, board, app, 8000000)
        assert analyzer.requests >= 12 and analyzer.speeds == {19200}
        assert place.rig.watchdogs[0].fed > 20
        (kind, body) = ask(place, board, app, frames.HELLO)
        newest = int.from_bytes(body[13:21], "big")
        assert kind == frames.WELCOME and body.endswith(b"mod-1") and newest >= 4  # boot, parameters, samples twice
        assert place.rig.uarts and all(uart.waited_us == 0 for uart in place.rig.uarts.values())

        place.rig.told_cause = 3
        del place.rig.watchdogs[:]
        again = place.module.open_board(place.folder)
        assert again.start.reset_cause == fields.RESET_WATCHDOG
        later = build(again)
        assert later._journal.head_boot == 1 and later._journal.head_seq >= newest
        Analyzer(again)
        run(place, again, later, 4000000)
        assert later._journal.head_boot == 2 and later._journal.torn_count == 0

    on_each(test)
