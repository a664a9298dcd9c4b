"""`python -m tools.rig VERB`: what a bench engineer does beside calling pytest (tests/hil/README.md).

    run [--module PORT] [--rig NAME] [-o FOLDER]   the suite of the rig, and a report of it (HTML): `make rig`
    record [--module PORT] [--rig NAME] -o FOLDER  both lines for a while, as captures
    emulate DIR [--on cortex]                      a bench without iron behind ports, until Ctrl-C
    power off|on|cycle --rig NAME                  try the switch

Exit status: 0 fine, 1 a test failed, or nothing was recorded, 2 wrong usage or wiring file, 3 a port, a switch or a
module cannot be reached.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from plumeproof.errors import BridgeError, ConfigError, StoreError
from tools.bench.rig import InterpreterMissing
from tools.demo.part import PartError
from tools.plant.faults import KINDS
from tools.rig.capture import CAPTURE_MAX_BYTES
from tools.rig.power import PowerError
from tools.rig.pty_bench import PARTS, PtyBench
from tools.rig.record import Recorder, RecordError
from tools.rig.run import FOLDER, RunError, run_suite
from tools.rig.wiring import EMULATED, WiringError, find_wiring, open_switch

FINE, FAULT, WRONG_USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
RECORD_MAX_S = 600.0
LOOK_S = 0.5


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.rig", description="a module on a bench: run, record, report")
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="the suite of the rig and a report of it")
    run.add_argument("-o", "--output", type=Path, default=FOLDER, help=f"folder of the report ({FOLDER})")
    run.add_argument("--who", default="", help="who runs it, for the report (the user's name)")
    run.add_argument("--cuts", type=int, default=20, help="power cuts that are counted (20)")
    run.add_argument("--soak-seconds", type=float, default=75.0, help="length of the long run (75)")
    run.add_argument("--with-captures", action="store_true", help="replay the captures as well")
    run.add_argument("pytest", nargs="*", help="after `--`: words for pytest")
    record = verbs.add_parser("record", help="both lines of a rig, as captures")
    record.add_argument("-o", "--output", type=Path, required=True, help="folder for bus.jsonl and uplink.jsonl")
    record.add_argument("--seconds", type=float, default=12.0, help=f"how long (12, at most {RECORD_MAX_S:.0f})")
    record.add_argument("--max-bytes", type=int, default=CAPTURE_MAX_BYTES, help=f"of a file ({CAPTURE_MAX_BYTES})")
    record.add_argument(
        "--fault", action="append", default=[], metavar="ANALYZER:KIND[:FROM-TO][:rate=R]",
        help=f"as tools.plant has them: {' '.join(KINDS)}",
    )  # fmt: skip
    for verb in (run, record):
        verb.add_argument("--module", metavar="PORT", help="serial port of the module's uplink")
        verb.add_argument("--rig", metavar="NAME", default=EMULATED, help="wiring file (emulated)")
    emulate = verbs.add_parser("emulate", help="a bench without iron behind ports")
    emulate.add_argument("folder", type=Path, help="an empty folder")
    emulate.add_argument("--on", choices=PARTS, default=PARTS[0], help="what the module runs on")
    power = verbs.add_parser("power", help="try the switch")
    power.add_argument("order", choices=("off", "on", "cycle"))
    power.add_argument("--rig", metavar="NAME", required=True)
    chosen = parser.parse_args(arguments)
    if chosen.verb == "record" and not 1 <= chosen.seconds <= RECORD_MAX_S:
        parser.error(f"--seconds is 1 to {RECORD_MAX_S:.0f}")
    return chosen


def record(chosen: argparse.Namespace) -> int:
    """A rig of iron, or an emulated bench made for the occasion."""
    words = chosen.output, chosen.seconds, chosen.max_bytes, chosen.fault
    wiring = find_wiring(chosen.rig, chosen.module)
    if wiring.name != EMULATED:
        Recorder(wiring, *words).run(_say)
        return FINE
    with tempfile.TemporaryDirectory() as folder, PtyBench(Path(folder), slot_ms=500) as bench:
        Recorder(find_wiring(str(bench.wiring), str(bench.port)), *words).run(_say)
    return FINE


def emulate(chosen: argparse.Namespace) -> int:
    """Until Ctrl-C or SIGTERM."""
    if chosen.folder.exists() and any(chosen.folder.iterdir()):
        raise WiringError(f"{chosen.folder}: is not empty; name a new folder")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with PtyBench(chosen.folder, chosen.on) as bench:
        print(" ".join(bench.options()), flush=True)
        while True:
            time.sleep(LOOK_S)
            bench.check()


def power(chosen: argparse.Namespace) -> int:
    """One order, said when it was given."""
    wiring = find_wiring(chosen.rig, None)
    if wiring.power is None:
        raise WiringError(f"rig {wiring.name} lacks power_switch")
    switch = open_switch(wiring.power)
    try:
        if chosen.order in ("off", "cycle"):
            switch.off()
        if chosen.order == "cycle":
            time.sleep(wiring.power.off_s)
        if chosen.order in ("on", "cycle"):
            switch.on()
        print(f"{switch.name}: {chosen.order}")
    finally:
        switch.close()
    return FINE


def main(arguments: list[str] | None = None) -> int:
    chosen = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    verb = {"run": lambda: run_suite(chosen, _say), "record": lambda: record(chosen),
            "emulate": lambda: emulate(chosen), "power": lambda: power(chosen)}[chosen.verb]  # fmt: skip
    try:
        return verb()
    except KeyboardInterrupt:
        return FINE if chosen.verb == "emulate" else INTERRUPTED
    except (WiringError, ConfigError) as fault:
        return _refuse(fault, WRONG_USAGE)
    except (RecordError, RunError, StoreError, PartError) as fault:
        return _refuse(fault, FAULT)
    except (PowerError, InterpreterMissing, BridgeError, OSError) as fault:
        return _refuse(fault, UNREACHABLE)


def _say(line: str) -> None:
    print(line, flush=True)


def _refuse(fault: Exception, status: int) -> int:
    print(f"rig: {fault}", file=sys.stderr)
    return status


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
