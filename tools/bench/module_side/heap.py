"""Live heap of the module's program: `micropython heap.py FIRMWARE WARM_UP_S SAMPLES DIRECTORY`.

Runs firmware/main.py's own main() on the emulated board of DIRECTORY. Only the board's wait() is another: once a
second after the warm-up, in a moment in which the program has nothing to do, it collects and prints a JSON object
{"live", "free"} in bytes; after SAMPLES of them the program is interrupted as by Ctrl-C. What this file itself holds
(about 1 KB) is live too. Its names are some that the program has anyway: a few more, and the interpreter doubles its
table of names (firmware/DESIGN.md, Heap), which takes 9 KB of 32-bit words at once and is not the program's.
"""

import gc
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

import main

from boards import host

_LOOK_US = 5000  # a wait that is longer: nothing is being sent, signed or written


class HostBoard(host.HostBoard):
    def __init__(self, directory) -> None:
        super().__init__(directory)
        self._retry = time.ticks_add(time.ticks_ms(), int(sys.argv[2]) * 1000)  # when the next sample is due
        self._left = int(sys.argv[3])

    def wait(self, timeout_us) -> None:
        if timeout_us >= _LOOK_US and time.ticks_diff(time.ticks_ms(), self._retry) >= 0:
            gc.collect()
            print(json.dumps({"live": gc.mem_alloc(), "free": gc.mem_free()}))
            self._retry = time.ticks_add(time.ticks_ms(), 1000)
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt
        super().wait(timeout_us)


main.open_board = lambda arguments: HostBoard(arguments[1])
sys.exit(main.main(["main.py", sys.argv[4]]))
