"""The whole module over doubles, on both interpreters: boot, seal, release, full journal, restart, damage, drain."""

import struct

from acqwire import causes, fields, frames
from app_parts import PowerCut, Rig, payload_of, read_payload, slots_of

KIND = fields.KIND


def _numbers(slots):
    return [slot[0] for slot in slots]


def _check_slots(records, boots=(1,)):
    """Every slot of each boot once and in order, from 0."""
    for boot in boots:
        numbers = _numbers(slots_of(records, boot))
        assert numbers == list(range(len(numbers))), (boot, numbers)


def test_a_boot_begins_with_boot_record_and_parameters():
    rig = Rig(padding=4000)
    rig.start()
    rig.run(7000000)
    rig.fetch_all()
    assert rig.kinds()[:4] == [fields.KIND_BOOT] + [fields.KIND_PARAMETERS] * 3
    boot = rig.records[0]
    assert (boot[fields.BOOT], boot[fields.SEQ], boot[fields.PREV]) == (1, 1, bytes(32))
    assert boot[fields.PUBLIC_KEY] == rig.signer.public_key and boot[fields.TORN_COUNT] == 0
    assert len(boot[fields.FIRMWARE_HASH]) == 32 and boot[fields.UTC_STATUS] == fields.UTC_NONE
    parts = rig.records[1:4]
    assert [part[fields.PART] for part in parts] == [0, 1, 2]
    assert b"".join(part[fields.PART_BYTES] for part in parts) == rig.parameters
    for record in rig.records:
        assert record[fields.PARAMETERS_HASH] == parts[0][fields.PART_HASH]
    samples = rig.records[4]
    assert samples[KIND] == fields.KIND_SAMPLES and samples[fields.SLOT_COUNT] == 3
    assert samples[fields.BLOCKS] == [[bytes(3), b"\x01\x01\x02\x03" * 3], [bytes(3), b"\x02\x01\x02\x03" * 3]]
    _check_slots(rig.records)


def test_mono_never_goes_back_over_the_wrap_of_the_counter():
    rig = Rig(slot_ms=500, seal_ms=500)
    rig.start()
    for _ in range(6):
        rig.run(2000000)  # the counter wraps after 5 s
        rig.fetch_all()
    monos = [record[fields.MONO_MS] for record in rig.records]
    assert monos == sorted(monos) and monos[-1] >= 10000
    _check_slots(rig.records)


def test_a_mute_analyzer_makes_gaps_for_itself_only():
    rig = Rig()
    rig.bus.remove(2, 4)
    rig.start()
    rig.run(13000000)
    rig.fetch_all()
    slots = slots_of(rig.records, 1)
    assert len(slots) >= 9
    assert [slot[2][0] for slot in slots] == [0] * len(slots)
    causes_seen = {slot[2][1] for slot in slots}
    assert causes_seen == {causes.GAP_TIMEOUT, causes.GAP_BACKOFF}
    _check_slots(rig.records)


def test_polls_do_not_slip_while_a_record_is_signed():
    rig = Rig(slot_ms=200, seal_ms=2000, slices=60, slice_us=5000)  # 300 ms a signature
    rig.bus.log = []
    rig.start()
    boot_at = rig.clock.now
    rig.run(20000000)
    rig.fetch_all()
    firsts = [at for at, unit in rig.bus.log if unit == 1]
    assert len(firsts) >= 100
    late = [(at - boot_at) % 200000 for at in firsts]
    assert max(late) < 200000 * 1 // 10, max(late)  # a slice of 5 ms, the silent interval, and a little
    assert {slot[2][0] for slot in slots_of(rig.records, 1) if slot[2]} == {0}
    _check_slots(rig.records)


def test_flash_is_written_while_no_analyzer_is_asked():
    rig = Rig(slot_ms=200, seal_ms=600)
    moments = []
    rig.flash.observer = lambda flash, offset, data: moments.append(rig.app._sampler.is_idle)
    rig.start()
    rig.run(5000000)
    rig.fetch_all()
    rig.run(5000000)
    assert len(moments) > 20 and all(moments)


def test_time_sync_is_sealed_and_counts_from_its_own_record_on():
    rig = Rig()
    rig.start()
    rig.run(1500000)
    utc_ms = 1796083200000
    ((type_, nonce),) = rig.ask(frames.TIME_ASK)
    assert type_ == frames.TIME_NONCE
    ((type_, body),) = rig.ask(frames.TIME_SET, nonce + struct.pack(">QI", utc_ms, 7))
    decision, round_trip_ms = struct.unpack(">BI", body)
    assert (type_, decision) == (frames.TIME_TAKEN, fields.SYNC_FIRST)
    rig.run(7000000)
    rig.fetch_all()
    (sync,) = [record for record in rig.records if record[KIND] == fields.KIND_TIME_SYNC]
    assert sync[fields.SYNC_HOST_UTC_MS] == utc_ms and sync[fields.SYNC_ROUND_TRIP_MS] == round_trip_ms
    assert fields.SYNC_STEP_MS not in sync and sync[fields.SYNC_NONCE] == nonce
    for record in rig.records:
        if record[fields.SEQ] < sync[fields.SEQ]:
            assert record[fields.UTC_STATUS] == fields.UTC_NONE and fields.UTC_MS not in record
        else:
            assert record[fields.UTC_STATUS] == fields.UTC_HOST
            assert record[fields.SYNC_SEQ] == sync[fields.SEQ]
            passed_ms = record[fields.MONO_MS] - sync[fields.MONO_MS]
            assert record[fields.UTC_MS] == sync[fields.UTC_MS] + passed_ms
    assert rig.ask(frames.TIME_SET, nonce + struct.pack(">QI", utc_ms, 7)) == [(frames.TIME_TAKEN, bytes(5))]


def test_a_refused_time_is_an_event_and_changes_nothing():
    rig = Rig()
    rig.start()
    rig.run(1500000)
    for utc_ms, decision in ((1796083200000, fields.SYNC_FIRST), (1796083200000 + 7200000, fields.SYNC_REFUSED)):
        ((_, nonce),) = rig.ask(frames.TIME_ASK)
        ((_, body),) = rig.ask(frames.TIME_SET, nonce + struct.pack(">QI", utc_ms, 7))
        assert body[0] == decision
        rig.run(1000000)
    rig.run(4000000)
    rig.fetch_all()
    refused = [record for record in rig.records if record.get(fields.SYNC_DECISION) == fields.SYNC_REFUSED]
    events = [record for record in rig.records if record[KIND] == fields.KIND_EVENT]
    assert len(refused) == len(events) == 1
    assert events[0][fields.EVENT_CODE] == causes.EVENT_TIME_REFUSED
    assert events[0][fields.EVENT_ARGS] == [refused[0][fields.SYNC_STEP_MS]]
    assert 7190000 < refused[0][fields.SYNC_STEP_MS] < 7200000
    assert refused[0][fields.SYNC_SEQ] < refused[0][fields.SEQ]  # the old mapping stays


def test_a_full_journal_loses_slots_and_says_so_once_when_space_returns():
    rig = Rig(seal_ms=1000)
    rig.start()
    rig.run(150000000)  # nobody acknowledges
    journal = rig.app._journal
    head = journal.newest_seq
    assert journal.oldest_seq == 1  # nothing was overwritten
    rig.run(20000000)
    assert journal.newest_seq == head
    rig.fetch_all()
    before = len(rig.records)
    assert before == head
    rig.run(5000000)
    rig.fetch_all()
    after = rig.kinds()[before:]
    assert after.count(fields.KIND_OVERFLOW) == 1
    overflow = [record for record in rig.records if record[KIND] == fields.KIND_OVERFLOW][0]
    assert overflow[fields.SLOT_COUNT] > 20
    assert rig.kinds()[-1] == fields.KIND_SAMPLES  # and sampling has gone on behind it
    _check_slots(rig.records)


def test_a_start_with_a_full_journal_waits_for_space_and_goes_on():
    rig = Rig(seal_ms=1000)
    rig.start()
    rig.run(150000000)
    boots = 1
    for _ in range(6):  # boots and parameters fill the segment that is kept back
        rig.start()
        rig.run(6000000)
    rig.fetch_all()
    rig.run(5000000)
    rig.fetch_all()
    boots = rig.records[-1][fields.BOOT]
    assert boots >= 3
    _check_slots(rig.records, range(1, boots + 1))
    assert rig.kinds()[-1] == fields.KIND_SAMPLES


def test_power_cuts_at_every_flash_operation():
    """Cut at operation n, start again, go on: the chain has no hole, and what was acknowledged or sent stays."""
    whole = Rig(seal_ms=1000)
    whole.start()
    whole.run(8000000)
    operations = whole.flash.operations
    assert operations > 20
    for cut in range(0, operations, 1 if operations < 60 else 3):
        rig = Rig(seal_ms=1000)
        rig.flash.cut_operation = cut
        rig.flash.cut_prefix = (cut * 37) % 256
        try:
            rig.start()
            for _ in range(8):
                rig.run(1000000)
                rig.fetch()
        except PowerCut:
            pass
        held = rig.head
        rig.flash.power_on()
        rig.flash.cut_operation = -1
        rig.start()
        rig.run(4000000)
        rig.fetch_all()
        assert rig.head[0] > held[0]
        boots = rig.records[-1][fields.BOOT]
        kinds = [record[KIND] for record in rig.records if record[fields.BOOT] == boots]
        assert kinds[0] == fields.KIND_BOOT and fields.KIND_SAMPLES in kinds, cut
        _check_slots(rig.records, range(1, boots + 1))


def test_damage_found_while_sending_is_an_event():
    rig = Rig(seal_ms=1000)
    rig.start()
    rig.run(6000000)
    newest = rig.app._journal.newest_seq
    assert newest >= 5
    offset = 256
    ring = rig.app._journal._ring
    for _ in range(2):
        ring.read_entry(0, offset)
        offset += ring.length
    rig.flash.rot(offset + 100, 3)  # inside the third entry's envelope
    answers = rig.ask(frames.FETCH, struct.pack(">QB", 3, 1))
    assert answers[0] == (frames.MISSING, struct.pack(">QQ", 3, 3))
    rig.ask(frames.FETCH, struct.pack(">QB", 3, 1))
    rig.run(3000000)
    rig.start()
    rig.run(3000000)
    found = []
    for seq in range(4, rig.app._journal.newest_seq + 1, 8):
        for type_, body in rig.ask(frames.FETCH, struct.pack(">QB", seq, 8)):
            if type_ == frames.RECORD:
                found.append(read_payload(payload_of(body[40:])))
    events = [record for record in found if record[KIND] == fields.KIND_EVENT]
    assert [event[fields.EVENT_ARGS] for event in events] == [[3, 3]]
    assert [record[fields.TORN_COUNT] for record in found if record[KIND] == fields.KIND_BOOT] == [1]


def test_the_fault_that_ended_the_last_run_is_an_event_until_it_is_durable():
    rig = Rig()
    rig.board.fault = (causes.EVENT_TASK_FAULT, causes.FAULT_PROGRAM, 3)
    rig.start()
    rig.run(1200000)
    rig.fetch_all()
    event = rig.records[2]
    assert rig.kinds()[:3] == [fields.KIND_BOOT, fields.KIND_PARAMETERS, fields.KIND_EVENT]
    assert (event[fields.EVENT_CODE], event[fields.EVENT_ARGS]) == (causes.EVENT_TASK_FAULT, [causes.FAULT_PROGRAM, 3])
    assert rig.board.fault == (0, 0, 0)


def test_drain_seals_what_there_is_and_polls_no_more():
    rig = Rig(seal_ms=10000)
    rig.start()
    rig.run(3500000)
    assert rig.board.drained_count == 0
    rig.board.is_draining = True
    rig.run(2000000)
    assert rig.board.drained_count == 1
    requests = rig.bus.requests
    rig.fetch_all()
    assert len(slots_of(rig.records, 1)) == 4
    _check_slots(rig.records)
    rig.run(20000000)
    assert rig.bus.requests == requests and rig.fetch() == 0
    assert rig.board.drained_count == 1


def test_busy_is_answered_while_an_erase_waits_for_the_link():
    rig = Rig(seal_ms=1000)
    rig.flash.erase_ms = 100
    rig.start()
    rig.run(3000000)
    rig.fetch_all()
    while rig.app._sampler.wait_us(rig.app._timebase.look()) < 500000:
        rig.run(1000)
    journal = rig.app._journal
    rig.line.room = 4

    def forget_blank():
        journal._states[journal._base + 1] = 0  # as if the segment ahead had not been erased yet
        assert journal.prepare(True)
        operations.append(rig.flash.operations)

    operations = []
    fetch = struct.pack(">QB", 1, 2)
    (busy, body) = rig.ask(frames.FETCH, fetch, 1000000, forget_blank)[-1]
    assert (busy, body) == (frames.BUSY, b"\x00\x64")
    rig.line.room = 1000
    rig.run(2000000)
    assert rig.flash.operations > operations[0] and not journal.prepare(True)
    assert rig.ask(frames.FETCH, fetch)[-1][0] == frames.END


def test_the_watchdog_is_fed_in_every_round():
    rig = Rig()
    rig.start()
    rig.run(3000000)
    assert rig.board.fed >= 3000000 // 250000
