"""The Modbus client against the published frames, the cases of the reference and every kind of wrong answer."""

from acqwire import causes
from vector_files import reference

from acq.modbus import pdu, rtu
from acq.modbus.client import Client
from acq.modbus.crc16 import crc16
from acq.ports import Bus485, BusError, Clock


class TickClock(Clock):
    """Counts up by hand; starts 3 s before the wrap."""

    def __init__(self):
        self.now = (1 << 30) - 3000000

    def ticks(self):
        return self.now & ((1 << 30) - 1)

    def elapsed(self, later, earlier):
        return ((later - earlier + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)


class TimedBus(Bus485):
    """Bytes arrive at set times after the request. Imitates neither driver turn-around nor a UART's buffer size."""

    def __init__(self, clock, chunks, before=b""):
        self.clock = clock
        self.chunks = list(chunks)  # (microseconds after the request, bytes)
        self.arrived = bytearray(before)
        self.sent = []
        self.sent_at = 0

    def send(self, buf, count):
        self.sent.append(bytes(buf[:count]))
        self.sent_at = self.clock.now

    def _arrive(self):
        if not self.sent:
            return
        while self.chunks and self.clock.now - self.sent_at >= self.chunks[0][0]:
            self.arrived.extend(self.chunks.pop(0)[1])

    def receive(self, buf, start):
        self._arrive()
        count = min(len(self.arrived), len(buf) - start)
        for index in range(count):
            buf[start + index] = self.arrived[index]
        self.arrived = bytearray(self.arrived[count:])
        return count

    def drain(self):
        count = len(self.arrived)
        self.arrived = bytearray()
        return count


def frame(*body):
    buf = bytearray(body) + bytearray(2)
    rtu.close_frame(buf, len(body))
    return bytes(buf)


def ask(chunks, unit=17, function=3, address=0, quantity=2, baud=19200, timeout_us=200000, step_us=100, before=b""):
    clock = TickClock()
    bus = TimedBus(clock, chunks, before)
    client = Client(bus, clock, baud, "N", 1)
    client.begin(unit, function, address, quantity, timeout_us)
    for _ in range(20 * timeout_us // step_us):
        if client.step():
            return client, bus
        clock.now += step_us
    raise AssertionError("the transaction does not end")


def data_of(client):
    return bytes(client.buf[client.data_start : client.data_start + client.data_bytes])


GOOD = frame(17, 3, 4, 0x60, 0x00, 0x43, 0xCE)


def test_known_crc():
    known = reference("vectors/modbus/rtu_master_cases.json")["known_crc"]
    assert len(known) == 2
    for item in known:
        text = bytes.fromhex(item["data_hex"])
        crc = crc16(text, 0, len(text))
        assert bytes((crc & 0xFF, crc >> 8)).hex() == item["crc_bytes_on_wire"]


def test_published_frames():
    whole = reference("data/modbus/vectors.json")
    frames = whole["rtu_frames"]
    assert (sorted(whole), len(frames), len(whole["float_412_75"])) == (["float_412_75", "rtu_frames"], 5, 4)
    for item in frames:
        raw = bytes.fromhex(item["hex"])
        assert rtu.has_good_crc(raw, len(raw)) == item["crc_ok"]
        request = bytearray(8)
        request[0] = raw[0]
        if len(raw) == 8:  # a request: the client builds the same bytes
            end = pdu.write_request(request, 1, raw[1], raw[2] << 8 | raw[3], raw[4] << 8 | raw[5])
            assert rtu.close_frame(request, end) == 8 and bytes(request) == raw
        else:
            client, _ = ask([(500, raw)], raw[0], raw[1], 100, 2)
            assert client.outcome == causes.VALUE and data_of(client) == raw[3:-2]


def test_cases_of_the_reference():
    cases = reference("vectors/modbus/rtu_master_cases.json")["cases"]
    judged = {"ok": 0, "fail": 0, "ok_or_fail": 0}
    for case in cases:
        character_us = 11000000 // case["baud"]
        chunks, at_us = [], 0
        for chunk in case["rx"]:
            raw = bytes.fromhex(chunk["hex"])
            at_us += int(chunk["after_gap_chars"] * character_us)
            for start in range(0, len(raw), 16):  # the UART hands them over in heaps
                piece = raw[start : start + 16]
                at_us += len(piece) * character_us
                chunks.append((at_us, piece))
        client, bus = ask(
            chunks, case["unit"], case["function"], case["address"], case["quantity"], case["baud"], 300000
        )
        assert bus.sent[0].hex() == case["request"]
        is_value = client.outcome == causes.VALUE
        assert is_value or case["expect"] != "ok", case["kind"]
        assert not is_value or case["expect"] != "fail", case["kind"]
        if is_value and "registers" in case:
            data = data_of(client)
            assert [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)] == case["registers"], case["kind"]
        assert not is_value or "registers" in case, case["kind"]  # a value that nobody could check
        judged[case["expect"]] += 1
    assert (len(cases), judged) == (36, {"ok": 4, "fail": 24, "ok_or_fail": 8})


def test_cases_of_the_reference_one_after_the_other_in_the_same_client():
    """What one transaction leaves behind must not help or harm the next: all cases, through one client per speed."""
    cases = reference("vectors/modbus/rtu_master_cases.json")["cases"]
    values = wrong = 0
    for baud in (9600, 115200):
        clock = TickClock()
        client = Client(TimedBus(clock, []), clock, baud, "N", 1)
        for case in [case for case in cases if case["baud"] == baud] * 2:
            chunks, at_us = [], 0
            for chunk in case["rx"]:
                raw = bytes.fromhex(chunk["hex"])
                at_us += int((chunk["after_gap_chars"] + len(raw)) * 11000000) // baud
                chunks.append((at_us, raw))
            client._bus = TimedBus(clock, chunks)
            client.begin(case["unit"], case["function"], case["address"], case["quantity"], 300000)
            while not client.step():
                clock.now += 200
            is_value = client.outcome == causes.VALUE
            assert is_value or case["expect"] != "ok", case["kind"]
            data = data_of(client)
            found = [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
            values += is_value
            wrong += is_value and (case["expect"] == "fail" or found != case["registers"])
            clock.now += 1000000
    assert wrong == 0 and values >= 8


def test_the_float_of_the_reference_passes_in_all_orders():
    for order in reference("data/modbus/vectors.json")["float_412_75"].values():
        raw = bytes.fromhex(order)
        client, _ = ask([(500, frame(17, 3, 4, *raw))])
        assert client.outcome == causes.VALUE and data_of(client) == raw


def test_every_function():
    assert [pdu.data_bytes(function, 9) for function in (1, 2, 3, 4)] == [2, 2, 18, 18]
    client, bus = ask([(500, frame(1, 1, 2, 0x55, 0x01))], 1, 1, 1000, 9)
    assert client.outcome == 0 and data_of(client) == b"\x55\x01"
    assert bus.sent[0] == frame(1, 1, 1000 >> 8, 1000 & 255, 0, 9)
    client, bus = ask([(500, frame(1, 4, 4, 1, 2, 3, 4))], 1, 4)
    assert client.outcome == 0 and data_of(client) == b"\x01\x02\x03\x04"


def test_longest_answers():
    full = frame(1, 3, 250, *([7] * 250))
    client, _ = ask([(500, full)], 1, 3, 0, 125)
    assert client.outcome == 0 and data_of(client) == bytes([7]) * 250
    client, _ = ask([(500, full[:200]), (900, full[200:])], 1, 3, 0, 125)
    assert client.outcome == 0


def test_the_silence_before_a_request_can_be_slept():
    for baud in (9600, 115200):
        client, bus = ask([(500, GOOD)], baud=baud)
        clock, silence_us = bus.clock, client.timing.t35_us
        clock.now += 300
        client.begin(17, 3, 0, 2, 200000)
        assert not client.step() and client.wait_us() == silence_us - 300
        clock.now += client.wait_us() - 1
        assert not client.step() and len(bus.sent) == 1 and client.wait_us() == 1
        bus.arrived.extend(b"?")  # a stray wakes the sleeper: silence begins anew
        assert not client.step() and client.wait_us() == silence_us
        clock.now += client.wait_us()
        assert client.wait_us() == 0
        assert not client.step() and len(bus.sent) == 2


def test_byte_by_byte():
    client, _ = ask([(500 * (i + 1), GOOD[i : i + 1]) for i in range(len(GOOD))])
    assert client.outcome == 0 and data_of(client) == b"\x60\x00\x43\xce"


def test_wrong_answers():
    bad_crc = GOOD[:-1] + bytes((GOOD[-1] ^ 1,))
    for chunks, outcome in (
        ([], causes.GAP_TIMEOUT),
        ([(500, bad_crc)], causes.GAP_CRC),
        ([(500, GOOD[:5])], causes.GAP_LENGTH),
        ([(500, frame(18, 3, 4, 1, 2, 3, 4))], causes.GAP_MISMATCH),
        ([(500, frame(17, 4, 4, 1, 2, 3, 4))], causes.GAP_MISMATCH),
        ([(500, frame(17, 3, 6, 1, 2, 3, 4, 5, 6))], causes.GAP_MISMATCH),
        ([(500, frame(17, 3, 2, 1, 2))], causes.GAP_MISMATCH),
        ([(500, frame(0, 3, 4, 1, 2, 3, 4))], causes.GAP_MISMATCH),
        ([(500, frame(17, 0x83, 7))], causes.GAP_MISMATCH),
        ([(500, frame(17, 0x84, 2))], causes.GAP_MISMATCH),
        ([(500, frame(17, 0x83, 2)[:-1] + b"\x00")], causes.GAP_CRC),
        ([(300000, GOOD)], causes.GAP_TIMEOUT),
    ):
        client, _ = ask(chunks)
        assert client.outcome == outcome, (chunks, client.outcome)


def test_exceptions():
    for code in pdu.EXCEPTION_CODES:
        client, _ = ask([(500, frame(17, 0x83, code))])
        assert client.outcome == causes.GAP_EXCEPTION + code


def test_right_answer_behind_a_wrong_frame():
    stray = frame(18, 3, 4, 9, 9, 9, 9)
    client, _ = ask([(500, stray), (20000, GOOD)])
    assert client.outcome == 0 and data_of(client) == b"\x60\x00\x43\xce"


def test_late_answer_is_not_taken_for_the_next():
    late = frame(17, 3, 4, 9, 9, 9, 9)
    client, bus = ask([(500, GOOD)], before=late)
    assert client.outcome == 0 and data_of(client) == b"\x60\x00\x43\xce"
    assert client.stray_bytes_total == len(late)


def test_request_waits_for_silence():
    clock = TickClock()
    bus = TimedBus(clock, [])
    client = Client(bus, clock, 9600, "E", 1)
    client.begin(1, 3, 0, 1, 1000)
    bus.arrived.extend(b"x")
    client.step()
    quiet_from = clock.now
    while not bus.sent:
        clock.now += 100
        client.step()
    assert clock.now - quiet_from >= client.timing.t35_us == 4011


def test_silent_intervals():
    for baud, parity, stop_bits, t15_us, t35_us in (
        (9600, "N", 2, 1719, 4011),
        (19200, "E", 1, 860, 2006),
        (38400, "N", 1, 750, 1750),
        (115200, "E", 1, 750, 1750),
    ):
        timing = rtu.Timing(baud, parity, stop_bits)
        assert (timing.t15_us, timing.t35_us) == (t15_us, t35_us)


class LateBus(TimedBus):
    """Answers each request `delay_us` after it, in order; two registers that hold their own address."""

    def __init__(self, clock, delay_us, lost=()):
        TimedBus.__init__(self, clock, [])
        self.delay_us = delay_us
        self.lost = lost  # numbers of the requests that nobody hears

    def send(self, buf, count):
        self.sent.append(bytes(buf[:count]))
        if len(self.sent) - 1 not in self.lost:
            words = (buf[2], buf[3]) * (buf[4] << 8 | buf[5])
            self.chunks.append((self.clock.now + self.delay_us, frame(buf[0], buf[1], len(words), *words)))

    def _arrive(self):
        while self.chunks and self.clock.now >= self.chunks[0][0]:
            self.arrived.extend(self.chunks.pop(0)[1])

    def drain(self):
        self._arrive()
        return TimedBus.drain(self)


def read_late(client, clock, address, quantity=2, timeout_us=50000, unit=1):
    """(outcome, address that the answer came from, microseconds)."""
    began = clock.now
    client.begin(unit, 3, address, quantity, timeout_us)
    while not client.step():
        clock.now += max(50, min(500, client.wait_us()))
    data = data_of(client)
    return client.outcome, data[0] << 8 | data[1], clock.now - began


def test_a_late_answer_is_never_taken_for_another_address():
    for delay_us in range(2000, 100000, 1500):  # up to twice the time-out
        clock = TickClock()
        client = Client(LateBus(clock, delay_us), clock, 19200, "N", 1)
        values = 0
        for turn in range(30):
            for address in (7, 9, 11):
                for _ in range(2):  # as the sampler: once more in the same slot
                    outcome, found, _ = read_late(client, clock, address)
                    if outcome == causes.VALUE:
                        assert found == address, (delay_us, turn, found)
                        values += 1
                        break
            clock.now += 120000 if turn % 3 else 300
        assert values == 90 if delay_us < 48000 else values > 0, (delay_us, values)


def test_what_could_be_mistaken_is_held_back_and_nothing_else():
    clock = TickClock()
    bus = LateBus(clock, 5000, lost=(0, 1))
    client = Client(bus, clock, 19200, "N", 1)
    assert read_late(client, clock, 7)[0] == causes.GAP_TIMEOUT
    for address, quantity, unit in ((7, 2, 2), (9, 3, 1)):  # another unit, another length: asked at once
        spent = read_late(client, clock, address, quantity, unit=unit)
        assert spent[2] < 55000 and len(bus.sent) > 1
    clock = TickClock()
    bus = LateBus(clock, 5000, lost=(0,))
    client = Client(bus, clock, 19200, "N", 1)
    read_late(client, clock, 7)
    outcome, _, spent_us = read_late(client, clock, 9)  # would be taken for it: not asked, within its own time
    assert (outcome, len(bus.sent)) == (causes.GAP_TIMEOUT, 1) and 50000 <= spent_us < 52000
    assert read_late(client, clock, 9)[:2] == (causes.VALUE, 9)  # twice the time-out has passed
    assert len(bus.sent) == 2
    for address in (7, 9, 7, 9):  # and with it all suspicion
        clock.now += 1000
        outcome, found, spent_us = read_late(client, clock, address)
        assert (outcome, found) == (causes.VALUE, address) and spent_us < 10000


def test_suspicion_ends_although_the_unit_is_asked_in_every_slot():
    """Two blocks of one shape, slots shorter than twice the time-out, one answer lost (seen on the emulated M3)."""
    clock = TickClock()
    bus = LateBus(clock, 2000, lost=(2,))
    client = Client(bus, clock, 115200, "N", 1)
    found = []
    for _ in range(8):
        slot = clock.now
        for address in (10, 20):
            left_us = 80000 - (clock.now - slot)
            if left_us > 5000:
                outcome, came_from, _ = read_late(client, clock, address, 2, min(50000, left_us))
                found.append((address, outcome))
                assert outcome or came_from == address
            else:
                found.append((address, causes.GAP_OVERRUN))
        clock.now = slot + 80000
    assert found[-8:] == [(10, 0), (20, 0)] * 4, found


def test_each_analyzer_is_given_twice_its_own_time_out():
    clock = TickClock()
    bus = LateBus(clock, 5000, lost=(0, 1, 2))
    client = Client(bus, clock, 19200, "N", 1)
    read_late(client, clock, 7, timeout_us=2000000, unit=2)  # a slow one is nothing to the others
    read_late(client, clock, 7)
    assert read_late(client, clock, 9)[0] == causes.GAP_TIMEOUT
    read_late(client, clock, 9)
    assert read_late(client, clock, 9)[0] == causes.VALUE
    # An attempt that the slot's end cuts short does not shorten it
    clock = TickClock()
    bus = LateBus(clock, 30000, lost=())
    client = Client(bus, clock, 19200, "N", 1)
    assert read_late(client, clock, 7)[:2] == (causes.VALUE, 7)
    clock.now += 200000
    assert read_late(client, clock, 7, timeout_us=6000)[0] == causes.GAP_TIMEOUT
    assert [read_late(client, clock, 9)[0] for _ in range(2)] == [causes.GAP_TIMEOUT] * 2  # 100 ms and more
    assert read_late(client, clock, 9)[:2] == (causes.VALUE, 9)


def test_a_late_answer_is_not_taken_for_the_same_register_of_the_next_slot_either():
    clock = TickClock()
    bus = LateBus(clock, 90000)
    client = Client(bus, clock, 19200, "N", 1)
    assert read_late(client, clock, 7)[0] == causes.GAP_TIMEOUT
    client._bus = LateBus(clock, 3000)  # another analyzer answers in between, so the next is no repetition
    assert read_late(client, clock, 9, unit=2)[0] == causes.VALUE
    client._bus = bus
    bus.delay_us = 5000
    assert read_late(client, clock, 7)[0] == causes.GAP_TIMEOUT and len(bus.sent) == 1  # held until 100 ms
    assert client.stray_bytes_total == 9  # and there it came
    assert read_late(client, clock, 7)[:2] == (causes.VALUE, 7)


def test_our_own_echo_is_taken_away_wherever_the_answer_follows():
    echo = frame(17, 3, 0, 0, 0, 2)
    whole = echo + GOOD
    for chunks in (
        [(500, whole)],
        [(500, echo), (700, GOOD)],
        [(500, echo), (50000, GOOD)],
        [(500 + 20 * index, whole[index : index + 1]) for index in range(len(whole))],
        [(500, whole[:11]), (900, whole[11:])],
    ):
        client, _ = ask(chunks)
        assert client.outcome == causes.VALUE and data_of(client) == b"\x60\x00\x43\xce", chunks
    client, _ = ask([(500, echo)])
    assert client.outcome == causes.GAP_TIMEOUT  # nobody has answered
    client, _ = ask([(500, echo + frame(17, 0x83, 2))])
    assert client.outcome == causes.GAP_EXCEPTION + 2
    # With one owed answer behind it an echo is still no request of another client
    clock = TickClock()
    bus = LateBus(clock, 3000, lost=(0,))
    client = Client(bus, clock, 19200, "N", 1)
    read_late(client, clock, 7)
    sent = bus.send

    def send(buf, count):
        sent(buf, count)
        bus.chunks.insert(0, (clock.now, bytes(buf[:count])))

    bus.send = send
    assert read_late(client, clock, 9, quantity=3)[:2] == (causes.VALUE, 9)


def test_the_answer_to_somebody_elses_request_is_not_taken_for_ours():
    theirs, answer = frame(17, 3, 0, 50, 0, 2), frame(17, 3, 4, 9, 9, 9, 9)
    # Overheard before ours: not asked while that answer may come, and not at all within our own time
    client, bus = ask([], before=theirs)
    assert client.outcome == causes.GAP_TIMEOUT and bus.sent == []
    # Behind ours: nobody can say whose answer comes next
    client, _ = ask([(500, theirs), (20000, answer)])
    assert client.outcome == causes.GAP_MISMATCH
    # A request that cannot be mistaken for ours, or that asks for the same, is in nobody's way
    for other in (
        frame(18, 3, 0, 50, 0, 2),
        frame(17, 4, 0, 50, 0, 2),
        frame(17, 3, 0, 50, 0, 3),
        frame(17, 3, 0, 0, 0, 2),
    ):
        client, bus = ask([(20000, GOOD)], before=other)
        assert client.outcome == causes.VALUE and len(bus.sent) == 1
        client, _ = ask([(500, other), (20000, GOOD)])
        assert client.outcome == causes.VALUE, other


def test_failing_port_is_a_gap():
    class Broken(TimedBus):
        def send(self, buf, count):
            raise BusError(causes.FAULT_BUS_IO)

    clock = TickClock()
    client = Client(Broken(clock, []), clock, 9600, "N", 1)
    client.begin(1, 3, 0, 1, 1000)
    for _ in range(100):
        clock.now += 100
        if client.step():
            break
    assert client.outcome == causes.GAP_BUS_FAULT
