"""What the journal's tests share, on both interpreters: the flash double and the model, and how to mount."""

import gc
import sys

_IS_MICROPYTHON = sys.implementation.name == "micropython"
_HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
sys.path.append(_HERE + "/../doubles")

from dice import Dice  # noqa: E402
from journal_model import JournalModel  # noqa: E402
from power_cut_flash import PowerCut, PowerCutFlash  # noqa: E402

from acq.journal import Journal  # noqa: E402

__all__ = ("Dice", "JournalModel", "PowerCut", "PowerCutFlash", "fresh", "mounted")


def mounted(flash):
    """A journal that has mounted this flash."""
    if _IS_MICROPYTHON:  # two journals and 32 KiB of flash share 128 KiB; under pytest it would only cost time
        gc.collect()
    journal = Journal(flash)
    journal.mount()
    return journal


def fresh():
    """Erased flash of four segments, its journal, and the model of it."""
    gc.collect()
    flash = PowerCutFlash()
    return flash, mounted(flash), JournalModel()
