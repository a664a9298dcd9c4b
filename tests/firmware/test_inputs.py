"""Own inputs of a module: counts, debounced levels and edges beside its analyzers; faults, chatter, refusals."""

import json

from acqwire import causes, fields, inputs
from app_parts import slots_of
from input_parts import RigInputs, own_rig, own_set
from test_app_heap import _Reader, _taken_by_polling

from acq.faults import SettingsError
from acq.settings import read_plan

EDGES = causes.EVENT_INPUT_EDGES


def _run(rig, microseconds):
    """Run and fetch now and then."""
    while microseconds > 0:
        rig.run(min(microseconds, 5000000))
        rig.fetch_all()
        microseconds -= 5000000


def _events(rig):
    return [r[fields.EVENT_ARGS] for r in rig.records if r.get(fields.EVENT_CODE) == EDGES]


def _told(rig):
    """Edges told, as (input, level, ms, unsure ms), and how many were not."""
    found, untold = [], 0
    for args in _events(rig):
        assert (len(args) - 1) % inputs.EDGE_ARGS == 0 and 1 < len(args) <= 13
        untold += args[0]
        found += [tuple(args[at : at + 4]) for at in range(1, len(args), 4)]
    return found, untold


def _data(rig, block):
    """Bytes of a block in all samples fetched."""
    whole = b""
    for record in rig.records:
        if record[fields.KIND] == fields.KIND_SAMPLES:
            whole += record[fields.BLOCKS][block][1]
    return whole


def test_counts_levels_and_edges_are_blocks_like_any_other():
    port = RigInputs([4800, 65535, 0], 10)
    port.mask = 0x202
    rig = own_rig(own_set(), port)
    rig.start()
    rig.run(1500000)
    port.mask = 0x203
    rig.run(1000000)
    port.mask = 0x201
    port.analog[0] = 12000
    rig.run(4500000)
    rig.fetch_all()
    assert all(outcomes == [0, 0, 0, 0] for _, _, outcomes in slots_of(rig.records, 1))
    counts = _data(rig, 1)
    assert counts[:6] == b"\x12\xc0\xff\xff\x00\x00" and counts[-6:] == b"\x2e\xe0\xff\xff\x00\x00"
    levels = _data(rig, 2)
    assert [levels[at : at + 2] for at in range(0, 10, 2)] == [b"\x02\x02"] * 2 + [b"\x03\x02"] + [b"\x01\x02"] * 2
    edges = _data(rig, 3)
    assert edges[:8] == bytes(8) and edges[-8:] == b"\x00\x01" + bytes(6)
    assert _data(rig, 0)[:4] == b"\x01\x01\x02\x03"  # the analyzer on the bus is asked as ever
    found, untold = _told(rig)
    assert [edge[:2] for edge in found] == [(0, 1), (1, 0)] and untold == 0
    for edge, at_ms in zip(found, (1500, 2500)):
        assert edge[2] - edge[3] <= at_ms <= edge[2] and 1 <= edge[3] <= 10, (edge, at_ms)


def test_a_bounce_is_no_edge_and_an_edge_has_the_time_of_its_beginning():
    port = RigInputs([0, 0, 0], 10)
    rig = own_rig(own_set(debounce_ms=50), port)
    rig.start()
    rig.run(2000000)
    for _ in range(10):  # 30 ms each way: never stays for 50
        port.mask ^= 1
        rig.run(30000)
    assert port.mask == 0
    rig.run(3000000)
    port.mask = 4
    rig.run(3000000)
    rig.fetch_all()
    found, untold = _told(rig)
    assert untold == 0 and [edge[:2] for edge in found] == [(2, 1)]
    assert found[0][2] - found[0][3] <= 5300 <= found[0][2] <= 5320, found


def test_inputs_that_fail_are_gaps_of_their_own_blocks_and_never_old_values():
    port = RigInputs([1, 2, 3], 10)
    port.mask = 1
    rig = own_rig(own_set(), port)
    rig.start()
    rig.run(2500000)
    port.is_torn = True
    rig.run(3000000)
    port.mask = 0
    port.is_torn = False
    rig.run(3000000)
    port.is_slow = True
    rig.run(2500000)
    rig.run(3000000)
    rig.fetch_all()
    fault = causes.GAP_BUS_FAULT
    found = [outcomes for _, _, outcomes in slots_of(rig.records, 1)]
    assert found[:3] == [[0, 0, 0, 0]] * 3
    assert found[3:6] == [[0, fault, fault, fault]] * 3
    assert found[6:9] == [[0, 0, 0, 0]] * 3
    assert found[9:12] == [[0, fault, 0, 0]] * 3
    ((_, level, ms, unsure_ms),), _ = _told(rig)
    assert level == 0 and ms >= 5500 and ms - unsure_ms <= 2505, "the edge fell while nobody could look"


def test_an_input_that_chatters_fills_no_journal():
    port = RigInputs([0, 0, 0], 10)
    rig = own_rig(own_set(seal_ms=60000), port)
    rig.start()
    rig.run(1000000)
    count = 0
    for _ in range(1800):  # 3 minutes
        port.mask ^= 1
        count += 1
        rig.run(100000)
        if count % 100 == 0:
            rig.fetch_all()
    port.mask = 0
    _run(rig, 130000000)
    found, untold = _told(rig)
    assert 8 <= len(_events(rig)) <= 8 + 5
    assert len(found) + untold == count, "every edge is told or counted"
    edges = _data(rig, 3)
    assert edges[-8:-6] == (count // 2).to_bytes(2, "big")


def test_looking_takes_nothing_from_the_heap():
    rig = own_rig(own_set(seal_ms=12000), RigInputs([1, 2, 3], 10))
    rig.start()
    rig.run(13500000)
    assert rig.app._sealing.is_idle
    assert _taken_by_polling(rig, _Reader(rig), 1000) == 0


def test_a_set_that_asks_for_inputs_the_board_has_not():
    cases = ((None, "none set up"), (RigInputs([0, 0], 10), "analog inputs up to number 2 and this board has 2"),
             (RigInputs([0, 0, 0], 9), "digital inputs up to number 9 and this board has 9"))  # fmt: skip
    for port, words in cases:
        rig = own_rig(own_set(), port)
        try:
            rig.start()
            refused = ""
        except ValueError as fault:
            refused = str(fault)
        assert words in refused and refused.startswith("parameters.json") and "BOARDS.md" in refused, refused


def test_a_torn_cable_at_the_start_is_no_reason_not_to_start():
    port = RigInputs([1, 2, 3], 10)
    port.is_torn = True
    rig = own_rig(own_set(), port)
    rig.start()
    rig.run(3500000)
    port.is_torn = False
    port.mask = 2
    rig.run(3000000)
    rig.fetch_all()
    found = [outcomes for _, _, outcomes in slots_of(rig.records, 1)]
    assert found[:3] == [[0, 7, 7, 7]] * 3 and found[-1] == [0, 0, 0, 0]
    assert _told(rig) == ([], 0), "what is seen first is no edge"


def _refusal(whole):
    try:
        read_plan(json.dumps(whole).encode(), b'{"link_address": 7}')
    except SettingsError as refused:
        return refused.code, refused.key
    return None


def test_refused_parameters():
    wrong = causes.FAULT_SETTINGS_VALUE
    mark = {"analyzer": 0, "phase": "zero", "block": 2, "bit": 9, "is": 1}
    assert _refusal(own_set(calibrations=[mark] * 32)) is None
    for key, value, name in (
        ("analyzer", 2, "calibrations.analyzer"), ("phase", "lunch", "calibrations.phase"),
        ("phase", 1, "calibrations.phase"), ("block", 4, "calibrations.block"), ("bit", 10, "calibrations.bit"),
        ("bit", -1, "calibrations.bit"), ("is", 2, "calibrations.is"), ("is", True, "calibrations.is"),
    ):  # fmt: skip
        assert _refusal(own_set(calibrations=[mark | {key: value}])) == (wrong, name), (key, value)
    for key in mark:
        refused = _refusal(own_set(calibrations=[{name: mark[name] for name in mark if name != key}]))
        assert refused is not None and refused[1] == "calibrations." + key, key
    for calibrations in ([], [mark] * 33, {}):
        assert _refusal(own_set(calibrations=calibrations)) == (wrong, "parameters.calibrations")
    for debounce_ms in (0, 10001, True, "20"):
        assert _refusal(own_set(debounce_ms=debounce_ms)) == (wrong, "inputs.debounce_ms")
    whole = own_set()
    whole["analyzers"][1]["unit"] = 2
    assert _refusal(whole) == (wrong, "parameters.inputs")
    whole = own_set()
    del whole["inputs"]
    assert _refusal(whole) == (wrong, "analyzers.unit")
    for function, quantity, key in ((1, 1, "function"), (2, 17, "quantity"), (3, 17, "quantity"), (4, 33, "quantity")):
        whole = own_set()
        whole["blocks"][1] = {"analyzer": 1, "function": function, "address": 0, "quantity": quantity}
        assert _refusal(whole) == (wrong, "blocks." + key), function
