"""What the host must do beyond the public cases: rights, times of tokens, limits, hostile bodies, outages, restarts."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
import uuid

import httpx
import pytest
from starlette.applications import Starlette

from plumeproof.cli import main
from plumeproof.config import load_config
from plumeproof.errors import BridgeError, ConfigError, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow
from plumeproof.pact import host
from plumeproof.pact.credentials import RateLimit
from plumeproof.pact.faults import Fault
from plumeproof.pact.partner_sink import MADE, Partner, PartnerSink
from plumeproof.pact.shelf import Shelf
from plumeproof.pact_service import PactService
from tests.doubles.footprint_works import OWN_SECRET, SECRET, revise_december, write_works
from tests.doubles.manual_clock import ManualClock
from tools import test_ca
from tools.eu_platform.receipts import write_private
from tools.pact_requester.cases import TYPE
from tools.pact_requester.session import next_link

LIST = "/3/footprints"
STEAM, POWER = "urn:pact:northport.example:product-id:steam-40bar", "urn:pact:northport.example:product-id:power"


def event(kind="RequestCreatedEvent", data=None, **changed):
    whole = {
        "type": TYPE.format(kind), "specversion": "1.0", "id": str(uuid.uuid4()), "source": "//customer/3/events",
        "time": "2027-01-01T00:00:00Z", "data": {} if data is None else data,
    }  # fmt: skip
    return {name: value for name, value in (whole | changed).items() if value is not None}


def code_of(answer):
    return answer.status_code, answer.json()["code"]


def test_a_client_sees_its_own_products_only(customer, other):
    everything, own = customer.read_pages(LIST), other.read_pages(LIST)
    assert {one["productIds"][0] for one in everything} == {STEAM, POWER}
    assert [one for one in everything if one["productIds"] == [POWER]] == own
    steam = next(one["id"] for one in everything if one["productIds"] == [STEAM])
    assert code_of(other.get(f"{LIST}/{steam}")) == (403, "AccessDenied")
    assert customer.get(f"{LIST}/{steam.upper()}").status_code == 200


def test_a_revision_replaces_a_footprint(customer):
    for urn in (STEAM, POWER):
        versions = [one for one in customer.read_pages(LIST) if one["productIds"] == [urn]]
        versions.sort(key=lambda one: one["created"])
        assert [one["status"] for one in versions] == ["Deprecated"] * (len(versions) - 1) + ["Active"]
        for number, one in enumerate(versions):
            assert one.get("precedingPfIds", []) == [older["id"] for older in versions[:number]]
            assert f"/eu_mrr/r{number} = " in one["comment"]
        assert len(versions) >= 2


def test_a_token_ends(works, customer):
    assert customer.get(LIST).status_code == 200
    works.clock.advance(3600)
    assert code_of(customer.get(LIST)) == (401, "TokenExpired")
    works.clock.advance(-3600)


@pytest.mark.parametrize(
    ("header", "status"), [({}, 400), ({"Authorization": "Basic eA=="}, 400), ({"Authorization": "Bearer a b"}, 400)]
)
def test_without_a_token_there_is_nothing(customer, header, status):
    answer = customer.http.get(customer.target.base_url + LIST, headers=header)
    assert code_of(answer) == (status, "BadRequest") and "www-authenticate" in answer.headers


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=-1", "limit is not a whole number"),
        ("limit=1&limit=2", "limit is not a whole number"),
        ("validOn=yesterday", "validOn is no date-time"),
        ("validOn=2027-01-01T00:00:00", "validOn is no date-time"),
        ("productID2=urn:x:y", "parameter 'productID2' is none of"),
        ("$filter=x", "parameter '$filter' is none of"),
        ("x-plumeproof-page=0123456789abcdef.1", "this page link has ended"),
        ("&".join(["productId=urn:a:b"] * 101), "more than 100 values"),
    ],
)
def test_a_query_that_cannot_be_followed(customer, query, told):
    answer = customer.get(f"{LIST}?{query}")
    assert code_of(answer) == (400, "BadRequest") and told in answer.json()["message"]
    customer.require_schema("Error", answer.json())


def test_filters_as_programs_write_them(customer):
    everything = customer.read_pages(LIST)
    wanted = [one["id"] for one in everything if one["productIds"] == [STEAM]]
    for query in (f"productid={STEAM.upper()}", f"$productId={STEAM}", f"productId={STEAM}&productId=urn:x:y"):
        assert [one["id"] for one in customer.read_pages(f"{LIST}?{query}")] == wanted
    for query in (
        f"productId={STEAM}&productid={POWER}",
        "geography=eastern%20asia&geography=cn",
        "limit=3",
        "validOn=2028-01-01T00:00+00:00",  # a plus sign that nobody escaped
    ):
        assert customer.read_pages(f"{LIST}?{query}") == everything
    assert customer.read_pages(f"{LIST}/?productId={STEAM}") == [one for one in everything if one["id"] in wanted]
    empty = customer.get(f"{LIST}?limit=0")
    assert empty.json() == {"data": []} and next_link(empty) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", None),
        (b"[]", None),
        (b"[" * 100, None),
        (b'{"type":"a","type":"b"}', None),
        (json.dumps(event(specversion="0.3")).encode(), None),
        (json.dumps(event(id="")).encode(), None),
        (json.dumps(event(id="\ud800")).encode(), None),
        (json.dumps(event(source=None)).encode(), None),
        (json.dumps(event(time="2027-01-01")).encode(), None),
        (json.dumps(event(data=[])).encode(), None),
        (json.dumps(event("UnheardEvent")).encode(), None),
        (json.dumps(event(data={"productId": "urn:x:y"})).encode(), None),
        (json.dumps(event(data={"status": ["Gone"]})).encode(), None),
        (json.dumps(event("RequestFulfilledEvent", {"requestEventId": "x", "pfs": []})).encode(), None),
        (json.dumps(event("RequestFulfilledEvent", {"requestEventId": "x", "pfs": [{"id": "y"}]})).encode(), None),
        (json.dumps(event("RequestRejectedEvent", {"requestEventId": "x"})).encode(), None),
        (json.dumps(event()).encode(), "application/json"),
    ],
)
def test_what_is_no_event(customer, body, kind):
    headers = {
        "Authorization": f"Bearer {customer.token}",
        "Content-Type": kind or "application/cloudevents+json; charset=UTF-8",
    }
    answer = customer.http.post(f"{customer.target.base_url}/3/events", content=body, headers=headers)
    assert code_of(answer) == (400, "BadRequest")
    customer.require_schema("Error", answer.json())


def test_an_event_is_answered_once_however_often_it_comes(works, customer, capsys):
    nothing, strange = event(data={"productId": ["urn:x:y"]}), event(data={"pf": {"productIds": [STEAM]}})
    both = event(data={"status": ["Active"], "comment": "please"})
    for one in (both, both, nothing, strange):
        answer = customer.post_event(one)
        assert (answer.status_code, answer.content) == (200, b"")
    found = works.listener.wait_for("RequestRejectedEvent", strange["id"], 10)  # the last in their order
    customer.require_schema("RequestRejectedEvent", found)
    assert found["data"]["error"]["code"] == "BadRequest"
    assert works.listener.wait_for("Rejected", nothing["id"], 0)["data"]["error"]["code"] == "NotFound"
    answers = [one for one in works.listener.events if one["data"].get("requestEventId") == both["id"]]
    assert len(answers) == 1 and {one["status"] for one in answers[0]["data"]["pfs"]} == {"Active"}
    capsys.readouterr()
    command = [
        "queue",
        "ls",
        "-c",
        str(works.config_file),
        "--pact",
        "--sink",
        "customer-a",
        "--state",
        "closed",
        "--json",
    ]
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len([row for row in rows if row["key"].startswith("answer/")]) >= 2


def test_who_has_no_host_cannot_be_answered_later(other):
    assert code_of(other.post_event(event())) == (400, "BadRequest")


def test_limits_on_what_comes_in(customer):
    base, bearer = customer.target.base_url, {"Authorization": f"Bearer {customer.token}"}
    headers = bearer | {"Content-Type": "application/cloudevents+json"}
    large = customer.http.post(f"{base}/3/events", content=b" " * (1024 * 1024 + 1), headers=headers)
    assert code_of(large) == (413, "BadRequest")
    assert code_of(customer.http.post(f"{base}{LIST}", headers=bearer)) == (405, "NotImplemented")
    assert code_of(customer.http.get(f"{base}/2/footprints", headers=bearer)) == (404, "NotFound")
    assert customer.http.get(base + LIST, headers=bearer | {"X-Long": "x" * 20_000}).status_code in (400, 431)


def test_plain_http_gets_nothing(works):
    address = ("127.0.0.1", int(works.service.url.rpartition(":")[2]))
    with socket.create_connection(address, 5) as stream:
        stream.sendall(b"GET /3/footprints HTTP/1.1\r\nHost: a\r\n\r\n")
        stream.settimeout(5)
        try:
            assert b"data" not in stream.recv(4096)
        except ConnectionResetError:
            pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(address, 5) as stream, pytest.raises(ssl.SSLError):
        context.wrap_socket(stream)


def test_a_page_link_survives_a_revision_and_news_are_told(works, customer):
    first = customer.get(f"{LIST}?limit=1")
    link = next_link(first)
    page = customer.get(link).json()
    revise_december(works.folder / "data" / "ledger.sqlite", 1.001, works.clock.utc_ms())
    works.listener._refuse = works.listener.refused + 2  # the customer is out of order for two tries
    works.service.refresh()
    assert customer.get(link).json() == page
    news = [one for one in customer.read_pages(f"{LIST}?status=Active") if "/r2 = " in one["comment"]]
    assert len(news) == 2
    deadline_s = time.monotonic() + 10
    told = set()
    while len(told) < 2 and time.monotonic() < deadline_s:
        works.clock.advance(5)  # the back-off is on the Clock port; tokens hold for an hour of it
        works.service.refresh()  # wakes it
        time.sleep(0.02)
        published = [one for one in works.listener.events if "PublishedEvent" in one["type"]]
        told = {one["data"]["pfIds"][0] for one in published} & {one["id"] for one in news}
    assert told == {one["id"] for one in news} and works.listener.refused == works.listener._refuse
    for one in published:
        customer.require_schema("PublishedEvent", one)
    assert len({one["id"] for one in published}) == len(published), "a footprint was told twice"


def test_behind_a_proxy_without_a_certificate(tmp_path, capsys):
    path = write_works(tmp_path)
    text = path.read_text().replace(
        'cert_file = "ca/server.pem"\nkey_file = "ca/server.key"\n', "connections_max = 4\n"
    )
    path.write_text(text.replace("tokens_per_minute = 1000", "tokens_per_minute = 2"))
    service = PactService(load_config(path), ManualClock())
    service.start()
    name = {"Host": "pact.works.example"}
    try:
        with httpx.Client(base_url=service.url, auth=("customer-a", SECRET), headers=name) as web:
            form = {"grant_type": "client_credentials"}
            assert code_of(web.post("/auth/token", data=form)) == (403, "AccessDenied")
            web.headers["X-Forwarded-Proto"] = "https"
            token = web.post("/auth/token", data=form).json()["access_token"]
            answer = web.get(f"{LIST}?limit=1", auth=None, headers={"Authorization": f"Bearer {token}"})
            assert next_link(answer).startswith("https://pact.works.example/3/footprints?limit=1&")
            web.post("/auth/token", data=form)
            slower = web.post("/auth/token", data=form)
            assert code_of(slower) == (429, "BadRequest") and slower.headers["retry-after"] == "31"
            full_house(service.url)
        with pytest.raises(ConfigError, match=r"another bridge .* stop it first"):
            PactService(load_config(path))
    finally:
        service.stop()
    path.write_text(text.replace("[pact]\n", '[pact]\nhost = "0.0.0.0"\n'))
    assert main(["pact", "serve", "-c", str(path)]) == 2
    err = capsys.readouterr().err
    assert "0.0.0.0 is no loopback address; that needs cert_file and key_file" in err and err.count("\n") == 1
    for old, new, told in (
        ('["power"]', '["powr"]', "pact.client customer-b: product powr is none of"),
        ('data_dir = "data"', 'data_dir = "other"', "ledger.sqlite"),
        ('site_file = "site.toml"', "", "documents.site_file: is missing"),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(BridgeError) as caught:
            PactService(load_config(path))
        assert told in str(caught.value) and "\n" not in str(caught.value)


def full_house(url):
    """Four connections are allowed, and the client holds one: of four more the last is closed at once."""
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(socket.create_connection(address, 5)) for _ in range(4)]
        streams[-1].settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert streams[-1].recv(1) == b""
        streams[0].settimeout(0.05)
        with pytest.raises(TimeoutError):
            streams[0].recv(1)


@pytest.mark.parametrize("has_tls", [True, False])
def test_a_silent_connection_is_closed(works, monkeypatch, has_tls):
    monkeypatch.setattr(host, "HEADER_S", 0.1)
    files = (works.folder / "ca" / "server.pem", works.folder / "ca" / "server.key") if has_tls else (None, None)
    own = host.Host(host.Place("127.0.0.1", 0, *files, 8), Starlette())
    own.start()
    try:
        with socket.create_connection(("127.0.0.1", own.port), 5) as stream, contextlib.suppress(ConnectionResetError):
            assert stream.recv(1) == b""
    finally:
        own.stop()


def test_a_renewed_certificate_needs_no_restart(works):
    def serial():
        with socket.create_connection(("127.0.0.1", int(works.service.url.rpartition(":")[2])), 5) as stream:
            context = ssl.create_default_context(cafile=works.folder / "ca" / "ca.pem")
            with context.wrap_socket(stream, server_hostname="localhost") as inner:
                return inner.getpeercert()["serialNumber"]

    before, good = serial(), (works.folder / "ca" / "server.key").read_bytes()
    test_ca.issue(works.folder / "ca", "server")
    new = (works.folder / "ca" / "server.key").read_bytes()
    (works.folder / "ca" / "server.key").write_bytes(good)  # of another certificate
    with pytest.raises(ConfigError, match="the one before is shown on"):
        works.service.refresh()
    assert serial() == before
    (works.folder / "ca" / "server.key").write_bytes(new)
    works.service.refresh()
    assert serial() != before


def test_what_fails_here_is_not_told_to_strangers(customer, monkeypatch, caplog):
    def fail(*_arguments):
        raise RuntimeError("a word of ours")

    monkeypatch.setattr(Shelf, "page", fail)
    answer = customer.get(LIST)
    assert code_of(answer) == (500, "InternalError") and "word" not in answer.text
    deadline_s = time.monotonic() + 5  # it is logged behind the answer
    while "a word of ours" not in caplog.text and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert "a word of ours" in caplog.text and customer.token not in caplog.text


def test_an_event_is_abandoned_after_72_hours(works):
    sink = PartnerSink(Partner("a", "https://127.0.0.1:9", "", "us", works.folder / "own.secret", None), works.clock)
    made = {hours: works.clock.utc_ms() - hours * 3_600_000 for hours in (71, 73)}
    rows = {
        hours: OutboxRow(1, "a", "pact", "report", "k", b"{}", ((MADE, str(ms)),), 0, 0) for hours, ms in made.items()
    }
    with pytest.raises(RetryableDelivery):
        sink.deliver([rows[71]])
    with pytest.raises(FinalDelivery, match="72 hours"):
        sink.deliver([rows[73]])
    sink.close()


def test_as_a_program(tmp_path):
    path = write_works(tmp_path)
    command = [sys.executable, "-m", "plumeproof", "pact", "serve", "-c", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] and ready["footprints"] == 4 and ready["refused"] == []
        context = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.pem")
        found = httpx.get(f"{ready['url']}/.well-known/openid-configuration", verify=context).json()
        assert found["token_endpoint"] == f"{ready['url']}/auth/token"
        process.terminate()
        assert process.wait(20) == 0


def test_a_check_before_customers_ask(works, tmp_path, capsys):
    text = works.config_file.read_text()
    for name in ("data", "site.toml", "ca"):
        (tmp_path / name).symlink_to(works.folder / name)
    write_private(tmp_path / "own.secret", OWN_SECRET.encode())
    for old, new, status, told in (
        ("[pact]", "[pact]", 0, "gives a token, TLSv1.3"),
        (works.listener.url, "https://127.0.0.1:9", 3, "customer-a: sees *; 127.0.0.1:9: "),
        ('own_client_id = "works"', 'own_client_id = "nobody"', 1, "no token for nobody"),
    ):
        (tmp_path / "bridge.toml").write_text(text.replace(old, new))
        assert main(["pact", "check", "-c", str(tmp_path / "bridge.toml")]) == status
        out = capsys.readouterr().out
        assert told in out and "ok        certificate" in out and out.count("ok        footprint steam") >= 2


def test_a_secret_is_made_once(tmp_path, capsys):
    path = tmp_path / "a.secret"
    assert main(["pact", "secret", "-o", str(path)]) == 0
    line = capsys.readouterr().out
    assert path.stat().st_mode & 0o077 == 0 and len(path.read_text().strip()) == 43
    assert path.read_text().strip() not in line and line.startswith('secret_sha256 = "')
    assert main(["pact", "secret", "-o", str(path)]) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('products = ["power"]', "products = []", "pact.client.products"),
        ('id = "customer-b"', 'id = "customer-a"', "client customer-a is there twice"),
        ("port = 0\ncert_file", "port = 0\ntoken_s = 5\ncert_file", "pact.token_s: 5 is outside"),
        ('key_file = "ca/server.key"\n', "", "and key_file stand together"),
        ('secret_sha256 = "', 'secret_sha256 = "x', "pact.client.secret_sha256"),
        ("[pact]", "[pact]\nsecret = 1", "pact.secret: is no known key"),
        ('products = ["*"]', 'products = ["*"]\nbase_url = "https://a.example"', "base_url: needs own_client_id"),
    ],
)
def test_a_section_that_cannot_be_used(tmp_path, works, old, new, told):
    text = write_text_once(works)
    assert text.count(old) >= 1
    (tmp_path / "bridge.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "bridge.toml")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def write_text_once(works):
    """Without the customer's host."""
    text = works.config_file.read_text()
    lines = ("base_url", "own_client_id", "own_secret_file", "ca_file")
    return "\n".join(line for line in text.splitlines() if not line.startswith(lines))


def test_rates():
    clock = ManualClock()
    limit = RateLimit(60, clock)
    for _ in range(60):
        limit.take("a")
    with pytest.raises(Fault) as caught:
        limit.take("a")
    assert caught.value.status == 429 and caught.value.headers == {"Retry-After": "2"}
    limit.take("b")
    clock.advance(1.0)
    limit.take("a")
