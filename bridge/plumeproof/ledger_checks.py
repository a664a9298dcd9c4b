"""Zero and span checks of a ledger: its calibration records paired, and the samples between them read. Read-only.

with closing(LedgerChecks(Path("ledger.sqlite"), ("plume-01",))) as checks:
    checks.readings(measurand, "span")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from acqwire import fields

from plumeproof.errors import EvidenceError
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.strips import open_stored
from plumeproof.model import Calibration, Record
from plumeproof.rules.gas_check import CheckReading, GasCheck, pair_checks, read_check
from plumeproof.rules.plant import Measurand
from plumeproof.store.records_by_time import RecordsByTime

SEQS_MAX = 20_000  # of one check: a day of records, three times over; a check that spans more was never ended


class LedgerChecks:
    """One ledger and the modules of a plant. One thread. Raises StoreError."""

    def __init__(self, ledger: Path, devices: Sequence[str]) -> None:
        self._reader = RecordsByTime(ledger)
        self.unreadable: dict[str, int] = {}  # device to calibration records that say nothing
        self._sets: dict[bytes, ParameterSet | None] = {}
        try:
            self._checks = {device: pair_checks(rows) for device, rows in self._records(devices).items()}
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the ledger back."""
        self._reader.close()

    def readings(self, measurand: Measurand, point: str) -> list[CheckReading]:
        """What the analyzer of a measurand read at zero or span, in the order of the records."""
        assert measurand.qal3 is not None  # whoever asks has seen it
        found = []
        for check in self._checks.get(measurand.source.device, ()):
            if check.point == point and self._concerns(check, measurand):
                parameters, rows = self._parameters(check.begin.parameters_hash), self._rows(check)
                settle_ms = measurand.qal3.settle_s * 1_000
                found.append(
                    read_check(check, rows, parameters, measurand.source.channel, measurand.unit, settle_ms)
                )  # fmt: skip
        return found

    def _concerns(self, check: GasCheck, measurand: Measurand) -> bool:
        """Whether the check is of the analyzer that has the channel; of an unknown parameter set it may be."""
        parameters = self._parameters(check.begin.parameters_hash)
        if parameters is None:
            return True
        own = [one for one in parameters.channels if one.id == measurand.source.channel]
        return not own or parameters.blocks[own[0].block].analyzer == check.analyzer

    def _records(self, devices: Sequence[str]) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {device: [] for device in devices}
        for device, own in found.items():
            for row in (row for portion in self._reader.calibrations(device) for row in portion):
                try:
                    record = open_stored(row)
                except EvidenceError:
                    self.unreadable[device] = self.unreadable.get(device, 0) + 1
                    continue
                if isinstance(record.body, Calibration):
                    own.append(record)
        return found

    def _rows(self, check: GasCheck) -> list[Record]:
        """Readable samples records between begin and end; a damaged one is missing, and its slots with it."""
        if check.end is None or len(check.seqs) > SEQS_MAX:
            return []
        found = []
        for row in self._reader.records(check.device, check.seqs):
            if row.kind == fields.KIND_SAMPLES:
                try:
                    found.append(open_stored(row))
                except EvidenceError:
                    continue  # read_check counts slots: it says records_missing
        return found

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            raw = self._reader.parameter_set(parameters_hash)
            try:
                self._sets[parameters_hash] = None if raw is None else parse_parameters(raw, parameters_hash)
            except EvidenceError:
                self._sets[parameters_hash] = None  # named as parameters_missing
        return self._sets[parameters_hash]
