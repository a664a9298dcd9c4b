"""Anchors in bundles: what was left out before an export shows, and who signed a manifest is known."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785

from plumeproof.bundle.zip import BundleWriter, read_member, read_members
from plumeproof.cli import main
from plumeproof.enrolment import Registry
from plumeproof.gateway_key import GatewayKey, create_gateway_key
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.chained_module import ChainedModule
from tests.doubles.timed_module import build_set, store_all
from tests.doubles.witnessed_gateway import GATEWAY, HOUR_S, WitnessedGateway

TOOLS = Path(__file__).resolve().parents[2] / "tools"
DAYS = ["--from", "2026-12-01", "--to", "2026-12-04"]


@pytest.fixture
def gateway(tmp_path):
    """Two modules; the second falls silent behind its first records. Three days, an anchor a day."""
    found = WitnessedGateway(tmp_path)
    silent = ChainedModule("plume-02", build_set().replace(b"plume-01", b"plume-02"), secret=1001)
    silent.start()
    silent.sample([(0, 100.0, 10, False)] * 3)
    keys = json.loads((tmp_path / "keys.json").read_text())
    (tmp_path / "keys.json").write_text(json.dumps([silent.entry(), *keys]))
    store_all(SqliteLedger(found.writer, found.clock), silent.sealed)
    found.writer.close()
    found.open()
    found.raws = []
    for _ in range(3):
        found.raws.append(found.sign())
        found.clock.advance(24 * HOUR_S)
        found.module.wait(86_400_000)
        found.measure(3)
    yield found
    found.writer.close()


def export(gateway, name="b.zip", days=DAYS, key=True):
    folder = gateway.folder
    options = ["--ledger", folder / "ledger.sqlite", "--keys", folder / "keys.json", "-o", folder / name, *days]
    options += ["--gateway-key", gateway.key_file] if key else []
    assert main(["evidence", "export", *map(str, options)]) == 0
    return folder / name


def verify(gateway, bundle, capsys, *more):
    capsys.readouterr()
    options = [str(bundle), "--keys", str(gateway.folder / "keys.json"), *map(str, more), "--json"]
    status = main(["evidence", "verify", *options])
    return status, json.loads(capsys.readouterr().out)


def codes(told):
    return [(one["code"], one["device"]) for one in told["findings"]]


def second(gateway, bundle):
    """What the two small programs say together."""
    status, told = 0, {"findings": []}
    for name in ("second_verifier.py", "second_witness.py"):
        command = [sys.executable, str(TOOLS / name), str(bundle), "--keys", str(gateway.folder / "keys.json")]
        ended = subprocess.run(command, capture_output=True, text=True)
        said = json.loads(ended.stdout)
        status, told = max(status, ended.returncode), told | said | {"findings": told["findings"] + said["findings"]}
    return status, told


def contents(bundle):
    with bundle.open("rb") as file:
        return {name: b"".join(read_member(file, one)) for name, one in read_members(file).items()}


def sealed_again(bundle, members):
    """Altered members under a manifest that fits; its signature is left out unless it is among them."""
    manifest = json.loads(members["manifest.json"])
    data = {name: raw for name, raw in members.items() if name.startswith("data/")}
    manifest["members"] = [[name, len(raw), hashlib.sha256(raw).hexdigest()] for name, raw in sorted(data.items())]
    whole = rfc8785.dumps(manifest)
    data |= {"manifest.json": whole, "manifest.sha256": hashlib.sha256(whole).hexdigest().encode()}
    data |= {"manifest.cose": members["manifest.cose"]} if "manifest.cose" in members else {}
    file = io.BytesIO()
    writer = BundleWriter(file)
    for name, raw in sorted(data.items()):
        writer.add(name, [raw])
    writer.finish()
    bundle.write_bytes(file.getvalue())
    return bundle


def test_a_bundle_brings_its_anchors_and_who_signed_it(gateway, capsys):
    bundle = export(gateway)
    again = export(gateway, "again.zip")
    assert bundle.read_bytes() == again.read_bytes(), "one period of one ledger has one form"
    status, told = verify(gateway, bundle, capsys)
    assert status == 0 and (told["anchors"], told["manifest_signed_by"]) == (3, GATEWAY)
    assert any("named with --anchor" in one for one in told["limits"])
    assert second(gateway, bundle)[0] == 0
    status, told = verify(gateway, bundle, capsys, "--anchor", keep(gateway, gateway.raws[-1]))
    assert status == 0 and not any("named with --anchor" in one for one in told["limits"])
    page = gateway.folder / "page.html"
    assert main(["evidence", "verify", str(bundle), "--html", str(page)]) == 0
    assert "Manifest signed by gateway" in page.read_text() and "gw-1" in page.read_text()


def keep(gateway, raw, name="kept.cose"):
    (gateway.folder / name).write_bytes(raw)
    return gateway.folder / name


def test_a_module_that_is_silent_has_its_anchored_record_there(gateway, capsys):
    days = ["--from", "2026-12-02", "--to", "2026-12-03"]
    bundle = export(gateway, days=days)
    stated = {one["device"]: one for one in json.loads(contents(bundle)["manifest.json"])["devices"]}
    assert (stated["plume-02"]["record_count"], stated["plume-02"]["last_seq"]) == (1, 3)
    assert verify(gateway, bundle, capsys)[0] == 0


@pytest.mark.parametrize("days", [DAYS, ["--from", "2026-12-03", "--to", "2026-12-04"]])
def test_records_that_were_cut_before_the_export_are_named(gateway, capsys, days):
    kept = keep(gateway, gateway.raws[-1])
    gateway.cut(5)  # two of them are stated by the newest anchor
    bundle = export(gateway, days=days)
    status, told = verify(gateway, bundle, capsys)
    assert status == 0 and any("No anchor lies in this period" in one for one in told["limits"])
    status, told = verify(gateway, bundle, capsys, "--anchor", kept)
    assert status == 1 and codes(told)[0] == ("tail_cut", "plume-01")


def test_a_module_that_was_left_out_is_named(gateway, capsys):
    kept = keep(gateway, gateway.raws[-1])
    with gateway.writer.transaction() as connection:
        connection.execute("DELETE FROM record WHERE device = 'plume-02'")
        connection.execute("DELETE FROM head WHERE device = 'plume-02'")
        connection.execute("DELETE FROM anchor")
    status, told = verify(gateway, export(gateway), capsys, "--anchor", kept)
    assert status == 1 and codes(told) == [("tail_cut", "plume-02")]


def test_anchors_and_records_left_out_together_show_against_a_keeper_only(gateway, capsys):
    """Who holds the gateway's key can sign such a bundle too; what a keeper has he cannot change."""
    bundle = export(gateway)
    members = contents(bundle)
    lines = members["data/anchors.jsonl"].splitlines(keepends=True)
    fewer = sealed_again(gateway.folder / "fewer.zip", members | {"data/anchors.jsonl": b"".join(lines[:-1])})
    status, told = verify(gateway, fewer, capsys)
    assert status == 1 and codes(told) == [("manifest_signature", None)]
    assert second(gateway, fewer)[0] == 1
    del members["manifest.cose"]
    bare = sealed_again(gateway.folder / "bare.zip", members | {"data/anchors.jsonl": b"".join(lines[:-1])})
    status, told = verify(gateway, bare, capsys)
    assert status == 0 and any("no signature" in one for one in told["limits"])


def test_every_line_is_judged(gateway, capsys):
    bundle = export(gateway, key=False)
    members = contents(bundle)
    raw = members["data/anchors.jsonl"]
    for at in range(0, len(raw), 131):
        turned = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        changed = sealed_again(gateway.folder / "turned.zip", members | {"data/anchors.jsonl": turned})
        status, told = verify(gateway, changed, capsys)
        assert status == 1 and all(code.startswith("anchor") for code, _ in codes(told)), at
    lines = raw.splitlines(keepends=True)
    for altered in (lines[0] * 2, b"".join(lines[::-1]), raw[:-1], raw.replace(b'"number":2', b'"number":5')):
        changed = sealed_again(gateway.folder / "turned.zip", members | {"data/anchors.jsonl": altered})
        if altered not in (lines[0] * 2, b"".join(lines[::-1])):
            assert codes(verify(gateway, changed, capsys)[1]) == [("anchor_line", None)]


def test_every_bit_of_the_manifests_signature_counts(gateway, capsys):
    bundle = export(gateway)
    members = contents(bundle)
    for at in range(0, len(members["manifest.cose"]) * 8, 83):
        turned = bytearray(members["manifest.cose"])
        turned[at // 8] ^= 1 << at % 8
        changed = sealed_again(gateway.folder / "turned.zip", members | {"manifest.cose": bytes(turned)})
        assert codes(verify(gateway, changed, capsys)[1]) == [("manifest_signature", None)], at
    with Registry(gateway.folder / "keys.json") as registry:
        registry.revoke(GatewayKey(gateway.key_file).kid, 2, "stolen")
    status, told = verify(gateway, bundle, capsys)
    assert status == 1 and ("manifest_signature", None) in codes(told) and ("anchor_key_revoked", None) in codes(told)
    assert second(gateway, bundle)[0] == 1


@pytest.mark.parametrize("name", ["manifest.cose", "data/anchors.jsonl"])
def test_a_member_that_is_too_large_is_named(gateway, capsys, monkeypatch, name):
    members = contents(export(gateway))
    monkeypatch.setattr("plumeproof.bundle.checking.LINES_MAX_BYTES", 1000)
    large = sealed_again(gateway.folder / "large.zip", members | {name: bytes(300_000)})
    assert codes(verify(gateway, large, capsys)[1]) == [("too_large", None)]


def test_who_may_not_sign_does_not(gateway, capsys):
    create_gateway_key(gateway.folder / "stranger.key", GATEWAY)
    gateway.key_file = gateway.folder / "stranger.key"
    options = ["--ledger", gateway.folder / "ledger.sqlite", "--keys", gateway.folder / "keys.json"]
    options += ["-o", gateway.folder / "x.zip", "--gateway-key", gateway.key_file, *DAYS]
    assert main(["evidence", "export", *map(str, options)]) == 2
    assert "is not enrolled for anchors" in capsys.readouterr().err and not (gateway.folder / "x.zip").exists()
