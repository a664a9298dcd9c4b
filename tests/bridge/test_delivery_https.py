"""Reports over real TLS against a platform that answers as each test says: fault row F8 of the reliability reference.

Every test ends with the same question: has the platform every average once, and has the outbox a receipt for each row?
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.delivery.exchange import BODY_MAX_BYTES, HEADER_MAX_BYTES, Endpoint
from plumeproof.delivery.https_sink import HttpsSink
from plumeproof.delivery.profile import load_profile
from plumeproof.delivery.report import build_report
from plumeproof.errors import BlockedDelivery, FinalDelivery, RetryableDelivery
from plumeproof.model import OutboxRow
from tests.bridge.delivery_bench import Bench
from tests.bridge.test_averages_store import AVERAGE
from tests.doubles.manual_clock import ManualClock
from tests.doubles.scripted_platform import CLIENT, SECRET, Script, ScriptedPlatform, answer, problem
from tools import test_ca
from tools.eu_platform.receipts import write_private

TIMEOUT_S = 0.4  # of one read; the whole exchange has twice as long


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ca")
    test_ca.make(folder)
    write_private(folder / "secret", (SECRET + "\n").encode())
    return folder


@pytest.fixture
def platform(authority):
    found = ScriptedPlatform(authority / "server.pem", authority / "server.key")
    yield found
    found.close()


def sink_for(platform: ScriptedPlatform, authority: Path, timeout_s: float = TIMEOUT_S, profile: str = "", **changed):
    def make(clock):
        endpoint = Endpoint(
            changed.get("base_url", platform.base_url), changed.get("ca_file", authority / "ca.pem"), timeout_s
        )
        secret = changed.get("secret_file", authority / "secret")
        return HttpsSink("eu", load_profile(profile or "eu-carbon-cloud"), endpoint, CLIENT, secret, clock)

    return make


@pytest.fixture
def bench(tmp_path, platform, authority):
    found = Bench(tmp_path / "ledger.sqlite", sink_for(platform, authority))
    yield found
    found.close()


def ids_at(platform: ScriptedPlatform) -> list[int]:
    """Ids of the averages that took effect, in the order in which they did."""
    return [one["id"] for body in platform.effects.values() for one in json.loads(body)["averages"]]


def check_whole(bench: Bench, platform: ScriptedPlatform, count: int) -> None:
    """Every average once and in order, a good receipt for every row, no request within a second after a fault."""
    assert ids_at(platform) == list(range(1, count + 1))
    assert bench.states() == {"closed": len(platform.effects)}
    assert [json.loads(proof)["idempotencyKey"] for proof in bench.proofs()] == list(platform.effects)
    assert all(pause >= 1.0 for pause in bench.pauses_s)


def test_a_report_goes_out_as_agreed_and_its_receipt_is_kept(bench, platform):
    (key,) = bench.add_reports(1)
    bench.run()
    token, post, keys = platform.requests
    assert (token.path, post.path, keys.path) == ("/oauth/token", "/v1/reports", "/v1/keys")
    assert token.body == b"grant_type=client_credentials"
    assert post.headers["idempotency-key"] == f'"{key}"'
    assert post.headers["content-digest"].startswith("sha-256=:")
    assert post.headers["authorization"] == f"Bearer {platform.token}"
    assert post.headers["content-type"] == "application/json"
    assert bench.proofs() == [platform.receipts[key]]
    check_whole(bench, platform, 3)


HTML = answer(502, b"<html>bad gateway</html>", kind="text/html")
AMBIGUOUS = {
    "408": Script(problem(408)),
    "409": Script(problem(409)),
    "425": Script(problem(425)),
    "429": Script(problem(429)),
    "429 with seconds": Script(problem(429, "Retry-After: 7")),
    "429 with a date": Script(problem(429, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT")),
    "429 absurd": Script(problem(429, "Retry-After: -1e999 \xe9")),
    "500": Script(problem(500)),
    "502 in HTML": Script(HTML),
    "503": Script(problem(503, "Retry-After: 30")),
    "504 after it was stored": Script(problem(504), is_stored=True),
    "599": Script(problem(599)),
    "silence before": Script(hang_s=1.2),
    "silence after it was stored": Script(hang_s=1.2, is_stored=True),
    "closed at once": Script(cut=0, is_stored=True),
    "one byte at a time": Script(pause_s=0.05, is_stored=True),
    "endless headers": Script(b"HTTP/1.1 201 X\r\n" + b"X-More: of this\r\n" * 100_000),
    "one endless header": Script(b"HTTP/1.1 201 X\r\nX-Long: " + b"x" * 2_000_000),
    "headers one byte too long": Script(
        answer(201, {}, *(f"X-{n:03}: {'x' * 1000}" for n in range(HEADER_MAX_BYTES // 1000 + 1)))
    ),
    "endless interim answers": Script(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000),
    "no HTTP": Script(b"\x00\xff\x00\xff\r\n\r\n", is_stored=True),
    "longer than it says": Script(answer(201, b"{}").replace(b"Length: 2", b"Length: 1") + b"x" * 100, is_stored=True),
    "shorter than it says": Script(answer(201, b"{}").replace(b"Length: 2", b"Length: 9000"), is_stored=True, cut=90),
    "negative length": Script(answer(201, b"{}").replace(b"Length: 2", b"Length: -2"), is_stored=True, cut=90),
    "larger than any receipt": Script(answer(201, b'"' + b"x" * (BODY_MAX_BYTES + 1) + b'"'), is_stored=True),
    "truncated JSON": Script(answer(201, b'{"receiptId": "1'), is_stored=True),
    "deep JSON": Script(answer(201, b"[" * 50_000), is_stored=True),
    "deep object": Script(answer(201, b'{"a":' * 40 + b"1" + b"}" * 40), is_stored=True),
    "NaN": Script(answer(201, b'{"receiptId": NaN}'), is_stored=True),
    "doubled key": Script(answer(201, b'{"receiptId": "1", "receiptId": "2"}'), is_stored=True),
    "a list": Script(answer(201, b"[]"), is_stored=True),
    "not UTF-8": Script(answer(201, b'{"receiptId": "\xff"}'), is_stored=True),
    "not declared as JSON": Script(answer(201, b"{}", kind="text/plain"), is_stored=True),
    "compressed": Script(answer(201, gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"), is_stored=True),
    "201 without receipt": Script(answer(201, {}), is_stored=True),
    "202": Script(answer(202, {}), is_stored=True),
    "204": Script(b"HTTP/1.1 204 X\r\n\r\n", is_stored=True),
    "receipt for another key": Script(change=lambda receipt: receipt | {"idempotencyKey": "0" * 64}),
    "receipt for other bytes": Script(change=lambda receipt: receipt | {"contentDigest": f"sha-256=:{'A' * 43}=:"}),
    "receipt for other ids": Script(change=lambda receipt: receipt | {"lastAverageId": 4}),
    "receipt for true": Script(change=lambda receipt: receipt | {"firstAverageId": True}),
    "receipt for fewer": Script(change=lambda receipt: receipt | {"averageCount": 2}),
    "receipt for another module": Script(change=lambda receipt: receipt | {"module": "plume-02"}),
    "receipt without id": Script(change=lambda receipt: receipt | {"receiptId": ""}),
    "receipt with another signature": Script(
        change=lambda receipt: receipt | {"receivedAt": "2020-01-01"}, resign=False
    ),
    "receipt without signature": Script(change=lambda receipt: receipt | {"signature": None}),
    "receipt of an unknown key": Script(
        change=lambda receipt: receipt | {"signature": {"alg": "ES256", "keyId": "x", "value": "A" * 86 + "=="}}
    ),
    "receipt signed with nothing": Script(
        change=lambda receipt: receipt | {"signature": {"alg": "none", "keyId": "k" * 43, "value": ""}}
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_proves_nothing_is_sent_again_with_the_same_bytes(bench, platform, name):
    keys = bench.add_reports(2)
    platform.script = [AMBIGUOUS[name]]
    bench.run()
    assert [type(error) for error in bench.errors] == [RetryableDelivery]
    first, second, third = platform.posts()
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert first.headers["content-digest"] == second.headers["content-digest"]
    assert third.body != first.body
    assert list(platform.effects) == keys
    check_whole(bench, platform, 6)


def test_reset_at_each_byte_of_the_answer(bench, platform):
    bench.add_reports(1)
    bench.run()
    whole = len(answer(201, next(iter(platform.receipts.values()))))
    cuts = range(0, whole - 1)  # the last byte is the last one of the receipt: one less is no receipt
    bench.add_reports(1, first_id=4)
    platform.script = [Script(cut=cut, is_stored=True) for cut in cuts]
    bench.run()
    assert platform.script == [] and len(bench.errors) >= len(cuts)  # a busy machine adds a time-out now and then
    check_whole(bench, platform, 6)


def test_a_fault_is_said_until_it_is_disproved(bench, platform):
    """A row that waits for its time leaves the sink unwell; a delivery makes it well again."""
    bench.add_reports(1)
    platform.script = [Script(problem(503, "Retry-After: 60"))]
    for _ in range(2):
        with pytest.raises(RetryableDelivery, match="503"):
            bench.stage.step()
        bench.stage.recover(bench.errors)
        bench.clock.advance(5)
    assert len(platform.posts()) == 1
    bench.clock.advance(60)
    assert bench.stage.step() == 0.0
    assert bench.stage.step() is None


def test_retry_after_is_obeyed(bench, platform):
    bench.add_reports(1)
    platform.script = [Script(problem(503, "Retry-After: 7200")), Script(problem(429, "Retry-After: 999999999"))]
    bench.run()
    assert bench.pauses_s[0] == 7200
    assert bench.pauses_s[1] == 86_400
    check_whole(bench, platform, 3)


def test_a_day_of_outage_is_some_hundred_requests_and_then_all_is_there(bench, platform):
    bench.add_reports(50)
    end_s = bench.clock.monotonic_s() + 86_400
    while bench.clock.monotonic_s() < end_s:
        platform.script.append(Script(problem(503)))
        if bench.step() is None:
            bench.clock.advance(1.0)
    platform.script.clear()
    assert 90 < len(platform.posts()) < 400  # a quarter of an hour at most, half of it on average
    assert max(bench.pauses_s) <= 900
    bench.run()
    check_whole(bench, platform, 150)


def test_an_outage_of_the_network_is_waited_out(tmp_path, platform, authority):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = {"base_url": f"https://127.0.0.1:{port}"}
    bench = Bench(tmp_path / "ledger.sqlite", sink_for(platform, authority, **address))
    bench.add_reports(2)
    for _ in range(20):
        bench.step()
    assert {type(error) for error in bench.errors} == {RetryableDelivery}
    assert "refused" in str(bench.errors[0])
    bench.make_sink = sink_for(platform, authority)
    bench.open()
    bench.run()
    check_whole(bench, platform, 6)
    bench.close()


BLOCKING = {
    "403": problem(403),
    "404": problem(404),
    "410": problem(410),
    "402": problem(402),
    "418": problem(418),
    "redirect": answer(307, b"", "Location: https://elsewhere.invalid/v1/reports"),
    "redirect here": answer(301, b"", "Location: /v1/elsewhere"),
}


@pytest.mark.parametrize("name", BLOCKING)
def test_what_a_person_must_mend_keeps_the_rows_and_is_tried_rarely(bench, platform, name):
    bench.add_reports(2)
    platform.script = [Script(BLOCKING[name])] * 2
    bench.run()
    assert [type(error) for error in bench.errors] == [BlockedDelivery] * 2
    assert bench.pauses_s == [3600, 3600]
    assert {request.path for request in platform.requests} == {"/oauth/token", "/v1/reports", "/v1/keys"}
    check_whole(bench, platform, 6)


def test_a_restart_tries_at_once_what_was_blocked(bench, platform):
    bench.add_reports(1)
    platform.script = [Script(problem(403))]
    with pytest.raises(BlockedDelivery):
        bench.stage.step()
    bench.open()
    assert bench.stage.step() == 0.0
    check_whole(bench, platform, 3)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", [{1}, {7, 8}, {12}, {3, 10}])
def test_a_bad_average_is_found_and_set_aside(bench, platform, status, bad):
    bench.add_reports(1, of=12)
    bench.add_reports(1, of=3, first_id=13)

    def judge(body: bytes) -> bytes | None:
        ids = {one["id"] for one in json.loads(body)["averages"]}
        return problem(status, detail="average is bad") if ids & bad else None

    platform.judge = judge
    bench.run()
    assert ids_at(platform) == [one for one in range(1, 16) if one not in bad]
    quarantined = bench.rows("quarantined")
    assert len(quarantined) == len(bad)
    assert all(f"status {status}" in reason and "average is bad" in reason for _, reason in quarantined)
    assert len(bench.proofs()) == bench.states()["closed"] == len(platform.effects)
    assert all(pause >= 1.0 for pause in bench.pauses_s)


def test_a_platform_that_refuses_everything_is_not_believed(bench, platform):
    """Three are set aside, then a person is asked for; an hour later it goes on, and nothing is thrown away."""
    bench.add_reports(1, of=8)
    platform.judge = lambda _body: problem(422, detail="schema has changed")
    for _ in range(40):
        bench.step()
        if bench.errors:
            break
    assert type(bench.errors[0]) is BlockedDelivery and "check the profile" in str(bench.errors[0])
    assert bench.pauses_s[-1] == 3600
    assert bench.states()["quarantined"] == 3
    platform.judge = None
    bench.run()
    assert ids_at(platform) == [4, 5, 6, 7, 8]


def test_one_module_that_is_never_taken_does_not_hold_back_the_others(bench, platform):
    bench.add_reports(1, module="plume-01")
    for index in range(20):
        bench.add_reports(1, module="plume-02", first_id=100 + 3 * index)
    platform.judge = lambda body: problem(409) if json.loads(body)["module"] == "plume-01" else None
    for _ in range(60):
        if bench.step() is None:
            bench.clock.advance(1.0)
    assert len(platform.effects) == 20
    assert bench.states() == {"waiting": 1, "closed": 20}


def test_a_clock_that_is_set_back_by_days_stops_nothing(bench, platform):
    bench.clock.step(30 * 86_400)
    bench.add_reports(1)
    platform.script = [Script(problem(503))]
    bench.step()
    bench.clock.step(-10 * 86_400)
    bench.run()
    check_whole(bench, platform, 3)


# Tokens and secrets


def test_a_token_serves_until_its_last_minute(bench, platform):
    for index in range(60):
        bench.add_reports(1, first_id=1 + 3 * index)
        bench.run()
        bench.clock.advance(60)
    assert sum(request.path == "/oauth/token" for request in platform.requests) == 2  # 3,600 s each, of which 3,540
    check_whole(bench, platform, 180)


def test_a_withdrawn_token_is_renewed_once(bench, platform):
    bench.add_reports(1)
    bench.run()
    platform.token = "canary-token-2"  # noqa: S105 - of the test
    bench.add_reports(1, first_id=4)
    bench.run()
    assert bench.errors == []
    check_whole(bench, platform, 6)


def test_a_new_token_that_is_refused_too_blocks(bench, platform):
    bench.add_reports(1)
    platform.script = [Script(problem(401))] * 4
    bench.run()
    assert [type(error) for error in bench.errors] == [BlockedDelivery] * 2
    assert len(platform.posts()) == 5
    check_whole(bench, platform, 3)


TOKEN_ANSWERS = {
    "refused": (answer(401, {"error": "invalid_client", "error_description": SECRET}), BlockedDelivery),
    "bad request": (answer(400, {"error": "invalid_scope"}), BlockedDelivery),
    "overloaded": (problem(503, "Retry-After: 120"), RetryableDelivery),
    "throttled": (problem(429), RetryableDelivery),
    "no JSON": (answer(200, b"<html>"), RetryableDelivery),
    "no token": (answer(200, {"token_type": "Bearer", "expires_in": 60}), RetryableDelivery),
    "another kind": (answer(200, {"access_token": "t", "token_type": "mac", "expires_in": 60}), RetryableDelivery),
    "a header in it": (answer(200, {"access_token": "t\r\nX: y", "token_type": "Bearer"}), RetryableDelivery),
    "endless": (answer(200, {"access_token": "t" * 9000, "token_type": "Bearer"}), RetryableDelivery),
    "until never": (answer(200, {"access_token": "t", "token_type": "Bearer", "expires_in": "1"}), RetryableDelivery),
}


@pytest.mark.parametrize("name", TOKEN_ANSWERS)
def test_token_answers(bench, platform, name):
    raw, kind = TOKEN_ANSWERS[name]
    platform.token_script = [raw]
    bench.add_reports(1)
    bench.run()
    assert [type(error) for error in bench.errors] == [kind]
    assert SECRET not in str(bench.errors[0])
    check_whole(bench, platform, 3)


def test_no_secret_in_logs_errors_or_ledger(bench, platform, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    platform.script = [Script(problem(401, detail=f"{platform.token} {SECRET}")), *[Script(HTML)] * 2]
    platform.token_script = [answer(403, {"detail": SECRET})]
    bench.add_reports(2)
    bench.run()
    bench.close()
    bench.writer = bench.writer.__class__(bench.path)
    ledger = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for place in (caplog.text, " ".join(map(str, bench.errors)), repr(bench.sink), ledger.decode("latin-1")):
        for secret in (SECRET, platform.token):
            assert secret not in place


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 5000, SECRET.encode()])
def test_a_secret_that_cannot_be_read_blocks_and_names_the_file(tmp_path, platform, authority, content):
    file = tmp_path / "secret"
    if content is not None:
        write_private(file, content)
        file.chmod(0o640 if content == SECRET.encode() else 0o600)
    bench = Bench(tmp_path / "ledger.sqlite", sink_for(platform, authority, secret_file=file))
    bench.add_reports(1)
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and str(file) in str(bench.errors[0])
    write_private(file, SECRET.encode())  # read anew: no restart
    bench.run()
    check_whole(bench, platform, 3)
    bench.close()


# Fuzz: whatever comes, it is an answer, a receipt or a named reason, and the next honest answer is taken


HONEST = answer(201, {"receiptId": "1", "receivedAt": "2026-11-25T00:00:00Z"}, "Date: x", "Retry-After: 1")


ANSWERS = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(0, len(HONEST) - 1), st.binary(min_size=1, max_size=4)).map(
        lambda change: HONEST[: change[0]] + change[1] + HONEST[change[0] + 1 :]
    ),
    st.text(alphabet='{}[]":,0e-\\u1', max_size=60).map(lambda text: answer(201, text.encode())),
    st.integers(100, 999).map(lambda status: answer(status, b"{}")),
)


def test_any_bytes_are_an_answer_or_a_named_reason(platform, authority):
    sink = sink_for(platform, authority)(ManualClock())
    report = build_report("gw-1", [(1, replace(AVERAGE, maximum=4.0))])
    row = OutboxRow(1, "eu", "plume-01", "report", report.key, report.body, (), 0, 0)

    @given(ANSWERS)
    @settings(deadline=None, max_examples=150)
    def check(raw: bytes) -> None:
        platform.script = [Script(raw, cut=len(raw))]
        try:
            sink.deliver([row])
        except (RetryableDelivery, BlockedDelivery, FinalDelivery) as error:
            assert str(error).isprintable()
        platform.script = []
        sink.close()  # the platform may be about to close that connection
        assert len(sink.deliver([row])) == 1

    check()
    sink.close()


# TLS and time


def closed_doors(folder: Path) -> dict[str, tuple[Path, Path, str]]:
    """Certificates that must be refused, and the word that says why."""
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    wrong_host = test_ca.issue(folder, "wrong-host", hosts=("other.example",))
    expired = test_ca.issue(folder, "expired", starts=now - 3 * day, ends=now - day)
    early = test_ca.issue(folder, "early", starts=now + day, ends=now + 2 * day)
    client = test_ca.issue(folder, "as-client", usage="client")
    other = folder.parent / f"{folder.name}-other"
    test_ca.make(other)
    return {
        "wrong host": (wrong_host.certificate, wrong_host.key, "not valid for '127.0.0.1'"),
        "expired": (expired.certificate, expired.key, "expired"),
        "not yet valid": (early.certificate, early.key, "not yet valid"),
        "a client's certificate": (client.certificate, client.key, "purpose"),
        "unknown authority": (other / "server.pem", other / "server.key", "issuer"),
        "self-signed": (other / "ca.pem", other / "ca.key", "self-signed"),
    }


@pytest.mark.parametrize(
    "name", ["wrong host", "expired", "not yet valid", "a client's certificate", "unknown authority", "self-signed"]
)
def test_a_certificate_that_does_not_hold_fails_closed(tmp_path, authority, name):
    certificate, key, word = closed_doors(authority)[name]
    impostor = ScriptedPlatform(certificate, key)
    bench = Bench(tmp_path / "ledger.sqlite", sink_for(impostor, authority))
    bench.add_reports(1)
    for _ in range(3):
        bench.step()
    assert [type(error) for error in bench.errors] == [BlockedDelivery] * 3
    assert "certificate refused" in str(bench.errors[0]) and word in str(bench.errors[0]).lower()
    assert impostor.requests == []
    assert bench.states() == {"waiting": 1}
    bench.close()
    impostor.close()


def test_plain_text_on_the_port_gets_nothing(tmp_path, platform, authority):
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while len(heard) < 2:
                stream, _ = server.accept()
                with stream:
                    heard.append(stream.recv(4096))
                    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        server.settimeout(30.0)
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
        bench = Bench(tmp_path / "ledger.sqlite", sink_for(platform, authority, base_url=address))
        bench.add_reports(1)
        bench.step()
        bench.clock.advance(900)
        bench.step()
        thread.join()
    assert {type(error) for error in bench.errors} == {RetryableDelivery}
    assert len(heard) == 2 and all(raw[:1] == b"\x16" for raw in heard)  # a TLS ClientHello and nothing readable
    assert bench.states() == {"waiting": 1}
    bench.close()


def test_a_missing_authority_file_blocks(tmp_path, platform, authority):
    bench = Bench(tmp_path / "ledger.sqlite", sink_for(platform, authority, ca_file=tmp_path / "none.pem"))
    bench.add_reports(1)
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and "none.pem" in str(bench.errors[0])
    bench.close()


def test_a_clock_before_the_release_delivers_nothing(bench, platform):
    bench.add_reports(1)
    bench.clock.step(-3 * 365 * 86_400)
    bench.step()
    assert type(bench.errors[0]) is BlockedDelivery and "clock" in str(bench.errors[0])
    assert platform.requests == []
    bench.clock.step(3 * 365 * 86_400)
    bench.run()
    check_whole(bench, platform, 3)


def test_a_clock_that_differs_is_told_once(bench, platform, caplog):
    bench.add_reports(3)
    stale = problem(503, "Date: Wed, 21 Oct 2015 07:28:00 GMT")
    platform.script = [Script(stale), Script(stale)]
    bench.run()
    assert caplog.text.count("clock_differs") == 1
