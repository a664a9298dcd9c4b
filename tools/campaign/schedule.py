"""Which part dies when: drawn from a seed, each part about equally often."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CALM_S = (0.3, 3.0)  # between a line that runs and the next death
DOWN_S = (0.0, 2.0)  # how long the others run without the dead
AGAIN_SHARE = 0.2  # of deaths that are followed by another one during the start
AGAIN_S = (0.02, 0.6)  # after the start was begun
PAIR_SHARE = 0.2  # of deaths that take a second part with them


@dataclass(frozen=True, slots=True)
class Blow:
    """One attack: wait, kill these at once, let the rest run, and perhaps kill the first again while it starts."""

    calm_s: float
    parts: tuple[str, ...]
    down_s: float
    again_s: float | None

    @property
    def kills(self) -> int:
        return len(self.parts) + (self.again_s is not None)


def draw_blows(seed: int, parts: Sequence[str], kills: int | None) -> Iterator[Blow]:
    """`kills` None: for ever. Every part is drawn once before one is drawn twice."""
    drawn = random.Random(seed)
    left: list[str] = []

    def next_part() -> str:
        if not left:
            left.extend(drawn.sample(list(parts), len(parts)))
        return left.pop()

    done = 0
    while kills is None or done < kills:
        remaining = None if kills is None else kills - done
        calm_s, down_s = drawn.uniform(*CALM_S), drawn.uniform(*DOWN_S)
        chosen = [next_part()]
        if drawn.random() < PAIR_SHARE and remaining != 1:
            second = next_part()
            if second not in chosen:
                chosen.append(second)
            else:
                left.append(second)
        wants_again = drawn.random() < AGAIN_SHARE
        again_s = drawn.uniform(*AGAIN_S)
        has_room = remaining is None or remaining > len(chosen)
        blow = Blow(calm_s, tuple(chosen), down_s, again_s if wants_again and has_room else None)
        done += blow.kills
        yield blow
