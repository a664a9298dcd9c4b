"""What the light of a module says to whoever stands before the cabinet (MANUAL.md section 8). Boards with a light only.

Flashes between two pauses; the worst has the word:

    0  an update is being written, or its restart is near: no pause     4  no gateway has been heard for ten minutes
    1  polling, every analyzer answers                                  5  more than half of the journal waits for it
    2  an analyzer is silent                                            6  the journal is full: slots are lost
    3  all of them are                                                  7  safe mode: nothing is polled
"""


class Lamp:
    """`flashes` is asked once a second and allocates nothing."""

    def __init__(self, sampler, link, journal, updates) -> None:
        """updates: update_door.UpdateDoor or None."""
        self._sampler = sampler
        self._link = link
        self._journal = journal
        self._updates = updates
        self._count = 0  # of good frames, when it was seen to grow last, and
        self._looked = 0  # when that was, in seconds of the boot

    def flashes(self, now) -> int:
        """One of the numbers above."""
        journal, patience = self._journal, self._sampler.patience
        count = self._link.reader.frame_count
        if count != self._count:
            self._count = count
            self._looked = now.s
        updates = self._updates
        if updates is not None and (updates.has_work or updates.wants_restart):
            return 0
        if not patience:
            return 7
        if self._sampler.lost.slot_count or not journal.has_room(4096, False):  # the largest record there is
            return 6
        if journal.is_filling():
            return 5
        if now.s - self._looked >= 600:
            return 4
        count = 0
        for analyzer in patience:
            if analyzer.pause_slots:
                count += 1
        if count:
            return 3 if count == len(patience) else 2
        return 1
