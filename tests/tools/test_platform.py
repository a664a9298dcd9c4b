"""The reference platform as a real HTTPS service, asked by bare urllib3: every rule of tools/eu_platform/openapi.yaml.

Each answer of `Checked` is validated against the schema that the platform itself serves for path, method and status.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import stat
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

import jsonschema
import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.tools.platform_process import FORM, Client, Wire, digest_of, platform, report

PATHS = (
    "/oauth/token /v1/reports /v1/reports/{receiptId} /v1/anchors /v1/keys /openapi.json /"
    " /reports/{receiptId} /problems/{kind} /static/{name}"
).split()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Checked(Client):
    """A client that validates every answer against the served description."""

    description: dict[str, Any] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        answer = super().ask(method, path, body, **headers)
        if self.description:
            self._check(method, path.partition("?")[0], answer)
        return answer

    def _check(self, method: str, path: str, answer) -> None:
        patterns = {re.sub(r"\{[^/]+\}", "[^/]+", known): known for known in self.description["paths"]}
        known = next((known for pattern, known in patterns.items() if re.fullmatch(pattern, path)), None)
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if known is None or method.lower() not in self.description["paths"][known]:
            # the rules for every path: unknown ones and methods that a path does not have
            assert answer.status in (404, 405), answer.status
            self._validate("#/components/schemas/Problem", answer.json())
            return
        said = self.description["paths"][known][method.lower()]["responses"]
        assert str(answer.status) in said, f"{method} {known}: {answer.status} is not described"
        response = self._resolve(said[str(answer.status)])
        assert media_type in response["content"], f"{media_type} is not described"
        if media_type.endswith("json"):
            schema = response["content"][media_type]["schema"]
            self._validate(schema["$ref"], answer.json()) if "$ref" in schema else None
            if media_type == "application/problem+json":
                assert answer.json()["status"] == answer.status
        for name, header in response.get("headers", {}).items():
            header = self._resolve(header)
            assert not header.get("required") or name in answer.headers, f"{name} is missing"

    def _resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            pointed: Any = self.description
            for part in node["$ref"].removeprefix("#/").split("/"):
                pointed = pointed[part]
            node = pointed
        return node

    def _validate(self, reference: str, value: Any) -> None:
        jsonschema.Draft202012Validator({**self.description, "$ref": reference}).validate(value)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with platform(tmp_path_factory.mktemp("rules")) as found:
        yield found
        assert "Traceback" not in found.said()


@pytest.fixture(scope="module")
def client(running):
    found = Checked(running.url, running.authority, (running.folder / "client.secret").read_text().strip())
    found.description = found.ask("GET", "/openapi.json").json()
    return found


def kind(answer) -> str:
    return answer.json()["type"].removeprefix("/problems/")


def test_served_description_is_the_file_and_is_whole(client):
    assert client.description["openapi"] == "3.1.0"
    assert sorted(client.description["paths"]) == sorted(PATHS)
    assert "not public" in client.description["info"]["description"]
    for schema in client.description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    written = client.description["components"]["schemas"]["Report"]
    assert written["additionalProperties"] is False
    assert written["properties"]["averages"]["items"]["additionalProperties"] is False
    assert re.search(r"/1\.0\.0$", written["$id"])


class TestTokens:
    def test_token(self, client):
        answer = client.ask_token()
        assert answer.status == 200
        token = answer.json()
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
        assert len(base64.urlsafe_b64decode(token["access_token"] + "=")) >= 16
        assert client.ask_token().json()["access_token"] != token["access_token"]

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ("grant_type=password", "unsupported_grant_type"),
            ("", "invalid_request"),
            ("grant_type=", "invalid_request"),
            ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
            ("grant_type=client_credentials&scope=everything", "invalid_scope"),
            ("&".join(f"a{n}=1" for n in range(40)), "invalid_request"),
            ("\u00fc", "invalid_request"),
        ],
    )
    def test_wrong_request(self, client, body, error):
        answer = client.ask_token(body)
        assert (answer.status, answer.json()["error"]) == (400, error)
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        "header", ["", "Basic", "Basic ====", "Basic Z2F0ZXdheQ==", "Bearer x", "Basic " + "A" * 2000]
    )
    def test_wrong_client(self, client, header):
        answer = client.ask_token(Authorization=header)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")

    def test_wrong_secret(self, running):
        for name, secret in (("gateway", "wrong"), ("nobody", running.client().secret)):
            other = Client(running.url, running.authority, secret, name)
            assert other.ask_token().status == 401

    def test_scopes(self, client):
        writing = client.ask_token("grant_type=client_credentials&scope=reports:write").json()
        answer = client.ask("GET", "/v1/reports", Authorization=f"Bearer {writing['access_token']}")
        assert (answer.status, kind(answer)) == (403, "scope-missing")
        reading = client.ask_token("grant_type=client_credentials&scope=reports%3Aread").json()
        answer = client.deliver(report(7), Authorization=f"Bearer {reading['access_token']}")
        assert (answer.status, kind(answer)) == (403, "scope-missing")

    def test_no_or_foreign_token(self, client):
        for path in ("/v1/reports", "/v1/reports/" + "0" * 32):
            assert kind(client.ask("GET", path)) == "no-token"
            for token in ("Bearer", "Bearer ", "Bearer x", "Basic eA==", "Bearer " + "x" * 9000, client.bearer + "x"):
                answer = client.ask("GET", path, Authorization=token)
                assert (answer.status, kind(answer)) == (401, "token-refused"), token

    def test_tokens_run_out(self, tmp_path):
        with platform(tmp_path, "--token-s", "1") as short:
            client = short.client()
            assert client.ask_token().json()["expires_in"] == 1
            assert client.deliver(report()).status == 201
            time.sleep(1.1)
            assert kind(client.deliver(report())) == "token-refused"

    def test_nothing_secret_is_stored_or_logged(self, running, client):
        token = client.bearer.removeprefix("Bearer ")
        client.deliver(report(8))
        client.ask("GET", f"/v1/reports?cursor={token}", Authorization=client.bearer)
        octets = b"".join(path.read_bytes() for path in running.folder.glob("platform.sqlite*"))
        for secret in (token, client.secret):
            assert secret.encode() not in octets
            assert secret not in running.said()
            assert secret not in (running.folder / "clients.json").read_text()

    def test_files_are_for_the_owner(self, running):
        for name in ("client.secret", "clients.json", "receipt.key"):
            assert stat.S_IMODE((running.folder / name).stat().st_mode) == 0o600, name

    def test_named_client_with_a_secret_file(self, tmp_path):
        (tmp_path / "secret").write_text("a long enough secret+/%\n")
        with platform(tmp_path, "--client", "bridge", "--secret-file", str(tmp_path / "secret")) as other:
            client = Client(other.url, other.authority, "a long enough secret+/%", "bridge")
            assert client.deliver(report()).status == 201
            assert not (other.folder / "clients.json").exists()


class TestDelivery:
    def test_receipt(self, client):
        what = report(100)
        body = rfc8785.dumps(what)
        before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
        answer = client.deliver(body, "batch-100")
        assert answer.status == 201
        receipt = answer.json()
        assert answer.headers["location"] == f"/v1/reports/{receipt['receiptId']}"
        assert answer.headers["content-digest"] == digest_of(answer.data)
        assert before <= dt.datetime.fromisoformat(receipt["receivedAt"]) <= dt.datetime.now(dt.UTC)
        expected = {"idempotencyKey": "batch-100", "contentDigest": digest_of(body), "module": "plume-01"}
        expected |= {"firstAverageId": 100, "lastAverageId": 101, "averageCount": 2}
        assert {name: receipt[name] for name in expected} == expected
        assert set(receipt) == {*expected, "receiptId", "receivedAt", "signature"}

    def test_signature(self, client):
        receipts = [client.deliver(report(first)).json() for first in range(200, 216, 2)]
        (jwk,) = client.ask("GET", "/v1/keys").json()["keys"]
        x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "="), "big") for name in "xy")
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        for receipt in receipts:
            signature = receipt.pop("signature")
            assert (signature["alg"], signature["keyId"]) == ("ES256", jwk["kid"])
            value = base64.b64decode(signature["value"], validate=True)
            r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
            assert len(value) == 64 and s <= ORDER // 2
            der = encode_dss_signature(r, s)
            public.verify(der, rfc8785.dumps(receipt), ec.ECDSA(hashes.SHA256()))
            with pytest.raises(InvalidSignature):
                public.verify(der, rfc8785.dumps({**receipt, "averageCount": 3}), ec.ECDSA(hashes.SHA256()))

    def test_again_is_the_original_answer(self, client):
        first = client.deliver(report(300))
        for _ in range(3):
            again = client.deliver(report(300))
            assert (again.status, again.data) == (200, first.data)
            assert again.headers["location"] == first.headers["location"]
        entry = next(entry for entry in client.listed() if entry["receiptId"] == first.json()["receiptId"])
        assert entry["deliveries"] == 4

    def test_same_key_other_body(self, client):
        first = client.deliver(report(310), "key-310")
        other = client.deliver(report(312), "key-310")
        assert (other.status, kind(other)) == (422, "idempotency-key-reused")
        assert client.deliver(report(310), "key-310").data == first.data

    def test_same_body_under_other_key_is_another_report(self, client):
        assert client.deliver(report(320), "key-320").status == 201
        assert client.deliver(report(320), "key-321").status == 201

    def test_refused_request_leaves_its_key_unused(self, client):
        assert client.deliver(report(330, extra=1), "key-330").status == 422
        assert client.deliver(report(330), "key-330").status == 201

    @pytest.mark.parametrize(
        "key", ["", "abc", '"', '""', '"a b"', '"ä"', '"a", "b"', f'"{"k" * 129}"', '"a";b=1', "?1"]
    )
    def test_key_header(self, client, key):
        answer = client.deliver(report(340), Idempotency_Key=key)
        assert answer.status == 400
        assert kind(answer) == ("idempotency-key-malformed" if key else "idempotency-key-missing")

    def test_longest_key(self, client):
        assert client.deliver(report(350), "k" * 128).status == 201

    @pytest.mark.parametrize(
        ("digest", "expected"),
        [
            ("", "content-digest-missing"),
            ("sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", "content-digest-malformed"),
            ("sha-512=:AAAA:", "content-digest-malformed"),
            ("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "content-digest-mismatch"),
        ],
    )
    def test_digest_header(self, client, digest, expected):
        answer = client.deliver(report(360), Content_Digest=digest)
        assert (answer.status, kind(answer)) == (400, expected)

    def test_digest_vector_of_the_reference(self):
        assert digest_of(b'{"hello": "world"}') == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"

    @pytest.mark.parametrize("media_type", ["", "text/plain", "application/problem+json", FORM])
    def test_media_type(self, client, media_type):
        assert kind(client.deliver(report(370), Content_Type=media_type)) == "media-type"

    def test_media_type_with_parameter_and_encoding(self, client):
        assert client.deliver(report(372), Content_Type="Application/JSON; charset=utf-8").status == 201
        assert client.deliver(report(374), Content_Encoding="gzip").status == 415

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[NaN]", b"[1e999]", b'{"a":1,"a":1}', b'"\\ud800"', b"[" * 200_000]
        + [b"[" + b"9" * 5000 + b"]", b"{} x"],
    )
    def test_body_that_is_no_json(self, client, body):
        answer = client.deliver(body, "key-380")
        assert (answer.status, kind(answer)) == (400, "malformed-body")

    def test_errors_point_to_every_place(self, client):
        what = report(390)
        what["averages"][0]["unit"] = ""
        what["averages"][1]["headHash"] = "f" * 64 + "\n"  # Python's $ would take it
        del what["averages"][1]["rule"]
        what["a~b/c"] = 1
        answer = client.deliver(what)
        assert (answer.status, kind(answer)) == (422, "report-refused")
        found = {(error["pointer"], error["code"]) for error in answer.json()["errors"]}
        assert ("", "additionalProperties") in found
        assert ("/averages/1", "required") in found
        assert ("/averages/1/headHash", "pattern") in found
        assert {pointer for pointer, _ in found} == {"", "/averages/0/unit", "/averages/1", "/averages/1/headHash"}

    @pytest.mark.parametrize(
        ("place", "change"),
        [
            ("/averages/1/id", {"id": 400}),
            ("/averages/1/id", {"id": 399}),
            ("/averages/1/end", {"end": "2026-11-25T01:01:00.001Z"}),
            ("/averages/1/end", {"start": "2026-11-25T01:01:00Z"}),
            ("/averages/1/start", {"start": "2026-02-30T01:00:00Z"}),
            ("/averages/1/firstSeq", {"firstSeq": 1204}),
            ("/averages/1/mean", {"mean": 1.0}),
            ("/averages/1/mean", {"mean": 3.0, "minimum": 1.0, "maximum": 2.0}),
            ("/averages/1/mean", {"mean": 1.5, "minimum": 2.0, "maximum": 1.0}),
            ("/averages/1/mean", {"deviation": 0.1}),
            ("/averages/1/start", {"start": "2026-11-25T01:00:00+00:00"}),
            ("/averages/1/mean", {"mean": "1"}),
            ("/averages/1/valid", {"valid": True}),
            ("/averages/1/invalid", {"invalid": {"\u00e4": 1}}),
        ],
    )
    def test_rules_of_an_average(self, client, place, change):
        what = report(400)
        what["averages"][1] |= change
        answer = client.deliver(what)
        assert answer.status == 422
        assert place in [error["pointer"] for error in answer.json()["errors"]]

    def test_rounding_of_a_mean_is_no_fault(self, client):
        what = report(410)
        what["averages"][1] |= {"minimum": 0.1, "maximum": 0.1, "mean": 0.09999999999999999, "deviation": 0}
        assert client.deliver(what).status == 201

    def test_most_averages(self, client):
        averages = [{**report()["averages"][0], "id": 500 + index} for index in range(501)]
        assert client.deliver(report(averages=averages[:500])).json()["averageCount"] == 500
        assert client.deliver(report(averages=averages)).status == 422
        assert client.deliver(report(averages=[])).status == 422

    def test_size_limit(self, client):
        fits = rfc8785.dumps(report(1100))
        fits = fits[:-1] + b" " * ((1 << 20) - len(fits)) + b"}"
        assert len(fits) == 1 << 20
        assert client.deliver(fits).status == 201
        for size in (1, 1 << 20):
            answer = client.deliver(fits + b" " * size)
            assert (answer.status, kind(answer)) == (413, "body-too-large")

    def test_other_clients_see_nothing(self, tmp_path):
        with platform(tmp_path) as first:
            mine = first.client().deliver(report(), "key").json()
            assert first.stop() == 0
        (tmp_path / "secret").write_text("another long secret")
        with platform(tmp_path, "--client", "other", "--secret-file", str(tmp_path / "secret")) as second:
            other = Client(second.url, second.authority, "another long secret", "other")
            assert other.listed() == []
            assert other.read(f"/v1/reports/{mine['receiptId']}").status == 404
            assert other.deliver(report(77), "key").status == 201, "keys belong to their client"

    def test_reading_back(self, client):
        what = report(1200)
        receipt = client.deliver(what).json()
        stored = client.read(f"/v1/reports/{receipt['receiptId']}").json()
        assert stored["report"] == what
        assert {name: stored[name] for name in receipt} == receipt
        assert (stored["gateway"], stored["interval_s"], stored["deliveries"]) == ("gateway-01", 60, 1)
        assert (stored["periodStart"], stored["periodEnd"]) == ("2026-11-25T01:00:00Z", "2026-11-25T01:01:00Z")

    def test_paging(self, client):
        receipts = [client.deliver(report(first)).json()["receiptId"] for first in range(1300, 1314, 2)]
        found, cursor, pages = [], None, []
        while cursor is not None or not pages:
            page = client.read("/v1/reports?limit=3" + (f"&cursor={cursor}" if cursor else "")).json()
            assert 1 <= len(page["reports"]) <= 3
            pages.append(page)
            found += [entry["receiptId"] for entry in page["reports"]]
            assert page == client.read("/v1/reports?limit=3" + (f"&cursor={cursor}" if cursor else "")).json()
            cursor = page["next"]
        assert found[-7:] == receipts and len(set(found)) == len(found)

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=201", "limit=x", "cursor=5", "cursor=", "limit=1&limit=1", "a=1"]
    )
    def test_wrong_query(self, client, query):
        answer = client.read(f"/v1/reports?{query}")
        assert (answer.status, kind(answer)) == (400, "malformed-query")


class TestConcurrency:
    def test_one_key_from_many_sides(self, running, client):
        for first in range(2000, 2020, 2):
            gate, answers = threading.Barrier(12), []

            def deliver(first=first, gate=gate, answers=answers):
                gate.wait()
                answers.append(client.deliver(report(first)))

            threads = [threading.Thread(target=deliver) for _ in range(12)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            codes = sorted(answer.status for answer in answers)
            assert codes.count(201) == 1 and set(codes) <= {200, 201, 409}
            assert len({answer.data for answer in answers if answer.status != 409}) == 1
            key = next(answer.json()["idempotencyKey"] for answer in answers if answer.status == 201)
            (entry,) = [entry for entry in client.listed() if entry["idempotencyKey"] == key]
            assert entry["deliveries"] == 12

    def test_in_flight(self, tmp_path):
        with platform(tmp_path, "--fault", "hold:ms=700:count=1") as slow:
            client = slow.client()
            assert client.bearer
            first = []
            thread = threading.Thread(target=lambda: first.append(client.deliver(report(), "key")))
            thread.start()
            time.sleep(0.3)
            for what in (report(), report(99)):
                answer = client.deliver(what, "key")
                assert (answer.status, kind(answer)) == (409, "request-in-flight")
                assert int(answer.headers["retry-after"]) >= 1
            assert client.deliver(report(5), "other key's is free".replace(" ", "-").replace("'", "")).status == 201
            thread.join()
            assert first[0].status == 201
            assert client.deliver(report(), "key").data == first[0].data


class TestHttp:
    def test_date_header_is_right(self, client):
        away = parsedate_to_datetime(client.ask("GET", "/v1/keys").headers["date"]) - dt.datetime.now(dt.UTC)
        assert abs(away.total_seconds()) < 2.5

    @pytest.mark.parametrize(
        "path", ["/nothing", "/v1", "/v2/reports", "/v1/reports/", "/static/../app.py", "/control"]
    )
    def test_unknown_path(self, client, path):
        answer = client.ask("GET", path)
        assert (answer.status, kind(answer)) == (404, "not-found")
        assert answer.json()["instance"] == path.replace("/static/..", "") or path == "/v1/reports/"

    @pytest.mark.parametrize("path", ["/v1/reports", "/oauth/token", "/", "/v1/keys"])
    def test_other_methods(self, client, path):
        answer = client.ask("DELETE", path)
        assert (answer.status, kind(answer)) == (405, "method-not-allowed")
        assert "DELETE" not in answer.headers["allow"]

    def test_foreign_host(self, client):
        for host in ("evil.example", "127.0.0.1.evil.example:1", "localhost.", ""):
            answer = client.ask("GET", "/v1/keys", Host=host)
            assert (answer.status, kind(answer)) == (421, "foreign-host"), host
        assert client.ask("GET", "/v1/keys", Host="LOCALHOST").status == 200

    @pytest.mark.parametrize("size", [16_400, 20_000, 1_000_000])
    def test_large_headers(self, running, size):
        with Wire(running) as wire:
            wire.send(b"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n")
            head, _, body = wire.read_all().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ") and json.loads(body)["type"] == "/problems/headers-too-large"

    def test_headers_at_the_limit(self, client):
        assert client.ask("GET", "/v1/keys", X="a" * 16_000).status == 200

    @pytest.mark.parametrize("octets", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 50 + b"\r\n\r\n"])
    def test_what_is_no_http(self, running, octets):
        with Wire(running) as wire:
            wire.send(octets)
            head, _, body = wire.read_all().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in head
        assert json.loads(body)["type"] == "/problems/unreadable-request"

    def test_body_that_never_ends(self, running, client):
        with Wire(running) as wire:
            lines = ["POST /v1/reports HTTP/1.1", "Host: localhost", f"Authorization: {client.bearer}"]
            wire.send(
                "\r\n".join([*lines, "Content-Type: application/json", "Transfer-Encoding: chunked", "", ""]).encode()
            )
            chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
            with pytest.raises(OSError):
                for _ in range(4000):  # 250 MiB
                    wire.send(chunk)
            assert b"HTTP/1.1 413 " in wire.read_all() or wire.was_reset

    def test_problems_are_explained(self, client):
        answer = client.read("/v1/reports?limit=0")
        page = client.ask("GET", answer.json()["type"])
        assert page.status == 200 and b"A query parameter is malformed" in page.data

    def test_trace_id_is_in_the_log(self, running, client):
        trace_id = client.ask("GET", "/nothing").json()["traceId"]
        while trace_id not in running.said():  # written after the answer has left
            time.sleep(0.01)
        assert "status=404" in next(line for line in running.said().splitlines() if trace_id in line)
