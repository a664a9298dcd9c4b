"""Analyzer profiles (firmware/profiles/*.json, format in the README there) and the parameter set made of them.

A profile holds the register facts of one kind of analyzer; `compose` binds profiles to ids and unit ids on one bus
(SPEC.md section 5: RFC 8785 JSON, hashed as it is). Channel ids become `ANALYZER.CHANNEL`. What is composed is read
back by the strict reader of evidence/ before it is handed out, so what leaves this file is what the line accepts.

    compose("plume-01", [Choice("gas", "sick_mcs100ft", 1)], slot_ms=1000, seal_ms=60_000)
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from acqwire import limits

from plumeproof.errors import ParametersError, ProfileError
from plumeproof.evidence.parameters import CODES, ORDERS, parse_parameters
from plumeproof.survey.site import add_site

PROFILE_FOLDER = (
    Path(__file__).resolve().parents[3] / "firmware" / "profiles"
)  # of the checkout; not in an installed package
PROFILE_FORMAT = 1
TEXT_MAX = 1000  # characters of a note or a meaning
PROFILE_MAX_BYTES = 262_144  # a parameter set is 16 KiB; meanings and notes are not in it
PROFILE_STATUSES = ("official", "community", "provisional")
BUS: dict[str, Any] = {"baud": 19200, "parity": "N", "stop_bits": 1}
CHOICE = re.compile(r"([^=@]+)=([^=@]+)@([0-9]{1,3})")

# Keys of a profile and the type of each; `?`: may be absent
_PROFILE_KEYS = {
    "format": int, "profile": str, "version": str, "title": str, "source": str, "status": str, "notes": list,
    "timeout_ms": int, "retries": int, "blocks": list, "channels": list, "statuses": list,
}  # fmt: skip
_BLOCK_KEYS = {"function": int, "address": int, "quantity": int, "confirm?": int}
_CHANNEL_KEYS = {
    "id": str, "quantity": str, "hj212_code?": str, "block": int, "register": int, "type": str, "order": str,
    "scale": str, "offset": str, "unit": str, "min": str, "max": str, "status?": int,
}  # fmt: skip
_STATUS_KEYS = {"id": str, "block": int, "bits": list}
_BIT_KEYS = {"bit": int, "is": int, "code": str, "meaning": str}
_NOT_SEALED = ("hj212_code", "meaning")  # for people and reports; they change no value, so they are not hashed


Profile = dict[str, Any]  # a checked profile, keys as in the README of firmware/profiles


@dataclass(frozen=True, slots=True)
class Choice:
    """One analyzer on the bus: its `id` in the parameter set, the name of its profile, its unit id."""

    id: str
    profile: str
    unit: int


def load_profile(name: str, folder: Path = PROFILE_FOLDER) -> Profile:
    """A checked profile. Raises ProfileError that names file, place and mend."""
    path = folder / f"{name}.json"
    if not re.fullmatch(r"[a-z0-9_]+", name) or not path.is_file():
        known = " ".join(sorted(entry.stem for entry in folder.glob("*.json")))
        raise ProfileError(f"no profile {name!r}; there are: {known or 'none in an installed package, name a file'}")
    return read_profile(path)


def read_profile(path: Path) -> Profile:
    """A checked profile from a file that is named as the profile. Raises ProfileError; OSError as the system has it."""
    if path.stat().st_size > PROFILE_MAX_BYTES:
        raise ProfileError(f"{path.name}: more than {PROFILE_MAX_BYTES} bytes; a profile is some kilobytes of JSON")
    try:
        profile = json.loads(path.read_text(encoding="utf-8"), parse_float=_refuse_float, parse_constant=_refuse_float)
    except (ValueError, RecursionError) as fault:
        raise ProfileError(f"{path.name}: not readable as JSON ({fault}); correct the file") from fault
    check_profile(profile, path.name)
    if profile["profile"] != path.stem:
        raise ProfileError(f"{path.name}: profile is named {profile['profile']!r}; name and file must agree")
    checked: Profile = profile
    return checked


def check_profile(profile: object, where: str) -> None:
    """Whether a profile has exactly the keys of the format and whether a parameter set can be made of it."""
    top = _check_keys(profile, _PROFILE_KEYS, where)
    if top["format"] != PROFILE_FORMAT:
        raise ProfileError(f"{where}: format {top['format']} is not {PROFILE_FORMAT}; use a profile of this release")
    if top["status"] not in PROFILE_STATUSES:
        raise ProfileError(f"{where}: status {top['status']!r} is none of {' '.join(PROFILE_STATUSES)}")
    for key in ("title", "source"):
        if not top[key].strip():
            raise ProfileError(f"{where}: {key} is empty; say where the facts come from")
        _check_text(top[key], f"{where}: {key}")
    for note in top["notes"]:
        if not isinstance(note, str):
            raise ProfileError(f"{where}: notes holds something that is no text")
        _check_text(note, f"{where}: notes")
    for index, block in enumerate(top["blocks"]):
        _check_keys(block, _BLOCK_KEYS, f"{where}: blocks[{index}]")
    for index, channel in enumerate(top["channels"]):
        _check_keys(channel, _CHANNEL_KEYS, f"{where}: channels[{index}]")
        if not channel.get("hj212_code", "-"):
            raise ProfileError(f"{where}: channels[{index}]: hj212_code is empty; leave it out")
        _check_text(channel.get("hj212_code", ""), f"{where}: channels[{index}]: hj212_code")
    for index, status in enumerate(top["statuses"]):
        _check_keys(status, _STATUS_KEYS, f"{where}: statuses[{index}]")
        for number, bit in enumerate(status["bits"]):
            _check_keys(bit, _BIT_KEYS, f"{where}: statuses[{index}]: bits[{number}]")
            _check_text(bit["meaning"], f"{where}: statuses[{index}]: bits[{number}]: meaning")
            if bit["code"] not in CODES:
                raise ProfileError(f"{where}: statuses[{index}]: bits[{number}]: code is none of {' '.join(CODES)}")
    for index, channel in enumerate(top["channels"]):
        if channel["type"] not in ORDERS:
            raise ProfileError(f"{where}: channels[{index}]: type is none of {' '.join(ORDERS)}")
    try:
        parse_parameters(assemble("profile-check", [(Choice("a", top["profile"], 1), top)], 1000, 1000))
    except ParametersError as fault:
        raise ProfileError(f"{where}: no parameter set can be made of it: {fault}") from fault
    for index, channel in enumerate(top["channels"]):
        if float(channel["scale"]) == 0:
            raise ProfileError(f"{where}: channels[{index}]: scale is 0, so every reading would be the offset")


def compose(
    device: str,
    analyzers: Sequence[Choice],
    slot_ms: int,
    seal_ms: int,
    bus: Mapping[str, Any] = BUS,
    revision: int = 1,
    folder: Path = PROFILE_FOLDER,
    confirmed: Collection[str] = (),
    site: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a parameter set; blocks are polled in the order of `analyzers`.

    `bus`: baud, parity (N E O), stop_bits. `confirmed`: ids of analyzers whose blocks are all read twice on a bad line
    (SPEC.md section 5). Raises ProfileError for a profile, ParametersError for a set out of range.
    """
    chosen = [(choice, load_profile(choice.profile, folder)) for choice in analyzers]
    unknown = set(confirmed) - {choice.id for choice in analyzers}
    if unknown:
        raise ProfileError(f"confirm {min(unknown)!r}: no such analyzer here; give the ID of an ID=PROFILE@UNIT")
    for choice, profile in chosen:
        if choice.id in confirmed:
            profile["blocks"] = [block | {"confirm": 1} for block in profile["blocks"]]
    raw = assemble(device, chosen, slot_ms, seal_ms, bus, revision)
    if site is not None:  # as site.read_site gives it
        raw = add_site(raw, site)
    parse_parameters(raw)
    return raw


def parse_choice(text: str) -> Choice:
    """`ID=PROFILE@UNIT`. Raises ProfileError."""
    found = CHOICE.fullmatch(text)
    if found is None:
        raise ProfileError(f"analyzer {text!r} is not ID=PROFILE@UNIT, for example gas=sick_mcs100ft@1")
    return Choice(found[1], found[2], int(found[3]))


def assemble(
    device: str,
    chosen: Sequence[tuple[Choice, Mapping[str, Any]]],
    slot_ms: int,
    seal_ms: int,
    bus: Mapping[str, Any] = BUS,
    revision: int = 0,
) -> bytes:
    """Checked profiles side by side; indices of blocks, statuses, analyzers are shifted to their place in the whole."""
    whole: dict[str, Any] = {
        "format": limits.PARAMETERS_FORMAT, "revision": revision, "device": device, "slot_ms": slot_ms,
        "seal_ms": seal_ms, "bus": dict(bus), "analyzers": [], "blocks": [], "channels": [], "statuses": [],
    }  # fmt: skip
    for number, (choice, profile) in enumerate(chosen):
        first_block, first_status = len(whole["blocks"]), len(whole["statuses"])
        whole["analyzers"].append(
            {
                "id": choice.id,
                "profile": profile["profile"],
                "profile_version": profile["version"],
                "unit": choice.unit,
                "timeout_ms": profile["timeout_ms"],
                "retries": profile["retries"],
            }
        )
        whole["blocks"] += [{"analyzer": number} | block for block in profile["blocks"]]
        for channel in profile["channels"]:
            entry = _sealed(channel)
            entry |= {"id": f"{choice.id}.{channel['id']}", "block": first_block + channel["block"]}
            if "status" in channel:
                entry["status"] = first_status + channel["status"]
            whole["channels"].append(entry)
        for status in profile["statuses"]:
            whole["statuses"].append(
                {
                    "id": f"{choice.id}.{status['id']}",
                    "block": first_block + status["block"],
                    "bits": [_sealed(bit) for bit in status["bits"]],
                }
            )
    return rfc8785.dumps(whole)


def _sealed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _NOT_SEALED}


def _check_text(text: str, where: str) -> None:
    """One line of text, so that tables and pages can show it."""
    if not text.isprintable() or len(text) > TEXT_MAX:
        raise ProfileError(f"{where}: is longer than {TEXT_MAX} characters or not one line of printable text")


def _check_keys(item: object, keys: Mapping[str, type], where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ProfileError(f"{where}: is no object")
    known = {key.removesuffix("?"): kind for key, kind in keys.items()}
    for key in item:
        if key not in known:
            raise ProfileError(f"{where}: unknown key {key!r}; known are: {' '.join(known)}")
    for key, kind in keys.items():
        name = key.removesuffix("?")
        if name not in item:
            if key.endswith("?"):
                continue
            raise ProfileError(f"{where}: key {name!r} is missing")
        if type(item[name]) is not kind:
            raise ProfileError(f"{where}: {name} is no {kind.__name__}")
    return item


def _refuse_float(text: str) -> None:
    raise ValueError(f"number {text} is no integer; write decimals as text")
