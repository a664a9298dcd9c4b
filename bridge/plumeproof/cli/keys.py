"""`plumeproof keys list|enroll|rotate|revoke|history|create-gateway`: who may sign what.

`enroll KEY --device D` enters a module's first key, `rotate --device D --ledger FILE` its next one as the module's key
change record names it, signed by both; `rotate KEY --device D --last-seq N` one behind a record that you name, where
the old key can sign nothing any more. `revoke KID --last-seq N --reason TEXT` trusts nothing of a key behind N;
`history` shows what was done, when and why. KEY is a file: PEM, hex,
the 65 bytes of `public_key.bin`, or a module's own answer (JSON), whose proof of possession is verified.
`create-gateway` makes the gateway's own key (mode 0600) and enrols it, or writes its answer for the registrar.
Exit status: 0 done, 2 refused, with the reason in one line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from plumeproof.enrolment import Registry, read_history, read_public_key
from plumeproof.errors import ConfigError
from plumeproof.gateway_key import create_gateway_key
from plumeproof.inspection import claims_key_change, read_key_changes, read_sequence
from plumeproof.keys import PURPOSES, SEQ_MAX, TEST_KIDS, RegisteredKey, load_keys
from plumeproof.whole_file import whole_file

KID_DIGITS = 32


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("keys", help="list, enroll, rotate and revoke keys")
    what = parser.add_subparsers(dest="what", required=True, metavar="list|enroll|rotate|revoke|history|create-gateway")
    listing = what.add_parser("list", help="what is enrolled")
    listing.set_defaults(main=list_main)
    enroll = what.add_parser("enroll", help="enter the first key of a device")
    enroll.add_argument("--purpose", choices=PURPOSES, default="record", help="default: record")
    enroll.add_argument("--from-seq", type=_seq, default=1, metavar="N", help="first record it may sign; default 1")
    enroll.set_defaults(main=enroll_main)
    rotate = what.add_parser("rotate", help="close the key of a device and enter its next one")
    rotate.add_argument("--purpose", choices=PURPOSES, default="record", help="default: record")
    rotate.add_argument("--ledger", type=Path, metavar="FILE", help="take it from the key change record in this ledger")
    rotate.add_argument("--envelopes", type=Path, metavar="FILE", help="or in this file of envelopes")
    rotate.set_defaults(main=rotate_main)
    history = what.add_parser("history", help="what was done, when and why")
    history.set_defaults(main=history_main)
    create = what.add_parser("create-gateway", help="make the key that signs anchors and manifests")
    create.add_argument("--key-file", required=True, type=Path, metavar="FILE", help="where it shall lie")
    create.add_argument("--gateway", required=True, metavar="ID", help="gateway.id of bridge.toml")
    create.add_argument("--keys", type=Path, metavar="FILE", help="keys.json to enrol it in")
    create.add_argument("--answer", type=Path, metavar="FILE", help="write its proof for `keys enroll` elsewhere")
    create.add_argument("--json", action="store_true", help="print JSON")
    create.set_defaults(main=create_main)
    revoke = what.add_parser("revoke", help="trust nothing of a key behind its last trusted record")
    revoke.add_argument("kid", type=_kid, metavar="KID", help="as `keys list` shows it")
    revoke.add_argument("--reason", required=True, metavar="TEXT", help="kept in FILE.history")
    revoke.set_defaults(main=revoke_main)
    for one in (enroll, rotate):
        told = "file with the public key or a module's answer"
        one.add_argument("key", type=Path, nargs="?" if one is rotate else None, metavar="KEY", help=told)
        one.add_argument("--device", metavar="D", help="id of the module; a module's answer brings its own")
    for one in (rotate, revoke):
        one.add_argument(
            "--last-seq", type=_seq, required=one is revoke, metavar="N", help="last record (or anchor) of it to trust"
        )
    for one in (listing, enroll, rotate, revoke, history):
        one.add_argument("--keys", required=True, type=Path, metavar="FILE", help="keys.json")
        one.add_argument("--json", action="store_true", help="print JSON")


def list_main(args: argparse.Namespace) -> int:
    """Run `keys list`."""
    entries = load_keys(args.keys, allow_test_keys=True).entries  # what is there is shown, marked
    if args.json:
        print(json.dumps([_plain(entry) for entry in entries]))
        return 0
    for entry in entries:
        print(_line(entry))
    print(f"{args.keys}: {len(entries)} {'key' if len(entries) == 1 else 'keys'}")
    return 0


def enroll_main(args: argparse.Namespace) -> int:
    """Run `keys enroll`."""
    device, public_key, proof = _read(args)
    with Registry(args.keys) as registry:
        entry = registry.enroll(device, public_key, args.purpose, args.from_seq, proof)
    return _told(args, "enrolled", entry, proof)


def rotate_main(args: argparse.Namespace) -> int:
    """Run `keys rotate`."""
    if args.ledger is not None or args.envelopes is not None:
        return _rotate_by_record(args)
    if args.key is None or args.last_seq is None:
        mend = "name the next key and the last record of the old one, or --ledger, whose key change record says both"
        raise ConfigError("KEY, --last-seq", f"are missing; {mend}")
    device, public_key, proof = _read(args)
    with Registry(args.keys) as registry:
        entry = registry.rotate(device, public_key, args.last_seq, proof, args.purpose)
    return _told(args, "rotated", entry, proof)


def _rotate_by_record(args: argparse.Namespace) -> int:
    if args.key is not None or args.last_seq is not None or args.purpose != "record":
        raise ConfigError("--ledger", "says key and seq; leave out KEY, --last-seq and --purpose")
    if args.device is None:
        raise ConfigError("--device", "is missing; name the module")
    if args.ledger is not None:
        found = read_key_changes(args.ledger, args.device)
    else:
        with args.envelopes.open("rb") as file:
            found = [item.raw for item in read_sequence(file) if claims_key_change(item.raw)]
    with Registry(args.keys) as registry:
        entry = registry.rotate_by_record(args.device, found)
    if not args.json:
        print("start the bridge again: it reads the keys at its start")
    return _told(args, "rotated", entry, "key change record")


def history_main(args: argparse.Namespace) -> int:
    """Run `keys history`."""
    changes = read_history(args.keys)
    if args.json:
        print(json.dumps(changes))
        return 0
    for one in changes:
        rest = ", ".join(f"{name} {value}" for name, value in one.items() if name not in ("at", "what"))
        print(f"{one['at']}  {one['what']:8}  {rest}")
    return 0


def revoke_main(args: argparse.Namespace) -> int:
    """Run `keys revoke`."""
    with Registry(args.keys) as registry:
        entry = registry.revoke(args.kid, args.last_seq, args.reason)
    return _told(args, "revoked", entry, "")


def create_main(args: argparse.Namespace) -> int:
    """Run `keys create-gateway`."""
    if args.keys is None and args.answer is None:
        raise ConfigError("--keys", "is missing; name keys.json, or with --answer a file for whoever keeps it")
    key, answer = create_gateway_key(args.key_file, args.gateway)
    if args.answer is not None:
        with whole_file(args.answer) as file:
            file.write(answer)
    if args.keys is None:
        told = f"{args.key_file}: kid {key.kid.hex()}; give {args.answer} to `keys enroll --purpose anchor`"
        print(json.dumps({"done": "created", "kid": key.kid.hex()}) if args.json else told)
        return 0
    with Registry(args.keys) as registry:
        entry = registry.enroll(args.gateway, key.public_key, "anchor", 1, "answer to our own nonce")
    return _told(args, "created and enrolled", entry, "")


def _read(args: argparse.Namespace) -> tuple[str, bytes, str]:
    public_key, proof = read_public_key(args.key)
    if proof is None:
        if args.device is None:
            raise ConfigError("--device", "is missing; a bare public key does not say whose it is")
        return args.device, public_key, "none"
    if args.device not in (None, proof.device):
        raise ConfigError(str(args.key), f"is the answer of {proof.device}, not of {args.device}")
    return proof.device, public_key, "answer brought as a file"


def _told(args: argparse.Namespace, word: str, entry: RegisteredKey, proof: str) -> int:
    if args.json:
        print(json.dumps({"done": word} | _plain(entry)))
    else:
        print(f"{word}: {_line(entry)}")
    if proof == "none":
        print(
            "plumeproof keys: nobody has shown that the module holds this key; `plumeproof module provision` asks it",
            file=sys.stderr,
        )
    return 0


def _plain(entry: RegisteredKey) -> dict[str, Any]:
    return {
        "device": entry.device,
        "kid": entry.kid.hex(),
        "purpose": entry.purpose,
        "valid_from_seq": entry.valid_from_seq,
        "valid_until_seq": entry.valid_until_seq,
        "revoked": entry.is_revoked,
    }


def _line(entry: RegisteredKey) -> str:
    until = "" if entry.valid_until_seq is None else str(entry.valid_until_seq)
    state = "  REVOKED" if entry.is_revoked else ""
    state += "  TEST KEY, everybody can sign with it" if entry.kid.hex() in TEST_KIDS else ""
    return f"{entry.device}  {entry.kid.hex()}  {entry.purpose}  seq {entry.valid_from_seq}..{until}{state}"


def _seq(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) >= SEQ_MAX:
        raise argparse.ArgumentTypeError(f"{text[:30]!r} is no seq")
    return int(text)


def _kid(text: str) -> bytes:
    try:
        kid = bytes.fromhex(text)
    except ValueError:
        kid = b""
    if 2 * len(kid) != KID_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no kid of {KID_DIGITS} hex digits")
    return kid
