"""The CBOR writer, on both interpreters: heads at their borders, strings, a full buffer."""

from vector_files import reference

from acq.cbor import CborFull, Writer

BORDERS = (
    (0, "00"), (23, "17"), (24, "1818"), (255, "18ff"), (256, "190100"), (65535, "19ffff"), (65536, "1a00010000"),
    (0xFFFFFFFF, "1affffffff"), (1 << 32, "1b0000000100000000"), ((1 << 64) - 1, "1bffffffffffffffff"),
    (-1, "20"), (-24, "37"), (-25, "3818"), (-256, "38ff"), (-257, "390100"), (-(1 << 64), "3bffffffffffffffff"),
)  # fmt: skip


def _written(action):
    buf = bytearray(300)
    writer = Writer(buf)
    action(writer)
    return bytes(buf[: writer.end])


def test_integers_at_every_border():
    for number, encoded in BORDERS:
        assert _written(lambda writer: writer.int(number)) == bytes.fromhex(encoded), number  # noqa: B023


def test_numbers_beyond_64_bits_are_refused():
    for number in (1 << 64, -(1 << 64) - 1, 1 << 200):
        try:
            _written(lambda writer: writer.int(number))  # noqa: B023
            raise AssertionError("taken")
        except CborFull:
            pass


def test_strings_and_heads():
    assert _written(lambda w: w.bytes(b"\x01\x02\x03\x04", 1, 3)) == b"\x42\x02\x03"
    assert _written(lambda w: w.bytes(bytes(24))) == b"\x58\x18" + bytes(24)
    assert _written(lambda w: w.text("m\u00b3")) == b"\x63m\xc2\xb3"
    assert _written(lambda w: w.array(2)) == b"\x82"
    assert _written(lambda w: w.map(30)) == b"\xb8\x1e"
    assert _written(lambda w: w.tag(18)) == b"\xd2"


def test_a_full_buffer_is_said_and_never_passed():
    for size in range(10):
        buf = bytearray(size + 4)
        writer = Writer(memoryview(buf)[:size])
        try:
            writer.bytes(bytes(range(200, 209)))
            assert size == 10
        except CborFull:
            assert buf[size:] == bytes(4)
            assert writer.end <= size


def _write(writer, item):
    if isinstance(item, str):
        writer.text(item)
    elif isinstance(item, list):
        writer.array(len(item))
        for inner in item:
            _write(writer, inner)
    else:
        writer.int(item)


def _fits(item):
    if item is True or item is False or item is None:
        return False
    if isinstance(item, list):
        return all(_fits(inner) for inner in item)
    return isinstance(item, str) or (isinstance(item, int) and -(1 << 64) <= item < 1 << 64)


def test_appendix_a_examples_of_the_subset():
    count = 0
    for case in reference("vectors/cbor/rfc8949_appendix_a.json"):
        if case.get("roundtrip") and "decoded" in case and _fits(case["decoded"]):
            if case["hex"][:2] in ("c2", "c3", "f9", "fa", "fb"):
                continue  # bignums and floats that JSON shows as integers
            if case["hex"] == "64f0908591":
                continue  # MicroPython's json makes two characters of this surrogate pair
            count += 1
            assert _written(lambda writer: _write(writer, case["decoded"])).hex() == case["hex"], case  # noqa: B023
    assert count >= 25, count
