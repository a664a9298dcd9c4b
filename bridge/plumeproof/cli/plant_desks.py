"""Desks of plants for a verb: each with its engine and its ledger, opened and closed together; the period asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from plumeproof.cli.plant_inputs import PlantInputs
from plumeproof.errors import ConfigError
from plumeproof.instants import read_instant

if TYPE_CHECKING:
    from plumeproof.figure_desk import FigureDesk
    from plumeproof.ledger_strips import LedgerStrips
    from plumeproof.rules.plant import Plant


@dataclass(slots=True)
class PlantDesk:
    """A plant's desk and its ledger."""

    desk: FigureDesk
    ledger: LedgerStrips

    @property
    def plant(self) -> Plant:
        return self.desk.engine.plant


@contextmanager
def open_desks(args: argparse.Namespace, inputs: PlantInputs) -> Iterator[list[PlantDesk]]:
    """A desk for each plant, opened together and closed together."""
    from plumeproof.figure_desk import FigureDesk
    from plumeproof.ledger_strips import LedgerStrips
    from plumeproof.plant_file import open_engine

    engines = [open_engine(path, own, args.rules or ()) for path, own in inputs.plants]
    ids = [engine.plant.id for engine in engines]
    for engine, (path, _) in zip(engines, inputs.plants, strict=True):
        if ids.count(engine.plant.id) > 1:
            raise ConfigError(str(path), f"plant {engine.plant.id} is there twice; each id stands once")
    known = [one.id for engine in engines for one in engine.plant.measurands] + ["flow"]
    for name in args.measurand:
        if name not in known:
            raise ConfigError(f"--measurand {name[:40]}", f"is none of {', '.join(dict.fromkeys(known))}")
    with ExitStack() as stack:
        desks = []
        with tqdm(unit=" records", desc="placing", disable=not sys.stderr.isatty(), leave=False) as progress:
            for engine in engines:
                ledger = LedgerStrips(inputs.ledger, engine.devices(), progress.update)
                stack.callback(ledger.close)
                desks.append(PlantDesk(FigureDesk(engine, ledger), ledger))
        yield desks


def period_of(args: argparse.Namespace, desk: PlantDesk, levels: Sequence[str]) -> tuple[int, int] | None:
    """[begin, end) of what is asked for; None where the ledger holds nothing."""
    offset = desk.plant.utc_offset_min
    extent = desk.ledger.stored_extent(desk.plant.id) if args.stored else desk.ledger.extent()
    whole = None if extent is None else desk.desk.whole_period(levels, extent)
    if whole is None and (args.first is None or args.to is None):
        return None
    first = read_instant(args.first, offset, "--from") if args.first is not None else None
    end = read_instant(args.to, offset, "--to") if args.to is not None else None
    begin = first if first is not None else whole[0]  # type: ignore[index] # one of both is there
    end = end if end is not None else whole[1]  # type: ignore[index] # as above
    if end <= begin:
        if args.first is not None and args.to is not None:
            raise ConfigError("--to", f"{args.to} is not behind --from {args.first}; the period would be empty")
        return None
    return begin, end


def nothing_in(args: argparse.Namespace, desk: PlantDesk) -> str:
    """Why there is nothing to show of a plant, for people."""
    from plumeproof.figure_files import local_time

    offset, where = desk.plant.utc_offset_min, f"plant {desk.plant.id}"
    what = "stored figure" if args.stored else "whole average with a record"
    extent = desk.ledger.extent()
    if extent is None:
        unused = [f"{name}: {count} records {reason}" for (name, reason), count in desk.ledger.unused().items()]
        told = f"no record with slots can be used: {', '.join(unused)}; see `plumeproof verify`" if unused else ""
        return f"{where}: no {what}: {told or 'the ledger holds no slot of its modules'}"
    told = f"{local_time(extent[0], offset)} to {local_time(extent[1], offset)}"
    return f"{where}: no {what} in this period; the ledger holds slots from {told}"
