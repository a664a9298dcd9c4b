"""Command line of the emulated plant; what it does and leaves: docstring of tools.plant.

Exit codes: 0 stopped as asked, 1 a fault of the plant itself, 2 wrong usage, 3 a place that cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import selectors
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tools.plant.bus import Bus, Wire
from tools.plant.faults import Fault, FaultPlan, parse_fault
from tools.plant.layout import Channel, Layout, PlantError, read_layout
from tools.plant.model import PlantModel
from tools.plant.plant_log import PlantLog
from tools.plant.recording import Recording
from tools.plant.registers import build_image
from tools.plant.server import AnalyzerServer
from tools.rig.capture import CAPTURE_MAX_BYTES, CaptureWriter


class Source(Protocol):
    """Where values come from: PlantModel or Recording."""

    def codes(self, analyzer: str, t_s: float) -> frozenset[str]: ...

    def value(self, analyzer: str, channel: Channel, t_s: float) -> float: ...


class Plant:
    """One bus with its analyzers, from start to stop."""

    def __init__(self, chosen: argparse.Namespace, layout: Layout, raw: bytes, source: Source, plan: FaultPlan) -> None:
        self._chosen = chosen
        self._layout = layout
        self._source = source
        self._plan = plan
        self._raw = raw
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or a fault of its own, which is raised."""
        chosen = self._chosen
        folder = chosen.dir / chosen.module
        folder.mkdir(parents=True, exist_ok=True)
        log = PlantLog(folder / "plant.jsonl")
        self._loop.set_exception_handler(self._fail)
        servers = [AnalyzerServer(analyzer) for analyzer in self._layout.analyzers]
        for server in servers:
            await server.start()
        wire = Wire(self._layout, chosen.paced)
        capture = None if chosen.capture is None else CaptureWriter(chosen.capture, "bus", chosen.capture_bytes)
        tap = (lambda sender, raw: None) if capture is None else capture.write
        bus = Bus(self._layout, servers, wire, self._plan, log, self._refresh, tap)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end)
        log.write("state", state="start", **self._start_fields())
        if chosen.port is None:
            bus.open(folder / "bus.tty")
        else:
            bus.open_port(chosen.port, self._layout)
        self._schedule(log)
        print("ready", flush=True)
        try:
            await self._ended
        finally:
            await bus.close()
            for server in servers:
                await server.stop()
            cut = {} if capture is None else {"capture_is_cut": capture.is_cut}
            log.write("state", state="stop", elapsed_s=round(bus.elapsed_s(), 3), **bus.counters, **cut)
            log.close()
            if capture is not None:
                capture.close()

    def _refresh(self, server: AnalyzerServer, t_s: float) -> float:
        analyzer = server.analyzer
        frozen_s = self._plan.frozen_since(analyzer.id, t_s)
        plant_s = self._chosen.start_s + (t_s if frozen_s is None else frozen_s) * self._chosen.speed
        image = build_image(
            analyzer,
            lambda channel: self._source.value(analyzer.id, channel, plant_s),
            self._source.codes(analyzer.id, plant_s),
        )
        server.show(image)
        return plant_s

    def _start_fields(self) -> dict[str, Any]:
        chosen = self._chosen
        return {
            "parameters_sha256": hashlib.sha256(self._raw).hexdigest(),
            "values": chosen.values,
            "seed": chosen.seed,
            "speed": chosen.speed,
            "start_s": chosen.start_s,
            "baud": self._layout.baud,
            "paced": chosen.paced,
        }

    def _schedule(self, log: PlantLog) -> None:
        """State lines when faults begin and end and when the recording is over."""

        def note(fault: Fault, is_active: bool) -> None:
            log.write("state", state="fault", analyzer=fault.analyzer, fault=fault.text, active=is_active)

        for fault in self._plan.faults:
            self._loop.call_later(fault.from_s, note, fault, True)
            if fault.until_s is not None:
                self._loop.call_later(fault.until_s, note, fault, False)
        if isinstance(self._source, Recording):
            left_s = (self._source.end_s - self._chosen.start_s) / self._chosen.speed
            self._loop.call_later(max(left_s, 0.0), lambda: log.write("state", state="replay_ended"))

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What went wrong in a callback ends the plant instead of leaving it half alive."""
        if not self._ended.done():
            self._ended.set_exception(context.get("exception") or RuntimeError(context["message"]))


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.plant", description="emulated plant of one bus")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the demo; files lie in DIR/NAME")
    parser.add_argument("--module", required=True, metavar="NAME", help="module whose bus this is")
    parser.add_argument("--parameters", type=Path, required=True, help="its parameter set (tools/parameters.py)")
    parser.add_argument("--values", default="model", metavar="model|CSV", help="where values come from")
    parser.add_argument("--map", type=Path, help="JSON that says which column is which channel (with a CSV)")
    parser.add_argument("--row-s", type=float, help="plant seconds of one row (with a CSV; 1, or what the map says)")
    parser.add_argument("--seed", type=int, default=1, help="of model and faults")
    parser.add_argument("--speed", type=float, default=1.0, help="plant seconds per second")
    parser.add_argument("--start-s", type=float, default=0.0, help="plant time at the start")
    parser.add_argument("--fault", action="append", default=[], metavar="ANALYZER:KIND[:FROM-TO][:rate=R]")
    parser.add_argument("--baud", type=int, help="instead of the parameter set's")
    parser.add_argument("--port", help="the bus is behind this serial adapter, in place of a tty of ours")
    parser.add_argument("--capture", type=Path, help="write every byte that passes to this file (tools.rig.capture)")
    parser.add_argument("--capture-bytes", type=int, default=CAPTURE_MAX_BYTES, help="at most so many; then no more")
    parser.add_argument("--paced", action="store_true", help="bytes take their time on the wire")
    return parser.parse_args(arguments)


async def run(chosen: argparse.Namespace) -> None:
    """Raises PlantError or OSError for what cannot be used."""
    layout, raw = read_layout(chosen.parameters)
    if chosen.baud is not None:
        layout = replace(layout, baud=chosen.baud)
    if chosen.speed <= 0 or layout.baud <= 0:
        raise PlantError("--speed and --baud must be above 0")
    names = [analyzer.id for analyzer in layout.analyzers]
    plan = FaultPlan([parse_fault(text, names) for text in chosen.fault], chosen.seed, names)
    model = PlantModel(chosen.seed, names)
    source: Source = model
    if chosen.values != "model":
        source = Recording(Path(chosen.values), layout.analyzers, model, chosen.map, chosen.row_s)
    await Plant(chosen, layout, raw, source, plan).run()


def new_loop() -> asyncio.AbstractEventLoop:
    """Waits by select(), which knows microseconds: epoll wakes up to 1 ms late, eleven characters at 115,200 baud."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> int:
    """Run until told to stop."""
    chosen = parse_arguments()
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run(chosen))
    except PlantError as fault:
        print(f"plant: {fault}", file=sys.stderr)
        return 2
    except OSError as fault:
        print(f"plant: {fault}; choose another --dir or free the place", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
