"""An edge node of Eclipse Sparkplug 3.0 as a state machine: what is to be said, in order. No I/O, no clock.

The node is the gateway, its devices are the modules, the metrics of a device are the averages of its channels:
CHANNEL/INTERVAL/mean, minimum, maximum, deviation, expected, valid, revision and head (the record that it ends with).
A metric's timestamp is the start of its interval. NBIRTH comes first, then a DBIRTH for each device with every metric
and its newest value, then DDATA; `seq` runs 0 to 255 over all of them and begins with 0 in each NBIRTH; bdSeq of NBIRTH
and NDEATH is that of the connection. A metric that was never said makes a new DBIRTH of its device. What comes from the
backlog, or belongs before a value that was said, is historical: it changes no present value.

    node = SparkplugNode("plumeproof", "gateway-01", "0.1.0", None)
    will = node.begin(bd_seq, now_utc_ms)       # for CONNECT
    first = node.birth(now_utc_ms)              # NBIRTH, then what lives
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plumeproof.delivery.mqtt_publication import Publication
from plumeproof.delivery.sparkplug_payload import (
    BAD,
    BOOLEAN,
    DOUBLE,
    GOOD,
    INT32,
    INT64,
    QUALITY,
    STRING,
    UNIT,
    Metric,
    build_payload,
)

NAMESPACE = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
SEQS = 256
_DOUBLES = ("mean", "minimum", "maximum", "deviation")
_COUNTS = ("expected", "valid", "revision")


@dataclass(slots=True)
class _Device:
    """`metrics`: newest value of each by name; `starts`: newest interval (Unix ms) of each channel and interval."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    is_born: bool = False


class SparkplugNode:
    """What it has said on this connection, and what it knows of its devices."""

    def __init__(self, group: str, gateway: str, version: str, kid: str | None) -> None:
        self._group, self._gateway = group, gateway
        self._about = (("Properties/Version", version), ("Properties/Key ID", kid))
        self._devices: dict[str, _Device] = {}
        self.bd_seq = 0
        self.seq = 0  # of the last message

    @property
    def commands(self) -> str:
        """The topic of NCMD, the only one that we listen to."""
        return self._topic("NCMD")

    @property
    def born(self) -> Sequence[str]:
        """Devices that a host takes for living."""
        return [name for name, device in self._devices.items() if device.is_born]

    @property
    def known(self) -> Sequence[str]:
        """Devices about which there is something to say."""
        return list(self._devices)

    def begin(self, bd_seq: int, now_utc_ms: int) -> Publication:
        """A new connection, on which nothing was said; its last will, NDEATH."""
        self.bd_seq = bd_seq
        for device in self._devices.values():
            device.is_born = False
        return self.death(now_utc_ms)

    def death(self, now_utc_ms: int) -> Publication:
        """NDEATH: a will, and the last word before DISCONNECT (section 5.5). The one message with QoS 1 and no seq."""
        return Publication(self._topic("NDEATH"), build_payload(now_utc_ms, [self._bd_seq(now_utc_ms)], None))

    def birth(self, now_utc_ms: int) -> list[Publication]:
        """NBIRTH, and DBIRTH of every device that was born: at the beginning and when a host asks (REBIRTH)."""
        self.seq = SEQS - 1  # the next is 0
        metrics = [self._bd_seq(now_utc_ms), Metric(REBIRTH, BOOLEAN, False, now_utc_ms)]
        metrics += [Metric(name, STRING, value, now_utc_ms) for name, value in self._about]
        again = self.born
        return [self._say("NBIRTH", "", metrics, now_utc_ms), *(self.device_birth(one, now_utc_ms) for one in again)]

    def device_birth(self, module: str, now_utc_ms: int) -> Publication:
        """DBIRTH with every metric that is known of a module."""
        device = self._devices.setdefault(module, _Device())
        device.is_born = True
        return self._say("DBIRTH", module, list(device.metrics.values()), now_utc_ms)

    def device_death(self, module: str, now_utc_ms: int) -> Publication:
        """DDEATH: nobody reaches the module."""
        self._devices[module].is_born = False
        return self._say("DDEATH", module, [], now_utc_ms)

    def learn(self, module: str, average: Mapping[str, Any]) -> bool:
        """A newest value that is known already, before a birth; True when it has a metric that was never said."""
        device = self._devices.setdefault(module, _Device())
        metrics = metrics_of(average)
        is_new = any(one.name not in device.metrics for one in metrics)
        place, start_ms = f"{average['channel']}/{average['interval_s']}", metrics[0].timestamp_ms
        if start_ms >= device.starts.get(place, -1):
            device.starts[place] = start_ms
            device.metrics |= {one.name: one for one in metrics}
        return is_new

    def data(self, module: str, average: Mapping[str, Any], is_replay: bool, now_utc_ms: int) -> list[Publication]:
        """DDATA for one average (the content of report.build_average), and the DBIRTH that must stand before it."""
        device = self._devices.setdefault(module, _Device())
        metrics = metrics_of(average)
        newest_ms = device.starts.get(f"{average['channel']}/{average['interval_s']}", -1)
        is_historical = is_replay or metrics[0].timestamp_ms < newest_ms
        unsaid = [one for one in metrics if one.name not in device.metrics]
        said = []
        if is_historical:  # its present value is not known: a birth says null
            device.metrics |= {
                one.name: replace(one, value=None, timestamp_ms=now_utc_ms, properties=_without_quality(one))
                for one in unsaid
            }
        else:
            self.learn(module, average)
        if unsaid or not device.is_born:
            said.append(self.device_birth(module, now_utc_ms))
        metrics = [replace(one, is_historical=is_historical) for one in metrics]
        said.append(self._say("DDATA", module, metrics, now_utc_ms))
        return said

    def _say(self, kind: str, module: str, metrics: Sequence[Metric], now_utc_ms: int) -> Publication:
        self.seq = (self.seq + 1) % SEQS
        body = build_payload(now_utc_ms, metrics, self.seq)
        return Publication(self._topic(kind, module), body, qos=0)  # section 4: QoS 0, not retained

    def _topic(self, kind: str, module: str = "") -> str:
        return "/".join((NAMESPACE, self._group, kind, self._gateway, *([module] if module else [])))

    def _bd_seq(self, now_utc_ms: int) -> Metric:
        return Metric(BD_SEQ, INT64, self.bd_seq, now_utc_ms)


def metrics_of(average: Mapping[str, Any]) -> list[Metric]:
    """The metrics of one average; without a valid sample its numbers are null and of bad quality."""
    start_ms = calendar.timegm(time.strptime(average["start"][:19], "%Y-%m-%dT%H:%M:%S")) * 1000
    place = f"{average['channel']}/{average['interval_s']}"
    about = ((UNIT, STRING, average["unit"]), ("quantity", STRING, average["quantity"]))
    quality = (QUALITY, INT32, BAD if average["mean"] is None else GOOD)
    found = [
        Metric(f"{place}/{name}", DOUBLE, None if average[name] is None else float(average[name]), start_ms,
               (quality, *about))
        for name in _DOUBLES
    ]  # fmt: skip
    found += [Metric(f"{place}/{name}", INT64, average[name], start_ms) for name in _COUNTS]
    head = f"{average['lastSeq']}/{average['headHash']}"
    return [*found, Metric(f"{place}/head", STRING, head, start_ms)]


def _without_quality(one: Metric) -> tuple[tuple[str, int, Any], ...]:
    return tuple((name, kind, BAD if name == QUALITY else value) for name, kind, value in one.properties)
