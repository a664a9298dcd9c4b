"""`info`: what a module says at its link, else what can be read at its console or in an emulated module's directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from acqwire import limits

from plumeproof.evidence.envelope import kid_of
from tools.module.boards import BOARDS, ask, data_folder
from tools.module.console import Console
from tools.module.provision import Place
from tools.module.update_root import FILE as UPDATE_ROOT

FILES = ("parameters.json", "settings.json", "public_key.bin")


def ask_console(console: Console) -> dict[str, Any]:
    """The board, its interpreter, and what its folder holds. Raises Refusal."""
    facts = ask(console)
    fitting = [name for name, board in BOARDS.items() if board.platform == facts.platform]
    folders = sorted({data_folder(name) for name in fitting} or {"/plumeproof"})
    folder = next((place for place in folders if console.exists(place)), folders[0])
    told = {
        "port": console.port,
        "seen_at": "console",
        "platform": facts.platform,
        "machine": facts.machine,
        "micropython": facts.release,
        "mpy": facts.mpy & 0xFF,
        "has_entropy": facts.has_entropy,
        "has_program": console.exists("/main.py") or console.exists("/main.mpy") or console.exists("/flash/main.py"),
    }
    return told | read_folder(console, folder + "/")


def read_folder(place: Place, folder: str) -> dict[str, Any]:
    """Device, link address, hashes, kid and root for updates, as far as the files are there and can be read."""
    found = {name: place.read(folder + name) for name in FILES if place.exists(folder + name)}
    told: dict[str, Any] = {"is_provisioned": len(found) == len(FILES)}
    if "parameters.json" in found:
        raw = found["parameters.json"]
        top = _object(raw)
        told["device"] = top.get("device")
        told["revision"] = top.get("revision")
        told["parameters_hash"] = hashlib.sha256(raw).hexdigest()
    if "settings.json" in found:
        told["link_address"] = _object(found["settings.json"]).get("link_address")
    if "public_key.bin" in found:
        point = found["public_key.bin"]
        told["kid"] = kid_of(point).hex() if len(point) == limits.PUBLIC_KEY_BYTES else None
    root = folder + UPDATE_ROOT
    told["update_root"] = hashlib.sha256(place.read(root)).hexdigest() if place.exists(root) else None
    return told


def lines_of(told: Mapping[str, Any]) -> list[str]:
    """For people: one fact a line."""
    lines = []
    for key, value in told.items():
        if isinstance(value, list):
            lines += [f"{key.replace('_', ' '):<16} {_words(item)}" for item in value or ({"none": ""},)]
            continue
        if isinstance(value, dict):
            value = _words(value)
        lines.append(f"{key.replace('_', ' '):<16} {_word(value)}")
    return lines


def _words(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}".strip() for name, value in item.items())


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        top = json.loads(raw)
    except (ValueError, RecursionError):
        return {}  # damaged: its hash tells, and the module's own start refuses it
    return top if isinstance(top, dict) else {}
