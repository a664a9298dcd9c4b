"""The configuration: every refusal names file, line, key, reason and mend; the sample is a configuration."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pytest

from plumeproof import config as settings
from plumeproof.cli.config import SAMPLE
from plumeproof.config import Config, effective, load_config, parse_config
from plumeproof.errors import ConfigError

FILE = Path("/etc/plumeproof/bridge.toml")
GOOD = """\
[gateway]
id = "gw-1"
data_dir = "data"

[keys]
file = "keys.json"

[[module]]
device = "plume-01"
port = "/dev/ttyUSB0"

[[module]]
device = "plume-02"
port = "/dev/ttyUSB1"
baud = 9600

[averaging]
intervals_s = [10, 60]
grace_s = 2

[[sink.mqtt]]
name = "plant"
host = "broker.example"
port = 8883
ca_file = "ca.pem"

[[sink.https]]
name = "eu"
profile = "eu-carbon-cloud"
base_url = "https://platform.example/api/"
client_id = "gw-1"
secret_file = "eu.secret"
report_interval_s = 60
"""

URL = 'base_url = "https://platform.example/api/"'


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, FILE)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_and_paths():
    config = parse_config(GOOD, FILE)
    assert config.gateway.ledger_file == Path("/etc/plumeproof/data/ledger.sqlite")
    assert config.keys.file == Path("/etc/plumeproof/keys.json")
    assert [(module.device, module.baud) for module in config.modules] == [("plume-01", 115_200), ("plume-02", 9_600)]
    assert config.averaging.intervals_s == (10, 60)
    assert config.https_sinks[0].base_url == "https://platform.example/api"
    assert config.dashboard.host == "127.0.0.1"
    assert config.mqtt_sinks[0].ca_file == Path("/etc/plumeproof/ca.pem")


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(GOOD.splitlines(), 1) if line == text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("baud = 9600", "bauds = 9600", ("module.bauds", "no known key", "LINE")),
        ("baud = 9600", 'baud = "9600"', ("module.baud", "none of", "LINE")),
        ("baud = 9600", "baud = 9601", ("module.baud", "none of 9600", "LINE")),
        ('id = "gw-1"', 'id = "GW 1"', ("gateway.id", "no gateway id", "LINE")),
        ('id = "gw-1"', "id = 7", ("gateway.id", "must be text in quotes", "LINE")),
        ('data_dir = "data"', 'data_dir = ""', ("gateway.data_dir", "no path", "LINE")),
        ("grace_s = 2", "grace_s = 2.5", ("averaging.grace_s", "must be an integer", "LINE")),
        ("grace_s = 2", "grace_s = -1", ("averaging.grace_s", "outside 0", "LINE")),
        ("grace_s = 2", "grace_s = true", ("averaging.grace_s", "must be an integer", "LINE")),
        ("intervals_s = [10, 60]", "intervals_s = [10, 61]", ("intervals_s", "61 s does not divide", "LINE")),
        ("intervals_s = [10, 60]", "intervals_s = [60, 60]", ("intervals_s", "twice", "LINE")),
        ("intervals_s = [10, 60]", "intervals_s = []", ("intervals_s", "is empty", "LINE")),
        ("intervals_s = [10, 60]", "intervals_s = 60", ("intervals_s", "must be an array", "LINE")),
        ("report_interval_s = 60", "report_interval_s = 3600", ("report_interval_s", "not averaged; add it", "LINE")),
        ('device = "plume-02"', 'device = "plume-01"', ("module.device", "there already", "LINE")),
        ('device = "plume-02"', 'device = "Plume 2"', ("module.device", "no device id", "LINE")),
        ('port = "/dev/ttyUSB1"', 'port = "/dev/ttyUSB0"', ("module.port", "there already", "LINE")),
        ('name = "eu"', 'name = "plant"', ("sink.https.name", "there already", "LINE")),
        ('secret_file = "eu.secret"', 'secret = "hunter2"', ("secret", "no known key", "LINE")),
        ('client_id = "gw-1"', "", ("sink.https.client_id", "is missing")),
        (URL, 'base_url = "http://platform.example"', ("base_url", "no https", "LINE")),
        (URL, 'base_url = "https://u:p@platform.example"', ("base_url", "secret_file", "LINE")),
        ('ca_file = "ca.pem"', 'cert_file = "me.pem"', ("cert_file", "needs key_file", "LINE")),
        ('ca_file = "ca.pem"', 'password_file = "me.secret"', ("password_file", "needs username", "LINE")),
        ('ca_file = "ca.pem"', 'root_topic = "a/#"', ("root_topic", "no topic", "LINE")),
        ("[keys]", "[key]", ("line 5: key", "no known key")),
        ("[[module]]", "[module]", ("no TOML",)),
        ('port = "/dev/ttyUSB0"', 'port = "a"\nport = "b"', ("line 11: module.port", "stands twice, first in line 10")),
        ("grace_s = 2", "grace_s = ", ("no TOML", "line 19")),
    ],
)  # fmt: skip
def test_refusals(old, new, words):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    message = refusal(text)
    assert message.startswith(str(FILE))
    for word in words:
        assert (f"line {line_of(old)}:" if word == "LINE" else word) in message


@pytest.mark.parametrize("section", ["gateway", "keys", "module"])
def test_a_missing_section_is_named(section):
    kept = [part for part in ("\n" + GOOD).split("\n[") if not part.lstrip("[").startswith(section)]
    assert section in refusal("\n[".join(kept))
    assert "config sample" in refusal("\n[".join(kept))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])  # noqa: S104 - refused is the point
def test_the_page_stays_on_this_machine(host):
    assert "dashboard.host" in refusal(GOOD + f'[dashboard]\nhost = "{host}"\n')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_taken(host):
    assert parse_config(GOOD + f'[dashboard]\nhost = "{host}"\n', FILE).dashboard.host == host


def test_lines_are_right_behind_multi_line_strings_and_comments():
    text = '# [gateway]\n[gateway]\nid = """\nid = 1\n"""\ndata_dir = 5\n'
    assert "line 3: gateway.id" in refusal(text + GOOD.partition("[keys]")[1] + GOOD.partition("[keys]")[2])


def test_an_inline_table_has_the_line_of_its_key():
    text = GOOD.replace('[keys]\nfile = "keys.json"', "") + "[dashboard]\nport = 0\n"
    assert "keys" in refusal(text)
    assert "line 1: keys.files" in refusal('keys = { files = "a" }\n' + GOOD.replace('[keys]\nfile = "keys.json"', ""))


def test_the_file_itself(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read.*config sample"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'[gateway]\nid = "\xe9"\n')
    with pytest.raises(ConfigError, match="no UTF-8 at byte 16"):
        load_config(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (settings.FILE_MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path / "huge.toml")


def uncommented_sample() -> str:
    """The sample with its commented-out sinks switched on."""
    lines = []
    for line in SAMPLE.splitlines():
        body = line.removeprefix("# ")
        is_setting = line.startswith("# ") and (body.startswith("[") or " = " in body.partition("#")[0])
        lines.append(body if is_setting else line)
    return "\n".join(lines) + "\n"


def test_the_sample_is_a_configuration_and_shows_every_key():
    assert parse_config(SAMPLE, FILE).modules[0].device == "plume-01"
    whole = parse_config(uncommented_sample(), FILE)
    shown = tomllib.loads(uncommented_sample())
    tables = {
        "gateway": shown["gateway"], "keys": shown["keys"], "modules": shown["module"][0],
        "averaging": shown["averaging"], "plants": shown["plant"][0], "dashboard": shown["dashboard"],
        "anchors": shown["anchors"],
        "documents": {"site_file": None},
        "pact": {key: value for key, value in shown["pact"].items() if key != "client"} | {"clients": ()},
        "mqtt_sinks": shown["sink"]["mqtt"][0], "https_sinks": shown["sink"]["https"][0],
        "hj212_sinks": shown["sink"]["hj212"][0],
    }  # fmt: skip
    assert set(tables) == {entry.name for entry in dataclasses.fields(Config)}
    for name, table in tables.items():
        item = getattr(whole, name)
        item = item[0] if isinstance(item, tuple) else item
        assert set(table) == {entry.name for entry in dataclasses.fields(item)}, name
        for entry in dataclasses.fields(item):
            if name in ("averaging", "modules") and entry.default is not dataclasses.MISSING:
                assert getattr(item, entry.name) == entry.default, f"sample shows another default of {entry.name}"


def test_effective_values_are_json_and_hold_no_secret(tmp_path):
    (tmp_path / "eu.secret").write_text("hunter2")
    path = tmp_path / "bridge.toml"
    path.write_text(GOOD)
    printed = json.dumps(effective(load_config(path)))
    assert "hunter2" not in printed
    assert json.loads(printed)["https_sinks"][0]["secret_file"] == str(tmp_path / "eu.secret")
