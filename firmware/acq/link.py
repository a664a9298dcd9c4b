"""The module's half of the link (SPEC.md section 2.2), without I/O: bytes in, frames out, no session kept.

The app moves the bytes and needs nothing else:

    count = stream.read(buf); link.feed(buf, count, now_ms)
    while link.poll(now_ms):
        taken = stream.write(link.buf, link.start, link.end)
        if not taken: break
        link.sent(taken)
"""


class Link:
    """Answers one question at a time; a new question replaces an answer that is not finished.

    `busy_ms`: while it is not 0 every question is answered BUSY with it (set by the app around long flash work).
    `buf`, `start`, `end`: what waits to be sent. RAM: one transmit buffer of 4,630 bytes, one receive buffer of 64.
    """

    def __init__(self, address: int, device: str, kid: bytes, boot: int, journal, time) -> None:
        """boot: number of the running boot. time: `ask(now_ms) -> nonce (8 bytes)` and
        `set(nonce, utc_ms, unc_ms, now_ms) -> (decision, round_trip_ms)`."""

    def feed(self, buf, count: int, now_ms: int) -> None:
        """Take buf[:count] as it came from the line; now_ms: monotonic time, also the arrival of a question in it."""

    def poll(self, now_ms: int) -> bool:
        """Prepare the next frame of the open answer; True when buf[start:end] waits to be sent. Raises nothing."""

    def sent(self, count: int) -> None:
        """The line has taken `count` bytes of buf[start:end]."""
