"""Anchors through the running bridge: mosquitto, the platform over TLS, a folder and `openssl ts`, all of them real."""

from __future__ import annotations

import base64
import json
import queue
import signal
import ssl
import sys
from pathlib import Path

import apsw
import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from plumeproof.cli import main
from plumeproof.delivery.tls import trusting
from tests.bridge.test_service import Command, Site, wait_for
from tests.doubles.openssl_tsa import OpensslTsa
from tools import test_ca
from tools.broker import Broker
from tools.demo.part import Part
from tools.eu_platform.receipts import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-of-the-test-only-0123456789"  # noqa: S105 - of the test


class Keepers:
    """Broker, platform, folder and time-stamp authority, and the configuration that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.share = folder, folder / "share"
        self.authority = folder / "ca"
        test_ca.make(self.authority)
        self.broker = Broker(folder / "broker", self.authority, choice="mosquitto")
        self.broker.start()
        write_private(folder / "secret", SECRET.encode())
        command = [
            *(sys.executable, "-m", "tools.eu_platform", "--dir", str(folder / "platform")),
            *("--authority", str(self.authority), "--client", "gw-1", "--secret-file", str(folder / "secret")),
        ]
        self.platform = Part("platform", command, folder / "platform.log", CHECKOUT)
        self.platform.start()
        self.base_url = self.platform.wait_for("ready", 30.0).split()[1]
        self.tsa = OpensslTsa(folder / "tsa")
        self.tables = (
            '[anchors]\nkey_file = "gateway.key"\nevery_records = 0\nfolders = ["share"]\n'
            f'tsa_url = "{self.tsa.url}"\ntsa_certificate_file = "{self.tsa.root}"\n'
            f'[[sink.mqtt]]\nname = "broker"\nhost = "{self.broker.host}"\nport = {self.broker.port}\n'
            'ca_file = "ca/ca.pem"\ncert_file = "ca/client.pem"\nkey_file = "ca/client.key"\ncontent = ["anchor"]\n'
            f'[[sink.https]]\nname = "eu"\nprofile = "eu-carbon-cloud"\nbase_url = "{self.base_url}"\n'
            'client_id = "gw-1"\nsecret_file = "secret"\nreport_interval_s = 10\nca_file = "ca/ca.pem"\n'
            "[dashboard]\nenabled = false\n"
        )

    def at_platform(self) -> list[bytes]:
        with httpx.Client(base_url=self.base_url, verify=trusting(self.authority / "ca.pem")) as client:
            answer = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("gw-1", SECRET))
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            return [base64.b64decode(one["statement"]) for one in client.get("/v1/anchors").json()["anchors"]]

    def in_folder(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.share.glob("gw-1-*.cose"))]

    def retained(self) -> bytes:
        """What a subscriber gets who comes now."""
        found: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="verifier", protocol=mqtt.MQTTv5)
        client.tls_set_context(ssl.create_default_context(cafile=str(self.authority / "ca.pem")))
        client._ssl_context.load_cert_chain(self.authority / "client.pem", self.authority / "client.key")
        client.on_connect = lambda *_: client.subscribe("plumeproof/gw-1/anchor", qos=1)
        client.on_message = lambda _client, _data, message: found.put(message)
        client.connect(self.broker.host, self.broker.port)
        client.loop_start()
        message = found.get(timeout=20)
        client.disconnect()
        client.loop_stop()
        assert message.retain
        return bytes(message.payload)

    def close(self) -> None:
        self.platform.stop()
        self.broker.stop()


@pytest.fixture
def keepers(tmp_path):
    found = Keepers(tmp_path)
    with found.tsa:
        yield found
    found.close()


def ask(site: Site, question: str) -> list:
    connection = apsw.Connection(str(site.ledger), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def signed(site: Site) -> list[bytes]:
    return [row[0] for row in ask(site, "SELECT statement FROM anchor ORDER BY number")]


def verify(site: Site, capsys, *more: object) -> tuple[int, dict]:
    capsys.readouterr()
    options = [str(site.ledger), "--keys", str(site.folder / "keys.json"), *map(str, more), "--json"]
    status = main(["verify", *options])
    return status, json.loads(capsys.readouterr().out)


def test_anchors_reach_every_keeper_and_show_what_was_cut(tmp_path, keepers, capsys):
    site = Site(tmp_path, "plume-01", "plume-02", more=keepers.tables)
    made = ["--key-file", str(tmp_path / "gateway.key"), "--gateway", "gw-1", "--keys", str(tmp_path / "keys.json")]
    assert main(["keys", "create-gateway", *made]) == 0
    for module in site.modules:
        module.start_up()
        module.measure(2)
    command = Command(site, "--log-level", "error")
    for module in site.modules:
        module.serve()
    wait_for(lambda: site.ledger.exists() and signed(site))
    first = signed(site)[0]
    wait_for(lambda: keepers.at_platform() == [first])
    assert keepers.retained() == first and keepers.in_folder() == []
    keepers.share.mkdir()  # the share was not mounted: nothing is lost meanwhile
    for module in site.modules:
        for _ in range(4):
            module.measure(2)
    wait_for(lambda: all(not module.journal for module in site.modules))
    status, errors = command.end(signal.SIGTERM)
    assert status == 0, errors
    everything = signed(site)
    assert len(everything) == 2, "one when the first records came, one at the stop"
    assert keepers.at_platform() == everything and keepers.retained() == everything[-1]

    command = Command(site, "--log-level", "error")  # the folder was given up for minutes; a new start asks it again
    wait_for(lambda: len(keepers.in_folder()) == len(everything))
    wait_for(lambda: len(ask(site, "SELECT 1 FROM anchor_stamp")) == len(everything))
    assert command.end(signal.SIGTERM)[0] == 0
    assert signed(site) == keepers.in_folder() == everything, "nothing new, nothing signed"
    assert not ask(site, "SELECT 1 FROM outbox WHERE kind = 'anchor' AND state <> 'closed'")
    assert len(ask(site, "SELECT 1 FROM receipt r JOIN outbox o ON o.id = r.outbox_id WHERE o.kind = 'anchor'")) == 6
    for statement, response in ask(site, "SELECT statement, response FROM anchor JOIN anchor_stamp USING (number)"):
        assert keepers.tsa.check(statement, response)

    exported = ["anchors", "export", "-c", str(site.file), "-o", str(tmp_path / "anchors.jsonl")]
    assert main(exported) == 0
    options = ["--anchor", tmp_path / "anchors.jsonl", "--tsa-certificate", keepers.tsa.root]
    status, told = verify(site, capsys, *options)
    assert (status, len(told["time_stamps"]), told["without_anchor"]) == (0, 2, [])

    # Somebody with all rights on this PC takes the newest record of each module away, and all that would tell.
    (tmp_path / "retained.cose").write_bytes(keepers.retained())
    (tmp_path / "platform.cose").write_bytes(keepers.at_platform()[-1])
    connection = apsw.Connection(str(site.ledger))
    for device in ("plume-01", "plume-02"):
        connection.execute(
            "DELETE FROM record WHERE device = ?1 AND seq = (SELECT max(seq) FROM record WHERE device = ?1)", (device,)
        )
        connection.execute(
            "UPDATE head SET (seq, content_hash) = (SELECT seq, content_hash FROM record WHERE device = ?1"
            " ORDER BY seq DESC LIMIT 1) WHERE device = ?1",
            (device,),
        )
    connection.execute("DELETE FROM anchor_stamp")
    connection.execute("DELETE FROM anchor")
    connection.close()
    (tmp_path / "gateway.key.newest").unlink()
    assert verify(site, capsys)[0] == 0, "all local files fit"
    for kept in (tmp_path / "retained.cose", tmp_path / "platform.cose", keepers.share, tmp_path / "anchors.jsonl"):
        status, told = verify(site, capsys, "--anchor", kept)
        assert status == 1, kept
        assert [(one["code"], one["device"]) for one in told["findings"]] == [
            ("tail_cut", "plume-01"),
            ("tail_cut", "plume-02"),
        ]
