"""Command line of the requester; what it is: docstring of tools.pact_requester.

Exit codes: 0 all cases hold, 1 some do not, 2 wrong usage or files, 3 the host cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tools.pact_requester.cases import CASES, run_all
from tools.pact_requester.listener import Listener
from tools.pact_requester.schemas import Description
from tools.pact_requester.session import Session, Target


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Exits with 2 where they are wrong."""
    parser = argparse.ArgumentParser(prog="tools.pact_requester", description=__doc__)
    parser.add_argument("--host", required=True, metavar="URL", help="https://... below which /3/footprints lies")
    parser.add_argument("--auth", metavar="URL", help="below which /auth/token lies; default: the host")
    parser.add_argument("--client", required=True, metavar="ID", help="our client id at the host")
    parser.add_argument("--secret-file", required=True, type=Path, metavar="FILE", help="one line")
    parser.add_argument("--openapi", required=True, type=Path, metavar="FILE", help="PACT's description, YAML or JSON")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="authorities, instead of the system's")
    parser.add_argument("--listen-port", type=int, metavar="N", help="be a host for answering events on 127.0.0.1")
    parser.add_argument("--listen-cert", type=Path, metavar="FILE")
    parser.add_argument("--listen-key", type=Path, metavar="FILE")
    parser.add_argument("--listen-client", metavar="ID", help="the host's client id here")
    parser.add_argument("--listen-secret-file", type=Path, metavar="FILE", help="and its secret")
    parser.add_argument("--wait", type=float, default=10.0, metavar="S", help="for an answering event (10)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    chosen = parser.parse_args(arguments)
    for name in ("host", "auth"):
        url = getattr(chosen, name)
        if url is not None and (urlsplit(url).scheme != "https" or not urlsplit(url).netloc):
            parser.error(f"--{name} is an https:// address")
    listening = [chosen.listen_cert, chosen.listen_key, chosen.listen_client, chosen.listen_secret_file]
    if any(value is None for value in listening) != (chosen.listen_port is None) or (
        chosen.listen_port is None and any(value is not None for value in listening)
    ):
        parser.error("--listen-port, -cert, -key, -client and -secret-file belong together")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Ask everything; returns the exit code."""
    chosen = parse_arguments(arguments)
    base = chosen.host.rstrip("/")
    listener = None
    try:
        secret = chosen.secret_file.read_text(encoding="utf-8").strip()
        description = Description(chosen.openapi)
        if chosen.listen_port is not None:
            own = chosen.listen_secret_file.read_text(encoding="utf-8").strip()
            files = (chosen.listen_cert, chosen.listen_key)
            listener = Listener(chosen.listen_port, *files, chosen.listen_client, own)
        target = Target(base, (chosen.auth or base).rstrip("/"), chosen.client, secret, chosen.ca_file)
        session = Session(target, description, listener, chosen.wait)
        session.http  # noqa: B018 - reads the authorities
    except (OSError, ValueError) as error:
        print(f"pact_requester: {error}", file=sys.stderr)
        return 2
    outcomes = []
    try:
        for outcome in run_all(session):
            outcomes.append(outcome)
            if not chosen.json:
                verdict = "pass" if outcome.is_passed else "FAIL"
                told = f" ({outcome.told})" if outcome.told else ""
                print(f"case {outcome.number:02d} {verdict} {outcome.name}{told}", flush=True)
    except httpx.ConnectError as error:
        print(f"pact_requester: {base} cannot be reached: {error}", file=sys.stderr)
        return 3
    finally:
        session.close()
        if listener is not None:
            listener.close()
    passed = sum(outcome.is_passed for outcome in outcomes)
    if chosen.json:
        cases = [asdict(outcome) for outcome in outcomes]
        print(json.dumps({"host": base, "description": description.version, "passed": passed, "cases": cases}))
    else:
        print(f"{passed} of {len(CASES)} cases hold at {base} (description {description.version})")
    return 0 if passed == len(CASES) else 1


if __name__ == "__main__":
    sys.exit(main())
