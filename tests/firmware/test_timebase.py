"""Time of a boot and its mapping to UTC: wraps, steps, refusals, holdover; random histories and a model."""

from acqwire import fields, frames, limits
from dice import Dice
from rig_lines import RigClock

from acq.record import Stamp
from acq.timebase import Timebase

UTC = 1796083200000
_COUNTS = [0]


class Counter:
    """Entropy that never repeats itself."""

    def random(self, count):
        _COUNTS[0] += 1
        return _COUNTS[0].to_bytes(count, "big")


def _base():
    clock = RigClock()
    return clock, Timebase(clock, Counter())


def _pass(clock, base, microseconds):
    """Time goes on; the module looks at least every 400 s."""
    while microseconds > 0:
        clock.now += min(microseconds, 400000000)
        microseconds -= 400000000
        base.look()


def _us(base):
    now = base.look()
    assert 0 <= now.us < 1000000
    return now.s * 1000000 + now.us


def _sync(clock, base, utc_ms, unc_ms=0, round_trip_ms=0):
    """One exchange; (decision, measured round trip)."""
    nonce = base.ask(base.now_ms())
    _pass(clock, base, round_trip_ms * 1000)
    return base.set(nonce, utc_ms, unc_ms, base.now_ms())


def _adopt(base, seq):
    base.adopt(base.pending, seq)


def _stamp(base):
    stamp = Stamp()
    base.stamp(stamp)
    return stamp


def test_monotonic_over_many_wraps():
    clock, base = _base()
    start = clock.now
    for _ in range(40):
        _pass(clock, base, 399999999)
        assert _us(base) == clock.now - start
    clock.now -= 5000  # a counter that stutters does not take time back
    now = _us(base)
    assert now == 40 * 399999999
    clock.now += 5000
    assert _us(base) == now


def test_no_utc_before_the_first_sync():
    clock, base = _base()
    _pass(clock, base, 10000000)
    stamp = _stamp(base)
    assert (stamp.utc_status, stamp.mono_ms) == (fields.UTC_NONE, 10000)


def test_first_sync_counts_when_it_is_adopted_and_grows_uncertain():
    clock, base = _base()
    _pass(clock, base, 5000000)
    assert _sync(clock, base, UTC, 10, 31) == (fields.SYNC_FIRST, 31)
    assert base.pending.step_ms is None
    assert _stamp(base).utc_status == fields.UTC_NONE
    _pass(clock, base, 100000)
    _adopt(base, 9)
    stamp = _stamp(base)
    assert (stamp.utc_ms, stamp.utc_status, stamp.sync_seq) == (UTC + 15 + 100, fields.UTC_HOST, 9)
    assert stamp.utc_unc_ms == 16 + 10 + 1  # 100 ms of drift rounded up
    _pass(clock, base, 3600000000 - 100000)
    stamp = _stamp(base)
    assert (stamp.utc_status, stamp.utc_unc_ms) == (fields.UTC_HOST, 26 + 180)
    _pass(clock, base, 1000)
    assert _stamp(base).utc_status == fields.UTC_HOLDOVER
    assert _stamp(base).utc_ms == UTC + 15 + 3600001


def test_steps_at_each_limit():
    slew, step = limits.SLEW_MAX_MS, limits.STEP_MAX_MS
    for shift, decision in (
        (0, fields.SYNC_SLEWED), (slew, fields.SYNC_SLEWED), (-slew, fields.SYNC_SLEWED),
        (slew + 1, fields.SYNC_STEPPED), (-slew - 1, fields.SYNC_STEPPED),
        (step, fields.SYNC_STEPPED), (-step, fields.SYNC_STEPPED),
        (step + 1, fields.SYNC_REFUSED), (-step - 1, fields.SYNC_REFUSED),
    ):  # fmt: skip
        clock, base = _base()
        _sync(clock, base, UTC)
        _adopt(base, 1)
        _pass(clock, base, 2000000)
        assert _sync(clock, base, UTC + 2000 + shift) == (decision, 0)
        assert base.pending.step_ms == shift
        _adopt(base, 2)
        stamp = _stamp(base)
        if decision == fields.SYNC_REFUSED:
            assert (stamp.utc_ms, stamp.sync_seq, stamp.utc_status) == (UTC + 2000, 1, fields.UTC_HOST)
        else:
            assert (stamp.utc_ms, stamp.sync_seq) == (UTC + 2000 + shift, 2)
            is_stepped = decision == fields.SYNC_STEPPED
            assert stamp.utc_status == (fields.UTC_STEPPED if is_stepped else fields.UTC_HOST)
            _sync(clock, base, UTC + 2000 + shift + 1)
            _adopt(base, 3)
            assert _stamp(base).utc_status == fields.UTC_HOST  # a sync that is no step ends it


def test_implausible_dates_are_refused_also_as_the_first():
    low, high = limits.UTC_PLAUSIBLE_FROM_MS, limits.UTC_PLAUSIBLE_UNTIL_MS
    dates = (0, 946684800000, low - 1, high, 1 << 63, (1 << 64) - 1)
    for utc_ms in dates:
        clock, base = _base()
        assert _sync(clock, base, utc_ms)[0] == fields.SYNC_REFUSED
        _adopt(base, 1)
        assert _stamp(base).utc_status == fields.UTC_NONE
    for utc_ms in (low, high - 1, 2085978496000, 2147483647999, 4107542400000 - 60 * 86400000):
        clock, base = _base()
        assert _sync(clock, base, utc_ms)[0] == fields.SYNC_FIRST


def test_nonces():
    clock, base = _base()
    assert base.set(b"", UTC, 0, 0) == (0, 0) == base.set(bytes(8), UTC, 0, 0)
    nonce = base.ask(base.now_ms())
    newer = base.ask(base.now_ms())
    assert len(nonce) == frames.NONCE_BYTES and nonce != newer
    assert base.set(nonce, UTC, 0, base.now_ms()) == (0, 0)
    _pass(clock, base, frames.NONCE_VALID_MS * 1000)
    assert base.set(newer, UTC, 0, base.now_ms()) == (fields.SYNC_FIRST, frames.NONCE_VALID_MS)
    _adopt(base, 1)
    assert base.set(newer, UTC, 0, base.now_ms()) == (0, 0)  # once
    late = base.ask(base.now_ms())
    _pass(clock, base, frames.NONCE_VALID_MS * 1000 + 1000)
    assert base.set(late, UTC, 0, base.now_ms()) == (0, 0)
    assert base.pending is None


def test_a_judged_claim_is_not_replaced_before_it_is_sealed():
    clock, base = _base()
    _sync(clock, base, UTC)
    first = base.pending
    assert _sync(clock, base, UTC + 5) == (0, 0)
    assert base.pending is first
    _adopt(base, 1)
    assert _sync(clock, base, UTC + 5)[0] == fields.SYNC_SLEWED


def test_random_histories_against_a_plain_model():
    """Drifting and stepping gateways: monotonic time never goes back, and each stamp is the model's."""
    for seed in range(1, 61):
        dice = Dice(seed)
        clock, base = _base()
        start = clock.now
        mapping = None  # (offset, unc, mono, is_stepped, seq)
        seq = 0
        last_ms = 0
        gateway_ms = UTC + dice.below(1000000000)
        for _ in range(40):
            passed_ms = dice.below(600000) if dice.below(3) else dice.below(90000000)
            _pass(clock, base, passed_ms * 1000)
            gateway_ms += passed_ms
            kind = dice.below(6)
            if kind == 0:
                gateway_ms += dice.below(1000) - 500
            elif kind == 1:
                gateway_ms += (dice.below(2) * 2 - 1) * dice.below(4000000)
            elif kind == 2:
                gateway_ms = dice.below(1 << 28) * 16384
            if dice.below(3):
                round_trip_ms, unc_ms = dice.below(2000), dice.below(5000)
                mono_ms = (clock.now - start) // 1000 + round_trip_ms
                decision, _ = _sync(clock, base, gateway_ms, unc_ms, round_trip_ms)
                offset = gateway_ms + round_trip_ms // 2 - mono_ms
                is_plausible = limits.UTC_PLAUSIBLE_FROM_MS <= gateway_ms < limits.UTC_PLAUSIBLE_UNTIL_MS
                step = None if mapping is None else offset - mapping[0]
                assert base.pending.step_ms == step
                if not is_plausible or (step is not None and abs(step) > limits.STEP_MAX_MS):
                    wanted = fields.SYNC_REFUSED
                elif step is None:
                    wanted = fields.SYNC_FIRST
                else:
                    wanted = fields.SYNC_STEPPED if abs(step) > limits.SLEW_MAX_MS else fields.SYNC_SLEWED
                assert decision == wanted, seed
                seq += 1
                _adopt(base, seq)
                if wanted != fields.SYNC_REFUSED:
                    unc = -(-round_trip_ms // 2) + unc_ms
                    mapping = (offset, unc, mono_ms, wanted == fields.SYNC_STEPPED, seq)
                gateway_ms += round_trip_ms
            stamp = _stamp(base)
            assert stamp.mono_ms >= last_ms and stamp.mono_ms == (clock.now - start) // 1000
            last_ms = stamp.mono_ms
            if mapping is None:
                assert stamp.utc_status == fields.UTC_NONE
                continue
            age_ms = stamp.mono_ms - mapping[2]
            assert stamp.utc_ms == stamp.mono_ms + mapping[0] and stamp.sync_seq == mapping[4]
            assert mapping[1] + age_ms * 50 // 1000000 <= stamp.utc_unc_ms <= mapping[1] + age_ms * 50 // 1000000 + 1
            if mapping[3]:
                assert stamp.utc_status == fields.UTC_STEPPED
            else:
                assert stamp.utc_status == (fields.UTC_HOLDOVER if age_ms > 3600000 else fields.UTC_HOST)
