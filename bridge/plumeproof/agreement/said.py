"""What a tongue says: one value of one hour with its place in the bytes, and the ids that the tongue itself names.

Also how a file of a tongue is opened: with a limit, and refused in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plumeproof.errors import ConfigError

STATEMENT, CBAM, HJ212, API = TONGUES = ("statement", "CBAM", "HJ 212", "API")
MQTT, SENML = "MQTT", "SenML"  # topics of a broker: one average each
STATUS, FIGURE, FLAG = "status", "figure", "Flag"  # quantities that are words
FILE_MAX_BYTES = 256 * 1024 * 1024  # a year of hours of thirty sources, or of packets of one link, takes a third of it


@dataclass(frozen=True, slots=True)
class Said:
    """One value. `subject`: of which thing, as the tongue calls it: (source), (MN, factor code) or (module, channel,
    interval in s). `text`: digits or words as they stand, None where the tongue says that there is none. `traces`: ids
    that stand beside it; of a whole packet they are those of all its values."""

    tongue: str
    place: str
    subject: tuple[str, ...]
    start_utc_ms: int
    quantity: str
    text: str | None
    unit: str = ""
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """All that was read of one tongue. `faults`: what in the bytes is no speech at all, one line each."""

    tongue: str
    said: Sequence[Said]
    faults: tuple[str, ...] = ()


def read_bytes(path: Path, what: str) -> bytes:
    """Whole. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}; name {what}") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ConfigError(str(path), f"larger than {FILE_MAX_BYTES} bytes; this is not {what}")
    return raw


def only_within(said: Iterable[Said], period: tuple[int, int]) -> list[Said]:
    """What is said of hours that begin in [start, end)."""
    return [one for one in said if period[0] <= one.start_utc_ms < period[1]]
