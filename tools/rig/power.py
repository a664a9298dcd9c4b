"""The switch in the module's supply: a port with an implementation for what a bench may have.

    switch = open_switch(wiring.power)           # wiring.py
    switch.off(); time.sleep(1); switch.on()

Each returns when the order has been given; how fast the voltage falls is the bench's business (`off_s` of the wiring).
None of them can see whether the module has power: a relay board of this class does not answer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Protocol

from plumeproof.errors import LinkError, UnreachableError
from plumeproof.link.serial_port import SerialPort

RELAY_BAUD = 9_600
RELAY_START = 0xA0  # LCUS class (LC USB switch), maker's note: start, relay 1.., 1 on or 0 off, sum of these three
RELAYS_MAX = 8
RUN_S = 20.0  # a program that switches and has not ended by then is given up
OFF_REPEATS = 5  # uhubctl(8) -r: some ports come back by themselves at the first order


class PowerError(Exception):
    """The switch did not do what it was told; one line: which, why, how to mend."""


class PowerSwitch(Protocol):
    """`name`: for people. All raise PowerError."""

    name: str

    def off(self) -> None:
        """No power from now on. Off again: nothing."""

    def on(self) -> None:
        """Power. On again: nothing."""

    def close(self) -> None:
        """Give it back as it stands. Never raises."""


class RelaySwitch:
    """One relay of a USB relay board of the LCUS class. `is_inverted`: the supply runs over the contact that is closed
    at rest (NC), so that the module has power while the PC is off."""

    def __init__(self, port: str, relay: int = 1, *, is_inverted: bool = False) -> None:
        self.name = f"relay {relay} at {port}"
        self._relay = relay
        self._is_inverted = is_inverted
        try:
            self._line = SerialPort(port, RELAY_BAUD)
        except UnreachableError as error:
            raise PowerError(f"power switch: {error}") from error

    def off(self) -> None:
        self._order(self._is_inverted)

    def on(self) -> None:
        self._order(not self._is_inverted)

    def close(self) -> None:
        self._line.close()

    def _order(self, is_closed: bool) -> None:
        try:
            self._line.write(relay_order(self._relay, is_closed))
        except LinkError as error:
            raise PowerError(f"power switch: {error}; plugged in?") from error


def relay_order(relay: int, is_closed: bool) -> bytes:
    """Four bytes of the LCUS class: A0 01 01 A2 closes relay 1, A0 01 00 A1 opens it."""
    head = bytes((RELAY_START, relay, is_closed))
    return head + bytes((sum(head) & 0xFF,))


class CommandSwitch:
    """Any command line: words for off and for on, started without a shell. Exit status 0 means done."""

    def __init__(self, off: Sequence[str], on: Sequence[str]) -> None:
        self.name = f"command {on[0]}"
        self._off, self._on = tuple(off), tuple(on)

    def off(self) -> None:
        _run(self._off)

    def on(self) -> None:
        _run(self._on)

    def close(self) -> None:
        """Nothing is held."""


class UsbHubSwitch(CommandSwitch):
    """A port of a USB hub that can switch its supply, by uhubctl(8) 2.4 or newer. `location`, `hub_port`: as uhubctl
    without options lists them."""

    def __init__(self, location: str, hub_port: int, program: str = "uhubctl") -> None:
        where = (program, "-l", location, "-p", str(hub_port))
        super().__init__((*where, "-a", "off", "-r", str(OFF_REPEATS)), (*where, "-a", "on"))
        self.name = f"port {hub_port} of USB hub {location}"


def _run(words: Sequence[str]) -> None:
    line = " ".join(words)
    try:
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_S, check=False)
    except FileNotFoundError as error:
        raise PowerError(f"power switch: {words[0]}: no such program; install it or mend the wiring file") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PowerError(f"power switch: {line}: {error}") from error
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()
        why = said[0][:200] if said else "no word of why"
        raise PowerError(f"power switch: {line}: exit status {ended.returncode}: {why}")
