"""Profiles in files, read and written: JSON as in firmware/profiles, register tables and lists as CSV or XLSX.

listed = read_profiles(Path("analyzers.xlsx"))
write_new(Path("sick_mcs100ft.csv"), build_file(profile, "csv"))
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plumeproof.errors import ProfileError
from plumeproof.survey.profile import Profile, load_profile, read_profile
from plumeproof.survey.register_list import Listed, parse_list, slug
from plumeproof.survey.sheets import build_csv, build_xlsx, read_grid
from plumeproof.survey.table import build_rows, is_table, parse_table

SUFFIXES = (".json", ".csv", ".xlsx")
_HEAD = ("format", "profile", "version", "title", "source", "status")


def find_profile(name: str) -> Profile:
    """A profile by its name among those of the checkout, or by the path of its file. Raises ProfileError, OSError."""
    path = Path(name)
    if path.suffix.lower() not in SUFFIXES:
        return load_profile(name)
    listed = read_profiles(path)
    if len(listed.profiles) != 1 or listed.refusals:
        fault = f"; first: {listed.refusals[0]}" if listed.refusals else ""
        raise ProfileError(f"{path.name}: holds {len(listed.profiles)} whole profiles, not one; import it first{fault}")
    return listed.profiles[0]


def read_profiles(
    path: Path, sheet: str | None = None, first_address: int = 0, gap: int = 0, order: str = ""
) -> Listed:
    """Every profile of a file. The options are those of register_list.parse_list; a table of our own needs none.
    Raises ProfileError for a file that is unusable as a whole, OSError as the system has it."""
    if path.suffix.lower() == ".json":
        return Listed([read_profile(path)])
    grid = read_grid(path, sheet)
    if not is_table(grid):
        return parse_list(grid, slug(path.stem) or "unnamed", first_address, gap, order)
    profile, refusals = parse_table(grid)
    return Listed([profile] if profile is not None else [], refusals)


def build_file(profile: Profile, form: str) -> bytes:
    """The bytes of a checked profile as `json`, `csv` or `xlsx`."""
    if form == "json":
        return build_json(profile)
    rows = build_rows(profile)
    return build_csv(rows) if form == "csv" else build_xlsx(rows)


def build_json(profile: Profile) -> bytes:
    """As the files of firmware/profiles are laid out: one line a block, a channel and a bit."""
    lines = [f'  "{key}": {_inline(profile[key])},' for key in _HEAD]
    lines += _array("notes", [_inline(note) for note in profile["notes"]])
    lines += [f'  "{key}": {_inline(profile[key])},' for key in ("timeout_ms", "retries")]
    lines += _array("blocks", [_inline(block) for block in profile["blocks"]])
    lines += _array("channels", [_inline(channel) for channel in profile["channels"]])
    lines += _array("statuses", [_status(status) for status in profile["statuses"]])
    lines[-1] = lines[-1].removesuffix(",")
    return ("{\n" + "\n".join(lines) + "\n}\n").encode()


def write_new(path: Path, content: bytes, is_replacing: bool = False) -> None:
    """A file that appears with all its bytes; an old one stays unless it is to be replaced. Raises ProfileError."""
    try:
        with path.open("wb" if is_replacing else "xb") as file:
            file.write(content)
    except FileExistsError as fault:
        raise ProfileError(f"{path}: is there already; name a new file, or add --replace") from fault
    except OSError as fault:
        raise ProfileError(f"{path}: {fault.strerror}; name a place that can be written") from fault


def _inline(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False)


def _array(key: str, items: Sequence[str]) -> list[str]:
    if not items:
        return [f'  "{key}": [],']
    return [f'  "{key}": [', *(f"    {item}," for item in items[:-1]), f"    {items[-1]}", "  ],"]


def _status(status: Mapping[str, Any]) -> str:
    bits = ",\n".join(f"      {_inline(bit)}" for bit in status["bits"])
    return f'{{"id": {_inline(status["id"])}, "block": {status["block"]}, "bits": [\n{bits}\n    ]}}'
