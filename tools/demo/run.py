"""One run of the line from start to figures; what happens in between is given by the caller (demo, kill campaign)."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tools.demo.bundle import end_with_bundle, with_bundle
from tools.demo.drain import NotDrained, drain
from tools.demo.figures import Course, take_figures
from tools.demo.layout import CHECKOUT, MODULES, Layout
from tools.demo.line import BRIDGE, PLATFORM, Line, Wishes
from tools.demo.part import PartError
from tools.demo.platform_view import StoredReport, read_platform
from tools.demo.provision import CLIENT
from tools.demo.summary import Summary

LOOK_S = 0.2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ASKS_MAX = 3  # of the platform, which may just have been killed


class Stops:
    """The first Ctrl-C asks for the end of the run; the next one, SIGTERM and a closed terminal for an end at once."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.at_once = threading.Event()
        for number in SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: object) -> None:
        if self.end.is_set() or number != signal.SIGINT:
            self.at_once.set()
        self.end.set()


def run(
    layout: Layout, wishes: Wishes, summary: Summary, stops: Stops, play: Callable[[Line], None]
) -> dict[str, object]:
    """Start the line, let `play` happen to it, drain it, take its figures. Raises PartError and Cancelled."""
    line = Line(layout, wishes, stops.end, summary.say)
    try:
        started_s = time.monotonic()
        line.start()
        say_where(line, summary, time.monotonic() - started_s)
        summary.begin()
        play(line)
        line.stopping = stops.at_once
        left = ""
        try:
            drain(line, summary.say)
        except NotDrained as error:
            left = str(error)
            summary.say(left)
        assert line.witness is not None
        stored = list_reports(line)
        for name in (BRIDGE, PLATFORM):
            line.stop_part(name)
        course = Course(line.starts, line.restarts, tuple(line.broker_deaths_ns), left)
        figures = take_figures(layout, course, line.witness, stored, verify_export(layout))
        found = end_with_bundle(layout)
        if found.is_fine and found.is_second_fine:
            summary.say(
                f"bundle {layout.bundle}: {found.signatures} signatures, {found.anchors} anchors and {found.receipts}"
                f" receipts hold, {found.averages} averages of intervals that have closed are equal bit for bit, say"
                " `evidence verify`, a second verifier and a second witness"
            )
        return with_bundle(figures, found)
    finally:
        with deaf_to_signals():
            line.stop()


def list_reports(line: Line) -> tuple[StoredReport, ...]:
    """What the platform has. Raises PartError."""
    layout = line.layout
    files = layout.platform / "client.secret", layout.platform_keys
    for _ in range(ASKS_MAX - 1):
        with contextlib.suppress(PartError):
            return read_platform(line.platform_page, layout.authority / "ca.pem", CLIENT, *files)
        line.tend()
    return read_platform(line.platform_page, layout.authority / "ca.pem", CLIENT, *files)


def say_where(line: Line, summary: Summary, took_s: float) -> None:
    """The addresses."""
    assert line.broker is not None
    summary.say(f"the line runs after {took_s:.1f} s: {', '.join(MODULES)} with three analyzers each")
    summary.say(f"  dashboard  {line.dashboard}")
    summary.say(f"  platform   {line.platform_page}/   (test certificate: {line.layout.authority / 'ca.pem'})")
    summary.say(f"  broker     mqtts://{line.broker.host}:{line.broker.port}   {line.broker.words}")
    summary.say(f"  files      {line.layout.root}")
    summary.say("Ctrl-C ends the run: the plant stops, the line drains, the figures are taken")


def watch(line: Line, summary: Summary, stops: Stops, seconds: float | None) -> None:
    """Until the time is over or somebody wants the end; whoever dies is started again."""
    until_s = None if seconds is None else time.monotonic() + seconds
    while not stops.end.is_set() and (until_s is None or time.monotonic() < until_s):
        line.tend()
        summary.tick(line.witness)
        stops.end.wait(LOOK_S if until_s is None else max(0.0, min(LOOK_S, until_s - time.monotonic())))
    stops.end.set()


def verify_export(layout: Layout) -> bool:
    """Export the envelopes with an anchor and verify both, and the ledger, by the commands that a user has."""
    plumeproof = (sys.executable, "-m", "plumeproof")
    keys, anchor = str(layout.keys), str(layout.anchor)
    ledger, envelopes = str(layout.ledger), str(layout.envelopes)
    commands = (
        ("export", "envelopes", "--ledger", ledger, "--keys", keys, "-o", envelopes, "--anchor", anchor),
        ("verify", envelopes, "--keys", keys, "--anchor", anchor),
        ("verify", ledger, "--keys", keys, "--anchor", anchor),
        ("verify", ledger, "--keys", keys, "--anchor", str(layout.kept)),
    )
    with layout.log("verify").open("a") as log:
        for command in commands:  # in a group of their own: a second Ctrl-C is not for them
            words = [*plumeproof, *command]
            ended = subprocess.run(words, cwd=CHECKOUT, stdout=log, stderr=log, process_group=0, check=False)
            if ended.returncode:
                return False
    return True


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """While everything stops, another Ctrl-C would only leave something behind."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
