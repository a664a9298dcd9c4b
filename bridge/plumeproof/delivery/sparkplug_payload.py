"""Payloads of Eclipse Sparkplug 3.0 (section 6.4), encoded and parsed by Google's protobuf.

The message type is put together here from the field numbers of the specification instead of shipping Eclipse Tahu's
.proto: that file is under another licence (EPL-2.0), and code generated from it is bound to one line of protobuf
releases. Only fields that we write or read are named; all others pass protobuf as unknown. What comes in was written
by somebody else: `parse_command` reads it within the limits of the connection and of protobuf itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

# Data types (section 6.4.16) and the field of a metric's and a property's value in which each travels
INT32 = 3
INT64 = 4
DOUBLE = 10
BOOLEAN = 11
STRING = 12
_VALUE_OF = {
    INT32: "int_value",
    INT64: "long_value",
    DOUBLE: "double_value",
    BOOLEAN: "boolean_value",
    STRING: "string_value",
}
QUALITY = "Quality"  # name of a property (section 6.4.18), INT32
GOOD = 192
BAD = 0
UNIT = "engUnit"  # the name that hosts show as the unit; the specification names none

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Metric:
    """`value` None: null. `properties`: (name, data type, value). Times are Unix milliseconds."""

    name: str
    datatype: int
    value: Value
    timestamp_ms: int
    properties: tuple[tuple[str, int, Value], ...] = ()
    is_historical: bool = False


def build_payload(timestamp_ms: int, metrics: Sequence[Metric], seq: int | None) -> bytes:
    """The bytes of one message; `seq` None: NDEATH has none."""
    payload = _Payload(timestamp=timestamp_ms)
    if seq is not None:
        payload.seq = seq
    for one in metrics:
        metric = payload.metrics.add(name=one.name, timestamp=one.timestamp_ms, datatype=one.datatype)
        if one.is_historical:
            metric.is_historical = True
        if one.value is None:
            metric.is_null = True
        else:
            setattr(metric, _VALUE_OF[one.datatype], one.value)
        for name, datatype, value in one.properties:
            metric.properties.keys.append(name)
            item = metric.properties.values.add(type=datatype)
            setattr(item, _VALUE_OF[datatype], value)
    found: bytes = payload.SerializeToString()
    return found


def parse_command(raw: bytes) -> Sequence[tuple[str, bool | None]]:
    """The metrics of an NCMD: name, and the value of those that are Boolean. Raises ValueError for any other bytes."""
    try:
        payload = _Payload.FromString(raw)
    except DecodeError as error:
        raise ValueError("no Sparkplug payload") from error
    return [
        (one.name, one.boolean_value if one.WhichOneof("value") == "boolean_value" else None) for one in payload.metrics
    ]


_F = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "plumeproof.sparkplug"  # names do not travel; another package keeps out of Tahu's way in one process
_VALUES = (("int", _F.TYPE_UINT32), ("long", _F.TYPE_UINT64), ("float", _F.TYPE_FLOAT), ("double", _F.TYPE_DOUBLE),
           ("boolean", _F.TYPE_BOOL), ("string", _F.TYPE_STRING))  # fmt: skip


def _message(file: Any, name: str, fields: Sequence[tuple[str, int, int | str, bool]], first_value: int = 0) -> None:
    """Fields: name, number, type or the message in it, is it repeated; then the one-of of values from `first_value`."""
    message = file.message_type.add(name=name)
    for field, number, kind, is_repeated in fields:
        label = _F.LABEL_REPEATED if is_repeated else _F.LABEL_OPTIONAL
        one = message.field.add(name=field, number=number, label=label)
        if isinstance(kind, str):
            one.type, one.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        else:
            one.type = kind
    if first_value:
        message.oneof_decl.add(name="value")
        for offset, (field, kind) in enumerate(_VALUES):
            number = first_value + offset
            message.field.add(name=f"{field}_value", number=number, label=_F.LABEL_OPTIONAL, type=kind, oneof_index=0)


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="plumeproof/sparkplug", package=_PACKAGE, syntax="proto2")
    _message(file, "PropertyValue", (("type", 1, _F.TYPE_UINT32, False), ("is_null", 2, _F.TYPE_BOOL, False)), 3)
    _message(file, "PropertySet", (("keys", 1, _F.TYPE_STRING, True), ("values", 2, "PropertyValue", True)))
    _message(
        file,
        "Metric",
        (
            ("name", 1, _F.TYPE_STRING, False),
            ("timestamp", 3, _F.TYPE_UINT64, False),
            ("datatype", 4, _F.TYPE_UINT32, False),
            ("is_historical", 5, _F.TYPE_BOOL, False),
            ("is_null", 7, _F.TYPE_BOOL, False),
            ("properties", 9, "PropertySet", False),
        ),
        10,
    )
    _message(
        file,
        "Payload",
        (
            ("timestamp", 1, _F.TYPE_UINT64, False),
            ("metrics", 2, "Metric", True),
            ("seq", 3, _F.TYPE_UINT64, False),
        ),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


_Payload: Any = _payload_class()
