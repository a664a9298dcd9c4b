"""SenML packs (RFC 8428) of an MQTT topic back into values, and what they must say. Pure.

A pack has base name gateway/module/channel/interval/ and base time; each number stands in the unit of the SenML
registry, converted from the float64 itself, exactly and rounded once to the next float64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any

from plumeproof.agreement.payloads import DEPTH_MAX, average_id
from plumeproof.agreement.said import SENML, Said, Spoken
from plumeproof.agreement.signed import AverageAccount, Signed, Subject
from plumeproof.delivery.nesting import is_deeper
from plumeproof.delivery.senml import UNITS

NUMBERS = ("mean", "minimum", "maximum", "deviation")
COUNTS = ("expected", "valid")


def read_pack(place: str, body: bytes) -> Spoken:
    """One pack."""
    try:
        if is_deeper(body, DEPTH_MAX):
            raise ValueError(f"nests deeper than {DEPTH_MAX}")
        return Spoken(SENML, list(_said(json.loads(body, parse_float=Decimal, parse_int=Decimal), place)))
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        return Spoken(SENML, (), (f"{place}: is no pack of ours: {type(error).__name__} {str(error)[:100]}",))


def _said(records: Any, place: str) -> Iterator[Said]:
    _, module, rest = str(records[0]["bn"]).split("/", 2)
    channel, interval = rest.removesuffix("/").rsplit("/", 1)  # a channel's id may hold a slash
    start = int(records[0]["bt"]) * 1000
    words = {one["n"]: str(one["vs"]) for one in records if "vs" in one}
    subject, revision = (module, channel, interval), int(words["average"].rpartition("/")[2])
    rule, _, version = words["rule"].rpartition("/")
    traces = (average_id(subject, start, f"{rule}-{version}", revision),)
    for one in records:
        if one["n"] in NUMBERS + COUNTS:
            value = one["v"]
            if not isinstance(value, Decimal):
                raise ValueError("v is no number")
            yield Said(SENML, place, subject, start, str(one["n"]), str(value), str(one.get("u", "")), traces)
    yield Said(SENML, place, subject, start, "unit", words["unit"], "", traces)


class PackAccount(AverageAccount):
    """Of SenML: what AverageAccount says, in the registry's units."""

    tongue = SENML

    def of(self, subject: Subject, start_utc_ms: int) -> Mapping[str, Signed] | None:
        """As Account.of."""
        found = super().of(subject, start_utc_ms)
        if found is None:
            return None
        _, factor = UNITS.get(str(found["unit"].value), ("", Fraction(1)))
        kept = {name: found[name] for name in (*COUNTS, "unit")}
        for name in NUMBERS:
            value = found[name].value
            if isinstance(value, Decimal):
                converted = float(Fraction(float(value)) * factor)
                if isfinite(converted):
                    kept[name] = Signed(Decimal(repr(converted)), None, found[name].trace)
        return kept
