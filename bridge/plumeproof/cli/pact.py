"""`plumeproof pact serve -c FILE` and `plumeproof pact secret -o FILE`: product footprints for customers (PACT 3).

`serve` hands out the footprints of site.toml's table [pact] to the clients of bridge.toml's section [pact], until
SIGTERM or Ctrl-C; it reads the bridge's ledger and may run beside `plumeproof run`. `secret` makes a client's secret:
the file goes to the customer, the printed line into bridge.toml. More: bridge/PACT.md.

Exit status: 0 after a stop; 2 when configuration, site file or ledger do not let it start.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from plumeproof import __version__, observe
from plumeproof.config import load_config
from plumeproof.errors import ConfigError

SIGNAL_LOOK_S = 1.0  # on Windows a wait without an end does not hear Ctrl-C
SECRET_BYTES = 32  # random


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pact",
        help="hand out product footprints (PACT 3)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="serve|secret")
    serve = what.add_parser("serve", help="the host, until it is stopped")
    serve.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    serve.add_argument("--json", action="store_true", help="ready line as one JSON object")
    serve.add_argument("--log-level", choices=observe.LEVELS, default="info", help="what goes to standard error")
    serve.set_defaults(main=serve_main)
    secret = what.add_parser("secret", help="make a client's secret")
    secret.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the secret is written")
    secret.set_defaults(main=secret_main)


def serve_main(args: argparse.Namespace) -> int:
    """Run `pact serve`; returns the exit status."""
    config = load_config(args.config)
    observe.set_up_logging(args.log_level)
    # Imported here: the engine and the server take a second that the short verbs need not wait.
    from plumeproof.pact_service import PactService

    asked_to_stop = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked_to_stop.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last is what Windows sends
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    service = PactService(config)
    try:
        service.start()
        if args.json:
            ready = {"ready": True, "url": service.url, "footprints": service.footprints, "pid": os.getpid()}
            print(json.dumps(ready | {"refused": list(service.refused)}), flush=True)
        else:
            refused = f", {len(service.refused)} not ready (see the log)" if service.refused else ""
            kind = "" if config.pact.cert_file is not None else ", for a proxy with TLS on this machine"
            told = f"{service.footprints} footprints{refused} at {service.url}{kind}"
            print(f"plumeproof {__version__} pact ready: {told}", flush=True)
        while not asked_to_stop.wait(SIGNAL_LOOK_S):
            pass
    finally:
        service.stop()
    return 0


def secret_main(args: argparse.Namespace) -> int:
    """Run `pact secret`; returns the exit status."""
    from plumeproof.pact.credentials import hash_of

    secret = secrets.token_urlsafe(SECRET_BYTES)
    try:
        # Power fails inside: a file without a secret, which the next try does not write over.
        descriptor = os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(str(args.output), "is there already; a secret is never written over") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret + "\n")
    print(f'secret_sha256 = "{hash_of(secret).hex()}"')
    return 0
