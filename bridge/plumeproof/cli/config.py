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

# [pact]                        # product footprints for customers: `plumeproof pact serve` (bridge/PACT.md)
# host = "127.0.0.1"            # another address needs certificate and key
# port = 8443                   # 0: a free one, printed at the start
# cert_file = "pact.pem"        # TLS; without it only for a proxy with TLS on this machine
# key_file = "pact.key"         # PEM, for this bridge's user only (chmod 600)
# token_s = 3600                # how long a token holds
# refresh_s = 300               # between two looks at site file and ledger
# connections_max = 128
# requests_per_minute = 600     # of each client
# tokens_per_minute = 30        # asked for by one address
# events_per_minute = 60        # requests for footprints by event, of each client
# [[pact.client]]               # once for each customer
# id = "customer-a"
# products = ["steam"]          # ids of site.toml that it may see; "*": all
# secret_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"   # `plumeproof pact secret`
# [[pact.client]]               # one that has a PACT host itself: it is answered there, and told of new footprints
# id = "customer-b"
# products = ["*"]
# secret_file = "customer-b.secret"   # instead of the hash
# base_url = "https://pact.customer.example"
# token_url = "https://login.customer.example/auth/token"   # default: /auth/token below base_url
# own_client_id = "northport"   # who we are there
# own_secret_file = "northport-at-b.secret"
# ca_file = "customer-ca.pem"   # default: the authorities of the system

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
# password_file = "broker.secret"             # as every secret and key: for this bridge's user only (chmod 600)

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

# [[sink.hj212]]                # once for each environmental platform (HJ 212-2017; bridge/HJ212.md)
# name = "bureau"
# host = "platform.example"
# port = 9001
# outlet = "DA001"              # of the permit in documents.site_file: MN, factor codes, duties
# secret_file = "bureau.secret" # PW, in a file for this bridge's user only (chmod 600)
# mn = "010000A8900016F000169DC0"   # default: the outlet's
# st = "31"                     # air pollution source
# version = "2017"              # "2025-preview": after an open implementation, not the text of the standard
# policy = "strict"             # whose CRC is taken: "modbus-crc-accepted", "ignore-crc"; said on every value
# rule_set = "cn_hj75"          # of the plant: converted values (Zs) and masses (Cou) are its figures
# factor_file = "local.csv"     # your own factor codes, in the columns of factors.csv
# over_time_s = 5               # until the platform sets them by CN 1000; cellular: 10
# tries = 3
# real_time_interval_s = 60     # one of averaging.intervals_s
# real_time_every_s = 60        # RtdInterval, 30 to 3600
# real_time_is_on = true        # until the platform switches it
# real_time_answer = false      # true: real-time packets ask for an answer too
# minute_interval_min = 10      # of averaging.intervals_s too
# interval_flags = "standard"   # not normal is D; "cause": the flag of the commonest cause
# wait_for_modules_s = 300      # that stand still, before a message goes without them
# heartbeat_s = 0               # CN 9015, where the platform wants it
# login = false                 # CN 9021, where the platform wants it
# ask_time = false              # CN 1013 after each connection
# clock_tolerance_s = 60        # a clock so near to the platform's is right
# set_host_clock = false        # true: CN 1012 sets this PC's clock, behind a signed event
# allow_password_change = false # true: CN 1072 writes secret_file
"""


TABLES = {
    "modules": "module",
    "plants": "plant",
    "mqtt_sinks": "sink.mqtt",
    "https_sinks": "sink.https",
    "hj212_sinks": "sink.hj212",
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
    if config.hj212_sinks:
        from plumeproof.hj212_link import plan_links

        plan_links(config)
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
