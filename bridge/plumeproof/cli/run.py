"""`plumeproof run -c FILE [--json] [--log-level L]`: the service, one process, until SIGTERM or Ctrl-C.

Prints one ready line with the dashboard's address as soon as ledger and page are open; ports, brokers and platforms
may come later. Logs go to standard error. Exit status 0 after a stop, 2 when the configuration or the ledger does not
let it start.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from plumeproof import __version__, observe
from plumeproof.cli.stop_signals import StopAsked, stop_signals
from plumeproof.config import Config, load_config


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("run", help="the service")
    parser.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    parser.add_argument("--json", action="store_true", help="ready line as one JSON object")
    parser.add_argument("--log-level", choices=observe.LEVELS, default="info", help="what goes to standard error")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    config = load_config(args.config)
    observe.set_up_logging(args.log_level)
    with stop_signals() as stop:
        is_whole = _serve(args, config, stop)
    if not is_whole:
        # A thread hangs on something outside; it must not hold the process. The ledger is safe at any instant.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _serve(args: argparse.Namespace, config: Config, stop: StopAsked) -> bool:
    """Until it is asked to stop; whether every thread has ended."""
    # Imported here: numba and the clients take a second that the short verbs need not wait.
    from plumeproof.dashboard.app import Dashboard
    from plumeproof.service import Service

    service = Service(config)
    service.start()
    dashboard = None
    try:
        if config.dashboard.enabled:
            dashboard = Dashboard(service)
            dashboard.start()
        _say_ready(args.json, config.gateway.id, str(config.gateway.ledger_file), dashboard.url if dashboard else None)
        stop.wait()
    finally:
        if dashboard is not None:
            dashboard.stop()
        is_whole = service.stop()
    return is_whole


def _say_ready(as_json: bool, gateway: str, ledger: str, url: str | None) -> None:
    if as_json:
        ready = {"ready": True, "gateway": gateway, "dashboard": url, "ledger": ledger, "pid": os.getpid()}
        print(json.dumps(ready), flush=True)
        return
    page = f"dashboard {url}" if url else "no dashboard"
    print(f"plumeproof {__version__} ready: gateway {gateway}, {page}, ledger {ledger}", flush=True)
