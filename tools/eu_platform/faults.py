"""Faults on demand: which, when, how often, of what. What each does to a request: tools.eu_platform.spoil.

    KIND[:FROM-TO][:rate=R][:count=N][:at=report|token|any][:OPTION=VALUE...]

FROM-TO: seconds since the start, or since it was set by /control. rate: share of the requests that are hit (1).
count: only the first N that would be hit. at: deliveries (report, the default), token requests, or every request.

KIND             what the client meets                                                stored?  OPTION (default)
400 ... 504      this status as a problem: 400 401 403 404 408 409 413 422 425 429    no       retry (none): seconds,
                 500 502 503 504                                                               date, past, absurd,
                                                                                               negative, words, or N
token-refused    every token is forgotten before the request is looked at             no
redirect         307 to another host                                                  no       to (elsewhere.invalid)
timeout-before   no answer                                                            no       ms (300000)
timeout-after    no answer                                                            yes      ms (300000)
reset-before     TCP reset                                                            no
reset-after      TCP reset                                                            yes
reset-at         TCP reset after so many bytes of the answer                          yes      byte (100); N+ is one
                                                                                               more at each hit from N
                                                                                               on, and anew behind the
                                                                                               answer's end
slow             the answer byte by byte                                              yes      ms (1000) a byte
endless-headers  headers without an end                                               yes      ms (1) a line
wrong-length     Content-Length off by so much, then the end of the connection        yes      by (64)
truncated-json   a body that ends in its middle, in good HTTP                         yes
no-receipt       2xx, JSON, no receipt                                                yes
foreign-receipt  a receipt with a good signature, for other averages                  yes
bad-signature    the right receipt with one bit of the signature turned               yes
gzip-bomb        Content-Encoding: gzip; the receipt behind so many MiB of blanks     yes      mib (64)
hold             the right answer; the work takes this long, with the key in flight   yes      ms (1000)
The first fault of the list that hits a request is the one that happens to it.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

STATUSES = (400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504)
AFTER = frozenset(  # what happens to the answer of a request that was served
    "timeout-after reset-after reset-at slow endless-headers wrong-length truncated-json no-receipt foreign-receipt"
    " bad-signature gzip-bomb".split()
)
BEFORE = frozenset("redirect timeout-before reset-before".split())  # the request is not served
SERVED = frozenset("token-refused hold".split())  # served in an unusual way
KINDS = AFTER | BEFORE | SERVED | frozenset(map(str, STATUSES))
TARGETS = ("report", "token", "any")
RETRIES = ("seconds", "date", "past", "absurd", "negative", "words")
OPTIONS = {"ms": {"timeout-before", "timeout-after", "slow", "endless-headers", "hold"}} | {
    "retry": set(map(str, STATUSES)),
    "to": {"redirect"},
    "byte": {"reset-at"},
    "by": {"wrong-length"},
    "mib": {"gzip-bomb"},
}
PATTERNS = {
    "ms": r"[0-9]{1,7}",
    "retry": r"[0-9]{1,9}|" + "|".join(RETRIES),
    "to": r"[a-z0-9.-]{1,100}",
    "byte": r"[0-9]{1,6}\+?",
    "by": r"-?[0-9]{1,6}",
    "mib": r"[0-9]{1,3}",
}
MOST_FAULTS = 64  # of one plan
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"


class FaultWishError(Exception):
    """A wish that is not of the form above; one line."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One wish. `until_s` None: to the end. `text`: as it was given. `hit`: how often it has happened before."""

    text: str
    kind: str
    from_s: float = 0.0
    until_s: float | None = None
    rate: float = 1.0
    count: int | None = None
    at: str = "report"
    options: dict[str, str] = field(default_factory=dict)
    hit: int = 0

    def number(self, option: str, default: int) -> int:
        """A numeric option."""
        return int(self.options.get(option, default))

    def cut(self, length: int) -> int:
        """After how many bytes of an answer of this length a reset comes: fewer than all where it goes on by itself."""
        wish = self.options.get("byte", "100")
        return (int(wish[:-1]) + self.hit) % length if wish.endswith("+") else int(wish)


def parse_fault(text: str) -> Fault:
    """Raises FaultWishError for anything but the form above."""
    kind, *parts = text.split(":")
    if kind not in KINDS:
        raise FaultWishError(f"fault {text!r}: no such kind; kinds: {' '.join(sorted(KINDS))}")
    fields: dict[str, float | int | str] = {}
    options: dict[str, str] = {}
    for part in parts:
        name, is_option, value = part.partition("=")
        span = re.fullmatch(rf"({_NUMBER})-({_NUMBER})?", part)
        if span is not None:
            fields["from_s"] = float(span[1])
            if span[2]:
                fields["until_s"] = float(span[2])
        elif name == "rate" and re.fullmatch(_NUMBER, value):
            fields["rate"] = float(value)
        elif name == "count" and re.fullmatch(r"[0-9]{1,9}", value):
            fields["count"] = int(value)
        elif name == "at" and value in TARGETS:
            fields["at"] = value
        elif is_option and kind in OPTIONS.get(name, ()) and re.fullmatch(PATTERNS[name], value):
            options[name] = value
        else:
            raise FaultWishError(f"fault {text!r}: cannot read {part!r} of this kind; see tools/eu_platform/faults.py")
    fault = Fault(text, kind, options=options, **fields)  # type: ignore[arg-type]
    if not 0 < fault.rate <= 1:
        raise FaultWishError(f"fault {text!r}: rate is above 0 and at most 1")
    if fault.until_s is not None and fault.until_s <= fault.from_s:
        raise FaultWishError(f"fault {text!r}: ends before it begins")
    if fault.at == "token" and kind in ("hold", "no-receipt", "foreign-receipt", "bad-signature", "token-refused"):
        raise FaultWishError(f"fault {text!r}: is for deliveries, not for tokens")
    return fault


def parse_faults(texts: Sequence[str]) -> list[Fault]:
    """Raises FaultWishError."""
    if len(texts) > MOST_FAULTS:
        raise FaultWishError(f"{len(texts)} faults; at most {MOST_FAULTS}")
    return [parse_fault(text) for text in texts]


class FaultPlan:
    """Which fault hits a request. Draws repeat themselves with the same seed and the same requests."""

    def __init__(self, faults: Sequence[Fault], seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self.set(faults)

    def set(self, faults: Sequence[Fault]) -> None:
        """From now on these and no others; their clocks begin."""
        with self._lock:
            self.faults = tuple(faults)
            self._hits = [0] * len(self.faults)
            self._began_s = time.monotonic()

    def hits(self) -> list[tuple[str, int]]:
        """Each wish and how often it has happened."""
        with self._lock:
            return [(fault.text, hits) for fault, hits in zip(self.faults, self._hits, strict=True)]

    def draw(self, target: str) -> Fault | None:
        """What happens to the next request; `target`: report, token or other."""
        with self._lock:
            now_s = time.monotonic() - self._began_s
            for index, fault in enumerate(self.faults):
                if fault.at not in (target, "any") or not fault.from_s <= now_s:
                    continue
                if fault.until_s is not None and now_s >= fault.until_s:
                    continue
                if fault.count is not None and self._hits[index] >= fault.count:
                    continue
                if fault.rate == 1 or self._random.random() < fault.rate:
                    self._hits[index] += 1
                    return replace(fault, hit=self._hits[index] - 1)
        return None
