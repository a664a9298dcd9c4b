"""The data of one HJ 212 packet: head fields and the command's parameters (CP). Pure.

Fields keep their order and bytes, also those that nobody here knows, so that `Packet.data` gives back what came. In CP,
`;` separates items and `,` the fields of one item. Text is UTF-8, from older units GBK; the bytes are kept.

    packet = parse_data(frame.data, frame.check, frame.policy)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumeproof.errors import BridgeError
from plumeproof.hj212.frame import DATA_MAX, Check, Policy

CP_MAX = 950  # bytes between the && of CP
CP_OPENS, CP_CLOSES = b"CP=&&", b"&&"
VERSIONS = {0: "2005", 1: "2017", 2: "2025"}  # bits 7..2 of Flag
HEAD_GRAMMAR = {  # name: what the value must be
    b"QN": (rb"[0-9]{17}", "17 digits"),
    b"ST": (rb"[0-9A-Za-z]{2}", "2 letters or digits"),
    b"CN": (rb"[0-9]{4}", "4 digits"),
    b"PW": (rb"[^;,&]{1,9}", "1 to 9 characters"),
    b"MN": (rb"[^;,&]{0,64}", "at most 64 characters"),
    b"Flag": (rb"[0-9]{1,3}", "1 to 3 digits, at most 255"),
    b"PNUM": (rb"[0-9]{1,4}", "1 to 4 digits"),
    b"PNO": (rb"[0-9]{1,4}", "1 to 4 digits"),
}
NAME = re.compile(rb"[!-+\-.-:<>-~]{1,64}")  # printable, without , ; =


class PacketError(BridgeError):
    """Data that no packet of the grammar has; one line."""


@dataclass(frozen=True, slots=True)
class Field:
    """One `name=value`. `check` and `policy`: what its packet's checksum was worth, so that no value loses it."""

    name: bytes
    value: bytes
    check: Check
    policy: Policy


@dataclass(frozen=True, slots=True)
class Packet:
    """The fields of one packet. `warnings`: what a receiver takes, but a technician should know."""

    head: tuple[Field, ...]
    items: tuple[tuple[Field, ...], ...]
    warnings: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes that this packet travels as."""
        head = b"".join(field.name + b"=" + field.value + b";" for field in self.head)
        area = b";".join(b",".join(field.name + b"=" + field.value for field in item) for item in self.items)
        return head + CP_OPENS + area + CP_CLOSES

    def of_head(self, name: str) -> str:
        """A head field's text; empty where there is none."""
        return next((read_text(field.value)[0] for field in self.head if field.name == name.encode()), "")

    def of_area(self, name: str) -> str:
        """The first CP field of this name; empty where there is none."""
        found = (field for item in self.items for field in item if field.name == name.encode())
        return next((read_text(field.value)[0] for field in found), "")

    @property
    def flag(self) -> int | None:
        """The Flag byte; None where a packet of 2005 has none."""
        text = self.of_head("Flag")
        return int(text) if text else None

    @property
    def version(self) -> str:
        """2005, 2017, 2025, or the unknown bits."""
        bits = (self.flag or 0) >> 2
        return VERSIONS.get(bits, f"unknown ({bits})")

    @property
    def wants_answer(self) -> bool:
        """Bit A."""
        return bool((self.flag or 0) & 1)

    @property
    def has_numbers(self) -> bool:
        """Bit D: packet numbers are present."""
        return bool((self.flag or 0) & 2)

    @property
    def part(self) -> tuple[int, int] | None:
        """(PNO, PNUM) where the packet is a part."""
        total, number = self.of_head("PNUM"), self.of_head("PNO")
        return (int(number), int(total)) if total and number else None


def read_text(value: bytes) -> tuple[str, str]:
    """Text and the encoding that it was read by."""
    for encoding in ("utf-8", "gbk"):
        try:
            return value.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return value.decode("ascii", "backslashreplace"), "unknown"


def parse_data(data: bytes, check: Check, policy: Policy) -> Packet:
    """The packet in a frame's data. Raises PacketError."""
    if len(data) > DATA_MAX:
        raise PacketError(f"{len(data)} bytes of data, at most {DATA_MAX}")
    opens = 0 if data.startswith(CP_OPENS) else data.find(b";" + CP_OPENS) + 1
    if opens == 0 and not data.startswith(CP_OPENS):
        raise PacketError("no CP=&& in the data")
    area_at = opens + len(CP_OPENS)
    if len(data) < area_at + 2 or not data.endswith(CP_CLOSES):
        raise PacketError("CP is not closed by && at the end of the data")
    head_text, area = data[: max(opens - 1, 0)], data[area_at:-2]
    head = tuple(_read_field(text, check, policy) for text in head_text.split(b";")) if head_text else ()
    items = tuple(
        tuple(_read_field(text, check, policy) for text in item.split(b",")) for item in area.split(b";") if area
    )
    _check_head(head)
    packet = Packet(head, items)
    return Packet(head, items, tuple(_warnings(packet, len(area))))


def build_data(head: Mapping[str, str], items: Sequence[Mapping[str, str]]) -> bytes:
    """Data of a packet from its fields, in their order. Raises PacketError on what would not come back the same."""
    for fields in (head, *items):
        for name, value in fields.items():
            if any(letter in value for letter in ";,&\r\n") or "##" in value:
                raise PacketError(f"{name}: a value cannot hold ; , & ## or a line end")
    made = tuple(_as_field(name, value) for name, value in head.items())
    area = tuple(tuple(_as_field(name, value) for name, value in item.items()) for item in items)
    data = Packet(made, area).data
    packet = parse_data(data, Check.HJ212, Policy.STRICT)
    if (packet.head, packet.items) != (made, area):
        raise PacketError("an item without fields, or a head field named CP, cannot be sent")
    if len(data) - data.index(CP_OPENS) - len(CP_OPENS) - 2 > CP_MAX:
        raise PacketError(f"CP holds more than {CP_MAX} bytes: split it by PNUM and PNO")
    return data


def _as_field(name: str, value: str) -> Field:
    return Field(name.encode(), value.encode(), Check.HJ212, Policy.STRICT)


def _read_field(text: bytes, check: Check, policy: Policy) -> Field:
    name, sign, value = text.partition(b"=")
    if not sign or not NAME.fullmatch(name):
        raise PacketError(f"{read_text(text[:40])[0]!r} is no name=value")
    return Field(name, value, check, policy)


def _check_head(head: tuple[Field, ...]) -> None:
    values: dict[bytes, bytes] = {}
    for field in head:
        if field.name in values:
            raise PacketError(f"{read_text(field.name)[0]} stands twice in the head")
        values[field.name] = field.value
        if field.name in HEAD_GRAMMAR:
            pattern, words = HEAD_GRAMMAR[field.name]
            if not re.fullmatch(pattern, field.value) or (field.name == b"Flag" and int(field.value) > 255):
                raise PacketError(f"{field.name.decode()} {read_text(field.value[:40])[0]!r} is not {words}")
    for name in (b"ST", b"CN", b"MN"):
        if name not in values:
            raise PacketError(f"{name.decode()} is missing")
    if (b"PNUM" in values) != (b"PNO" in values):
        raise PacketError("PNUM and PNO come only together")
    if b"PNUM" in values and not 1 <= int(values[b"PNO"]) <= int(values[b"PNUM"]):
        raise PacketError(f"PNO {int(values[b'PNO'])} of PNUM {int(values[b'PNUM'])}")


def _warnings(packet: Packet, area: int) -> list[str]:
    found = []
    names = {field.name for field in packet.head}
    if area > CP_MAX:
        found.append(f"CP holds {area} bytes, at most {CP_MAX} are allowed")
    if b"QN" not in names:
        found.append("no QN: an answer cannot name this packet")
    if b"PW" not in names:
        found.append("no PW")
    if b"Flag" not in names:
        found.append("no Flag: read as 2005")
    if packet.has_numbers != (packet.part is not None):
        found.append("bit D of Flag and PNUM/PNO disagree")
    usual = 14 if packet.version == "2005" else 24
    if len(packet.of_head("MN")) != usual and packet.of_head("CN") != "1001":
        found.append(f"MN has {len(packet.of_head('MN'))} characters, {usual} are usual in {packet.version}")
    fields = [field.name for item in packet.items for field in item]
    if len(fields) != len(set(fields)):
        found.append("a name stands twice in CP")
    return found
