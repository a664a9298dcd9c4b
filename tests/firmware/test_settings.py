"""Parameter set and settings: what is read, and every refusal with its code and key."""

import hashlib
import json

from acqwire import causes, frames, limits

from acq.faults import SettingsError
from acq.settings import read_plan

SETTINGS = b'{"link_address": 7}'


def _good():
    return {
        "format": 1, "revision": 3, "device": "mod-1", "slot_ms": 1000, "seal_ms": 60000,
        "bus": {"baud": 9600, "parity": "E", "stop_bits": 2},
        "analyzers": [{"id": "a", "unit": 1, "timeout_ms": 300, "retries": 2}, {"id": "b", "unit": 247, "timeout_ms": 1,
                      "retries": 0}],
        "blocks": [{"analyzer": 0, "function": 3, "address": 0, "quantity": 125},
                   {"analyzer": 1, "function": 1, "address": 65535, "quantity": 1},
                   {"analyzer": 0, "function": 2, "address": 10, "quantity": 17}],
        "channels": [], "statuses": [],
    }  # fmt: skip


def _refusal(parameters, settings=SETTINGS):
    """(code, key) of the refusal, None when it is read."""
    raw = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    try:
        read_plan(raw, settings)
    except SettingsError as refused:
        return refused.code, refused.key
    return None


def test_what_is_read():
    raw = json.dumps(_good()).encode()
    plan = read_plan(raw, SETTINGS)
    assert (plan.hash, plan.raw_bytes) == (hashlib.sha256(raw).digest(), len(raw))
    assert (plan.device, plan.slot_ms, plan.seal_ms, plan.link_address) == ("mod-1", 1000, 60000, 7)
    assert (plan.baud, plan.parity, plan.stop_bits) == (9600, "E", 2)
    assert [(item.unit, item.timeout_ms, item.retries) for item in plan.analyzers] == [(1, 300, 2), (247, 1, 0)]
    found = [(item.analyzer, item.function, item.address, item.quantity, item.width_bytes) for item in plan.blocks]
    assert found == [(0, 3, 0, 125, 250), (1, 1, 65535, 1, 1), (0, 2, 10, 17, 3)]


def test_numbers_out_of_range_missing_or_of_another_type():
    places = (
        ((), "slot_ms", "parameters.slot_ms", limits.SLOT_MIN_MS, limits.SLOT_MAX_MS, 999),
        ((), "seal_ms", "parameters.seal_ms", 1000, limits.SEAL_MAX_MS, 999),
        (("bus",), "stop_bits", "bus.stop_bits", 1, 2, 0),
        (("analyzers", 0), "unit", "analyzers.unit", 1, 247, 0),
        (("analyzers", 1), "timeout_ms", "analyzers.timeout_ms", 1, 60000, 0),
        (("analyzers", 0), "retries", "analyzers.retries", 0, 10, -1),
        (("blocks", 0), "analyzer", "blocks.analyzer", 0, 1, 2),
        (("blocks", 0), "function", "blocks.function", 1, 4, 5),
        (("blocks", 0), "address", "blocks.address", 0, 65535 - 124, -1),
        (("blocks", 0), "quantity", "blocks.quantity", 1, 125, 126),
        (("blocks", 2), "quantity", "blocks.quantity", 1, 2000, 2001),
    )
    for way, key, name, minimum, maximum, _ in places:
        for value in (minimum - 1, maximum + 1, 10**30, -(10**30), True, "5", None, 1.5, [1]):
            parameters = _good()
            item = parameters
            for step in way:
                item = item[step]
            if value == "absent":
                del item[key]
            else:
                item[key] = value
            refused = _refusal(parameters)
            wanted = {name, "blocks.quantity"} if key == "address" else {name}
            assert refused and refused[0] == causes.FAULT_SETTINGS_VALUE and refused[1] in wanted, (key, value, refused)
        parameters = _good()
        item = parameters
        for step in way:
            item = item[step]
        del item[key]
        assert _refusal(parameters) == (causes.FAULT_SETTINGS_MISSING, name)
        for value in (minimum, maximum):
            parameters = _good()
            parameters["seal_ms"] = limits.SEAL_MAX_MS
            item = parameters
            for step in way:
                item = item[step]
            item[key] = value
            if key == "address" and value:
                item["quantity"] = 1
            refused = _refusal(parameters)
            assert refused is None or (key == "quantity" and value == 2000), (key, value, refused)


def test_blocks_that_are_read_twice():
    raw = json.dumps(_good()).encode()
    assert read_plan(raw, SETTINGS).confirm == []
    parameters = _good()
    parameters["blocks"][1]["confirm"] = 1
    plan = read_plan(json.dumps(parameters).encode(), SETTINGS)
    assert plan.confirm == [plan.blocks[1]]
    for value in (0, 2, True, None, "1", 1.5):
        parameters["blocks"][1]["confirm"] = value
        assert _refusal(parameters) == (causes.FAULT_SETTINGS_VALUE, "blocks.confirm"), value


def test_a_slot_that_is_larger_than_a_record_is_refused():
    parameters = _good()
    parameters["blocks"] = [{"analyzer": 0, "function": 3, "address": 0, "quantity": 125}] * 16
    assert _refusal(parameters) == (causes.FAULT_SETTINGS_VALUE, "parameters.blocks")
    parameters["blocks"] = parameters["blocks"][:15]
    assert _refusal(parameters) is None


def test_lists_and_their_limits():
    for key, limit, name in (
        ("analyzers", limits.ANALYZERS_MAX, "parameters.analyzers"),
        ("blocks", limits.BLOCKS_MAX, "parameters.blocks"),
    ):
        for value in ([], {}, "x", None, [_good()[key][0]] * (limit + 1)):
            parameters = _good()
            parameters[key] = value
            assert _refusal(parameters) == (causes.FAULT_SETTINGS_VALUE, name), (key, value)
        parameters = _good()
        parameters["blocks"] = [{"analyzer": 0, "function": 3, "address": 0, "quantity": 1}]
        parameters[key] = [parameters[key][0]] * limit
        assert _refusal(parameters) is None
        for value in (5, "x", None, []):
            parameters[key][0] = value
            refused = _refusal(parameters)
            assert refused and refused[0] == causes.FAULT_SETTINGS_VALUE, (key, value, refused)


def test_device_bus_and_format():
    for key, value in (
        ("device", ""), ("device", "x" * 33), ("device", "Mod"), ("device", "a/b"), ("device", 5), ("device", "a b"),
        ("format", 2), ("format", "1"), ("bus", []), ("bus", None),
    ):  # fmt: skip
        parameters = _good()
        parameters[key] = value
        assert _refusal(parameters)[0] == causes.FAULT_SETTINGS_VALUE, (key, value)
    for key in ("format", "device", "bus", "analyzers", "blocks"):
        parameters = _good()
        del parameters[key]
        assert _refusal(parameters) == (causes.FAULT_SETTINGS_MISSING, "parameters." + key)
    for key, value in (("baud", 9601), ("baud", "9600"), ("parity", "X"), ("parity", 1), ("stop_bits", 3)):
        parameters = _good()
        parameters["bus"][key] = value
        assert _refusal(parameters) == (causes.FAULT_SETTINGS_VALUE, "bus." + key)


def test_text_that_is_no_parameter_set():
    for raw in (b"", b" " * (limits.PARAMETERS_MAX_BYTES + 1)):
        assert _refusal(raw) == (causes.FAULT_SETTINGS_VALUE, "parameters")
    whole = json.dumps(_good()).encode()
    assert _refusal(whole + b" \n") is None
    for raw in (
        whole[:-1],
        whole[:-3],
        whole[: len(whole) // 2],
        whole + b"}",
        whole + b"{}",
        whole.replace(b"]", b"}"),
    ):
        assert _refusal(raw) == (causes.FAULT_SETTINGS_SYNTAX, "parameters"), raw
    tricky = _good()
    tricky["channels"] = ['a"}]\\', "\\\\", "[{"]
    assert _refusal(tricky) is None
    assert _refusal(b"[" * 10000) == (causes.FAULT_SETTINGS_SYNTAX, "parameters")
    for raw in (b"{", b"[]", b"7", b'"x"', b"{]", b"\xff\xfe"):
        assert _refusal(raw) == (causes.FAULT_SETTINGS_SYNTAX, "parameters"), raw


def test_settings_have_one_key():
    for settings, code, key in (
        (b"{}", causes.FAULT_SETTINGS_MISSING, "settings.link_address"),
        (b'{"link_address": 0}', causes.FAULT_SETTINGS_VALUE, "settings.link_address"),
        (b'{"link_address": 248}', causes.FAULT_SETTINGS_VALUE, "settings.link_address"),
        (b'{"link_address": true}', causes.FAULT_SETTINGS_VALUE, "settings.link_address"),
        (b'{"link_address": 7, "link_adress": 7}', causes.FAULT_SETTINGS_VALUE, "settings.link_adress"),
        (b"[", causes.FAULT_SETTINGS_SYNTAX, "settings"),
        (b"[]", causes.FAULT_SETTINGS_SYNTAX, "settings"),
    ):
        assert _refusal(_good(), settings) == (code, key), settings
    for address in (frames.ADDRESS_MIN, frames.ADDRESS_MAX):
        assert _refusal(_good(), b'{"link_address": %d}' % address) is None
