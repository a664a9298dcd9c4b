"""`python -m tools.bench NAME [--json] [--quick]`: run one benchmark; the last line printed is one JSON object.

Exit codes: 0 measured, 1 a part failed while it was measured, 2 no such benchmark, 3 something is not there.
"""

from __future__ import annotations

import argparse
import sys

from tqdm import tqdm

from plumeproof.errors import BridgeError
from tools.bench import averaging, bus, cortex, evidence, fleet, line, wear
from tools.bench.figures import to_json, to_table
from tools.bench.rig import BenchError, InterpreterMissing
from tools.demo.part import PartError

BENCHES = {
    "averaging": averaging,
    "bus": bus,
    "evidence": evidence,
    "fleet": fleet,
    "line": line,
    "module": cortex,
    "wear": wear,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="measure one part beside a peer or a physical limit")
    parser.add_argument("name", metavar="NAME", help=f"one of: {' '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    parser.add_argument("--quick", action="store_true", help="a short run for tests: figures without weight")
    chosen = parser.parse_args(arguments)
    bench = BENCHES.get(chosen.name)
    if bench is None:
        print(f"bench: no benchmark {chosen.name!r}; there are: {' '.join(BENCHES)}", file=sys.stderr)
        return 2
    try:
        with tqdm(total=bench.STEPS, unit="step", disable=None, leave=False) as bar:

            def tick(what: str) -> None:
                bar.set_description(what)
                bar.update()

            figures = bench.measure(chosen.quick, tick)
    except InterpreterMissing as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 3
    except (BenchError, PartError, BridgeError, OSError) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    if not chosen.json:
        print(to_table(figures))
    print(to_json(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
