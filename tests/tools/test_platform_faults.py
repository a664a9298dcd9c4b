"""Faults on demand: each kind does what it says to a real client, and stores what it says."""

from __future__ import annotations

import base64
import json
import time
import zlib
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import rfc8785
import urllib3

from tests.tools.platform_process import Client, Platform, Wire, digest_of, platform, report
from tools.eu_platform.faults import KINDS, STATUSES, FaultPlan, FaultWishError, parse_fault


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with platform(tmp_path_factory.mktemp("faults"), "--control") as found:
        yield found


@pytest.fixture
def one(running, request):
    """A fresh report of this test, its client, and how to see whether it was stored."""
    what = report(1000 + zlib.crc32(request.node.name.encode()))
    yield One(running, what)
    running.control()


class One:
    def __init__(self, running: Platform, what: dict) -> None:
        self.running = running
        self.what = what
        self.client: Client = running.client(timeout_s=3.0)
        self.body = rfc8785.dumps(what)
        self.was_reset = False

    def under(self, *faults: str) -> urllib3.BaseHTTPResponse:
        self.running.control(*faults)
        assert self.client.bearer
        return self.client.deliver(self.what)

    def entry(self) -> dict | None:
        """What is stored of it, asked without faults."""
        self.running.control()
        found = [entry for entry in self.running.client().listed() if entry["contentDigest"] == digest_of(self.body)]
        assert len(found) <= 1
        return found[0] if found else None

    def raw(self, *faults: str) -> bytes:
        """Everything that comes back, by a bare socket; a reset ends it too."""
        self.running.control(*faults)
        head = [
            "POST /v1/reports HTTP/1.1",
            f"Host: 127.0.0.1:{self.running.port}",
            f"Authorization: {self.client.bearer}",
            "Content-Type: application/json",
            f'Idempotency-Key: "raw-{self.what["averages"][0]["id"]}"',
            f"Content-Digest: {digest_of(self.body)}",
            f"Content-Length: {len(self.body)}",
        ]
        with Wire(self.running) as wire:
            wire.send("\r\n".join([*head, "", ""]).encode() + self.body)
            answer = wire.read_all()
            self.was_reset = wire.was_reset
            return answer


@pytest.mark.parametrize("status", STATUSES)
def test_status(one, status):
    answer = one.under(str(status))
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert one.entry() is None
    again = one.client.deliver(one.what)
    assert again.status == 201
    assert one.entry()["deliveries"] == 2


@pytest.mark.parametrize("wish", ["seconds", "date", "past", "absurd", "negative", "words", "7"])
def test_retry_after(one, wish):
    said = one.under(f"429:retry={wish}").headers["retry-after"]
    if wish in ("date", "past"):
        away_s = parsedate_to_datetime(said).timestamp() - time.time()
        assert (0 < away_s <= 3) if wish == "date" else (away_s < -3000)
    else:
        expected = {"seconds": "2", "absurd": "99999999999999999999", "negative": "-5", "words": "after the holidays"}
        assert said == expected.get(wish, wish)


@pytest.mark.parametrize("when", ["before", "after"])
def test_timeout(one, when):
    one.client = one.running.client(timeout_s=0.5)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        one.under(f"timeout-{when}")
    assert (one.entry() is not None) == (when == "after")
    assert one.running.client().deliver(one.what).status == (200 if when == "after" else 201)


def test_timeout_ends(one):
    with pytest.raises(urllib3.exceptions.ProtocolError):
        one.under("timeout-before:ms=100")


@pytest.mark.parametrize("when", ["before", "after"])
def test_reset(one, when):
    assert one.raw(f"reset-{when}") == b""
    assert one.was_reset
    assert (one.entry() is not None) == (when == "after")


@pytest.mark.parametrize("count", [0, 1, 12, 100, 400])
def test_reset_at_byte(one, count):
    assert len(one.raw(f"reset-at:byte={count}")) == count
    assert one.was_reset
    assert one.entry() is not None


def test_reset_at_byte_beyond_the_answer(one):
    answer = one.raw("reset-at:byte=100000")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n") and b"\r\ndate: " in head
    assert json.loads(body)["contentDigest"] == digest_of(one.body)


def test_slow(one):
    began_s = time.monotonic()
    answer = one.raw("slow:ms=1")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["contentDigest"] == digest_of(one.body)
    assert time.monotonic() - began_s >= 0.001 * len(answer)


def test_slow_is_one_byte_a_second(one):
    one.client = one.running.client(timeout_s=0.5)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        one.under("slow")  # the second byte is a second away
    assert one.entry() is not None


def test_endless_headers(one):
    with pytest.raises(urllib3.exceptions.ProtocolError) as caught:
        one.under("endless-headers:ms=0")
    assert "more than 100 headers" in str(caught.value)
    assert one.entry() is not None


@pytest.mark.parametrize("by", [64, -20])
def test_wrong_length(one, by):
    head, _, body = one.raw(f"wrong-length:by={by}").partition(b"\r\n\r\n")
    (said,) = [line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")]
    assert int(said.split()[1]) == len(body) + by
    assert json.loads(body)["contentDigest"] == digest_of(one.body)


def test_truncated_json(one):
    answer = one.under("truncated-json")
    assert answer.status == 201 and int(answer.headers["content-length"]) == len(answer.data)
    with pytest.raises(ValueError, match="Unterminated|Expecting"):
        answer.json()
    assert one.entry() is not None


def test_no_receipt(one):
    answer = one.under("no-receipt")
    assert answer.status == 201 and answer.json() == {"status": "accepted"}
    assert one.entry() is not None


def test_foreign_receipt(one):
    answer = one.under("foreign-receipt")
    receipt = answer.json()
    assert receipt["contentDigest"] != digest_of(one.body)
    assert answer.headers["content-digest"] == digest_of(answer.data), "nothing but the receipt itself gives it away"
    assert receipt["firstAverageId"] != one.what["averages"][0]["id"]
    mine = one.entry()
    assert mine is not None and mine["idempotencyKey"] != receipt["idempotencyKey"]


def test_bad_signature(one):
    receipt = one.under("bad-signature").json()
    mine = one.entry()
    assert base64.b64decode(receipt["signature"]["value"])[:-1] == base64.b64decode(mine["signature"]["value"])[:-1]
    assert receipt["signature"] != mine["signature"]


def test_redirect(one):
    answer = one.under("redirect:to=other.invalid")
    assert (answer.status, answer.headers["location"]) == (307, "https://other.invalid/v1/reports")
    assert one.entry() is None


def test_gzip_bomb(one):
    one.running.control("gzip-bomb:mib=16")
    headers = {"Accept_Encoding": "gzip"}
    answer = one.client.deliver(one.what, **headers)
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 64 * 1024
    assert len(answer.data) > 16 << 20  # urllib3 unpacks it
    assert json.loads(answer.data)["contentDigest"] == digest_of(one.body)


def test_token_refused(one):
    answer = one.under("token-refused:count=1")
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert one.client.deliver(one.what).status == 401, "the same token never again"
    assert one.running.client().deliver(one.what).status == 201


def test_hold(one):
    began_s = time.monotonic()
    assert one.under("hold:ms=300").status == 201
    assert time.monotonic() - began_s >= 0.3


def test_at_token(one):
    one.running.control("503:at=token:retry=3")
    answer = one.client.ask_token()
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    one.running.control()
    assert one.client.deliver(one.what).status == 201


def test_a_reset_goes_one_byte_further_at_each_hit():
    plan = FaultPlan([parse_fault("reset-at:byte=3+:rate=1")])
    assert [plan.draw("report").cut(5) for _ in range(4)] == [3, 4, 0, 1]
    assert parse_fault("reset-at").cut(5) == 100


def test_what_was_asked_is_told(one):
    one.under("503:count=1")
    one.client.deliver(one.what)
    told = one.running.control()["requests"]
    mine = [entry for entry in told if entry["contentDigest"] == digest_of(one.body)]
    assert [(entry["fault"], entry["status"]) for entry in mine] == [("503:count=1", 503), (None, 201)]


def test_control_wants_its_token(running):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": running.client().bearer}):
        assert running.client().ask("GET", "/control", **headers).status == 401
    token = (running.folder / "control.token").read_text().strip()
    assert (running.folder / "control.token").stat().st_mode & 0o777 == 0o600
    for body in (b"[]", b"{}", b'{"faults":["sulk"]}', b'{"faults":1}', b"[" * 100_000):
        headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/json"}
        assert running.client().ask("POST", "/control", body, **headers).status == 400


def test_no_control_unless_asked(tmp_path):
    with platform(tmp_path, "--fault", "503:count=1") as found:
        assert found.client().ask("GET", "/control").status == 404
        assert found.client().deliver(report()).status == 503
        assert found.client().deliver(report()).status == 201


@pytest.mark.parametrize(
    "text",
    ["", "sulk", "503:5-1", "503:rate=0", "503:rate=2", "503:ms=1", "redirect:to=A/b", "503:at=moon", "503:retry=x"]
    + ["reset-at:byte=-1", "503:count=x", "hold:at=token", "503::", "gzip-bomb:mib=5000", "999"],
)
def test_wish_that_cannot_be_read(text):
    with pytest.raises(FaultWishError, match="fault"):
        parse_fault(text)


def test_every_kind_can_be_wished_and_is_described():
    words = (Path(__file__).parents[2] / "tools/eu_platform/faults.py").read_text().split('"""')[1]
    for kind in KINDS:
        assert parse_fault(kind).kind == kind
        assert kind in words


def test_rate_and_span():
    plan = FaultPlan([parse_fault("503:rate=0.3"), parse_fault("500:1000-"), parse_fault("502:at=token")])
    drawn = [plan.draw("report") for _ in range(2000)]
    assert 450 < sum(fault is not None for fault in drawn) < 750
    assert {fault.kind for fault in drawn if fault is not None} == {"503"}
    assert plan.draw("token").kind == "502" and plan.draw("other") is None
