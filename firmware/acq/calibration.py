"""Calibration marks: bits of polled blocks that say that an analyzer is on test gas become records of kind 8.

A mark is looked at in the slots of a batch, in order, wherever its block has a value; a gap changes nothing. A boot
begins with every mark off: what was on when the power failed ended with its boot, and is on anew with the first slot
that says so (SPEC.md section 4.3). Changes that are told are those of the record of samples directly before.
"""

from acqwire import calibration, fields

_FIELDS = 6


class Marks:
    """`feed` a batch whose samples are durable, then `build` while `is_due`."""

    def __init__(self, plan) -> None:
        self._marks = plan.notices.marks
        self._widths = [plan.blocks[mark[2]].width_bytes for mark in self._marks]
        self._is_bits = [plan.blocks[mark[2]].function <= 2 for mark in self._marks]
        self._slot_ms = plan.slot_ms
        self._is_on = bytearray(len(self._marks))
        self._changes = []  # (mark, is on, slot): not told yet

    @property
    def is_due(self) -> bool:
        return bool(self._changes)

    def feed(self, batch) -> None:
        """What has changed in these slots, as far as records may follow them."""
        for number in range(len(self._marks)):
            self._follow(number, batch)
        self._changes.sort(key=_order)

    def _follow(self, number: int, batch) -> None:
        mark = self._marks[number]
        outcomes, data = batch.outcomes(mark[2]), batch.data(mark[2])
        bit, at = mark[3], 0
        if self._is_bits[number]:
            at, bit = bit // 8, bit % 8
        else:
            at, bit = bit // 16 * 2 + (1 if bit % 16 < 8 else 0), bit % 8
        for index in range(len(outcomes)):
            if outcomes[index]:
                continue
            is_on = 1 if data[at] >> bit & 1 == mark[4] else 0
            at += self._widths[number]
            if is_on == self._is_on[number]:
                continue
            if len(self._changes) >= calibration.RECORDS_MAX:
                return  # told from the first slot of the next batch on, if it is still so
            self._is_on[number] = is_on
            self._changes.append((number, is_on, batch.first_slot + index))

    def build(self, builder, chain, stamp) -> int:
        """Payload bytes of the oldest change, which is told with it."""
        number, is_on, slot = self._changes.pop(0)
        mark = self._marks[number]
        writer = builder.begin(fields.KIND_CALIBRATION, _FIELDS, chain, stamp)
        builder.uint(calibration.CALIBRATION_MARK, number)
        builder.uint(calibration.CALIBRATION_ANALYZER, mark[0])
        builder.uint(calibration.CALIBRATION_PHASE, mark[1])
        builder.uint(calibration.CALIBRATION_STATE, calibration.BEGIN if is_on else calibration.END)
        builder.uint(calibration.CALIBRATION_SLOT, slot)
        builder.uint(calibration.CALIBRATION_SLOT_MONO_MS, slot * self._slot_ms)
        return writer.end


def _order(change) -> int:
    return change[2] * calibration.MARKS_MAX + change[0]
