"""The running summary: on a terminal one line that is written over, in a pipe a plain line every now and then.

Figures are read from the ledger by a connection of its own and from the witness at the broker.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

import apsw

from plumeproof.errors import StoreError
from plumeproof.store.connection import open_reader
from tools.demo.layout import Layout
from tools.demo.subscriber import Subscriber

TERMINAL_S = 1.0
PIPE_S = 10.0
COUNTS = (
    "SELECT (SELECT count(*) FROM record), (SELECT count(*) FROM quarantine), (SELECT count(*) FROM average),"
    " (SELECT count(*) FROM outbox WHERE state = 'waiting'),"
    " (SELECT count(*) FROM receipt JOIN outbox ON outbox.id = receipt.outbox_id WHERE outbox.kind = 'report')"
)


class Summary:
    """Says what happens, and every now and then how far the line is."""

    def __init__(self, layout: Layout, output: TextIO = sys.stdout) -> None:
        self._layout = layout
        self._output = output
        self._is_terminal = output.isatty()
        self._begun_s = time.monotonic()
        self._next_s = 0.0
        self._has_line = False

    def say(self, sentence: str) -> None:
        """One line that stays."""
        self._clear()
        print(sentence, file=self._output, flush=True)

    def begin(self) -> None:
        """Time counts from now."""
        self._begun_s = time.monotonic()

    def tick(self, witness: Subscriber | None) -> None:
        """Called often; shows something when it is time."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (TERMINAL_S if self._is_terminal else PIPE_S)
        words = self._words(now_s - self._begun_s, witness)
        if not self._is_terminal:
            print(words, file=self._output, flush=True)
            return
        width = shutil.get_terminal_size().columns
        print("\r" + words[: width - 1].ljust(width - 1), end="", file=self._output, flush=True)
        self._has_line = True

    def _clear(self) -> None:
        if self._has_line:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", file=self._output)
            self._has_line = False

    def _words(self, elapsed_s: float, witness: Subscriber | None) -> str:
        try:
            connection = open_reader(self._layout.ledger)
            try:
                records, rejected, averages, waiting, receipts = connection.execute(COUNTS).fetchone()
            finally:
                connection.close()
        except (StoreError, apsw.Error):  # being made, or the bridge has just been killed
            return f"{elapsed_s:6.0f} s   the ledger is not there yet"
        heard = sum(witness.counts()) if witness is not None else 0
        return (
            f"{elapsed_s:6.0f} s   records {records}   rejected {rejected}   averages {averages}"
            f"   MQTT {heard}   receipts {receipts}   waiting {waiting}"
        )
