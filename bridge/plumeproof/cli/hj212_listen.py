"""`plumeproof hj212 listen`: packets of field units (analyzers, data loggers) as they come, each with its verdict.

Listens on this machine only unless --host says otherwise: HJ 212 has no encryption, and its password is sent in clear.
Prints a line for each packet, with --json one object; --store FILE keeps the objects too, up to a size. Nothing that
comes is obeyed. Ends by Ctrl-C or SIGTERM; exit status 3 where the port or the file cannot be used.

    plumeproof hj212 listen --port 9212 --policy modbus-crc-accepted --json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from plumeproof.errors import ConfigError, UnreachableError
from plumeproof.hj212.frame import Policy
from plumeproof.hj212.preview import Edition
from plumeproof.hj212_listener import Listener, ListenRule

MIB = 1 << 20
STORE_MAX_MIB = 1 << 20


def add_listen(subparsers: Any) -> None:
    """Add the verb to those of `hj212`."""
    verb: argparse.ArgumentParser = subparsers.add_parser(
        "listen", help="take packets of field units on a port", description=__doc__
    )
    verb.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default 127.0.0.1)")
    verb.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one, printed")
    verb.add_argument(
        "--policy",
        choices=[str(policy) for policy in Policy],
        default=str(Policy.STRICT),
        help="which checksums are taken (default strict); it stands beside every value",
    )
    verb.add_argument(
        "--version",
        choices=[str(edition) for edition in Edition],
        default=str(Edition.HJ2017),
        help="edition that packets are judged by",
    )
    verb.add_argument("--answer", action="store_true", help="answer packets that ask for it (9014, 9013)")
    verb.add_argument("--idle", type=float, default=600.0, metavar="S", help="silence before a connection ends")
    verb.add_argument("--store", type=Path, metavar="FILE", help="append one JSON object for each packet")
    verb.add_argument("--store-max", type=int, default=1024, metavar="MIB", help="largest FILE (default 1024)")
    verb.add_argument("--count", type=int, metavar="N", help="end after so many packets")
    verb.add_argument("--json", action="store_true", help="print one JSON object for each packet")
    verb.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    if not 0 <= args.port <= 65_535 or args.idle <= 0 or not 1 <= args.store_max <= STORE_MAX_MIB:
        raise ConfigError("--port, --idle, --store-max", "are outside what a port, a time, a size can be")
    if args.count is not None and args.count < 1:
        raise ConfigError("--count", "is no number of packets")
    return asyncio.run(_listen(args))


class _Teller:
    """Prints and keeps entries. Raises UnreachableError where the file takes no more."""

    def __init__(self, args: argparse.Namespace, done: asyncio.Event) -> None:
        self._args, self._done, self._count = args, done, 0
        self._file: IO[bytes] | None = None
        if args.store is not None:
            try:
                # What came may hold passwords of others in refused bytes: for the owner only.
                descriptor = os.open(args.store, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise UnreachableError(f"{args.store}: {error.strerror}; name a file that can be written") from error
            self._file = os.fdopen(descriptor, "ab", buffering=0)

    def tell(self, entry: dict[str, Any]) -> None:
        """One packet or stretch of rubbish."""
        text = json.dumps(entry)
        if self._file is not None:
            raw = text.encode() + b"\n"
            try:
                is_full = self._file.tell() + len(raw) > self._args.store_max * MIB
                if not is_full:
                    self._file.write(raw)
            except OSError as error:
                raise UnreachableError(f"{self._args.store}: {error.strerror}") from error
            if is_full:
                raise UnreachableError(f"{self._args.store}: has {self._args.store_max} MiB; name another file")
        line = text if self._args.json else f"{entry['utc']} {entry['peer']} {_words(entry)}"
        # A packet may hold what a terminal obeys.
        print("".join(letter if letter.isprintable() else "?" for letter in line), flush=True)
        self._count += 1
        if self._count == self._args.count:
            self._done.set()

    def close(self) -> None:
        """The file is whole up to the last line."""
        if self._file is not None:
            self._file.close()


async def _listen(args: argparse.Namespace) -> int:
    done = asyncio.Event()
    with suppress(NotImplementedError):  # Windows has no such handlers; Ctrl-C ends asyncio.run there
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, done.set)
    teller = _Teller(args, done)
    rule = ListenRule(Policy(args.policy), args.idle, args.answer, Edition(args.version))
    listener = Listener(rule, teller.tell)
    try:
        await listener.start(args.host, args.port)
    except OSError as error:
        teller.close()
        raise UnreachableError(f"{args.host}:{args.port}: {error.strerror}; is the port taken?") from error
    print(f"listening on {args.host}:{listener.port}, policy {args.policy}", file=sys.stderr, flush=True)
    waiting = asyncio.create_task(done.wait())
    try:
        await asyncio.wait((waiting, listener.failed), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await listener.stop()
        teller.close()
    if listener.failed.done():
        listener.failed.result()
    counters = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in listener.counters.items())
    print(counters, file=sys.stderr)
    return 1 if listener.counters["bad"] else 0


def _words(entry: dict[str, Any]) -> str:
    if "head" not in entry:
        return f"{entry['verdict']}: {entry['reason']} ({entry['length']} bytes)"
    head = entry["head"]
    items = ";".join(
        ",".join(f"{value['name']}={value['value']}" for value in item) for item in entry["items"]
    )  # fmt: skip
    again = " duplicate" if entry["duplicate"] else ""
    warned = f" ! {'; '.join(entry['warnings'])}" if entry["warnings"] else ""
    return f"good{again} crc {entry['crc']}: MN {head.get('MN', '')} CN {head.get('CN', '')} {items}{warned}"
