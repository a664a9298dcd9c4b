"""Whose word changes the program: root documents and release manifests (SPEC.md sections 8.1 and 8.2).

No file, no clock: bytes in, a trusted object or an UpdateError out. The only order:

    trust = Trust(factory root)          believed as it is: it came with the program
    trust.begin_root(next root)          for each newer one
    while not trust.step(): pass
    trust.begin_release(manifest)
    while not trust.step(): pass         now trust.manifest

Signatures are checked over the bytes as they are, in slices, before anything in these bytes is read. The signed bytes
are RFC 8785 JSON because the interpreter reads JSON and nothing else; that they are canonical is the signer's business.
"""

import hashlib
import json
import struct
from binascii import unhexlify

from acqwire import limits, update

from acq.p256 import Verification

_ROOT_KEYS = (
    "expires", "format", "minimum", "product", "release_key", "root_keys", "threshold", "type", "version",
)  # fmt: skip
_RELEASE_KEYS = (
    "board", "expires", "files", "format", "issued", "minimum", "mpy", "product", "release", "root", "type", "version",
)  # fmt: skip
_TEXT_MAX = 64
_FOLDERS_DEEP = 4


class UpdateError(Exception):
    """Refused. `code`: update.REASON_*."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


def document_bytes(head, magic: bytes, limit: int) -> int:
    """How long the document is that begins with these 8 bytes or more. Raises UpdateError."""
    if len(head) < update.DOCUMENT_HEAD_BYTES:
        raise UpdateError(update.REASON_DOCUMENT)
    found, form, count, signed = struct.unpack_from(update.DOCUMENT_HEAD_FORMAT, head)
    if found != magic or form != update.FORMAT or not 0 < count <= update.SIGNATURES_MAX or signed == 0:
        raise UpdateError(update.REASON_DOCUMENT)
    size = update.DOCUMENT_HEAD_BYTES + count * update.SIGNATURE_BYTES + signed
    if size > limit:
        raise UpdateError(update.REASON_SIZE)
    return size


def split_roots(stream: bytes, factory: bytes):
    """Root documents that follow each other, without those up to the factory's own. Raises UpdateError."""
    found = []
    at = 0
    while at < len(stream):
        size = document_bytes(stream[at : at + update.DOCUMENT_HEAD_BYTES], update.ROOT_MAGIC, update.ROOT_MAX_BYTES)
        if size > len(stream) - at:
            raise UpdateError(update.REASON_DOCUMENT)
        if len(found) == update.ROOTS_MAX:
            raise UpdateError(update.REASON_SIZE)
        found.append(stream[at : at + size])
        at += size
        if found[-1] == factory:  # byte for byte what is believed anyway: the chain goes on from here
            found = []
    return found


class Root:
    """What a root document says. `keys`: {kid: point} of the root keys; `release_key`: a point with `release_kid`."""

    def __init__(self, signed: bytes) -> None:
        top = _parse(signed, "root", _ROOT_KEYS)
        self.version = _integer(top, "version", 1, update.VERSION_MAX)
        self.expires = _integer(top, "expires", 1, update.SECONDS_MAX)
        self.minimum = _integer(top, "minimum", 0, update.VERSION_MAX)
        texts = top["root_keys"]
        if not isinstance(texts, list) or not update.THRESHOLD_MIN <= len(texts) <= update.ROOT_KEYS_MAX:
            raise UpdateError(update.REASON_DOCUMENT)
        self.threshold = _integer(top, "threshold", update.THRESHOLD_MIN, len(texts))
        self.keys = {}
        for text in texts:
            point = _unhex(text, limits.PUBLIC_KEY_BYTES)
            self.keys[_kid(point)] = point
        self.release_key = _unhex(top["release_key"], limits.PUBLIC_KEY_BYTES)
        self.release_kid = _kid(self.release_key)
        # one key twice would count twice; the release key lies on a machine that is used daily
        if len(self.keys) != len(texts) or self.release_kid in self.keys:
            raise UpdateError(update.REASON_DOCUMENT)


class Manifest:
    """What a release says. `files`: [(path, bytes, SHA-256)] ascending by path; `total_bytes`: of them all."""

    def __init__(self, signed: bytes) -> None:
        top = _parse(signed, "release", _RELEASE_KEYS)
        self.version = _integer(top, "version", 1, update.VERSION_MAX)
        self.minimum = _integer(top, "minimum", 0, self.version)
        self.issued = _integer(top, "issued", 1, update.SECONDS_MAX)
        self.expires = _integer(top, "expires", self.issued, update.SECONDS_MAX)
        self.root = _integer(top, "root", 1, update.VERSION_MAX)
        self.mpy = _integer(top, "mpy", 0, 0x3FF)
        self.board = _text(top, "board")
        self.release = _text(top, "release")
        self.total_bytes = 0
        self.files = []
        items = top["files"]
        if not isinstance(items, list) or not 0 < len(items) <= update.FILES_MAX:
            raise UpdateError(update.REASON_FILES)
        before = ""
        mains = 0
        for item in items:
            if not isinstance(item, list) or len(item) != 3:
                raise UpdateError(update.REASON_FILES)
            path, size, digest = item
            if not is_path(path) or (self.mpy == 0 and path.endswith(".mpy")):
                raise UpdateError(update.REASON_PATH)
            # ascending, so that no path comes twice; x.mpy and x.py are neighbours then
            if path.encode() <= before.encode() or path[: path.rfind(".")] == before[: before.rfind(".")]:
                raise UpdateError(update.REASON_FILES)
            if type(size) is not int or not 0 <= size <= update.FILE_MAX_BYTES:
                raise UpdateError(update.REASON_SIZE)
            self.files.append((path, size, _unhex(digest, limits.HASH_BYTES)))
            self.total_bytes += size
            mains += path.startswith("main.")
            before = path
        if mains != 1:
            raise UpdateError(update.REASON_FILES)
        if self.total_bytes > update.TOTAL_MAX_BYTES:
            raise UpdateError(update.REASON_SIZE)

    def program_hash(self) -> bytes:
        """FIRMWARE_HASH that the boot record of this program carries (SPEC.md section 4.3)."""
        whole = hashlib.sha256()
        for path, _, digest in self.files:
            whole.update(path.encode() + b"\x00" + digest)
        return whole.digest()


class Trust:
    """The chain of trust so far: `root`, and `manifest` once a release has been believed."""

    def __init__(self, factory: bytes) -> None:
        """factory: the root document that came with the board. Raises UpdateError."""
        self.root = Root(_split(factory, update.ROOT_MAGIC, update.ROOT_MAX_BYTES)[1])
        self.manifest = None
        self._signed = self._digest = b""
        self._signatures = []
        self._next = None  # the root being judged
        self._keys = {}  # of these a signature counts now
        self._missing = 0  # so many more of them must have signed
        self._at = 0
        self._verification = None

    def begin_root(self, document: bytes) -> None:
        """Judge the root of the next version. Raises UpdateError."""
        self._begin(document, update.ROOT_MAGIC, update.ROOT_MAX_BYTES, update.ROOT_CONTEXT)
        self._keys, self._missing = self.root.keys, self.root.threshold

    def begin_release(self, document: bytes) -> None:
        """Judge a release by the key that the root names. Raises UpdateError."""
        self._begin(document, update.RELEASE_MAGIC, update.MANIFEST_MAX_BYTES, update.RELEASE_CONTEXT)
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
        return self._believe()

    def _begin(self, document: bytes, magic: bytes, limit: int, context: bytes) -> None:
        self.manifest = self._next = self._verification = None
        self._signatures, self._signed = _split(document, magic, limit)
        self._digest = hashlib.sha256(context + self._signed).digest()
        self._context = context
        self._at = 0

    def _believe(self) -> bool:
        if self._context == update.RELEASE_CONTEXT:
            manifest = Manifest(self._signed)
            if manifest.root != self.root.version:
                raise UpdateError(update.REASON_ROOT_VERSION)
            self.manifest = manifest
            return True
        if self._next is None:  # its predecessor's keys have signed it; now its own must
            self._next = root = Root(self._signed)
            if root.version != self.root.version + 1:
                raise UpdateError(update.REASON_ROOT_VERSION)
            self._keys, self._missing, self._at = root.keys, root.threshold, 0
            return False
        self.root = self._next
        self._next = None
        return True


def is_path(path) -> bool:
    """A place that a release may fill: main.py, or a program file below one of the three packages."""
    if not isinstance(path, str) or len(path.encode()) > update.PATH_MAX_BYTES:
        return False
    parts = path.split("/")
    words = parts[-1].split(".")
    if len(words) != 2 or words[1] not in update.ENDINGS:
        return False
    if len(parts) == 1:
        return words[0] == "main"
    if parts[0] not in update.FOLDERS or len(parts) > _FOLDERS_DEEP:
        return False
    for word in parts[:-1] + words[:1]:
        if not word:
            return False
        for character in word:
            if character not in update.PATH_CHARACTERS:
                return False
    return True


def _split(document: bytes, magic: bytes, limit: int):
    """[(kid, signature)] and the signed bytes."""
    if document_bytes(document, magic, limit) != len(document):
        raise UpdateError(update.REASON_DOCUMENT)
    signatures = []
    at = update.DOCUMENT_HEAD_BYTES
    for _ in range(document[5]):
        entry = document[at : at + update.SIGNATURE_BYTES]
        kid = entry[: limits.KID_BYTES]
        if signatures and kid <= signatures[-1][0]:
            raise UpdateError(update.REASON_DOCUMENT)
        signatures.append((kid, entry[limits.KID_BYTES :]))
        at += update.SIGNATURE_BYTES
    return signatures, document[at:]


def _parse(signed: bytes, type_: str, keys):
    try:
        top = json.loads(signed)
    except ValueError:
        raise UpdateError(update.REASON_DOCUMENT)
    if (
        not isinstance(top, dict)
        or tuple(sorted(top)) != keys
        or top["type"] != type_
        or top["format"] != update.FORMAT
    ):
        raise UpdateError(update.REASON_DOCUMENT)
    if top["product"] != update.PRODUCT:
        raise UpdateError(update.REASON_PRODUCT)
    return top


def _integer(top, key: str, low: int, high: int) -> int:
    number = top[key]
    if type(number) is not int or not low <= number <= high:
        raise UpdateError(update.REASON_DOCUMENT)
    return number


def _text(top, key: str) -> str:
    text = top[key]
    if not isinstance(text, str) or not 0 < len(text) <= _TEXT_MAX:
        raise UpdateError(update.REASON_DOCUMENT)
    return text


def _unhex(text, count: int) -> bytes:
    try:
        raw = unhexlify(text)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != count:
        raise UpdateError(update.REASON_DOCUMENT)
    return raw


def _kid(point: bytes) -> bytes:
    return hashlib.sha256(point).digest()[: limits.KID_BYTES]
