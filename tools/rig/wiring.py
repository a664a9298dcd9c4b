"""What is wired how on a rig: one TOML file, tests/hil/wiring/NAME.toml, checked whole before a port is opened.

TOML and no Python: a bench's facts are data, a typing mistake is refused with file and key, and no file that somebody
copies from another bench can do anything. A test asks for needs by name (tests/conftest.py); a rig has a need when its
file says so:

  module_port    where the module's uplink arrives; `--module`, or `[module] port`
  bus_port       second RS-485 adapter, over which this PC plays the analyzers: `[bus] port`
  power_switch   a switch in the module's supply: `[power]`
  module_folder  files of an emulated module; no rig of iron has it
Keys of each table and what they mean: tests/hil/README.md.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.rig.power import RELAYS_MAX, CommandSwitch, PowerSwitch, RelaySwitch, UsbHubSwitch

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "hil" / "wiring"
EMULATED = "emulated"  # the name of the rig that needs no file
NEEDS = ("module_port", "bus_port", "power_switch", "module_folder")
FILE_MAX_BYTES = 64 * 1024
HASH_HEX = 64
_BAUD_MIN, _BAUD_MAX = 1_200, 1_000_000
_RELAY, _HUB, _COMMAND = "relay", "usb_hub", "command"
_OPTIONAL = object()


class WiringError(Exception):
    """A wiring file that cannot be used; one line: file, key, how to mend."""


@dataclass(frozen=True, slots=True)
class Power:
    """`kind` and the keys that it needs. `off_s`: until the module's capacitors are empty."""

    kind: str
    off_s: float = 1.0
    port: str = ""
    relay: int = 1
    is_inverted: bool = False
    location: str = ""
    hub_port: int = 0
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wiring:
    """A rig. Paths are whole. `module_port`, `bus_port` None and `power` None: there is none."""

    name: str
    board: str
    device: str = ""
    link_address: int = 0
    module_port: str | None = None
    module_baud: int = 115_200
    start_s: float = 30.0
    firmware_hash: bytes = b""
    keys: Path = field(default_factory=Path)
    parameters: Path = field(default_factory=Path)
    bus_port: str | None = None
    power: Power | None = None
    journal_bytes: int = 0
    program_unit_bytes: int = 256

    def offers(self, need: str) -> bool:
        """Whether a test that needs this can run here."""
        if need not in NEEDS:
            raise WiringError(f"need {need!r}: unknown; there are {' '.join(NEEDS)}")
        if self.name == EMULATED:
            return True
        return {
            "module_port": self.module_port is not None,
            "bus_port": self.bus_port is not None,
            "power_switch": self.power is not None,
            "module_folder": False,
        }[need]


def find_wiring(name: str, module_port: str | None) -> Wiring:
    """The rig of this name, or of the file named *.toml. Raises WiringError."""
    if name == EMULATED:
        if module_port is not None:
            raise WiringError(f"--module {module_port}: name its rig as well (--rig NAME); there are {_names()}")
        return Wiring(EMULATED, "host")
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise WiringError(f"--rig {name}: {path}: {error.strerror}; there are {_names()}") from error
    if len(raw) > FILE_MAX_BYTES:
        raise WiringError(f"{path}: larger than {FILE_MAX_BYTES} bytes")
    wiring = parse_wiring(raw, path)
    return wiring if module_port is None else replace(wiring, module_port=module_port)


def parse_wiring(raw: bytes, path: Path) -> Wiring:
    """The bytes of a wiring file. Raises WiringError."""
    try:
        whole = tomllib.loads(raw.decode())
    except ValueError as error:
        raise WiringError(f"{path}: no TOML: {error}") from error
    if path.stem == EMULATED:
        raise WiringError(f"{path}: no wiring file is called {EMULATED}; give it another name")
    top = _Table(whole, path, "")
    module = _Table(top.take("module", dict), path, "module")
    bus = top.take("bus", dict, None)
    power = top.take("power", dict, None)
    wiring = Wiring(
        name=path.stem,
        board=top.take("board", str),
        journal_bytes=top.number("journal_bytes", 32_768, 1 << 30),
        program_unit_bytes=top.number("program_unit_bytes", 1, 4096, 256),
        device=module.take("device", str),
        link_address=module.number("link_address", 1, 247),
        module_port=module.take("port", str, None),
        module_baud=module.number("baud", _BAUD_MIN, _BAUD_MAX, 115_200),
        start_s=module.number("start_s", 1, 600, 30),
        firmware_hash=module.hash("firmware_hash"),
        keys=path.parent / module.take("keys", str),
        parameters=path.parent / module.take("parameters", str),
        bus_port=None if bus is None else _bus_port(_Table(bus, path, "bus")),
        power=None if power is None else _power(_Table(power, path, "power")),
    )
    module.end()
    top.end()
    return wiring


def open_switch(power: Power) -> PowerSwitch:
    """Raises PowerError."""
    if power.kind == _RELAY:
        return RelaySwitch(power.port, power.relay, is_inverted=power.is_inverted)
    if power.kind == _HUB:
        return UsbHubSwitch(power.location, power.hub_port)
    return CommandSwitch(power.off, power.on)


class _Table:
    """Keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, content: dict[str, Any], path: Path, name: str) -> None:
        self._left = dict(content)
        self._path = path
        self._prefix = f"{name}." if name else ""

    def take(self, key: str, kind: type, default: Any = _OPTIONAL) -> Any:
        if key not in self._left:
            if default is _OPTIONAL:
                raise self.fault(key, "is missing")
            return default
        value = self._left.pop(key)
        if type(value) is not kind or value in ("", [], {}):
            raise self.fault(key, f"is no {kind.__name__} with something in it")
        return value

    def number(self, key: str, minimum: float, maximum: float, default: Any = _OPTIONAL) -> Any:
        if isinstance(self._left.get(key), float):
            value = self.take(key, float)
        else:
            value = self.take(key, int, default)
        if not minimum <= value <= maximum:
            raise self.fault(key, f"{value} is outside {minimum} to {maximum}")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        words = self.take(key, list)
        if not all(type(word) is str and word for word in words):
            raise self.fault(key, 'is no list of words; a command is written as ["program", "word"]')
        return tuple(words)

    def hash(self, key: str) -> bytes:
        text = self.take(key, str)
        if not re.fullmatch(rf"[0-9a-f]{{{HASH_HEX}}}", text):
            raise self.fault(key, "is no SHA-256; `plumeproof module flash --json` prints it")
        return bytes.fromhex(text)

    def end(self) -> None:
        for key in self._left:
            raise self.fault(key, "is no key of a wiring file; tests/hil/README.md lists them")

    def fault(self, key: str, why: str) -> WiringError:
        return WiringError(f"{self._path}: {self._prefix}{key} {why}")


def _bus_port(table: _Table) -> str:
    port: str = table.take("port", str)
    table.end()
    return port


def _power(table: _Table) -> Power:
    kind = table.take("kind", str)
    off_s = table.number("off_s", 0.0, 600, 1.0)
    if kind == _RELAY:
        power = Power(
            kind,
            off_s,
            port=table.take("port", str),
            relay=table.number("relay", 1, RELAYS_MAX, 1),
            is_inverted=table.take("is_inverted", bool, False),
        )
    elif kind == _HUB:
        power = Power(kind, off_s, location=table.take("location", str), hub_port=table.number("hub_port", 1, 32))
    elif kind == _COMMAND:
        power = Power(kind, off_s, off=table.words("off"), on=table.words("on"))
    else:
        raise table.fault("kind", f"is none of {_RELAY} {_HUB} {_COMMAND}")
    table.end()
    return power


def _names() -> str:
    return " ".join([EMULATED, *sorted(path.stem for path in FOLDER.glob("*.toml"))])
