"""What a tongue says against what is signed: counts, and each disagreement with both values and both traces. Pure.

tally = compare(spoken, account, period)
for one in tally.disagreements: print(one.line)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from plumeproof.agreement.said import Said, Spoken, only_within
from plumeproof.agreement.signed import Account, Signed, Subject

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")
_REVISION = re.compile(r"(.*)/r([0-9]{1,9})")
VALUE_SHOWN, TRACE_SHOWN = 60, 256  # characters of what came from outside
NONE, UNSAID = "none", "it is not said"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`said`, `signed`: values as text, "none" where there is none; with the id that the tongue names ("" where it
    names none) and the one behind the signed value."""

    tongue: str
    place: str
    subject: Subject
    start_utc_ms: int
    quantity: str
    said: str
    said_trace: str
    signed: str
    signed_trace: str
    reason: str

    @property
    def hour(self) -> str:
        """Its begin, UTC."""
        return hour_text(self.start_utc_ms)

    @property
    def is_said(self) -> bool:
        """A value is there and wrong, not missing."""
        return not self.reason.startswith(UNSAID)

    @property
    def key(self) -> tuple[str, ...]:
        """Which value of which hour: an alarm comes once for each."""
        return (self.tongue, *self.subject, self.hour, self.quantity)

    @property
    def line(self) -> str:
        """For people."""
        said = f"{self.said} ({self.said_trace or 'no id'}; {self.place})"
        signed = f"{self.signed} ({self.signed_trace or 'no figure'})"
        what = f"{self.tongue} {'/'.join(self.subject)} {self.quantity}"
        return f"{self.hour} {what}: says {said}, signed is {signed}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one tongue. `hours`: of which it says anything, each subject's for itself; `not_said`: of which there is
    something to say, and it says nothing. `notes`: what is no disagreement, but will be asked for."""

    tongue: str
    hours: int
    values: int
    equal: int
    not_said: int
    disagreements: tuple[Disagreement, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """What is said is right; silence is no fault of it."""
        return not self.disagreements and not self.faults


def compare(
    spoken: Spoken, account: Account, period: tuple[int, int], is_followed: bool = False, is_due_asked: bool = True
) -> Tally:
    """Every value that is said of hours that begin in the period. `is_followed`: newer revisions come after in this
    tongue by themselves, so that an older one is no disagreement. `is_due_asked`: count what is not said."""
    account.forget()
    groups: dict[tuple[int, Subject, str], list[Said]] = {}
    for one in only_within(spoken.said, period):
        groups.setdefault((one.start_utc_ms, one.subject, one.place), []).append(one)
    found: list[Disagreement] = []
    values, heard = 0, set[tuple[Subject, int]]()
    for (start, subject, _), said in sorted(groups.items()):
        heard.add((subject, start))
        values += len(said)
        signed = account.of(subject, start)
        if not is_followed or signed is None or not _is_older(said, signed):
            found += _of_group(said, signed)
    not_said = len(account.due(period) - heard) if is_due_asked else 0
    return Tally(
        account.tongue,
        len(heard),
        values,
        values - sum(1 for one in found if one.is_said),
        not_said,
        tuple(found),
        spoken.faults,
    )


def hour_text(utc_ms: int) -> str:
    """2026-12-01T13:00Z."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).strftime("%Y-%m-%dT%H:%MZ")


def _of_group(said: Sequence[Said], signed: Mapping[str, Signed] | None) -> Iterator[Disagreement]:
    """What one place says of one hour."""
    first = said[0]
    if signed is None:
        for one in said:
            yield _disagreement(one, one.text, Signed(None, None, ""), "nothing signed stands behind it")
        return
    names = {one.quantity for one in said}
    for one in said:
        if one.quantity not in signed:
            yield _disagreement(one, one.text, Signed(None, None, ""), "nothing signed stands behind it")
        elif reason := _fault(one.text, signed[one.quantity]):
            yield _disagreement(one, one.text, signed[one.quantity], reason)
    for name in sorted(set(signed) - names):
        if signed[name].value is not None:
            unsaid = Said(first.tongue, first.place, first.subject, first.start_utc_ms, name, None, "", first.traces)
            yield _disagreement(unsaid, None, signed[name], UNSAID)


def _is_older(said: Sequence[Said], signed: Mapping[str, Signed]) -> bool:
    traces = {_stem(one.trace): _revision(one.trace) for one in signed.values()}
    return any(_revision(trace) < traces.get(_stem(trace), -1) for trace in said[0].traces)


def _fault(text: str | None, signed: Signed) -> str:
    """Why a text is not the signed value; "": it is."""
    if text is None or signed.value is None:
        return "" if text is None and signed.value is None else "one of both says that there is none"
    if isinstance(signed.value, str):
        return "" if text == signed.value else "the words differ"
    try:
        if _NUMBER.fullmatch(text) is None:
            return "is no number"
        number = Decimal(text)
    except InvalidOperation:
        return "is no number"
    if number != signed.value:
        return "the number differs"
    exponent = number.as_tuple().exponent
    if signed.decimals is not None and exponent != -signed.decimals:
        return f"the number is right, but has not {signed.decimals} decimals"
    return ""


def _disagreement(one: Said, text: str | None, signed: Signed, reason: str) -> Disagreement:
    trace = _trace_of(one.traces, signed.trace)
    old, new = _revision(trace), _revision(signed.trace)
    if trace and _stem(trace) == _stem(signed.trace) and old < new:
        reason = f"{reason}: it rests on revision {old}, the newest is {new}"
    return Disagreement(
        one.tongue, one.place, tuple(map(_shown, one.subject)), one.start_utc_ms, one.quantity, _shown(text),
        _shown(trace, TRACE_SHOWN), _of(signed), signed.trace, reason,
    )  # fmt: skip


def _trace_of(traces: Sequence[str], signed: str) -> str:
    """Of the ids that stand beside a value the one that is meant: the signed one's in any revision."""
    stem = _stem(signed)
    same = [one for one in traces if stem and _stem(one) == stem]
    return same[0] if same else traces[0] if len(traces) == 1 else ""


def _stem(trace: str) -> str:
    found = _REVISION.fullmatch(trace)
    return found[1] if found is not None else trace


def _revision(trace: str) -> int:
    """-1: the id names none, and means the newest."""
    found = _REVISION.fullmatch(trace)
    return int(found[2]) if found is not None else -1


def _shown(text: str | None, most: int = VALUE_SHOWN) -> str:
    """Of bytes from outside: short, and nothing that a terminal obeys."""
    if text is None:
        return NONE
    return text[:most] if text[:most].isprintable() else ascii(text[:most])[1:-1]


def _of(signed: Signed) -> str:
    if isinstance(signed.value, Decimal):
        return str(signed.value) if signed.decimals is None else format(signed.value, "f")
    return NONE if signed.value is None else signed.value
