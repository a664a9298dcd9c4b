"""Faults on wish: what the platform does wrong with the packets that it sends, and when it hangs up.

    KIND[:count=N][:cn=NNNN][:ms=N][:byte=N]      count: only the first N that would be hit; cn: only this command

KIND           what the field unit meets                                         hits by itself   option (default)
no-answer      nothing                                                           answers
late-answer    the answer, late; packets behind it may overtake it               answers          ms (3000)
answer-twice   the answer two times                                              answers
other-qn       an answer with a QN that nobody used                              answers
wrong-crc      one bit of the checksum turned                                    all packets
modbus-crc     the checksum of Modbus                                            all packets
garbage        bytes of no packet, among them ##, before and behind              all packets
split-bytes    every byte in a segment of its own                                all packets      ms (0) between them
cut-sending    the connection ends in the middle of the packet                   all packets      byte (half of it)
cut-receiving  the connection ends after so many received bytes                  connections      byte (50)

Several may hit one packet, each in its own way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ANSWER_FAULTS = ("no-answer", "late-answer", "answer-twice", "other-qn")
PACKET_FAULTS = ("wrong-crc", "modbus-crc", "garbage", "split-bytes", "cut-sending")
KINDS = (*ANSWER_FAULTS, *PACKET_FAULTS, "cut-receiving")
OPTIONS = {
    "count": (r"\d{1,6}", KINDS),
    "cn": (r"\d{4}", (*ANSWER_FAULTS, *PACKET_FAULTS)),
    "ms": (r"\d{1,6}", ("late-answer", "split-bytes")),
    "byte": (r"\d{1,6}", ("cut-sending", "cut-receiving")),
}
ANSWERS = ("9013", "9014")
GARBAGE = b"\x00\xff##12x4 \r##9999\xb2\xe2#"


class FaultError(Exception):
    """A wish that is not of the form above; one line."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One wish. Options that were not given are None."""

    text: str
    kind: str
    count: int | None = None
    cn: str | None = None
    ms: int | None = None
    byte: int | None = None

    def is_for(self, command: str) -> bool:
        """Whether it would hit a packet of this command."""
        if self.cn is not None:
            return command == self.cn
        return command in ANSWERS if self.kind in ANSWER_FAULTS else self.kind in PACKET_FAULTS


def parse_fault(text: str) -> Fault:
    """Raises FaultError."""
    kind, *parts = text.split(":")
    if kind not in KINDS:
        raise FaultError(f"fault {text!r}: no such kind; kinds: {' '.join(KINDS)}")
    options: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        pattern, kinds = OPTIONS.get(name, ("", ()))
        if kind not in kinds or not re.fullmatch(pattern, value, re.ASCII):
            raise FaultError(f"fault {text!r}: cannot read {part!r} of this kind; see tools/hj212_platform/faults.py")
        options[name] = value
    numbers = {name: int(value) for name, value in options.items() if name != "cn"}
    return Fault(text, kind, cn=options.get("cn"), **numbers)


class FaultPlan:
    """The faults that are switched on."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._hits = {fault: 0 for fault in faults}

    def switch_on(self, fault: Fault) -> None:
        """From now on; its count begins anew."""
        self._hits[fault] = 0

    def switch_off(self, kind: str) -> None:
        """All of this kind; `all`: every one."""
        self._hits = {fault: hits for fault, hits in self._hits.items() if kind not in (fault.kind, "all")}

    def of_packet(self, command: str) -> dict[str, Fault]:
        """What happens to the next packet of this command, by kind."""
        return {fault.kind: fault for fault in list(self._hits) if fault.is_for(command) and self._draw(fault)}

    def of_connection(self, received: int) -> Fault | None:
        """Whether a connection that has received so many bytes is cut now."""
        for fault in list(self._hits):
            if fault.kind == "cut-receiving" and received >= (50 if fault.byte is None else fault.byte):
                if self._draw(fault):
                    return fault
        return None

    def _draw(self, fault: Fault) -> bool:
        if fault.count is not None and self._hits[fault] >= fault.count:
            return False
        self._hits[fault] += 1
        return True
