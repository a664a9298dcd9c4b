"""Histories of a journal under faults: recorded once, continued from any of their operations.

A `Start` is what is on the flash with the power off and what must hold. `record` mounts it, works on, and returns the
operations, each with the image and the model of that instant. `Moment.after` is the next start, after a cut there;
`Moment.survives` goes on without a cut, with an operation that misbehaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from acq.journal import Journal
from tools.powercuts import flash as kinds
from tools.powercuts.flash import Broken, Content, Flash, Geometry, Operation
from tools.powercuts.model import Model, Work

_TRIES = 3  # times the mount reads what it cannot make out


@dataclass(frozen=True, slots=True)
class Plan:
    """One geometry and its workload. `last`: seq with which that ends. `steps`: of work after the last fault."""

    geometry: Geometry
    sizes: tuple[int, ...]
    last: int
    steps: int = 4

    def start(self) -> Start:
        return Start(Content(b"\xff" * self.geometry.total), Model(self.sizes))


@dataclass(frozen=True, slots=True)
class Start:
    """The power is off. `is_torn`: the cut left part of an entry behind; the mount must count it unless it takes it."""

    content: Content
    model: Model
    is_torn: bool = False

    @property
    def key(self) -> tuple[int, ...]:
        """The same for starts from which the same follows; unstable cells follow nothing."""
        weak = hash(self.content.weak)
        return hash(self.content.image), weak, hash(self.model), hash(self.content.rotten), self.is_torn


@dataclass(frozen=True, slots=True)
class Fork:
    """A journal in work, between two steps: from here it can go on as often as wanted."""

    journal: Journal
    content: Content
    model: Model


@dataclass(frozen=True, slots=True)
class Moment:
    """In front of an operation. `number`: of the operation since the mount; `in_step`: since the step began."""

    number: int
    in_step: int
    operation: Operation
    following: Operation | None
    model: Model
    fork: Fork

    def after(self, plan: Plan, how: str, number: int) -> Start:
        """The power goes within the operation."""
        content = kinds.cut(plan.geometry, self.operation, self.following, how, number)
        model = replace(self.model, rots=self.model.rots + 1) if how == kinds.ROT else self.model
        is_entry = self.operation.data is not None and self.operation.data[:4] != b"PPJS"
        is_changed = how in (kinds.PREFIX, kinds.NOT) and content.image != self.operation.before.image
        return Start(content, model, is_entry and is_changed and self.model.pending > 0)


def mounted(plan: Plan, start: Start, seed: int = 0) -> Work:
    """Mount, in bounded time, and compare with the model."""
    flash = Flash(plan.geometry, start.content, seed)
    journal = Journal(flash)
    journal.mount()
    check_bounds(plan.geometry, flash)
    model = start.model.mounted(journal)
    if start.is_torn and model.head == start.model.head and journal.torn_count == 0:
        raise Broken("a torn entry was not counted")
    model.acknowledge_again(journal)
    return Work(journal, model, flash)


def check_bounds(geometry: Geometry, flash: Flash) -> None:
    """Right after a mount: it has programmed nothing, and read no more than the size of the ring allows."""
    units = geometry.total // geometry.unit
    segments = geometry.sectors
    chunks = geometry.total // min(geometry.unit, 256) + units
    headers = _TRIES * 3 * (segments + 1)
    most = headers + _TRIES * (2 * (units + segments) + chunks) + chunks
    if flash.operations or flash.reads > most or flash.read_bytes > (2 * _TRIES + 1) * geometry.total:
        raise Broken(f"mount took {flash.reads} reads, {flash.read_bytes} bytes and {flash.operations} operations")


def record(plan: Plan, start: Start, seed: int = 0, limit: int = 1 << 30) -> list[Moment]:
    """Mount, work until the workload's end (at least a few steps) or `limit` operations; every moment of it."""
    return list(moments(plan, mounted(plan, start, seed), limit))


def moments(plan: Plan, work: Work, limit: int = 1 << 30) -> Iterator[Moment]:
    """Work on; see `record`."""
    flash = work.flash
    noted: list[tuple[Operation, Model, int, Fork]] = []
    fork = Fork(work.journal, flash.content(), work.model)
    first = 0

    def note(operation: Operation) -> None:
        noted.append((operation, work.model, flash.operations - first, fork))

    flash.watch = note
    least = work.model.head + plan.steps
    while work.model.head < max(plan.last, least) and len(noted) < limit:
        fork = Fork(clone(work.journal, Flash(plan.geometry, fork.content)), flash.content(), work.model)
        first = flash.operations
        work.step()
    flash.watch = None
    for number, (operation, model, in_step, before) in enumerate(noted):
        following = noted[number + 1][0] if number + 1 < len(noted) else None
        yield Moment(number, in_step, operation, following, model, before)


def clone(journal: Journal, flash: Flash) -> Journal:
    """The same journal on another flash: everything it knows is numbers and bytes; the rest are its empty buffers."""
    twin = Journal(flash)
    for mine, other in ((journal, twin), (journal._ring, twin._ring)):
        for name, value in vars(mine).items():
            if isinstance(value, (int, bytes)):
                setattr(other, name, value)
            elif isinstance(value, bytearray):
                getattr(other, name)[:] = value
    return twin


def survive(plan: Plan, moment: Moment, how: str, seed: int) -> Work:
    """The operation misbehaves and the power stays: the step must come to its end all the same."""
    fork = moment.fork
    flash = Flash(plan.geometry, fork.content, seed)
    work = Work(clone(fork.journal, flash), fork.model, flash)
    flash.faults = {moment.in_step: how}
    work.step()
    work.model.check(work.journal)
    return work


def finish(plan: Plan, start: Start, seed: int = 0) -> None:
    """After the last cut: mount, compare, work on, compare, mount again, compare."""
    go_on(plan, mounted(plan, start, seed))


def go_on(plan: Plan, work: Work) -> None:
    """Work goes on, and what it leaves can be mounted again."""
    for _ in range(plan.steps):
        work.step()
    work.model.check(work.journal)
    mounted(plan, off(work))


def off(work: Work) -> Start:
    """The power goes between two steps."""
    return Start(work.flash.content(), work.model)
