"""Deterministic CBOR writer for the subset that records use (RFC 8949, December 2020, section 4.2.1).

Unsigned and negative integers to 64 bits, byte strings, text, array, map and tag heads, always the shortest head, into
a buffer that exists already. The caller writes map keys in ascending order. There is no reader: the module reads none.
"""

from acq.dialect import const

_UINT = const(0x00)
_NINT = const(0x20)
_BYTES = const(0x40)
_TEXT = const(0x60)
_ARRAY = const(0x80)
_MAP = const(0xA0)
_TAG = const(0xC0)
_UINT64_MAX = 0xFFFFFFFFFFFFFFFF


class CborFull(Exception):
    """The item does not fit the buffer, or a number does not fit 64 bits. What was written before stands."""


class Writer:
    """Writes items one after the other; buf[:end] is what has been written."""

    def __init__(self, buf) -> None:
        self._buf = memoryview(buf)
        self._size = len(buf)
        self.end = 0

    def reset(self) -> None:
        """Begin again at the start of the buffer."""
        self.end = 0

    def uint(self, number: int) -> None:
        """0 <= number < 2**64."""
        self._head(_UINT, number)

    def int(self, number: int) -> None:
        """-2**64 <= number < 2**64."""
        if number < 0:
            self._head(_NINT, -1 - number)
        else:
            self._head(_UINT, number)

    def bytes(self, data, start: int = 0, end=None) -> None:
        """data[start:end] as a byte string."""
        self._string(_BYTES, data, start, len(data) if end is None else end)

    def head_of_bytes(self, count: int) -> None:
        """Head of a byte string; exactly `count` bytes follow by `put`."""
        self._head(_BYTES, count)

    def put(self, data) -> None:
        """Bytes behind `head_of_bytes`, as they are."""
        count = len(data)
        self._room(count)
        self._buf[self.end : self.end + count] = data
        self.end += count

    def text(self, text: str) -> None:
        """A text string in UTF-8."""
        data = text.encode()
        self._string(_TEXT, data, 0, len(data))

    def array(self, count: int) -> None:
        """Head of an array; `count` items follow."""
        self._head(_ARRAY, count)

    def map(self, count: int) -> None:
        """Head of a map; `count` pairs follow, keys ascending."""
        self._head(_MAP, count)

    def tag(self, number: int) -> None:
        """Head of a tag; one item follows."""
        self._head(_TAG, number)

    def _string(self, major: int, data, start: int, end: int) -> None:
        count = end - start
        self._head(major, count)
        at = self.end
        if count > self._size - at:
            raise CborFull()
        self._buf[at : at + count] = data if count == len(data) else memoryview(data)[start:end]
        self.end = at + count

    def _head(self, major: int, number: int) -> None:
        if number < 24:
            if number < 0:
                raise CborFull()
            width = 0
            self._room(1)
            self._buf[self.end] = major | number
        elif number < 0x100:
            width = 1
            self._room(2)
            self._buf[self.end] = major | 24
        elif number < 0x10000:
            width = 2
            self._room(3)
            self._buf[self.end] = major | 25
        elif number >> 32 == 0:
            width = 4
            self._room(5)
            self._buf[self.end] = major | 26
        elif number <= _UINT64_MAX:
            width = 8
            self._room(9)
            self._buf[self.end] = major | 27
        else:
            raise CborFull()
        at = self.end + width
        self.end = at + 1
        while width:
            self._buf[at] = number & 0xFF
            number >>= 8
            at -= 1
            width -= 1

    def _room(self, count: int) -> None:
        if count > self._size - self.end:
            raise CborFull()
