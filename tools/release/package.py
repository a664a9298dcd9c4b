"""A release file: program files, manifest and roots in the order in which a module takes them (SPEC.md section 8.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqwire import update
from cryptography.hazmat.primitives.asymmetric import ec

from plumeproof.link.updating import ReleaseFile, read_release
from tools.release.documents import (
    Document,
    DocumentError,
    compose_release,
    parse_document,
    signed_document,
    verify_release,
    verify_roots,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a release is for; `issued`, `expires`: seconds of Unix time; `mpy` 0: .py files."""

    board: str
    mpy: int
    version: int
    minimum: int
    release: str
    issued: int
    expires: int


def collect(folder: Path) -> dict[str, bytes]:
    """The program below a folder such as firmware/: {path: content}. Raises DocumentError."""
    found = {}
    for path in sorted([*folder.glob("main.*"), *(p for name in update.FOLDERS for p in (folder / name).rglob("*"))]):
        if path.is_symlink():
            raise DocumentError(f"{path}: a link is no program file")
        if path.is_file() and path.suffix in (".py", ".mpy"):
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    if not found:
        raise DocumentError(f"{folder}: holds no program (main.py, acq/, acqwire/, boards/)")
    return found


def build(
    files: dict[str, bytes], roots: Sequence[bytes], key: ec.EllipticCurvePrivateKey, choice: Choice
) -> ReleaseFile:
    """A signed release behind a chain of roots (oldest first), verified again. Raises DocumentError."""
    root = verify_roots([parse_document(raw, update.ROOT_MAGIC) for raw in roots])
    signed = compose_release(
        files, board=choice.board, mpy=choice.mpy, version=choice.version, minimum=choice.minimum,
        release=choice.release, root=root["version"], issued=choice.issued, expires=choice.expires,
    )  # fmt: skip
    manifest = signed_document(update.RELEASE_MAGIC, signed, [key]).pack()
    stream = b"".join(roots) + manifest + b"".join(files[path] for path in sorted(files))
    made = ReleaseFile(sum(map(len, roots)), len(manifest), stream)
    verify(made.pack(), roots[0])
    return made


def verify(raw: bytes, factory_root: bytes) -> dict[str, Any]:
    """What a release file says, judged from this root on as a module does but for time and board.

    Raises DocumentError."""
    try:
        release = read_release(raw)
    except ValueError as failure:
        raise DocumentError(str(failure)) from failure
    stream = release.stream
    documents: list[bytes] = []
    at = 0
    while at < release.roots_bytes:
        count, size = stream[at + 5], int.from_bytes(stream[at + 6 : at + 8], "big")
        end = at + update.DOCUMENT_HEAD_BYTES + count * update.SIGNATURE_BYTES + size
        documents.append(stream[at:end])
        at = end
    if at != release.roots_bytes or len(documents) > update.ROOTS_MAX:
        raise DocumentError("the root documents do not fill their place, or are too many")
    if factory_root in documents:
        documents = documents[documents.index(factory_root) + 1 :]
    chain: list[Document] = [parse_document(item, update.ROOT_MAGIC) for item in (factory_root, *documents)]
    end = at + release.manifest_bytes
    body = verify_release(parse_document(stream[at:end], update.RELEASE_MAGIC), verify_roots(chain))
    for path, size, digest in body["files"]:
        content = stream[end : end + size]
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise DocumentError(f"{path}: not the file that was signed")
        end += size
    if end != len(stream):
        raise DocumentError("bytes are left over behind the last file")
    return body
