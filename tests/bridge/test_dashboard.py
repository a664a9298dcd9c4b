"""The page's server: routes, headers, host names, what it does when the ledger fails. The page itself: tests/system."""

from __future__ import annotations

import asyncio
import json
import urllib.request

import httpx
import pytest

from plumeproof.config import load_config
from plumeproof.dashboard.app import Dashboard, build_app
from plumeproof.dashboard.pages import STATIC, Pages
from plumeproof.errors import ConfigError, StoreError
from plumeproof.service import Service
from tests.bridge.test_service import Site, wait_for


class Client:
    """Requests to the application in this process."""

    def __init__(self, app) -> None:
        self._app = app

    def request(self, method: str, path: str, **more) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more) -> httpx.Response:
        return self.request("GET", path, **more)


@pytest.fixture
def service(tmp_path):
    site = Site(tmp_path, "plume-01", more='[dashboard]\nhost_names = ["page.example"]\ntrend_minutes = 1\n')
    site.modules[0].start_up()
    site.modules[0].measure(2, {"gas.so2": 43.25})
    site.modules[0].serve()
    running = Service(load_config(site.file))
    running.start()
    wait_for(lambda: not site.modules[0].journal)
    yield running
    assert running.stop()
    site.close()


@pytest.fixture
def client(service):
    pages = Pages(service)
    yield Client(build_app(pages, ("page.example",)))
    pages.close()


def test_overview(client):
    body = client.get("/api/overview").json()
    assert body["gateway"] == "gw-1"
    assert body["intervals_s"] == [10]
    values = {channel["id"]: channel["value"] for channel in body["modules"][0]["channels"]}
    assert values["gas.so2"] == 43.25
    assert [(part["kind"], part["name"]) for part in body["parts"]][0] == ("module", "plume-01")
    assert body["modules"][0]["chain"]["is_frozen"] is False
    json.dumps(body, allow_nan=False)


def test_backlog_inside_and_of_each_sink(tmp_path):
    sinks = """
    [[sink.mqtt]]
    name = "broker"
    host = "127.0.0.1"
    port = 9
    content = ["envelope"]
    """
    site = Site(tmp_path, "plume-01", more=sinks)
    module = site.modules[0]
    module.start_up()
    for _ in range(5):
        module.measure(2)
    module.serve()
    running = Service(load_config(site.file))
    running.start()
    pages = Pages(running)
    client = Client(build_app(pages, ()))

    def look() -> dict:
        return client.get("/api/overview").json()

    # Nobody listens there: every record of the module waits for the broker, and nothing waits inside.
    wait_for(lambda: look()["sinks"][0]["waiting"] == module.newest and look()["unaveraged"] == 0)
    sink = look()["sinks"][0]
    assert (sink["name"], sink["kind"], sink["unqueued"], sink["quarantined"]) == ("broker", "MQTT", 0, 0)
    assert sink["oldest_utc_ms"] <= look()["now_utc_ms"]
    # What the relay has not looked at yet is counted by the cursors that it has for this sink.
    live = look()
    cursors = live["cursors"] | {"relay/broker": 2, "relay_reports/other": 0}
    pages._live._look = lambda: live | {"cursors": cursors, "records_total": module.newest}
    wait_for(lambda: look()["sinks"][0]["unqueued"] == module.newest - 2)
    pages.close()
    assert running.stop()
    site.close()


def test_trend(client):
    client.get("/api/overview")
    body = client.get("/api/trend").json()
    assert body["bucket_ms"] == 60_000 // 180
    assert body["modules"]["plume-01"]["gas.so2"][0][1:] == [43.25, 43.25, 1, 0]


@pytest.mark.parametrize("path", ["/", "/api/overview", "/api/trend", "/static/page.js", "/static/none", "/none"])
def test_every_answer_keeps_the_browser_at_home(client, path):
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", sorted(STATIC))
def test_static_files_and_nothing_else(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(STATIC[name].partition(";")[0])
    assert client.get(f"/static/..%2f{name}").status_code == 404
    assert client.get("/static/..%2fapp.py").status_code == 404


@pytest.mark.parametrize("name", sorted(STATIC))
def test_no_asset_from_elsewhere(client, name):
    text = client.get(f"/static/{name}").text + client.get("/").text
    addresses = [word for word in text.replace('"', " ").replace("'", " ").split() if "://" in word]
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}, "a name space, never fetched"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8470", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8470", 200), ("page.example", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[::2]", 421),
    ],
)  # fmt: skip
def test_only_known_host_names(client, host, status):
    assert client.get("/api/overview", headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(client, method):
    assert client.request(method, "/api/overview").status_code == 405


def test_a_ledger_that_cannot_be_read_is_said(client, service, monkeypatch):
    def broken(*_values):
        raise StoreError("ledger.sqlite: disk I/O error")

    monkeypatch.setattr("plumeproof.store.reader.LedgerView.heads", broken)
    answer = client.get("/api/overview")
    assert (answer.status_code, answer.json()) == (503, {"error": "ledger.sqlite: disk I/O error"})


def test_the_server_itself(service):
    dashboard = Dashboard(service)
    dashboard.start()
    assert dashboard.url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(dashboard.url + "api/overview") as answer:  # noqa: S310 - loopback, our own
        assert json.load(answer)["gateway"] == "gw-1"
    port = int(dashboard.url.rsplit(":", 1)[1].strip("/"))
    object.__setattr__(service.config.dashboard, "port", port)
    with pytest.raises(ConfigError, match=r"dashboard\.port"):
        Dashboard(service)
    dashboard.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(dashboard.url)  # noqa: S310
