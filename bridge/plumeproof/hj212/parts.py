"""Packets sent in parts (PNUM, PNO) put together, and packets that came before known again. Pure.

joiner = PartsJoiner()
whole = joiner.take(packet)  # the items of all parts, when this was the last one missing
"""

from __future__ import annotations

from collections import OrderedDict

from plumeproof.hj212.packet import Field, Packet

OPEN_MAX = 32  # messages with missing parts; the oldest gives way
PARTS_MAX = 256  # parts of one message that are put together
HELD_MAX = 512  # parts of all messages that wait; the oldest message gives way. A part of many short fields took 26 kB
SEEN_MAX = 4096  # identities remembered
Items = tuple[tuple[Field, ...], ...]
Identity = tuple[str, str, str, int]


def identity(packet: Packet) -> Identity | None:
    """(MN, CN, DataTime, PNO), by which a platform drops what it has; None where a packet carries no data of a time."""
    time = packet.of_area("DataTime")
    if not time:
        return None
    return packet.of_head("MN"), packet.of_head("CN"), time, packet.part[0] if packet.part else 1


class DuplicateMemory:
    """Identities seen, the latest SEEN_MAX of them."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Identity, None] = OrderedDict()

    def is_again(self, packet: Packet) -> bool:
        """Whether this packet's identity was seen before; remembers it."""
        key = identity(packet)
        if key is None:
            return False
        again = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return again


class PartsJoiner:
    """Parts by (MN, ST, CN, DataTime, PNUM). `dropped` counts parts that gave way or were too many."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, str, str, str, int], dict[int, Items]] = OrderedDict()
        self._held = 0  # parts in _open
        self.dropped = 0

    @property
    def missing(self) -> int:
        """Messages that wait for parts."""
        return len(self._open)

    def take(self, packet: Packet) -> Items | None:
        """The items of the whole message in the order of the parts, or None while parts are missing."""
        if packet.part is None or packet.part[1] == 1:
            return packet.items
        number, total = packet.part
        if total > PARTS_MAX:
            self.dropped += 1
            return None
        head = (packet.of_head("MN"), packet.of_head("ST"), packet.of_head("CN"))
        key = (*head, packet.of_area("DataTime"), total)
        parts = self._open.setdefault(key, {})
        if number not in parts:  # a resend brings nothing new
            parts[number] = packet.items
            self._held += 1
        if len(parts) == total:
            del self._open[key]
            self._held -= total
            return _joined(parts)
        if len(self._open) > OPEN_MAX or self._held > HELD_MAX:
            gone = len(self._open.popitem(last=False)[1])
            self._held -= gone
            self.dropped += gone
        return None


def _joined(parts: dict[int, Items]) -> Items:
    """Items of all parts; DataTime, which each part repeats, only once."""
    joined: list[tuple[Field, ...]] = []
    for number in sorted(parts):
        for item in parts[number]:
            if number > 1 and len(item) == 1 and item[0].name == b"DataTime":
                continue
            joined.append(item)
    return tuple(joined)
