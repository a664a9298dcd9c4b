"""kill -9 of the whole bridge in the middle of deliveries, to a real broker and to the reference platform.

Afterwards three parties that know nothing of each other are asked: the platform's listing, a listener at the broker,
and the ledger. Nothing may be lost; at the platform nothing may be there twice.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path

import apsw
import httpx
import pytest

from plumeproof.delivery import profile
from plumeproof.delivery.tls import trusting
from tests.bridge.test_delivery_mqtt import Listener
from tests.bridge.test_service import Command, Site, wait_for
from tools import test_ca
from tools.broker import Broker
from tools.demo.part import Part
from tools.eu_platform.receipts import write_private

ROUNDS = 6
RECORDS = 120  # of each module: 2 s each
CHANNELS = 10  # of tests.doubles.plant_module
CHECKOUT = Path(__file__).resolve().parents[2]


class Places:
    """Broker, platform and a configuration that names both, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca"
        test_ca.make(self.authority)
        self.broker = Broker(folder / "broker", self.authority, choice="mosquitto")
        self.broker.start()
        self.listener = Listener(self.broker, self.authority, "plumeproof")
        write_private(folder / "secret", b"a-secret-of-the-test-only-0123456789")
        self.platform = Part("platform", self._command(folder), folder / "platform.log", CHECKOUT)
        self.platform.start()
        self.base_url = self.platform.wait_for("ready", 30.0).split()[1]
        shipped = Path(profile.__file__).parent / "profiles" / "eu-carbon-cloud.json"
        own = json.loads(shipped.read_text())
        own["report"] |= {"averages_max": CHANNELS, "close_after_s": 0}  # many deliveries, so that kills hit some
        (folder / "own.json").write_text(json.dumps(own))
        self.tables = (
            f'[[sink.mqtt]]\nname = "broker"\nhost = "{self.broker.host}"\nport = {self.broker.port}\n'
            'ca_file = "ca/ca.pem"\ncert_file = "ca/client.pem"\nkey_file = "ca/client.key"\n'
            f'[[sink.https]]\nname = "eu"\nprofile = "./own.json"\nbase_url = "{self.base_url}"\nclient_id = "gw-1"\n'
            'secret_file = "secret"\nreport_interval_s = 10\nca_file = "ca/ca.pem"\n[dashboard]\nenabled = false\n'
        )

    def _command(self, folder: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "tools.eu_platform", "--dir", str(folder / "platform")),
            *("--authority", str(self.authority), "--client", "gw-1", "--secret-file", str(folder / "secret")),
        ]

    def reports(self) -> list[dict]:
        """Everything that the platform says it has, with the averages."""
        found, after = [], ""
        with httpx.Client(base_url=self.base_url, verify=trusting(self.authority / "ca.pem")) as client:
            secret = "a-secret-of-the-test-only-0123456789"  # noqa: S105 - of the test
            answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("gw-1", secret))
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            while after is not None:
                page = client.get("/v1/reports", params={"cursor": after} if after else {}).json()
                found += [client.get(f"/v1/reports/{one['receiptId']}").json() for one in page["reports"]]
                after = page["next"]
        return found

    def close(self) -> None:
        self.listener.close()
        self.platform.stop()
        self.broker.stop()


@pytest.fixture
def places(tmp_path):
    found = Places(tmp_path)
    yield found
    found.close()


def ask(site: Site, question: str) -> list:
    connection = apsw.Connection(str(site.ledger), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def test_kill_9_in_the_middle_of_deliveries(tmp_path, places):
    dice = random.Random(7)
    site = Site(tmp_path, "plume-01", "plume-02", more=places.tables)
    start_utc_ms = time.time_ns() // 1_000_000 // 10_000 * 10_000
    for module in site.modules:
        module.start_up()
    measured = 0
    for round_number in range(ROUNDS + 1):
        for _ in range(RECORDS // (ROUNDS + 1) if round_number < ROUNDS else RECORDS - measured):
            measured += 1
            for module in site.modules:
                module.measure(2, end_utc_ms=start_utc_ms + 2000 * measured)
        command = Command(site, "--log-level", "error")
        if round_number == 0:
            for module in site.modules:
                module.serve()
        if round_number == ROUNDS:
            break
        closed = len(ask(site, "SELECT 1 FROM receipt"))
        wait_for(lambda already=closed: len(ask(site, "SELECT 1 FROM receipt")) > already)
        time.sleep(dice.uniform(0.0, 0.3))  # another instant each time; none of them may matter
        assert command.end(signal.SIGKILL)[0] == -signal.SIGKILL
    wait_for(lambda: all(not module.journal for module in site.modules))
    wait_for(lambda: not ask(site, "SELECT 1 FROM outbox WHERE state <> 'closed' LIMIT 1") and caught_up(site))
    assert command.end(signal.SIGTERM)[0] == 0

    ledger = ask(site, "SELECT id, device, channel, start_utc_ms, mean FROM average ORDER BY id")
    assert len(ledger) >= 2 * CHANNELS * (RECORDS * 2 // 10 - 2)
    reports = places.reports()
    at_platform = sorted((one["id"], one["mean"]) for report in reports for one in report["report"]["averages"])
    assert at_platform == [(row[0], row[4]) for row in ledger], "an average is lost, doubled or another"
    assert len({report["idempotencyKey"] for report in reports}) == len(reports)
    keys = {row[0] for row in ask(site, "SELECT key FROM outbox WHERE sink = 'eu'")}
    assert keys == {report["idempotencyKey"] for report in reports}
    for module in ("plume-01", "plume-02"):
        firsts = [
            one["firstAverageId"]
            for one in sorted(reports, key=lambda one: one["receivedAt"])
            if one["module"] == module
        ]
        assert firsts == sorted(firsts), "reports of a module overtook each other"
    proofs = ask(site, "SELECT proof FROM receipt WHERE sink = 'eu'")
    assert sorted(json.loads(proof)["receiptId"] for (proof,) in proofs) == sorted(one["receiptId"] for one in reports)

    for module in site.modules:
        envelopes = [raw for _, raw in site.rows(module.device)]
        heard = [payload for topic, payload, _ in places.listener.heard if f"/{module.device}/envelope" in topic]
        assert list(dict.fromkeys(heard)) == envelopes, "an envelope is missing at the broker, or out of order"
    averages = {payload for topic, payload, _ in places.listener.heard if "/average/" in topic}
    assert {json.loads(payload)["id"] for payload in averages} == {row[0] for row in ledger}
    site.close()


def caught_up(site: Site) -> bool:
    """Every stage has seen everything."""
    (records, averages), cursors = (
        ask(site, "SELECT (SELECT max(position) FROM record), (SELECT max(id) FROM average)")[0],
        dict(ask(site, "SELECT stage, position FROM cursor")),
    )
    cursors.pop("agreement", None)  # of receipts
    return cursors == {
        "averaging": records, "relay": records, "relay_averages": averages, "relay_reports": averages,
    }  # fmt: skip
