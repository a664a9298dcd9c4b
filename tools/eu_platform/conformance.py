"""The platform against its own description: starts one in a fresh folder and lets schemathesis ask it.

    python -m tools.eu_platform.conformance                                a short run, as in the suite
    python -m tools.eu_platform.conformance --examples 2000 --seconds 3600   a long one

Every operation, with a good token where it needs one, in all four phases (examples, coverage, fuzzing, stateful) and
with all checks. Exit codes: 0 it conforms, 1 it does not (schemathesis says where), 3 it did not start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import urllib3

from tools import test_ca

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
EXAMPLES = 15  # per operation, of a short run
TOKEN_S = 86_400  # longer than any run


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.eu_platform.conformance", description="schemathesis run")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="most requests per operation and phase")
    parser.add_argument("--seconds", type=int, help="repeat until this time is spent")
    parser.add_argument("--seed", type=int, help="to repeat a run")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="where the platform's log goes")
    return parser.parse_args(arguments)


def run(chosen: argparse.Namespace, folder: Path) -> int:
    """Start, ask, stop; the status of schemathesis."""
    test_ca.make(folder / "ca")
    command = [sys.executable, "-m", "tools.eu_platform", "--dir", str(folder / "platform"), "--token-s", str(TOKEN_S)]
    with (
        chosen.log.open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT) as platform,
    ):
        try:
            line = platform.stdout.readline() if platform.stdout is not None else ""
            if not line.startswith("ready "):
                print("conformance: the platform did not start; see --log", file=sys.stderr)
                return 3
            return ask(chosen, line.split()[1], folder)
        finally:
            platform.terminate()


def ask(chosen: argparse.Namespace, url: str, folder: Path) -> int:
    """Let schemathesis ask the service at `url`."""
    authority = str(folder / "ca" / "ca.pem")
    secret = (folder / "platform" / "client.secret").read_text().strip()
    with urllib3.PoolManager(ca_certs=authority, retries=False) as pool:
        headers = urllib3.make_headers(basic_auth=f"gateway:{secret}")
        answer = pool.request(
            "POST", f"{url}/oauth/token", fields={"grant_type": "client_credentials"}, headers=headers,
            encode_multipart=False,
        )  # fmt: skip
        token = answer.json()["access_token"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{url}/openapi.json", "--tls-verify", authority, "--max-examples", str(chosen.examples)]
    command += ["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"]
    command += ["--max-time", str(chosen.seconds)] if chosen.seconds else []
    command += ["--seed", str(chosen.seed)] if chosen.seed is not None else []
    environment = {
        **os.environ,
        "PLATFORM_TOKEN": token,
        "PLATFORM_CLIENT": "gateway",
        "PLATFORM_SECRET": secret,
        "SCHEMATHESIS_HOOKS": "tools.eu_platform.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(command, cwd=folder, env=environment).returncode


def main() -> int:
    """Run and say."""
    chosen = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        return run(chosen, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
