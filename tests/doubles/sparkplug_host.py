"""A Sparkplug host application as the specification describes one (3.0, sections 5 and 6), for one group.

`Host` is the state machine: it takes decoded messages and keeps what it finds wrong in `faults`. It knows nothing of
our code. Not imitated: STATE, reordering time-outs, templates, aliases.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFEREES = ROOT / ".cache" / "referees" / "bin" / "python"


class Reader:
    """pysparkplug in its own environment (sparkplug_reader.py)."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("sparkplug_reader.py")
        self._process = subprocess.Popen([REFEREES, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, topic: str, payload: bytes) -> dict:
        return self._exchange({"topic": topic, "payload": payload.hex()})

    def ask(self, **commands: bool | str) -> bytes:
        return bytes.fromhex(self._exchange({"ask": {k.replace("_", " "): v for k, v in commands.items()}})["payload"])

    def rebirth(self, value: bool = True) -> bytes:
        return bytes.fromhex(self._exchange({"ask": {"Node Control/Rebirth": value}})["payload"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20.0)
        self._process.stdout.close()

    def _exchange(self, wanted: dict) -> dict:
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass
class Device:
    types: dict[str, str]
    values: dict[str, object]
    properties: dict[str, dict]
    is_alive: bool = True


@dataclass
class Host:
    """`kinds`: what came, in order; `past`: (device, name, timestamp, value) of historical values."""

    is_online: bool = False
    bd_seq: int | None = None
    seq: int | None = None
    wants_rebirth: bool = False
    devices: dict[str, Device] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    past: list[tuple[str, str, int, object]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    node: dict[str, object] = field(default_factory=dict)

    def take(self, one: dict, qos: int = 0, is_retained: bool = False) -> None:
        kind = one["kind"]
        self.kinds.append(kind)
        if is_retained:
            self.faults.append(f"{kind} is retained")
        if qos != (1 if kind == "NDEATH" else 0):
            self.faults.append(f"{kind} with QoS {qos}")
        if kind == "NDEATH":
            self._take_node_death(one)
            return
        if one["seq"] is None or not 0 <= one["seq"] <= 255:
            self.faults.append(f"{kind} with seq {one['seq']}")
        if kind == "NBIRTH":
            self._take_node_birth(one)
            return
        if not self.is_online:
            self.faults.append(f"{kind} before NBIRTH")
            return
        if self.seq is None or one["seq"] != (self.seq + 1) % 256:
            self.wants_rebirth = True  # section 5.7: what came is lost; everything is to be said again
            self.seq = None
            return
        self.seq = one["seq"]
        {"DBIRTH": self._take_birth, "DDATA": self._take_data, "DDEATH": self._take_death}[kind](one)

    def _take_node_birth(self, one: dict) -> None:
        values = {metric["name"]: metric for metric in one["metrics"]}
        if one["seq"] != 0:
            self.faults.append(f"NBIRTH with seq {one['seq']}")
        if (values["bdSeq"]["type"], values["Node Control/Rebirth"]["type"]) != ("INT64", "BOOLEAN"):
            self.faults.append("NBIRTH: types of bdSeq and Rebirth")
        if values["Node Control/Rebirth"]["value"] is not False:
            self.faults.append("NBIRTH: Rebirth is not false")
        self.bd_seq, self.seq = values["bdSeq"]["value"], 0
        self.is_online, self.wants_rebirth = True, False
        self.node = {name: metric["value"] for name, metric in values.items()}
        for device in self.devices.values():
            device.is_alive = False  # STALE until its DBIRTH

    def _take_node_death(self, one: dict) -> None:
        names = [metric["name"] for metric in one["metrics"]]
        if names != ["bdSeq"] or one["seq"] is not None:
            self.faults.append(f"NDEATH holds {names}, seq {one['seq']}")
        if self.is_online and one["metrics"][0]["value"] == self.bd_seq:
            self.is_online = False
            for device in self.devices.values():
                device.is_alive = False

    def _take_birth(self, one: dict) -> None:
        metrics = one["metrics"]
        if any(metric["value"] is None and not metric["is_null"] for metric in metrics):
            self.faults.append("DBIRTH: a metric without value")
        if len({metric["name"] for metric in metrics}) != len(metrics) or any(m["is_historical"] for m in metrics):
            self.faults.append("DBIRTH: doubled or historical metrics")
        self.devices[one["device"]] = Device(
            {metric["name"]: metric["type"] for metric in metrics},
            {metric["name"]: metric["value"] for metric in metrics},
            {metric["name"]: metric["properties"] for metric in metrics},
        )

    def _take_data(self, one: dict) -> None:
        device = self.devices.get(one["device"])
        if device is None or not device.is_alive:
            self.faults.append(f"DDATA of {one['device']}, which is not born")
            return
        for metric in one["metrics"]:
            name = metric["name"]
            if device.types.get(name) != metric["type"]:
                self.faults.append(f"DDATA: {name} is {metric['type']}, born as {device.types.get(name)}")
            if not one["timestamp"] > 1_000_000_000_000 or not metric["timestamp"] > 1_000_000_000_000:
                self.faults.append(f"DDATA: {name} with a time that is no millisecond")
            if metric["is_historical"]:
                self.past.append((one["device"], name, metric["timestamp"], metric["value"]))
            else:
                device.values[name], device.properties[name] = metric["value"], metric["properties"]

    def _take_death(self, one: dict) -> None:
        device = self.devices.get(one["device"])
        if device is None or not device.is_alive:
            self.faults.append(f"DDEATH of {one['device']}, which does not live")
        else:
            device.is_alive = False
