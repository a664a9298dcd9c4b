"""Versions, file sizes and words that must agree all over the house (reference: architecture B3, B12)."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import acqwire
import pytest
from acqwire import journal

import plumeproof

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"firmware": 300, "bridge": 400, "tools": 400, "tests": 600}
LONGER: dict[str, str] = {}  # path: why it may be longer; should be short and shrink
FILES = sorted(
    path for folder in LIMITS for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
)  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_size_and_first_docstring(path):
    relative = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    if relative not in LONGER:
        assert len(text.splitlines()) <= LIMITS[relative.split("/")[0]], f"{relative}: split it or say why in LONGER"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{relative}: no docstring on top"


def test_wire_version_and_layout_of_the_text():
    text = (ROOT / "firmware" / "SPEC.md").read_text()
    found = re.search(r"Wire version (\d+), journal layout (\d+)", text)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (acqwire.WIRE_VERSION, journal.LAYOUT_VERSION)


def test_bridge_release():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == plumeproof.__version__


def test_no_words_of_the_workplace():
    pattern = re.compile(r"/" + r"work/|\.lib" + r"rary|farm" + r"-")
    for path in [*FILES, *ROOT.glob("*.md"), *(ROOT / "firmware").glob("*.md"), ROOT / "pyproject.toml"]:
        assert pattern.search(path.read_text(encoding="utf-8")) is None, path


def test_no_name_hides_the_standard_library():
    """A script of tools/ that is started by its path has its own folder in front of the library's."""
    names = {path.stem for path in (ROOT / "tools").iterdir()}
    assert not names & sys.stdlib_module_names


def test_no_forbidden_file_names():
    for path in FILES:
        assert path.stem not in ("utils", "helpers", "common", "manager", "handler", "misc"), path


def test_readme_names_what_there_is():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    verbs = {path.stem for path in (ROOT / "bridge" / "plumeproof" / "cli").glob("*.py")}
    assert set(re.findall(r"\bmake ([a-z]+)\b", text)) <= targets
    assert set(re.findall(r"`plumeproof ([a-z]+)\b", text)) <= verbs
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link
