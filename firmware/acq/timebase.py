"""Monotonic time of a boot and its mapping to UTC (SPEC.md sections 2.2 and 4.1; reliability section 5).

Time since the boot over the wraps of the tick counter; UTC only by the gateway's word, with an uncertainty that grows.
The module measures the round trip itself, from the nonce it gave to the claim that came back, so a claim that was held
up or repeated cannot set the clock closer than half that time. A new mapping counts from its own time sync record on;
older records are never touched.
"""

from acqwire import fields, frames, limits

from acq.instant import Instant

_NO_DECISION = 0  # of TIME_TAKEN: nonce unknown or too old
_PPM = 1000000


class Sync:
    """One TIME_SET that was judged: what record.py seals, and the mapping that it brings."""

    def __init__(self, host_utc_ms: int, host_unc_ms: int, nonce: bytes, round_trip_ms: int, mono_ms: int) -> None:
        self.host_utc_ms = host_utc_ms
        self.host_unc_ms = host_unc_ms
        self.nonce = nonce
        self.round_trip_ms = round_trip_ms
        self.step_ms = None  # None: the first mapping of this boot
        self.decision = fields.SYNC_FIRST
        self.mono_ms = mono_ms
        self.offset_ms = host_utc_ms + round_trip_ms // 2 - mono_ms
        self.unc_ms = (round_trip_ms + 1) // 2 + host_unc_ms


class Timebase:
    """`pending`: a judged Sync that waits for its record, or None."""

    def __init__(self, clock, entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._ticks = clock.ticks()
        self._now = Instant()
        self._nonce = b""
        self._nonce_ms = 0
        self._mapping = None  # the Sync in force
        self._sync_seq = 0  # seq of its record
        self.pending = None

    def look(self) -> Instant:
        """Now; never back. Always the same object, which each look moves on. To be called at least every 500 s."""
        ticks = self._clock.ticks()
        passed_us = self._clock.elapsed(ticks, self._ticks)
        if passed_us > 0:
            self._now.add_us(passed_us)
            self._ticks = ticks
        return self._now

    def now_ms(self) -> int:
        """Milliseconds since the boot, for records and answers: not for every round, they outgrow small integers."""
        now = self.look()
        return now.s * 1000 + now.us // 1000

    def ask(self, now_ms: int) -> bytes:
        """A new nonce; the one before is void."""
        self._nonce = self._entropy.random(frames.NONCE_BYTES)
        self._nonce_ms = now_ms
        return self._nonce

    def set(self, nonce: bytes, utc_ms: int, unc_ms: int, now_ms: int):
        """Judge a claim that arrived at now_ms: (SYNC_*, round trip ms). (0, 0): nonce unknown or too old, or the claim
        before it is not sealed yet: one that was answered is never dropped."""
        round_trip_ms = now_ms - self._nonce_ms
        if (
            self.pending is not None
            or not self._nonce
            or nonce != self._nonce
            or not 0 <= round_trip_ms <= frames.NONCE_VALID_MS
        ):
            return _NO_DECISION, 0
        self._nonce = b""
        sync = Sync(utc_ms, unc_ms, nonce, round_trip_ms, now_ms)
        if self._mapping is not None:
            sync.step_ms = sync.offset_ms - self._mapping.offset_ms
            if abs(sync.step_ms) <= limits.SLEW_MAX_MS:
                sync.decision = fields.SYNC_SLEWED
            elif abs(sync.step_ms) <= limits.STEP_MAX_MS:
                sync.decision = fields.SYNC_STEPPED
            else:
                sync.decision = fields.SYNC_REFUSED
        if not limits.UTC_PLAUSIBLE_FROM_MS <= utc_ms < limits.UTC_PLAUSIBLE_UNTIL_MS:
            sync.decision = fields.SYNC_REFUSED
        self.pending = sync
        return sync.decision, round_trip_ms

    def adopt(self, sync: Sync, seq: int) -> None:
        """Its time sync record is about to be built as record seq: from here on its mapping counts, unless refused."""
        self.pending = None
        if sync.decision != fields.SYNC_REFUSED:
            self._mapping = sync
            self._sync_seq = seq

    def stamp(self, stamp) -> None:
        """Fill a record.Stamp with now."""
        mono_ms = self.now_ms()
        stamp.mono_ms = mono_ms
        mapping = self._mapping
        if mapping is None:
            stamp.utc_status = fields.UTC_NONE
            return
        age_ms = mono_ms - mapping.mono_ms
        stamp.utc_ms = mono_ms + mapping.offset_ms
        stamp.utc_unc_ms = mapping.unc_ms + -(-age_ms * limits.DRIFT_PPM // _PPM)
        stamp.sync_seq = self._sync_seq
        if mapping.decision == fields.SYNC_STEPPED:
            stamp.utc_status = fields.UTC_STEPPED
        elif age_ms > limits.HOLDOVER_AFTER_S * 1000:
            stamp.utc_status = fields.UTC_HOLDOVER
        else:
            stamp.utc_status = fields.UTC_HOST
