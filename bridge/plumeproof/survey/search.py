"""Which units answer, and at which line settings: the search of `plumeproof scan`. Rules only; line.py moves the bytes.

All settings are listened to before anything is sent: a bus on which another client asks is left alone. Then the usual
unit ids are asked at every setting, common settings first, and the others behind them. One bus has one setting, so
where a unit has answered the rest of the units are asked there and no other setting is tried. Whatever breaks the
silence is asked three times before it gets a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from plumeproof.errors import ConfigError
from plumeproof.survey import adu
from plumeproof.survey.adu import Heard
from plumeproof.survey.line import BusLine, Exchange, LineSettings

BAUDS_BY_USE = (9_600, 19_200, 38_400, 115_200, 57_600, 4_800, 2_400, 1_200)  # most often met first
COMMON_BAUDS = BAUDS_BY_USE[:4]
PARITIES_BY_USE = "NEO"
USUAL_UNITS_MAX = 16  # ids that installers give; asked at every setting before the others
TRIES = 3
LATE_FACTOR = 5  # more time for a unit whose answer came late
LATE_MAX_S = 2.0
GATEWAY_CODES = (10, 11)  # exceptions of a Modbus gateway for a unit that is not there
BABBLE_BYTES = 16  # in one listening window; less is a spike


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try. `is_forced`: ask also on a bus that is not quiet."""

    settings: tuple[LineSettings, ...]
    units: tuple[int, ...]
    function: int = 3
    address: int = 0
    timeout_s: float = 0.2
    listen_s: float = 1.2  # a module asks at least once in a slot of one second
    is_every_setting: bool = False
    is_forced: bool = False
    is_identifying: bool = True


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """Something that answers to a unit id.

    `state`: `answers`, `exception` (answers every time, with an exception: a unit all the same), `unsteady` (now and
    then), `two_units` (two answers behind each other), `unreadable` (bytes every time, never a frame).
    """

    unit: int
    settings: LineSettings
    state: str
    asked: int
    readable: int
    exception: int
    first_byte_ms: int | None
    identity: dict[str, str]
    last_raw: bytes

    @property
    def is_readable(self) -> bool:
        """Whether frames of it were read: its settings are right."""
        return self.readable > 0 or self.state == "two_units"


@dataclass(slots=True)
class Remarks:
    """What was noticed beside the units. `traffic`: a frame of another client or server, with its settings."""

    echo: bool = False
    gateway: bool = False
    noise_count: int = 0  # answers that came once and not again
    strangers: set[int] = field(default_factory=set)  # unit ids in good frames that came when others were asked
    unasked: list[tuple[LineSettings, int]] = field(default_factory=list)  # bytes heard while listening
    traffic: tuple[LineSettings, bytes] | None = None
    refused: list[LineSettings] = field(default_factory=list)  # settings that the port does not take
    is_stopped: bool = False  # the bus was not quiet and nothing was asked


def order_settings(bauds: Sequence[int], parities: str, stop_bits: Sequence[int]) -> tuple[LineSettings, ...]:
    """Every combination, common ones first."""
    found = [LineSettings(baud, parity, stop) for baud in bauds for parity in parities for stop in stop_bits]
    found.sort(
        key=lambda one: (
            _rank(BAUDS_BY_USE, one.baud) + 2 * PARITIES_BY_USE.index(one.parity) + 4 * (one.stop_bits - 1),
            _rank(BAUDS_BY_USE, one.baud),
        )
    )
    return tuple(found)


class Search:
    """One search. `units` and `remarks` are true at any time, also when run() is left half-way."""

    def __init__(self, line: BusLine, plan: Plan) -> None:
        self._line = line
        self._plan = plan
        self._late: set[int] = set()  # to be asked again, with more time
        self._asked_again: set[tuple[LineSettings, int]] = set()
        self.units: list[FoundUnit] = []
        self.remarks = Remarks()
        self.tried: list[LineSettings] = []
        self.total = len(plan.settings) * len(plan.units)  # grows smaller as soon as a unit has answered

    def run(self) -> Iterator[tuple[LineSettings, int]]:
        """Search; yields setting and unit before each is asked, unit 0 while listening. Raises LinkError when the port
        is gone, ConfigError when it takes none of the settings."""
        yield from self._listen()
        usable = [one for one in self._plan.settings if one not in self.remarks.refused]
        if not usable:
            raise ConfigError(str(self._plan.settings[0]), "the port takes none of these settings; try others")
        self.total = len(usable) * len(self._plan.units)
        if self.remarks.is_stopped:
            return
        if self.remarks.traffic is not None:  # whoever insists on asking there knows the settings now
            usable.sort(key=lambda one: one != self.remarks.traffic[0] if self.remarks.traffic else False)
        usual = [unit for unit in self._plan.units if unit <= USUAL_UNITS_MAX]
        others = [unit for unit in self._plan.units if unit > USUAL_UNITS_MAX]
        done = 0
        for units, rest in ((usual, others), (others, [])):
            for settings in usable:
                if not units:
                    continue
                yield from self._ask_all(settings, units)
                done += len(units)
                if self._is_home(settings) and not self._plan.is_every_setting:
                    self.total = done + len(rest)
                    yield from self._ask_all(settings, rest)
                    return

    def _listen(self) -> Iterator[tuple[LineSettings, int]]:
        babbling = 0
        for settings in self._plan.settings:
            yield settings, 0
            try:
                self._line.set_line(settings)
            except ConfigError:
                self.remarks.refused.append(settings)
                continue
            heard = self._line.listen(self._plan.listen_s)
            if not heard:
                continue
            self.remarks.unasked.append((settings, len(heard)))
            babbling += len(heard) >= BABBLE_BYTES
            frame = adu.find_frame(heard)
            if frame is not None:
                self.remarks.traffic = (settings, frame)
                break
        is_quiet = self.remarks.traffic is None and babbling * 2 <= len(self._plan.settings)
        self.remarks.is_stopped = not is_quiet and not self._plan.is_forced

    def _ask_all(self, settings: LineSettings, units: Sequence[int]) -> Iterator[tuple[LineSettings, int]]:
        try:
            self._line.set_line(settings)
        except ConfigError:  # where traffic cut the listening short
            self.remarks.refused.append(settings)
            return
        if settings not in self.tried:
            self.tried.append(settings)
        for unit in units:
            yield settings, unit
            self._try_unit(unit, self._plan.timeout_s)
            while self._late:
                self._try_unit(self._late.pop(), min(LATE_FACTOR * self._plan.timeout_s, LATE_MAX_S))

    def _is_home(self, settings: LineSettings) -> bool:
        return any(found.settings == settings and found.is_readable for found in self.units)

    def _try_unit(self, unit: int, timeout_s: float) -> None:
        request = adu.build_read(unit, self._plan.function, self._plan.address, 1)
        first = self._line.ask(request, timeout_s)
        self._note(first, unit)
        if first.verdict.heard is Heard.STRANGER:  # it may have covered the answer
            first = self._line.ask(request, timeout_s)
            self._note(first, unit)
        if first.verdict.heard in (Heard.SILENCE, Heard.STRANGER):
            return
        if first.verdict.exception in GATEWAY_CODES:
            self.remarks.gateway = True
            return
        tries = [first]
        while len(tries) < TRIES:
            tries.append(self._line.ask(request, timeout_s))
            self._note(tries[-1], unit)
        self._judge(unit, tries, timeout_s)

    def _note(self, exchange: Exchange, unit: int) -> None:
        """Echo; and a stranger's frame, which is the late answer of a unit that was asked before and seemed silent."""
        self.remarks.echo |= exchange.verdict.has_echo
        late = adu.find_frame(exchange.before)
        stranger = late[0] if late is not None else exchange.verdict.stranger
        if stranger is None or stranger == unit:
            return
        self.remarks.strangers.add(stranger)
        place = (self._line.settings, stranger)
        is_known = any((found.settings, found.unit) == place for found in self.units)
        if stranger in self._plan.units and not is_known and place not in self._asked_again:
            self._asked_again.add(place)
            self._late.add(stranger)

    def _judge(self, unit: int, tries: Sequence[Exchange], timeout_s: float) -> None:
        heard = [one.verdict.heard for one in tries]
        readable = [one for one in tries if one.verdict.heard in (Heard.ANSWER, Heard.EXCEPTION)]
        broken = sum(one in (Heard.CUT, Heard.UNREADABLE) for one in heard)
        if Heard.TWO_ANSWERS in heard:
            state = "two_units"
        elif len(readable) == len(tries):
            state = "exception" if all(one.verdict.exception for one in tries) else "answers"
        elif readable:
            state = "unsteady"
        elif broken >= TRIES - 1:
            state = "unreadable"
        else:
            self.remarks.noise_count += 1
            return
        times_s = [one.first_byte_s for one in readable if one.first_byte_s is not None]
        spoken = [one for one in tries if one.verdict.heard is not Heard.SILENCE]
        found = FoundUnit(
            unit=unit,
            settings=self._line.settings,
            state=state,
            asked=len(tries),
            readable=len(readable),
            exception=readable[-1].verdict.exception if readable else 0,
            first_byte_ms=round(max(times_s) * 1000) if times_s else None,
            identity=self._identify(unit, timeout_s) if state in ("answers", "exception") else {},
            last_raw=spoken[-1].verdict.raw,
        )
        if found.is_readable:  # what was unreadable elsewhere was this unit, heard at wrong settings
            self.units = [one for one in self.units if one.unit != unit or one.is_readable]
        self.units.append(found)

    def _identify(self, unit: int, timeout_s: float) -> dict[str, str]:
        if not self._plan.is_identifying:
            return {}
        answer = self._line.ask(adu.build_identify(unit), max(timeout_s, 0.5))
        return adu.parse_identity(answer.verdict.data) if answer.verdict.heard is Heard.ANSWER else {}


def _rank(order: Sequence[int], baud: int) -> int:
    return order.index(baud) if baud in order else len(order)
