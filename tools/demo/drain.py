"""The end of a run: the plant stops first, then the line hands over what it holds, stage by stage, each with a limit.

Analyzers fall silent; modules end their slot, seal what they have and answer on; the bridge fetches the rest, averages,
queues, delivers; the witness has heard everything that was published. What does not happen in time is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from plumeproof.store.connection import open_reader
from tools.demo.layout import BROKER_NAME, MODULES, PLATFORM_NAME, Layout
from tools.demo.line import Line
from tools.demo.part import Cancelled
from tools.journal_dump import read_entries

STAGE_S = 60.0  # for each stage; a platform that was dead is asked again within 15 s
LOOK_S = 0.1
QUIET_S = 1.0  # for so long the witness hears nothing more


class NotDrained(Exception):
    """A stage did not run empty in its time; the sentence says which and what it still holds."""


def drain(line: Line, say: Callable[[str], None]) -> None:
    """Stop the plants and wait until everything is where it belongs. Raises NotDrained, PartError, Cancelled."""
    say("the plant stops; the line drains")
    line.stop_plants()
    layout = line.layout
    while True:
        _wait(line, lambda: _not_sealed(line) or _not_fetched(layout))
        for name in MODULES:
            line.parts[name].stop()
            line.note_boot(name)
        if not _not_fetched(layout):
            break
        for name in MODULES:  # a time sync was sealed at the last instant: once more, to hand it over
            layout.drain(name).touch()
            line.restart(name)
    _wait(line, lambda: _not_processed(layout))
    _wait_for_witness(line)


def _wait(line: Line, what_is_left: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + STAGE_S
    while left := what_is_left():
        if time.monotonic() > deadline_s:
            raise NotDrained(
                f"the line did not drain within {STAGE_S:.0f} s: {left}; see the logs in {line.layout.root}"
            )
        if line.stopping.is_set():
            raise Cancelled
        line.tend()
        time.sleep(LOOK_S)


def _not_sealed(line: Line) -> str:
    """A module that was killed in between has begun to poll again, so it is asked as long as it has not said so."""
    waiting = [name for name in MODULES if not line.parts[name].has_said("drained")]
    for name in waiting:
        line.layout.drain(name).touch()
    return f"{', '.join(waiting)} has not sealed its last slots" if waiting else ""


def _not_fetched(layout: Layout) -> str:
    sealed = {name: max((entry.seq for entry in read_entries(layout.flash(name))), default=0) for name in MODULES}
    connection = open_reader(layout.ledger)
    try:
        stored = dict(connection.execute("SELECT device, max(seq) FROM record GROUP BY device"))
    finally:
        connection.close()
    left = {name: seq - stored.get(name, 0) for name, seq in sealed.items() if stored.get(name, 0) < seq}
    return ", ".join(f"the bridge lacks {count} records of {name}" for name, count in left.items())


def _not_processed(layout: Layout) -> str:
    connection = open_reader(layout.ledger)
    try:
        connection.execute("BEGIN")  # one view of all: a cursor moves in the transaction of what it stands for
        records, averages = connection.execute(
            "SELECT (SELECT coalesce(max(position), 0) FROM record), (SELECT coalesce(max(id), 0) FROM average)"
        ).fetchone()
        cursors = {
            (stage, sink): position
            for stage, sink, position in connection.execute("SELECT stage, device, position FROM cursor")
        }
        waiting = dict(
            connection.execute("SELECT sink, count(*) FROM outbox WHERE state = 'waiting' GROUP BY sink").fetchall()
        )
    finally:
        connection.close()
    goals = {
        ("averaging", ""): records,
        ("relay", BROKER_NAME): records,
        ("relay_averages", BROKER_NAME): averages,
        ("relay_reports", PLATFORM_NAME): averages,
    }
    behind = {at: (cursors.get(at, 0), goal) for at, goal in goals.items() if cursors.get(at, 0) < goal}
    left = [f"{stage} stands at {position} of {goal}" for (stage, _), (position, goal) in behind.items()]
    left += [f"{count} rows wait for {sink}" for sink, count in waiting.items()]
    return ", ".join(left)


def _wait_for_witness(line: Line) -> None:
    """PUBACK is given before the copy is sent on: until the witness, connected, has heard nothing for a while."""
    witness = line.witness
    assert witness is not None
    _wait(line, lambda: "" if witness.is_connected else "the witness has no broker")
    heard, since_s = witness.counts(), time.monotonic()
    while time.monotonic() - since_s < QUIET_S:
        time.sleep(LOOK_S)
        if witness.counts() != heard:
            heard, since_s = witness.counts(), time.monotonic()
