"""Evidence of a statement: files that are there, with their SHA-256; a bundle of `evidence export` is looked into.

A bundle must tell of a part of the statement's period and of the modules that the figures rest on. Whether it holds is
what `plumeproof evidence verify` says; here it is only seen to be the one that is meant.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumeproof.documents.declared import Period
from plumeproof.documents.statement_plan import Evidence
from plumeproof.errors import ConfigError

FILE_MAX_BYTES = 64 * 1024**3  # a bundle of years; it is read in pieces
MANIFEST_MAX_BYTES = 64 * 1024 * 1024  # 200,000 members
_PIECE = 1024 * 1024
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A file that was read. `bundle_utc_ms`: the period of a bundle, None of any other file."""

    plan: Evidence
    sha256: str
    size: int
    bundle_utc_ms: Period | None


def resolve(
    evidence: Sequence[Evidence], folder: Path, where: str, period: Period, devices: Sequence[str]
) -> Iterator[Resolved]:
    """Relative names count from `folder`. Raises ConfigError: `where`, which one, what is wrong with it."""
    for one in evidence:
        at = f"{where}: evidence {one.id}"
        path = folder / one.file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(at, f"{one.file} lies outside of {folder}; a data set and its evidence go together")
        sha256, size = digest_of_file(path, at)
        if one.sha256 and one.sha256 != sha256:
            raise ConfigError(at, f"{one.file} has SHA-256 {sha256}, the papers say {one.sha256}")
        span = _bundle(path, at, period, devices) if one.kind == "rawSeries" and zipfile.is_zipfile(path) else None
        yield Resolved(one, sha256, size, span)


def digest_of_file(path: Path, at: str) -> tuple[str, int]:
    """SHA-256 (hex) and size. Raises ConfigError."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if size > FILE_MAX_BYTES:
                    raise ConfigError(at, f"{path.name} is larger than {FILE_MAX_BYTES} bytes")
    except OSError as error:
        raise ConfigError(at, f"{path} cannot be read: {error.strerror}; name a file that is there") from error
    return digest.hexdigest(), size


def _bundle(path: Path, at: str, period: Period, devices: Sequence[str]) -> Period | None:
    """Of a zip file that has a bundle's manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            if MANIFEST not in archive.namelist():
                return None
            with archive.open(MANIFEST) as member:
                raw = member.read(MANIFEST_MAX_BYTES + 1)
            with archive.open("manifest.sha256") as member:
                named = member.read(65).decode("ascii")
        manifest: Any = json.loads(raw)
        start, end = (int(number) for number in manifest["period_utc_ms"])
        there = [str(one["device"]) for one in manifest["devices"]]
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, RecursionError, EOFError) as error:
        raise ConfigError(at, f"{path.name} is no bundle of `plumeproof evidence export`: {str(error)[:80]}") from error
    if named != hashlib.sha256(raw).hexdigest():
        raise ConfigError(at, f"{path.name}: manifest.json is not the one that manifest.sha256 names")
    if end <= period[0] or period[1] <= start:
        raise ConfigError(at, f"{path.name} is the bundle of another period ({start} to {end} UTC ms)")
    missing = [name for name in devices if name not in there]
    if missing:
        raise ConfigError(at, f"{path.name} holds nothing of module {', '.join(missing)}; it has {', '.join(there)}")
    return start, end
