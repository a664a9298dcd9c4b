"""What a site adds to a parameter set composed of profiles: own inputs, 4-20 mA loops, calibration marks.

A profile knows an analyzer, not how this one is wired. A site file is JSON, integers and text only:

    {"debounce_ms": 20,
     "loops": {"dust.dust": {"zero": "4803", "span": "24011", "calibration": "shunt-2026-114"}},
     "calibrations": [{"analyzer": "gas", "phase": "zero", "source": "contacts", "block": 0, "bit": 3, "is": 1}]}

`debounce_ms` exactly when an analyzer has unit 0. `loops`: by channel id. `source`: id of the analyzer whose block
holds the bit, `block`: which of its blocks, from 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from plumeproof.errors import ProfileError

SITE_MAX_BYTES = 65_536
_KEYS = ("debounce_ms", "loops", "calibrations")
_MARK_KEYS = ("analyzer", "phase", "source", "block", "bit", "is")


def read_site(path: Path) -> dict[str, Any]:
    """A site file. Raises ProfileError; OSError as the system has it."""
    if path.stat().st_size > SITE_MAX_BYTES:
        raise ProfileError(f"{path.name}: more than {SITE_MAX_BYTES} bytes; a site file is some kilobytes of JSON")
    try:
        site = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise ProfileError(f"{path.name}: not readable as JSON ({fault}); correct the file") from fault
    _check(site, _KEYS, path.name)
    found: dict[str, Any] = site
    return found


def add_site(raw: bytes, site: Mapping[str, Any]) -> bytes:
    """The set with what the site adds; parse_parameters judges ranges. Raises ProfileError for what is not there."""
    whole = json.loads(raw)
    if "debounce_ms" in site:
        whole["inputs"] = {"debounce_ms": site["debounce_ms"]}
    channels = {channel["id"]: channel for channel in whole["channels"]}
    loops = site.get("loops", {})
    _check(loops, tuple(channels), "loops")
    for name, loop in loops.items():
        channels[name]["loop"] = loop
    marks = site.get("calibrations", [])
    if not isinstance(marks, list):
        raise ProfileError("calibrations: is no list")
    if marks:
        whole["calibrations"] = [_mark(whole, mark, f"calibrations[{index}]") for index, mark in enumerate(marks)]
    try:
        return rfc8785.dumps(whole)
    except rfc8785.CanonicalizationError as fault:
        raise ProfileError(f"site: {fault}; integers and text only, decimals as text") from fault


def _mark(whole: Mapping[str, Any], mark: object, where: str) -> dict[str, Any]:
    found = dict(_check(mark, _MARK_KEYS, where))
    for key in _MARK_KEYS:
        if key not in found:
            raise ProfileError(f"{where}: key {key!r} is missing")
    names = [analyzer["id"] for analyzer in whole["analyzers"]]
    source = found.pop("source")
    for name in (found["analyzer"], source):
        if name not in names:
            raise ProfileError(f"{where}: no analyzer {name!r}; there are: {' '.join(names)}")
    own = [index for index, block in enumerate(whole["blocks"]) if names[block["analyzer"]] == source]
    if type(found["block"]) is not int or not 0 <= found["block"] < len(own):
        raise ProfileError(f"{where}: {source} has {len(own)} blocks, counted from 0")
    return found | {"analyzer": names.index(found["analyzer"]), "block": own[found["block"]]}


def _check(item: object, known: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ProfileError(f"{where}: is no object")
    for key in item:
        if key not in known:
            raise ProfileError(f"{where}: unknown key {key!r}; known are: {' '.join(known)}")
    return item
