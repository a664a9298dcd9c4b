"""The cable between the module's tty and the analyzers' ptys, with what RS-485 does to bytes and what faults do to it.

Towards the analyzers it does the work of their UARTs: whole requests only, and each analyzer gets those of its own unit
id, one at a time. pymodbus would answer a foreign unit id with an exception and mixes up two requests in one read.
Towards the module it is transparent: what an analyzer sends arrives, unless a fault was ordered. Half duplex, and with
pacing each byte takes its time: characters of 10 or 11 bits, 3.5 characters (1.75 ms above 19,200 baud) of silence
between request and answer (MODBUS over Serial Line V1.02 section 2.5.1.1). A server's own time is hidden in that
silence as long as it is shorter; an answer's last byte is waited for actively, since a sleep ends late.
"""

from __future__ import annotations

import asyncio
import os
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path

import serial

from tools.plant import adu
from tools.plant.adu import Request
from tools.plant.faults import Fault, FaultPlan
from tools.plant.layout import Layout
from tools.plant.plant_log import PlantLog
from tools.plant.server import AnalyzerServer

READ_BYTES = 4096
ANSWER_WITHIN_S = 2.0  # a server that stays silent longer is given up for this request
PIECE_S = 0.002  # paced bytes are handed over this often: as a UART's FIFO does
AWAKE_S = 0.0003  # so long before the last byte of an answer nobody sleeps: a sleep ends 60 to 150 us late (Linux)
SILENCE_CHARACTERS = 3.5
SILENCE_FAST_S = 0.00175  # above 19,200 baud
FAST_BAUD = 19_200


class Wire:
    """Time on the wire. Not paced: the same times are counted and nobody waits."""

    def __init__(self, layout: Layout, is_paced: bool) -> None:
        self.is_paced = is_paced
        self.character_s = layout.character_bits / layout.baud
        self.silence_s = SILENCE_FAST_S if layout.baud > FAST_BAUD else SILENCE_CHARACTERS * self.character_s
        self._free_s = 0.0

    def reserve(self, now_s: float, characters: int, silence_s: float = 0.0) -> tuple[float, float]:
        """When these characters begin and when the last one has passed, behind all that is on its way."""
        if not self.is_paced:
            return now_s, now_s
        begin_s = max(now_s, self._free_s + silence_s)
        self._free_s = begin_s + characters * self.character_s
        return begin_s, self._free_s


class _Port:
    """One analyzer on the cable: what it was asked and has not answered."""

    def __init__(self, server: AnalyzerServer) -> None:
        self.server = server
        self.waiting: deque[Request] = deque()
        self.current: Request | None = None
        self.fault: Fault | None = None
        self.is_frozen = False
        self.plant_s = 0.0
        self.patience: asyncio.TimerHandle | None = None
        self.received = bytearray()


class Bus:
    """One RS-485 line. `refresh(server, t_s) -> plant time` puts the values of this moment into a server's registers.

    `t_s` counts from open(), which makes the module's tty at `link`.
    """

    def __init__(
        self,
        layout: Layout,
        servers: list[AnalyzerServer],
        wire: Wire,
        faults: FaultPlan,
        log: PlantLog,
        refresh: Callable[[AnalyzerServer, float], float],
        tap: Callable[[str, bytes], None] = lambda sender, raw: None,
    ) -> None:
        """tap(sender, bytes): everything that passes, as it passes; sender "module" or "analyzers"."""
        self._ports = {server.analyzer.unit: _Port(server) for server in servers}
        self._wire = wire
        self._faults = faults
        self._log = log
        self._refresh = refresh
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._sending: set[asyncio.Task[None]] = set()
        self._asked = bytearray()
        self._number = 0
        self._opened_s = 0.0
        self._link: Path | None = None
        self._port: serial.Serial | None = None
        self._fd = self._far_fd = -1
        self.counters = dict.fromkeys(("requests", "answers", "intact", "noise_bytes", "wire_us"), 0)

    def open(self, link: Path) -> None:
        """Make the tty and its name. The name that a killed plant left is replaced, never missing in between."""
        self._fd, self._far_fd = os.openpty()  # the far end stays open: a module that goes leaves no hang-up
        tty.setraw(self._far_fd)
        self._listen()
        self._link = link
        temporary = link.with_name(link.name + ".new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.ttyname(self._far_fd))
        temporary.replace(link)

    def open_port(self, port: str, layout: Layout) -> None:
        """In place of open(): a real line behind a serial adapter, which must not hand back what it sends. Raises
        OSError (pyserial's own is one), ValueError for settings that the port does not take."""
        self._port = serial.Serial(
            port, layout.baud, parity=layout.parity, stopbits=layout.stop_bits, timeout=0, exclusive=True
        )
        self._port.reset_input_buffer()
        self._fd = self._port.fileno()
        self._listen()

    def _listen(self) -> None:
        os.set_blocking(self._fd, False)
        self._opened_s = self._loop.time()
        self._loop.add_reader(self._fd, self._hear_module)
        for port in self._ports.values():
            self._loop.add_reader(port.server.fd, self._hear_analyzer, port)

    def elapsed_s(self) -> float:
        """Seconds since open()."""
        return self._loop.time() - self._opened_s

    async def close(self) -> None:
        """Hear nothing more from the module, let what was asked be answered, take the tty away."""
        self._loop.remove_reader(self._fd)
        for port in self._ports.values():
            port.waiting.clear()
        until_s = self._loop.time() + ANSWER_WITHIN_S
        while any(port.current for port in self._ports.values()) and self._loop.time() < until_s:
            await asyncio.sleep(0.01)
        if self._sending:
            await asyncio.gather(*self._sending)
        for port in self._ports.values():
            self._loop.remove_reader(port.server.fd)
            if port.patience is not None:
                port.patience.cancel()
        if self._port is not None:
            self._port.close()
        if self._link is not None:
            self._link.unlink(missing_ok=True)  # its pts number may soon be somebody else's
            os.close(self._fd)
            os.close(self._far_fd)

    def _hear_module(self) -> None:
        heard_s, heard_ns = self._loop.time(), time.time_ns()
        heard = os.read(self._fd, READ_BYTES)
        self._tap("module", heard)
        self._asked += heard
        raw: bytes | None = b""
        while raw is not None:
            noise, raw = adu.take_request(self._asked)
            if noise:
                self.counters["noise_bytes"] += len(noise)
                self._log.write("state", state="noise", hex=noise.hex())
            if raw is not None:
                self._route(raw, heard_s, heard_ns)

    def _route(self, raw: bytes, heard_s: float, heard_ns: int) -> None:
        self._number += 1
        request = Request(self._number, raw)
        self.counters["requests"] += 1
        port = self._ports.get(request.unit)
        name = None if port is None else port.server.analyzer.id
        self._log.write("request", t_utc_ns=heard_ns, **request.fields(), analyzer=name)
        _, end_s = self._wire.reserve(heard_s, len(raw))
        if port is None:
            return
        port.waiting.append(request)
        if self._wire.is_paced:
            self._loop.call_at(end_s, self._ask_next, port)
        else:
            self._ask_next(port)

    def _ask_next(self, port: _Port) -> None:
        if port.current is not None or not port.waiting:
            return
        request = port.current = port.waiting.popleft()
        now_s = self.elapsed_s()
        port.plant_s = self._refresh(port.server, now_s)
        fault = port.fault = self._faults.draw(port.server.analyzer.id, now_s)
        port.is_frozen = self._faults.frozen_since(port.server.analyzer.id, now_s) is not None
        port.server.exception = fault.code if fault is not None and fault.kind == "exception" else 0
        port.received.clear()
        os.write(port.server.fd, request.raw)
        port.patience = self._loop.call_later(ANSWER_WITHIN_S, self._give_up, port)

    def _give_up(self, port: _Port) -> None:
        assert port.current is not None
        self._log.write("state", state="no_answer", n=port.current.number, hex=port.received.hex())
        port.current = port.patience = None
        self._ask_next(port)

    def _hear_analyzer(self, port: _Port) -> None:
        port.received += os.read(port.server.fd, READ_BYTES)
        answer = adu.take_answer(port.received)
        request = port.current
        if answer is None or request is None or port.patience is None:
            return
        port.patience.cancel()
        port.patience = None
        fault = port.fault
        sent = self._disturb(port, answer, fault)
        wire_us = round(1e6 * ((len(request.raw) + len(sent)) * self._wire.character_s + self._wire.silence_s))
        self.counters["answers"] += 1
        self.counters["wire_us"] += wire_us
        is_exception = bool(answer[1] & adu.EXCEPTION_FLAG)
        fields = request.fields() | {
            "analyzer": port.server.analyzer.id,
            "registers": "" if is_exception else answer[3:-2].hex(),
            "exception": answer[2] if is_exception else 0,
            "fault": "frozen" if fault is None and port.is_frozen else None if fault is None else fault.kind,
            "plant_s": port.plant_s,
            "wire_us": wire_us,
        }
        delay_s = fault.late_ms / 1000 if fault is not None and fault.kind == "late" else 0.0
        if delay_s or self._wire.is_paced:
            task = self._loop.create_task(self._send_slowly(port, sent, answer, fields, delay_s))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        else:
            self._conclude(port, self._hand_over(sent) == len(sent), sent, answer, fields)

    def _disturb(self, port: _Port, answer: bytes, fault: Fault | None) -> bytes:
        """What goes onto the wire instead of the answer."""
        kind = None if fault is None else fault.kind
        if kind == "mute":
            return b""
        if kind == "crc":
            return answer[:-1] + bytes((answer[-1] ^ 0x5A,))
        if kind == "cut":
            return answer[: len(answer) // 2]
        if kind == "foreign":
            return adu.close_frame(bytes((answer[0] % 247 + 1,)) + answer[1:-2])
        if kind == "stray":
            noise = self._faults.noise(port.server.analyzer.id)
            return noise + answer if noise[0] & 1 else answer + noise
        return answer

    async def _send_slowly(
        self, port: _Port, sent: bytes, answer: bytes, fields: dict[str, object], delay_s: float
    ) -> None:
        await asyncio.sleep(delay_s)
        begin_s, end_s = self._wire.reserve(self._loop.time(), len(sent), self._wire.silence_s)
        is_whole, place = True, 0
        if self._wire.is_paced:
            per_piece = max(1, int(PIECE_S / self._wire.character_s))
            while len(sent) - place > per_piece:
                await asyncio.sleep(begin_s + (place + per_piece) * self._wire.character_s - self._loop.time())
                is_whole &= self._hand_over(sent[place : place + per_piece]) == per_piece
                place += per_piece
            await asyncio.sleep(end_s - AWAKE_S - self._loop.time())
            while self._loop.time() < end_s:
                pass
        is_whole &= self._hand_over(sent[place:]) == len(sent) - place
        self._conclude(port, is_whole, sent, answer, fields)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        task.result()  # a failure goes to the loop's exception handler, which ends the plant

    def _hand_over(self, piece: bytes) -> int:
        """Bytes that the module's tty took; fewer where nobody has read for long, as a UART that runs over."""
        if not piece:
            return 0
        try:
            taken = os.write(self._fd, piece)
        except BlockingIOError:
            return 0
        self._tap("analyzers", piece[:taken])
        return taken

    def _conclude(self, port: _Port, is_whole: bool, sent: bytes, answer: bytes, fields: dict[str, object]) -> None:
        """Write down what arrived; only now the analyzer takes its next request, as a slow one does."""
        is_intact = is_whole and sent == answer
        self.counters["intact"] += is_intact
        if not is_intact:
            fields = fields | {"wire": sent.hex(), "taken": is_whole}
        self._log.write("answer", **fields, intact=is_intact)
        port.current = None
        self._ask_next(port)
