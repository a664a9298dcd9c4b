"""Programs of a board of hardware: the folder `update` beside its settings, on LittleFS. Without that folder, which
provisioning makes with the root document in it, the board knows no updates.

LittleFS (MicroPython 1.25, lib/littlefs) is copy-on-write: until a file is closed the old one stands, a rename replaces
in one commit, and what has been closed is in flash. So power that fails
    within a file of a slot or of the incoming place    leaves it empty or as it was: nobody starts that slot
    while a slot is being cleared                       leaves some of its files: the same
    within a copy of the record of choice               leaves the old copy, whole
    behind its rename                                   leaves the new one, whole
A write may erase sectors: it blocks for as long as the board's flash does, and deafens what that deafens (BOARDS.md).

Nothing but a person or a timer ends a program that hangs before its first round has armed the watchdog. So a trial is
started with a timer behind it, which resets the chip unless the trial has been confirmed by then.
"""

import os
import sys

from acq.update_choice import read_choice
from boards.update_folder import UpdateFolder

_FOLDER_BLOCKS = 2
_SPARE_BLOCKS = 20  # five folders of the slot, its roots and manifest, and what LittleFS copies before it frees
_POINTER_BYTES = 8  # of each block of a file but the first, on average
_GUARD_MS = 2700000  # 45 minutes: a trial restarts itself after 30 (SPEC.md section 8.4)
_PAUSE_S = 10  # between the fault of a trial and its reset: a person at the console can read it


class IronUpdates(UpdateFolder):
    """ports.UpdateStore in a folder of LittleFS."""

    def __init__(self, folder: str, board: str) -> None:
        UpdateFolder.__init__(self, folder, board)
        self._block_bytes = os.statvfs(folder)[0]

    def room(self, place: int) -> int:
        names = self.names(place)  # what lies there goes first, and so do its folders
        held = len(set([name[: name.rfind("/") + 1] for name in names])) * _FOLDER_BLOCKS * self._block_bytes
        for name in names:
            held += self.footprint(os.stat(self.folder(place) + "/" + name)[6])
        return max(0, self._block_bytes * (os.statvfs(self._folder)[3] - _SPARE_BLOCKS) + held)

    def footprint(self, size: int) -> int:
        block = self._block_bytes
        return max(1, -(-(size + max(0, size - 1) // block * _POINTER_BYTES) // block)) * block

    def write_choice(self, copy: int, record: bytes) -> None:
        path = "{}/choice.{}".format(self._folder, copy)
        with open(path + ".new", "wb") as file:
            file.write(record)
        os.rename(path + ".new", path)

    def guard(self):
        """The timer behind a trial, to be kept as long as the program runs."""
        import machine

        timer = machine.Timer(0 if sys.platform == "esp32" else -1)
        timer.init(mode=machine.Timer.ONE_SHOT, period=_GUARD_MS, callback=self._look)
        return timer

    def give_up(self, reason) -> None:
        """A trial ends by a reset; a confirmed program has noted its fault, and its watchdog resets it."""
        if read_choice(self).is_trial:
            import time

            print("on trial, resets in {} s: {}".format(_PAUSE_S, reason))
            time.sleep(_PAUSE_S)
            self._reset()

    def _look(self, _) -> None:
        if read_choice(self).is_trial:
            self._reset()

    def _reset(self) -> None:
        import machine

        machine.reset()
