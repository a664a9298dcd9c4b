"""`plumeproof config check -c FILE [--json]` and `plumeproof config sample`.

`check` opens nothing but the file and the profiles it names, and prints the effective values; secrets are files, so
none can appear.
`sample` prints a commented configuration that passes `check` as it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from plumeproof.config import effective, load_config
from plumeproof.delivery_parts import check_platform

SAMPLE = """\
# PlumeProof bridge. Relative paths count from the folder of this file. Check it: plumeproof config check -c FILE

[gateway]
id = "gateway-01"               # a-z 0-9 . _ -; part of MQTT topics and reports
data_dir = "data"               # ledger and lock; a local disk, for one bridge only
clock_uncertainty_ms = 100      # how well this PC's clock is known (NTP: 100)

[keys]
file = "keys.json"              # public keys of the enrolled modules

[[module]]                      # once for each module
device = "plume-01"             # its id, as enrolled in keys.json
port = "/dev/serial/by-id/usb-example-if00-port0"   # on Windows: "COM3"
baud = 115200
link_address = 1                # 1 to 247
time_sync_interval_s = 600
poll_interval_s = 0.2           # rest after an empty answer

[averaging]
intervals_s = [60, 600, 1800, 3600, 86400]   # each divides the UTC day
grace_s = 90                    # wait for late records before an interval is computed

# [[plant]]                     # once for each stack whose figures are to be made by rule sets
# file = "line-1.toml"          # `plumeproof average --sample-plant` prints one
# rule_files = []               # rule sets of your own that it names

# [anchors]                     # signed heads of all modules: what was cut off is seen (bridge/EVIDENCE.md section 5)
# key_file = "gateway.key"      # `plumeproof keys create-gateway` makes and enrols it; for this bridge's user only
# every_hours = 24              # at the latest; and at each orderly stop
# every_records = 10000         # or after so many records; 0: by time alone
# folders = ["/mnt/share/anchors"]   # keepers beside brokers and platforms: another disk, a share of another host
# tsa_url = "http://tsa.example/tsr" # RFC 3161 time-stamps
# tsa_certificate_file = "tsa.pem"   # its root, and what lies between: other stamps are not kept

# [documents]                   # papers of the site (`plumeproof report`)
# site_file = "site.toml"       # `plumeproof report --sample-site` prints one

[dashboard]
enabled = true
host = "127.0.0.1"              # this machine only; the page has no login
port = 8470                     # 0: a free one, printed at the start
host_names = []                 # names under which a reverse proxy shows the page
trend_minutes = 15

# [[sink.mqtt]]                 # once for each broker
# name = "plant-broker"
# host = "broker.example"
# port = 8883
# root_topic = "plumeproof"
# content = ["envelope", "average", "anchor"]
#                               # more forms: "senml" (RFC 8428); "sparkplug" in a [[sink.mqtt]] of its own
# sparkplug_group = "plumeproof"   # the edge node is the gateway, its devices are the modules
# live_for_s = 300              # older rows come later, on .../replay/ topics, so that the present never waits
# rows_per_s = 1000             # at most, live and replayed together
# replay_rows_per_s = 200       # at most, of what is older
# protocol = "5"                # "3.1.1" where the broker is old
# client_id = "gateway-01"      # default: gateway and sink name
# keepalive_s = 60
# ca_file = "broker-ca.pem"     # set: TLS with hostname check
# cert_file = "gateway.pem"     # client certificate and key, if the broker wants them
# key_file = "gateway.key"
# username = "gateway-01"
# password_file = "broker.secret"

# [[sink.https]]                # once for each platform
# name = "eu"
# profile = "eu-carbon-cloud"   # provisional: the real interface is not public; a path names your own (PROFILES.md)
# base_url = "https://platform.example/api"   # default: the profile's
# client_id = "gateway-01"
# secret_file = "platform.secret"             # which of these files are needed says the profile's login
# assertion_key_file = "assertion.key"        # private_key_jwt; keys are PEM files for their owner only (chmod 600)
# assertion_key_id = "2026"     # id under which the platform knows the key
# signature_key_file = "signature.key"        # where the profile signs reports
# signature_key_id = "gateway-01"             # default: client_id
# cert_file = "gateway.pem"     # client certificate, where the platform asks for one
# key_file = "gateway.key"
# report_interval_s = 3600      # one of averaging.intervals_s
# ca_file = "platform-ca.pem"   # default: the authorities of the system
# timeout_s = 30
"""


TABLES = {
    "modules": "module",
    "plants": "plant",
    "mqtt_sinks": "sink.mqtt",
    "https_sinks": "sink.https",
}  # as the file names them


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser("config", help="check a configuration, or print a sample")
    what = parser.add_subparsers(dest="what", required=True, metavar="check|sample")
    check = what.add_parser("check", help="validate a file and print the effective values")
    check.add_argument("-c", "--config", required=True, type=Path, metavar="FILE", help="configuration (TOML)")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(main=check_main)
    sample = what.add_parser("sample", help="a commented configuration")
    sample.set_defaults(main=sample_main)


def check_main(args: argparse.Namespace) -> int:
    """Run `config check`; ConfigError is printed by the caller."""
    config = load_config(args.config)
    for sink in config.https_sinks:
        check_platform(sink)
    values = effective(config)
    if args.json:
        print(json.dumps(values))
        return 0
    print(f"# {args.config}: fine; effective values, defaults included")
    for section, content in values.items():
        is_repeated = isinstance(content, list)
        for table in content if is_repeated else [content]:
            print(f"\n[[{TABLES[section]}]]" if is_repeated else f"\n[{section}]")
            for key, value in table.items():
                print(f"{key} = {json.dumps(value)}")
    return 0


def sample_main(_args: argparse.Namespace) -> int:
    """Run `config sample`."""
    print(SAMPLE, end="")
    return 0
