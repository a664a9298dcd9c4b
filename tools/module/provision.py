"""`provision`: parameters and settings into a module, read back; its key asked for, proved and enrolled; a label.

What is refused is refused before anything is written, and the key is entered last: a module that is in keys.json has
its files. Doing it again is harmless: the same key for the same device is told, not entered twice.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import rfc8785
from acqwire import possession

from plumeproof.enrolment import Registry
from plumeproof.errors import ConfigError, ParametersError, ProfileError
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.keys import load_keys
from plumeproof.possession import Proof, parse_proof
from plumeproof.survey.profile import BUS, Choice, Profile, assemble, load_profile, parse_choice
from plumeproof.survey.site import add_site, read_site
from plumeproof.survey.table_file import read_profiles
from tools.module.refusal import FAULT, USAGE, Refusal

PART_SIDE = Path(__file__).resolve().parent / "part_side" / "answer.py"
TABLE_MAX_BYTES = 1 << 20
_TOML_KEYS = {"slot_ms": int, "seal_ms": int, "revision": int, "bus": dict, "analyzer": list}
_ANALYZER_KEYS = {"id", "profile", "table", "unit"}
FLASH_BYTES = 1 << 20  # of an emulated module's journal


class Place(Protocol):
    """A console or an emulated module's directory."""

    port: str

    def run(self, code: str) -> str: ...
    def write(self, path: str, content: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def hash(self, path: str) -> bytes: ...
    def exists(self, path: str) -> bool: ...
    def make_folder(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a module is to be. `parameters`: the exact bytes."""

    device: str
    parameters: bytes
    link_address: int

    @property
    def settings(self) -> bytes:
        return rfc8785.dumps({"link_address": self.link_address})


def compose_plan(
    device: str,
    analyzers: list[str],
    table: Path | None,
    link_address: int,
    slot_ms: int,
    seal_ms: int,
    bus: Mapping[str, Any],
    revision: int,
    site: Path | None = None,
) -> Plan:
    """From `ID=PROFILE@UNIT` words, where PROFILE may be a register table, or a TOML file that says all of it. `site`:
    own inputs, loops, calibration marks (plumeproof.survey.site).

    Raises Refusal with one line that names file, place and mend."""
    try:
        chosen = [_choose(text, Path()) for text in analyzers]
        if table is not None and table.suffix.lower() == ".toml":
            top = _read_toml(table)
            slot_ms, seal_ms = top.get("slot_ms", slot_ms), top.get("seal_ms", seal_ms)
            revision, bus = top.get("revision", revision), {**bus, **top.get("bus", {})}
            chosen += [_from_toml(item, table, at) for at, item in enumerate(top.get("analyzer", []))]
        elif table is not None:
            chosen += _from_table(table)
        if not chosen:
            raise Refusal("no analyzer: name them with --analyzer ID=PROFILE@UNIT or --table FILE", USAGE)
        raw = assemble(device, chosen, slot_ms, seal_ms, {**BUS, **bus}, revision)
        if site is not None:
            raw = add_site(raw, read_site(site))
        parse_parameters(raw)
    except (ProfileError, ParametersError, ConfigError) as error:
        raise Refusal(str(error), USAGE) from error
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}", USAGE) from error
    return Plan(device, raw, link_address)


def provision(
    place: Place,
    plan: Plan,
    keys: Path,
    folder: str,
    firmware: bytes | None,
    say: Callable[[str], None],
    last_seq: int | None = None,
    extra: Mapping[str, bytes] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything, in order. folder: where the module keeps its files, with a slash behind it; firmware: the hash its
    program must have, None: not compared; last_seq: of the module that this one replaces; extra: further files of it.
    Raises Refusal."""
    _refuse_other_module(place, keys, plan.device, folder, last_seq)
    for name, content in (
        *extra.items(),
        ("parameters.json", plan.parameters),
        ("settings.json", plan.settings),
    ):
        wanted = hashlib.sha256(content).digest()
        place.write(folder + name, content)
        if place.hash(folder + name) != wanted:
            raise Refusal(f"{place.port}: {name} reads back as another file: the module's flash is bad")
        say(f"{name}: {len(content)} bytes, SHA-256 {wanted.hex()}, read back and equal")
    proof = ask_proof(place, plan.device)
    say(f"key: {place.port} has shown that it holds it")
    if firmware is not None and proof.firmware_hash != firmware:
        raise Refusal(
            f"{place.port}: its program is {proof.firmware_hash.hex()}, this checkout's {firmware.hex()}: flash it"
            " first, or name --firmware any"
        )
    entry, is_new = _enroll(keys, proof, last_seq)
    say(f"{keys}: {'enrolled' if is_new else 'is enrolled already'}: {entry.device} kid {entry.kid.hex()}")
    return {
        "device": plan.device,
        "kid": entry.kid.hex(),
        "serial": proof.serial.hex(),
        "firmware_hash": proof.firmware_hash.hex(),
        "parameters_hash": hashlib.sha256(plan.parameters).hexdigest(),
        "settings_hash": hashlib.sha256(plan.settings).hexdigest(),
        "link_address": plan.link_address,
        "channels": len(json.loads(plan.parameters)["channels"]),
        "is_new": is_new,
        "keys": str(keys),
    }


def ask_proof(place: Place, device: str) -> Proof:
    """A fresh nonce, the module's answer, verified. Raises Refusal."""
    nonce = secrets.token_bytes(possession.NONCE_BYTES)
    directory = place.port if Path(place.port).is_dir() else ""
    said = place.run(PART_SIDE.read_text(encoding="utf-8") + f"\nanswer({directory!r},{nonce!r})\n")
    line = next((line for line in reversed(said.splitlines()) if line.startswith("answer ")), None)
    if line is None:
        raise Refusal(f"{place.port}: gives no answer to the question for its key; flash its program first")
    try:
        proof = parse_proof(line.removeprefix("answer ").encode(), place.port, nonce)
    except ConfigError as error:
        raise Refusal(str(error), FAULT) from error
    if proof.device != device:
        raise Refusal(f"{place.port}: calls itself {proof.device}, not {device}")
    return proof


def prepare_directory(folder: Path, uplink: str, bus: str) -> None:
    """board.json of a new emulated module; one that is there stays."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / "board.json").exists():
            board = {"bus": bus, "uplink": uplink, "flash": "flash.bin", "flash_bytes": FLASH_BYTES}
            (folder / "board.json").write_text(json.dumps(board, indent=1) + "\n")
    except OSError as error:
        raise Refusal(f"{folder}: {error.strerror}; name a directory that can be written", USAGE) from error


def _enroll(keys: Path, proof: Proof, last_seq: int | None) -> tuple[Any, bool]:
    try:
        if keys.exists():
            for entry in load_keys(keys).entries:
                if entry.public_key == proof.public_key and entry.device == proof.device and not entry.is_revoked:
                    return entry, False
        with Registry(keys) as registry:
            nonce_hash = hashlib.sha256(proof.nonce).hexdigest()[:16]
            shown = f"possession, nonce {nonce_hash}, serial {proof.serial.hex()}, firmware {proof.firmware_hash.hex()}"
            if last_seq is not None:
                return registry.rotate(proof.device, proof.public_key, last_seq, shown), True
            return registry.enroll(proof.device, proof.public_key, proof=shown), True
    except ConfigError as error:
        raise Refusal(str(error), USAGE) from error


def _refuse_other_module(place: Place, keys: Path, device: str, folder: str, last_seq: int | None) -> None:
    """A registry that cannot be read, or in which this device is another module, is heard of before one is written."""
    try:
        if not keys.exists():
            if not keys.parent.is_dir():
                raise Refusal(f"--keys {keys}: its folder does not exist; make it or name another", USAGE)
            return
        entries = load_keys(keys).entries
    except ConfigError as error:
        raise Refusal(str(error), USAGE) from error
    name = folder + "public_key.bin"
    own = place.read(name) if entries and place.exists(name) else None
    for entry in entries:
        if entry.public_key == own and entry.device != device:
            raise Refusal(
                f"{keys}: the key of this module, kid {entry.kid.hex()}, is enrolled for {entry.device} already; every"
                " module has a key of its own",
                USAGE,
            )
    known = [entry for entry in entries if entry.device == device and entry.purpose == "record"]
    still_open = [entry for entry in known if entry.valid_until_seq is None and not entry.is_revoked]
    if still_open and last_seq is None and own != still_open[0].public_key:
        raise Refusal(
            f"{keys}: {device} is another module, kid {still_open[0].kid.hex()}; if this one replaces it, name the last"
            " record of the old one with --last-seq",
            USAGE,
        )


def _choose(text: str, base: Path) -> tuple[Choice, Profile]:
    choice = parse_choice(text)
    return choice, _profile(choice.profile, base)


def _profile(name: str, base: Path) -> Profile:
    if Path(name).suffix.lower() not in (".json", ".csv", ".xlsx"):
        return load_profile(name)
    found = read_profiles(base / name)
    if found.refusals:
        raise Refusal(f"{found.refusals[0]} ({len(found.refusals)} cells refused; see `plumeproof table check`)", USAGE)
    if len(found.profiles) != 1:
        raise Refusal(
            f"{name}: holds {len(found.profiles)} profiles, not one; import it with `plumeproof table`", USAGE
        )
    return found.profiles[0]


def _from_table(path: Path) -> list[tuple[Choice, Profile]]:
    """A table on its own is one analyzer, named as its profile, on unit 1."""
    profile = _profile(str(path), Path())
    return [(Choice(profile["profile"], profile["profile"], 1), profile)]


def _from_toml(item: Any, path: Path, at: int) -> tuple[Choice, Profile]:
    where = f"{path}: analyzer {at + 1}"
    if not isinstance(item, dict) or not set(item) <= _ANALYZER_KEYS or not {"id", "unit"} <= set(item):
        raise Refusal(f"{where}: wants id, unit and profile or table, and nothing else", USAGE)
    if ("profile" in item) == ("table" in item):
        raise Refusal(f"{where}: name either profile or table", USAGE)
    name = item.get("profile", item.get("table"))
    if not all(isinstance(value, str) for value in (item["id"], name)) or type(item["unit"]) is not int:
        raise Refusal(f"{where}: id, profile and table are text, unit a whole number", USAGE)
    profile = _profile(name, path.parent)
    return Choice(item["id"], profile["profile"], item["unit"]), profile


def _read_toml(path: Path) -> dict[str, Any]:
    if path.stat().st_size > TABLE_MAX_BYTES:
        raise Refusal(f"{path}: larger than {TABLE_MAX_BYTES} bytes", USAGE)
    try:
        top = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path}: no TOML: {error}", USAGE) from error
    for key, value in top.items():
        if key not in _TOML_KEYS:
            raise Refusal(f"{path}: unknown key {key!r}; known are {' '.join(_TOML_KEYS)}", USAGE)
        if type(value) is not _TOML_KEYS[key]:
            raise Refusal(f"{path}: {key} is no {_TOML_KEYS[key].__name__}", USAGE)
    return top
