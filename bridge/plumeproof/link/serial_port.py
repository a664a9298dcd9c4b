"""ByteStream over pyserial: exclusive open, reads that wait, line loss told from silence.

The only file that imports pyserial. Opening again after a loss is the caller's business (pipeline: a new session).
"""

from __future__ import annotations

import os

import serial

from plumeproof.errors import LinkError, UnreachableError

WRITE_TIMEOUT_S = 5.0  # one maximum frame at 9,600 baud


class SerialPort:
    """ports.ByteStream on a serial device (or pty)."""

    def __init__(self, port: str, baud: int) -> None:
        """Open exclusively, 8N1. Raises UnreachableError naming the port and the mend."""
        self.port = port
        try:
            self._serial = serial.Serial(
                port,
                baudrate=baud,
                bytesize=serial.EIGHTBITS,
                parity=serial.PARITY_NONE,
                stopbits=serial.STOPBITS_ONE,
                timeout=0,
                write_timeout=WRITE_TIMEOUT_S,
                exclusive=True,
            )
        except (serial.SerialException, ValueError, OSError) as error:
            # pyserial's own text names the port and the number of the error twice.
            number = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(number) if number else str(error)
            mend = "cable, name, or another program holds it"
            raise UnreachableError(f"serial port {port}: {reason} ({mend})") from error

    def read(self, limit: int, timeout_s: float) -> bytes:
        """Up to `limit` bytes; waits at most `timeout_s` for the first. Raises LinkError when the line is gone."""
        try:
            self._serial.timeout = timeout_s
            first = self._serial.read(1)
            if not first:
                return b""
            self._serial.timeout = 0
            return bytes(first + self._serial.read(limit - 1))
        except (serial.SerialException, OSError, TypeError) as error:
            # TypeError: pyserial's own file descriptor is None after an unplug in another thread.
            raise LinkError(f"serial port {self.port}: {error}") from error

    def write(self, data: bytes) -> None:
        """Send all of it. Raises LinkError."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError, TypeError) as error:
            raise LinkError(f"serial port {self.port}: {error}") from error

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()
