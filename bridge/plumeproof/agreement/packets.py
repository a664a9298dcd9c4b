"""HJ 212 packets back into values: hour messages (CN 2061) of a capture, or as they wait in the outbox. Pure.

A packet is read as a platform reads it: frame, checksum, fields, local time. Both ways of a link may be in a capture;
what is no hour message is passed over. Of a station that is not ours nothing is taken, and it is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from plumeproof.agreement.said import HJ212, Said, Spoken
from plumeproof.hj212.frame import Frame, FrameSplitter, Policy
from plumeproof.hj212.numbers import parse_time
from plumeproof.hj212.packet import Packet, PacketError, parse_data, read_text

HOUR_CN = "2061"
SCHEMA = "plumeproof-hj212/1"
FAULTS_TOLD = 100
Offsets = Mapping[str, int]  # MN: minutes of the site's clock from UTC


def read_capture(name: str, raw: bytes, offsets: Offsets, policy: Policy) -> Spoken:
    """Every hour message in the bytes. A packet that is refused, or whose time is none, is a fault."""
    splitter, said, faults = FrameSplitter(policy), list[Said](), list[str]()
    for piece in [*splitter.feed(raw), *splitter.close()]:
        place = f"{name} byte {piece.offset}"
        if not isinstance(piece, Frame):
            if piece.broken_head:
                faults.append(f"{place}: {piece.broken_head}")
            continue
        try:
            if not piece.accepted:
                raise PacketError(piece.reason)
            packet = parse_data(piece.data, piece.check, piece.policy)
            if packet.of_head("CN") == HOUR_CN and packet.of_area("DataTime"):  # a request for history has none
                said += _of_packet(packet, f"{name} QN {packet.of_head('QN')} at byte {piece.offset}", offsets)
        except PacketError as error:
            faults.append(f"{place}: {error}")
    return Spoken(HJ212, said, tuple(faults[:FAULTS_TOLD]))


def read_queued(row_id: int, body: bytes, mn: str, offsets: Offsets) -> Spoken:
    """A row of the outbox; what is no hour message says nothing."""
    place = f"outbox row {row_id}"
    try:
        content = json.loads(body)
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {str(content['schema'])[:40]!r}")
        if content["cn"] != HOUR_CN:
            return Spoken(HJ212, ())
        said: list[Said] = []
        traces = tuple(str(one) for one in content["restsOn"])
        for number, part in enumerate(content["parts"], 1):
            pairs = [(str(name), str(value)) for item in part["items"] for name, value in item]
            said += _of_pairs(pairs, mn, f"{place} part {number}, QN {part['qn']}", offsets, traces)
    except (ValueError, LookupError, TypeError, PacketError, RecursionError) as error:
        return Spoken(HJ212, (), (f"{place}: holds no message of HJ 212: {str(error)[:120]}",))
    return Spoken(HJ212, said)


def _of_packet(packet: Packet, place: str, offsets: Offsets) -> Iterator[Said]:
    pairs = [(read_text(field.name)[0], read_text(field.value)[0]) for item in packet.items for field in item]
    return _of_pairs(pairs, packet.of_head("MN"), place, offsets, ())


def _of_pairs(pairs: Any, mn: str, place: str, offsets: Offsets, traces: tuple[str, ...]) -> Iterator[Said]:
    if mn not in offsets:
        raise PacketError(f"MN {mn[:24]!r} is no station of this configuration")
    time = next((value for name, value in pairs if name == "DataTime"), "")
    try:
        start = parse_time(time, offsets[mn])
    except ValueError as error:
        raise PacketError(str(error)) from error
    for name, value in pairs:
        code, dash, quantity = name.partition("-")
        if dash:
            yield Said(HJ212, place, (mn, code), start, quantity, value, "", traces)
