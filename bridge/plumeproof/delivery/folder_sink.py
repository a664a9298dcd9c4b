"""A folder as a keeper of anchors: another disk, or a share of another host. One file a statement, whole or not there.

A file that is there is never written over: with other bytes under its name somebody changed it, or two gateways have
one id, and a person must look. The folder itself is never made, because where a share is not mounted its name would
be a place on this disk.

    sink = FolderSink("folder:/mnt/share/anchors", Path("/mnt/share/anchors"), clock)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from plumeproof.errors import BlockedDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

NUMBER_DIGITS = 19
LONGEST_S = 300.0  # cap of the back-off: a share comes back when somebody mounts it


class FolderSink:
    """ports.Sink."""

    window = 16

    def __init__(self, name: str, folder: Path, clock: Clock) -> None:
        self.name = name
        self._folder, self._clock = folder, clock
        self._counters = {"written_total": 0}

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Write each row's bytes. Raises as ports.Sink.deliver."""
        receipts: list[Receipt] = []
        for row in rows:
            path = self._folder / f"{row.module}-{int(dict(row.attributes)['number']):0{NUMBER_DIGITS}}.cose"
            try:
                self._keep(path, row.body)
            except OSError as error:
                if not receipts:
                    raise RetryableDelivery(f"{path}: {error.strerror or error}") from error
                break
            proof = {"file": str(path), "sha256": hashlib.sha256(row.body).hexdigest()}
            receipts.append(
                Receipt(row.id, self.name, json.dumps(proof, sort_keys=True).encode(), self._clock.utc_ms())
            )
            self._counters["written_total"] += 1
        return receipts

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """A statement is one."""
        return ()

    def tend(self) -> bool:
        """Whether the folder is there. Raises RetryableDelivery."""
        if not self._folder.is_dir():
            raise RetryableDelivery(f"{self._folder}: no such folder; mount the share, or make it once")
        return True

    def counters(self) -> dict[str, int]:
        """Since the start."""
        return dict(self._counters)

    def close(self) -> None:
        """Nothing is held."""

    def _keep(self, path: Path, body: bytes) -> None:
        self.tend()
        if path.exists():
            if path.read_bytes() == body:
                return  # written before power failed, or before its receipt was stored
            raise BlockedDelivery(f"{path}: holds another statement of this number; find out who wrote it")
        partial = path.with_name(path.name + ".part")
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        # Power failing before this line leaves a .part file, which the next try writes over; behind it the whole file.
        partial.replace(path)
        if os.name == "posix":
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
