"""On MicroPython: `heap_watch.py FIRMWARE DIRECTORY ROUNDS` runs firmware/main.py's own main() on the emulated board.

Counts the bytes that polling takes from the heap: over ROUNDS rounds in which nothing is sealed or sent, between two
waits and inside them. Then it prints a JSON object and ends the program as Ctrl-C does. The board looks for its drain
file twice a second, which takes some bytes; those rounds are left out.

Its names are those that the program has anyway: a few more, and the interpreter doubles its table of names, which
takes 9 KB of 32-bit words that are not the program's.
"""

import gc
import json
import sys

sys.path.insert(0, sys.argv[1])

import main

from boards import host

_LOOK_US = 60
_build = main._build
_table = []


def _run(board):
    _table.append(_build(board))
    return _table[0]


class HostBoard(host.HostBoard):
    """Measures around wait()."""

    def __init__(self, directory) -> None:
        super().__init__(directory)
        self._retries = 0
        self._count = 0
        self._began = -1
        self._taken = [0, 0]  # in a step, in a wait
        self._is_cut = False
        self._left = 1 << 29

    def wants_drain(self) -> bool:
        looked = self._looked
        found = super().wants_drain()
        self._is_cut = self._looked != looked
        return found

    def wait(self, timeout_us) -> None:
        app = _table[0]
        now = gc.mem_alloc()
        is_alive = self._began >= 0 and not self._is_cut and app._sealing.is_idle
        if is_alive:
            self._taken[0] += max(0, now - self._began)
            self._retries += 1
        first = gc.mem_alloc()
        super().wait(timeout_us)
        last = gc.mem_alloc()
        if is_alive:
            self._taken[1] += max(0, last - first)
        is_idle = app._sealing.is_idle and app._link.is_quiet and not app._journal.prepare(True)
        is_whole = app._sealing.records_total > 2 and app._sampler.polls_total >= 10
        self._began = gc.mem_alloc() if is_idle and is_whole else -1
        if self._retries >= int(sys.argv[3]):
            gc.collect()
            # What old numbers on the stack look like pointers to is kept by chance: the least of some rounds is live
            self._left = min(self._left, gc.mem_alloc())
            if self._retries >= int(sys.argv[3]) + _LOOK_US:
                polls = app._sampler.polls_total
                print(json.dumps({"step": self._taken[0], "wait": self._taken[1], "live": self._left, "polls": polls}))
                raise KeyboardInterrupt


main._build = _run
main.open_board = lambda arguments: HostBoard(arguments[1])
sys.exit(main.main(["main.py", sys.argv[2]]))
