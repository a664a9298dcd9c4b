"""What the faces show of the ledger: newest values, trend, coverage, chain and backlog, read-only and bounded.

Every record is verified again before a value of it is shown, as inspection.py does: the page never shows what `verify`
would refuse. Trends are kept as one [lowest, highest, valid, invalid] bucket per channel and time, so that a look
costs the same at 1 s and at 100 ms slots. Not evidence: figures for a report come from averages.

    overview = Overview(ledger_file, keys.public_key, ("plume-01",), (60, 3600), SystemClock(), trend_ms=900_000)
    overview.live()["modules"][0]["channels"][0]["value"]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acqwire import fields, names

from plumeproof.errors import EvidenceError
from plumeproof.evidence.decoding import (
    FUNCTION_CHECK,
    STATUS_NAMES,
    VALID,
    WARNING,
    ChannelReadings,
    decode,
)
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.parameters import ParameterSet, parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.model import Boot, Record, Samples
from plumeproof.ports import Clock
from plumeproof.store.reader import LedgerView

TREND_BUCKETS = 180  # points across a trend: one for about five pixels of a wide page
PAGE_RECORDS = 64  # read at a time
START_RECORDS = 2_000  # most that are read of a module at the start
LOOK_RECORDS = 500  # most that are read of a module at one look; the rest follows at the next
HOLES_NAMED = 5
COVERAGE_INTERVALS = 30  # of the shortest interval, shown as a strip
SETS_KEPT = 16
GAPS_BELOW = 190  # status numbers below it are gap causes, but for 0 (evidence.decoding)

_NAMES = dict(STATUS_NAMES)
_UTC_NAMES = dict(names.UTC_NAMES)

_Buckets = dict[int, list[float]]  # start_utc_ms -> [lowest, highest, valid count, invalid count]


def quality_of(status: int) -> str:
    """The colour of a sample: good, maintenance, check (calibration, function check), bad or gap."""
    if status == VALID:
        return "good"
    if status == WARNING:
        return "maintenance"
    if status == FUNCTION_CHECK:
        return "check"
    return "gap" if status < GAPS_BELOW else "bad"


@dataclass(slots=True)
class _Module:
    """What is remembered of one module between two looks."""

    last_seq: int = 0
    record: Record | None = None  # newest of any kind
    received_utc_ms: int = 0
    boot: Boot | None = None
    parameters: ParameterSet | None = None
    channels: list[dict[str, Any]] = field(default_factory=list)
    trend: dict[str, _Buckets] = field(default_factory=dict)
    fault: str = ""  # newest record that did not verify, as a sentence


class Overview:
    """Looks at one ledger. Threads take turns."""

    def __init__(
        self,
        ledger_file: Path,
        public_key_of_kid: Callable[[bytes], bytes],
        devices: Sequence[str],
        intervals_s: Sequence[int],
        clock: Clock,
        trend_ms: int,
    ) -> None:
        """`devices` in the order to show them. Raises StoreError when there is no ledger."""
        self._view = LedgerView(ledger_file)
        self._public_key_of_kid = public_key_of_kid
        self._intervals_s = tuple(intervals_s)
        self._clock = clock
        self._trend_ms = trend_ms
        self._bucket_ms = max(1, trend_ms // TREND_BUCKETS)
        self._modules = {device: _Module() for device in devices}
        self._sets: dict[bytes, ParameterSet] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the file back."""
        self._view.close()

    def live(self) -> dict[str, Any]:
        """Newest values, averages, chain and backlog as plain JSON values. Raises StoreError."""
        with self._lock:
            now = self._clock.utc_ms()
            heads = self._view.heads()
            position = self._view.newest_position()
            modules = []
            for device, module in self._modules.items():
                head = heads.get(device)
                if head is not None:
                    self._catch_up(device, module, head.seq)
                modules.append(self._module(device, module, now) | {"chain": self._chain(device, head)})
            return {
                "now_utc_ms": now,
                "modules": modules,
                "records_total": position,
                "averages_total": self._view.newest_average_id(),
                "cursors": {"/".join(filter(None, at)): value for at, value in self._view.cursors().items()},
                "outbox": self._view.outbox(),
            }

    def trend(self) -> dict[str, Any]:
        """Buckets of every channel over the trend window: [offset_ms, lowest, highest, valid, invalid]."""
        with self._lock:
            end = self._clock.utc_ms()
            start = (end - self._trend_ms) // self._bucket_ms * self._bucket_ms
            return {
                "start_utc_ms": start,
                "end_utc_ms": end,
                "bucket_ms": self._bucket_ms,
                "modules": {
                    device: {
                        channel: [[at - start, *bucket] for at, bucket in sorted(buckets.items()) if at >= start]
                        for channel, buckets in module.trend.items()
                    }
                    for device, module in self._modules.items()
                },
            }

    def _catch_up(self, device: str, module: _Module, head_seq: int) -> None:
        """Read what came since the last look; at the first one what the trend needs."""
        if module.last_seq == 0:
            rows = self._newest(device, head_seq)
            boot = self._view.newest_of_kind(device, fields.KIND_BOOT, head_seq)
            if boot is not None:
                self._take(module, 0, boot)
        else:
            rows = self._view.records_after(device, module.last_seq, LOOK_RECORDS)
        for seq, received_utc_ms, raw in rows:
            module.last_seq = seq
            self._take(module, received_utc_ms, raw)
        now = self._clock.utc_ms()
        oldest, newest = now - self._trend_ms - self._bucket_ms, now + self._trend_ms
        for buckets in module.trend.values():
            # Slots far ahead (one of the two clocks is wrong) would never grow old, and fill the memory.
            for at in [at for at in buckets if not oldest <= at <= newest]:
                del buckets[at]

    def _newest(self, device: str, head_seq: int) -> list[tuple[int, int, bytes]]:
        """Records of the trend window, ascending; at least one page."""
        oldest = self._clock.utc_ms() - self._trend_ms
        found: list[tuple[int, int, bytes]] = []
        before = head_seq + 1
        while len(found) < START_RECORDS:
            page = self._view.records_before(device, before, PAGE_RECORDS)
            found += page
            if len(page) < PAGE_RECORDS or page[-1][1] < oldest:
                break
            before = page[-1][0]
        return found[::-1]

    def _take(self, module: _Module, received_utc_ms: int, raw: bytes) -> None:
        try:
            record = parse_record(verify_envelope(raw, self._public_key_of_kid))
            if isinstance(record.body, Boot):
                module.boot = record.body
            if received_utc_ms:
                module.record, module.received_utc_ms = record, received_utc_ms
            if isinstance(record.body, Samples):
                self._take_samples(module, record, received_utc_ms)
        except EvidenceError as error:
            # Stored as good and bad now: the file was changed, or a key was withdrawn. `verify` names all of it.
            module.fault = f"record {module.last_seq} does not verify any more: {error.code}; run `plumeproof verify`"

    def _take_samples(self, module: _Module, record: Record, received_utc_ms: int) -> None:
        module.parameters = self._parameters(record.parameters_hash)
        if module.parameters is None:
            return
        decoded = decode(record, module.parameters)
        assert isinstance(record.body, Samples)
        slots = record.body.slots
        # A module that was never told the time has slots without UTC: shown where they arrived, marked by its status.
        anchor = received_utc_ms if record.utc_ms is None else record.utc_ms
        first = anchor - (record.mono_ms - slots.first_slot_mono_ms)
        times = [first + index * slots.slot_ms for index in range(slots.slot_count)]
        module.channels = [_newest_sample(readings, times, module.parameters) for readings in decoded.channels]
        for readings in decoded.channels:
            self._keep_trend(module.trend.setdefault(readings.channel.id, {}), readings, times)

    def _keep_trend(self, buckets: _Buckets, readings: ChannelReadings, times: list[int]) -> None:
        for at, value, status in zip(times, readings.values.tolist(), readings.status.tolist(), strict=True):
            start = at // self._bucket_ms * self._bucket_ms
            bucket = buckets.setdefault(start, [value, value, 0, 0])
            if status not in (VALID, WARNING):
                bucket[3] += 1
                continue
            is_first = bucket[2] == 0
            bucket[0] = value if is_first else min(bucket[0], value)
            bucket[1] = value if is_first else max(bucket[1], value)
            bucket[2] += 1

    def _parameters(self, parameters_hash: bytes) -> ParameterSet | None:
        if parameters_hash not in self._sets:
            raw = self._view.parameter_set(parameters_hash)
            if raw is None:
                return None
            if len(self._sets) >= SETS_KEPT:
                self._sets.pop(next(iter(self._sets)))
            self._sets[parameters_hash] = parse_parameters(raw, parameters_hash)
        return self._sets[parameters_hash]

    def _module(self, device: str, module: _Module, now_utc_ms: int) -> dict[str, Any]:
        record, parameters = module.record, module.parameters
        seal_ms = parameters.seal_ms if parameters is not None else None
        shortest = min(self._intervals_s, default=0)
        return {
            "device": device,
            "received_utc_ms": module.received_utc_ms or None,
            "seal_ms": seal_ms,
            # Two sealing periods and the line: what is older than that has stopped coming.
            "is_stale": seal_ms is not None and now_utc_ms - module.received_utc_ms > 2 * seal_ms + 5_000,
            "utc_status": _UTC_NAMES.get(record.utc_status, str(record.utc_status)) if record else None,
            "utc_unc_ms": record.utc_unc_ms if record else None,
            "firmware": module.boot.firmware_version if module.boot else None,
            "interpreter": module.boot.interpreter if module.boot else None,
            "fault": module.fault,
            "has_parameters": record is None or parameters is not None,
            "channels": module.channels,
            "averages": {
                str(interval_s): self._view.newest_averages(device, interval_s) for interval_s in self._intervals_s
            },
            "coverage": {"interval_s": shortest, "cells": self._view.coverage(device, shortest, COVERAGE_INTERVALS)},
        }

    def _chain(self, device: str, head: Any) -> dict[str, Any]:
        hole_count, holes = self._view.holes(device, HOLES_NAMED)
        quarantine_count, quarantine_code = self._view.quarantined(device)
        return {
            "seq": head.seq if head else 0,
            "content_hash": head.content_hash.hex() if head else "",
            "boot": head.boot if head else 0,
            "is_frozen": bool(head and head.is_frozen),
            "hole_count": hole_count,
            "holes": holes,
            "quarantine_count": quarantine_count,
            "quarantine_code": quarantine_code,
        }


def _newest_sample(readings: ChannelReadings, times: list[int], parameters: ParameterSet) -> dict[str, Any]:
    spec, status = readings.channel, int(readings.status[-1])
    has_number = quality_of(status) != "gap"
    return {
        "id": spec.id,
        "quantity": spec.quantity,
        "unit": spec.unit,
        "analyzer": parameters.analyzers[parameters.blocks[spec.block].analyzer].id,
        "value": float(readings.values[-1]) if has_number else None,
        "status": "valid" if status == VALID else _NAMES.get(status, str(status)),
        "quality": quality_of(status),
        "slot_utc_ms": times[-1],
        "minimum": spec.minimum,
        "maximum": spec.maximum,
    }
