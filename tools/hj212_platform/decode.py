"""Read a capture with the platform's own parser: `python -m tools.hj212_platform.decode FILE [--policy P]`.

One JSON object a line, as the platform's events are; to be compared with what `plumeproof hj212 decode --json` says.
Exit codes: 0, 1 where packets were refused, 2 wrong usage, 3 a file that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.hj212_platform.reader import POLICIES, Message, PacketReader
from tools.hj212_platform.server import CHUNK, facts_of


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.hj212_platform.decode", description="read a capture")
    parser.add_argument("file", type=Path, metavar="FILE", help="bytes of one direction (FILE.N.received)")
    parser.add_argument("--policy", choices=POLICIES, default="strict", help="which checksums are taken (strict)")
    chosen = parser.parse_args()
    reader, refused = PacketReader(chosen.policy), 0
    try:
        with chosen.file.open("rb") as stream:
            while True:
                chunk = stream.read(CHUNK)
                for found in reader.take(chunk) if chunk else reader.end():
                    if isinstance(found, Message):
                        print(json.dumps({"event": "message", **facts_of(found)}))
                        continue
                    refused += found.is_packet
                    print(json.dumps({"event": "refused", "at": found.at, "size": found.size, "reason": found.reason}))
                if not chunk:
                    return 1 if refused else 0
    except OSError as fault:
        print(f"hj212 platform: {fault}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
