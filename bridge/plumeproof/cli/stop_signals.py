"""How a service in the foreground is asked to stop: SIGTERM, Ctrl-C, and what Windows sends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LOOK_S = 1.0  # on Windows a wait without an end does not hear Ctrl-C
NAMES = ("SIGTERM", "SIGINT", "SIGBREAK")


class StopAsked:
    """`wait` returns once somebody has asked."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def wait(self) -> None:
        """Until then."""
        while not self._asked.wait(LOOK_S):
            pass

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """A signal's handler."""
        self._asked.set()


@contextmanager
def stop_signals() -> Iterator[StopAsked]:
    """From here on signals ask; behind it they do what they did before. Main thread only."""
    found = StopAsked()
    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = [(number, signal.signal(number, found.ask)) for number in numbers]
    try:
        yield found
    finally:
        for number, handler in before:
            signal.signal(number, handler)
