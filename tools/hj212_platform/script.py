"""Scripts of the platform: one step a line, # for remarks. The same lines work by hand (`--script -`).

    units N [within S]              wait until N units are connected
    use MN                          the unit that the next steps mean; before it: the one that connected first
    wait CN [NAME=VALUE]... [within S]    wait for one more message of this command, with these fields in CP
    ask CN [AREA] [head:NAME=VALUE]... [expect WORDS]     a request, and its end; AREA is what stands between the &&
    send CN [AREA] [head:NAME=VALUE]... [expect WORDS]    the same, without waiting for its end
    finish                          wait for the end of everything that was sent; also done at the end of a file
    fault KIND[:OPTION]...          switch a fault on (tools/hj212_platform/faults.py)
    nofault KIND|all                switch it off
    pause S
    hangup                          end the connection

WORDS: how the result must begin; `done` where nothing is said. Results: done, failed: ExeRtn N ..., refused: QnRtn N
..., no answer, no 9012, connection lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tools.hj212_platform.faults import FaultError, parse_fault
from tools.hj212_platform.server import Platform
from tools.hj212_platform.unit import Exchange, FieldUnit

WITHIN_S = 10.0  # where a step does not say it
LINE_MAX = 2000  # characters
STEPS_MAX = 10_000
SECRET = re.compile(r"((?:PW|NewPW|NewSK)=)[^;,\s]+", re.IGNORECASE)
Found = TypeVar("Found")
NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,3})?"


class ScriptError(Exception):
    """A line that is no step; one line of text."""


class StepFailed(Exception):
    """A step that did not come true."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line. Which fields count depends on `verb`."""

    text: str  # without secrets
    verb: str
    word: str = ""  # CN, MN, N, S or a fault
    area: str = ""
    head: dict[str, str] = field(default_factory=dict)
    wanted: tuple[tuple[str, str], ...] = ()
    within_s: float = WITHIN_S
    expect: str = "done"


FORMS = {
    "units": r"[0-9]{1,2}",
    "use": r"\S{1,64}",
    "wait": r"[0-9]{4}",
    "ask": r"[0-9]{4}",
    "send": r"[0-9]{4}",
    "finish": "",
    "fault": r"\S+",
    "nofault": r"\S+",
    "pause": NUMBER,
    "hangup": "",
}


def parse_step(line: str, where: str) -> Step | None:
    """A step, or None for a remark. Raises ScriptError."""
    text = line.split("#")[0].strip() if len(line) <= LINE_MAX else line
    if not text:
        return None
    verb, _, rest = text.partition(" ")
    text = SECRET.sub(r"\1(not shown)", text)
    words = rest.split()
    word = words.pop(0) if words else ""
    if len(line) > LINE_MAX or verb not in FORMS or not re.fullmatch(FORMS[verb], word):
        raise ScriptError(f"{where}: cannot read {text[:60]!r}; the steps stand in tools/hj212_platform/script.py")
    step = Step(text, verb, word)
    if verb in ("units", "wait") and len(words) > 1 and words[-2] == "within" and re.fullmatch(NUMBER, words[-1]):
        step, words = replace(step, within_s=float(words[-1])), words[:-2]
    if verb in ("ask", "send"):
        if "expect" in words[:-1]:
            at = words.index("expect")
            step, words = replace(step, expect=" ".join(words[at + 1 :])), words[:at]
        heads = [entry[5:].partition("=") for entry in words if entry.startswith("head:")]
        words = [entry for entry in words if not entry.startswith("head:")]
        step = replace(step, head={name: value for name, _, value in heads}, area=words.pop(0) if words else "")
    if verb == "wait":
        wanted = tuple((entry.partition("=")[0], entry.partition("=")[2]) for entry in words)
        step, words = replace(step, wanted=wanted), [entry for entry in words if "=" not in entry]
    if words:
        raise ScriptError(f"{where}: {words[0][:40]!r} does not belong to {verb}")
    if verb == "fault":
        try:
            parse_fault(word)
        except FaultError as fault:
            raise ScriptError(f"{where}: {fault}") from None
    return step


def read_script(text: str, name: str) -> list[Step]:
    """Raises ScriptError."""
    lines = text.splitlines()
    if len(lines) > STEPS_MAX:
        raise ScriptError(f"{name}: more than {STEPS_MAX} lines")
    steps = [parse_step(line, f"{name} line {number}") for number, line in enumerate(lines, 1)]
    return [*(step for step in steps if step is not None), Step("finish", "finish")]


class Player:
    """Plays steps on a platform; with `only`, on one unit of it."""

    def __init__(self, platform: Platform, only: FieldUnit | None = None) -> None:
        self._platform = platform
        self._only = only
        self._mn = ""
        self._seen: dict[str, int] = {}  # number of the last message that a step waited for, by CN
        self._open: list[tuple[asyncio.Task[Exchange], Step]] = []

    async def play(self, step: Step) -> None:
        """Raises StepFailed."""
        platform = self._platform
        if step.verb == "units":
            await self._until(lambda: len(platform.units) >= int(step.word) or None, step)
        elif step.verb == "use":
            self._mn = step.word
            await self._unit(step)
        elif step.verb == "wait":
            self._seen[step.word] = await self._until(lambda: self._arrived(step), step)
        elif step.verb in ("ask", "send"):
            task = platform.ask(await self._unit(step), step.word, step.area, step.head)
            if step.verb == "ask":
                self._judge(await task, step)
            else:
                self._open.append((task, step))
        elif step.verb == "finish":
            waiting, self._open = self._open, []
            for task, sent in waiting:
                self._judge(await task, sent)
        elif step.verb == "fault":
            platform.plan.switch_on(parse_fault(step.word))
        elif step.verb == "nofault":
            platform.plan.switch_off(step.word)
        elif step.verb == "pause":
            await asyncio.sleep(float(step.word))
        else:
            (await self._unit(step)).close()

    def _judge(self, exchange: Exchange, step: Step) -> None:
        if not exchange.result.startswith(step.expect):
            raise StepFailed(f"{step.text}: {exchange.result}, expected {step.expect}")

    def _arrived(self, step: Step) -> int | None:
        after = self._seen.get(step.word, 0)
        for number, unit, message in self._platform.arrived:
            if self._only not in (None, unit):
                continue
            if number <= after or message.of("CN") != step.word or self._mn not in ("", unit.head.get("MN", "")):
                continue
            if all(message.value(name) == value for name, value in step.wanted):
                return number
        return None

    async def _unit(self, step: Step) -> FieldUnit:
        if self._only is not None:
            return self._only

        def found() -> FieldUnit | None:
            units = sorted(self._platform.units.items())
            fitting = [unit for _, unit in units if self._mn in ("", unit.head.get("MN", ""))]
            return fitting[-1 if self._mn else 0] if fitting else None

        return await self._until(found, step)

    async def _until(self, found: Callable[[], Found | None], step: Step) -> Found:
        async def look() -> Found:
            async with self._platform.has_news:
                while (result := found()) is None:
                    await self._platform.has_news.wait()
                return result

        try:
            return await asyncio.wait_for(look(), step.within_s)
        except TimeoutError:
            raise StepFailed(f"{step.text}: not within {step.within_s:g} s") from None
