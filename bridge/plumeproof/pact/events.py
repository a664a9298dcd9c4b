"""CloudEvents 1.0 of PACT 3 in structured mode: what comes in is checked, what goes out is made.

A RequestCreatedEvent becomes an answer (Fulfilled with the footprints, or Rejected); the other three are for a
recipient of footprints, which a works is not: they are checked, counted and answered with 200, nothing is kept of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plumeproof.delivery.nesting import is_deeper
from plumeproof.pact.faults import BAD_REQUEST, NOT_FOUND, Fault
from plumeproof.pact.footprint import NAMESPACE
from plumeproof.pact.shelf import INSTANTS, LISTS, Criteria, read_criteria

MEDIA_TYPE = "application/cloudevents+json"
BODY_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 16
TEXT_MAX = 1024  # characters of id, source and such
ANSWER_MAX = 200  # some 600 KB: footprints of one RequestFulfilledEvent; more are for ListFootprints
_PREFIX = "org.wbcsd.pact.ProductFootprint."
CREATED, FULFILLED = f"{_PREFIX}RequestCreatedEvent.3", f"{_PREFIX}RequestFulfilledEvent.3"
REJECTED, PUBLISHED = f"{_PREFIX}RequestRejectedEvent.3", f"{_PREFIX}PublishedEvent.3"
FOOTPRINT = (  # required members of ProductFootprint
    "id", "specVersion", "created", "status", "companyName", "companyIds", "productDescription", "productIds",
    "productNameCompany", "pcf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One that came in and is well formed. `criteria`: of a RequestCreatedEvent; None where it names something that
    is no criterion of the specification, so that it cannot be followed."""

    type: str
    id: str
    source: str
    criteria: Criteria | None


def read_event(content_type: str, body: bytes) -> Event:
    """Raises Fault for what is no event of PACT 3."""
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Fault(BAD_REQUEST, f"Content-Type is not {MEDIA_TYPE}")
    if is_deeper(body, DEPTH_MAX):
        raise Fault(BAD_REQUEST, f"JSON nests deeper than {DEPTH_MAX}")
    try:
        event = json.loads(body, object_pairs_hook=_single)
    except (ValueError, RecursionError) as error:
        raise Fault(BAD_REQUEST, "the body is no JSON, or a member stands twice") from error
    if not isinstance(event, dict):
        raise Fault(BAD_REQUEST, "the event is no JSON object")
    kind, number, source = (_text(event, name) for name in ("type", "id", "source"))
    if _text(event, "specversion") != "1.0":
        raise Fault(BAD_REQUEST, "specversion is not 1.0")
    _require_instant(_text(event, "time"))
    data = event.get("data")
    if not isinstance(data, dict):
        raise Fault(BAD_REQUEST, "data is no object")
    if kind not in _CHECKS:
        raise Fault(BAD_REQUEST, f"type is none of {', '.join(_CHECKS)}")
    return Event(kind, number, source, _CHECKS[kind](data))


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands twice")
    return found


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
        raise Fault(BAD_REQUEST, f"{name} is missing, or no text of 1 to {TEXT_MAX} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Fault(BAD_REQUEST, f"{name} holds half a character")
    return value


def _require_instant(text: str) -> None:
    try:
        has_zone = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        has_zone = False
    if not has_zone:
        raise Fault(BAD_REQUEST, "time is no date-time with a zone")


def _created(data: Mapping[str, Any]) -> Criteria | None:
    values: dict[str, Sequence[str]] = {}
    for name in (*LISTS, "status"):
        if name in data:
            values[name] = _texts(data[name], name)
    for name in INSTANTS:
        if name in data:
            values[name] = [_text(data, name)]
    if "comment" in data and not isinstance(data["comment"], str):
        raise Fault(BAD_REQUEST, "data/comment is no text")
    criteria = read_criteria(values)
    return criteria if set(data) <= {*LISTS, *INSTANTS, "status", "comment"} else None


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Fault(BAD_REQUEST, f"data/{name} is no array of texts")
    return value


def _fulfilled(data: Mapping[str, Any]) -> None:
    _text(data, "requestEventId")
    footprints = data.get("pfs")
    if not isinstance(footprints, list) or not footprints:
        raise Fault(BAD_REQUEST, "data/pfs is no array with footprints")
    for one in footprints:
        missing = [name for name in FOOTPRINT if not isinstance(one, dict) or name not in one]
        if missing:
            raise Fault(BAD_REQUEST, f"a footprint of data/pfs lacks {', '.join(missing)}")


def _rejected(data: Mapping[str, Any]) -> None:
    _text(data, "requestEventId")
    error = data.get("error")
    if not isinstance(error, dict):
        raise Fault(BAD_REQUEST, "data/error is no object")
    _text(error, "code"), _text(error, "message")


def _published(data: Mapping[str, Any]) -> None:
    if "pfIds" in data:
        _texts(data["pfIds"], "pfIds")


_CHECKS = {CREATED: _created, FULFILLED: _fulfilled, REJECTED: _rejected, PUBLISHED: _published}


def build_fulfilled(event: Event, footprints: Sequence[Mapping[str, Any]], source: str, time: str) -> bytes:
    """The answer with what was found, which is not nothing."""
    data = {"requestEventId": event.id, "pfs": [dict(one) for one in footprints]}
    return _build(FULFILLED, _id_of(event), source, time, data)


def build_rejected(event: Event, fault: Fault, source: str, time: str) -> bytes:
    """The answer where there is none."""
    return _build(REJECTED, _id_of(event), source, time, {"requestEventId": event.id, "error": fault.body()})


def build_published(footprint_id: str, client: str, source: str, time: str) -> bytes:
    """A footprint is new. The id is the same each time it is told to this client."""
    number = str(uuid.uuid5(NAMESPACE, f"published {client} {footprint_id}"))
    return _build(PUBLISHED, number, source, time, {"pfIds": [footprint_id]})


def nothing_found() -> Fault:
    """Why a request is rejected for which no footprint fits."""
    return Fault(NOT_FOUND, "no footprint fits these criteria")


def _id_of(event: Event) -> str:
    """Of the answer: the same for the same request, however often it comes."""
    return str(uuid.uuid5(NAMESPACE, f"answer {event.source}\n{event.id}"))


def _build(kind: str, number: str, source: str, time: str, data: Mapping[str, Any]) -> bytes:
    event = {"type": kind, "specversion": "1.0", "id": number, "source": source, "time": time, "data": data}
    return json.dumps(event, ensure_ascii=False).encode()
