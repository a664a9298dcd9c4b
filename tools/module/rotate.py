"""Asks a module for another key: an empty file `rotate` among its own, read at its next start (SPEC.md 10)."""

from __future__ import annotations

from typing import Any, Protocol

from plumeproof.evidence.envelope import kid_of
from tools.module.refusal import FAULT, USAGE, Refusal

ASKED, NEXT = "rotate", "next_key.bin"  # acq/key_change.py
POINT_BYTES = 65
QUESTION = "try:\n from acq import key_change\n print('can')\nexcept ImportError:\n print('cannot')\n"


class Place(Protocol):
    """A console or an emulated module's directory."""

    port: str

    def run(self, code: str) -> str: ...
    def read(self, path: str) -> bytes: ...
    def write(self, path: str, content: bytes) -> None: ...
    def exists(self, path: str) -> bool: ...


def ask_rotation(place: Place, folder: str) -> dict[str, Any]:
    """`folder`: where the module keeps its files, with a slash behind it. Nothing is written where it is refused.
    Raises Refusal."""
    if place.exists(folder + "element.json"):
        told = "a secure element has its key, which does not leave it and does not change so"
        raise Refusal(f"{place.port}: {told}; enrol another slot of it, see firmware/SECURE_ELEMENT.md", USAGE)
    for name in ("parameters.json", "key.bin", "public_key.bin"):
        if not place.exists(folder + name):
            raise Refusal(f"{place.port}: has no {name}, so no key to change; provision the module first", USAGE)
    point = place.read(folder + "public_key.bin")
    if len(point) != POINT_BYTES:
        raise Refusal(f"{place.port}: public_key.bin is no public key; provision the module anew", FAULT)
    if "cannot" in place.run(QUESTION):
        raise Refusal(f"{place.port}: its program is too old to change its key; update it first", FAULT)
    is_new = not place.exists(folder + ASKED) and not place.exists(folder + NEXT)
    if is_new:
        place.write(folder + ASKED, b"")
    return {"port": place.port, "kid": kid_of(point).hex(), "is_new": is_new}


def lines_of(told: dict[str, Any]) -> list[str]:
    """What was done, and what is to do."""
    asked = "is asked for" if told["is_new"] else "was asked for already"
    return [
        f"{told['port']}: another key than {told['kid']} {asked}; the module draws it at its next start",
        "then: start it; when the bridge says that a record came by a key that it does not know:",
        "  plumeproof keys rotate --device ID --ledger data/ledger.sqlite --keys keys.json",
        "and start the bridge again. Until then its records wait in the module; no slot is lost while it has room",
    ]
