"""HJ 212 of 2025 as a PREVIEW: what an open implementation shows of it; the text of the standard is still to be read.

A packet of 2025 has the version bits 000010 (Flag 8 to 11); grammar, frame and checksum are taken to be those of 2017.
preview_fields.csv holds what is known of each command's fields, each row with its source and confidence. Nothing is
refused for not being as previewed: `findings` says what differs, and fields that no row knows keep their bytes and
place in the packet. Packets with the version bits of 2017 are never judged by it.

    for words in findings(packet): ...      # empty: as previewed
    meaning_of(packet, "a21026-ResultType", "1")  # the check was passed
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Protocol

from plumeproof.errors import ConfigError
from plumeproof.hj212.codes import codes, read_rows
from plumeproof.hj212.packet import Field, Packet, read_text

STATUS = "preview: after an open implementation of July 2025 to January 2026, not after the text of the standard"
COLUMNS = ("command", "field", "need", "form", "meaning", "confidence", "source", "verified")
NEEDS = ("always", "may")
ANY_FACTOR = "x-"  # such a field stands once for each factor, with the factor's code for the x
DROPPED = ("3014", "3015", "3016", "3017")  # no longer among the examples of commands
NO_MN = ("1001", "9013")  # a logger that has none yet, and the answer to it
FLAGS = ("Flag", "EFlag")  # section 4.6; they may stand beside any value
NOTHING_IN = ("9015",)  # a heartbeat has an empty CP
FORMS = {  # reference: reporting-interfaces sections 4.6 and 4.7
    "time": r"[0-9]{14}",
    "time or empty": r"(?:[0-9]{14})?",
    "five minutes": r"[0-9]{10}[0-5][05]00",
    "decimal": r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?",
    "0 or 1": r"[01]",
    "16 characters": r".{16}",
    "text": r".{1,950}",
}
CHOICES = {"x-ResultType": ("failed", "passed"), "CalibrationType": ("zero", "span")}


class Edition(StrEnum):
    """Which text of HJ 212 a link or a capture is read by."""

    HJ2017 = "2017"
    PREVIEW = "2025-preview"


def version_of(edition: Edition) -> str:
    """The version whose bits packets of a link carry."""
    return "2025" if edition is Edition.PREVIEW else "2017"


class Sealing(Protocol):
    """The place for the cipher of the session keys of CN 1014, which nobody here knows yet. None stands for no cipher.

    That it would cover a packet's whole data, and not CP alone, is a guess like the rest.
    """

    def open(self, data: bytes) -> bytes:
        """The data in the clear; they are refused, not raised, where they then hold no packet."""


@dataclass(frozen=True, slots=True)
class PreviewField:
    """One row of preview_fields.csv."""

    command: str
    field: str
    need: str
    form: str
    meaning: str
    confidence: str
    source: str
    verified: str

    def is_for(self, name: str) -> bool:
        """Whether a field of CP is the one of this row; also without its factor."""
        if self.field.startswith(ANY_FACTOR):
            return name.rpartition("-")[2] == self.field.removeprefix(ANY_FACTOR)
        return name == self.field


def read_fields(text: str, where: str) -> Mapping[str, tuple[PreviewField, ...]]:
    """Rows by command. Raises ConfigError."""
    found: dict[str, tuple[PreviewField, ...]] = {}
    for line, row in read_rows(text, COLUMNS, where):
        field = PreviewField(**row)
        if field.need not in NEEDS:
            raise ConfigError(f"{where} line {line}", f"need {field.need[:20]!r} is none of {', '.join(NEEDS)}")
        if field.form not in FORMS:
            raise ConfigError(f"{where} line {line}", f"form {field.form[:20]!r} is none of {', '.join(FORMS)}")
        if ("command", field.command) not in codes():
            raise ConfigError(f"{where} line {line}", f"command {field.command[:20]!r} is not in codes.csv")
        found[field.command] = (*found.get(field.command, ()), field)
    return found


@functools.cache
def preview_fields() -> Mapping[str, tuple[PreviewField, ...]]:
    """The package's rows."""
    text = (files("plumeproof.hj212") / "preview_fields.csv").read_text(encoding="utf-8")
    return read_fields(text, "preview_fields.csv")


def read_by(packet: Packet, chosen: Edition) -> Edition:
    """The text that this packet is read by: the preview needs both the choice and the packet's version bits."""
    return chosen if packet.version == "2025" else Edition.HJ2017


def findings(packet: Packet) -> list[str]:
    """How a packet of 2025 differs from the preview; one line each."""
    command = packet.of_head("CN")
    found = [] if packet.of_head("MN") or command in NO_MN else [f"CN {command} with an empty MN"]
    if command in DROPPED:
        found.append(f"CN {command} is not among the commands of 2025")
    values = [field for item in packet.items for field in item]
    if command in NOTHING_IN and values:
        found.append(f"CN {command} has nothing in CP")
    if any(field.name == b"NewSK" for field in values):
        found.append("a session key is handed over: packets behind it may be encrypted, by a cipher unknown here")
    is_open = packet.part is not None or _is_request(command, values)  # the rest is in another part, or asked for
    rows = preview_fields().get(command, ())
    for row in rows:
        there = [field for field in values if row.is_for(read_text(field.name)[0])]
        if row.need == "always" and not there and not is_open:
            found.append(f"{row.field} is missing")
        found += [
            f"{read_text(field.name)[0]} is not of the form {row.form}"  # without the value: it may be a key
            for field in there
            if not re.fullmatch(FORMS[row.form], read_text(field.value)[0], re.DOTALL | re.ASCII)
        ]
    names = [read_text(field.name)[0] for field in values]
    unknown = [name for name in names if row_of(command, name) is None and name.rpartition("-")[2] not in FLAGS]
    if rows and unknown:
        found.append(f"fields that the preview does not know, kept as they came: {', '.join(unknown[:8])}")
    return found


def row_of(command: str, name: str) -> PreviewField | None:
    """What the preview says of a field of CP."""
    return next((row for row in preview_fields().get(command, ()) if row.is_for(name)), None)


def meaning_of(command: str, name: str, value: str) -> str:
    """What the preview says that a field means; empty where it knows nothing."""
    row = row_of(command, name)
    if row is None:
        return ""
    choice = CHOICES.get(row.field, ())
    return f"{row.meaning}: {choice[int(value)]}" if choice and value in ("0", "1") else row.meaning


def _is_request(command: str, values: list[Field]) -> bool:
    """A platform's request for data: nothing in CP, or a span of time."""
    names = {field.name for field in values}
    return command.startswith("2") and not names - {b"BeginTime", b"EndTime"}
