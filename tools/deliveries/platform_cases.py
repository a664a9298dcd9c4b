"""Faults of the platform (F8): batches delivered while it misbehaves, and what it has afterwards.

A fault hits half of the requests that it is for. The platform's own database says what had an effect and its list of
requests when it was asked what; times are said on the gateway's clock.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import httpx

from plumeproof.config import HttpsSinkConfig
from plumeproof.delivery.profile import load_profile
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.delivery.tls import trusting
from plumeproof.delivery_parts import build_https
from plumeproof.ports import Clock, Outbox
from tools import test_ca
from tools.deliveries.clock import CampaignClock, LeapingClock, RealClock
from tools.deliveries.gateway import AVERAGES, GATEWAY, Gateway, anonymous_kib
from tools.demo.part import Part
from tools.eu_platform.faults import STATUSES
from tools.eu_platform.receipts import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
PROFILE = "eu-carbon-cloud"
SECRET = "a-secret-of-the-campaign-only-0123456789"  # noqa: S105 - of the campaign
READ_S = 0.3  # time-out of one read; the whole exchange has twice as long (at a plant 30 s and 60 s)
SHORT_TOKEN_S = 65  # a minute of it is spare: five seconds of use, so that tokens are asked for all the time
READY_S = 60.0
GROUP = 10  # batches offered at a time
PERIOD_S = 10.0  # from one group to the next
FAULTED_SHARE = 0.5

# Fault, and what else the platform is started with. `{}` is the number of hits that came before in the same case.
_PLAIN = {str(status): str(status) for status in STATUSES if status != 429}
_RETRY = {f"429-{form}": f"429:retry={form}" for form in ("seconds", "date", "past", "absurd", "negative", "words")}
_ANSWERS = {
    "503-date": "503:retry=date",
    "timeout-before": "timeout-before",
    "timeout-after": "timeout-after",
    "reset-before": "reset-before",
    "reset-after": "reset-after",
    "reset-each-byte": "reset-at:byte={}+",
    "one-byte-a-second": "slow:ms=1000",
    "endless-headers": "endless-headers",
    "length-too-long": "wrong-length:by=64",
    "length-too-short": "wrong-length:by=-64",
    "truncated-json": "truncated-json",
    "no-receipt": "no-receipt",
    "foreign-receipt": "foreign-receipt",
    "bad-signature": "bad-signature",
    "redirect": "redirect",
    "gzip-bomb": "gzip-bomb:mib=8",  # 1000 to 1, and eight times what an answer may have
    "slow-work": "hold:ms=450",  # longer than the client waits: repeats meet their own first request
    "token-refused": "token-refused",
}
_LOGIN = {
    f"login-{fault}": f"{fault}:at=token"
    for fault in ("401", "429", "503", "timeout-before", "reset-before", "truncated-json", "gzip-bomb")
}
FAULTS = _PLAIN | _RETRY | _ANSWERS | _LOGIN
DIVIDING = frozenset(("400", "413", "422"))  # about the bytes: divided until one average is alone, then set aside
SECOND_TRY = frozenset(("401", "token-refused"))  # one new token and one more try, at once: two requests
MIXED = "real-mixed"  # every fault that passes by itself once, one after the other, in real time
CASES = (*FAULTS, MIXED)


@dataclass(frozen=True, slots=True)
class PlatformOutcome:
    """Counts of one share of a case. `most_per_s`: as the function of that name.

    `lost` and `doubled` are averages; `wrong`: sentences, none when every promise was kept.
    """

    batches: int
    requests: int
    repeats: int
    faults: int
    set_aside: int
    effects: int
    most_per_s: int
    lost: int
    doubled: int
    disordered: int
    cuts: int
    clock_s: float
    peak_kib: int
    wrong: tuple[str, ...]


class RecordingPlatform:
    """The reference platform as a process, with some faults from its start."""

    def __init__(self, folder: Path, faults: list[str], token_s: int | None, seed: int) -> None:
        self.folder, self.authority = folder / "platform", folder / "ca"
        test_ca.make(self.authority)
        self.secret_file = folder / "secret"
        write_private(self.secret_file, SECRET.encode())
        command = [
            *(sys.executable, "-m", "tools.eu_platform", "--dir", str(self.folder), "--control"),
            *("--authority", str(self.authority), "--client", GATEWAY, "--secret-file", str(self.secret_file)),
            *("--fault-seed", str(seed), *(word for fault in faults for word in ("--fault", fault))),
            *(("--token-s", str(token_s)) if token_s is not None else ()),
        ]
        self._part = Part("platform", command, folder / "platform.log", CHECKOUT)
        self._part.start()
        try:
            self.base_url = self._part.wait_for("ready", READY_S).split()[1]
        except BaseException:
            self._part.kill()
            raise

    def set(self, faults: list[str]) -> None:
        """These and no others from now on."""
        self._control("POST", json={"faults": faults})

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked, by its own list."""
        return list(self._control("GET")["requests"])

    def _control(self, method: str, **more: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {(self.folder / 'control.token').read_text().strip()}"}
        with httpx.Client(verify=trusting(self.authority / "ca.pem"), timeout=30.0) as client:
            answer = client.request(method, f"{self.base_url}/control", headers=headers, **more)
        answer.raise_for_status()
        return dict(answer.json())

    def close(self) -> None:
        self._part.stop()

    def reports(self) -> list[dict[str, Any]]:
        """Every report that had an effect, in the order in which it had; after close()."""
        connection = apsw.Connection(str(self.folder / "platform.sqlite"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            rows = connection.execute("SELECT key, receipt_id, body FROM report ORDER BY id").fetchall()
        finally:
            connection.close()
        return [{"key": key, "receipt": receipt, **json.loads(body)} for key, receipt, body in rows]


def run(name: str, folder: Path, batches: int, seed: int, done: int = 0) -> PlatformOutcome:
    """`batches` under a fault; `done`: of the same case before, so that cuts go on where they were."""
    random.seed(seed)  # the stage's jitter
    is_login = name.startswith("login")
    clock: CampaignClock = RealClock() if name == MIXED else LeapingClock()
    wishes = [] if name == MIXED else [f"{FAULTS[name].format(done)}:rate={FAULTED_SHARE}"]
    platform = RecordingPlatform(folder, wishes, SHORT_TOKEN_S if is_login else None, seed)
    profile = load_profile(PROFILE)

    def build(outbox: Outbox, clock: Clock) -> DeliveryStage:
        config = HttpsSinkConfig(
            name="eu", profile=PROFILE, base_url=platform.base_url, client_id=GATEWAY, timeout_s=READ_S,
            secret_file=platform.secret_file, report_interval_s=60, ca_file=platform.authority / "ca.pem",
        )  # fmt: skip
        return DeliveryStage(build_https(config, clock), outbox, clock)

    try:
        gateway = Gateway(folder, "eu", clock, build, seed)
        try:
            began_s = clock.monotonic_s()
            if name == MIXED:
                for fault in passing_faults()[:batches]:
                    platform.set([f"{fault}:count=1"])
                    gateway.offer_reports(1, profile)
                    gateway.run_out()
            while name != MIXED and gateway.offered < batches:
                gateway.offer_reports(min(2 if is_login else GROUP, batches - gateway.offered), profile)
                gateway.run_out()
                gateway.run_for(PERIOD_S)
            seconds = clock.monotonic_s() - began_s
            requests = platform.requests()
            platform.close()
            return _judge(name, gateway, requests, platform.reports(), seconds)
        finally:
            gateway.close()
    finally:
        platform.close()


def passing_faults() -> list[str]:
    """What is over after one try. What needs a person (401, 403, 404, a redirect) rests an hour, an absurd wish a day:
    not in real time."""
    resting = ("401", "403", "404", "redirect", "429-absurd", "token-refused")
    cases = _PLAIN | _RETRY | _ANSWERS
    return [fault.format(300) for name, fault in cases.items() if name not in DIVIDING and name not in resting]


def _judge(
    name: str, gateway: Gateway, requests: list[dict[str, Any]], reports: list[dict[str, Any]], seconds: float
) -> PlatformOutcome:
    batches = gateway.offered
    effects = Counter(one["id"] for report in reports for one in report["averages"])
    aside = Counter(one["id"] for _, body in gateway.bodies("quarantined") for one in json.loads(body)["averages"])
    offered = range(1, batches * AVERAGES + 1)
    lost = sum(1 for one in offered if one not in effects and one not in aside)
    doubled = sum(count - 1 for count in (effects + aside).values() if count > 1)
    posts = [one for one in requests if one["target"] == "report"]
    most = most_per_s(requests, gateway.clock)
    disordered = sum(map(count_breaks, ids_by_module(reports).values()))
    proofs = sorted(json.loads(proof)["receiptId"] for proof in gateway.proofs())
    faults = sum(one["fault"] is not None for one in requests)
    wrong = []
    if lost or doubled:
        wrong.append(f"{lost} averages lost, {doubled} doubled")
    if set(effects) - set(offered):
        wrong.append("the platform has averages that nobody offered")
    if disordered:
        wrong.append(f"{disordered} reports before one that was offered earlier")
    if most > (2 if name in SECOND_TRY else 1):
        wrong.append(f"{most} requests to one endpoint in a second while it failed")
    if proofs != sorted(report["receipt"] for report in reports):
        wrong.append("receipts in the outbox and reports at the platform differ")
    if aside and name not in DIVIDING:
        wrong.append(f"{len(aside)} averages set aside")
    if not {key for key, _ in gateway.bodies("closed")} <= {one["idempotencyKey"] for one in posts}:
        wrong.append("a batch is closed that the platform never received")
    if not faults:
        wrong.append("the fault has hit nothing")
    return PlatformOutcome(
        batches=batches,
        requests=len(posts),
        repeats=len(posts) - len({one["idempotencyKey"] for one in posts}),
        faults=faults,
        set_aside=len(aside),
        effects=len(reports),
        most_per_s=most,
        lost=lost,
        doubled=doubled,
        disordered=disordered,
        cuts=sum(one["fault"] is not None and one["fault"].startswith("reset-at") for one in requests),
        clock_s=seconds,
        peak_kib=max(gateway.peak_kib, anonymous_kib()),
        wrong=tuple(wrong),
    )


def most_per_s(requests: list[dict[str, Any]], clock: CampaignClock) -> int:
    """Requests to one endpoint in any second of the clock that begins with one that failed, up to the first that is
    served; 0 without a failure."""
    times: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for one in requests:
        has_failed = one["fault"] is not None or one["status"] is None or one["status"] >= 300
        times[one["target"]].append((clock.said(one["atUtcNs"]), has_failed))
    most = 0
    for told in times.values():
        for place, (at_s, has_failed) in enumerate(told):
            if not has_failed:
                continue
            count = 0
            for other_s, other_failed in told[place:]:
                if other_s >= at_s + 1.0:
                    break
                count += 1
                if not other_failed:
                    break
            most = max(most, count)
    return most


def ids_by_module(reports: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Ids of averages by module, in the order in which they had an effect."""
    found: dict[str, list[int]] = defaultdict(list)
    for report in reports:
        found[report["module"]] += [one["id"] for one in report["averages"]]
    return found


def count_breaks(numbers: list[int]) -> int:
    """How many stand behind a larger one."""
    breaks, largest = 0, 0
    for number in numbers:
        breaks += number < largest
        largest = max(largest, number)
    return breaks
