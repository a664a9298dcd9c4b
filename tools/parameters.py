"""Composes the parameter set of a module from analyzer profiles (SPEC.md section 5): the command and its exit statuses.

Profiles and rules are those of plumeproof.survey.profile, whose names can be had here as well.

    python tools/parameters.py --device plume-01 --analyzer gas=sick_mcs100ft@1 --analyzer dust=generic_dust_int16@2 \
        --slot-ms 1000 --seal-ms 60000 -o parameters.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plumeproof.errors import ParametersError, ProfileError
from plumeproof.survey.profile import (
    BUS,
    PROFILE_FOLDER,
    Choice,
    check_profile,
    compose,
    load_profile,
    parse_choice,
)
from plumeproof.survey.site import read_site

__all__ = [
    "BUS",
    "PROFILE_FOLDER",
    "Choice",
    "ProfileError",
    "check_profile",
    "compose",
    "load_profile",
    "parse_choice",
]


def main() -> int:
    """Compose and write; 0 fine, 2 for a choice that makes no parameter set."""
    parser = argparse.ArgumentParser(description="compose the parameter set of a module from analyzer profiles")
    parser.add_argument("--device", required=True, help="id of the module")
    parser.add_argument(
        "--analyzer", action="append", required=True, metavar="ID=PROFILE@UNIT", help="repeat, in polling order"
    )
    parser.add_argument("--slot-ms", type=int, default=1000)
    parser.add_argument("--seal-ms", type=int, default=60_000)
    parser.add_argument("--baud", type=int, default=BUS["baud"])
    parser.add_argument("--parity", choices=("N", "E", "O"), default=BUS["parity"])
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=BUS["stop_bits"])
    parser.add_argument("--revision", type=int, default=1)
    parser.add_argument(
        "--confirm", action="append", default=[], metavar="ID", help="analyzer that is read twice on a bad line; repeat"
    )
    parser.add_argument("--site", type=Path, help="own inputs, loops, calibration marks (plumeproof/survey/site.py)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args()
    bus = {"baud": chosen.baud, "parity": chosen.parity, "stop_bits": chosen.stop_bits}
    try:
        analyzers = [parse_choice(text) for text in chosen.analyzer]
        site = None if chosen.site is None else read_site(chosen.site)
        raw = compose(
            chosen.device,
            analyzers,
            chosen.slot_ms,
            chosen.seal_ms,
            bus,
            chosen.revision,
            confirmed=chosen.confirm,
            site=site,
        )
        chosen.output.write_bytes(raw)
    except (ProfileError, ParametersError) as fault:
        print(f"parameters: {fault}", file=sys.stderr)
        return 2
    except OSError as fault:
        print(f"parameters: {fault.filename}: {fault.strerror}; choose a place that is there", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
