"""Reads and writes Sparkplug with pysparkplug, which brings Eclipse Tahu's own definition; runs among the referees.

One JSON object a line in, one out: {"topic", "payload"} in hex becomes what pysparkplug makes of it, with its own check
of topic and kind of message; {"ask": {name: true|false|text}} becomes the bytes of an NCMD. It knows nothing of ours.
"""

from __future__ import annotations

import json
import sys

from pysparkplug import DataType, Metric, NCmd, Topic
from pysparkplug import _protobuf as tahu  # properties of metrics, which pysparkplug itself leaves out

PROPERTY_FIELDS = {3: "int_value", 10: "double_value", 12: "string_value"}


def read(topic: str, payload: bytes) -> dict:
    found = Topic.from_str(topic)
    kind = found.message_type
    message = kind.payload.decode(payload)
    plain = tahu.Payload.FromString(payload)
    metrics = [message.bd_seq_metric] if kind.value == "NDEATH" else getattr(message, "metrics", ())
    shown = []
    for metric, raw in zip(metrics, plain.metrics, strict=True):
        values = [getattr(one, PROPERTY_FIELDS[one.type]) for one in raw.properties.values]
        shown.append({
            "name": metric.name, "type": metric.datatype.name, "value": metric.value, "timestamp": metric.timestamp,
            "is_historical": metric.is_historical, "is_null": metric.is_null,
            "properties": dict(zip(raw.properties.keys, values, strict=True)),
        })  # fmt: skip
    return {
        "kind": kind.value, "group": found.group_id, "node": found.edge_node_id, "device": found.device_id,
        "timestamp": plain.timestamp, "seq": plain.seq if plain.HasField("seq") else None, "metrics": shown,
    }  # fmt: skip


def ask(commands: dict) -> dict:
    kinds = {bool: DataType.BOOLEAN, str: DataType.STRING}
    metrics = [
        Metric(timestamp=1, name=name, datatype=kinds[type(value)], value=value) for name, value in commands.items()
    ]
    return {"payload": NCmd(timestamp=1, metrics=tuple(metrics)).encode(include_dtypes=True).hex()}


for line in sys.stdin:
    wanted = json.loads(line)
    if "ask" in wanted:
        answer = ask(wanted["ask"])
    else:
        answer = read(wanted["topic"], bytes.fromhex(wanted["payload"]))
    print(json.dumps(answer), flush=True)
