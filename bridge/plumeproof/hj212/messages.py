"""What a field unit sends: messages cut into packets, and the answers 9011 to 9014. Pure.

    identity = Identity("010000A8900016F000169DC0", "31", "123456")
    parts = cut(identity, items)                         # each fits into one packet
    raw = build_part(identity, "2061", qn, parts[0], 1, len(parts), wants_answer=True)

Every part repeats DataTime and has a QN of its own (reference: reporting-interfaces section 4.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plumeproof.hj212.frame import DATA_MAX, frame_bytes
from plumeproof.hj212.packet import CP_MAX, build_data

SYSTEM_ST = "91"  # of all 901x answers
VERSION_BITS = {"2017": 1, "2025": 2}  # bits 7..2 of Flag; 2025 is a preview (hj212/preview.py)
WANTS_ANSWER, HAS_NUMBERS = 1, 2  # bits A and D
PW_MAX = 9
PARTS_MAX = 9999
READY, REFUSED, BAD_PW, BAD_MN, BAD_ST, BAD_FLAG, BAD_QN, BAD_CN, BAD_CRC, UNKNOWN = 1, 2, 3, 4, 5, 6, 7, 8, 9, 100
DONE, FAILED, NOT_MET, TIMED_OUT, BUSY, FAULT, NO_DATA = 1, 2, 3, 4, 5, 6, 100  # ExeRtn
Item = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are on a link. The password is never shown."""

    mn: str
    st: str
    pw: str = field(repr=False)
    version: str = "2017"

    def flag(self, wants_answer: bool, has_numbers: bool = False) -> str:
        """The Flag byte of a packet of ours."""
        low = (WANTS_ANSWER if wants_answer else 0) | (HAS_NUMBERS if has_numbers else 0)
        return str(VERSION_BITS[self.version] << 2 | low)


@dataclass(frozen=True, slots=True)
class Upload:
    """What is reported: the command, its items (DataTime first), and the ids of all that they rest on."""

    cn: str
    items: tuple[Item, ...]
    rests_on: tuple[str, ...] = ()


def cut(identity: Identity, items: Sequence[Item]) -> list[list[Item]]:
    """The items of one message in as few parts as packets hold; the first item, DataTime, begins each of them.

    Raises ValueError for an item that is longer than a packet.
    """
    widest = Identity(identity.mn, identity.st, "0" * PW_MAX, identity.version)
    room = min(CP_MAX, DATA_MAX - len(_data(widest, "0000", "0" * 17, [], PARTS_MAX, PARTS_MAX, True)))
    head, parts = items[0], [[items[0]]]
    used = first = _length(head)
    for item in items[1:]:
        size = 1 + _length(item)  # ; before it
        if first + size > room:
            raise ValueError(f"{next(iter(item))}: {size} bytes, a packet has room for {room - first}")
        if used + size > room:
            parts.append([head])
            used = first
        parts[-1].append(item)
        used += size
    if len(parts) > PARTS_MAX:
        raise ValueError(f"{len(parts)} parts, PNUM counts to {PARTS_MAX}")
    return parts


def build_part(
    identity: Identity,
    cn: str,
    qn: str,
    items: Sequence[Item],
    number: int = 1,
    total: int = 1,
    wants_answer: bool = False,
) -> bytes:
    """One packet as it goes onto the line."""
    return frame_bytes(_data(identity, cn, qn, items, number, total, wants_answer))


def build_answer(identity: Identity, cn: str, qn: str, code: int | None = None) -> bytes:
    """9011 with QnRtn, 9012 with ExeRtn, 9013, 9014 and 9022 with neither; the QN is that of the message answered."""
    names = {"9011": "QnRtn", "9012": "ExeRtn"}
    items = [] if code is None else [{names[cn]: str(code)}]
    answerer = Identity(identity.mn, SYSTEM_ST, identity.pw, identity.version)
    return build_part(answerer, cn, qn, items)


def _data(
    identity: Identity, cn: str, qn: str, items: Sequence[Item], number: int, total: int, wants_answer: bool
) -> bytes:
    head = {"QN": qn, "ST": identity.st, "CN": cn, "PW": identity.pw, "MN": identity.mn}
    head["Flag"] = identity.flag(wants_answer, total > 1)
    if total > 1:
        head |= {"PNUM": str(total), "PNO": str(number)}
    return build_data(head, items)


def _length(item: Item) -> int:
    return sum(len(name.encode()) + 1 + len(value.encode()) for name, value in item.items()) + len(item) - 1
