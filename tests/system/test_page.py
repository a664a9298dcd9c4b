"""The page in a real Chromium, on the real service with two modules on ptys: what a plant engineer sees, and what not.

The first module is as it should be with a gap and a calibration behind it; the second has an analyzer that does not
answer and one that reports a failure. Broker and platform are configured and not there, so that deliveries wait. Texts
that come from outside carry markup: it must be read, not obeyed.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from acqwire import causes
from playwright.sync_api import Browser, Page, expect, sync_playwright

from plumeproof import observe
from plumeproof.config import load_config
from plumeproof.dashboard.app import HEADERS, Dashboard
from plumeproof.service import Service
from tests.bridge.test_service import Site, wait_for
from tools.eu_platform.receipts import write_private

ROOT = Path(__file__).resolve().parents[2]
SCREEN = {"width": 1366, "height": 768}
MARKUP = "<img src=x onerror=document.title='taken'><b>HCl</b>"
SEAL_SLOTS = 10
MORE = """
[dashboard]
trend_minutes = 5
[[sink.mqtt]]
name = "broker"
host = "127.0.0.1"
port = 9
[[sink.https]]
name = "eu-platform"
profile = "eu-carbon-cloud"
base_url = "https://127.0.0.1:9"
client_id = "plant-7"
secret_file = "secret"
report_interval_s = 10
"""


class Line:
    """The running bridge with its page; `measure` seals more."""

    def __init__(self, folder: Path) -> None:
        write_private(folder / "secret", b"s")
        (folder / "secret").chmod(0o600)
        self.site = Site(folder, "plume-01", "plume-02", more=MORE)
        whole, troubled = self.site.modules
        now = time.time_ns() // 1_000_000
        whole.start_up()
        for index in range(12):
            more: dict = {}
            if index == 4:
                more["outcomes"] = {"gas": causes.GAP_TIMEOUT}
            if index == 6:
                more["status_word"] = 2  # function check of dust meter and flow unit
            whole.measure(SEAL_SLOTS, {"gas.so2": 40.0 + index}, end_utc_ms=now - (11 - index) * 10_000, **more)
        troubled.start_up()
        for index in range(6):
            wrong = index >= 4
            troubled.measure(
                SEAL_SLOTS,
                outcomes={"gas": causes.GAP_CRC} if wrong else None,
                status_word=1 if wrong else 0,  # failure of dust meter and flow unit
                end_utc_ms=now - (5 - index) * 10_000,
            )
        self.service = Service(load_config(self.site.file))
        self.service.start()
        for module in self.site.modules:
            module.serve()
        wait_for(lambda: not any(module.journal for module in self.site.modules))
        self.dashboard = Dashboard(self.service)
        self.dashboard.start()

    def close(self) -> None:
        self.dashboard.stop()
        assert self.service.stop()
        self.site.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup" / "browser.py"), "--print"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    if not found.stdout.strip():
        release = Path("/etc/os-release").read_text(encoding="utf-8")
        assert "ubuntu" in release and not os.environ.get("CI"), "no browser; run `make setup`"
        pytest.skip("page tests not run: no browser")
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root, as CI does; the only pages it opens here are ours.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=found.stdout.strip(), args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    found = Line(tmp_path_factory.mktemp("page"))
    yield found
    found.close()


class Visit:
    """One open page and everything that it said or asked for."""

    def __init__(self, browser: Browser, url: str, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport=SCREEN, color_scheme=scheme)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.answer = self.page.goto(url)
        expect(self.page.locator(".module .trend").first).to_be_visible()

    def channel(self, device: str, channel: str) -> str:
        return self.page.locator(f'[data-device="{device}"] [data-channel="{channel}"]').inner_text()


@pytest.fixture
def visit(browser: Browser, line: Line) -> Iterator[Visit]:
    """A visit at which nothing may be complained of and no other host be asked."""
    found = Visit(browser, line.dashboard.url)
    yield found
    assert found.messages == []
    assert [url for url in found.requests if not url.startswith(line.dashboard.url)] == []
    found.context.close()


def test_values_with_unit_quality_and_age(visit):
    text = visit.channel("plume-01", "gas.so2")
    assert re.search(r"SO2\s+51\.00 mg/m³\s+valid\s+\d+ (s|min) ago", text), text
    assert re.search(r"1008\.0 hPa", visit.channel("plume-01", "flow.pressure"))


def test_gap_failure_and_what_is_no_more_shown_as_a_value(visit, line):
    gas = visit.page.locator('[data-device="plume-02"] [data-channel="gas.so2"]')
    expect(gas.locator(".value")).to_have_text(re.compile(r"^– mg/m³$"))
    expect(gas.locator(".pill")).to_have_text(re.compile("gap: CRC error|stopped coming"))
    line.site.modules[1].measure(2, outcomes={"gas": causes.GAP_TIMEOUT}, status_word=1)
    expect(gas.locator(".pill")).to_have_text("gap: no answer")
    expect(gas.locator(".pill")).to_have_attribute("data-quality", "gap")
    dust = visit.page.locator('[data-device="plume-02"] [data-channel="dust.dust"]')
    expect(dust.locator(".pill")).to_have_text("failure")
    expect(dust.locator(".pill")).to_have_attribute("data-quality", "bad")
    assert dust.locator(".value").evaluate("node => getComputedStyle(node).color") == gas.locator(".value").evaluate(
        "node => getComputedStyle(node).color"
    ), "a number that is not valid is grey, as is the dash of a gap"
    expect(visit.page.locator("#verdict")).to_contain_text("channels not valid")
    expect(visit.page.locator("#verdict")).not_to_have_attribute("data-state", "up")


def test_what_stopped_coming_says_so(visit, line):
    """Two sealing periods of 2 s and the line's 5 s without a record: the last values are old."""
    whole = visit.page.locator('[data-device="plume-01"] [data-channel="gas.so2"] .pill')
    line.site.modules[0].measure(2, {"gas.so2": 51.0})
    expect(whole).to_have_text("valid")
    expect(whole).to_have_text("stopped coming", timeout=20_000)
    expect(whole).to_have_attribute("data-quality", "stale")
    line.site.modules[0].measure(2, {"gas.so2": 51.0})
    expect(whole).to_have_text("valid")


def test_trend_shows_the_gap(visit):
    channel = visit.page.locator('[data-device="plume-01"] [data-channel="gas.so2"]')
    assert channel.locator(".trend rect.lost").count() >= 5, "10 lost slots in buckets of 1.7 s"
    shape = channel.locator(".trend path").get_attribute("d")
    assert shape.count("M") >= 2, "the line is broken where nothing valid is"
    times = visit.page.locator('[data-device="plume-01"] .titles .ends').inner_text().split("\n")
    assert [bool(re.fullmatch(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d UTC", part)) for part in times] == [True, True], times


def test_coverage_and_averages(visit):
    module = visit.page.locator('[data-device="plume-01"]')
    levels = module.locator(".cells .cell").evaluate_all("nodes => nodes.map(node => node.dataset.level)")
    assert len(levels) >= 8
    assert "full" in levels
    assert set(levels) & {"most", "few"}, "the interval with the gap"
    head = module.locator(".averages thead").inner_text()
    assert re.search(r"10 s\s+from \d\d:\d\d:\d\d UTC", head), head
    row = module.locator(".averages tbody tr").first.inner_text()
    assert re.search(r"gas\.so2 mg/m³\s+[\d.–]+\s+\d+ %", row), row


def test_links_backlog_and_chain(visit, line):
    def light(part: str) -> object:
        return visit.page.locator(f'[data-part="{part}"]')

    for part in ("module/plume-01", "module/plume-02", "stage/averaging", "stage/relay"):
        expect(light(part)).to_have_attribute("data-state", "up")
    for part, kind in (("sink/broker", "MQTT"), ("sink/eu-platform", "HTTPS")):
        expect(light(part)).to_have_attribute("data-state", "waiting")
        expect(light(part)).to_contain_text(kind)
        expect(light(part)).to_contain_text("trying again for")
        expect(visit.page.locator(f'[data-reason="{part}"]')).to_contain_text("refused")
    broker = visit.page.locator('[data-sink="broker"] td')
    stored = sum(len(line.site.rows(module.device)) for module in line.site.modules)
    wait_for(lambda: int(broker.nth(2).inner_text()) > stored)  # every record and some averages
    assert broker.all_inner_texts()[5:] == ["0", "0"], "none in quarantine, none delivered"
    for device in ("plume-01", "plume-02"):
        expect(visit.page.locator(f'[data-chain="{device}"]')).to_contain_text("whole")
    expect(visit.page.locator("#verdict")).to_contain_text(re.compile(r"\d waiting, nothing lost"))


def test_a_fault_in_the_chain_is_shown(visit, line):
    writer = line.service._writer._connection
    writer.execute("INSERT INTO hole VALUES ('plume-02', 900, 902, 0)")
    row = visit.page.locator('[data-chain="plume-02"]')
    expect(row).to_contain_text("1 holes, newest 900–902")
    expect(row.locator(".alarm")).to_be_visible()
    writer.execute("DELETE FROM hole")
    expect(row).to_contain_text("whole")


def test_security_headers_hold(visit, line):
    for name, value in HEADERS.items():
        assert visit.answer.headers[name.lower()] == value
    # The policy itself, not only its text: neither an inline script nor another host gets through.
    stopped = visit.page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken'";
          document.body.append(script);
          const asked = await fetch("http://127.0.0.2:9/").then(() => "answered", () => "refused");
          return [document.title, asked];
        }"""
    )
    assert stopped == ["gw-1 · PlumeProof", "refused"]
    assert len(visit.messages) >= 2, "the browser complains of both"
    assert all("Content Security Policy" in text or "Failed to fetch" in text for text in visit.messages)
    visit.messages.clear()
    visit.requests.clear()


def test_markup_from_outside_is_text(visit, line):
    """Ids are restricted; quantities, units, interpreters and errors of others are free text."""
    overview = line.dashboard._pages._overview
    live = overview.live

    def with_markup() -> dict:
        found = copy.deepcopy(live())
        for module in found["modules"]:
            module["interpreter"] = module["fault"] = MARKUP
            for channel in module["channels"]:
                channel |= {"id": MARKUP, "analyzer": MARKUP, "quantity": MARKUP, "unit": MARKUP, "status": MARKUP}
        return found

    line.dashboard._pages._live._look = with_markup
    line.service.health.enter("sink", "broker", observe.WAITING, 1, MARKUP)
    try:
        expect(visit.page.locator(".channel .what").nth(1)).to_contain_text(MARKUP)
        expect(visit.page.locator("#firmware")).to_contain_text(MARKUP)
        assert visit.page.locator("main img, main b b, footer img").count() == 0
        assert visit.page.title() == "gw-1 · PlumeProof"
    finally:
        line.dashboard._pages._live._look = live
    expect(visit.page.locator("#modules")).not_to_contain_text("onerror")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_small_screen_and_can_be_read(browser, line, scheme):
    visit = Visit(browser, line.dashboard.url, scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == SCREEN["width"], "no sideways scrolling"
    module = visit.page.locator('[data-device="plume-01"]')
    last = module.locator(".channel").last.bounding_box()
    assert last["y"] + last["height"] <= 768, "ten channels on the first screen of an old PC"
    # WCAG 2.2, 1.4.3: contrast of text 4.5:1, measured on the colours that the browser computed
    for selector in (
        ".value",
        ".pill",
        ".age",
        ".light .state",
        ".reason",
        ".verdict",
        ".share",
        "th",
        ".note",
        ".facts",
    ):
        for ratio in visit.page.locator(selector).evaluate_all(CONTRAST):
            assert ratio >= 4.5, f"{selector}: {ratio:.2f}"
    visit.context.close()


CONTRAST = """nodes => nodes.map(node => {
  const light = (text) => {
    const part = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(
      (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  let under = node;
  while (/, 0\\)$|transparent/.test(getComputedStyle(under).backgroundColor)) under = under.parentElement;
  const pair = [getComputedStyle(node).color, getComputedStyle(under).backgroundColor].map(light).sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
})"""


def test_a_bridge_that_went_away_is_said(browser, tmp_path):
    """Last: it stops a bridge of its own under an open page."""
    site = Site(tmp_path, "plume-01")
    site.modules[0].start_up()
    site.modules[0].measure(SEAL_SLOTS)
    site.modules[0].serve()
    service = Service(load_config(site.file))
    service.start()
    wait_for(lambda: not site.modules[0].journal)
    dashboard = Dashboard(service)
    dashboard.start()
    visit = Visit(browser, dashboard.url)
    dashboard.stop()
    assert service.stop()
    expect(visit.page.locator("#trouble")).to_contain_text("what stands below is old", timeout=20_000)
    assert float(visit.page.locator("main").evaluate("node => getComputedStyle(node).opacity")) < 0.6
    visit.context.close()
    site.close()
