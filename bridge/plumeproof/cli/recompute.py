"""`plumeproof recompute`: figures of months or years again from signed records, compared with the stored ones by ==.

Works month by month, several at once; every envelope is verified on the way. `--work DIR` keeps the result of each
month, so that a run that was stopped goes on where it was. `--dask ADDRESS` gives the months to a Dask cluster; the
figures, and the digest that stands for their bits, are those of a run on this machine.

Exit status: 0 all equal, 1 a figure differs, a record was refused or cannot be read, 2 wrong usage, 3 the cluster
cannot be reached.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.config import load_config
from plumeproof.errors import ConfigError, UnreachableError
from plumeproof.instants import read_instant
from plumeproof.whole_file import whole_file

if TYPE_CHECKING:
    from plumeproof.archive import Unreadable
    from plumeproof.bulk import Job, Part, PartResult

RESULT_MAX_BYTES = 4 * 1024 * 1024
CONNECT_S = 10.0
DAY_MS = 86_400_000


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "recompute",
        help="figures again from signed records, compared bit for bit with the stored ones",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger, keys and plants")
    parser.add_argument("--archive", type=Path, metavar="PATH", help="ledger, envelopes.cbor or a folder of them")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="keys.json with the enrolled keys")
    parser.add_argument("--plant", type=Path, action="append", default=[], metavar="FILE", help="plant description")
    parser.add_argument(
        "--rule-file", type=Path, action="append", default=[], metavar="FILE", help="rule set of your own"
    )
    parser.add_argument("--rules", nargs="+", default=[], metavar="ID", help="rule sets, other than the plant names")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="ledger with the stored figures to compare")
    parser.add_argument("--from", dest="first", metavar="DAY", help="first local day (default: of the archive)")
    parser.add_argument("--to", metavar="DAY", help="local day behind the last (default: of the archive)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at once (a processor each)"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep results of months here and go on from them")
    parser.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, tcp://host:8786")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if args.processes < 1:
        raise ConfigError("--processes", "is above 0")
    results: dict[str, list[PartResult]] = {}
    longer: dict[str, PartResult | None] = {}
    unreadable: dict[str, Unreadable] = {}
    for job in _jobs(args):
        results[job.plant], unreadable[job.plant] = _run(args, job)
        longer[job.plant] = _compare_longer(args, job)
    totals = [
        _total(plant, found, longer[plant]) | {"unreadable": asdict(unreadable[plant])}
        for plant, found in results.items()
    ]
    for plant, one in longer.items():
        results[plant] += [one] if one is not None else []
    if args.json:
        months = {plant: [asdict(one) for one in found] for plant, found in results.items()}
        print(json.dumps({"totals": totals, "months": months}, indent=1))
    else:
        for total in totals:
            print(_sentence(total))
        for own in dict.fromkeys(one for one in unreadable.values() if one.count):
            print(f"  {own}", file=sys.stderr)
        for found in results.values():
            for one in found:
                for line in (*one.findings, *one.examples):
                    print(f"  {line}", file=sys.stderr)
    is_whole = not any(one.count for one in unreadable.values())
    return 0 if is_whole and all(one.is_fine for found in results.values() for one in found) else 1


def _jobs(args: argparse.Namespace) -> Iterator[Job]:
    from plumeproof.bulk import Job, span_of
    from plumeproof.plant_file import load_plant

    archive, keys, ledger = args.archive, args.keys, args.ledger
    plants = [(path, tuple(args.rule_file)) for path in args.plant]
    if args.config is not None:
        config = load_config(args.config)
        archive = archive or config.gateway.ledger_file
        ledger = ledger or (config.gateway.ledger_file if args.archive is None else None)
        keys = keys or config.keys.file
        plants = plants or [(one.file, (*one.rule_files, *args.rule_file)) for one in config.plants]
    for name, value in (("--archive", archive), ("--keys", keys)):
        if value is None:
            raise ConfigError(name, "is missing; name it, or the bridge's configuration with -c")
    if not plants:
        raise ConfigError("--plant", "is missing; `plumeproof average --sample-plant` prints one to begin with")
    for path, rule_files in plants:
        offset_min = load_plant(path).utc_offset_min
        job = Job(
            archive=str(archive.absolute()),
            keys=str(keys.absolute()),
            plant=str(path.absolute()),
            rule_files=tuple(str(one.absolute()) for one in rule_files),
            rule_sets=tuple(args.rules),
            ledger=None if ledger is None else str(ledger.absolute()),
            start_utc_ms=_day(args.first, offset_min, "--from") if args.first else 0,
            end_utc_ms=_day(args.to, offset_min, "--to") if args.to else 0,
        )
        if not (args.first and args.to):
            start, end = span_of(job)
            job = Job(**{**asdict(job), "start_utc_ms": job.start_utc_ms or start, "end_utc_ms": job.end_utc_ms or end})
        if job.end_utc_ms <= job.start_utc_ms:
            raise ConfigError("--to", "is not behind --from; nothing lies between them")
        yield job


def _day(text: str, offset_min: int, option: str) -> int:
    found = read_instant(text, offset_min, option)
    if (found + offset_min * 60_000) % DAY_MS:
        raise ConfigError(
            option, f"{text[:30]!r} is within a day; figures are recomputed by whole days of the plant's clock"
        )
    return found


def _run(args: argparse.Namespace, job: Job) -> tuple[list[PartResult], Unreadable]:
    from plumeproof.archive import Archive
    from plumeproof.bulk import split

    archive = Archive(Path(job.archive))
    quiet = args.json or not sys.stderr.isatty()
    with tqdm(unit=" records", desc="index", disable=quiet) as progress:
        parts = split(job, progress.update, archive)
    known = {part.name: _kept(args.work, part.name) for part in parts}
    found = [one for one in known.values() if one is not None]
    todo = [part for part in parts if known[part.name] is None]
    record_count = sum(len(one.seq) for part in todo for one in part.index.values())
    with tqdm(total=record_count, unit=" records", desc=Path(job.plant).stem, disable=quiet) as progress:
        for result in _work_on(args, todo, progress.update):
            found.append(result)
            _keep(args.work, result)
    return sorted(found, key=lambda one: one.start_utc_ms), archive.unreadable


def _compare_longer(args: argparse.Namespace, job: Job) -> PartResult | None:
    from plumeproof.bulk_longer import compare_longer

    with tqdm(unit=" days", desc="windows, years", disable=args.json or not sys.stderr.isatty()) as progress:
        return compare_longer(job, progress.update)


def _work_on(
    args: argparse.Namespace, parts: Sequence[Part], progress: Callable[[int], Any]
) -> Iterator[PartResult]:  # fmt: skip
    """Results as they come. `progress` is told of records: day by day here, month by month from elsewhere."""
    from plumeproof.bulk import recompute_part

    if args.dask is None and (args.processes == 1 or len(parts) < 2):
        for part in parts:
            yield recompute_part(part, progress)
        return
    elsewhere = _on_cluster(args.dask, recompute_part, parts) if args.dask is not None else _in_processes(args, parts)
    for result in elsewhere:
        progress(result.record_count)
        yield result


def _in_processes(args: argparse.Namespace, parts: Sequence[Part]) -> Iterator[PartResult]:
    from plumeproof.bulk import recompute_part

    # Spawned: a fork would take over numba's and the progress bar's threads
    with ProcessPoolExecutor(min(args.processes, len(parts)), get_context("spawn")) as pool:
        for future in as_completed([pool.submit(recompute_part, part) for part in parts]):
            yield future.result()


def _on_cluster(
    address: str, function: Callable[[Part], PartResult], parts: Sequence[Part]
) -> Iterator[PartResult]:  # fmt: skip
    try:
        import distributed
    except ImportError as error:
        raise ConfigError("--dask", "needs the package distributed: pip install 'plumeproof[dask]'") from error
    try:
        client = distributed.Client(address, timeout=CONNECT_S)  # type: ignore[no-untyped-call] # it has no types
    except (OSError, ValueError) as error:
        raise UnreachableError(f"no Dask scheduler at {address}: {error}; start one with `dask scheduler`") from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise UnreachableError(f"the scheduler at {address} has no worker; start some with `dask worker {address}`")
        # A worker that is lost costs its months only: the scheduler gives them to another
        futures = client.map(function, parts, pure=False, retries=2)
        for future in distributed.as_completed(futures):  # type: ignore[no-untyped-call] # it has no types
            yield future.result()


def _kept(folder: Path | None, name: str) -> PartResult | None:
    """The result of a month that an earlier run left; anything else in its place is made again."""
    from plumeproof.bulk import PartResult

    if folder is None:
        return None
    try:
        with (folder / f"{name}.json").open("rb") as file:
            raw = file.read(RESULT_MAX_BYTES)
        values = json.loads(raw)
        lists = {key: tuple(values[key]) for key in ("examples", "findings")}
        found = PartResult(**{**values, **lists})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.name == name else None


def _keep(folder: Path | None, result: PartResult) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / f"{result.name}.json") as file:
        file.write(json.dumps(asdict(result), indent=1).encode())


def _total(plant: str, found: Sequence[PartResult], longer: PartResult | None) -> dict[str, Any]:
    """Of the months and of what is longer; the digest is that of the months."""
    digest = hashlib.sha256("".join(one.digest for one in found).encode()).hexdigest()
    names = ("record_count", "figure_count", "equal", "differing", "missing", "extra", "not_yet")
    every = (*found, *((longer,) if longer is not None else ()))
    return {
        "plant": plant,
        "months": len(found),
        "digest": digest,
        "findings": sum(len(one.findings) for one in found),
        **{name: sum(getattr(one, name) for one in every) for name in names},
    }


def _sentence(total: dict[str, Any]) -> str:
    compared = total["equal"] + total["differing"] + total["missing"] + total["extra"]
    told = f"{total['plant']}: {total['record_count']:,} records, {total['figure_count']:,} figures"
    told += f" of {total['months']} months"
    if compared:
        told += f"; stored ones: {total['equal']:,} equal, {total['differing']:,} differ, {total['missing']:,} are not"
        told += f" stored, {total['extra']:,} are stored only"
    if total["not_yet"]:
        told += f"; {total['not_yet']:,} are of terms that the bridge has not closed yet"
    if total["findings"]:
        told += f"; {total['findings']:,} records refused"
    return f"{told}; digest {total['digest'][:16]}"
