"""The golden frames, written and read; they need a larger heap than a module has, for their JSON."""

from acqwire import frames
from vector_files import own

from acq.framing import FrameReader, FrameWriter


def test_golden_frames_are_what_the_module_writes():
    writer = FrameWriter()
    vectors = own("frames.json")["frames"]
    assert len(vectors) >= 15
    for vector in vectors:
        body = bytes.fromhex(vector["body"])
        writer.body[: len(body)] = body
        writer.finish(vector["address"], vector["type"], vector["number"], len(body), False)
        assert bytes(writer.buf[writer.start : writer.end]) == bytes.fromhex(vector["line"]), vector["name"]


def test_golden_frames_are_what_the_module_reads():
    reader = FrameReader(frames.FRAME_MAX_BYTES)
    for vector in own("frames.json")["frames"]:
        line = bytes.fromhex(vector["line"])
        assert reader.feed(line, 0, len(line)) == len(line)
        assert reader.is_whole
        found = (reader.type, reader.address, reader.number)
        assert found == (vector["type"], vector["address"], vector["number"])
        assert bytes(reader.body[: reader.body_count]) == bytes.fromhex(vector["body"])
    assert reader.crc_count == reader.cobs_count == reader.header_count == reader.too_long_count == 0


def test_every_flipped_bit_of_every_frame_is_noticed():
    reader = FrameReader(frames.FRAME_MAX_BYTES)
    for vector in own("frames.json")["frames"]:
        line = bytearray(bytes.fromhex(vector["line"]))
        if len(line) > 600:
            continue
        for bit in range(len(line) * 8):
            line[bit >> 3] ^= 1 << (bit & 7)
            start = 0
            while start < len(line):
                start = reader.feed(line, start, len(line))
                assert not reader.is_whole, (vector["name"], bit)
            reader.feed(b"\x00", 0, 1)
            assert not reader.is_whole, (vector["name"], bit)
            line[bit >> 3] ^= 1 << (bit & 7)
    line = bytes.fromhex(own("frames.json")["frames"][0]["line"])
    reader.feed(line, 0, len(line))
    assert reader.is_whole
