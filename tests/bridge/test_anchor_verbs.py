"""`doctor`, `anchors` and `keys create-gateway`: what a person sees of anchors, in one line each."""

from __future__ import annotations

import json

import pytest

from plumeproof.cli import main
from plumeproof.cli.anchor_checks import check_anchors, check_authority
from plumeproof.config import load_config
from plumeproof.errors import AnchorRefused, BlockedDelivery, ConfigError, RetryableDelivery
from plumeproof.store.lock import LedgerLock
from tests.doubles.openssl_tsa import OpensslTsa
from tests.doubles.witnessed_gateway import HOUR_S, WitnessedGateway

CONFIG = """\
[gateway]
id = "gw-1"
data_dir = "."
[keys]
file = "keys.json"
[[module]]
device = "plume-01"
port = "/dev/none"
[anchors]
key_file = "gateway.key"
"""


@pytest.fixture
def gateway(tmp_path):
    found = WitnessedGateway(tmp_path)
    yield found
    found.writer.close()


def config_of(gateway, more='folders = ["share"]\n'):
    path = gateway.folder / "bridge.toml"
    path.write_text(CONFIG + more)
    return load_config(path)


def test_doctor_says_how_far_the_anchors_are(gateway):
    config = config_of(gateway)
    assert check_anchors(config, False).startswith("none signed yet; kept by folder:")
    gateway.sign()
    assert check_anchors(config, False).startswith("number 1, ")
    with pytest.raises(ConfigError, match="nobody keeps them"):
        check_anchors(config_of(gateway, ""), False)
    gateway.clock.step(-300 * 24 * HOUR_S)
    gateway.sign()
    with pytest.raises(ConfigError, match="hours old though the bridge runs"):
        check_anchors(config, True)
    (gateway.folder / "gateway.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        check_anchors(config, False)


def test_doctor_sees_what_the_signer_will_refuse(gateway):
    config = config_of(gateway)
    gateway.sign()
    beside = gateway.folder / "gateway.key.newest"
    raw = beside.read_bytes()
    beside.unlink()
    with pytest.raises(ConfigError, match="is gone"):
        check_anchors(config, False)
    beside.write_bytes(raw[:-1] + b"\0")
    with pytest.raises(ConfigError, match="signature does not hold"):
        check_anchors(config, False)
    beside.write_bytes(raw)
    for number, sees in ((2, "number 2"), (3, None)):
        gateway.clock.advance(25 * HOUR_S)
        gateway.sign()
        gateway.writer.close()
        gateway.open()
        if sees is None:
            with gateway.writer.transaction() as connection:
                connection.execute("DELETE FROM anchor WHERE number > 1")
            with pytest.raises(ConfigError, match="was put back"):
                check_anchors(config, False)
        else:
            with gateway.writer.transaction() as connection:
                connection.execute("DELETE FROM anchor WHERE number = ?", (number,))
            assert check_anchors(config, False).startswith(sees)  # power failed between key and ledger
            assert gateway.stage.step() is None
    (gateway.folder / "keys.json").write_text(json.dumps([gateway.module.entry()]))
    with pytest.raises(ConfigError, match="not enrolled for anchors"):
        check_anchors(config, False)


def test_doctor_asks_the_time_stamp_authority(gateway, tmp_path):
    with OpensslTsa(tmp_path / "tsa") as tsa:
        config = config_of(gateway, f'tsa_url = "{tsa.url}"\ntsa_certificate_file = "{tsa.root}"\n')
        assert "its stamp holds" in check_authority(config)
        tsa.is_away = True
        with pytest.raises(RetryableDelivery, match="503"):
            check_authority(config)
        tsa.is_away = False
        tsa.spoil = lambda raw: raw[:-1]
        with pytest.raises(BlockedDelivery, match="tsa_certificate_file"):
            check_authority(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[anchors]\nfolders = ["x"]\n', "folders: needs key_file beside it"),
        ('[anchors]\nkey_file = "k"\ntsa_url = "http://t/"\n', "tsa_url: needs tsa_certificate_file beside it"),
        ('[anchors]\nkey_file = "k"\ntsa_certificate_file = "c"\n', "tsa_certificate_file: needs tsa_url beside it"),
        ('[anchors]\nkey_file = "k"\ntsa_url = "ftp://t/"\n', "tsa_url: 'ftp://t/' is no http"),
        ('[anchors]\nkey_file = "k"\nevery_hours = 25\n', "every_hours: 25 is outside 1 to 24"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, text, told):
    path = tmp_path / "bridge.toml"
    path.write_text(CONFIG.partition("[anchors]")[0] + text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert told in str(caught.value) and "anchors" in str(caught.value)


def test_list_and_export(gateway, capsys):
    config_of(gateway)
    file, out = str(gateway.folder / "bridge.toml"), str(gateway.folder / "anchors.jsonl")
    assert main(["anchors", "export", "-c", file, "-o", out]) == 1
    assert "has none" in capsys.readouterr().err
    gateway.sign()
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    assert main(["anchors", "export", "-c", file, "-o", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"anchors": 2, "time_stamped": 0}
    assert main(["anchors", "list", "-c", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["number"], one["modules"]) for one in told["anchors"]] == [(1, {"plume-01": 6}), (2, {"plume-01": 6})]
    assert main(["anchors", "list", "-c", file]) == 0
    assert "2  2026-12-02 01:00:00 UTC  no time-stamp  plume-01 seq 6" in capsys.readouterr().out
    ledger = str(gateway.folder / "ledger.sqlite")
    assert main(["anchors", "export", "--ledger", ledger, "-o", ledger]) == 2
    with gateway.writer.transaction() as connection:
        connection.execute("UPDATE anchor SET statement = x'd2'")
    assert main(["anchors", "list", "-c", file]) == 1
    assert "anchor_cbor: is no anchor that counts" in capsys.readouterr().out


def test_the_next_key_is_named_by_the_old_one(gateway, capsys):
    config_of(gateway)
    file, new = str(gateway.folder / "bridge.toml"), str(gateway.folder / "next.key")
    gateway.sign()
    made = ["keys", "create-gateway", "--key-file", new, "--gateway", "gw-1", "--answer", str(gateway.folder / "a")]
    assert main(made) == 0
    rotate = ["anchors", "rotate", "-c", file, "--next-key"]
    assert main([*rotate, str(gateway.key_file)]) == 2
    assert "is the key that signs now" in capsys.readouterr().err
    lock = LedgerLock(gateway.folder)
    assert main([*rotate, new]) == 2 and "another bridge" in capsys.readouterr().err
    lock.release()
    gateway.writer.close()
    (gateway.folder / "keys.json.lock").write_text("")  # somebody changes the registry: signed already, not entered
    assert main([*rotate, new]) == 2
    (gateway.folder / "keys.json.lock").unlink()
    gateway.open()
    gateway.clock.advance(25 * HOUR_S)
    with pytest.raises(AnchorRefused, match="hands over to kid"):
        gateway.stage.step()
    gateway.writer.close()
    assert main([*rotate, new]) == 0 and "anchor 2 names the next key" in capsys.readouterr().out
    gateway.key_file = gateway.folder / "next.key"
    gateway.open()
    gateway.sign()
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    assert main(["anchors", "list", "-c", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in told["anchors"]] == [1, 2, 3, 4] and not told["findings"]
    keys = json.loads((gateway.folder / "keys.json").read_text())
    assert [(one["valid_from_seq"], one["valid_until_seq"]) for one in keys[1:]] == [(1, 2), (3, None)]


def test_create_gateway(tmp_path, capsys):
    made = ["keys", "create-gateway", "--key-file", str(tmp_path / "g.key"), "--gateway"]
    assert main([*made, "gw-1"]) == 2
    assert "--keys" in capsys.readouterr().err and not (tmp_path / "g.key").exists()
    assert main([*made, "GW 1", "--answer", str(tmp_path / "a.json")]) == 2
    assert not (tmp_path / "g.key").exists()
    assert main([*made, "gw-1", "--answer", str(tmp_path / "a.json"), "--json"]) == 0
    kid = json.loads(capsys.readouterr().out)["kid"]
    enroll = ["keys", "enroll", str(tmp_path / "a.json"), "--purpose", "anchor", "--keys", str(tmp_path / "keys.json")]
    assert main([*enroll, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kid"], told["purpose"], told["device"]) == (kid, "anchor", "gw-1")
    answer = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(answer | {"device": "gw-2"}))
    assert main(["keys", "enroll", str(tmp_path / "b.json"), *enroll[3:]]) == 2
    assert "does not prove" in capsys.readouterr().err
