"""QAL2, AST and QAL3 once more, slowly: fractions, statistics and closed forms, from the reference (section 8) alone.

Written without a look at plumeproof.rules. The factors come from the distributions themselves: by bisection on the
closed forms of chi-square and Student's t, in 50 decimals.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

HALF = Decimal("0.5")


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """(a, b) of least squares, exact until the last division."""
    xs, ys = [Fraction(one) for one in x], [Fraction(one) for one in y]
    n, x_sum, y_sum = len(xs), sum(xs), sum(ys)
    xy = sum(one * other for one, other in zip(xs, ys, strict=True))
    b = (n * xy - x_sum * y_sum) / (n * sum(one * one for one in xs) - x_sum * x_sum)
    return float((y_sum - b * x_sum) / n), float(b)


def scatter(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation."""
    exact = [Fraction(one) for one in differences]
    return float(statistics.mean(exact)), math.sqrt(statistics.variance(exact))


@cache
def factors(pairs: int) -> tuple[float, float]:
    """k_v and t of `pairs` pairs."""
    nu = pairs - 1
    with localcontext() as context:
        context.prec = 50
        median = _bisect(lambda x: _chi2(x, nu), HALF, Decimal(3 * nu + 10))
        t = _bisect(lambda x: _student(x, nu), Decimal("0.95"), Decimal(10))
        return float((median / nu).sqrt()), float(t)


def _bisect(function, target, high):
    low = Decimal(0)
    for _ in range(90):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return (low + high) / 2


def _pi() -> Decimal:
    return 16 * _arctan(Decimal(1) / 5) - 4 * _arctan(Decimal(1) / 239)


def _arctan(x: Decimal) -> Decimal:
    halvings = 0
    while abs(x) > Decimal("0.2"):
        x, halvings = x / (1 + (1 + x * x).sqrt()), halvings + 1
    term = total = x
    n = 1
    while abs(term) > Decimal("1e-52"):
        term, n = -term * x * x, n + 2
        total += term / n
    return total * 2**halvings


def _chi2(x: Decimal, nu: int) -> Decimal:
    """P(X < x): the series of the incomplete gamma function."""
    a, h = Decimal(nu) / 2, x / 2
    gamma = Decimal(1) if nu % 2 == 0 else _pi().sqrt()
    step = Decimal(1) if nu % 2 == 0 else HALF
    while step < a:
        gamma, step = gamma * step, step + 1
    term = (a * h.ln() - h).exp() / (gamma * a) if h > 0 else Decimal(0)
    total, n = term, 1
    while term > Decimal("1e-45"):
        term, n = term * h / (a + n), n + 1
        total += term
    return total


def _student(t: Decimal, nu: int) -> Decimal:
    """P(T < t) for t > 0, by the finite sums over powers of the cosine."""
    square = nu / (nu + t * t)
    sine, cosine = (1 - square).sqrt(), square.sqrt()
    total, term = Decimal(0), cosine if nu % 2 else Decimal(1)
    for k in range((nu - 1) // 2 if nu % 2 else nu // 2):
        total += term
        term *= square * (2 * k + 2 - (nu % 2 == 0)) / (2 * k + 3 - (nu % 2 == 0))
    inside = sine * total
    if nu % 2:
        inside = 2 / _pi() * (_arctan(t / Decimal(nu).sqrt()) + inside)
    return (1 + inside) / 2


def weeks(
    averages: Sequence[tuple[int, float, bool]], upper: float, offset_min: int
) -> dict[datetime, tuple[int, int]]:
    """Monday 00:00 of the site (as UTC) to (valid, outside), by the calendar."""
    found: dict[datetime, tuple[int, int]] = {}
    shift = timedelta(minutes=offset_min)
    for utc_ms, value, is_valid in averages:
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms) + shift
        monday = datetime(local.year, local.month, local.day, tzinfo=UTC) - timedelta(days=local.weekday()) - shift
        valid, outside = found.get(monday, (0, 0))
        if is_valid:
            valid, outside = valid + 1, outside + (not 0 <= value <= upper)
        found[monday] = valid, outside
    return dict(sorted(found.items()))


@dataclass
class Cusum:
    """The recursion of 8.4 in fractions, for one chart; stops at its first alarm."""

    s_ams: float
    d: list[Fraction] = field(default_factory=list)
    s: Fraction = Fraction(0)
    pos: Fraction = Fraction(0)
    neg: Fraction = Fraction(0)
    n_pos: int = 0
    n_neg: int = 0

    def take(self, d: float) -> tuple[str, float]:
        """Alarm and signed correction."""
        sigma = Fraction(self.s_ams)
        self.d.append(Fraction(d))
        if len(self.d) > 1:
            step = self.d[-1] - self.d[-2]
            self.s = max(Fraction(0), self.s + step * step / 2 - Fraction("1.85") * sigma**2)
        k_x, h_x = Fraction("0.501") * sigma, Fraction("2.85") * sigma
        self.pos, self.neg = (
            max(Fraction(0), self.pos + self.d[-1] - k_x),
            max(Fraction(0), self.neg - self.d[-1] - k_x),
        )
        self.n_pos, self.n_neg = (self.n_pos + 1) * (self.pos > 0), (self.n_neg + 1) * (self.neg > 0)
        if self.s > Fraction("6.9") * sigma**2:
            return "precision", 0.0
        if self.pos > h_x:
            return "drift", -float(Fraction("0.7") * (k_x + self.pos / self.n_pos))
        if self.neg > h_x:
            return "drift", float(Fraction("0.7") * (k_x + self.neg / self.n_neg))
        return "", 0.0


def ewma(d: Sequence[float], s_ams: float, smoothing: float = 0.2, width: float = 2.859) -> list[tuple[float, float]]:
    """(z, limit) of each reading, z as the weighted sum over all of them and the limit by its closed form."""
    share, found = Fraction(smoothing), []
    for t in range(1, len(d) + 1):
        z = sum(share * (1 - share) ** (t - 1 - i) * Fraction(d[i]) for i in range(t))
        variance = share / (2 - share) * (1 - (1 - share) ** (2 * t))
        found.append((float(z), width * s_ams * math.sqrt(variance)))
    return found
