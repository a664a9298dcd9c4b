"""`plumeproof agree`: whether statement, CBAM data, HJ 212 packets and API payloads say what the signed figures say.

  plumeproof report statement -c bridge.toml --from 2026-11 --to 2026-12 --hours statement.csv
  plumeproof report cbam -c bridge.toml --from 2026-11 --to 2026-12 --hours cbam.csv
  plumeproof agree -c bridge.toml --from 2026-11 --to 2026-12 --statement-hours statement.csv --cbam-hours cbam.csv
  plumeproof agree -c bridge.toml --from 2026-11 --to 2026-12 --hj212 capture.bin --api report.json

Every value of every hour is taken back out of the tongue's own bytes and compared to the last decimal that it carries
(bridge/AGREEMENT.md). Without --hj212 and --api the packets and payloads are those of the outbox, as they wait or were
sent. A line for each disagreement, with both values and both ids for `plumeproof trace`; then the counts.

Exit status: 0 all that is said agrees; 1 something disagrees or cannot be read; 2 wrong usage or input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from plumeproof.cli.report_inputs import ReportInputs, open_inputs, write_file
from plumeproof.config import Config, load_config
from plumeproof.errors import ConfigError

if TYPE_CHECKING:
    from plumeproof.agreement.comparison import Tally
    from plumeproof.agreement_desk import AgreementDesk
    from plumeproof.documents.hours import Hour
    from plumeproof.documents.standing import Standing

Hours = dict[tuple[str, int], "Hour"]
Declared = Callable[[], Hours]
POLICIES = ("strict", "modbus-crc-accepted", "ignore-crc")


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "agree",
        help="whether papers, packets and payloads say the same of every hour",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="bridge.toml: ledger, plants, site_file")
    parser.add_argument("--site", type=Path, metavar="FILE", help="site.toml, instead of the configuration's")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="ledger, instead of the configuration's")
    parser.add_argument("--plant", type=Path, action="append", default=[], metavar="FILE", help="plant description")
    parser.add_argument("--rule-file", type=Path, action="append", default=[], metavar="FILE", help="own rule set")
    parser.add_argument("--from", dest="first", required=True, metavar="MONTH", help="2026-11, or 2026: included")
    parser.add_argument("--to", required=True, metavar="MONTH", help="2026-12, or 2027: excluded")
    parser.add_argument("--statement-hours", type=Path, metavar="FILE", help="of `report statement --hours`")
    parser.add_argument("--cbam-hours", type=Path, metavar="FILE", help="of `report cbam --hours`")
    parser.add_argument("--hj212", type=Path, action="append", default=[], metavar="CAPTURE", help="bytes of a link")
    parser.add_argument("--policy", choices=POLICIES, default=POLICIES[0], help="which checksums are taken")
    parser.add_argument("--api", type=Path, action="append", default=[], metavar="FILE", help="body of a report")
    parser.add_argument("--sink", metavar="NAME", help="only this link or platform of the configuration")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="as a page")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="on paper (A4)")
    parser.set_defaults(main=main, json=None, rules=None, measurand=[], stored=False)


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    from plumeproof.agreement.agreement_sheet import agreement_document, agreement_sheet
    from plumeproof.agreement_desk import AgreementDesk, require_something
    from plumeproof.documents.schema import digest_of
    from plumeproof.documents.sheet_page import page_of
    from plumeproof.documents.sheet_pdf import pdf_of

    config = load_config(args.config) if args.config is not None else None
    _refuse_what_nobody_reads(args, config)
    with open_inputs(args) as inputs:
        period, site = inputs.period_utc_ms, inputs.site_file.site
        assert period is not None  # asked for
        found: list[tuple[Tally, Standing]] = []
        with closing(AgreementDesk(inputs.plants.ledger, period)) as desk:
            declared = cache(lambda: _declared(inputs))
            found += _papers(args, declared, desk)
            if config is not None:
                found += _links(args, config, inputs, declared, desk)
                found += _platforms(args, config, desk)
                found += _brokers(args, config, desk)
        tallies = [tally for tally, _ in found]
        require_something(tallies)
        standings = [(tally.tongue, standing) for tally, standing in found]
        document = agreement_document(site.works.id, period, tallies, standings)
        foot = f"{document['format']}, SHA-256 (RFC 8785) {digest_of(document)}"
        sheet = agreement_sheet(site.works.name, period, tallies, standings, foot)
    if args.html is not None:
        write_file(args.html, page_of(sheet).encode())
    if args.pdf is not None:
        write_file(args.pdf, pdf_of(sheet))
    if args.as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        _print(tallies)
    return 0 if document["agrees"] else 1


def _refuse_what_nobody_reads(args: argparse.Namespace, config: Config | None) -> None:
    """Raises ConfigError."""
    links = [] if config is None else [sink.name for sink in config.hj212_sinks if args.sink in (None, sink.name)]
    platforms = [] if config is None else [sink.name for sink in config.https_sinks if args.sink in (None, sink.name)]
    brokers = [] if config is None else [sink.name for sink in config.mqtt_sinks]
    if args.sink is not None and args.sink not in (*links, *platforms, *brokers):
        raise ConfigError(f"--sink {args.sink[:40]}", "is no link, platform or broker of the configuration")
    if args.hj212 and not links:
        raise ConfigError("--hj212", "needs -c with the [[sink.hj212]] of this link: its station, factors and units")
    if args.api and len(platforms) != 1:
        told = f"there are {', '.join(platforms)}: name one with --sink" if platforms else "-c names no [[sink.https]]"
        raise ConfigError("--api", f"needs the one platform whose fields these are; {told}")


def _papers(
    args: argparse.Namespace, declared: Declared, desk: AgreementDesk
) -> Iterator[tuple[Tally, Standing]]:  # fmt: skip
    """CSV files of hours."""
    from plumeproof.agreement.said import CBAM, STATEMENT
    from plumeproof.cbam.operator_data import STANDING as CBAM_STANDING
    from plumeproof.documents.verification import STANDING as STATEMENT_STANDING

    named = [(STATEMENT, args.statement_hours, STATEMENT_STANDING), (CBAM, args.cbam_hours, CBAM_STANDING)]
    named = [one for one in named if one[1] is not None]
    for tongue, path, standing in named:
        yield desk.hours(tongue, path, declared()), standing


def _declared(inputs: ReportInputs) -> Hours:
    """Every hour of every declared source, by (source, begin)."""
    from plumeproof.documents.hours import HourSource

    found: Hours = {}
    site, period = inputs.site_file.site, inputs.period_utc_ms
    assert period is not None  # asked for
    with tqdm(unit=" days", desc="hours", disable=not sys.stderr.isatty(), leave=False) as progress:
        for source in site.sources:
            own = inputs.desks[site.outlet(source.outlet)[1].plant]
            hours = HourSource(own.desk, own.ledger, progress.update)
            for one in hours.of_period(source.measurand, source.rule_set, period):
                found[source.id, one.start_utc_ms] = one
    return found


def _links(
    args: argparse.Namespace, config: Config, inputs: ReportInputs, declared: Declared, desk: AgreementDesk
) -> Iterator[tuple[Tally, Standing]]:
    """HJ 212 links of the configuration."""
    from plumeproof.agreement.agreement_sheet import HJ212_STANDING
    from plumeproof.hj212.frame import Policy
    from plumeproof.hj212_link import plan_links
    from plumeproof.rules.figure import SHORT_TERM, Figure

    plans = plan_links(config)
    offsets = {plan.mn: plan.utc_offset_min for plan in plans.values()}
    site, hours = inputs.site_file.site, Hours()
    if any(source.rule_set == plan.rule_set for source in site.sources for plan in plans.values()):
        hours = declared()
    for sink in config.hj212_sinks:
        if args.sink not in (None, sink.name):
            continue
        plan = plans[sink.name]
        ledger = inputs.desks[plan.plant].ledger
        sources = {
            source.measurand: source.id
            for source in site.sources
            if source.outlet == sink.outlet and source.rule_set == plan.rule_set
        }

        def figures(plant: str, start: int, end: int, ledger: Any = ledger) -> list[Figure]:
            return list(ledger.newest(plant, SHORT_TERM, start, end))

        def hour_of(measurand: str, start: int, sources: dict[str, str] = sources) -> Hour | None:
            return hours.get((sources.get(measurand, ""), start))

        by_cause = sink.interval_flags == "cause"
        policy = Policy(args.policy)
        tally = desk.link(sink.name, plan, by_cause, figures, hour_of, args.hj212, policy, offsets)
        others = tuple(
            f"masses (Cou) of {entry.code} are by {plan.rule_set or 'concentration and flow'}, those of source"
            f" {source.id} by {source.rule_set}: each is held to its own figure"
            for source in site.sources
            for entry in plan.entries
            if (source.outlet, source.measurand) == (sink.outlet, entry.measurand) and source.rule_set != plan.rule_set
        )
        yield replace(tally, notes=tally.notes + others), HJ212_STANDING


def _platforms(args: argparse.Namespace, config: Config, desk: AgreementDesk) -> Iterator[tuple[Tally, Standing]]:
    """Platforms of the configuration, by their profiles."""
    from plumeproof.agreement.payloads import Names
    from plumeproof.delivery.profile import load_profile
    from plumeproof.documents.standing import Standing

    for sink in config.https_sinks:
        if args.sink not in (None, sink.name):
            continue
        profile = load_profile(sink.profile)
        names = Names(profile.shape.report, profile.shape.average)
        act = f"profile {profile.name} version {profile.version}: {profile.source}"
        standing = Standing(profile.status, act, profile.checked.isoformat())
        yield desk.platform(sink.name, names, sink.report_interval_s, args.api), standing


def _brokers(args: argparse.Namespace, config: Config, desk: AgreementDesk) -> Iterator[tuple[Tally, Standing]]:
    """Topics of the configuration; Sparkplug numbers its messages when they leave, and is not in the outbox."""
    from plumeproof.documents.standing import OFFICIAL, OWN_FORM, Standing

    standings = {
        "average": Standing(OWN_FORM, "one average as JSON (bridge/MQTT.md)", "2026-11-25"),
        "senml": Standing(OFFICIAL, "RFC 8428, SenML in JSON", "2026-11-25"),
    }
    for sink in config.mqtt_sinks:
        for view in ("average", "senml"):
            if view in sink.content and args.sink in (None, sink.name):
                yield desk.broker(sink.name, view), standings[view]


def _print(tallies: list[Tally]) -> None:
    for one in tallies:
        for found in one.disagreements:
            print(found.line)
        for fault in one.faults:
            print(f"{one.tongue}: {fault}")
        for note in one.notes:
            print(f"{one.tongue}: {note}")
    print(f"{'tongue':<24}{'hours':>10}{'values':>10}{'equal':>10}{'disagree':>10}{'not said':>10}")
    for one in tallies:
        counts = (one.hours, one.values, one.equal, len(one.disagreements), one.not_said)
        print(f"{one.tongue:<24}" + "".join(f"{count:>10,}" for count in counts))
