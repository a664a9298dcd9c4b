"""Lines of `plumeproof readiness` about what is handed over: the GHG data set against its schema, and CBAM data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from plumeproof.cli.plant_desks import PlantDesk
from plumeproof.cli.plant_inputs import PlantInputs
from plumeproof.cli.report_inputs import ReportInputs
from plumeproof.documents.permit import require_agreement
from plumeproof.documents.readiness import DATA_SET, MISSING, NOT_ASKED, READY, UNJUDGED, Line
from plumeproof.documents.site import SiteFile
from plumeproof.errors import BridgeError

if TYPE_CHECKING:
    from plumeproof.cli.readiness_plants import PlantReview

VERIFIED_BY = date(2027, 9, 30)  # reference: reporting section 2.1
FAULTS_MAX = 20  # of a data set, in lines of their own


def document_lines(site_file: SiteFile, category: str, plants: PlantReview, must_hold: date) -> Iterator[Line]:
    """Both are made as `plumeproof report` makes them, and nothing is written. `must_hold`: the day of the deadline, or
    of the review where that is later."""
    yield from _statement(site_file, plants)
    yield from _cbam(site_file, category, plants, must_hold)


def inputs_of(site_file: SiteFile, plants: PlantReview) -> ReportInputs:
    """As the documents take them."""
    desks = {name: PlantDesk(one.desk, one.strips) for name, one in plants.opened.items()}
    read = tuple((one.file, ()) for one in plants.opened.values())
    return ReportInputs(site_file, desks, plants.period, PlantInputs(plants.config_file, plants.ledger, read))


def _statement(site_file: SiteFile, plants: PlantReview) -> Iterator[Line]:
    from plumeproof.cli.report_statement import parts_of
    from plumeproof.documents.statement_checks import findings_of
    from plumeproof.documents.verification import SCHEMA_ID, build_data_set
    from plumeproof.documents.verification_plan import read_verification_plan

    key, asked = "statement.data_set", "GHG data set (ISO 14064-1, -3) with every required element"
    command = "`plumeproof report statement`"
    if not plants.opened or not plants.has_period:
        yield Line(key, DATA_SET, asked, UNJUDGED, "there are no records to make it of", "see the plants' lines")
        return
    try:
        require_agreement(site_file, plants.plants)
        parts = parts_of(inputs_of(site_file, plants))
        names = tuple(dict.fromkeys(one.source for one in parts.found.inputs))
        document = build_data_set(parts, read_verification_plan(site_file, names))
        findings = findings_of(document, None)
    except BridgeError as error:
        told = f"{command} refuses: {' '.join(str(error).split())[:300]}"
        yield Line(key, DATA_SET, asked, MISSING, told, "put that right; `plumeproof report --sample-site` shows it")
        return
    for at, one in enumerate(findings[:FAULTS_MAX], 1):
        mend = "put the element right in site.toml; bridge/STATEMENT.md names each"
        yield Line(f"statement.finding.{at}", DATA_SET, asked, MISSING, str(one), mend)
    if len(findings) > FAULTS_MAX:
        told = f"{len(findings) - FAULTS_MAX} more; {command} lists them"
        yield Line("statement.finding.more", DATA_SET, asked, MISSING, told, "as the ones before")
    if not findings:
        statement = document["ghgStatement"]
        told = f"valid against {SCHEMA_ID}, all rules hold; {statement['id']}, {statement['status']}; {command}"
        is_draft = statement["status"] == "draft"
        mend = 'still a draft: status = "final" in [statement] once the period is closed' if is_draft else ""
        yield Line(key, DATA_SET, asked, READY, told, mend)
    asked = "An official file format of ISO 14064-3"
    told = "the standard defines none, and no edition of 2025 by ISO was found; the data set is our own form"
    yield Line("form.data_set", DATA_SET, asked, NOT_ASKED, told)


def _cbam(site_file: SiteFile, category: str, plants: PlantReview, must_hold: date) -> Iterator[Line]:
    from plumeproof.cbam.codes import load_codes
    from plumeproof.cbam.measured import MeasuredReader
    from plumeproof.cbam.operator_data import collect
    from plumeproof.cbam.site_table import read_table
    from plumeproof.documents.declared import DeclaredSource
    from plumeproof.documents.hours import HourSource

    key, asked, command = "cbam.operator_data", "CBAM operator emissions data", "`plumeproof report cbam`"
    if category != "cbam":
        told = f"a {category.upper()} works makes no CBAM good"
        if site_file.has_table("cbam"):
            told += f", and yet {site_file.path.name} has [cbam]: `plumeproof readiness --category cbam` judges it"
        yield Line(key, DATA_SET, asked, NOT_ASKED, told)
        return
    if not plants.opened or not plants.has_period:
        yield Line(key, DATA_SET, asked, UNJUDGED, "there are no records to make it of", "see the plants' lines")
        return
    try:
        require_agreement(site_file, plants.plants)
        table = read_table(site_file, load_codes([]))
        readers = {
            name: MeasuredReader(
                DeclaredSource(one.desk, one.strips), HourSource(one.desk, one.strips), one.engine.plant
            )
            for name, one in plants.opened.items()
        }
        data = collect(site_file, table, readers, plants.period, plants.offset_min)
    except BridgeError as error:
        told = f"{command} refuses: {' '.join(str(error).split())[:300]}"
        yield Line(
            key, DATA_SET, asked, MISSING, told, "put that right; `plumeproof report cbam --sample` shows [cbam]"
        )
        return
    goods = ", ".join(one.cn for one in table.produced)
    processes = ", ".join(one.id for one in table.processes)
    told = f"{site_file.path.name} [cbam]: processes {processes}, goods {goods}; {command}"
    yield Line(key, DATA_SET, asked, READY, told)
    key, asked, told = "cbam.verifier", "Verifier of the CBAM data", f"{site_file.path.name} [cbam.verifier]"
    if data.table.verifier is not None:
        told += f": {data.table.verifier.name}, {data.table.verifier.accreditation_no}"
        yield Line(key, DATA_SET, asked, READY, told)
    else:
        verdict = NOT_ASKED if must_hold < VERIFIED_BY else MISSING
        mend = f"name the accredited verifier; for imports of 2026 verified data are needed by {VERIFIED_BY}"
        yield Line(key, DATA_SET, asked, verdict, f"{told} is not there", mend)
