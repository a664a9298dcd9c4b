"""What goes to a broker: one topic, one body, and what MQTT 5 says beside it. Pure.

Topics (DESIGN.md section 8): ROOT/gateway/module/envelope, .../average/<interval>, .../senml/<interval>. What the
bridge could not send in time comes on ROOT/gateway/module/replay/... instead, so that nobody takes the past for the
present. ROOT/gateway/status is retained and says who speaks (`status_of`); ROOT/gateway/anchor retains the newest
anchor, also one that comes late; one behind a newer one goes to ROOT/gateway/replay/anchor and is not retained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from plumeproof.model import OutboxRow

ENVELOPE_TYPE = "application/cose"
AVERAGE_TYPE = "application/json"
SENML_TYPE = "application/senml+json"  # RFC 8428 section 12.3.1
ONLINE = "online"
OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Publication:
    """One PUBLISH. `content_type` and `pairs` (user properties) travel with MQTT 5 only."""

    topic: str
    body: bytes
    content_type: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    qos: int = 1
    is_retained: bool = False


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks on the topics below `root`: a gateway, the release of its bridge, the kid of its own key or None."""

    root: str
    gateway: str
    version: str
    kid: str | None = None

    @property
    def branch(self) -> str:
        """Above all that this gateway says."""
        return f"{self.root}/{self.gateway}"


def publication_of(row: OutboxRow, speaker: Speaker, newest_anchor_id: int = 0) -> Publication:
    """A row of the outbox on its topic. `newest_anchor_id`: the row of the newest anchor that was said."""
    attributes = dict(row.attributes)
    lane = "/replay" if row.is_replay else ""
    if row.kind == "anchor":  # of the gateway, about all its modules
        is_newest = row.id > newest_anchor_id
        topic = f"{speaker.branch}/anchor" if is_newest else f"{speaker.branch}/replay/anchor"
        return Publication(topic, row.body, ENVELOPE_TYPE, row.attributes, is_retained=is_newest)
    branch = f"{speaker.branch}/{row.module}{lane}"
    if row.kind != "average":
        return Publication(f"{branch}/{row.kind}", row.body, ENVELOPE_TYPE, row.attributes)
    view = attributes.get("view", "average")
    content_type = SENML_TYPE if view == "senml" else AVERAGE_TYPE
    return Publication(f"{branch}/{view}/{attributes['interval']}", row.body, content_type, row.attributes)


def status_of(speaker: Speaker, word: str, since_utc_ms: int | None, online_since_utc_ms: int) -> Publication:
    """The retained word about the gateway. `since_utc_ms`: when `word` became true; None where nobody can know it, as
    in the last will, which is written when the connection is made."""
    body = {
        "gateway": speaker.gateway,
        "status": word,
        "since_utc_ms": since_utc_ms,
        "online_since_utc_ms": online_since_utc_ms,
        "version": speaker.version,
        "kid": speaker.kid,
    }
    content = json.dumps(body, sort_keys=True).encode()
    return Publication(f"{speaker.branch}/status", content, AVERAGE_TYPE, is_retained=True)
