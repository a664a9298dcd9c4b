"""Edition labels of ISO 14064: what may be written over a statement or a verification.

ISO's own texts are ISO 14064-1:2018 and ISO 14064-3:2019; no edition of ISO dated 2025 was found (reference: reporting
section 0), though national adoptions carry such numbers (TCVN ISO 14064-3:2025). So any other label is taken only with
its basis: which adoption, or a note that says why.
"""

from __future__ import annotations

import re

OWN = {1: "ISO 14064-1:2018", 3: "ISO 14064-3:2019"}  # by part
BASIS_MIN = 20  # characters of a note that explains anything
_LABEL = re.compile(r"(?:[A-Z][A-Z/-]{1,11} )?ISO 14064[-.]([13]):(\d{4})")
_ADOPTION = re.compile(r"[A-Z][A-Z/-]{1,11} ISO 14064[-.]([13]):(\d{4})")


def fault_of(label: str, basis: str | None, part: int) -> str | None:
    """Why a label cannot stand, with the mend; None: it can."""
    found = _LABEL.fullmatch(label)
    if found is None or int(found[1]) != part:
        return f"{label[:40]!r} is no edition of ISO 14064-{part}; write {OWN[part]!r}"
    if label == OWN[part]:
        return None
    if basis is None:
        mend = "name the national adoption (such as TCVN) or a note as its basis"
        return f"{label!r} is none of ISO's own editions ({OWN[part]}); {mend}"
    adopted = _ADOPTION.search(basis)
    if adopted is not None and (int(adopted[1]) != part or adopted[2] != found[2]):
        return f"{label!r} has the basis {adopted[0]!r}, which is another edition"
    if adopted is None and len(basis) < BASIS_MIN:
        return f"{label!r} has the basis {basis!r}; name the national adoption, or say in a sentence why"
    return None
