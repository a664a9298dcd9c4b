"""evidence.parameters: strict form, every range, and samples against their set."""

from __future__ import annotations

import copy

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from plumeproof.errors import ParametersError
from plumeproof.evidence.parameters import check_samples, parse_parameters
from plumeproof.model import BlockReadings, Samples, Slots
from tests.doubles.evidence_chain import PARAMETERS_BYTES, PARAMETERS_HASH
from tools.make_vectors import PARAMETERS


def parse_changed(path: tuple, value: object):
    changed = copy.deepcopy(PARAMETERS)
    at = changed
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return parse_parameters(rfc8785.dumps(changed))


def test_the_set_is_read():
    parameters = parse_parameters(PARAMETERS_BYTES, PARAMETERS_HASH)
    dust = parameters.channels[1]
    assert (dust.scale, dust.offset, dust.minimum, dust.maximum, dust.status) == (0.1, -5.0, -5.0, 500.0, None)
    assert parameters.statuses[0].bits[0].is_set and parameters.channels[0].status == 0


def test_a_block_may_be_read_twice():
    blocks = parse_changed(("blocks", 1, "confirm"), 1).blocks
    assert [block.is_confirmed for block in blocks] == [False, True] + [False] * (len(blocks) - 2)
    assert not any(block.is_confirmed for block in parse_parameters(PARAMETERS_BYTES).blocks)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("format",), 2, "format"),
        (("more",), 1, "key_unknown"),
        (("bus", "more"), 1, "key_unknown"),
        (("device",), "A", "range"),
        (("slot_ms",), 99, "range"),
        (("seal_ms",), 999, "range"),
        (("revision",), True, "type"),
        (("bus", "parity"), "X", "range"),
        (("bus", "baud"), 9601, "range"),
        (("analyzers",), [], "range"),
        (("analyzers", 1, "id"), "gas", "double"),
        (("analyzers", 1, "unit"), 1, "double"),
        (("analyzers", 0, "unit"), 248, "range"),
        (("blocks", 0, "analyzer"), 2, "reference"),
        (("blocks", 0, "quantity"), 126, "range"),
        (("blocks", 0, "address"), 65533, "range"),
        (("blocks", 0, "confirm"), 0, "range"),
        (("blocks", 0, "confirm"), True, "type"),
        (("channels", 0, "register"), 3, "range"),
        (("channels", 0, "order"), "AB", "range"),
        (("channels", 0, "block"), 1, "reference"),
        (("channels", 0, "scale"), "1e400", "range"),
        (("channels", 0, "scale"), "0x1", "range"),
        (("channels", 0, "scale"), 1, "type"),
        (("channels", 0, "min"), "3000", "range"),
        (("channels", 0, "status"), 1, "reference"),
        (("channels", 0, "unit"), None, "key_missing"),
        (("channels", 0, "id"), "<b>", "range"),
        (("channels", 1, "id"), "so2", "double"),
        (("statuses", 0, "bits", 0, "bit"), 9, "range"),
        (("statuses", 0, "bits", 0, "code"), "X", "range"),
    ],
)
def test_refused(path, value, code):
    with pytest.raises(ParametersError) as caught:
        parse_changed(path, value)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (PARAMETERS_BYTES + b" ", "not_canonical"),
        (b'{"a":1,"a":1}', "not_canonical"),
        (b'{"a":1.5}', "type"),
        (b'{"a":NaN}', "type"),
        (b"[" * 16000, "json"),
        (b"\xff", "json"),
        (b"[]", "type"),
        (bytes(16385), "too_large"),
    ],
)
def test_form(raw, code):
    with pytest.raises(ParametersError) as caught:
        parse_parameters(raw)
    assert caught.value.code == code


def test_hash():
    with pytest.raises(ParametersError, match="hash"):
        parse_parameters(PARAMETERS_BYTES, bytes(32))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw):
    with pytest.raises(ParametersError):
        parse_parameters(raw)


def test_samples_must_fit():
    parameters = parse_parameters(PARAMETERS_BYTES)
    good = Samples(Slots(0, 2, 1000, 0), (BlockReadings(b"\0\1", bytes(8)), BlockReadings(b"\0\0", bytes(4))), 0)
    check_samples(good, parameters)
    bad = {
        "blocks": Samples(good.slots, good.blocks[:1], 0),
        "slot_ms": Samples(Slots(0, 2, 500, 0), good.blocks, 0),
        "width": Samples(good.slots, (good.blocks[0], BlockReadings(b"\0\0", bytes(6))), 0),
    }
    for code, samples in bad.items():
        with pytest.raises(ParametersError) as caught:
            check_samples(samples, parameters)
        assert caught.value.code == code
