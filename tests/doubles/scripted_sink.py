"""A sink that answers as a test says, and remembers what took effect. It does not imitate a connection, a token or a
time limit: those are of the real sinks and their own tests.
"""

from __future__ import annotations

from collections.abc import Sequence

from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow, Receipt

ERRORS = {
    "retry": lambda: RetryableDelivery("scripted"),
    "blocked": lambda: BlockedDelivery("scripted"),
    "final": lambda: FinalDelivery("scripted"),
    "divide": lambda: FinalDelivery("scripted", can_split=True),
}


class ScriptedSink:
    """ports.Sink. `script`: of the next rows, one word each: ok, lost (took effect, no answer), or one of ERRORS.

    `effects`: (key, body) in the order in which they first took effect; a repeat has none.
    """

    def __init__(self, name: str = "scripted", window: int = 3) -> None:
        self.name, self.window = name, window
        self.script: list[str] = []
        self.effects: dict[str, bytes] = {}
        self.tended_count = 0

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """As ports.Sink.deliver."""
        assert 0 < len(rows) <= self.window and len({row.module for row in rows}) == 1
        receipts: list[Receipt] = []
        for row in rows:
            word = self.script.pop(0) if self.script else "ok"
            if word in ("ok", "lost"):
                self.effects.setdefault(row.key, row.body)
            if word != "ok":
                if receipts:
                    break
                raise ERRORS.get(word, ERRORS["retry"])()
            receipts.append(Receipt(row.id, self.name, b"{}", 1))
        return receipts

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """Halves of the body, down to one byte."""
        middle = len(row.body) // 2
        halves = (row.body[:middle], row.body[middle:])
        return [(f"{row.key}.{half.hex()}", half) for half in halves] if middle else ()

    def tend(self) -> bool:
        """Counted; it proves nothing."""
        self.tended_count += 1
        return False

    def counters(self) -> dict[str, int]:
        """None of its own."""
        return {}

    def close(self) -> None:
        """Nothing is held."""
