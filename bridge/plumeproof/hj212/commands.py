"""What a platform may ask of a field unit, command by command (reference: reporting-interfaces section 4.4). Pure.

    request = read_request(packet, identity)     # raises Refused with the QnRtn that the answer 9011 carries

Grammar only: who does it, and whether it can be done, is the field unit's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plumeproof.errors import BridgeError
from plumeproof.hj212.frame import Check, Policy
from plumeproof.hj212.messages import BAD_CN, BAD_FLAG, BAD_MN, BAD_PW, BAD_QN, BAD_ST, REFUSED, Identity
from plumeproof.hj212.packet import Packet
from plumeproof.hj212.preview import DROPPED

MINUTE_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
ANSWERS = ("9011", "9012", "9013", "9014", "9022")  # never requests; 9022 answers a login
Grammar = Callable[[str], bool]


class Refused(BridgeError):
    """A request that is not taken; `code` is the QnRtn of the answer."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """A command whose grammar holds. `check`, `policy`: what its packet's checksum was worth, for whoever obeys it."""

    qn: str
    cn: str
    values: Mapping[str, str]
    wants_answer: bool
    check: Check
    policy: Policy


def _whole(low: int, high: int) -> Grammar:
    return lambda text: re.fullmatch(r"[0-9]{1,5}", text) is not None and low <= int(text) <= high


def _like(pattern: str) -> Grammar:
    return lambda text: re.fullmatch(pattern, text) is not None


_TIME = _like(r"[0-9]{14}")
_CODE = _like(r"[A-Za-z0-9]{1,12}")
_SPAN: dict[str, Grammar] = {"BeginTime": _TIME, "EndTime": _TIME}
# CN: fields that must be there, fields that may. Fields that nobody here knows are let through, as packets keep them.
COMMANDS: Mapping[str, tuple[dict[str, Grammar], dict[str, Grammar]]] = {
    "1000": ({"OverTime": _whole(1, 99), "ReCount": _whole(1, 99)}, {}),
    "1011": ({}, {"PolId": _CODE}),
    "1012": ({"SystemTime": _TIME}, {"PolId": _CODE}),
    "1061": ({}, {}),
    "1062": ({"RtdInterval": _whole(30, 3600)}, {}),
    "1063": ({}, {}),
    "1064": ({"MinInterval": lambda text: text.isdigit() and text in map(str, MINUTE_INTERVALS)}, {}),
    "1072": ({"NewPW": _like(r"[A-Za-z0-9]{6}")}, {}),
    "2011": ({}, {}),
    "2012": ({}, {}),
    "2021": ({}, {}),
    "2022": ({}, {}),
    "2031": (_SPAN, {}),
    "2041": (_SPAN, {}),
    "2051": (_SPAN, {}),
    "2061": (_SPAN, {}),
    "3011": ({"PolId": _CODE}, {}),
    "3012": ({"PolId": _CODE}, {}),
    "3013": ({"PolId": _CODE}, {}),
    "3014": ({"PolId": _CODE}, {}),
    "3015": ({}, {"PolId": _CODE}),
    "3016": ({"PolId": _CODE}, {"CstartTime": _like(r"[0-9]{6}"), "Ctime": _whole(0, 99)}),
    "3017": ({"PolId": _CODE}, {}),
    "3018": ({"PolId": _CODE}, {}),
    "3019": ({}, {"PolId": _CODE}),
    "3020": ({"InfoId": _CODE}, {"PolId": _CODE, **_SPAN}),
    "3021": ({"InfoId": _CODE}, {"PolId": _CODE}),
    "9015": ({}, {}),  # heartbeat and login are vendor extensions on 2017 links (reference: section 4.7)
    "9021": ({}, {}),
}


def read_request(packet: Packet, identity: Identity) -> Request:
    """The request in a packet for us. Raises Refused."""
    if packet.of_head("PW") != identity.pw:
        raise Refused(BAD_PW, "another password")
    if packet.of_head("MN") != identity.mn:
        raise Refused(BAD_MN, f"MN {packet.of_head('MN')[:24]!r}, we are {identity.mn}")
    if packet.of_head("ST") != identity.st:
        raise Refused(BAD_ST, f"ST {packet.of_head('ST')}, we are {identity.st}")
    if packet.version != identity.version or packet.has_numbers or packet.part is not None:
        raise Refused(BAD_FLAG, f"Flag {packet.of_head('Flag') or 'missing'}: not {identity.version} in one packet")
    qn, cn = packet.of_head("QN"), packet.of_head("CN")
    if not qn:
        raise Refused(BAD_QN, "no QN, which every answer repeats")
    if cn not in COMMANDS or (identity.version == "2025" and cn in DROPPED):
        raise Refused(BAD_CN, f"CN {cn} is no command for a field unit")
    needed, optional = COMMANDS[cn]
    values: dict[str, str] = {}
    for name, grammar in (needed | optional).items():
        text = packet.of_area(name)
        if not text and name in optional:
            continue
        if not grammar(text):
            shown = "" if name == "NewPW" else f" {text[:20]!r}"
            raise Refused(REFUSED, f"CN {cn}: {name}{shown} is not what the command takes")
        values[name] = text
    worth = packet.head[0]
    return Request(qn, cn, values, packet.wants_answer, worth.check, worth.policy)
