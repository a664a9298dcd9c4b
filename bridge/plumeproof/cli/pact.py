"""`plumeproof pact serve|check -c FILE`, `plumeproof pact secret -o FILE`: product footprints for customers (PACT 3).

`serve` hands out the footprints of site.toml's table [pact] to the clients of bridge.toml's section [pact], until
SIGTERM or Ctrl-C; it reads the bridge's ledger and may run beside `plumeproof run`. `secret` makes a client's secret:
the file goes to the customer, the printed line into bridge.toml. `check` tells what would be handed out to whom, until
when the certificate holds, and asks the customers' own hosts for a token. More: bridge/PACT.md.

Exit status: 0 fine, or stopped as asked; 1 `check` found something to mend; 2 configuration, site file or ledger do not
let it start; 3 a customer's host cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumeproof import __version__, observe
from plumeproof.cli.stop_signals import StopAsked, stop_signals
from plumeproof.config import Config, load_config
from plumeproof.errors import ConfigError, DeliveryError, RetryableDelivery

SECRET_BYTES = 32  # random
WARN_DAYS = 30  # before a certificate ends
FINE, TO_MEND, UNREACHED = "ok", "mend", "no answer"


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of `check`."""

    part: str
    name: str
    verdict: str
    told: str


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pact",
        help="hand out product footprints (PACT 3)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="serve|check|secret")
    serve = what.add_parser("serve", help="the host, until it is stopped")
    serve.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    serve.add_argument("--json", action="store_true", help="ready line as one JSON object")
    serve.add_argument("--log-level", choices=observe.LEVELS, default="info", help="what goes to standard error")
    serve.set_defaults(main=serve_main)
    check = what.add_parser("check", help="what would be handed out, to whom, and whether customers' hosts answer")
    check.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(main=check_main)
    secret = what.add_parser("secret", help="make a client's secret")
    secret.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where the secret is written")
    secret.set_defaults(main=secret_main)


def serve_main(args: argparse.Namespace) -> int:
    """Run `pact serve`; returns the exit status."""
    config = load_config(args.config)
    observe.set_up_logging(args.log_level)
    with stop_signals() as stop:
        return _serve(args, config, stop)


def _serve(args: argparse.Namespace, config: Config, stop: StopAsked) -> int:
    # Imported here: the engine and the server take a second that the short verbs need not wait.
    from plumeproof.pact_service import PactService

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
        stop.wait()
    finally:
        service.stop()
    return 0


def check_main(args: argparse.Namespace) -> int:
    """Run `pact check`; returns the exit status."""
    from plumeproof.clock import SystemClock
    from plumeproof.pact.partner_sink import PartnerSink
    from plumeproof.pact_service import load_footprints, partner_of

    config = load_config(args.config)
    kept, refused = load_footprints(config)
    found = [
        Seen("footprint", one.offered.at.removeprefix("footprint of "), FINE, f"{one.id} {one.content['status']}")
        for one in kept
    ]
    found += [Seen("footprint", "", TO_MEND, sentence) for sentence in refused]
    if config.pact.cert_file is not None and config.pact.key_file is not None:
        days = days_left(config.pact.cert_file, config.pact.key_file)
        found.append(
            Seen("certificate", str(config.pact.cert_file), TO_MEND if days < WARN_DAYS else FINE, f"{days} days")
        )
    for client in config.pact.clients:
        told = f"sees {', '.join(client.products)}"
        if client.base_url is None:
            found.append(Seen("client", client.id, FINE, f"{told}; has no host for events"))
            continue
        sink = PartnerSink(partner_of(client), SystemClock())
        try:
            found.append(Seen("client", client.id, FINE, f"{told}; {sink.check()}"))
        except RetryableDelivery as error:
            found.append(Seen("client", client.id, UNREACHED, f"{told}; {error}"))
        except DeliveryError as error:
            found.append(Seen("client", client.id, TO_MEND, f"{told}; {error}"))
        finally:
            sink.close()
    if not config.pact.clients:
        found.append(Seen("client", "", TO_MEND, "there is none: nobody could ask"))
    if args.json:
        print(json.dumps({"checks": [asdict(one) for one in found]}))
    else:
        for one in found:
            print(f"{one.verdict:9} {one.part} {one.name + ': ' if one.name else ''}{one.told}")
    verdicts = {one.verdict for one in found}
    return 3 if UNREACHED in verdicts else 1 if TO_MEND in verdicts else 0


def days_left(cert_file: Path, key_file: Path) -> int:
    """Whole days that a certificate still holds."""
    from plumeproof.delivery.tls import ClientCertificate, left_days

    return left_days(ClientCertificate(cert_file, key_file).ends_utc_s(), time.time())


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
