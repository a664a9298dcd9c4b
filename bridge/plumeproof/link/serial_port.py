"""ByteStream over pyserial: exclusive open, reads that wait, line loss told from silence.

The only file that imports pyserial. Opening again after a loss is the caller's business (pipeline: a new session).
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import serial
from serial.tools import list_ports

from plumeproof.errors import ConfigError, LinkError, UnreachableError

if sys.platform == "win32":
    TERMIOS_ERROR: type[Exception] = OSError
else:
    import termios

    TERMIOS_ERROR = termios.error  # pyserial lets it through; it is no OSError

WRITE_TIMEOUT_S = 5.0  # one maximum frame at 9,600 baud
HELD = (errno.EAGAIN, errno.EBUSY)  # flock of another program; TIOCEXCL of one
PORTS_SHOWN_MAX = 8


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
            raise UnreachableError(f"serial port {port}: {_reason(port, error)}") from error
        except TERMIOS_ERROR as error:
            raise UnreachableError(f"serial port {port}: is no serial port; name one that is") from error

    def set_line(self, baud: int, parity: str, stop_bits: int) -> None:
        """Other settings on the open port (parity N, E or O; stop bits 1 or 2). What waits from before is dropped.
        Raises ConfigError when the port does not take them, LinkError when it is gone."""
        wanted = {"baudrate": baud, "parity": parity, "stopbits": stop_bits}
        before = {"baudrate": self._serial.baudrate, "parity": self._serial.parity, "stopbits": self._serial.stopbits}
        try:
            try:
                self._serial.apply_settings(wanted)
            except (ValueError, TERMIOS_ERROR) as error:
                self._serial.apply_settings(before)
                raise ConfigError(f"serial port {self.port}", f"does not take {baud} 8{parity}{stop_bits}") from error
            self._serial.reset_input_buffer()
        except (serial.SerialException, OSError, TypeError, TERMIOS_ERROR) as error:
            raise LinkError(f"serial port {self.port}: {error}") from error

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


def _reason(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and the mend; pyserial's own text names the port and the error's number twice."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number in HELD or (sys.platform == "win32" and "PermissionError" in text):
        return "held by another program (a running bridge, a terminal program); stop that one or name another port"
    if number == errno.ENOENT or "FileNotFoundError" in text:
        there = [one.device for one in list_ports.comports()][:PORTS_SHOWN_MAX]
        return f"does not exist; plugged in? Ports here: {' '.join(there) or 'none'}"
    if number == errno.EACCES:
        return f"no permission; on Linux: sudo usermod -aG {_group(port)} $USER, then log in again"
    reason = os.strerror(number) if number else text
    return f"{reason} (cable, name, or another program holds it)"


def _group(port: str) -> str:
    """Whose members may use a port: dialout on Debian and Ubuntu, uucp elsewhere."""
    try:
        return Path(port).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"
