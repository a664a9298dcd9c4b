"""Averages become what is delivered: report bodies with their key, and the JSON of one average for a topic. Pure.

Bodies are RFC 8785 JSON, so that the same averages give the same bytes. A report holds averages of one module and one
interval; its idempotency key is SHA-256 over gateway and module, first and last id and the SHA-256 of the body, so a
repeat has the same key and other bytes have another (reference: reliability section 3, H5). The names of the fields
are those of the platform's profile; what they mean is reporting-interfaces section 3.3.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from plumeproof.model import Average

SCHEMA = "plumeproof-report/1"
AVERAGES_MAX = 500  # of one report

# Fields in the order of the page that describes them; a profile may give each another name.
REPORT_FIELDS = ("schema", "gateway", "module", "interval_s", "averages")
AVERAGE_FIELDS = (
    "id", "channel", "quantity", "unit", "start", "end", "revision", "reason", "expected", "valid", "invalid", "mean",
    "minimum", "maximum", "deviation", "firstSeq", "lastSeq", "headHash", "parametersHash", "rule", "ruleVersion",
    "summation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportShape:
    """Our name of each field to the platform's."""

    report: Mapping[str, str]
    average: Mapping[str, str]


PLAIN = ReportShape({name: name for name in REPORT_FIELDS}, {name: name for name in AVERAGE_FIELDS})


@dataclass(frozen=True, slots=True)
class Report:
    """One body and its key."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ReportIdentity:
    """What a receipt must name."""

    gateway: str
    module: str
    first_id: int
    last_id: int
    average_count: int


def build_report(gateway: str, numbered: Sequence[tuple[int, Average]], shape: ReportShape = PLAIN) -> Report:
    """The report of averages of one module and one interval, ids ascending."""
    first = numbered[0][1]
    names = shape.average
    averages = [{names[field]: value for field, value in _fields(*one).items()} for one in numbered]
    content = {
        shape.report["schema"]: SCHEMA,
        shape.report["gateway"]: gateway,
        shape.report["module"]: first.device,
        shape.report["interval_s"]: first.interval_s,
        shape.report["averages"]: averages,
    }
    return _close(content, shape)


def build_average(gateway: str, average_id: int, average: Average) -> bytes:
    """The JSON of one average, as it goes to a topic."""
    head: dict[str, Any] = {"gateway": gateway, "module": average.device, "interval_s": average.interval_s}
    return rfc8785.dumps(head | _fields(average_id, average))


def identify(body: bytes, shape: ReportShape = PLAIN) -> ReportIdentity:
    """Whose averages a body of ours holds."""
    content = json.loads(body)
    averages, name = content[shape.report["averages"]], shape.average["id"]
    return ReportIdentity(
        content[shape.report["gateway"]],
        content[shape.report["module"]],
        averages[0][name],
        averages[-1][name],
        len(averages),
    )


def split_report(body: bytes, shape: ReportShape = PLAIN) -> Sequence[Report]:
    """Two reports with the halves of a body's averages; none when it holds a single one."""
    content = json.loads(body)
    averages = content[shape.report["averages"]]
    middle = len(averages) // 2
    if middle == 0:
        return ()
    halves = (averages[:middle], averages[middle:])
    return [_close(content | {shape.report["averages"]: half}, shape) for half in halves]


def _close(content: dict[str, Any], shape: ReportShape) -> Report:
    body = rfc8785.dumps(content)
    averages, name = content[shape.report["averages"]], shape.average["id"]
    owner = f"{content[shape.report['gateway']]}/{content[shape.report['module']]}"
    parts = (owner, str(averages[0][name]), str(averages[-1][name]), hashlib.sha256(body).hexdigest())
    return Report(hashlib.sha256("\n".join(parts).encode()).hexdigest(), body)


def _fields(average_id: int, average: Average) -> dict[str, Any]:
    return {
        "id": average_id,
        "channel": average.channel,
        "quantity": average.quantity,
        "unit": average.unit,
        "start": _rfc3339(average.start_utc_ms),
        "end": _rfc3339(average.start_utc_ms + average.interval_s * 1000),
        "revision": average.revision,
        "reason": average.reason,
        "expected": average.n_expected,
        "valid": average.n_valid,
        "invalid": dict(average.n_invalid),
        "mean": _number(average.mean),
        "minimum": _number(average.minimum),
        "maximum": _number(average.maximum),
        "deviation": _number(average.deviation),
        "firstSeq": average.first_seq,
        "lastSeq": average.last_seq,
        "headHash": average.head_hash.hex(),
        "parametersHash": average.parameters_hash.hex(),
        "rule": average.rule,
        "ruleVersion": average.rule_version,
        "summation": average.order,
    }


def _rfc3339(utc_ms: int) -> str:
    """Seconds suffice: intervals begin on the UTC grid of whole seconds."""
    return datetime.fromtimestamp(utc_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(value: float | None) -> float | None:
    """JSON has no infinities; a sum of finite registers has none either, unless it overflows."""
    return value if value is not None and math.isfinite(value) else None
