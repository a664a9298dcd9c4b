"""`plumeproof queue ls|inspect|requeue|export -c FILE`: the outbox, what was set aside in it, and why.

`ls` and `inspect` read beside a running bridge; `requeue` writes, so the bridge must be stopped. Exit status 0, 1 when
nothing was found to do, 2 for wrong usage, configuration or ids.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from plumeproof.config import Config, load_config
from plumeproof.errors import ConfigError
from plumeproof.pact_config import outbox_of

STATES = ("waiting", "quarantined", "closed", "split")
ROWS_MAX = 10_000


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("queue", help="deliveries that wait or were set aside")
    what = parser.add_subparsers(dest="what", required=True, metavar="ls|inspect|requeue|export")
    ls = what.add_parser("ls", help="rows of the outbox in the order of delivery")
    ls.add_argument("--state", choices=STATES, default="waiting", help="default: waiting")
    ls.add_argument("-n", "--limit", type=_limit, default=50, metavar="N", help=f"1 to {ROWS_MAX}, default 50")
    inspect = what.add_parser("inspect", help="one row with its reason, body and receipt")
    inspect.add_argument("id", type=int)
    requeue = what.add_parser("requeue", help="try rows again that were set aside or wait; the bridge must be stopped")
    requeue.add_argument("ids", type=int, nargs="*", metavar="id", help="none: every row that was set aside")
    export = what.add_parser("export", help="the bytes of one row")
    export.add_argument("id", type=int)
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="a new file")
    for one in (ls, requeue):
        one.add_argument("--sink", metavar="NAME", help="only this sink")
    for one, main in ((ls, _ls), (inspect, _inspect), (requeue, _requeue), (export, _export)):
        one.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
        one.add_argument(
            "--pact", action="store_true", help="events for customers (`plumeproof pact serve`), not sinks"
        )
        one.add_argument("--json", action="store_true", help="print one JSON object")
        one.set_defaults(main=main)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ROWS_MAX:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of 1 to {ROWS_MAX}")
    return int(text)


def _outbox(args: argparse.Namespace, config: Config) -> Path:
    return outbox_of(config) if args.pact else config.gateway.ledger_file


def _sink(args: argparse.Namespace, config: Config) -> str | None:
    names = [sink.name for sink in config.mqtt_sinks] + [sink.name for sink in config.https_sinks]
    names += [sink.name for sink in config.hj212_sinks]
    if args.pact:
        names = [client.id for client in config.pact.clients if client.base_url is not None]
    if args.sink is not None and args.sink not in names:
        raise ConfigError(str(args.config), f"no sink {args.sink!r}; there are {', '.join(names) or 'none'}")
    return args.sink if args.sink is None else str(args.sink)


def _ls(args: argparse.Namespace) -> int:
    from plumeproof.store.outbox_desk import list_rows

    config = load_config(args.config)
    rows = list_rows(_outbox(args, config), args.state, _sink(args, config), args.limit)
    if args.json:
        print(json.dumps({"state": args.state, "rows": rows}))
        return 0
    for row in rows:
        print(_line(row))
    more = f" (the oldest {args.limit}; --limit shows more)" if len(rows) == args.limit else ""
    print(f"{len(rows)} {args.state}{more}")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from plumeproof.store.outbox_desk import read_row

    row, body, proof = read_row(_outbox(args, load_config(args.config)), args.id)
    shown = body.decode("utf-8") if row["kind"] != "envelope" else body.hex()
    receipt = json.loads(proof) if proof is not None else None
    if args.json:
        print(json.dumps(row | {"body": shown, "receipt": receipt}))
        return 0
    print(_line(row))
    for name, value in row["attributes"].items():
        print(f"{name} {value}")
    print(shown)
    print("no receipt" if receipt is None else f"receipt {json.dumps(receipt)}")
    return 0


def _requeue(args: argparse.Namespace) -> int:
    from plumeproof.clock import SystemClock
    from plumeproof.store.connection import Writer
    from plumeproof.store.lock import LedgerLock
    from plumeproof.store.outbox_desk import list_rows, requeue

    config = load_config(args.config)
    sink, ledger = _sink(args, config), _outbox(args, config)
    rows = list_rows(ledger, "quarantined", sink, ROWS_MAX)
    ids = args.ids or [row["id"] for row in rows]
    if args.ids and sink is not None:
        raise ConfigError(str(args.config), "ids and --sink together say two things; give one of them")
    lock = LedgerLock(ledger.parent)
    try:
        writer = Writer(ledger)
        count = requeue(writer, SystemClock(), ids)
        writer.close()
    finally:
        lock.release()
    print(json.dumps({"requeued": count}) if args.json else f"{count} of {len(ids)} rows are due now")
    return 0 if count == len(ids) and count else 1


def _export(args: argparse.Namespace) -> int:
    from plumeproof.store.outbox_desk import read_row

    _, body, _ = read_row(_outbox(args, load_config(args.config)), args.id)
    try:
        with args.output.open("xb") as file:
            file.write(body)
    except OSError as error:
        raise ConfigError(str(args.output), f"{error.strerror}; name a new file") from error
    print(json.dumps({"bytes": len(body)}) if args.json else f"{args.output}: {len(body)} bytes")
    return 0


def _line(row: dict[str, Any]) -> str:
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["created_utc_ms"] / 1000))
    reason = f", {row['reason']}" if row["reason"] else ""
    size = f"{row['bytes']} bytes, {row['attempts']} tries"
    return f"{row['id']} {row['sink']} {row['module']} {row['kind']} {row['state']} since {made}, {size}{reason}"
