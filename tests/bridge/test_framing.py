"""evidence.framing: any cut, any noise, any flipped bit."""

from __future__ import annotations

import pytest
from acqwire import frames
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.evidence.framing import (
    BODY_MAX_BYTES,
    FRAME_TYPES,
    FrameCodec,
    decode_cobs,
    encode_cobs,
    encode_frame,
)
from plumeproof.model import Frame

a_frame = st.builds(
    Frame,
    type=st.sampled_from(sorted(FRAME_TYPES)),
    address=st.integers(1, 247),
    number=st.integers(0, 255),
    body=st.binary(max_size=600),
)


@given(st.binary(max_size=1200))
def test_cobs_round_trip(data):
    assert b"\x00" not in encode_cobs(data)
    assert decode_cobs(encode_cobs(data)) == data


@pytest.mark.parametrize("size", [253, 254, 255, 508, 509, 4600])
def test_cobs_at_block_limits(size):
    for data in (b"\x01" * size, bytes(size), b"\x01" * size + b"\x00"):
        assert decode_cobs(encode_cobs(data)) == data


@given(st.lists(a_frame, max_size=5), st.integers(1, 50), st.binary(max_size=100))
def test_any_cut_and_leading_noise(sent, piece, noise):
    codec = FrameCodec()
    line = noise + b"".join(codec.encode(frame) for frame in sent)
    found = [frame for at in range(0, len(line), piece) for frame in codec.feed(line[at : at + piece])]
    assert found[len(found) - len(sent) :] == sent


@given(a_frame, st.data())
def test_a_flipped_bit_never_gives_another_frame(frame, data):
    line = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(0, len(line) * 8 - 1))
    line[bit // 8] ^= 1 << bit % 8
    assert all(found == frame for found in FrameCodec().feed(bytes(line) + b"\x00"))


def test_an_endless_frame_stays_bounded_and_the_next_is_read():
    codec = FrameCodec()
    for _ in range(200):
        codec.feed(b"\x55" * 4608)
    frame = Frame(frames.HELLO, 1, 2, bytes(BODY_MAX_BYTES))
    assert codec.feed(codec.encode(frame)) == [frame]
    assert codec.counters.too_long_total == 1
    with pytest.raises(ValueError):
        encode_frame(Frame(frames.HELLO, 1, 2, bytes(BODY_MAX_BYTES + 1)))


def test_reset_forgets_an_unfinished_frame():
    codec = FrameCodec()
    codec.feed(b"\x05abc")
    codec.reset()
    frame = Frame(frames.FETCH, 1, 2, b"x")
    assert codec.feed(encode_frame(frame)) == [frame]
    assert codec.counters.unfinished_total == 1
