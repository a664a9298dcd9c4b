"""The container of a bundle: a zip file with exactly one form (bridge/BUNDLE.md section 1).

Stored members in ascending order of their names, fixed dates, no comments, extra fields or gaps; zip64 only where an
offset or a count needs it. Whoever reads builds every header again from name, size and CRC and compares, so that no
byte of the file is outside what is checked; Python's zipfile, which forgives much, opens it too but is not used.

    with whole_file(path) as file: writer = BundleWriter(file); writer.add("data/keys.json", [raw]); writer.finish()
    members = read_members(file); b"".join(read_member(file, members["data/keys.json"]))
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from plumeproof.errors import EvidenceError, StoreError

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}(/[a-z0-9][a-z0-9_.-]{0,79}){0,3}")
NAME_MAX = 323
MEMBERS_MAX = 200_000  # fifty modules for ten years
MEMBER_MAX_BYTES = 2**32 - 2  # a member never needs zip64; envelopes are cut into parts long before
READ_BYTES = 1024 * 1024
DATE = 0x0021  # 1980-01-01, the first that a zip file can say
VERSION, VERSION_64 = 10, 45  # needed to extract: PKWARE APPNOTE 6.3.10 section 4.4.3
END_16, END_32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 record"

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_END_64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR_64 = struct.Struct("<4sLQL")


@dataclass(frozen=True, slots=True)
class Member:
    """`offset`: of its content in the file."""

    name: str
    crc: int
    size: int
    offset: int


class BundleWriter:
    """Writes members in ascending order into a file that can be wound back for the head of each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self.members: list[Member] = []
        self.digests: list[bytes] = []  # SHA-256 of each content

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        """A member from pieces of its content. Raises StoreError for a name out of place and a content too long."""
        if not NAME.fullmatch(name) or (self.members and name <= self.members[-1].name):
            raise StoreError(f"member {ascii(name)[:80]} cannot stand here: its name is no member's, or out of order")
        start = self._at + _LOCAL.size + len(name)
        self._file.write(bytes(start - self._at))
        crc, size, digest = 0, 0, hashlib.sha256()
        for piece in pieces:
            self._file.write(piece)
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            digest.update(piece)
            if size > MEMBER_MAX_BYTES:
                raise StoreError(f"member {name} is longer than {MEMBER_MAX_BYTES} bytes; export a shorter period")
        member = Member(name, crc, size, start)
        self._file.seek(self._at)
        self._file.write(_local(member))
        self._at = start + size
        self._file.seek(self._at)
        self.members.append(member)
        self.digests.append(digest.digest())

    def finish(self) -> None:
        """The directory at the end."""
        self._file.write(_tail(self.members, self._at))


def read_members(file: BinaryIO) -> dict[str, Member]:
    """Every member of a bundle by name, in order. Raises EvidenceError (zip): anything but the one form."""
    found: dict[str, Member] = {}
    at, last = 0, ""
    while True:
        file.seek(at)
        head = file.read(_LOCAL.size + NAME_MAX)
        if head[:4] != b"PK\3\4":
            break
        if len(head) < _LOCAL.size or len(found) == MEMBERS_MAX:
            raise _fault(at, f"cut off, or more than {MEMBERS_MAX} members")
        *_, crc, size, _, length, _ = _LOCAL.unpack_from(head)
        raw = head[_LOCAL.size : _LOCAL.size + length]
        name = raw.decode("ascii", "replace")
        if not NAME.fullmatch(name) or name <= last:
            raise _fault(at, f"member name {ascii(name)[:80]} is none of a bundle, stands twice or out of order")
        member = Member(name, crc, size, at + _LOCAL.size + length)
        if size > MEMBER_MAX_BYTES or _local(member) != head[: _LOCAL.size + length]:
            raise _fault(at, f"head of {name} is not as a bundle has it")
        found[name] = member
        at, last = member.offset + size, name
    tail = _tail(list(found.values()), at)
    file.seek(at)
    if file.read(len(tail) + 1) != tail:
        raise _fault(at, "what follows the last member is not the directory of the members before it")
    return found


def read_member(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The content of a member in pieces."""
    at, left = member.offset, member.size
    while left:
        file.seek(at)
        piece = file.read(min(left, READ_BYTES))
        if not piece:
            raise _fault(at, f"{member.name} is cut off")
        yield piece
        at, left = at + len(piece), left - len(piece)


def read_whole(file: BinaryIO, member: Member, maximum: int) -> bytes:
    """The content of a small member. Raises EvidenceError (too_large, zip)."""
    if member.size > maximum:
        raise EvidenceError("too_large", f"{member.name} has {member.size} bytes, at most {maximum}")
    return b"".join(read_member(file, member))


def _fault(at: int, detail: str) -> EvidenceError:
    return EvidenceError("zip", f"byte {at}: {detail}")


def _local(member: Member) -> bytes:
    name = member.name.encode("ascii")
    fixed = (b"PK\3\4", VERSION, 0, 0, 0, DATE, member.crc, member.size, member.size, len(name), 0)
    return _LOCAL.pack(*fixed) + name


def _tail(members: list[Member], start: int) -> bytes:
    """Central directory and its end, for members that end at `start`."""
    parts = []
    for member in members:
        name = member.name.encode("ascii")
        offset = member.offset - _LOCAL.size - len(name)
        is_far = offset >= END_32
        extra = struct.pack("<HHQ", 1, 8, offset) if is_far else b""
        version = VERSION_64 if is_far else VERSION
        fixed = (b"PK\1\2", version, version, 0, 0, 0, DATE, member.crc, member.size, member.size, len(name))
        parts.append(_CENTRAL.pack(*fixed, len(extra), 0, 0, 0, 0, min(offset, END_32)) + name + extra)
    directory = b"".join(parts)
    count, size = len(members), len(directory)
    if count >= END_16 or start >= END_32 or size >= END_32:
        end_64 = _END_64.pack(b"PK\6\6", 44, VERSION_64, VERSION_64, 0, 0, count, count, size, start)
        directory += end_64 + _LOCATOR_64.pack(b"PK\6\7", 0, start + size, 1)
    few = min(count, END_16)
    return directory + _END.pack(b"PK\5\6", 0, 0, few, few, min(size, END_32), min(start, END_32), 0)
