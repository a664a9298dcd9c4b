"""Lines of `plumeproof readiness` about signed evidence: keys, records, anchors, a bundle that is checked, clock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from plumeproof.anchors import KeptStatement, judge_statements
from plumeproof.bundle.anchors import sign_with
from plumeproof.bundle.checking import BundleCheck
from plumeproof.bundle.writing import write_bundle
from plumeproof.cli.anchor_checks import check_anchors
from plumeproof.cli.doctor import check_time
from plumeproof.config import Config
from plumeproof.documents.due_lines import Days
from plumeproof.documents.materiality_sheet import minute_text
from plumeproof.documents.readiness import EVIDENCE, MISSING, READY, UNJUDGED, Line
from plumeproof.documents.readiness_file import ReadinessFile
from plumeproof.errors import BridgeError, ConfigError, StoreError
from plumeproof.gateway_key import GatewayKey
from plumeproof.inspection import Finding, read_anchors, read_heads
from plumeproof.keys import KeyFile, load_keys, read_keys
from plumeproof.rules.calendar import DAY_MS

if TYPE_CHECKING:
    from plumeproof.cli.readiness_plants import PlantReview

HOUR_MS = 3_600_000
_EPOCH_DAY = 719_163  # ordinal of 1970-01-01


def evidence_lines(
    config: Config, own: ReadinessFile, plants: PlantReview, days: Days, bundle: Path | None, is_last_day: bool
) -> Iterator[Line]:
    """`bundle`: one to check; without it one of the period, or of its last day with records, is written and checked."""
    try:
        keys = load_keys(config.keys.file)
    except ConfigError as error:
        yield Line("evidence.keys", EVIDENCE, "Key registry", MISSING, str(error), "put keys.json right")
        yield Line("evidence.bundle", EVIDENCE, "A bundle that a verifier can check", UNJUDGED, "no usable keys.json")
        return
    yield from _modules(config, keys)
    end_utc_ms = (days.on.toordinal() - _EPOCH_DAY + 1) * DAY_MS - plants.offset_min * 60_000
    yield _anchors(config, own, keys, end_utc_ms)
    yield _bundle(config, keys, plants, bundle, is_last_day)
    yield _clock()


def _modules(config: Config, keys: KeyFile) -> Iterator[Line]:
    heads = {}
    try:
        if config.gateway.ledger_file.exists():
            heads = {head.device: head for head in read_heads(config.gateway.ledger_file)}
    except StoreError as error:
        yield Line("evidence.ledger", EVIDENCE, "Ledger readable", MISSING, str(error), "`plumeproof verify` says more")
    for module in config.modules:
        key, asked = f"evidence.keys.{module.device}", f"Key of module {module.device} enrolled and in force"
        mine = [one for one in keys.entries if one.device == module.device and one.purpose == "record"]
        head = heads.get(module.device)
        last = 0 if head is None else head.last_seq
        good = [
            one for one in mine if not one.is_revoked and (one.valid_until_seq is None or one.valid_until_seq > last)
        ]
        if good:
            one = good[-1]
            until = "no end" if one.valid_until_seq is None else f"until seq {one.valid_until_seq}"
            told = f"{config.keys.file.name}: kid {one.kid.hex()[:16]}, from seq {one.valid_from_seq}, {until}"
            yield Line(key, EVIDENCE, asked, READY, told)
        else:
            told = f"{config.keys.file.name}: {len(mine)} keys, none in force behind seq {last}"
            yield Line(key, EVIDENCE, asked, MISSING, told, "`plumeproof keys enroll` with the module's own key")
        key, asked = f"evidence.records.{module.device}", f"Signed records of module {module.device} in the ledger"
        where = config.gateway.ledger_file.name
        if head is None:
            mend = "connect the module and let the bridge run; `plumeproof doctor` tries the line"
            yield Line(key, EVIDENCE, asked, MISSING, f"{where}: none", mend)
        elif head.is_frozen:
            mend = "`plumeproof verify` names the contradiction; a person must say which history is true"
            yield Line(key, EVIDENCE, asked, MISSING, f"{where}: frozen at seq {head.last_seq}", mend)
        else:
            yield Line(key, EVIDENCE, asked, READY, f"{where}: up to seq {head.last_seq}")


def _anchors(config: Config, own: ReadinessFile, keys: KeyFile, end_utc_ms: int) -> Line:
    key, asked = "evidence.anchors", f"Anchors signed within {own.anchor_hours_max} hours and kept elsewhere"
    if config.anchors.key_file is None:
        mend = "make the gateway's key and name it in [anchors] key_file, with a keeper (bridge/EVIDENCE.md section 5)"
        return Line(key, EVIDENCE, asked, MISSING, "bridge.toml names no [anchors] key_file", mend)
    try:
        check_anchors(config, is_running=False)
        ledger = config.gateway.ledger_file
        signed = list(read_anchors(ledger)) if ledger.exists() else []
    except (BridgeError, OSError) as error:
        return Line(key, EVIDENCE, asked, MISSING, str(error), "bridge/EVIDENCE.md section 5.2 says what to do")
    if not signed:
        return Line(key, EVIDENCE, asked, MISSING, f"{ledger.name}: none signed yet", "let the bridge run for a day")
    newest = signed[-1]
    (statement,) = judge_statements([KeptStatement(f"number {newest.number}", newest.statement)], keys).statements
    age_h = (end_utc_ms - statement.utc_ms) / HOUR_MS
    told = f"{ledger.name}: number {newest.number} of {minute_text(statement.utc_ms)} UTC; `plumeproof anchors export`"
    if age_h > own.anchor_hours_max:
        mend = "let the bridge run; `plumeproof doctor` says why none is signed"
        return Line(key, EVIDENCE, asked, MISSING, f"{told}; {age_h:.0f} hours before the end of this day", mend)
    return Line(key, EVIDENCE, asked, READY, told)


def _bundle(config: Config, keys: KeyFile, plants: PlantReview, chosen: Path | None, is_last_day: bool) -> Line:
    asked = "A bundle of evidence that a verifier can check offline"
    if chosen is not None:
        try:
            return _checked(chosen, keys, plants, f"{chosen.name}: `plumeproof evidence verify`")
        except (BridgeError, OSError) as error:
            mend = "name a bundle of `plumeproof evidence export`"
            return Line("evidence.bundle", EVIDENCE, asked, MISSING, str(error), mend)
    extent = plants.extent()
    if extent is None:
        told = "no record in this period, so none was written"
        return Line("evidence.bundle", EVIDENCE, asked, UNJUDGED, told, "name a period with records")
    first, end = plants.period
    if is_last_day:
        first = (extent[1] - 1) // DAY_MS * DAY_MS  # UTC, as bundles have their days
        end = first + DAY_MS
    try:
        with tempfile.TemporaryDirectory(prefix="plumeproof-") as folder:
            path = Path(folder) / "period.zip"
            raw = read_keys(config.keys.file)
            key_file = config.anchors.key_file
            sign = sign_with(GatewayKey(key_file), raw, str(config.keys.file)) if key_file is not None else None
            with path.open("wb+") as file:
                write_bundle(file, plants.ledger, raw, (first, end), plants.tick, sign)
            told = (
                f"{minute_text(first)} to {minute_text(end)} UTC, written by `plumeproof evidence export` and checked"
            )
            return _checked(path, keys, plants, told)
    except (BridgeError, OSError) as error:
        mend = "`plumeproof evidence export` and `evidence verify` say the same in full"
        return Line("evidence.bundle", EVIDENCE, asked, MISSING, str(error), mend)


def _checked(path: Path, keys: KeyFile, plants: PlantReview, told: str) -> Line:
    """The key says whether the whole period was checked: what is stated of it may not rest on a part."""
    findings: list[Finding] = []
    with path.open("rb") as file:
        check = BundleCheck(file, keys, tick=plants.tick)
        for finding in check.run():
            if len(findings) < 2:
                findings.append(finding)
    counts = check.counts
    told += f": {counts.records_verified} signatures, {counts.averages_equal} averages"
    told += f" and {counts.figures_equal} figures"
    if not check.is_fine:
        first = f"{findings[0].code}: {findings[0].sentence}" if findings else "see its verdict"
        asked = "A bundle of evidence that a verifier can check offline"
        mend = "`plumeproof verify` and `plumeproof evidence verify` name every finding"
        told += f" hold, {counts.findings} findings, first {first}"
        return Line("evidence.bundle", EVIDENCE, asked, MISSING, told, mend)
    begins, ends = check.manifest["period_utc_ms"]
    extent = plants.extent() or plants.period
    is_whole = begins <= max(plants.period[0], extent[0]) and min(plants.period[1], extent[1]) <= ends
    told += " equal bit for bit"
    if is_whole:
        asked = "A bundle of the whole period that a verifier can check offline"
        return Line("evidence.bundle.period", EVIDENCE, asked, READY, told)
    asked = "A bundle of a part of the period that a verifier can check offline"
    mend = "only this part was checked: nothing can be stated of the period by it"
    return Line("evidence.bundle.part", EVIDENCE, asked, READY, told, mend)


def _clock() -> Line:
    key, asked = "evidence.clock", "Clock of this gateway synchronised"
    mend = "let this PC synchronise its clock (chrony, systemd-timesyncd, Windows Time)"
    try:
        told = check_time()
    except ConfigError:
        told = "the system says it is not synchronised, or shows a date before 2026; `plumeproof doctor`"
        return Line(key, EVIDENCE, asked, MISSING, told, mend)
    if not told.endswith(", synchronised"):
        told = "whether it is synchronised cannot be seen on this system"
        return Line(key, EVIDENCE, asked, UNJUDGED, told, "see Windows Time (w32tm /query /status)")
    return Line(key, EVIDENCE, asked, READY, "the kernel says so; `plumeproof doctor`")
