"""Make the environment of the averaging benchmark's peers, polars and duckdb, in .cache/peers. Standard library only.

python3 tools/setup/peers.py     # prints its folder
"""

from __future__ import annotations

import fcntl
import sys

import environment
from packages import Unobtainable


def main() -> int:
    environment.CACHE.mkdir(exist_ok=True)
    with (environment.CACHE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands started at once take turns
        try:
            environment.make(environment.PEERS)
        except Unobtainable as reason:
            print(f"peers: {reason}", file=sys.stderr)
            return 3
    print(environment.PEERS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
