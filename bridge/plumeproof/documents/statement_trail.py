"""Rule 2 on a statement: every number of the results has a row of the trail, and every hash that is named resolves.

Files of evidence[] are looked for below one folder and nowhere else: the document may come from anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from plumeproof.documents.finding import Finding
from plumeproof.documents.schema import digest_of, pointer_of
from plumeproof.documents.statement_evidence import digest_of_file
from plumeproof.errors import ConfigError

TRAIL = "2 trail"


def findings_of(statement: dict[str, Any], evidence_folder: Path | None) -> Iterator[Finding]:
    """In the order of the statement. `evidence_folder` None: files are not looked at."""
    inputs = {one["id"]: one for own in statement["quantification"] for one in own["dataInputs"]}
    evidence = {one["id"] for one in statement["evidence"]}
    numbers = set(numbers_of(statement["results"], ("results",)))
    paths = {row["resultPath"] for row in statement["dataTrail"]}
    for path in sorted(numbers - paths):
        yield Finding(TRAIL, f"/ghgStatement{path}", "has no row in dataTrail, and needs one at least")
    for at, row in enumerate(statement["dataTrail"]):
        yield from _row(statement, row, f"/ghgStatement/dataTrail/{at}", inputs, evidence)
    for own in statement["quantification"]:
        for one in own["dataInputs"]:
            for name in (one["activity"] or {}).get("evidenceIds", ()):
                if name not in evidence:
                    yield Finding(TRAIL, f"/ghgStatement/quantification ({one['id']})", f"{name} is none of evidence[]")
    for at, one in enumerate(statement["evidence"]) if evidence_folder is not None else ():
        assert evidence_folder is not None
        yield from _file(one, f"/ghgStatement/evidence/{at}", evidence_folder)


def numbers_of(results: Any, steps: tuple[str, ...]) -> Iterator[str]:
    """Pointers of the quantities."""
    if isinstance(results, dict) and {"value", "unit"} <= results.keys():
        yield pointer_of(steps)
    elif isinstance(results, dict):
        for name, inner in results.items():
            yield from numbers_of(inner, (*steps, name))


def value_at(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names. Raises LookupError."""
    found = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            if not name.isdecimal() or not name.isascii() or int(name[:9]) >= len(found):
                raise LookupError(pointer)
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise LookupError(pointer)
    return found


def _row(
    statement: dict[str, Any], row: dict[str, Any], path: str, inputs: dict[str, Any], evidence: set[str]
) -> Iterator[Finding]:
    try:
        value_at(statement, row["resultPath"])
    except LookupError:
        yield Finding(TRAIL, f"{path}/resultPath", f"{row['resultPath']} is nowhere in the statement")
    for name in row["evidenceIds"]:
        if name not in evidence:
            yield Finding(TRAIL, f"{path}/evidenceIds", f"{name} is none of evidence[]")
    derivation = row["derivation"]
    missing = [name for name in derivation["inputIds"] if name not in inputs]
    for name in missing:
        yield Finding(TRAIL, f"{path}/derivation/inputIds", f"{name} is none of the dataInputs")
    if missing:
        return
    used = [inputs[name] for name in derivation["inputIds"]]
    digest = digest_of(used)
    if digest != derivation["inputsHash"]:
        told = f"is {derivation['inputsHash']}, its dataInputs have {digest}"
        yield Finding(TRAIL, f"{path}/derivation/inputsHash", told)
    figures = [name for one in used if one["figure"] is not None for name in one["figure"]["ids"]]
    if figures != derivation["figureIds"]:
        told = f"are {len(derivation['figureIds'])} figures, its dataInputs name {len(figures)} or others"
        yield Finding(TRAIL, f"{path}/derivation/figureIds", told)


def _file(one: dict[str, Any], path: str, folder: Path) -> Iterator[Finding]:
    name, below = unquote(one["uri"]), folder.resolve()
    try:
        found = (below / name).resolve()
        is_file = found.is_relative_to(below) and found.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        yield Finding(TRAIL, f"{path}/uri", f"{ascii(name)} is no file below {folder}; --evidence names another folder")
        return
    try:
        digest, size = digest_of_file(found, path)
    except ConfigError as error:
        yield Finding(TRAIL, f"{path}/uri", str(error))
        return
    if digest != one["sha256"]:
        yield Finding(TRAIL, f"{path}/sha256", f"is {one['sha256']}, {ascii(name)} has {digest}")
    if size != one["bytes"]:
        yield Finding(TRAIL, f"{path}/bytes", f"is {one['bytes']}, {ascii(name)} has {size}")
