"""The pages of the reference platform: what they say, that they fetch nothing, and that a browser shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import apsw
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.tools.platform_process import ROOT, Platform, platform, report
from tools.eu_platform.pages import show_interval, show_period


class Text(HTMLParser):
    """What a page says and what it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and tag in ("link", "img", "script")]

    def handle_data(self, data):
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with platform(tmp_path_factory.mktemp("pages")) as running:
        client = running.client()
        for first in range(1, 140, 2):
            client.deliver(report(first, module=f"plume-{first:03d}"))
        client.deliver(report(139, module="plume-139"))
        hostile = report(900, module="plume-900")
        hostile["averages"][0] |= {"channel": "<script>alert(1)</script>", "unit": "mg/m³&amp;"}
        client.deliver(hostile)
        client.deliver(report(999, interval_s=7))
        yield running


def page(running: Platform, path: str) -> Text:
    answer = running.client().ask("GET", path)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    found = Text(answer.data.decode())
    assert set(found.fetched) == {"/static/page.css", "/static/favicon.svg"}
    assert "script" not in found.tags
    return found


def test_list(filled):
    text = page(filled, "/").text
    assert "provisional" in text and "not public" in text
    assert "71 reports stored" in text and "142 averages in them" in text and "71 modules" in text
    assert "1 repeated delivery, stored once" in text and "1 batch refused" in text
    assert text.index("plume-900") < text.index("plume-139") < text.index("plume-137")
    assert "plume-139 gateway-01 1 min 2026-11-25 01:00:00 – 01:01:00 2 2 times" in text


def test_older(filled):
    newest = filled.client().ask("GET", "/").data.decode()
    older = newest.partition('href="/?before=')[2].partition('"')[0]
    text = page(filled, f"/?before={older}").text
    assert "plume-001" in text and "plume-139" not in text
    assert filled.client().ask("GET", "/?before=0").status == 400


def test_report(filled):
    entry = next(entry for entry in filled.client().listed() if entry["module"] == "plume-139")
    text = page(filled, f"/reports/{entry['receiptId']}").text
    for words in (
        "bytes agree",
        "signature verified",
        "gas.co2",
        "11.84",
        "vol-%",
        "58 / 60",
        "timeout 2",
        "2 times",
    ):
        assert words in text, words
    assert entry["contentDigest"] in text and entry["idempotencyKey"] in text


def test_what_comes_from_outside_is_text(filled):
    entry = next(entry for entry in filled.client().listed() if entry["module"] == "plume-900")
    found = page(filled, f"/reports/{entry['receiptId']}")
    assert "<script>alert(1)</script>" in found.text and "mg/m³&amp;" in found.text


def test_damage_is_shown(tmp_path):
    with platform(tmp_path) as running:
        receipt = running.client().deliver(report()).json()
        assert running.stop() == 0
        connection = apsw.Connection(str(running.folder / "platform.sqlite"))
        connection.execute("UPDATE report SET body = CAST(replace(body, '11.84', '10.84') AS BLOB)")
        altered = json.dumps({**receipt, "averageCount": 3}).encode()
        connection.execute("UPDATE report SET receipt = ?", (altered,))
        connection.close()
        running.start()
        text = page(running, f"/reports/{receipt['receiptId']}").text
        assert "do not agree" in text and "does not verify" in text


def test_words():
    assert [show_interval(s) for s in (10, 60, 90, 600, 1800, 3600, 5400, 86400)] == (
        ["10 s", "1 min", "90 s", "10 min", "30 min", "1 h", "90 min", "1 d"]
    )
    assert show_period("2026-11-25T01:00:00Z", "2026-11-26T00:00:00Z") == "2026-11-25 01:00:00 – 2026-11-26 00:00:00"


@pytest.fixture(scope="module")
def browser():
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup" / "browser.py"), "--print"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not found:
        # The rule of the project: only Ubuntu outside CI may lack one, and the last line of the set-up says so.
        assert "ubuntu" in Path("/etc/os-release").read_text() and not os.environ.get("CI"), "no browser; `make setup`"
        pytest.skip("page tests not run: no browser")
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root, as CI does; the only pages it opens here are ours.
        arguments = ["--disable-gpu"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.mark.parametrize("width", [1300, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(filled, browser, width, scheme):
    """From the list to a report and back, by its links; nothing complained of, nothing asked elsewhere, nothing cut."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, ignore_https_errors=True
    )  # test authority
    page = context.new_page()
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(filled.url)
    expect(page.locator("tbody tr")).to_have_count(50)
    assert page.locator("thead th").first.inner_text() == "Received"
    page.locator("tbody tr", has_text="plume-139").get_by_role("link").first.click()
    expect(page.locator(".fine")).to_have_count(2)
    expect(page.locator("td.value").first).to_have_text("11.84")
    page.wait_for_load_state("load")  # its words are there before its style sheet
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "only tables scroll sideways"
    ink, ground = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert ink != ground != "rgba(0, 0, 0, 0)", "the style sheet is in force"
    page.get_by_role("link", name="Reference EU platform").click()
    page.get_by_role("link", name="older").click()
    expect(page.locator("tbody tr").last).to_contain_text("plume-001")
    assert complaints == []
    assert {url.split("/", 3)[2] for url in asked} == {f"127.0.0.1:{filled.port}"}
    context.close()
