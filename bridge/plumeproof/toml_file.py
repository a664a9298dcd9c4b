"""A file that a person writes: its text within a limit, its TOML with the line of every key; one line if refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from plumeproof.errors import ConfigError
from plumeproof.toml_lines import Lines, find_lines


def read_text(path: Path, bytes_max: int, mend: str, what: str) -> str:
    """UTF-8, with or without the mark that editors on Windows put before it. `mend`: where one is had, if it cannot be
    read; `what`: what a larger file is not. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}; {mend}") from error
    if len(raw) > bytes_max:
        raise ConfigError(str(path), f"larger than {bytes_max} bytes; {what}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"no UTF-8 at byte {error.start}; save it as UTF-8") from error


def parse_toml(text: str, path: Path) -> tuple[dict[str, Any], Lines]:
    """The tree, and where its keys stand. `path` is named in errors. Raises ConfigError."""
    lines = find_lines(text, path)
    try:
        return tomllib.loads(text), lines
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise ConfigError(str(path), f"no TOML: {error}") from error
