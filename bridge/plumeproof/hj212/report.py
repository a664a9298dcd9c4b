"""What a technician reads about a stream: one object for each packet or stretch of rubbish. Pure.

report = StreamReport(policy)
for piece in splitter.feed(chunk):
    entry = report.entry(piece)  # goes to JSON as it is
"""

from __future__ import annotations

import re
from typing import Any

from plumeproof.hj212.codes import codes, factor_of, name_of
from plumeproof.hj212.frame import Check, Frame, Policy, Rubbish
from plumeproof.hj212.packet import Field, Packet, PacketError, parse_data, read_text
from plumeproof.hj212.parts import DuplicateMemory, PartsJoiner
from plumeproof.hj212.preview import STATUS, Edition, Sealing, findings, meaning_of, read_by

SECRET = (b"pw", b"newpw", b"newsk")  # never shown, however a unit writes them: a capture's decoding is passed on
SECRET_VALUE = re.compile(rb"((?:PW|NewPW|NewSK)=)[^;,&#]+", re.IGNORECASE)


class StreamReport:
    """Entries in the order of the stream, and their counts."""

    def __init__(self, policy: Policy, edition: Edition = Edition.HJ2017, sealing: Sealing | None = None) -> None:
        self.policy = policy
        self.edition = edition
        self._sealing = sealing
        self.good = self.bad = self.rubbish = self.again = 0
        self._joiner = PartsJoiner()
        self._memory = DuplicateMemory()

    def entry(self, piece: Frame | Rubbish) -> dict[str, Any]:
        """One piece of the stream for people and programs."""
        if isinstance(piece, Rubbish):
            return self._rubbish_entry(piece)
        entry: dict[str, Any] = {
            "offset": piece.offset,
            "length": len(piece.raw),
            "policy": str(self.policy),
            "crc": str(piece.check),
            "verdict": "good",
            "reason": "",
        }
        reason, packet = piece.reason, None
        if not reason:
            try:
                packet = parse_data(self._opened(piece.data), piece.check, piece.policy)
            except PacketError as error:
                reason = str(error)
        if packet is None:
            self.bad += 1
            return entry | {"verdict": "bad", "reason": reason, "bytes": _shown(piece.raw)}
        self.good += 1
        return entry | self._packet_entry(packet, piece.check)

    @property
    def waiting(self) -> int:
        """Messages of which parts never came."""
        return self._joiner.missing

    @property
    def dropped(self) -> int:
        """Parts that were not put together for want of room."""
        return self._joiner.dropped

    def _rubbish_entry(self, piece: Rubbish) -> dict[str, Any]:
        self.rubbish += piece.length
        self.bad += bool(piece.broken_head)
        return {
            "offset": piece.offset,
            "length": piece.length,
            "policy": str(self.policy),
            "verdict": "bad" if piece.broken_head else "rubbish",
            "reason": piece.broken_head or "bytes between packets",
            "bytes": _shown(piece.head),
        }

    def _opened(self, data: bytes) -> bytes:
        return data if self._sealing is None else self._sealing.open(data)

    def _packet_entry(self, packet: Packet, check: Check) -> dict[str, Any]:
        again = self._memory.is_again(packet)
        self.again += again
        warnings = list(packet.warnings)
        if check is not Check.HJ212:
            warnings.insert(0, f"CRC {check}: taken only because of the policy {self.policy}")
        command = codes().get(("command", packet.of_head("CN")))
        if command is not None and command.edition == "2025":
            warnings.append(f"a command of the 2025 preview, confidence {command.confidence}")
        read_as = read_by(packet, self.edition)
        code = packet.of_head("CN") if read_as is Edition.PREVIEW else ""
        if read_as is Edition.PREVIEW:
            warnings += [f"2025 preview: {words}" for words in findings(packet)]
        elif packet.version == "2025":
            warnings.append(
                f"the version bits say 2025, read as {read_as}: --version {Edition.PREVIEW} judges its fields"
            )
        elif self.edition is Edition.PREVIEW:
            warnings.append(f"the version bits say {packet.version}: read as {read_as}, not as {self.edition}")
        entry: dict[str, Any] = {
            "system": name_of("system", packet.of_head("ST")),
            "command": command.name if command else "",
            "version": packet.version,
            "read_as": str(read_as),
            "wants_answer": packet.wants_answer,
            "numbered": packet.has_numbers,
            "head": {read_text(field.name)[0]: _text_of(field) for field in packet.head},
            "items": [[_value_entry(field, code) for field in item] for item in packet.items],
            "encoding": read_text(packet.data)[1],
            "duplicate": again,
            "warnings": warnings,
        }
        if read_as is Edition.PREVIEW:
            entry["preview"] = STATUS
        if packet.part is not None:
            entry["part"] = {"number": packet.part[0], "of": packet.part[1]}
            whole = self._joiner.take(packet)
            if whole is not None:
                entry["whole"] = [[_value_entry(field, code) for field in item] for item in whole]
        return entry


def _text_of(field: Field) -> str:
    return "(not shown)" if field.name.lower() in SECRET else read_text(field.value)[0]


def _value_entry(field: Field, preview: str) -> dict[str, str]:
    """A value with its checksum's worth; bytes that are no UTF-8 also in hex. `preview`: CN of a packet of 2025."""
    name, text = read_text(field.name)[0], _text_of(field)
    entry = {"name": name, "value": text, "crc": str(field.check), "policy": str(field.policy)}
    factor = factor_of(name)
    if factor is not None:
        entry |= {"factor": factor.name}
    kind = "flag" if name.endswith("-Flag") else name
    meaning = name_of(kind, text) if kind in ("flag", "QnRtn", "ExeRtn") else ""
    if preview and not meaning:
        meaning = meaning_of(preview, name, text)
    if meaning:
        entry |= {"meaning": meaning}
    if field.name.lower() not in SECRET and read_text(field.value)[1] != "utf-8":
        entry |= {"hex": field.value.hex()}
    return entry


def _shown(raw: bytes) -> str:
    """Bytes for people, escaped; the password of a refused packet is not shown either."""
    return SECRET_VALUE.sub(rb"\1(not shown)", raw).decode("ascii", "backslashreplace")
