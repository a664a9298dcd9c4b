"""An HJ 212 link from the configuration: what the permit makes of it, and the real service killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumeproof.cli import main
from plumeproof.config import load_config
from plumeproof.errors import ConfigError
from plumeproof.hj212.codes import factors
from plumeproof.hj212.frame import FrameSplitter
from plumeproof.hj212_link import plan_links
from tests.bridge.test_service import Site, wait_for
from tests.doubles.hj212_bench import MN, PW, PlatformThread
from tools.eu_platform.receipts import write_private

PLANT = """\
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+08:00"
rule_sets = ["cn_hj75"]
[[peripheral]]
kind = "O2"
source = "plume-01/gas.o2"
[flow]
source = "plume-01/flow.flow"
unit = "m3/h"
conditions = "normal_dry"
[[measurand]]
id = "SO2"
source = "plume-01/gas.so2"
unit = "mg/m3"
needs = ["O2"]
o2_reference_pct = 6.0
"""
SITE = f"""\
[site]
id = "works"
name = "Works"
category = "wte"
address = "1 Road"
country = "CN"
latitude = 31.0
longitude = 121.0
[party]
legal_name = "Works Ltd."
identifiers = ["USCC:1"]
address = "1 Road"
country = "CN"
contact = "Li"
email = "li@works.example"
responsible_person = "Zhang"
prepared_by = "Li"
[[permit]]
number = "1"
authority = "Bureau"
valid_from = "2024-01-01"
valid_to = "2028-12-31"
[[permit.outlet]]
id = "DA001"
name = "Stack"
plant = "line-1"
mn = "{MN}"
[[permit.outlet.pollutant]]
measurand = "SO2"
hj212 = "a21026"
duties = ["real_time", "minute", "hour"]
[[hj212.channel]]
outlet = "DA001"
code = "x00001"
source = "plume-01/flow.pressure"
unit = "hPa"
duties = ["minute"]
"""
TABLE = {factor.code for rows in factors().values() for factor in rows}
LOCAL = (
    "code,name_zh,name_en,legacy_2005,unit,mass_unit,value_format,local,source,verified\n"
    "x00001,,duct pressure,,kPa,,N4.2,true,our own,\n"
)


class HjSite(Site):
    """A works with one module and one link."""

    def __init__(self, folder: Path, port: int, link: str = "", plant: str = PLANT, site: str = SITE) -> None:
        super().__init__(folder, "plume-01")
        (folder / "line-1.toml").write_text(plant)
        (folder / "site.toml").write_text(site)
        (folder / "local.csv").write_text(LOCAL)
        write_private(folder / "bureau.secret", PW.encode())
        text = self.file.read_text().replace("intervals_s = [10]", "intervals_s = [60, 3600]")
        self.file.write_text(
            f'{text}[[plant]]\nfile = "line-1.toml"\n[documents]\nsite_file = "site.toml"\n'
            f'[dashboard]\nenabled = false\n[[sink.hj212]]\nname = "bureau"\nhost = "127.0.0.1"\nport = {port}\n'
            'outlet = "DA001"\nsecret_file = "bureau.secret"\nminute_interval_min = 1\nover_time_s = 1\n'
            f'factor_file = "local.csv"\n{link}'
        )


def test_what_the_permit_makes_of_a_link(tmp_path):
    site = HjSite(tmp_path, 1, 'rule_set = "cn_hj75"\n')
    plan = plan_links(load_config(site.file))["bureau"]
    assert (plan.mn, plan.utc_offset_min, plan.rule_set, plan.devices) == (MN, 480, "cn_hj75", ("plume-01",))
    entries = {entry.code: (str(entry.source), round(float(entry.scale), 9), entry.decimals) for entry in plan.entries}
    assert entries == {
        "a21026": ("plume-01/gas.so2", 1.0, 2), "a19001": ("plume-01/gas.o2", 1.0, 1),
        "a00000": ("plume-01/flow.flow", round(1 / 3600, 9), 1), "x00001": ("plume-01/flow.pressure", 0.1, 2),
    }  # fmt: skip
    assert plan.may_multiply == {"SO2"} and plan.entries_of("day") == ()
    assert main(["config", "check", "-c", str(site.file)]) == 0
    site.close()


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("bridge.toml", 'outlet = "DA001"', 'outlet = "DA009"', "sink.hj212 bureau: outlet: 'DA009' is no outlet of"),
        ("bridge.toml", 'site_file = "site.toml"', "", "documents.site_file: is missing"),
        ("bridge.toml", "minute_interval_min = 1", "minute_interval_min = 10", "minute rests on 600 s averages"),
        ("bridge.toml", 'policy = "strict"', 'policy = "none"', "'none' is none of strict, modbus-crc-accepted"),
        ("bridge.toml", 'rule_set = "cn_hj75"', 'rule_set = "eu_mrr"', "'eu_mrr' is none of plant line-1: cn_hj75"),
        ("bridge.toml", 'factor_file = "local.csv"', "", "code 'x00001' is in no factor table"),
        ("site.toml", f'mn = "{MN}"', "", "outlet DA001: has no mn"),
        ("site.toml", 'hj212 = "a21026"', 'hj212 = "a99999"', "code 'a99999' is in no factor table"),
        ("site.toml", 'hj212 = "a21026"', 'hj212 = "a01012"', "a01012 is in degC, channel plume-01/gas.so2 in mg/m3"),
        ("site.toml", 'hj212 = "a21026"', 'hj212 = "a19001"', "a19001 is in %, channel plume-01/gas.so2 in mg/m3"),
        ("site.toml", '"plume-01/flow.pressure"', '"plume-09/x"', "plume-09/x is no channel of a [[module]] here"),
        ("site.toml", 'code = "x00001"', 'code = "a00000"', "a00000 is in m3/s, channel plume-01/flow.pressure in hPa"),
        ("site.toml", '["real_time", "minute", "hour"]\n[[', '["year"]\n[[', None),
        ("line-1.toml", '"+08:00"', '"+05:30"', "plant line-1: its clock is not whole hours from UTC"),
        ("local.csv", "true", "", "factor x00001: write true in the column local"),
        ("local.csv", "x00001", "a21026", "factor a21026 is a code of the standard"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, capsys, file, old, new, told):
    site = HjSite(tmp_path, 1, 'rule_set = "cn_hj75"\npolicy = "strict"\n')
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new))
    if told is None:  # the channel of one's own still has a duty
        plan_links(load_config(site.file))
    else:
        with pytest.raises(ConfigError) as caught:
            plan_links(load_config(site.file))
        assert told in str(caught.value) and "\n" not in str(caught.value)
        assert main(["config", "check", "-c", str(site.file)]) == 2
    site.close()


def test_the_service_killed_in_the_middle_of_a_session(tmp_path, request):
    """SIGKILL while a minute waits for its answer; behind the restart the platform has every minute once, and the hour
    with the figures of the plant's rule set."""
    platform = PlatformThread(tmp_path)
    site = HjSite(tmp_path, platform.port, 'rule_set = "cn_hj75"\n')
    module = site.modules[0]
    module.start_up()
    begin_ms = int(time.time()) // 3600 * 3_600_000 - 2 * 3_600_000
    platform.fault("no-answer:cn=9014:count=1")
    command = [sys.executable, "-m", "plumeproof", "run", "-c", str(site.file)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    request.addfinalizer(process.kill)  # one that is left over would hold the next test's pty
    module.serve()
    wait_for(lambda: (tmp_path / "data" / "ledger.sqlite").exists() and platform.of("2081"))
    for minute in range(1, 64):
        module.measure(60, end_utc_ms=begin_ms + minute * 60_000)
    wait_for(lambda: platform.of("2051"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    request.addfinalizer(process.kill)
    wait_for(lambda: len(platform.kept("2051")) >= 62 and platform.kept("2061"))
    process.terminate()
    assert process.wait(20) == 0
    kept = platform.kept("2051")
    times = [data_time for data_time, _, _ in kept]
    assert times == sorted(set(times)) and platform.differing() == 0
    assert len(platform.kept_qns("2051")) == len(kept)  # no minute under two QNs
    assert len(platform.of("2051")) > len(kept)  # the first one came twice
    message = platform.of("2051")[0]
    assert [message.value(f"a21026-{name}") for name in ("Avg", "Flag")] == ["42.50", "N"]
    assert message.value("x00001-Avg") == "100.80" and message.value("a21026-Cou") == "0.065"
    hour = platform.of("2061")[0]
    # O2 8.25 % to 6 %: 42.5 * (21 - 6) / (21 - 8.25); the mass of 91,500 m3/h
    assert [hour.value(f"a21026-{name}") for name in ("Avg", "ZsAvg", "Cou")] == ["42.50", "50.00", "3.889"]
    document = report_of(site, begin_ms)
    assert document["profile"]["note"].endswith("not certified.") and document["ruleSet"] == "cn_hj75"
    shown = [item for one in document["messages"] for item in one["items"]]
    assert [dict(item) for item in hour.items] == shown  # the paper and the packet
    (line,) = [line for line in queue_of(site) if line["sink"] == "bureau"][:1]
    assert line["module"] == MN
    site.close()
    platform.close()


def test_the_factor_table_and_codes_of_ones_own(tmp_path, capsys):
    assert main(["hj212", "factors", "a21026", "02"]) == 0
    head, row = capsys.readouterr().out.splitlines()  # one factor, by the code of today and of 2005
    assert head == LOCAL.splitlines()[0] and row.startswith("a21026,二氧化硫,sulfur dioxide,02,mg/m3,kg,N5.2,")
    assert main(["hj212", "factors"]) == 0 and len(capsys.readouterr().out.splitlines()) == 1 + len(TABLE)
    (tmp_path / "local.csv").write_text(LOCAL)
    assert main(["hj212", "factors", "--local", str(tmp_path / "local.csv")]) == 0
    assert capsys.readouterr().out == LOCAL
    assert main(["hj212", "factors", "a99999"]) == 2


def report_of(site, begin_ms):
    """The hour as `report hj212` has it, twice the same; its packets are good ones without the password."""
    first = time.strftime("%Y-%m-%d", time.gmtime(begin_ms / 1000 + 8 * 3600))
    behind = time.strftime("%Y-%m-%d", time.gmtime(begin_ms / 1000 + 32 * 3600))
    options = ["-c", str(site.file), "--from", first, "--to", behind]
    packets = site.folder / "packets.bin"
    for name in ("one.json", "two.json"):
        arguments = ["--json", str(site.folder / name), "--packets", str(packets)]
        assert main(["report", "hj212", *options, *arguments]) == 0
    assert (site.folder / "one.json").read_bytes() == (site.folder / "two.json").read_bytes()
    (frame,) = FrameSplitter().feed(packets.read_bytes())
    assert frame.accepted and PW.encode() not in frame.raw
    assert main(["report", "hj212", *options, "--link", "other"]) == 2
    assert main(["report", "hj212", *options, "--level", "day"]) == 2  # the permit asks for none
    return json.loads((site.folder / "one.json").read_text())


def queue_of(site):
    command = [sys.executable, "-m", "plumeproof", "queue", "ls", "-c", str(site.file), "--state", "closed", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["rows"]
