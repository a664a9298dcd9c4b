"""The platform as a witness: what extends is kept and given back, anything else is refused, over restarts too."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
import rfc8785

from plumeproof.evidence.anchor import build_anchor
from plumeproof.evidence.statement import ANCHOR_TYPE, MANIFEST_TYPE
from plumeproof.gateway_key import create_gateway_key
from plumeproof.model import Anchor
from tests.tools.platform_process import digest_of, platform


def head(seq, mark=b"h", count=None, device="plume-01"):
    return Anchor(device, seq, mark * 32, seq if count is None else count)


class Witnessed:
    """A gateway's key and what it has signed."""

    def __init__(self, folder, name="gateway.key"):
        self.key, _ = create_gateway_key(folder / name, "gw-1")

    def body(self, own_number, prev, heads, gateway="gw-1", kind=ANCHOR_TYPE, next_kid=None, **changes):
        raw = self.key.sign(kind, build_anchor(gateway, own_number, prev, 1, heads, next_kid))
        fields = {
            "schema": "plumeproof-anchor/1",
            "gateway": "gw-1",
            "number": own_number,
            "publicKey": base64.b64encode(self.key.public_key).decode(),
            "statement": base64.b64encode(raw).decode(),
        }
        return rfc8785.dumps(fields | changes)


def deliver(client, body, key=None):
    named = f'"{key or hashlib.sha256(body).hexdigest()}"'
    headers = {"Content_Type": "application/json", "Idempotency_Key": named, "Content_Digest": digest_of(body)}
    return client.ask("POST", "/v1/anchors", body, Authorization=client.bearer, **headers)


def hash_in(answer):
    return bytes.fromhex(answer.json()["contentHash"])


def test_a_witness_keeps_what_extends(tmp_path):
    own, other = Witnessed(tmp_path), Witnessed(tmp_path, "other.key")
    with platform(tmp_path / "platform") as service:
        client = service.client()
        bodies = [own.body(1, bytes(32), [head(5)])]
        answers = [deliver(client, bodies[0])]
        assert answers[0].status == 201 and answers[0].json()["number"] == 1
        again = deliver(client, bodies[0])
        assert again.status == 200 and again.data == answers[0].data
        assert (
            deliver(client, own.body(1, bytes(32), [head(6)]), key=hashlib.sha256(bodies[0]).hexdigest()).status == 422
        )
        refused = deliver(client, other.body(2, hash_in(answers[0]), [head(9, b"i", 8)]))
        assert refused.status == 422 and "which has not named it" in refused.json()["detail"]
        bodies.append(own.body(2, hash_in(answers[0]), [head(9, b"i", 8)], next_kid=other.key.kid))
        answers.append(deliver(client, bodies[1]))
        assert answers[1].status == 201
        prev = hash_in(answers[1])
        service.kill()
        service.start()
        client = service.client()
        left, own, other = own, other, own  # the other key goes on
        refused = {
            "the key before": left.body(3, prev, [head(20, b"m", 19)]),
            "older": own.body(1, bytes(32), [head(20, b"m", 19)]),
            "same number": own.body(2, hash_in(answers[0]), [head(20, b"m", 19)]),
            "other predecessor": own.body(3, bytes(32), [head(20, b"m", 19)]),
            "smaller": own.body(3, prev, [head(8, b"i")]),
            "fewer": own.body(3, prev, [head(10, b"k", 7)]),
            "another": own.body(3, prev, [head(9, b"k", 8)]),
            "more than there are numbers": own.body(3, prev, [head(10, b"k", 10)]),
            "a module less": own.body(3, prev, [head(20, b"m", 19, "plume-02")]),
            "other gateway inside": own.body(3, prev, [head(20, b"m", 19)], gateway="gw-2"),
            "other number": own.body(3, prev, [head(20, b"m", 19)], number=4),
            "another kind": own.body(3, prev, [head(20, b"m", 19)], kind=MANIFEST_TYPE),
            "key of another": own.body(
                3, prev, [head(20, b"m", 19)], publicKey=base64.b64encode(other.key.public_key).decode()
            ),
            "no statement": own.body(3, prev, [head(20, b"m", 19)], statement="AAAA" * 40),
        }
        for name, body in refused.items():
            answer = deliver(client, body)
            assert (answer.status, answer.json()["type"]) == (422, "/problems/anchor-refused"), name
        raw = json.loads(own.body(3, prev, [head(20, b"m", 19)]))
        statement = base64.b64decode(raw["statement"])
        for at in (0, 1, 60, len(statement) // 2, len(statement) - 1):
            turned = statement[:at] + bytes([statement[at] ^ 1]) + statement[at + 1 :]
            broken = rfc8785.dumps(raw | {"statement": base64.b64encode(turned).decode()})
            assert deliver(client, broken).status == 422, at
        rotated = own.body(3, prev, [head(20, b"m", 19)])
        assert deliver(client, rotated).status == 201
        listed = client.read("/v1/anchors?limit=2").json()
        rest = client.read(f"/v1/anchors?cursor={listed['next']}").json()
        found = [one["statement"] for one in listed["anchors"] + rest["anchors"]]
        assert found == [json.loads(body)["statement"] for body in (*bodies, rotated)] and rest["next"] is None


@pytest.mark.parametrize("missing", ["Authorization", "Content_Digest", "Idempotency_Key", "Content_Type"])
def test_headers_are_asked_for(missing, shared):
    client, own = shared
    body = own.body(1, bytes(32), [head(5)])
    headers = {
        "Authorization": client.bearer, "Content_Type": "application/json", "Content_Digest": digest_of(body),
        "Idempotency_Key": '"k"',
    }  # fmt: skip
    del headers[missing]
    status = {"Authorization": 401, "Content_Type": 415}.get(missing, 400)
    assert client.ask("POST", "/v1/anchors", body, **headers).status == status


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    with platform(folder / "platform") as service:
        yield service.client(), Witnessed(folder)
