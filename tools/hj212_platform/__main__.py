"""Command line of the HJ 212 platform; README.md beside it shows how it is used.

Exit codes: 0 stopped as asked, or every step of the script came true; 1 a step did not; 2 wrong usage; 3 a place that
cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.hj212_platform.capture import Capture, CaptureError
from tools.hj212_platform.faults import FaultError, FaultPlan, parse_fault
from tools.hj212_platform.reader import POLICIES
from tools.hj212_platform.script import Player, ScriptError, Step, StepFailed, parse_step, read_script
from tools.hj212_platform.server import Manners, Platform
from tools.hj212_platform.store import MessageStore, StoreFault

SCRIPT_MAX_BYTES = 1 << 20


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.hj212_platform", description="HJ 212 platform in small")
    parser.add_argument("--port", type=int, default=0, help="TCP port (0: a free one, printed)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (loopback)")
    parser.add_argument(
        "--capture", type=Path, metavar="FILE", help="every byte with its time: FILE and FILE.N.received"
    )
    parser.add_argument("--store", type=Path, metavar="FILE", help="SQLite table of what was received")
    parser.add_argument(
        "--script", metavar="FILE", help="steps to play, then stop; -: from standard input, as they come"
    )
    parser.add_argument("--greet", metavar="FILE", help="steps to play to each unit that connects, again each time")
    parser.add_argument("--policy", choices=POLICIES, default="strict", help="which checksums are taken (strict)")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND[:OPTION]...", help="on from the start")
    parser.add_argument("--over-time", type=float, default=5.0, metavar="S", help="wait for an answer (5 s)")
    parser.add_argument("--tries", type=int, default=3, help="times that a request is sent at most (3)")
    parser.add_argument("--idle", type=float, default=600.0, metavar="S", help="hang up after such a silence (600 s)")
    parser.add_argument(
        "--utc-offset", type=float, default=8.0, metavar="H", help="of the clock that units are set to (8)"
    )
    parser.add_argument("--mn", help="MN for a unit that has not said a word")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its password; else what the unit sends")
    parser.add_argument("--json", action="store_true", help="events as JSON lines")
    chosen = parser.parse_args(arguments)
    if not 0 <= chosen.port <= 65535:
        parser.error("--port is 0 to 65535")
    if not (0 < chosen.over_time <= 3600 and 1 <= chosen.tries <= 99 and 0 < chosen.idle <= 86400):
        parser.error("--over-time is above 0 to 3600, --tries 1 to 99, --idle above 0 to 86400")
    if not -12 <= chosen.utc_offset <= 14:
        parser.error("--utc-offset is -12 to 14")
    return chosen


class Events:
    """Prints what happens, one line an event."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def tell(self, name: str, **facts: Any) -> None:
        """Also the one place where a terminal is kept from obeying what a unit sent."""
        utc = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            print(json.dumps({"utc": utc, "event": name, **facts}), flush=True)
            return
        words = [f"{key}={json.dumps(value, ensure_ascii=True)}" for key, value in facts.items()]
        print(utc, name, *words, flush=True)


async def run(chosen: argparse.Namespace, steps: list[Step] | None, greeting: list[Step]) -> int:
    """The exit status. Raises OSError, StoreFault, CaptureError for places."""
    events = Events(chosen.json)
    known = {"MN": chosen.mn} if chosen.mn else {}
    if chosen.password_file is not None:
        known["PW"] = chosen.password_file.read_text().strip()
    manners = Manners(chosen.policy, chosen.over_time, chosen.tries, chosen.idle, chosen.utc_offset, known)
    store = MessageStore(chosen.store) if chosen.store is not None else None
    capture = Capture(chosen.capture) if chosen.capture is not None else None
    try:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def stop() -> None:
            if not told.done():
                told.set_result(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        platform = Platform(manners, FaultPlan(tuple(map(parse_fault, chosen.fault))), events.tell, store, capture)
        if greeting:
            platform.greet = lambda unit: _play(Player(platform, unit), greeting, events)
        await platform.start(chosen.host, chosen.port)
        player = Player(platform)
        work = asyncio.create_task(_by_hand(player, events) if steps is None else _play(player, steps, events))
        parts: list[asyncio.Future[Any]] = [told, platform.failed]
        if chosen.script is not None:
            parts.append(work)
        ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await platform.stop()
        return max(part.result() or 0 for part in ended)
    finally:
        if capture is not None:
            capture.close()
            if capture.is_cut:
                events.tell("capture-is-cut", file=str(chosen.capture))
        if store is not None:
            store.close()


async def _play(player: Player, steps: list[Step], events: Events) -> int:
    for step in steps:
        try:
            await player.play(step)
        except StepFailed as fault:
            events.tell("step", step=step.text, result=f"failed: {fault}")
            return 1
        events.tell("step", step=step.text, result="ok")
    return 0


async def _by_hand(player: Player, events: Events) -> int:
    """Lines as they come; a wrong one is told and the next is taken. 1 where a step did not come true."""
    lines = asyncio.StreamReader(limit=1 << 16)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    status = 0
    while line := await lines.readline():
        try:
            step = parse_step(line.decode("utf-8", "replace"), "standard input")
            status = max(status, await _play(player, [step], events)) if step is not None else status
        except ScriptError as fault:
            events.tell("step", step="", result=f"failed: {fault}")
            status = 1
    return status


def _script_in(path: str) -> list[Step]:
    with open(path, "rb") as file:
        text = file.read(SCRIPT_MAX_BYTES + 1)
    if len(text) > SCRIPT_MAX_BYTES:
        raise ScriptError(f"{path}: more than {SCRIPT_MAX_BYTES} bytes")
    return read_script(text.decode("utf-8", "replace"), path)


def main() -> int:
    """Run until told to stop, or to the end of the script."""
    chosen = parse_arguments()
    steps: list[Step] | None = [] if chosen.script is None else None
    try:
        for fault in chosen.fault:
            parse_fault(fault)
        if chosen.script not in (None, "-"):
            steps = _script_in(chosen.script)
        greeting = _script_in(chosen.greet) if chosen.greet is not None else []
        return asyncio.run(run(chosen, steps, greeting))
    except (FaultError, ScriptError) as fault:
        print(f"hj212 platform: {fault}", file=sys.stderr)
        return 2
    except (OSError, StoreFault, CaptureError) as fault:
        print(f"hj212 platform: {fault}; choose another --port or file, or free it", file=sys.stderr)
        return 3


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
