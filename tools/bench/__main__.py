"""`python -m tools.bench NAME [--json]`: run one benchmark; the last line is one JSON object."""

from __future__ import annotations

import argparse
import json
import sys

from tools.bench import line

BENCHES = {"line": line.measure}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="measure one part beside a peer or a physical limit")
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    args = parser.parse_args()
    result = BENCHES[args.name]()
    if not args.json:
        for key, value in result.items():
            print(f"{key:28} {value}")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
