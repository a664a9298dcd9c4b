"""Each way of saying who we are, over real TLS to the reference platform that demands and checks it.

Every test ends as deliveries must: each average is at the platform once, and the outbox has a receipt for each row.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import shutil
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from plumeproof.delivery.exchange import Endpoint
from plumeproof.delivery.https_sink import HttpsSink, SigningKeys
from plumeproof.delivery.private_file import FileWatch
from plumeproof.delivery.profile import Profile, parse_profile, read_profile
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.delivery.tls import ClientCertificate
from plumeproof.errors import BlockedDelivery
from tests.bridge.delivery_bench import Bench
from tests.tools.platform_process import Platform, platform
from tools import test_ca

TIMEOUT_S = 10.0
CLIENT = "gateway"


class Rig:
    """A running platform, whose demands are set as a test wants, and the files of its one client."""

    def __init__(self, running: Platform) -> None:
        self.running, self.folder, self.ca = running, running.folder, running.authority
        self._pool = urllib3.PoolManager(
            ca_certs=str(self.ca / "ca.pem"),
            cert_file=str(self.ca / "client.pem"),
            key_file=str(self.ca / "client.key"),
            retries=False,
        )

    def demand(self, *names: str, faults: tuple[str, ...] = ()) -> None:
        token = (self.folder / "control.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps({"demands": names, "faults": faults}).encode()
        answer = self._pool.request("POST", f"{self.running.url}/control", body=body, headers=headers)
        assert (answer.status, set(answer.json()["demands"])) == (200, set(names))

    def stored(self, module: str) -> list[int]:
        """Ids of the averages of a module, as often as the platform has them."""
        self.demand()
        client = self.running.client()
        entries = [one for one in client.listed() if one["module"] == module]
        bodies = [client.read(f"/v1/reports/{one['receiptId']}").json()["report"] for one in entries]
        return [average["id"] for body in bodies for average in body["averages"]]


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with platform(tmp_path_factory.mktemp("platform"), "--control") as running:
        yield Rig(running)
        assert "Traceback" not in running.said()


def profile_with(changes: dict[str, Any], name: str = "eu-carbon-cloud") -> Profile:
    """A shipped profile with other values, by pointer: what an engineer does in an editor."""
    tree = json.loads(read_profile(name)[0])
    for pointer, value in changes.items():
        *way, last = pointer.split("/")[1:]
        inner = tree
        for step in way:
            inner = inner[step]
        inner[last] = value
    return parse_profile(json.dumps(tree).encode(), "test profile")


class Line:
    """One gateway's way to the platform: a bench whose stage watches the files, as the service builds it."""

    def __init__(self, rig: Rig, folder: Path, changes: dict[str, Any], has_certificate: bool = False) -> None:
        self.module = f"m-{uuid.uuid4().hex[:12]}"
        self.files = {}
        for name in ("client.secret", "client-assertion.key", "client-signature.key"):
            self.files[name] = Path(shutil.copy2(rig.folder / name, folder / name))
        for name in ("client.pem", "client.key"):
            self.files[name] = Path(shutil.copy2(rig.ca / name, folder / name))
        self._rig, self._profile, self._has_certificate = rig, profile_with(changes), has_certificate
        self.bench = Bench(folder / "ledger.sqlite", self._make)
        watch = FileWatch(list(self.files.values()))
        bench = self.bench
        bench.stage = DeliveryStage(bench.sink, bench.outbox, bench.clock, is_mended=watch.has_changed)
        self.count = 0

    def _make(self, clock) -> HttpsSink:
        files = self.files
        identity = ClientCertificate(files["client.pem"], files["client.key"]) if self._has_certificate else None
        endpoint = Endpoint(self._rig.running.url, self._rig.ca / "ca.pem", TIMEOUT_S, identity)
        keys = SigningKeys(files["client-assertion.key"], "assertion-1", files["client-signature.key"], "signature-1")
        return HttpsSink("eu", self._profile, endpoint, CLIENT, files["client.secret"], clock, keys)

    def add(self, reports: int = 1) -> None:
        self.bench.add_reports(reports, module=self.module, first_id=self.count + 1)
        self.count += 3 * reports

    def deliver(self) -> None:
        """All that waits, without a fault."""
        known = len(self.bench.errors)
        self.bench.run(self.count + 1)
        assert self.bench.errors[known:] == []

    def is_blocked(self, *words: str) -> None:
        """A person is needed; the rows wait."""
        with pytest.raises(BlockedDelivery) as caught:
            self.bench.stage.step()
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert self.bench.stage.recover(caught.value) == 5.0  # it looks whether a file was mended; it sends nothing
        assert set(self.bench.states()) <= {"waiting", "closed"}

    def check_whole(self) -> None:
        assert self._rig.stored(self.module) == list(range(1, self.count + 1))
        assert set(self.bench.states()) == {"closed"}
        self.bench.close()


FORMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "secret in the header": ({}, ("secret",)),
    "secret in the form": ({"/auth/kind": "client_credentials_body"}, ("secret",)),
    "assertion": ({"/auth/kind": "private_key_jwt"}, ("assertion",)),
    "certificate": ({"/auth/kind": "tls_client_auth"}, ("certificate",)),
    "secret and certificate": ({}, ("secret", "certificate")),
    "signature": ({"/signature/is_on": True}, ("signature",)),
    "signature of a bare algorithm": (
        {"/signature/is_on": True, "/signature/is_algorithm_named": False, "/signature/label": "plume"},
        ("signature",),
    ),
    "all of it": (
        {"/auth/kind": "private_key_jwt", "/auth/scope": "reports:write", "/signature/is_on": True},
        ("assertion", "certificate", "signature"),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_delivers(rig, tmp_path, form):
    changes, demands = FORMS[form]
    line = Line(rig, tmp_path, changes, "certificate" in demands)
    rig.demand(*demands)
    line.add(2)
    line.deliver()
    assert line.bench.sink.counters()["tokens_total"] == 1
    assert "a token was given; profile" in line.bench.sink.check()
    line.check_whole()


@pytest.mark.parametrize(
    ("changes", "demands", "words"),
    [
        ({}, ("assertion",), ("/oauth/token: status 401 (invalid_client)", "secret_file")),
        ({"/auth/kind": "private_key_jwt"}, ("secret",), ("invalid_client", "assertion_key_file")),
        ({}, ("secret", "certificate"), ("certificate required", "name cert_file and key_file")),
        ({}, ("signature",), ("status 403: The report is not signed",)),
    ],
)
def test_another_form_than_the_demanded_one_needs_a_person_and_loses_nothing(rig, tmp_path, changes, demands, words):
    line = Line(rig, tmp_path, changes)
    line.add(2)
    rig.demand(*demands)
    line.is_blocked(*words)
    rig.demand()
    line.bench.open()  # a restart, as after another profile was named
    line.deliver()
    line.check_whole()


@pytest.mark.parametrize("form", ["secret in the header", "assertion", "all of it"])
def test_a_token_that_is_withdrawn_in_the_middle_is_renewed_once(rig, tmp_path, form):
    changes, demands = FORMS[form]
    line = Line(rig, tmp_path, changes, "certificate" in demands)
    rig.demand(*demands)
    line.add()
    line.deliver()
    rig.demand(*demands, faults=("token-refused:count=1",))
    line.add(2)
    line.deliver()
    assert line.bench.sink.counters()["tokens_total"] == 2
    line.check_whole()


def test_a_token_that_lives_a_second_is_asked_for_each_time(tmp_path):
    with platform(tmp_path, "--control", "--token-s", "1", "--demand", "assertion") as running:
        short = Rig(running)
        (tmp_path / "line").mkdir()
        line = Line(short, tmp_path / "line", {"/auth/kind": "private_key_jwt"})
        line.add(3)
        line.deliver()
        assert line.bench.sink.counters()["tokens_total"] == 3
        line.check_whole()


def write_key(path: Path, key: Any, mode: int = 0o600) -> None:
    """As an engineer replaces a key: the new file takes the old one's place."""
    beside = path.with_name("new")
    beside.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    beside.chmod(mode)
    beside.replace(path)


P256, ED25519 = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
BAD_KEYS = {
    "another key": (P256, ED25519, 0o600, ("invalid_client",), ("status 403", "does not hold")),
    "others may read it": (P256, ED25519, 0o640, ("mode 0640", "chmod 600"), ("mode 0640", "chmod 600")),
    "another kind": (ED25519, P256, 0o600, ("is not a P-256 key", "ES256"), ("is not an Ed25519 key",)),
}


@pytest.mark.parametrize("name", BAD_KEYS)
@pytest.mark.parametrize("file", ["client-assertion.key", "client-signature.key"])
def test_a_wrong_key_needs_a_person_and_the_right_one_is_taken_without_a_restart(rig, tmp_path, file, name):
    for_assertion, for_signature, mode, said, said_of_signature = BAD_KEYS[name]
    is_assertion = file == "client-assertion.key"
    line = Line(rig, tmp_path, {"/auth/kind": "private_key_jwt"} if is_assertion else {"/signature/is_on": True})
    rig.demand("assertion" if is_assertion else "signature")
    write_key(line.files[file], for_assertion if is_assertion else for_signature, mode)
    line.add(2)
    line.is_blocked(*(said if is_assertion else said_of_signature))
    line.is_blocked()  # the first look: the file was changed before, one more try
    asked = line.bench.sink.counters()["requests_total"]
    line.is_blocked()
    line.bench.clock.advance(5.0)
    line.is_blocked()
    assert line.bench.sink.counters()["requests_total"] == asked, "nothing is sent while nothing has changed"
    shutil.copy2(rig.folder / file, tmp_path / "right")
    (tmp_path / "right").replace(line.files[file])
    line.deliver()
    line.check_whole()


def test_a_clock_that_is_wrong_blocks_assertion_and_signature(rig, tmp_path):
    line = Line(rig, tmp_path, {"/signature/is_on": True})
    rig.demand("signature")
    line.add()
    line.bench.clock.step(-900)
    line.is_blocked("status 403", "created is not within 300 s; set the clock")
    line.bench.clock.step(900)
    line.bench.clock.advance(3600)  # an hour without a file that changes: tried again
    line.bench.clock.step(-3600)
    line.deliver()
    line.check_whole()
    (tmp_path / "later").mkdir()
    late = Line(rig, tmp_path / "later", {"/auth/kind": "private_key_jwt"})
    rig.demand("assertion")
    late.add()
    late.bench.clock.step(-900)
    late.is_blocked("invalid_client", "this PC's clock")
    late.bench.clock.step(900)
    late.bench.open()
    late.deliver()
    late.check_whole()


def replace_pair(line: Line, pair: test_ca.Pair) -> None:
    for name, source in (("client.pem", pair.certificate), ("client.key", pair.key)):
        shutil.copy2(source, line.files[name].with_name("new"))
        line.files[name].with_name("new").replace(line.files[name])


def test_a_renewed_certificate_is_taken_without_a_restart(rig, tmp_path):
    """The token of before is bound to the old certificate (RFC 8705 section 3): refused once, then it is a new one."""
    line = Line(rig, tmp_path, {"/auth/kind": "tls_client_auth"}, has_certificate=True)
    rig.demand("certificate")
    line.add()
    line.deliver()
    shutil.copytree(rig.ca, tmp_path / "ca")
    replace_pair(line, test_ca.issue(tmp_path / "ca", "client", "client", ()))
    line.add(2)
    line.deliver()
    assert line.bench.sink.counters()["tokens_total"] == 2
    line.check_whole()


def bad_pairs(folder: Path, ca: Path) -> dict[str, tuple[test_ca.Pair, tuple[str, ...]]]:
    now = dt.datetime.now(dt.UTC)
    mine = Path(shutil.copytree(ca, folder / "mine"))
    test_ca.make(folder / "other")
    ended = now - dt.timedelta(days=2)
    good = test_ca.Pair(ca / "client.pem", ca / "client.key")
    return {
        "of another authority": (
            test_ca.issue(folder / "other", "client", "client", ()),
            ("our client certificate is not taken (unknown ca)", "check cert_file"),
        ),
        "for servers": (
            test_ca.issue(mine, "server-of-ours", "server"),
            ("our client certificate is not taken (unsupported certificate)",),
        ),
        "ended": (
            test_ca.issue(mine, "ended", "client", (), starts=now - dt.timedelta(days=9), ends=ended),
            (f"client.pem: has ended on {ended:%Y-%m-%d}",),
        ),
        "of another client": (
            test_ca.issue(mine, "somebody", "client", ()),
            ("/oauth/token: status 401 (invalid_client)", "cert_file"),
        ),
        "with another key": (
            test_ca.Pair(good.certificate, test_ca.issue(mine, "pair", "client", ()).key),
            ("client.key: is no key in PEM, or another certificate's",),
        ),
        "no certificate": (test_ca.Pair(good.key, good.key), ("client.pem: holds no certificate in PEM",)),
    }


def test_a_certificate_that_is_not_taken_fails_closed_and_the_right_one_is_taken_at_once(rig, tmp_path):
    line = Line(rig, tmp_path, {"/auth/kind": "tls_client_auth"}, has_certificate=True)
    line.add(2)
    for pair, words in bad_pairs(tmp_path, rig.ca).values():
        rig.demand("certificate")
        replace_pair(line, pair)
        line.is_blocked(*words)
    line.files["client.key"].chmod(0o644)
    line.is_blocked("client.key: mode 0644")
    replace_pair(line, test_ca.Pair(rig.ca / "client.pem", rig.ca / "client.key"))
    line.deliver()
    line.check_whole()


def test_a_key_with_a_pass_phrase_is_refused_and_not_asked_for(rig, tmp_path):
    line = Line(rig, tmp_path, {"/auth/kind": "tls_client_auth"}, has_certificate=True)
    locked = serialization.BestAvailableEncryption(b"phrase")
    key = serialization.load_pem_private_key((rig.ca / "client.key").read_bytes(), None)
    line.files["client.key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    line.add()
    line.is_blocked("client.key: is locked with a pass phrase")
    line.bench.close()


def test_certificates_that_end_soon_are_told_once_a_day(rig, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    ca = Path(shutil.copytree(rig.ca, tmp_path / "ca"))
    line = Line(rig, tmp_path, {}, has_certificate=True)
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=29, hours=1)
    replace_pair(line, test_ca.issue(ca, "client", "client", (), ends=ends))
    rig.demand("certificate", "secret")
    for _ in range(2):
        line.add()
        line.deliver()
    assert [one.message for one in caplog.records if "certificate_ends" in one.message] == [
        "certificate_ends sink=eu which=client days=29"
    ]
    counters = line.bench.stage.counters()
    assert counters["client_certificate_left_days"] == 29
    assert counters["server_certificate_left_days"] == test_ca.DAYS - 1
    assert line.bench.sink.ending() == ["the client's certificate ends in 29 days"]
    line.bench.clock.advance(86_401)
    line.add()
    line.deliver()
    assert sum("certificate_ends" in one.message for one in caplog.records) == 2
    line.check_whole()


def test_no_key_token_or_assertion_in_logs_errors_or_ledger(rig, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    changes, demands = FORMS["all of it"]
    line = Line(rig, tmp_path, changes, has_certificate=True)
    seen: list[str] = []
    ask = line.bench.sink._endpoint.ask

    def listen(method, path, headers, body=None):
        seen.extend(value for name, value in headers.items() if name == "Authorization")
        seen.extend([body.decode().partition("client_assertion=")[2]] if path == "/oauth/token" else [])
        return ask(method, path, headers, body)

    line.bench.sink._endpoint.ask = listen
    rig.demand("secret")
    line.add()
    line.is_blocked("invalid_client")
    rig.demand(*demands)
    line.files["client-assertion.key"].touch()
    line.deliver()
    line.check_whole()
    secrets = [value.removeprefix("Bearer ") for value in seen]
    secrets += [
        text
        for name in ("client-assertion.key", "client-signature.key", "client.key")
        for text in line.files[name].read_text().splitlines()[1:-1]
    ]
    assert len(secrets) >= 5 and all(len(secret) > 20 for secret in secrets)
    ledger = b"".join(path.read_bytes() for path in tmp_path.glob("ledger*")).decode("latin-1")
    for place in (caplog.text, " ".join(map(str, line.bench.errors)), repr(line.bench.sink), ledger):
        assert not [secret for secret in secrets if secret in place]


def test_the_peer_and_our_address_are_known_as_the_platform_sees_them(rig):
    with closing(Endpoint(rig.running.url, rig.ca / "ca.pem", TIMEOUT_S)) as endpoint:
        assert endpoint.url("/v1/reports") == f"{rig.running.url}/v1/reports"
    assert Endpoint("https://host:443/api", None, 1).url("/x") == "https://host/api/x"
    assert Endpoint("https://[::1]:8443", None, 1).url("/x") == "https://[::1]:8443/x"
