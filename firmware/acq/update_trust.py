"""Whose word changes the program: root documents and release manifests (SPEC.md sections 8.1 and 8.2).

No store, no clock: bytes in, a trusted object or an UpdateError out. The only order:

    trust = Trust(factory root)                       believed as it is: it came with the program
    trust.begin_root(next root)                       for each newer one
    while not trust.step(): pass
    trust.begin_release(file, where it begins, bytes)
    while not trust.step(): pass                      now trust.manifest

or all of it by believe(). Signatures are checked over the bytes as they are, in slices, before anything in these bytes
is read. A manifest stays in its file: the heap of a running module has room for it, but no longer in one piece.
"""

import hashlib

from acqwire import limits, update

from acq.p256 import Verification
from acq.update_document import Manifest, Root, UpdateError, document_bytes

_CHUNK_BYTES = 256
_HEADS_BYTES = update.DOCUMENT_HEAD_BYTES + update.SIGNATURES_MAX * update.SIGNATURE_BYTES


def root_spans(file, end: int, factory: bytes):
    """[(start, bytes)] of the root documents in file[:end], without those up to the factory's own.

    Raises UpdateError."""
    spans = []
    at = count = 0
    while at < end:
        file.seek(at)
        size = document_bytes(file.read(update.DOCUMENT_HEAD_BYTES), update.ROOT_MAGIC, update.ROOT_MAX_BYTES)
        count += 1
        if size > end - at:
            raise UpdateError(update.REASON_DOCUMENT)
        if count > update.ROOTS_MAX:
            raise UpdateError(update.REASON_SIZE)
        spans.append((at, size))
        if size == len(factory):
            file.seek(at)
            if file.read(size) == factory:  # byte for byte what is believed anyway: the chain goes on from here
                spans = []
        at += size
    return spans


def believe(trust, factory: bytes, roots, roots_bytes: int, manifest, start: int, size: int):
    """A generator, one slice each: roots[:roots_bytes] behind the factory's, then manifest[start:start+size]. The files
    stay the caller's, who closes them. Raises UpdateError, OSError."""
    for at, count in root_spans(roots, roots_bytes, factory):
        roots.seek(at)
        trust.begin_root(roots.read(count))
        while not trust.step():
            yield
    trust.begin_release(manifest, start, size)
    while not trust.step():
        yield


class Trust:
    """The chain of trust so far: `root`, and `manifest` once a release has been believed; `signed_at`: where in its
    file the signed bytes begin."""

    def __init__(self, factory: bytes) -> None:
        """factory: the root document that came with the board. Raises UpdateError."""
        self._take(factory, update.ROOT_MAGIC, update.ROOT_MAX_BYTES)
        self.root = Root(factory[self.signed_at :])
        self.manifest = None

    def begin_root(self, document: bytes) -> None:
        """Judge the root of the next version. Raises UpdateError."""
        self._take(document, update.ROOT_MAGIC, update.ROOT_MAX_BYTES)
        self._signed = document[self.signed_at :]
        self._digest = hashlib.sha256(update.ROOT_CONTEXT + self._signed).digest()
        self._keys, self._missing = self.root.keys, self.root.threshold

    def begin_release(self, file, start: int, size: int) -> None:
        """Judge the release in file[start:start + size], its last bytes, by the key that the root names. The file is
        read until `step` has said True. Raises UpdateError, OSError."""
        file.seek(start)
        self._take(file.read(_HEADS_BYTES), update.RELEASE_MAGIC, update.MANIFEST_MAX_BYTES, size)
        self._file = file
        self.signed_at += start
        self._digest = self._hash_file()
        self._keys, self._missing = {self.root.release_kid: self.root.release_key}, 1

    def step(self) -> bool:
        """One slice; True when the document is believed. Raises UpdateError when it is not."""
        if self._verification is not None:
            if self._verification.step():
                if not self._verification.is_good:
                    raise UpdateError(update.REASON_SIGNATURE)
                self._verification = None
                self._missing -= 1
            return False
        if self._at < len(self._signatures):
            kid, signature = self._signatures[self._at]
            self._at += 1
            if kid in self._keys:
                self._verification = Verification(self._keys[kid], self._digest, signature)
            return False
        if self._missing > 0:
            raise UpdateError(update.REASON_THRESHOLD)
        return self._believe_root() if self._file is None else self._believe_release()

    def _take(self, head: bytes, magic: bytes, limit: int, size: int = -1) -> None:
        """Head and signatures of a document of this size (-1: `head` is all of it)."""
        self.manifest = self._file = None
        self._next = None  # the root being judged
        self._verification = None
        self._keys = {}  # of these a signature counts now
        self._missing = 0  # so many more of them must have signed
        self._at = 0
        if document_bytes(head, magic, limit) != (len(head) if size < 0 else size):
            raise UpdateError(update.REASON_DOCUMENT)
        self._signatures = []
        at = update.DOCUMENT_HEAD_BYTES
        for _ in range(head[5]):
            kid = head[at : at + limits.KID_BYTES]
            if self._signatures and kid <= self._signatures[-1][0]:
                raise UpdateError(update.REASON_DOCUMENT)
            self._signatures.append((kid, head[at + limits.KID_BYTES : at + update.SIGNATURE_BYTES]))
            at += update.SIGNATURE_BYTES
        self.signed_at = at

    def _hash_file(self) -> bytes:
        self._file.seek(self.signed_at)
        digest = hashlib.sha256(update.RELEASE_CONTEXT)
        chunk = self._file.read(_CHUNK_BYTES)
        while chunk:
            digest.update(chunk)
            chunk = self._file.read(_CHUNK_BYTES)
        return digest.digest()

    def _believe_root(self) -> bool:
        if self._next is None:  # its predecessor's keys have signed it; now its own must
            self._next = root = Root(self._signed)
            if root.version != self.root.version + 1:
                raise UpdateError(update.REASON_ROOT_VERSION)
            self._keys, self._missing, self._at = root.keys, root.threshold, 0
            return False
        self.root = self._next
        return True

    def _believe_release(self) -> bool:
        manifest = Manifest(self._file, self.signed_at)
        if self._hash_file() != self._digest:  # what was read is no longer what was signed
            raise UpdateError(update.REASON_FLASH)
        if manifest.root != self.root.version:
            raise UpdateError(update.REASON_ROOT_VERSION)
        self._file = None
        self.manifest = manifest
        return True
