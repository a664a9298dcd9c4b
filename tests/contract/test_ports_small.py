"""ports.ByteStream, Clock and KeyRegistry: every implementation, doubles too, answers the same questions."""

from __future__ import annotations

import json
import os
import threading
import time
import tty

import pytest

from plumeproof.clock import SystemClock
from plumeproof.errors import EnvelopeError, LinkError
from plumeproof.keys import build_entry, parse_keys
from plumeproof.link.serial_port import SerialPort
from plumeproof.module_stage import ReopeningStream
from tests.doubles.evidence_chain import POINT
from tests.doubles.manual_clock import ManualClock

# Clock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request):
    return request.param()


def test_a_clock_tells_utc_in_whole_milliseconds(clock):
    assert type(clock.utc_ms()) is int
    assert abs(clock.utc_ms() - time.time() * 1000) < 5_000


def test_monotonic_seconds_never_go_back(clock):
    seen = [clock.monotonic_s() for _ in range(100)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("step_s", [-86_400 * 365, -1, 1, 86_400 * 365])
def test_a_step_of_utc_moves_nothing_else(step_s):
    clock = ManualClock()
    utc_ms, mono_s = clock.utc_ms(), clock.monotonic_s()
    clock.step(step_s)
    assert (clock.utc_ms() - utc_ms, clock.monotonic_s() - mono_s) == (step_s * 1000, 0)
    clock.advance(2.5)
    assert clock.monotonic_s() - mono_s == 2.5


# ByteStream


class PtyLine:
    """A stream on a pty; `far` is the other end."""

    def __init__(self, make) -> None:
        self.far, near = os.openpty()
        tty.setraw(near)
        self.stream = make(os.ttyname(near))
        os.close(near)

    def unplug(self) -> None:
        os.close(self.far)
        self.far = -1

    def close(self) -> None:
        self.stream.close()
        if self.far >= 0:
            os.close(self.far)


STREAMS = {
    "SerialPort": lambda port: SerialPort(port, 115_200),
    "ReopeningStream": lambda port: _opened(ReopeningStream(port, 115_200, threading.Event())),
}


def _opened(stream: ReopeningStream) -> ReopeningStream:
    stream.write(b"")
    return stream


@pytest.fixture(params=STREAMS)
def line(request):
    found = PtyLine(STREAMS[request.param])
    yield found
    found.close()


def test_silence_is_no_bytes_and_ends_in_time(line):
    started = time.monotonic()
    assert line.stream.read(100, 0.05) == b""
    assert 0.04 < time.monotonic() - started < 5.0


def test_what_came_is_read_up_to_the_limit_and_nothing_is_lost(line):
    whole = bytes(range(256)) * 4  # no byte is special, not even those that a terminal obeys
    os.write(line.far, whole)
    found = b""
    while len(found) < len(whole):
        part = line.stream.read(100, 5.0)
        assert 0 < len(part) <= 100
        found += part
    assert found == whole


def test_the_first_byte_ends_the_wait(line):
    threading.Timer(0.05, os.write, (line.far, b"x")).start()
    started = time.monotonic()
    assert line.stream.read(100, 0.4) == b"x"
    assert time.monotonic() - started < 0.4


def test_a_write_sends_all_of_it(line):
    whole = bytes(range(256)) * 18  # the longest frame
    heard = bytearray()

    def listen() -> None:
        while len(heard) < len(whole):
            heard.extend(os.read(line.far, 4096))

    thread = threading.Thread(target=listen)
    thread.start()
    line.stream.write(whole)
    thread.join(10)
    assert bytes(heard) == whole


def test_a_line_that_is_gone_is_no_silence(line):
    line.unplug()
    with pytest.raises(LinkError):
        line.stream.read(100, 0.05)
    with pytest.raises(LinkError):
        line.stream.write(b"x")
        line.stream.read(100, 0.05)
    line.stream.close()
    line.stream.close()


# KeyRegistry

KID = bytes.fromhex(build_entry("plume-01", POINT)["kid"])
REGISTRIES = {"KeyFile": lambda **entry: parse_keys(json.dumps([build_entry("plume-01", POINT) | entry]).encode(), "k")}


@pytest.fixture(params=REGISTRIES)
def registry(request):
    return REGISTRIES[request.param]


@pytest.mark.parametrize(
    ("entry", "kid", "device", "seq", "code"),
    [
        ({}, KID, "plume-01", 1, None),
        ({}, bytes(16), "plume-01", 1, "key_unknown"),
        ({}, KID, "plume-02", 1, "key_other_device"),
        ({"valid_from_seq": 5}, KID, "plume-01", 4, "key_not_valid"),
        ({"valid_from_seq": 5}, KID, "plume-01", 5, None),
        ({"valid_until_seq": 9}, KID, "plume-01", 9, None),
        ({"valid_until_seq": 9}, KID, "plume-01", 10, "key_not_valid"),
        ({"valid_until_seq": 9, "revoked": True}, KID, "plume-01", 9, None),
        ({"valid_until_seq": 9, "revoked": True}, KID, "plume-01", 10, "key_revoked"),
        ({"revoked": True}, KID, "plume-01", 1, "key_revoked"),
        ({"purpose": "anchor"}, KID, "plume-01", 1, "key_unknown"),
    ],
)
def test_who_may_sign_what(registry, entry, kid, device, seq, code):
    found = registry(**entry)
    if code is None:
        assert found.find(kid, device, seq) == POINT
        return
    with pytest.raises(EnvelopeError) as caught:
        found.find(kid, device, seq)
    assert caught.value.code == code
