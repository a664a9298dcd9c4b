"""The checks that a data set must pass, whoever edited it last: schema, seven rules and the hash.

The rules are those of reference: reporting section 1. A finding is one line: the place (JSON pointer), what stands
there and what should.

    for one in findings_of(document, Path("folder/of/the/evidence")): print(one)

1 sums, 2 trail and evidence, 7 biogenic CO2 (statement_sums.py, statement_trail.py); 3 unmodified opinion, 4 hash of
the statement, 5 wording by level of assurance, 6 independent reviewer (verification_checks.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plumeproof.documents import statement_sums, statement_trail, verification_checks
from plumeproof.documents.edition import fault_of
from plumeproof.documents.finding import Finding
from plumeproof.documents.schema import digest_of, faults_of, load_schema
from plumeproof.documents.verification import SCHEMA_NAME


def findings_of(document: Any, evidence_folder: Path | None) -> list[Finding]:
    """In the order of the rules; where the schema does not hold, its faults only. `evidence_folder`: where the files of
    evidence[] lie; None: they are not looked at."""
    faults = faults_of(load_schema(SCHEMA_NAME), document)
    if faults:
        return [Finding("schema", path or "/", told) for path, told in faults]
    return list(_of_rules(document, evidence_folder))


def _of_rules(document: dict[str, Any], evidence_folder: Path | None) -> Iterator[Finding]:
    statement, verification = document["ghgStatement"], document["verification"]
    for key, part in (("ghgStatement", 1), ("verification", 3)):
        own = document[key]
        if (fault := fault_of(own["standardEdition"], own["standardEditionBasis"], part)) is not None:
            yield Finding("edition", f"/{key}/standardEdition", fault)
    yield from statement_sums.findings_of(statement)
    yield from statement_trail.findings_of(statement, evidence_folder)
    digest = digest_of(statement)
    if document["ghgStatementSha256"] != digest:
        told = f"is {document['ghgStatementSha256']}, the statement's canonical form has {digest}"
        yield Finding("4 hash", "/ghgStatementSha256", told)
    yield from verification_checks.findings_of(verification, statement, digest)
