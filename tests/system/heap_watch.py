"""On MicroPython: `heap_watch.py FIRMWARE DIRECTORY ROUNDS` runs firmware/main.py's own main() on the emulated board.

Counts the bytes that polling takes from the heap: over ROUNDS rounds in which nothing is sealed or sent, between two
waits and inside them. Then it prints a JSON object and ends the program as Ctrl-C does. The board looks for its drain
file twice a second, which takes some bytes; those rounds are left out.
"""

import gc
import json
import sys

sys.path.insert(0, sys.argv[1])

import main

from boards import host

_LAST_ROUNDS = 60
_build = main._build
_apps = []


def _build_and_keep(board):
    _apps.append(_build(board))
    return _apps[0]


class WatchedBoard(host.HostBoard):
    """Measures around wait()."""

    def __init__(self, directory) -> None:
        super().__init__(directory)
        self._rounds = 0
        self._polls = 0
        self._before = -1
        self._taken = [0, 0]  # in a step, in a wait
        self._is_looking = False
        self._live = 1 << 29

    def wants_drain(self) -> bool:
        looked = self._looked
        found = super().wants_drain()
        self._is_looking = self._looked != looked
        return found

    def wait(self, timeout_us) -> None:
        app = _apps[0]
        now = gc.mem_alloc()
        is_counted = self._before >= 0 and not self._is_looking and app._sealing.is_idle
        if is_counted:
            self._taken[0] += max(0, now - self._before)
            self._rounds += 1
        before = gc.mem_alloc()
        super().wait(timeout_us)
        after = gc.mem_alloc()
        if is_counted:
            self._taken[1] += max(0, after - before)
        is_idle = app._sealing.is_idle and app._link.is_quiet and not app._journal.prepare(True)
        is_warm = app._sealing.records_total > 2 and app._sampler.polls_total >= 10
        self._before = gc.mem_alloc() if is_idle and is_warm else -1
        if self._rounds >= int(sys.argv[3]):
            gc.collect()
            # What old numbers on the stack look like pointers to is kept by chance: the least of some rounds is live
            self._live = min(self._live, gc.mem_alloc())
            if self._rounds >= int(sys.argv[3]) + _LAST_ROUNDS:
                polls = app._sampler.polls_total
                print(json.dumps({"step": self._taken[0], "wait": self._taken[1], "live": self._live, "polls": polls}))
                raise KeyboardInterrupt


main._build = _build_and_keep
main.open_board = lambda arguments: WatchedBoard(arguments[1])
sys.exit(main.main(["main.py", sys.argv[2]]))
