"""firmware/SECURE_ELEMENT.md against the code: every refusal and fault has its row, the examples name what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from acqwire import causes, names, possession

from acq import atecc_setup, atecc_start, atecc_zone, ports

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
PAGE = (FIRMWARE / "SECURE_ELEMENT.md").read_text(encoding="utf-8")
REFUSALS = {value: name for name, value in vars(atecc_zone).items() if name.startswith("REFUSED_")}


def section(number: int) -> str:
    return PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]


def test_every_refusal_has_its_row():
    rows = [int(row) for row in re.findall(r"^\| (\d+) \|", section(4), re.MULTILINE)]
    assert rows == sorted(REFUSALS) == list(range(1, len(REFUSALS) + 1))


@pytest.mark.parametrize(
    "code", [value for name, value in vars(causes).items() if name.startswith(("FAULT_ELEMENT", "FAULT_SIGNER"))]
)
def test_every_fault_of_a_signer_has_its_row(code):
    name = dict(names.FAULT_NAMES)[code]
    assert f"| `{name}` ({code}) |" in section(7)


def test_words_and_numbers_of_the_page():
    assert f'"{atecc_setup.CONSENT}"' in section(5)
    spec = (FIRMWARE / "SPEC.md").read_text(encoding="utf-8").split("\n## 9. ")[1]
    assert f'"{possession.CONTEXT}", {possession.VERSION}, nonce ({possession.NONCE_BYTES} bytes' in spec
    assert f"serial (0 to {possession.SERIAL_MAX_BYTES} bytes" in spec


def test_the_example_bus_keeps_the_port():
    example = next(
        block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class ElementBus" in block
    )
    (found,) = [node for node in ast.parse(example).body if isinstance(node, ast.ClassDef)]
    methods = {node.name for node in found.body if isinstance(node, ast.FunctionDef)} - {"__init__"}
    assert methods == {name for name in vars(ports.ElementBus) if not name.startswith("_")}


def test_the_steps_name_functions_that_exist():
    for name in re.findall(r"start\.(\w+)\(", PAGE):
        assert hasattr(atecc_start.ElementStart, name), name
    for name in re.findall(r"atecc_zone\.(\w+)\(", PAGE):
        assert hasattr(atecc_zone, name), name
