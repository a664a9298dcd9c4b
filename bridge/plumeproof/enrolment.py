"""Enters, closes and withdraws keys in keys.json (reference: reliability section 6: a key a module, a purpose a key).

Every change is made under a lock, on what the file says then, and appears whole: written beside, synced, renamed, the
folder synced. What was done and why is added first to `keys.json.history`, one JSON object a line: the registry's
format has no place for a reason, and a line about a change that then failed is better than a change without a line.

    with Registry(Path("keys.json")) as registry:
        registry.enroll("plume-01", public_key)
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acqwire import limits
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plumeproof.errors import ConfigError, EnvelopeError, EvidenceError
from plumeproof.evidence.envelope import kid_of, load_public_key, verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import SEQ_MAX, TEST_KIDS, KeyFile, RegisteredKey, build_entry, parse_keys, read_keys
from plumeproof.model import KeyChange
from plumeproof.possession import Proof, parse_proof

KEY_FILE_MAX_BYTES = 65536
HISTORY_MAX_BYTES = 16 * 1024 * 1024
REASON_MAX = 200  # characters


class Registry:
    """One keys.json, locked from `with` on to its end. Changes are made at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._beside = path.with_name(path.name + ".new")
        self._history = path.with_name(path.name + ".history")

    def __enter__(self) -> Registry:
        """Raises ConfigError when somebody else is changing the file."""
        try:
            # Created anew or not at all: the same on every system, network drives included
            os.close(os.open(self._lock_path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            raise ConfigError(
                str(self._lock_path), "another program changes these keys; if none runs, power failed: remove this file"
            ) from error
        except OSError as error:
            raise ConfigError(str(self._lock_path), f"{error.strerror}; name a place that can be written") from error
        return self

    def __exit__(self, *_exception: object) -> None:
        self._lock_path.unlink(missing_ok=True)

    def check(self, device: str, public_key: bytes) -> None:
        """Raises ConfigError where `enroll` would refuse this key as it is."""
        self._check_new(self._load(), device, public_key)

    def enroll(
        self, device: str, public_key: bytes, purpose: str = "record", from_seq: int = 1, proof: str = "none"
    ) -> RegisteredKey:
        """Enter the first key of a device, or one for another purpose. Raises ConfigError.

        `proof`: for the history, how possession was shown."""
        known = self._load()
        self._check_new(known, device, public_key)
        for entry in known.entries:
            if entry.device == device and entry.purpose == purpose and _is_open(entry):
                raise self._refusal(
                    f"{device} has kid {entry.kid.hex()} for {purpose} already; replace it with `keys rotate`"
                )
        return self._add(known, device, public_key, purpose, from_seq, {"what": "enroll", "proof": proof})

    def rotate(
        self, device: str, public_key: bytes, last_seq: int, proof: str = "none", purpose: str = "record"
    ) -> RegisteredKey:
        """Close the open key of a device at `last_seq` and enter its next one behind it. Raises ConfigError."""
        known = self._load()
        self._check_new(known, device, public_key)
        old = [entry for entry in known.entries if entry.device == device and entry.purpose == purpose]
        still_open = [entry for entry in old if _is_open(entry)]
        if not still_open:
            raise self._refusal(f"{device} has no open {purpose} key to rotate; enter one with `keys enroll`")
        self._check_seq(last_seq, still_open[0])
        items = [_item(entry) for entry in known.entries]
        for item in items:
            if item["kid"] == still_open[0].kid.hex():
                item["valid_until_seq"] = last_seq
        note = {"what": "rotate", "closed": still_open[0].kid.hex(), "last_seq": last_seq, "proof": proof}
        closed = parse_keys(json.dumps(items).encode(), str(self.path))
        return self._add(closed, device, public_key, purpose, last_seq + 1, note)

    def rotate_by_record(self, device: str, envelopes: Iterable[bytes]) -> RegisteredKey:
        """The next key of a device as its key change record names it, signed by the open key and by the next one.
        `envelopes`: the device's key change records. Raises ConfigError where none is the open key's."""
        known = self._load()
        for raw in envelopes:
            try:
                envelope = verify_envelope(raw, known.public_key)
                record = parse_record(envelope)
                known.find(envelope.kid, record.device, record.seq)
            except EvidenceError:
                continue  # of a key that has ended, or no evidence: `verify` names it
            entry = next(one for one in known.entries if one.kid == envelope.kid)
            if record.device == device and isinstance(record.body, KeyChange) and _is_open(entry):
                shown = f"key change record seq {record.seq}, {record.content_hash.hex()}, signed by both keys"
                return self.rotate(device, record.body.next_key, record.seq, shown)
        raise self._refusal(
            f"no key change record of {device} is signed by its open key; the module makes one at a start that finds"
            " the file `rotate` among its own; or name key and --last-seq yourself"
        )

    def revoke(self, kid: bytes, last_seq: int, reason: str) -> RegisteredKey:
        """Trust nothing of this key behind `last_seq` (0: nothing at all). Raises ConfigError."""
        known = self._load()
        found = next((entry for entry in known.entries if entry.kid == kid), None)
        if found is None:
            raise self._refusal(f"kid {kid.hex()} is not in it; `keys list` shows what is")
        if found.is_revoked:
            raise self._refusal(f"kid {kid.hex()} is revoked already, from seq {found.valid_until_seq} on")
        if not reason.strip() or not reason.isprintable() or len(reason) > REASON_MAX:
            raise ConfigError("--reason", f"is no line of 1..{REASON_MAX} characters; say who found what")
        if last_seq:
            self._check_seq(last_seq, found)
        items = [_item(entry) for entry in known.entries]
        for item in items:
            if item["kid"] == kid.hex():
                item |= {"revoked": True, "valid_until_seq": last_seq}
        self._write(items, {"what": "revoke", "device": found.device, "kid": kid.hex(), "last_seq": last_seq,
                            "reason": reason})  # fmt: skip
        return next(entry for entry in self._load().entries if entry.kid == kid)

    def _check_new(self, known: KeyFile, device: str, public_key: bytes) -> None:
        kid = kid_of(public_key)
        if kid.hex() in TEST_KIDS:
            raise ConfigError(
                f"kid {kid.hex()}",
                f"is a published test key ({TEST_KIDS[kid.hex()]}): everybody can sign with it; make a new one",
            )
        for entry in known.entries:
            if entry.kid == kid:
                raise self._refusal(
                    f"kid {kid.hex()} is enrolled for {entry.device} already; every module has a key of its own"
                )
        if not 1 <= len(device) <= limits.DEVICE_MAX_BYTES or not set(device) <= set(limits.DEVICE_CHARACTERS):
            raise ConfigError("--device", f"is not 1..{limits.DEVICE_MAX_BYTES} characters of a-z 0-9 . _ -")

    def _check_seq(self, last_seq: int, entry: RegisteredKey) -> None:
        end = SEQ_MAX - 1 if entry.valid_until_seq is None else entry.valid_until_seq
        if not entry.valid_from_seq <= last_seq <= end:
            raise ConfigError(
                "--last-seq", f"kid {entry.kid.hex()} is valid from {entry.valid_from_seq} to {end}; name a seq in it"
            )

    def _add(
        self, known: KeyFile, device: str, public_key: bytes, purpose: str, from_seq: int, note: dict[str, Any]
    ) -> RegisteredKey:
        items = [_item(entry) for entry in known.entries] + [build_entry(device, public_key, purpose, from_seq)]
        kid = kid_of(public_key)
        self._write(items, note | {"device": device, "kid": kid.hex(), "purpose": purpose, "from_seq": from_seq})
        return next(entry for entry in self._load().entries if entry.kid == kid)

    def _load(self) -> KeyFile:
        if not self.path.exists():
            return KeyFile((), str(self.path))
        return parse_keys(read_keys(self.path), str(self.path))

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError(str(self.path), reason)

    def _write(self, items: list[dict[str, Any]], note: dict[str, Any]) -> None:
        raw = (json.dumps(items, indent=1) + "\n").encode()
        parse_keys(raw, str(self.path))  # nothing is written that cannot be read again
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds")} | note) + "\n"
        try:
            with self._history.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            # Power fails here: the history tells of a change that was not made; the keys are the old ones
            with self._beside.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._beside, self.path)
            # And here: either file, both whole, until the folder is synced
            sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(str(self.path), f"{error.strerror}; make room or name a place to write to") from error


def read_history(path: Path) -> list[dict[str, Any]]:
    """What was done to a keys.json, oldest first, as its history tells. Raises ConfigError."""
    place = path.with_name(path.name + ".history")
    try:
        with place.open("rb") as file:
            raw = file.read(HISTORY_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(place), f"cannot be read: {error.strerror}; it lies beside keys.json") from error
    if len(raw) > HISTORY_MAX_BYTES:
        raise ConfigError(str(place), f"larger than {HISTORY_MAX_BYTES} bytes")
    found = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            one = None
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in ("at", "what")):
            told = "is no change of keys: power failed while it was written, or somebody wrote here"
            raise ConfigError(f"{place}: line {number}", told)
        found.append(one)
    return found


def sync_folder(folder: Path) -> None:
    """A rename in it is durable afterwards; systems that sync no folders (Windows) see to that themselves."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_public_key(path: Path) -> tuple[bytes, Proof | None]:
    """A public key from a file: PEM, hex, the 65 bytes as they are, or a module's own answer as JSON, whose proof comes
    along and has been verified. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(KEY_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    if len(raw) > KEY_FILE_MAX_BYTES:
        raise ConfigError(str(path), "is too large for a public key")
    if b"PRIVATE" in raw:
        raise ConfigError(str(path), "holds a private key, which belongs nowhere near here; give the public one")
    if raw.lstrip()[:1] == b"{":
        proof = parse_proof(raw, str(path))
        return proof.public_key, proof
    return parse_public_key(raw, str(path)), None


def parse_public_key(raw: bytes, where: str) -> bytes:
    """PEM, hex or the bytes of a P-256 point, SEC1 uncompressed. Raises ConfigError."""
    point = raw if len(raw) == limits.PUBLIC_KEY_BYTES else raw.strip()
    if re.fullmatch(rb"(?:04[0-9a-fA-F]{128})", point):
        point = bytes.fromhex(point.decode())
    if point.startswith(b"-----BEGIN"):
        try:
            key = serialization.load_pem_public_key(point)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(where, "is no PEM of a public key") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ConfigError(where, "is no P-256 key; a module signs ES256 only")
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    try:
        load_public_key(point)
    except EnvelopeError as error:
        raise ConfigError(where, "is no public key: PEM, 130 hex digits, 65 bytes or a module's answer") from error
    return point


def _is_open(entry: RegisteredKey) -> bool:
    return entry.valid_until_seq is None and not entry.is_revoked


def _item(entry: RegisteredKey) -> dict[str, Any]:
    item = build_entry(entry.device, entry.public_key, entry.purpose, entry.valid_from_seq, entry.valid_until_seq)
    return item | {"revoked": entry.is_revoked}
