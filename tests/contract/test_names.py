"""acqwire/names.py against the numbers: each name is its constant's, and no kind, cause or code is without one."""

from __future__ import annotations

import pytest
from acqwire import calibration, causes, fields, names, update

EXCEPTIONS = {
    1: "illegal_function", 2: "illegal_address", 3: "illegal_value", 4: "server_failure", 5: "acknowledge", 6: "busy",
    8: "memory_parity", 10: "gateway_path", 11: "gateway_target",
}  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "module", "prefix"),
    [
        (names.KIND_NAMES, fields, "KIND_"),
        (names.UTC_NAMES, fields, "UTC_"),
        (names.EVENT_NAMES, causes, "EVENT_"),
        (names.FAULT_NAMES, causes, "FAULT_"),
        (names.UPDATE_RESULT_NAMES, update, "RESULT_"),
        (names.UPDATE_REASON_NAMES, update, "REASON_"),
        (names.GAP_NAMES, causes, "GAP_"),
        (calibration.PHASE_NAMES, calibration, "PHASE_"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_are_the_constants(pairs, module, prefix):
    found = {
        value: name.removeprefix(prefix).lower()
        for name, value in vars(module).items()
        if name.startswith(prefix)
        and name not in ("UTC_MS", "UTC_STATUS", "UTC_UNC_MS", "EVENT_CODE", "EVENT_ARGS", "PHASE_NAMES")
    }
    if prefix == "GAP_":
        base = causes.GAP_EXCEPTION
        del found[base]
        found |= {base + code: f"exception_{code}_{words}" for code, words in EXCEPTIONS.items()}
    assert {number: name.replace(" ", "_") for number, name in pairs} == found
    assert len(pairs) == len(found)
