"""What a verb about plants reads: one ledger, plant descriptions, and rule sets of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plumeproof.config import load_config
from plumeproof.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PlantInputs:
    """`plants`: of each its description and the files of rule sets; `config`: where they were named, if there."""

    config: Path | None
    ledger: Path
    plants: tuple[tuple[Path, tuple[Path, ...]], ...]

    def files(self) -> Iterator[Path]:
        """All that is read."""
        yield self.ledger
        for plant, rule_files in self.plants:
            yield plant
            yield from rule_files
        if self.config is not None:
            yield self.config

    def refuse_output(self, output: Path, others: Sequence[Path] = ()) -> None:
        """Raises ConfigError for a folder, and for a file that is read, one of `others` included."""
        if output.is_dir():
            raise ConfigError(str(output), "is a folder; name a file")
        if any(output.exists() and path.exists() and output.samefile(path) for path in (*self.files(), *others)):
            raise ConfigError(str(output), "is read by this command; name another file to write")


def find_inputs(
    config_file: Path | None, ledger: Path | None, plants: Sequence[Path], rule_files: Sequence[Path]
) -> PlantInputs:
    """From the options -c, --ledger, --plant and --rule-file. Raises ConfigError where a ledger or plant is missing."""
    config = load_config(config_file) if config_file is not None else None
    own = tuple(rule_files)
    found = [(path, own) for path in plants]
    if not found and config is not None:
        found = [(one.file, (*one.rule_files, *own)) for one in config.plants]
    if not found:
        where = str(config_file) if config is not None else "--plant"
        raise ConfigError(where, "names no plant; give --plant FILE (`plumeproof average --sample-plant` prints one)")
    ledger = ledger or (config.gateway.ledger_file if config is not None else None)
    if ledger is None:
        raise ConfigError("--ledger", "is missing; name a ledger, or the bridge's configuration with -c")
    return PlantInputs(config_file, ledger, tuple(found))
