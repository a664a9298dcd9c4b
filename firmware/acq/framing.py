"""Link frames to bytes and back (SPEC.md section 2.1): COBS (Cheshire and Baker, 1999), CRC-32, one zero at the end.

Both classes work in one buffer made at the start and allocate nothing per byte. Noise is no error: whatever lies between
two zeros and is no good frame is dropped and counted. What a body means is link.py's business.
"""


class FrameReader:
    """Decodes byte by byte. `is_whole` is True from the end of a good frame to the next call of `feed`; then `address`,
    `type`, `number` and body[:body_count] are good. RAM: `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        """capacity: longest frame (header, body, CRC) that is of interest; a longer one is dropped and counted."""

    def feed(self, buf, start: int, end: int) -> int:
        """Take buf[start:end] up to the end of the first good frame; index of the first byte not taken."""

    def reset(self) -> None:
        """Forget an unfinished frame."""


class FrameWriter:
    """Encodes one frame at a time in place. `body` is where the body is written; after `finish`, buf[start:end] is what
    the line must carry. RAM: one frame of 4,608 bytes and 22 for the encoding."""

    def __init__(self) -> None:
        pass

    def finish(self, address: int, type_: int, number: int, body_count: int, is_first: bool) -> None:
        """Encode header, body[:body_count] and CRC; a zero in front when `is_first` frame after silence."""
