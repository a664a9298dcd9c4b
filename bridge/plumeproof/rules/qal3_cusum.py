"""One step of a CUSUM chart of QAL3: precision first, then drift both ways (EN 14181:2014 annex; DK 0.85).

    precision  s   = max(0, (s + 1/2 (d - d before)^2) - k_s)      alarm when s > h_s       h_s, k_s in s_AMS^2
    drift +    sum = max(0, (sum + d) - k_x)                       alarm when sum > h_x     h_x, k_x in s_AMS
    drift -    sum = max(0, (sum - d) - k_x)
    N              readings since the sum last left 0
    adjust by      share (k_x + sum / N), subtracted for +, added for -

The precision sum begins with the second reading. A precision alarm means repair: drift is then counted but not judged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CusumConstants:
    """In units of s_AMS, h_s and k_s of its square; `adjust_share` of the estimated drift."""

    h_x: float
    k_x: float
    h_s: float
    k_s: float
    adjust_share: float


@dataclass(frozen=True, slots=True)
class CusumState:
    """Sums and how many readings each has been above 0; `last_d`: None before the first reading."""

    last_d: float | None = None
    s: float = 0.0
    n_s: int = 0
    sum_pos: float = 0.0
    n_pos: int = 0
    sum_neg: float = 0.0
    n_neg: int = 0


def step_cusum(constants: CusumConstants, s_ams: float, state: CusumState, d: float) -> tuple[CusumState, str, float]:
    """The next state, the alarm ("", "precision", "drift"), and with "drift" the correction to add to readings."""
    square = s_ams * s_ams
    k_x, h_x = constants.k_x * s_ams, constants.h_x * s_ams
    s, n_s = 0.0, 0
    if state.last_d is not None:
        step = d - state.last_d
        s, n_s = _raised((state.s + 0.5 * (step * step)) - constants.k_s * square, state.n_s)
    sum_pos, n_pos = _raised((state.sum_pos + d) - k_x, state.n_pos)
    sum_neg, n_neg = _raised((state.sum_neg - d) - k_x, state.n_neg)
    after = CusumState(d, s, n_s, sum_pos, n_pos, sum_neg, n_neg)
    if s > constants.h_s * square:
        return after, "precision", 0.0
    if sum_pos > h_x:
        return after, "drift", 0.0 - constants.adjust_share * (k_x + sum_pos / n_pos)
    if sum_neg > h_x:
        return after, "drift", constants.adjust_share * (k_x + sum_neg / n_neg)
    return after, "", 0.0


def _raised(value: float, n: int) -> tuple[float, int]:
    return (value, n + 1) if value > 0.0 else (0.0, 0)
