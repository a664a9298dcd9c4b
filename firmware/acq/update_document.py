"""What root documents and release manifests say (SPEC.md section 8.1): every field judged for itself, no signature.

Nothing here is called before the signatures over these bytes are good (update_trust.py). The bytes are RFC 8785 JSON
because the interpreter reads JSON and nothing else; that they are canonical is the signer's business.
"""

import hashlib
import json
import struct
from binascii import unhexlify

from acqwire import limits, update

_ROOT_KEYS = (
    "expires", "format", "minimum", "product", "release_key", "root_keys", "threshold", "type", "version",
)  # fmt: skip
_RELEASE_KEYS = (
    "board", "expires", "files", "format", "issued", "minimum", "mpy", "product", "release", "root", "type", "version",
)  # fmt: skip
_TEXT_MAX = 64
_FILES = b',"files":['  # nowhere else in canonical JSON: inside a text the quotation marks would be escaped
_FRONT_MAX = 512  # bytes before the list, and behind it
_ENTRY_MAX = 192  # of one entry: path 64, hash 64, what stands between
_CHUNK_BYTES = 192
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


class Root:
    """What a root document says. `keys`: {kid: point} of the root keys; `release_key`: a point with `release_kid`."""

    def __init__(self, signed: bytes) -> None:
        top = _check(_parse(signed), "root", _ROOT_KEYS)
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
    """What a release says, but its list of files, which stays where it is: `entries` reads it again. `count`,
    `total_bytes`: of the files; `program_hash`: FIRMWARE_HASH of this program's boot record (SPEC.md section 4.3)."""

    def __init__(self, file, start: int) -> None:
        """The signed bytes are file[start:]. They must be canonical: the list is found by its place among the keys."""
        file.seek(start)
        front = file.read(_FRONT_MAX)
        at = front.find(_FILES)
        if at < 0:
            raise UpdateError(update.REASON_DOCUMENT)
        self._files_at = at + len(_FILES)  # from the start of the signed bytes
        self._list = _List(file, start + self._files_at)
        self._walk()
        top = _check(_parse(front[: at + len(_FILES) - 1] + b"0" + self._list.rest()), "release", _RELEASE_KEYS)
        self._list = None
        self.version = _integer(top, "version", 1, update.VERSION_MAX)
        self.minimum = _integer(top, "minimum", 0, self.version)
        self.issued = _integer(top, "issued", 1, update.SECONDS_MAX)
        self.expires = _integer(top, "expires", self.issued, update.SECONDS_MAX)
        self.root = _integer(top, "root", 1, update.VERSION_MAX)
        self.mpy = _integer(top, "mpy", 0, 0x3FF)
        self.board = _text(top, "board")
        self.release = _text(top, "release")
        if self.mpy == 0 and self._is_compiled:
            raise UpdateError(update.REASON_PATH)
        if self.total_bytes > update.TOTAL_MAX_BYTES:
            raise UpdateError(update.REASON_SIZE)

    def entries(self, file, start: int):
        """(path, bytes, SHA-256) of each file, in the order of the transfer, from the same signed bytes."""
        return _List(file, start + self._files_at)

    def _walk(self) -> None:
        """The whole list once."""
        self.count = self.total_bytes = mains = 0
        self._is_compiled = False
        whole = hashlib.sha256()
        before = ""
        for path, size, digest in self._list:
            # ascending, so that no path comes twice; x.mpy and x.py are neighbours then
            if path.encode() <= before.encode() or path[: path.rfind(".")] == before[: before.rfind(".")]:
                raise UpdateError(update.REASON_FILES)
            self.count += 1
            self.total_bytes += size
            mains += path.startswith("main.")
            self._is_compiled |= path.endswith(".mpy")
            whole.update(path.encode() + b"\x00" + digest)
            before = path
        if mains != 1 or self.count > update.FILES_MAX:
            raise UpdateError(update.REASON_FILES)
        self.program_hash = whole.digest()


class _List:
    """Iterates over the entries of a manifest, each read and judged when its turn comes: all of them at once would want
    more of the heap than a running module has in one piece."""

    def __init__(self, file, at: int) -> None:
        self._file = file
        self._at = at  # of _window
        self._window = b""
        self._is_first = True

    def __iter__(self):
        return self

    def __next__(self):
        if self._is_first and self._look(0) == b"]":
            raise UpdateError(update.REASON_FILES)  # empty
        if not self._is_first:
            mark = self._take(1)
            if mark == b"]":
                raise StopIteration
            if mark != b",":
                raise UpdateError(update.REASON_DOCUMENT)
        self._is_first = False
        end = self._window.find(b"]")
        while end < 0 and len(self._window) < _ENTRY_MAX and self._more():
            end = self._window.find(b"]")
        if not 0 < end < _ENTRY_MAX:
            raise UpdateError(update.REASON_FILES)
        return _entry(_parse(self._take(end + 1)))

    def rest(self) -> bytes:
        """What follows the list."""
        while len(self._window) <= _FRONT_MAX and self._more():
            pass
        if len(self._window) > _FRONT_MAX:
            raise UpdateError(update.REASON_DOCUMENT)
        return self._window

    def _look(self, index: int) -> bytes:
        if len(self._window) <= index:
            self._more()
        return self._window[index : index + 1]

    def _take(self, count: int) -> bytes:
        self._look(count - 1)
        taken, self._window = self._window[:count], self._window[count:]
        return taken

    def _more(self) -> bool:
        self._file.seek(self._at)
        piece = self._file.read(_CHUNK_BYTES)
        self._at += len(piece)
        self._window += piece
        return len(piece) > 0


def _entry(item):
    """[path, bytes, SHA-256 hex] judged for itself."""
    if not isinstance(item, list) or len(item) != 3:
        raise UpdateError(update.REASON_FILES)
    path, size, digest = item
    if not is_path(path):
        raise UpdateError(update.REASON_PATH)
    if type(size) is not int or not 0 <= size <= update.FILE_MAX_BYTES:
        raise UpdateError(update.REASON_SIZE)
    return path, size, _unhex(digest, limits.HASH_BYTES)


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


def _parse(signed: bytes):
    try:
        return json.loads(signed)
    except ValueError:
        raise UpdateError(update.REASON_DOCUMENT)


def _check(top, type_: str, keys):
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
