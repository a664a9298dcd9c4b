"""What a health record tells (SPEC.md section 4.3) and what the light says (MANUAL.md section 8): gathers what the
parts of the module count anyway.

Flashes between two pauses; the worst has the word:

    0  an update is being written, or its restart is near: no pause     4  no gateway has been heard for ten minutes
    1  polling, every analyzer answers                                  5  more than half of the journal waits for it
    2  an analyzer is silent                                            6  the journal is full: slots are lost
    3  all of them are                                                  7  safe mode: nothing is polled
"""

from acq.dialect import const, mem_free

_COUNT_MAX = const(0x3FFFFFFF)  # acqwire/counts.py


class Health:
    """`counts` are the sampler's; `link()` and `journal()` what the arrays of these names hold."""

    def __init__(self, sampler, link, journal, reset_cause: int) -> None:
        self.counts = sampler.counts
        self.reset_cause = reset_cause
        self.heap_free = 0  # least so far
        self._sampler = sampler
        self._link = link
        self._journal = journal
        self._count = 0  # of good frames, when it was seen to grow last, and
        self._looked = 0  # when that was, in seconds of the boot
        self._due_s = 60  # of the boot: whoever sets a module up sees soon how its analyzers answer

    @property
    def stray_bytes_total(self) -> int:
        return self._sampler.stray_bytes_total & _COUNT_MAX

    def is_due(self, now) -> bool:
        """Time for a record, and no samples are to be sealed soon."""
        return now.s >= self._due_s and self._sampler.has_leisure

    def told(self, now) -> None:
        """Its record is durable. The next one comes on the hour of this boot."""
        self._due_s = (now.s // 3600 + 1) * 3600

    def look(self) -> None:
        """Directly behind a collection."""
        free = mem_free()
        if free < self.heap_free or self.heap_free == 0:
            self.heap_free = free

    def link(self):
        """[good frames, dropped frames, frames for others]."""
        reader = self._link.reader
        count = reader.cobs_count + reader.crc_count + reader.too_long_count
        count += reader.header_count + reader.unfinished_count
        return reader.frame_count & _COUNT_MAX, count & _COUNT_MAX, self._link.foreign_count & _COUNT_MAX

    def journal(self):
        """[torn entries at the mount, failed flash operations, records that wait for the gateway]."""
        journal = self._journal
        count = journal.newest_seq - max(self._link.acknowledged_seq, journal.oldest_seq - 1)
        return journal.torn_count, journal.fault_count & _COUNT_MAX, count & _COUNT_MAX

    def flashes(self, now, updates) -> int:
        """One of the numbers above, once a second; allocates nothing. updates: update_door.UpdateDoor or None."""
        journal, patience = self._journal, self._sampler.patience
        count = self._link.reader.frame_count
        if count != self._count:
            self._count = count
            self._looked = now.s
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
