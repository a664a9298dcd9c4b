"""Command line of the reference platform; what it is and leaves: docstring of tools.eu_platform.

Exit codes: 0 stopped as asked, 1 a fault of its own, 2 wrong usage or files, 3 a place or port that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import Route

from tools import test_ca
from tools.eu_platform.anchor_desk import AnchorDesk
from tools.eu_platform.app import Endpoints, build_app
from tools.eu_platform.clients import Clients
from tools.eu_platform.control import Control
from tools.eu_platform.demands import DEMANDS, Demands
from tools.eu_platform.description import Description
from tools.eu_platform.faults import Fault, FaultPlan, FaultWishError, parse_faults
from tools.eu_platform.intake import Intake
from tools.eu_platform.pages import Pages
from tools.eu_platform.receipts import ReceiptKey
from tools.eu_platform.server import bind, serve
from tools.eu_platform.spoil import REQUESTS_KEPT, FaultLayer, Powers, Seen
from tools.eu_platform.store import Store, StoreFault
from tools.eu_platform.tokens import TokenDesk

TOKEN_S = 3600  # life of a token
LONGEST_TOKEN_S = 86_400


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.eu_platform", description="reference EU platform on loopback (provisional, not certified)"
    )
    parser.add_argument("--dir", type=Path, required=True, help="folder of its keys, secrets and database")
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one, printed")
    parser.add_argument("--authority", type=Path, metavar="FOLDER", help="certificates (DIR/../ca; made where absent)")
    parser.add_argument("--client", metavar="ID", help="one client, instead of those of DIR/clients.json")
    parser.add_argument("--secret-file", type=Path, metavar="FILE", help="its secret")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:FROM-TO][:rate=R]...",
        help="see tools/eu_platform/faults.py",
    )
    parser.add_argument(
        "--control", action="store_true", help="faults while it runs, by /control and DIR/control.token"
    )
    parser.add_argument(
        "--demand",
        action="append",
        default=[],
        choices=DEMANDS,
        help="secret, assertion, certificate, signature; again for more (tools/eu_platform/demands.py)",
    )
    parser.add_argument("--fault-seed", type=int, default=1, help="of the draws of faults with a rate (1)")
    parser.add_argument("--token-s", type=int, default=TOKEN_S, help=f"life of a token, 1 to {LONGEST_TOKEN_S} s")
    chosen = parser.parse_args(arguments)
    if (chosen.client is None) != (chosen.secret_file is None):
        parser.error("--client and --secret-file belong together")
    if not 1 <= chosen.token_s <= LONGEST_TOKEN_S:
        parser.error(f"--token-s is 1 to {LONGEST_TOKEN_S}")
    if not 0 <= chosen.port <= 65535:
        parser.error("--port is 0 to 65535")
    return chosen


def run(chosen: argparse.Namespace) -> None:
    """Until it is told to stop.

    Raises StoreFault, FaultWishError, ValueError for wrong files and wishes, OSError for places.
    """
    faults = parse_faults(chosen.fault)
    folder: Path = chosen.dir
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder / "platform.lock")
    authority = chosen.authority or folder.resolve().parent / "ca"
    test_ca.make(authority)
    if chosen.client is None:
        clients = Clients.from_folder(folder)
    else:
        clients = Clients.from_secret_file(chosen.client, chosen.secret_file)
    description = Description()
    key = ReceiptKey(folder / "receipt.key")
    listener = bind(chosen.port)
    store = Store(folder / "platform.sqlite")
    try:
        intake = Intake(description, store, key)
        anchors = AnchorDesk(description, store, key, intake)
        demands = Demands(chosen.demand)
        desk = TokenDesk(clients, store, chosen.token_s, demands)
        endpoints = Endpoints(description, desk, intake, key, clients, demands, anchors)
        routes, layers = _faults(chosen, faults, endpoints, store, key, demands)
        app = build_app(endpoints, Pages(store, description, key), routes, layers)
        asyncio.run(serve(app, listener, authority, demands))
    finally:
        store.close()
        os.close(lock)


def _faults(
    chosen: argparse.Namespace,
    faults: list[Fault],
    endpoints: Endpoints,
    store: Store,
    key: ReceiptKey,
    demands: Demands,
) -> tuple[list[Route], list[Middleware]]:
    """Routes and layers of faults on demand; nothing of it is there unless it was asked for."""
    if not faults and not chosen.control:
        return [], []
    plan = FaultPlan(faults, chosen.fault_seed)
    seen: deque[Seen] = deque(maxlen=REQUESTS_KEPT)
    powers = Powers(endpoints.count_arrival, partial(run_in_threadpool, store.forget_tokens), key)
    layer = Middleware(FaultLayer, plan=plan, powers=powers, seen=seen)
    routes = Control(plan, demands, seen, chosen.dir / "control.token").routes() if chosen.control else []
    return routes, [layer]


def _lock(path: Path) -> int:
    """Two platforms in one folder would not know of each other's requests in flight. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, "another platform uses this folder", str(path)) from error
    return descriptor


def main() -> int:
    """Run until told to stop."""
    chosen = parse_arguments()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)sZ level=%(levelname)s %(name)s %(message)s"
    )
    logging.Formatter.converter = time.gmtime
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        run(chosen)
    except (StoreFault, FaultWishError, ValueError) as fault:
        print(f"platform: {fault}", file=sys.stderr)
        return 2
    except OSError as fault:
        print(f"platform: {fault}; choose another --dir or --port, or free it", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
