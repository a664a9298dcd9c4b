"""No memory within the record path (reference: reliability F12): built, signed, appended.

On MicroPython the heap is locked, so that the first allocation really fails: in the journal between any two accesses of
the flash, and in each step of the seal task. On CPython, which cannot lock its heap, MemoryError is raised at the same
places. Not reached: the second and further allocations between the same two places. A MemoryError ends the program, as
every unknown fault does; the next start must find the chain whole.
"""

import sys

from acqwire import fields
from app_parts import Rig, slots_of
from flash_parts import PowerCutFlash, fresh, mounted
from journal_model import hash_of

try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    heap_lock = heap_unlock = None

_IS_MICROPYTHON = sys.implementation.name == "micropython"


class _Locking(PowerCutFlash):
    """From the return of access `lock_at` to the next access, or to `give`, nothing can be allocated."""

    lock_at = -1
    accesses = 0
    is_locked = False

    def read(self, offset, buf):
        self.give()
        PowerCutFlash.read(self, offset, buf)
        self._count()

    def program(self, offset, buf):
        self.give()
        PowerCutFlash.program(self, offset, buf)
        self._count()

    def erase(self, sector):
        self.give()
        PowerCutFlash.erase(self, sector)
        self._count()

    def give(self):
        """Memory can be had again."""
        if self.is_locked:
            heap_unlock()
            self.is_locked = False

    def _count(self):
        self.accesses += 1
        if self.accesses - 1 == self.lock_at:
            if not _IS_MICROPYTHON:
                raise MemoryError
            self.is_locked = True
            heap_lock()


def _append(journal, model):
    model.append(journal)
    if model.head % 2 == 0:
        model.release(journal, model.head)


def test_no_memory_between_any_two_accesses_of_an_append():
    _, _, model = fresh()
    flash = _Locking()
    journal = mounted(flash)
    failed = passed = 0
    while model.head < 24:
        image, released, head = flash.image(), model.released, model.head
        number = 0
        while True:
            flash.load(image)
            model.released, model.head, model.pending = released, head, 0
            journal = mounted(flash)
            model.acknowledge_again(journal)
            seq = head + 1
            hash_of(seq)
            flash.accesses, flash.lock_at = 0, number
            is_through = False
            try:
                _append(journal, model)
                is_through = flash.accesses <= number
            except MemoryError:
                failed += 1
            finally:
                flash.give()
                flash.lock_at = -1
            if is_through:
                break
            passed += 1
            journal = mounted(flash)
            if model.pending:
                model.check_mounted(journal)
            else:
                model.check(journal)
            number += 1 if number < 8 else 5
    assert passed >= failed > 50, (passed, failed)


def test_no_memory_in_any_step_of_the_seal_task():
    failed = 0
    for number in range(60):
        rig = Rig(seal_ms=1000)
        rig.start()
        _lock_step(rig.app._sealing, number)
        try:
            for _ in range(4):
                rig.run(1000000)
                rig.fetch_all()
        except MemoryError:
            failed += 1
        held = rig.head
        rig.start()  # the board starts the program again
        rig.run(3000000)
        rig.fetch_all()  # checks seq and previous hash of each record behind what it holds
        boot = rig.records[-1][fields.BOOT]
        assert rig.head[0] > held[0] and boot == rig.app._sealing._chain.boot
        for each in range(1, boot + 1):
            numbers = [slot[0] for slot in slots_of(rig.records, each)]
            assert numbers == list(range(len(numbers))), (number, each)
    assert failed >= 10, failed


def _lock_step(sealing, number):
    """Nothing can be allocated within step `number` that has something to do."""
    step = sealing.step
    count = [0]

    def locked(now):
        is_at_work = not sealing.is_idle
        if is_at_work:
            count[0] += 1
        if not is_at_work or count[0] - 1 != number:
            step(now)
            return
        if not _IS_MICROPYTHON:
            raise MemoryError
        heap_lock()
        try:
            step(now)
        finally:
            heap_unlock()

    sealing.step = locked
