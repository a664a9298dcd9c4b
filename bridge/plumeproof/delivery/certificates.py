"""How long the certificates of one connection still hold: the client's own, and the other side's as it was shown.

Renewal needs a person and takes days (reference: reliability section 10): what ends within WARN_DAYS is logged once a
day, and the whole days that are left stand in the counters of the sink, from which the dashboard takes them.
"""

from __future__ import annotations

import logging

from plumeproof.delivery.tls import DAY_S, WARN_DAYS, ClientCertificate, left_days
from plumeproof.errors import ConfigError
from plumeproof.ports import Clock

_log = logging.getLogger(__name__)

COUNTER = "{}_certificate_left_days"
LOOK_S = 60.0  # a file is not read at every answer


class CertificateWatch:
    """Of one sink. Used by the thread that delivers; `left` may be read by any."""

    def __init__(self, sink: str, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        self._warned: dict[str, float] = {}  # certificate to the time of its last warning
        self._looked: tuple[float, float | None] = (-LOOK_S, None)  # when, and the end of the other side's
        self.left: dict[str, int] = {}  # days of the client's and the server's, as far as they were seen

    def look(self, identity: ClientCertificate | None, peer_ends_utc_s: float | None) -> None:
        """After an answer, or while a connection stands."""
        now_s, monotonic_s = self._clock.utc_ms() / 1000.0, self._clock.monotonic_s()
        if monotonic_s - self._looked[0] < LOOK_S and peer_ends_utc_s == self._looked[1]:
            return
        self._looked = monotonic_s, peer_ends_utc_s
        ends = {"server": peer_ends_utc_s}
        if identity is not None:
            try:
                ends["client"] = identity.ends_utc_s()
            except ConfigError:
                ends["client"] = None  # it is being replaced; the next connection says what is wrong with it
        for which, ends_s in ends.items():
            if ends_s is None:
                continue
            days = left_days(ends_s, now_s)
            self.left = self.left | {which: days}
            if days < WARN_DAYS and now_s - self._warned.get(which, -DAY_S) >= DAY_S:
                self._warned[which] = now_s
                _log.warning("certificate_ends sink=%s which=%s days=%d", self._sink, which, days)

    def counters(self) -> dict[str, int]:
        """Whole days that are left, by certificate."""
        return {COUNTER.format(which): days for which, days in self.left.items()}

    def ending(self) -> list[str]:
        """What ends within WARN_DAYS; a sentence each."""
        return [
            f"the {which}'s certificate ends in {days} days"
            for which, days in sorted(self.left.items())
            if days < WARN_DAYS
        ]
