"""Frames out and in, on both interpreters: every length around a COBS block, noise, cuts, limits, no allocation."""

import struct
from binascii import crc32

from acqwire import frames
from dice import Dice

from acq.framing import FrameReader, FrameWriter

_BODY_MAX = frames.FRAME_MAX_BYTES - frames.HEADER_BYTES - frames.CRC_BYTES
_WRITER = FrameWriter()
_READER = FrameReader(frames.FRAME_MAX_BYTES)


def _cobs(data):
    """COBS by its definition, one byte after the other (Cheshire and Baker, 1999), with the delimiter."""
    out = bytearray()
    run = bytearray()
    for index, byte in enumerate(data):
        if byte:
            run.append(byte)
        if not byte or len(run) == 254:
            out.append(len(run) + 1)
            out.extend(run)
            run = bytearray()
            if byte and index == len(data) - 1:
                return bytes(out) + b"\x00"
    return bytes(out) + bytes((len(run) + 1,)) + bytes(run) + b"\x00"


def _line(content):
    return _cobs(content + struct.pack(">I", crc32(content)))


def _write(body, is_first=False):
    _WRITER.body[: len(body)] = body
    _WRITER.finish(9, frames.RECORD, 200, len(body), is_first)
    return bytes(memoryview(_WRITER.buf)[_WRITER.start : _WRITER.end])


def _read(line, reader=_READER):
    """Bodies of the good frames in `line`."""
    found = []
    start = 0
    while start < len(line):
        start = reader.feed(line, start, len(line))
        if reader.is_whole:
            found.append(bytes(reader.body[: reader.body_count]))
    return found


def test_written_frames_follow_the_definition_and_read_back():
    dice = Dice(7)
    head = bytes((1, 9, frames.RECORD, 200))
    for size in (0, 1, 2, 240, 245, 246, 247, 248, 249, 250, 253, 254, 255, 256, 500, 501, 502, 503, 504, 505, 760):
        for zeros in (0, 1, 2, 100):  # none, all, half, few
            body = bytes(0 if zeros and dice.below(zeros) == 0 else 1 + dice.below(255) for _ in range(size))
            line = _write(body)
            assert line == _line(head + body), (size, zeros)
            assert _read(line) == [body], (size, zeros)


def test_the_longest_frame_fits_whatever_it_holds():
    for byte in (0, 0xFF):
        for index in range(_BODY_MAX):
            _WRITER.body[index] = byte
        _WRITER.finish(9, frames.RECORD, 200, _BODY_MAX, True)
        view = memoryview(_WRITER.buf)
        assert _WRITER.start == 0 and _WRITER.end <= len(_WRITER.buf)
        assert view[0] == 0 and 0 not in bytes(view[1:300]) and view[_WRITER.end - 1] == 0
        _READER.feed(_WRITER.buf, 0, _WRITER.end)
        assert _READER.is_whole and _READER.body_count == _BODY_MAX
        assert _READER.body[0] == _READER.body[_BODY_MAX - 1] == byte


def test_a_frame_too_long_is_dropped_and_the_next_one_taken():
    small = FrameReader(64)
    assert _read(_write(bytes(57)) + _write(b"next"), small) == [b"next"]
    assert small.too_long_count == 1
    assert _read(_write(bytes(56)), small) == [bytes(56)]
    for _ in range(50):
        assert _read(b"\x55" * 100, small) == []
    assert _read(b"\x00" + _write(b"next"), small) == [b"next"]
    assert small.too_long_count == 2


def test_noise_between_frames_costs_no_frame():
    dice = Dice(11)
    reader = FrameReader(300)
    for round_ in range(200):
        noise = bytes(dice.below(256) for _ in range(dice.below(40)))
        body = bytes(dice.below(256) for _ in range(dice.below(200)))
        assert _read(noise + _write(body, True), reader)[-1:] == [body], round_
    dropped = reader.cobs_count + reader.crc_count + reader.header_count
    assert reader.frame_count == 200 and dropped > 100


def test_bytes_may_come_in_any_pieces():
    dice = Dice(13)
    line = b"".join(_write(bytes((number,)) * number) for number in range(30))
    for _ in range(20):
        reader = FrameReader(64)
        found = 0
        start = 0
        while start < len(line):
            end = min(start + 1 + dice.below(20), len(line))
            while start < end:
                start = reader.feed(line, start, end)
                if reader.is_whole:
                    assert bytes(reader.body[: reader.body_count]) == bytes((found,)) * found
                    found += 1
        assert found == 30 and not reader.has_partial


def test_what_is_no_good_frame_is_counted_by_its_fault():
    def counts():
        return [
            reader.cobs_count,
            reader.crc_count,
            reader.too_long_count,
            reader.header_count,
            reader.unfinished_count,
        ]

    reader = FrameReader(64)
    assert _read(b"\x00\x00\x00", reader) == [] and counts() == [0, 0, 0, 0, 0]
    assert _read(b"\x05\x01\x00", reader) == [] and counts() == [1, 0, 0, 0, 0]  # the block is shorter than it says
    assert _read(_cobs(b"\x01\x09\x82"), reader) == [] and counts() == [2, 0, 0, 0, 0]  # shorter than any frame
    assert _read(_cobs(b"\x01\x09\x82\x00\x00\x00\x00\x00"), reader) == [] and counts() == [2, 1, 0, 0, 0]
    for header in (
        b"\x00\x09\x82\x00",
        b"\x02\x09\x82\x00",
        b"\x01\x00\x82\x00",
        b"\x01\xf8\x82\x00",
        b"\x01\x09\x0e\x00",
    ):
        assert _read(_line(header), reader) == []
    assert counts() == [2, 1, 0, 5, 0]
    reader.feed(b"\x05\x01", 0, 2)
    assert reader.has_partial
    reader.reset()
    reader.reset()
    assert counts() == [2, 1, 0, 5, 1] and not reader.has_partial
    assert _read(_line(b"\x01\xf7\x82\x00"), reader) == [b""]


def test_reading_and_writing_allocate_nothing_per_byte():
    try:
        from gc import mem_alloc
    except ImportError:
        return  # CPython counts nothing; the interpreter judges
    import gc

    line = bytearray(_write(bytes(range(256)) * 2))
    taken = []
    for size in (100, 500):
        gc.collect()
        gc.disable()
        before = mem_alloc()
        _WRITER.finish(9, frames.RECORD, 200, size, False)
        _READER.feed(line, 0, len(line))
        after = mem_alloc()
        gc.enable()
        taken.append(after - before)
    # Two CRC-32 of a frame are objects where words have 32 bits, unless they happen to be small
    assert abs(taken[0] - taken[1]) <= 64 and max(taken) < 500, taken
