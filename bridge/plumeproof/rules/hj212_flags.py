"""Data flags of HJ 212-2017 and our status letters (reference: averaging-rules section 10.4), translated by a table.

M, C and S agree, F does not: there it is an instrument that is stopped, here a fault. The marks of HJ 75 and 76 for
hours (source stopped, start-up, power failure ...) differ from document to document (DK 0.4): a customer's table in the
form of tables/hj212_flags.json is read by its path.

    load_flags().status_of("D")      # "F"
    load_flags().flag_of("stopped")  # ("F", 0.95)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.status import LETTERS
from plumeproof.rules.table_file import TableHead, load_table, read_confidence, read_note, read_rows

STOPPED = "stopped"  # a plant state, not a status letter
STATUSES = (*LETTERS, STOPPED)


@dataclass(frozen=True, slots=True)
class FlagTable:
    """`read`: flag to status or "stopped"; `written`: status to (flag, confidence), one for every status."""

    head: TableHead
    read: Mapping[str, str]
    written: Mapping[str, tuple[str, float]]

    def status_of(self, flag: str) -> str:
        """Raises RuleError for a flag that the table does not have."""
        if flag not in self.read:
            raise RuleError(f"HJ 212 flag {flag[:8]!r}", f"is none of {', '.join(self.read)}; extend the table")
        return self.read[flag]

    def flag_of(self, status: str) -> tuple[str, float]:
        """(flag, confidence). Raises RuleError for what is no status."""
        if status not in self.written:
            raise RuleError(f"status {status[:8]!r}", f"is none of {', '.join(self.written)}")
        return self.written[status]


@cache
def load_flags() -> FlagTable:
    """The table of this release."""
    return read_flags("hj212_flags")


def read_flags(name_or_path: str | Path) -> FlagTable:
    """A customer's table, by its path. Raises RuleError."""
    head, (read, written) = load_table(name_or_path, _read)
    return FlagTable(head, MappingProxyType(read), MappingProxyType(written))


def _read(reader: Reader) -> tuple[dict[str, str], dict[str, tuple[str, float]]]:
    rows, back = read_rows(reader, "flags", _read_flag), read_rows(reader, "written", _read_written)
    read, written = dict(rows), dict(back)
    if len(read) != len(rows) or len(written) != len(back):
        raise ParametersError("range", "a flag or a status is there twice")
    missing = [status for status in STATUSES if status not in written]
    unknown = [flag for flag, _ in written.values() if flag not in read]
    if missing or unknown:
        raise ParametersError("reference", f"written: {(missing + unknown)[0]} is missing or no flag of the table")
    return read, written


def _read_flag(reader: Reader) -> tuple[str, str]:
    flag, status = reader.text("flag"), reader.word("status", STATUSES)
    read_note(reader, "meaning")
    return flag, status


def _read_written(reader: Reader) -> tuple[str, tuple[str, float]]:
    return reader.word("status", STATUSES), (reader.text("flag"), read_confidence(reader))
