"""Two profiles compared fact by fact, and what is legal in one and still worth a look.

Channels and statuses are compared by id and by where their registers lie, so that other blocks alone change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from plumeproof.survey.address import Address, to_reference, to_zero_based
from plumeproof.survey.blocks import Span
from plumeproof.survey.profile import Profile

ABSENT = "-"
RARE_ORDERS = ("BADC", "DCBA", "BADCFEHG", "HGFEDCBA", "BA")  # together some 7 % of field drivers
WIDE_BOUND = 1e8  # no plausibility bound of a channel
_HEAD = ("profile", "version", "title", "source", "status", "timeout_ms", "retries")


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that differs. `place`: `channel so2: order`; `before`, `after`: text, `-` where it is absent."""

    place: str
    before: str
    after: str


def compare(old: Profile, new: Profile) -> list[Change]:
    """Every fact of two checked profiles that is not the same, in the order of the old one. A channel that only one of
    them has is one change."""
    common = {channel["id"] for channel in old["channels"]} & {channel["id"] for channel in new["channels"]}
    before, after = _facts(old, common), _facts(new, common)
    return [
        Change(place, before.get(place, ABSENT), after.get(place, ABSENT))
        for place in dict.fromkeys((*before, *after))
        if before.get(place) != after.get(place)
    ]


def look_over(profile: Profile) -> list[str]:
    """What is allowed in a checked profile and often a slip."""
    remarks = []
    wide = [
        channel["id"]
        for channel in profile["channels"]
        if float(channel["min"]) <= -WIDE_BOUND or float(channel["max"]) >= WIDE_BOUND
    ]
    if wide:
        remarks.append(f"min and max bound nothing, set the certified range: {' '.join(wide)}")
    used: dict[tuple[int, int], str] = {}
    named: list[set[int]] = [set() for _ in profile["blocks"]]
    for channel in profile["channels"]:
        block = profile["blocks"][channel["block"]]
        if channel["type"] == "bit":
            named[channel["block"]].add(channel["register"] if block["function"] <= 2 else channel["register"] // 16)
            continue
        span = Span(block["function"], block["address"] + channel["register"], len(channel["order"]) // 2)
        named[channel["block"]].update(range(channel["register"], channel["register"] + span.quantity))
        for address in range(span.address, span.end):
            other = used.setdefault((span.function, address), channel["id"])
            if other != channel["id"]:
                remarks.append(f"channels {other} and {channel['id']} share {_shown(span.function, address)}")
                break
        if channel["order"] in RARE_ORDERS:
            remarks.append(f"channel {channel['id']}: order {channel['order']} is rare; compare with `plumeproof read`")
    for status in profile["statuses"]:
        is_bits = profile["blocks"][status["block"]]["function"] <= 2
        named[status["block"]].update(bit["bit"] if is_bits else bit["bit"] // 16 for bit in status["bits"])
    for block, places in zip(profile["blocks"], named, strict=True):
        unnamed = block["quantity"] - len(places)
        if unnamed:
            place = _shown(block["function"], block["address"])
            remarks.append(
                f"block {place}: reads {unnamed} of {block['quantity']} that nothing names; some analyzers answer with"
                " exception 2"
            )
    return remarks


def _facts(profile: Profile, common: Set[str]) -> dict[str, str]:
    """Every fact by its place; of channels that are not `common` one line."""
    facts = {key: str(profile[key]) for key in _HEAD}
    facts |= {f"note {number}": note for number, note in enumerate(profile["notes"], start=1)}
    for number, block in enumerate(profile["blocks"], start=1):
        place = _shown(block["function"], block["address"])
        confirmed = ", confirmed" if "confirm" in block else ""
        facts[f"block {number}"] = f"{block['quantity']} from {place}{confirmed}"
    for channel in profile["channels"]:
        where = f"channel {channel['id']}"
        place = _where(profile, channel["block"], channel["register"], channel["type"] == "bit")
        if channel["id"] not in common:
            facts[where] = f"{channel['quantity']} at {place}, {channel['type']} {channel['order']}, {channel['unit']}"
            continue
        facts[f"{where}: register"] = place
        if "status" in channel:
            facts[f"{where}: status"] = profile["statuses"][channel["status"]]["id"]
        left_out = ("id", "block", "register", "status")
        facts |= {f"{where}: {key}": text for key, text in channel.items() if key not in left_out}
    for status in profile["statuses"]:
        for bit in status["bits"]:
            where = f"status {status['id']}: {_where(profile, status['block'], bit['bit'], True)} is {bit['is']}"
            facts[where] = f"{bit['code']} {bit['meaning']}".strip()
    return facts


def _where(profile: Mapping[str, Any], block: int, register: int, is_bit: bool) -> str:
    first = profile["blocks"][block]
    if is_bit and first["function"] > 2:
        offset, bit = divmod(register, 16)
        return to_zero_based(Address(first["function"], first["address"] + offset, bit=bit))
    return _shown(first["function"], first["address"] + register)


def _shown(function: int, address: int) -> str:
    place = Address(function, address)
    return f"{to_zero_based(place)} ({to_reference(place)})"
