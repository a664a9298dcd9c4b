"""A whole analyzer read once by its profile: every block asked, every channel decoded as evidence is decoded.

The profile becomes a parameter set and the answers a record with one slot, so the numbers are made by the very code
that makes the averages (evidence/decoding.py); nothing is signed and nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from acqwire import causes, fields

from plumeproof.evidence.decoding import NOT_FINITE, STATUS_NAMES, decode
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.model import BlockReadings, Record, Samples, Slots
from plumeproof.survey import adu
from plumeproof.survey.address import Address, to_zero_based
from plumeproof.survey.adu import Heard, Verdict
from plumeproof.survey.line import BusLine
from plumeproof.survey.profile import Choice, Profile, assemble

_NAMES = dict(STATUS_NAMES) | {0: "ok"}
_CAUSES = {
    Heard.SILENCE: causes.GAP_TIMEOUT,
    Heard.STRANGER: causes.GAP_MISMATCH,
    Heard.TWO_ANSWERS: causes.GAP_MISMATCH,
    Heard.CUT: causes.GAP_LENGTH,
    Heard.UNREADABLE: causes.GAP_CRC,
}


@dataclass(frozen=True, slots=True)
class ChannelValue:
    """One channel now. `status`: `ok`, gap cause, or why the value does not count; `value`: None without an answer."""

    id: str
    quantity: str
    unit: str
    value: float | None
    status: str


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """One request of the profile and what was heard. `place`: from 0, `ir:138`."""

    place: str
    quantity: int
    heard: str
    exception: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of an analyzer at one moment."""

    channels: tuple[ChannelValue, ...]
    blocks: tuple[BlockAnswer, ...]


def read_snapshot(line: BusLine, profile: Profile, unit: int, timeout_s: float | None = None) -> Snapshot:
    """Ask every block of a checked profile, with its own time-out and retries unless one is given. Raises LinkError."""
    raw = assemble("survey", [(Choice("a", profile["profile"], unit), profile)], 1000, 1000)
    parameters = parse_parameters(raw)
    readings, answers = [], []
    for block in parameters.blocks:
        request = adu.build_read(unit, block.function, block.address, block.quantity)
        patience_s = profile["timeout_ms"] / 1000 if timeout_s is None else timeout_s
        for _ in range(1 + profile["retries"]):
            verdict = line.ask(request, patience_s).verdict
            if verdict.heard in (Heard.ANSWER, Heard.EXCEPTION):
                break
        readings.append(BlockReadings(bytes((_outcome(verdict),)), verdict.data))
        place = to_zero_based(Address(block.function, block.address))
        answers.append(BlockAnswer(place, block.quantity, verdict.heard.value, verdict.exception, verdict.data))
    record = Record(
        kind=fields.KIND_SAMPLES,
        device="survey",
        boot=1,
        seq=1,
        prev=bytes(32),
        mono_ms=0,
        utc_ms=None,
        utc_status=0,
        utc_unc_ms=None,
        sync_seq=None,
        parameters_hash=parameters.parameters_hash,
        content_hash=bytes(32),
        body=Samples(Slots(0, 1, parameters.slot_ms, 0), tuple(readings), 0),
    )
    channels = []
    for one in decode(record, parameters).channels:
        status = int(one.status[0])
        has_number = readings[one.channel.block].outcomes[0] == causes.VALUE and status != NOT_FINITE
        channels.append(
            ChannelValue(
                id=one.channel.id.removeprefix("a."),
                quantity=one.channel.quantity,
                unit=one.channel.unit,
                value=float(one.values[0]) if has_number else None,
                status=_NAMES.get(status, f"status_{status}"),
            )
        )
    return Snapshot(tuple(channels), tuple(answers))


def _outcome(verdict: Verdict) -> int:
    if verdict.heard is Heard.ANSWER:
        return causes.VALUE
    if verdict.heard is Heard.EXCEPTION and verdict.exception in adu.EXCEPTIONS:
        return causes.GAP_EXCEPTION + verdict.exception
    return _CAUSES.get(verdict.heard, causes.GAP_MISMATCH)
