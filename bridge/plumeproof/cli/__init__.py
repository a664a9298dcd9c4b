"""The command line, a contract: verbs, `--json` on every reading verb, exit status, errors of one line.

Exit status: 0 fine, 1 a fault found in the data, 2 wrong usage or configuration, 3 something cannot be reached.
Each verb is a file with `add_parser(subparsers)` and `main(args)`; here they are only put together.

    plumeproof config check -c bridge.toml
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from plumeproof import __version__
from plumeproof.errors import BridgeError, UnreachableError

FINE, FAULT_IN_DATA, WRONG_USAGE, UNREACHABLE = 0, 1, 2, 3
VERBS = (  # in the order of the help, each a file of that name
    "run",
    "config",
    "doctor",
    "verify",
    "average",
    "surveillance",
    "calibration",
    "limits",
    "recompute",
    "export",
    "anchors",
    "evidence",
    "trace",
    "agree",
    "report",
    "pact",
    "readiness",
    "hj212",
    "queue",
    "keys",
    "module",
    "profile",
    "scan",
    "read",
    "table",
    "demo",
    "version",
)
INTERRUPTED = 130  # as shells report SIGINT
READER_GONE = 141  # and SIGPIPE; not 0: nobody has read the verdict


def build_parser(named: str = "") -> argparse.ArgumentParser:
    """Every verb of this release; where one is named, only that: the others' imports cost each start 0.1 s."""
    parser = argparse.ArgumentParser(
        prog="plumeproof",
        description="Emission figures provable from the analyzer's registers to the declared tonne.",
        epilog="Exit status: 0 fine, 1 fault found in the data, 2 wrong usage or configuration,"
        " 3 cannot reach something.",
    )
    parser.add_argument("--version", action="version", version=f"plumeproof {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in (named,) if named in VERBS else VERBS:
        import_module(f"plumeproof.cli.{verb}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(words[0] if words else "")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A folder's name may hold what the console (cp1252, cp936) or the pipe cannot show.
            stream.reconfigure(errors="backslashreplace")
    try:
        args, rest = parser.parse_known_args(argv)
        if args.verb in ("demo", "module"):
            args.rest = rest  # tools/ has options of its own
        elif rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        status = int(args.main(args))
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk must be heard of here, not at exit
        return status
    except SystemExit as error:  # argparse has printed its line
        return error.code if isinstance(error.code, int) else WRONG_USAGE
    except BridgeError as error:
        print(f"plumeproof {args.verb}: {error}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, UnreachableError) else WRONG_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except OSError as error:
        where = error.filename or "input or output"
        print(f"plumeproof {args.verb}: {where}: {error.strerror or error}", file=sys.stderr)
        if error.filename is None:
            _drop_output()
        return WRONG_USAGE


def _drop_output() -> None:
    """Nothing may be flushed at exit into what takes nothing any more (`| head`, a full disk)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
