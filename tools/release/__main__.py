"""`python -m tools.release VERB`: keys, roots and releases of the module's program (SPEC.md section 8).

    key -o release.pem                                            a private key for its owner only, and release.pem.pub
    root --version 1 --threshold 2 --expires 2031-01-01 --root-key a.pem.pub --root-key b.pem.pub \\
         --release-key release.pem.pub -o root1.json              what the keepers are to sign
    sign root1.json --key a.pem -o root1.bin                      the first keeper
    sign root1.bin --key b.pem -o root1.bin                       the next one, elsewhere
    build --board host --version 2 --minimum 1 --release 0.2.0 --issued 2026-12-01 --expires 2027-06-01 \\
          --root root1.bin --key release.pem -o module-0.2.0.ppu  a release, built twice and compared
    verify module-0.2.0.ppu --root root1.bin                      what it says, judged as a module does

Exit status: 0 done, 1 a document or file that must not be used, 2 wrong usage or a file that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from acqwire import update
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tools.release.documents import (
    Document,
    DocumentError,
    check_root,
    compose_root,
    kid_of,
    parse_document,
    point_of,
    sign,
    verify_roots,
)
from tools.release.package import Choice, build, collect, verify

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


class UsageError(Exception):
    """A file that cannot be read or written, or that is no key; exit status 2."""


def read(path: Path) -> bytes:
    """A file, at most 4 MiB of it."""
    try:
        raw = path.read_bytes()
    except OSError as failure:
        raise UsageError(f"{path}: cannot be read ({failure.strerror})") from failure
    if len(raw) > 4 << 20:
        raise UsageError(f"{path}: too large for what it is to be")
    return raw


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A key file that nobody but its owner can read."""
    if path.is_file() and os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(f"{path}: others may read this key: chmod 600 {path}, or make a new one")
    try:
        key = serialization.load_pem_private_key(read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as failure:
        raise UsageError(f"{path}: no unencrypted private key in PEM: make one with `key`") from failure
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path}: no P-256 key: make one with `key`")
    point_of(key.public_key())
    return key


def public_point(path: Path) -> bytes:
    """The point of a public key file."""
    try:
        key = serialization.load_pem_public_key(read(path))
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise UsageError(f"{path}: no public key in PEM: `key` writes one beside the private key") from failure
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UsageError(f"{path}: no P-256 key: make one with `key`")
    return point_of(key)


def write(path: Path, content: bytes, mode: int = 0o644, is_new: bool = False) -> None:
    """Whole or not at all; a private key never over another one."""
    try:
        if is_new:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
                file.write(content)
            return
        beside = path.with_name(path.name + ".new")
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as failure:
        raise UsageError(f"{path}: cannot be written ({failure.strerror})") from failure


def day(text: str) -> int:
    """2027-06-01 to seconds of Unix time, 00:00 UTC."""
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())


def make_key(arguments: argparse.Namespace) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write(arguments.output, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600, is_new=True)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write(arguments.output.with_name(arguments.output.name + ".pub"), public)
    print(f"{arguments.output}: key {kid_of(point_of(key.public_key())).hex()}; for no machine that does not need it")


def make_root(arguments: argparse.Namespace) -> None:
    points = [public_point(path) for path in arguments.root_key]
    signed = compose_root(
        arguments.version, arguments.threshold, points, public_point(arguments.release_key), arguments.expires,
        arguments.minimum,
    )  # fmt: skip
    write(arguments.output, signed)
    print(
        f"{arguments.output}: root {arguments.version}, to be signed by {arguments.threshold} of {len(points)} keepers"
    )


def sign_root(arguments: argparse.Namespace) -> None:
    raw, key = read(arguments.document), private_key(arguments.key)
    if raw.startswith(update.ROOT_MAGIC):
        document = parse_document(raw, update.ROOT_MAGIC)
    else:
        document = Document(update.ROOT_MAGIC, raw, {})
        try:
            check_root(json.loads(raw))
        except (ValueError, KeyError, TypeError) as failure:
            raise DocumentError(f"{arguments.document}: no root to sign: make one with `root`") from failure
    kid, signature = sign(update.ROOT_MAGIC, document.signed, key)
    packed = Document(update.ROOT_MAGIC, document.signed, {**document.signatures, kid: signature}).pack()
    whole = parse_document(packed, update.ROOT_MAGIC)
    write(arguments.output, packed)
    print(f"{arguments.output}: root {whole.body()['version']}, {len(whole.signatures)} signature(s)")


def build_release(arguments: argparse.Namespace) -> None:
    roots = [read(path) for path in arguments.root]
    choice = Choice(
        arguments.board, arguments.mpy, arguments.version, arguments.minimum, arguments.release, arguments.issued,
        arguments.expires,
    )  # fmt: skip
    key = private_key(arguments.key)
    packed = build(collect(arguments.folder), roots, key, choice).pack()
    if packed != build(collect(arguments.folder), roots, key, choice).pack():
        raise DocumentError(f"{arguments.folder}: two builds differ: something writes there meanwhile")
    write(arguments.output, packed)
    body = verify(read(arguments.output), roots[0])
    print(
        f"{arguments.output}: {len(body['files'])} files, {len(packed)} bytes, version {body['version']}, built twice"
    )


def verify_file(arguments: argparse.Namespace) -> None:
    factory = read(arguments.root)
    verify_roots([parse_document(factory, update.ROOT_MAGIC)])
    body = verify(read(arguments.file), factory)
    if arguments.json:
        print(json.dumps(body, indent=1))
        return
    until = datetime.fromtimestamp(body["expires"], UTC).date()
    print(
        f"{arguments.file}: good; release {body['release']} (version {body['version']}, minimum {body['minimum']}) for"
        f" {body['board']}, {len(body['files'])} files, until {until}"
    )


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    whole = argparse.ArgumentParser(
        prog="tools.release", description="keys, roots and releases of the module's program"
    )
    verbs = whole.add_subparsers(required=True)
    key = verbs.add_parser("key", help="make a key pair")
    key.add_argument("-o", "--output", type=Path, required=True)
    key.set_defaults(run=make_key)
    root = verbs.add_parser("root", help="compose a root document for its keepers")
    root.add_argument("--version", type=int, required=True)
    root.add_argument("--threshold", type=int, required=True)
    root.add_argument("--minimum", type=int, default=0, help="no release below this version runs")
    root.add_argument("--expires", type=day, required=True, help="YYYY-MM-DD")
    root.add_argument("--root-key", type=Path, action="append", required=True, help="public key of a keeper")
    root.add_argument("--release-key", type=Path, required=True, help="public key that signs releases")
    root.add_argument("-o", "--output", type=Path, required=True)
    root.set_defaults(run=make_root)
    signing = verbs.add_parser("sign", help="add a keeper's signature to a root")
    signing.add_argument("document", type=Path)
    signing.add_argument("--key", type=Path, required=True)
    signing.add_argument("-o", "--output", type=Path, required=True)
    signing.set_defaults(run=sign_root)
    building = verbs.add_parser("build", help="build and sign a release")
    building.add_argument("--from", dest="folder", type=Path, default=FIRMWARE, help="program, .py or .mpy files")
    building.add_argument("--board", required=True)
    building.add_argument("--mpy", type=int, default=0, help="sys.implementation._mpy & 0x3FF of .mpy files")
    building.add_argument("--version", type=int, required=True)
    building.add_argument("--minimum", type=int, required=True, help="no version below it is taken afterwards")
    building.add_argument("--release", required=True, help="its name for people")
    building.add_argument("--issued", type=day, required=True, help="YYYY-MM-DD")
    building.add_argument("--expires", type=day, required=True, help="YYYY-MM-DD")
    building.add_argument("--root", type=Path, action="append", required=True, help="signed roots, oldest first")
    building.add_argument("--key", type=Path, required=True, help="release key")
    building.add_argument("-o", "--output", type=Path, required=True)
    building.set_defaults(run=build_release)
    checking = verbs.add_parser("verify", help="judge a release file")
    checking.add_argument("file", type=Path)
    checking.add_argument("--root", type=Path, required=True, help="the root that the modules carry")
    checking.add_argument("--json", action="store_true")
    checking.set_defaults(run=verify_file)
    return whole


def main(words: list[str] | None = None) -> int:
    """Exit status."""
    arguments = parser().parse_args(words)
    try:
        arguments.run(arguments)
    except (UsageError, DocumentError) as refused:
        print(f"tools.release: {refused}", file=sys.stderr)
        return 2 if isinstance(refused, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
