"""On MicroPython: `hanging_module.py FIRMWARE DIRECTORY` runs firmware/main.py's own main() on an emulated board that
hangs in its wait while there is a file `hang` in the directory: a driver that never returns, say."""

import sys
import time

sys.path.insert(0, sys.argv[1])

import main

from boards import host


class HangingBoard(host.HostBoard):
    """Hangs once its boot record is durable."""

    _is_sealed = False

    def collect(self) -> None:
        super().collect()
        self._is_sealed = True

    def wait(self, timeout_us) -> None:
        super().wait(timeout_us)
        while self._is_sealed and self.exists("hang"):
            time.sleep(0.1)


main.open_board = lambda arguments: HangingBoard(arguments[1])
sys.exit(main.main(["main.py", sys.argv[2]]))
