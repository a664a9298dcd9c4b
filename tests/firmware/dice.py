"""Random numbers that are the same on both interpreters, so that a seed names one history."""


class Dice:
    """The same numbers on both interpreters (xorshift32, Marsaglia 2003)."""

    def __init__(self, seed: int) -> None:
        self._state = seed & 0xFFFFFFFF or 1

    def below(self, limit: int) -> int:
        """0 <= n < limit."""
        state = self._state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._state = state
        return (state >> 4) % limit
