"""Where a trace takes its rows and records from: a port, and the ledger behind it. What comes out is not trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from acqwire import fields

from plumeproof.errors import EvidenceError
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import ROW_MISSING, Strip, open_slots
from plumeproof.figure_ids import Wanted
from plumeproof.model import Average
from plumeproof.rules.calendar import MINUTE_MS
from plumeproof.rules.figure import LEVELS, SHORT_TERM, Figure
from plumeproof.store.records_by_time import RecordsByTime
from plumeproof.store.trace_rows import ROWS_MAX, TraceRows

PARTS_ASKED = 64  # parameters records that are looked through for those of a set


class Source(Protocol):
    """`where`: for people; `faults`: (device, seq) of records that could not be used so far, and why."""

    where: str
    faults: dict[tuple[str, int], str]

    def figures(self, wanted: Wanted) -> Sequence[Figure]:
        """Newest revisions of the figures that may be meant; the caller looks closer. At most ROWS_MAX."""

    def figures_at(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> Sequence[Figure]:
        """Newest revisions of a plant's figures of exactly this period."""

    def revisions(self, figure: Figure) -> Sequence[Figure]:
        """All revisions at the place of a figure, oldest first."""

    def averages(
        self, device: str | None, channel: str | None, interval_s: int, around_utc_ms: tuple[int, int]
    ) -> Sequence[Average]:
        """All revisions of averages of one length that begin in [first, end), oldest first."""

    def intervals(self, device: str) -> Sequence[int]:
        """Lengths of a module's averages, ascending."""

    def devices(self) -> Sequence[str]:
        """Modules with records."""

    def document(self, digest: bytes) -> bytes | None:
        """A plant description or rule set; its hash is for the reader to check."""

    def of_period(self, devices: Sequence[str], start_utc_ms: int, end_utc_ms: int) -> dict[str, list[Strip]]:
        """Slots that touch [start, end) by module, in seq order."""

    def envelope(self, device: str, seq: int) -> bytes | None:
        """One record as it came."""

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        """The bytes of a set that has this SHA-256."""

    def parts_before(self, device: str, seq: int) -> Sequence[int]:
        """Seqs of the newest parameters records before a record, descending."""

    def close(self) -> None:
        """Give files back."""


class LedgerSource:
    """A ledger file. One thread. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.faults: dict[tuple[str, int], str] = {}
        self._rows = TraceRows(path)
        self._records = RecordsByTime(path)
        self._sets: dict[bytes, ParameterSet | None] = {}

    def close(self) -> None:
        self._rows.close()
        self._records.close()

    def figures(self, wanted: Wanted) -> list[Figure]:
        """Where no level is named, the longer ones are looked through first."""
        period = wanted.period
        around, words = wanted.around_utc_ms, wanted.words
        if period is not None:
            is_level = period in LEVELS
            length_ms = None if is_level else int(period.removesuffix("min")) * MINUTE_MS
            return self._rows.figures(words, period if is_level else SHORT_TERM, length_ms, around)
        found: list[Figure] = []
        for level in reversed(LEVELS):
            found += self._rows.figures(words, level, None, around, ROWS_MAX - len(found))
        return found

    def figures_at(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> list[Figure]:
        return [
            one
            for one in self._records.figures(plant, level, start_utc_ms, end_utc_ms)
            if (one.start_utc_ms, one.end_utc_ms) == (start_utc_ms, end_utc_ms)
        ]

    def revisions(self, figure: Figure) -> list[Figure]:
        return self._rows.revisions(figure)

    def averages(
        self, device: str | None, channel: str | None, interval_s: int, around_utc_ms: tuple[int, int]
    ) -> list[Average]:
        return self._rows.averages(device, channel, interval_s, around_utc_ms)

    def intervals(self, device: str) -> list[int]:
        return self._rows.intervals(device)

    def devices(self) -> list[str]:
        return self._rows.devices()

    def document(self, digest: bytes) -> bytes | None:
        return self._rows.document(digest)

    def of_period(self, devices: Sequence[str], start_utc_ms: int, end_utc_ms: int) -> dict[str, list[Strip]]:
        found: dict[str, list[Strip]] = {}
        for device in devices:
            seqs = self._records.placed(device, start_utc_ms, end_utc_ms)
            opened = open_slots(self._records.records(device, seqs), self._parameters)
            found[device] = [one.strip for _, one in sorted(opened.items()) if one.strip is not None]
            for seq in seqs:
                if seq not in opened:
                    self.faults[device, seq] = f"{ROW_MISSING}: it was averaged, and is not in the ledger any more"
                elif opened[seq].strip is None:
                    self.faults[device, seq] = f"{opened[seq].reason}: its row is not what was sealed"
        return found

    def envelope(self, device: str, seq: int) -> bytes | None:
        return self._rows.envelope(device, seq)

    def parameter_set(self, parameters_hash: bytes) -> bytes | None:
        return self._records.parameter_set(parameters_hash)

    def parts_before(self, device: str, seq: int) -> list[int]:
        return self._rows.seqs_of_kind(device, seq, fields.KIND_PARAMETERS, PARTS_ASKED)

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            raw = self.parameter_set(parameters_hash)
            try:
                self._sets[parameters_hash] = None if raw is None else parse_parameters(raw, parameters_hash)
            except EvidenceError:
                self._sets[parameters_hash] = None  # said as parameters_missing: nothing can be read by it
        return self._sets[parameters_hash]
