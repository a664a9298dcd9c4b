"""An HJ 212 platform as a sink: the field unit's side of one TCP session (reference: reporting-interfaces section 4).

Minute, hour and day messages are rows of the outbox. A row holds its parts with their QNs, so that whatever is killed
when, the same parts go out again under the same QNs, and the platform keeps each once by (MN, CN, DataTime, PNO). A row
closes when every part of it was answered by 9014. Real-time packets are the present and are not queued. Between all of
this the platform's requests are answered (hj212_orders.py). The password is in no row: it is read when a connection is
made.

    sink = Hj212Sink("bureau", settings, station, memory, numbers, orders, clock)
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumeproof.delivery.hj212_line import Hj212Line
from plumeproof.delivery.hj212_memory import IS_REAL_TIME, IS_STATE, OVER_TIME, REAL_TIME_S, TRIES, LinkMemory, QnSource
from plumeproof.delivery.hj212_orders import Orders, Station
from plumeproof.delivery.private_file import read_secret
from plumeproof.errors import BlockedDelivery, DeliveryError, FinalDelivery, RetryableDelivery
from plumeproof.hj212 import messages
from plumeproof.hj212.commands import ANSWERS
from plumeproof.hj212.frame import Check, Frame, Policy
from plumeproof.hj212.messages import PW_MAX, Identity, Upload, build_answer, build_part, cut
from plumeproof.hj212.numbers import to_time
from plumeproof.hj212.packet import Packet, PacketError, parse_data
from plumeproof.hj212.preview import Edition, version_of
from plumeproof.model import OutboxRow, Receipt
from plumeproof.ports import Clock

WINDOW = 8  # rows at a time; real-time packets and requests have their turn between windows
LONGEST_S = 60.0  # cap of the back-off: platforms expect a unit back within minutes
WORK_S = 1.0  # for history at a time, so that a stop, a row or a real-time packet waits no longer
PACKETS_MAX = 64  # of a platform that sends without end, at a time
PROOF = ("9014", "9013")  # what closes an upload; some platforms send the one for the other
BLOCKING = {messages.BAD_PW: "secret_file", messages.BAD_MN: "mn", messages.BAD_ST: "st"}  # and what to check
AGAIN = {messages.BAD_CRC, messages.UNKNOWN}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One [[sink.hj212]] of the configuration, with what the permit gave it."""

    host: str
    port: int
    mn: str
    st: str
    secret_file: Path
    policy: Policy
    real_time_answer: bool = False
    heartbeat_s: float = 0.0
    login: bool = False
    ask_time: bool = False
    edition: Edition = Edition.HJ2017


class Hj212Sink:
    """ports.Sink. One connection at a time, served by the thread that delivers."""

    window = WINDOW

    def __init__(
        self,
        name: str,
        settings: LinkSettings,
        station: Station,
        memory: LinkMemory,
        numbers: QnSource,
        orders: Orders,
        clock: Clock,
    ) -> None:
        self.name = name
        self._settings, self._station, self._memory, self._numbers = settings, station, memory, numbers
        self._orders, self._clock = orders, clock
        self._line = Hj212Line(settings.host, settings.port, settings.policy)
        self._identity = Identity(settings.mn, settings.st, "", version_of(settings.edition))
        self._started_utc_ms = clock.utc_ms()
        self._is_start_told = False
        self._waits_for: str | None = None  # QN of the exchange that is open
        self._answer: Packet | None = None
        self._mentioned: set[str] = set()  # QNs whose answers nobody waits for
        self._heartbeat_due_s = clock.monotonic_s()
        self._due_s: dict[str, float] = {}  # by IS_REAL_TIME, IS_STATE
        self._begins: dict[str, int] = {}  # of the last that was sent
        self._counters = dict.fromkeys(
            (
                "connections_total",
                "packets_sent_total",
                "resends_total",
                "real_time_total",
                "real_time_refused_total",
                "answers_unmatched_total",
                "packets_bad_total",
                "packets_by_policy_total",
            ),
            0,
        )

    def deliver(self, rows: Sequence[OutboxRow]) -> Sequence[Receipt]:
        """Send rows part by part, each answered before the next. Raises as ports.Sink.deliver."""
        receipts: list[Receipt] = []
        try:
            self._attend()
            for row in rows:
                proof = self._deliver_row(row)
                raw = json.dumps(proof, sort_keys=True).encode()
                receipts.append(Receipt(row.id, self.name, raw, self._clock.utc_ms()))
        except DeliveryError as error:
            error.receipts = receipts
            raise
        return receipts

    def split(self, row: OutboxRow) -> Sequence[tuple[str, bytes]]:
        """A message is one time; its parts have their QNs."""
        return ()

    def tend(self) -> bool:
        """Be connected, answer requests, send what is due. Raises as ports.Sink.tend."""
        self._attend()
        return self._line.heard

    def counters(self) -> dict[str, int]:
        """Since the start."""
        rubbish = {"rubbish_bytes_total": self._line.rubbish_bytes}
        return self._counters | self._orders.counters | rubbish

    def close(self) -> None:
        """The standard knows no good-bye."""
        self._drop()

    # The present: connection, requests, real-time packets.

    def _attend(self) -> None:
        try:
            if not self._line.is_open:
                self._connect()
            for _ in range(PACKETS_MAX):
                if not self._hear(0.0):
                    break
            now_s = self._clock.monotonic_s()
            if self._settings.heartbeat_s and now_s >= self._heartbeat_due_s:
                self._heartbeat_due_s = now_s + self._settings.heartbeat_s
                self._mention("9015", ())
            self._send_present(IS_REAL_TIME, self._station.real_time, now_s)
            self._send_present(IS_STATE, self._station.states, now_s)
            if self._orders.is_working:
                self._orders.work(self._identity, self._exchange_upload, self._send, time.monotonic() + WORK_S)
        except DeliveryError:
            self._drop()
            raise

    def _connect(self) -> None:
        self._identity = replace(self._identity, pw=read_password(self._settings.secret_file))
        self._line.open()
        self._counters["connections_total"] += 1
        self._mentioned.clear()
        if self._settings.login:
            try:
                self._exchange("9021", self._numbers.next(), (), 1, 1, ("9022", *PROOF))
            except FinalDelivery as error:
                raise BlockedDelivery(f"{error}: no login; check secret_file, mn and login of this link") from error
        if not self._is_start_told:
            began = to_time(self._started_utc_ms, self._station.utc_offset_min)
            self._mention("2081", ({"DataTime": began}, {"RestartTime": began}))
            self._is_start_told = True
        if self._settings.ask_time:
            self._mention("1013", (), wants_answer=True)

    def _send_present(self, name: str, newest_of: Callable[[], tuple[int, Upload] | None], now_s: float) -> None:
        """Real-time values or states of equipment, where they are switched on and due, and new ones are there."""
        is_asked = name in self._orders.asked
        if not self._memory.get(name) or (now_s < self._due_s.get(name, 0.0) and not is_asked):
            return
        newest = newest_of()
        if newest is None or (newest[0] == self._begins.get(name) and not is_asked):
            return  # looked at again at the next step: nothing is sent twice as new
        begin, upload = newest
        self._due_s[name] = now_s + self._memory.get(REAL_TIME_S)
        self._orders.asked.discard(name)
        if self._settings.real_time_answer:
            try:
                self._exchange_upload(upload)
            except FinalDelivery as error:  # of the present alone: no row of the outbox is to suffer for it
                self._counters["real_time_refused_total"] += 1
                _log.warning("hj212_real_time_refused sink=%s reason=%s", self.name, error)
        else:
            parts = cut(self._identity, upload.items)
            for number, items in enumerate(parts, 1):
                self._send(build_part(self._identity, upload.cn, self._numbers.next(), items, number, len(parts)))
        self._begins[name] = begin
        self._counters["real_time_total"] += 1

    def _drop(self) -> None:
        self._line.drop()
        self._orders.forget_history()

    # Exchanges: a packet, and the answer with its QN.

    def _deliver_row(self, row: OutboxRow) -> dict[str, Any]:
        try:
            content = json.loads(row.body)
            cn, parts = str(content["cn"]), [(str(one["qn"]), one["items"]) for one in content["parts"]]
        except (ValueError, LookupError, TypeError) as error:
            raise FinalDelivery(f"{row.key}: holds no message of HJ 212") from error
        answered = []
        for number, (qn, items) in enumerate(parts, 1):
            pairs = [dict(item) for item in items]
            try:
                answer = self._exchange(cn, qn, pairs, number, len(parts))
            except (RetryableDelivery, BlockedDelivery):
                self._drop()
                raise
            worth = answer.head[0]
            told = {"qn": qn, "cn": answer.of_head("CN"), "crc": str(worth.check), "policy": str(worth.policy)}
            answered.append(told)
        return {"platform": self._line.where, "mn": self._settings.mn, "cn": cn, "answers": answered}

    def _exchange_upload(self, upload: Upload) -> None:
        parts = cut(self._identity, upload.items)
        for number, items in enumerate(parts, 1):
            self._exchange(upload.cn, self._numbers.next(), items, number, len(parts))

    def _exchange(
        self,
        cn: str,
        qn: str,
        items: Sequence[messages.Item],
        number: int,
        total: int,
        proof: tuple[str, ...] = PROOF,
    ) -> Packet:
        """Send until it is answered, with the same QN, as often as the link's settings say. Raises DeliveryError."""
        try:
            raw = build_part(self._identity, cn, qn, items, number, total, wants_answer=True)
        except (PacketError, ValueError) as error:
            raise FinalDelivery(f"CN {cn}: {error}") from error
        tries, over_time_s = self._memory.get(TRIES), self._memory.get(OVER_TIME)
        self._waits_for, self._answer = qn, None
        try:
            for attempt in range(tries):
                self._counters["resends_total"] += attempt > 0
                self._send(raw)
                until_s = time.monotonic() + over_time_s
                while (left_s := until_s - time.monotonic()) > 0:
                    self._hear(left_s)
                    if self._answer is None:
                        continue
                    answer, self._answer = self._answer, None
                    if answer.of_head("CN") in proof:
                        return answer
                    self._judge_refusal(cn, answer)
        finally:
            self._waits_for = None
        words = f"no answer to CN {cn} in {tries} tries of {over_time_s} s; the link is down"
        raise RetryableDelivery(f"{self._line.where}: {words}")

    def _judge_refusal(self, cn: str, answer: Packet) -> None:
        """A 9011 where an upload's answer is 9014: some platforms say so why they do not take it."""
        text = answer.of_area("QnRtn")
        code = int(text) if answer.of_head("CN") == "9011" and text.isascii() and text.isdigit() else messages.READY
        if code == messages.READY:
            return  # says nothing of the data
        sentence = f"{self._line.where}: the platform answers CN {cn} with QnRtn {code}"
        if code in BLOCKING:
            raise BlockedDelivery(f"{sentence}; check {BLOCKING[code]} of this link with the platform's operator")
        if code in AGAIN:
            raise RetryableDelivery(sentence)
        raise FinalDelivery(sentence)

    def _mention(self, cn: str, items: Sequence[messages.Item], wants_answer: bool = False) -> None:
        """A packet that nothing waits for."""
        qn = self._numbers.next()
        if wants_answer:
            self._mentioned.add(qn)
        self._send(build_part(self._identity, cn, qn, items, wants_answer=wants_answer))

    def _send(self, raw: bytes) -> None:
        self._line.send(raw)
        self._counters["packets_sent_total"] += 1

    def _hear(self, wait_s: float) -> bool:
        """Take what comes within `wait_s`; whether anything came."""
        frames = self._line.receive(wait_s)
        for frame in frames:
            self._take(frame)
        return bool(frames)

    def _take(self, frame: Frame) -> None:
        try:
            packet = parse_data(frame.data, frame.check, frame.policy)
        except PacketError:  # its text may quote a password
            self._refuse(frame, frame.reason or "outside the grammar of a packet")
            return
        cn, qn, is_ours = packet.of_head("CN"), packet.of_head("QN"), packet.of_head("MN") == self._settings.mn
        if not frame.accepted:
            self._refuse(frame, frame.reason)
            if is_ours and qn and cn not in ANSWERS:
                self._send(build_answer(self._identity, "9011", qn, messages.BAD_CRC))
            return
        if frame.check is not Check.HJ212:
            self._counters["packets_by_policy_total"] += 1
        if cn not in ANSWERS:
            self._orders.take(packet, self._identity, self._send)
            if self._orders.new_password is not None:
                self._identity = replace(self._identity, pw=self._orders.new_password)
                self._orders.new_password = None
        elif is_ours and qn == self._waits_for:
            self._answer = packet
        elif qn in self._mentioned:
            self._mentioned.discard(qn)
        else:
            self._counters["answers_unmatched_total"] += 1  # late, twice, or somebody else's

    def _refuse(self, frame: Frame, reason: str) -> None:
        self._counters["packets_bad_total"] += 1
        self._orders.warn("hj212_bad_packet sink=%s bytes=%d reason=%s", self.name, len(frame.raw), reason)


def read_password(path: Path) -> str:
    """PW of a link. Raises BlockedDelivery."""
    found = read_secret(path)
    if len(found) > PW_MAX or any(letter in found for letter in ";,&=#") or not found.isprintable():
        raise BlockedDelivery(f"{path}: is no password of HJ 212 (1 to {PW_MAX} characters, without ; , & = #)")
    return found
