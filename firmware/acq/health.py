"""What a health record tells (SPEC.md section 4.3): gathers what the parts of the module count anyway."""

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
