"""An RS-485 bus for the survey: pymodbus servers on ptys behind a line that is modelled bit by bit.

A pty knows no baud and no parity, so the line between is a double: `AnalyzerBus` is a survey.line.AnalyzerStream whose
sender turns bytes into levels (start bit, eight data bits, parity, stop bits at its speed) and whose receiver samples
these levels at its own settings, as a UART does. At equal settings bytes pass unchanged; at others they come out as a
UART would hear them, or not at all. A station takes only characters without framing or parity error, and only whole
frames of its own unit id (its UART's silent interval); the server behind is pymodbus and knows nothing of all this.

Not imitated: bit times of the operating system, edges that are not steep, reflections, and levels while two stations
drive the pair against each other: there the bytes of both are ANDed.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
import tty
from collections.abc import Sequence
from dataclasses import dataclass, field

from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from plumeproof.errors import ConfigError
from plumeproof.survey.line import LineSettings

ANSWER_WITHIN_S = 2.0  # pymodbus answers in milliseconds; a loaded machine takes longer
IDENTITY = {"VendorName": "Maker", "ProductCode": "X1", "MajorMinorRevision": "1.2"}
QUIET_S = 0.01  # behind the last byte of a server's answer


def to_levels(data: bytes, settings: LineSettings) -> list[int]:
    """The levels of every bit, idle in front and behind."""
    levels = [1] * 12
    for byte in data:
        bits = [byte >> place & 1 for place in range(8)]
        levels += [0, *bits]
        if settings.parity != "N":
            levels.append(sum(bits) % 2 ^ (settings.parity == "O"))
        levels += [1] * settings.stop_bits
    return levels + [1] * 12


def hear(data: bytes, sender: LineSettings, receiver: LineSettings, is_strict: bool) -> bytes:
    """What a UART at `receiver` makes of bytes sent at `sender`. Strict: characters with an error are dropped; else a
    framing error reads 0, as Linux has it, and parity is not looked at."""
    levels = to_levels(data, sender)
    ratio = sender.baud / receiver.baud  # sender's bits in one of the receiver's

    def level(place: float) -> int:
        return levels[int(place)] if place < len(levels) else 1

    heard = bytearray()
    place = 0.0
    while place < len(levels):
        if level(place):
            place = int(place) + 1.0
            continue
        start = place
        bits = [level(start + ratio * (1.5 + number)) for number in range(8)]
        byte = sum(bit << number for number, bit in enumerate(bits))
        after = 9.5
        is_good = True
        if receiver.parity != "N":
            is_good = level(start + ratio * after) == sum(bits) % 2 ^ (receiver.parity == "O")
            after += 1
        is_framed = all(level(start + ratio * (after + number)) for number in range(receiver.stop_bits))
        if is_strict:
            heard += bytes((byte,)) if is_good and is_framed else b""
        else:
            heard.append(byte if is_framed else 0)
        place = start + ratio * after
    return bytes(heard)


@dataclass(slots=True)
class Station:
    """An analyzer: its unit id, its settings and holding registers from 0. `delay_s`: before it answers. `says`: bytes
    it sends instead of what its server answered. All identify themselves as IDENTITY: pymodbus keeps one a process."""

    unit: int
    settings: LineSettings
    registers: Sequence[int] = (0, 0)
    delay_s: float = 0.0
    says: bytes | None = None
    fd: int = field(default=-1, init=False)
    far_fd: int = field(default=-1, init=False)


class AnalyzerBus:
    """survey.line.AnalyzerStream with stations on the far side. `sent`: every byte string that was written.

    `has_echo`: the adapter hears itself. `refused`: settings that the port does not take. `noise`: bytes that are on
    the line whenever one listens for 50 ms or longer, at `noise_settings` only if these are set.
    """

    def __init__(self, stations: Sequence[Station], has_echo: bool = False) -> None:
        self.stations = stations
        self.has_echo = has_echo
        self.settings = LineSettings(9_600, "N", 1)
        self.refused: set[LineSettings] = set()
        self.noise = b""
        self.noise_settings: LineSettings | None = None
        self.sent: list[tuple[LineSettings, bytes]] = []
        self._coming: list[tuple[float, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._servers: list[ModbusSerialServer] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for station in stations:
            asyncio.run_coroutine_threadsafe(self._start(station), self._loop).result(10)

    async def _start(self, station: Station) -> None:
        station.fd, station.far_fd = os.openpty()
        tty.setraw(station.far_fd)
        device = SimDevice(
            station.unit,
            simdata=[SimData(0, values=list(station.registers), datatype=DataType.REGISTERS)],
        )
        identity = ModbusDeviceIdentification(info_name=IDENTITY)
        server = ModbusSerialServer(device, port=os.ttyname(station.far_fd), identity=identity)
        await server.serve_forever(background=True)
        self._servers.append(server)

    def set_line(self, baud: int, parity: str, stop_bits: int) -> None:
        """As AnalyzerStream."""
        settings = LineSettings(baud, parity, stop_bits)
        if settings in self.refused:
            raise ConfigError("serial port bus", f"does not take {settings}")
        self.settings = settings

    def write(self, data: bytes) -> None:
        """As ByteStream: every station hears it as its UART does."""
        self.sent.append((self.settings, data))
        now = time.monotonic()
        if self.has_echo:
            self._coming.append((now, data))
        said: list[tuple[float, bytes]] = []
        for station in self.stations:
            heard = hear(data, self.settings, station.settings, is_strict=True)
            if heard[:1] == bytes((station.unit,)):
                answer = station.says if station.says is not None else self._serve(station, heard)
                if answer:
                    mine = hear(answer, station.settings, self.settings, is_strict=False)
                    said.append((time.monotonic() + station.delay_s, mine))
        if len(said) == 2 and abs(said[0][0] - said[1][0]) < ANSWER_WITHIN_S / 4 and self._is_clash():
            first, second = said[0][1], said[1][1]
            width = max(len(first), len(second))
            both = zip(first.ljust(width, b"\xff"), second.ljust(width, b"\xff"), strict=True)
            said = [(said[0][0], bytes(one & other for one, other in both))]
        self._coming += said

    def _is_clash(self) -> bool:
        return len({station.delay_s for station in self.stations}) == 1

    def read(self, limit: int, timeout_s: float) -> bytes:
        """As ByteStream."""
        if self.noise and timeout_s >= 0.05:
            time.sleep(0.001)
            is_here = self.noise_settings in (None, self.settings)
            return self.noise[:limit] if is_here else b""
        until = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            for entry in sorted(self._coming):
                if entry[0] <= now:
                    self._coming.remove(entry)
                    return entry[1][:limit]
            if now >= until:
                return b""
            time.sleep(min(0.001, until - now))

    def close(self) -> None:
        """Stop servers and loop."""
        for server in self._servers:
            asyncio.run_coroutine_threadsafe(server.shutdown(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        for station in self.stations:
            os.close(station.fd)
            os.close(station.far_fd)

    @staticmethod
    def _serve(station: Station, request: bytes) -> bytes:
        """What the server behind a station answers; nothing to a frame that is no good."""
        os.write(station.fd, request)
        answer = b""
        wait_s = ANSWER_WITHIN_S if _is_good(request) else QUIET_S
        while select.select([station.fd], [], [], wait_s)[0]:
            answer += os.read(station.fd, 512)
            wait_s = QUIET_S
        return answer


def _is_good(frame: bytes) -> bool:
    """Whether pymodbus has reason to answer."""
    from pymodbus.framer.rtu import FramerRTU

    return len(frame) > 3 and FramerRTU.compute_CRC(frame[:-2]).to_bytes(2, "big") == frame[-2:]
