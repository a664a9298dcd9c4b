"""A technician's adapter: the serial port opened for the analyzer bus. The only place here that opens anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plumeproof.clock import SystemClock
from plumeproof.link.serial_port import SerialPort
from plumeproof.survey.line import BusLine, LineSettings

OPENING = LineSettings(9_600, "N", 1)  # every port takes it; the settings that are wanted come at once behind it


@contextmanager
def open_line(port: str, settings: LineSettings | None = None) -> Iterator[BusLine]:
    """The bus behind a port, held for us alone until the end. Raises UnreachableError with the mend; ConfigError for
    settings that the port does not take."""
    stream = SerialPort(port, OPENING.baud)
    try:
        yield BusLine(stream, SystemClock(), settings or OPENING)
    finally:
        stream.close()
