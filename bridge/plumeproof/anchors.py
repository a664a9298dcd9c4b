"""anchor.json: heads of modules kept where the gateway cannot change them, so that a cut tail is seen.

A list of {device, seq, content_hash (hex), count} with an optional `signature`, which this release does not judge
(reference: reliability section 6). `count`: records of the module up to and including seq.
"""

from __future__ import annotations

import json
from pathlib import Path

from acqwire import limits

from plumeproof.errors import ConfigError
from plumeproof.model import Anchor

ANCHOR_FILE_MAX_BYTES = 4 * 1024 * 1024


def load_anchors(path: Path) -> tuple[Anchor, ...]:
    """Read anchor.json. Raises ConfigError with one line that names file, entry and mend."""
    try:
        with path.open("rb") as file:
            raw = file.read(ANCHOR_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    if len(raw) > ANCHOR_FILE_MAX_BYTES:
        raise ConfigError(str(path), f"larger than {ANCHOR_FILE_MAX_BYTES} bytes")
    try:
        items = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(path), f"no JSON: {error}") from error
    if not isinstance(items, list):
        raise ConfigError(str(path), "not a list of anchors")
    if not items:
        raise ConfigError(str(path), "holds no anchor; leave --anchor out, or name the file that was kept elsewhere")
    anchors = tuple(_anchor(item, f"{path}: anchor {index + 1}") for index, item in enumerate(items))
    if len({anchor.device for anchor in anchors}) != len(anchors):
        raise ConfigError(str(path), "one device has two anchors; keep the newest")
    return anchors


def _anchor(item: object, where: str) -> Anchor:
    if not isinstance(item, dict) or not set(item) - {"signature"} == {"device", "seq", "content_hash", "count"}:
        raise ConfigError(where, "fields are not device, seq, content_hash, count")
    device, seq, digest, count = item["device"], item["seq"], item["content_hash"], item["count"]
    if not isinstance(device, str) or not set(device) <= set(limits.DEVICE_CHARACTERS):
        raise ConfigError(where, "device is no device id")
    if type(seq) is not int or type(count) is not int or not isinstance(digest, str):
        raise ConfigError(where, "a field has another type")
    try:
        content_hash = bytes.fromhex(digest)
    except ValueError as error:
        raise ConfigError(where, "content_hash is no hex") from error
    if len(content_hash) != limits.HASH_BYTES or seq < 1 or count < 1:
        raise ConfigError(where, "content_hash, seq or count out of range")
    return Anchor(device, seq, content_hash, count)
