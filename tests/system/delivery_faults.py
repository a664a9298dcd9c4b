"""Reports to the reference platform while it misbehaves: every fault that it knows, as many batches as are asked for.

Requests, TLS and the platform's store are real; waits are of a clock that moves when it is told, so a campaign of
hours of back-off takes minutes. A fault hits half of the requests. What is asked afterwards, of the platform's own
listing and of the outbox: every average accepted once or set aside once, nothing else; a receipt for each row that is
closed; after a fault at least a second until the next request.

Faults mixed with each other, for the suite. One by one, with more counted, and those of brokers: `make deliveries`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from plumeproof.delivery.exchange import Endpoint
from plumeproof.delivery.https_sink import HttpsSink
from plumeproof.delivery.profile import load_profile
from plumeproof.delivery.tls import trusting
from tests.bridge.delivery_bench import Bench
from tools import test_ca
from tools.demo.part import Part
from tools.eu_platform.faults import AFTER, BEFORE, STATUSES
from tools.eu_platform.receipts import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
CLIENT = "gw-1"
SECRET = "a-secret-of-the-test-only-0123456789"  # noqa: S105 - of the test
TIMEOUT_S = 0.4  # of one read; the whole exchange has twice as long
AVERAGES = 4  # of one report
SHORT = {"hold": "ms=100", "slow": "ms=20", "429": "retry=absurd", "503": "retry=date", "425": "retry=negative"}
ALL = [f"{kind}:{SHORT[kind]}" if kind in SHORT else kind
       for kind in (*map(str, STATUSES), *sorted(BEFORE | AFTER), "hold", "token-refused")]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen; `wrong`: sentences, none when all is well. `clock_s`: that passed on the sink's clock."""

    averages: int
    accepted: int
    set_aside: int
    requests: int
    faults: int
    clock_s: float
    wrong: tuple[str, ...]


class PlatformProcess:
    """The reference platform with some faults, and what it lists."""

    def __init__(self, folder: Path, faults: Sequence[str]) -> None:
        self.authority = folder / "ca"
        test_ca.make(self.authority)
        self.secret_file = folder / "secret"
        write_private(self.secret_file, SECRET.encode())
        command = [
            *(sys.executable, "-m", "tools.eu_platform", "--dir", str(folder / "platform")),
            *("--authority", str(self.authority), "--client", CLIENT, "--secret-file", str(self.secret_file)),
            *(word for fault in faults for word in ("--fault", fault)),
        ]
        self._part = Part("platform", command, folder / "platform.log", CHECKOUT)
        self._part.start()
        self.base_url = self._part.wait_for("ready", 30.0).split()[1]

    def reports(self) -> list[dict]:
        """Everything that it says it has, with the averages."""
        found, cursor = [], ""
        with httpx.Client(base_url=self.base_url, verify=trusting(self.authority / "ca.pem"), timeout=30.0) as client:
            answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(CLIENT, SECRET))
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            while cursor is not None:
                page = client.get("/v1/reports", params={"cursor": cursor} if cursor else {}).json()
                found += [client.get(f"/v1/reports/{one['receiptId']}").json() for one in page["reports"]]
                cursor = page["next"]
        return found

    def close(self) -> None:
        self._part.stop()


def deliver_under(folder: Path, faults: Sequence[str], batches: int) -> Outcome:
    """Deliver `batches` reports while the platform has `faults`."""
    platform = PlatformProcess(folder, faults)

    def make(clock):
        endpoint = Endpoint(platform.base_url, platform.authority / "ca.pem", TIMEOUT_S)
        return HttpsSink("eu", load_profile("eu-carbon-cloud"), endpoint, CLIENT, platform.secret_file, clock)

    bench = Bench(folder / "ledger.sqlite", make)
    started_s = bench.clock.monotonic_s()
    try:
        bench.add_reports(batches, of=AVERAGES)
        bench.run(steps=1000 * batches)
        return _judge(bench, platform, batches, bench.clock.monotonic_s() - started_s)
    finally:
        bench.close()
        platform.close()


def _judge(bench: Bench, platform: PlatformProcess, batches: int, clock_s: float) -> Outcome:
    reports = platform.reports()
    accepted = [one["id"] for report in reports for one in report["report"]["averages"]]
    with bench.writer.reading() as connection:
        aside = connection.execute("SELECT body FROM outbox WHERE state = 'quarantined'").fetchall()
    set_aside = [one["id"] for (body,) in aside for one in json.loads(body)["averages"]]
    closed, proofs = [key for key, _ in bench.rows("closed")], [json.loads(proof) for proof in bench.proofs()]
    wrong = []
    if sorted(accepted + set_aside) != list(range(1, 1 + batches * AVERAGES)):
        wrong.append("an average is neither accepted nor set aside, or is there twice")
    if sorted(closed) != sorted(report["idempotencyKey"] for report in reports):
        wrong.append("closed rows and accepted reports differ")
    if sorted(proof["receiptId"] for proof in proofs) != sorted(report["receiptId"] for report in reports):
        wrong.append("receipts and accepted reports differ")
    if any(pause_s < 1.0 for pause_s in bench.pauses_s):
        wrong.append("less than a second after a fault")
    requests = bench.stage.counters()["requests_total"]
    return Outcome(
        batches * AVERAGES, len(accepted), len(set_aside), requests, len(bench.errors), clock_s, tuple(wrong)
    )
