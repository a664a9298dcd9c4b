"""The root of trust for updates that a module gets with its provisioning (SPEC.md section 8.2).

A module without one takes no update. Once it has one, another only comes signed by the keepers of the old one, with a
release: so a console, too, sets it once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from acqwire import update

from tools.module.provision import Place
from tools.module.refusal import FAULT, USAGE, Refusal
from tools.release.documents import DocumentError, parse_document, verify_roots

FILE = "update/root.bin"  # in the module's folder; boards/update_folder.py reads it


def read_root(path: Path) -> bytes:
    """A root document with as many good signatures as it asks for, not expired. Raises Refusal."""
    try:
        with path.open("rb") as file:
            raw = file.read(update.ROOT_MAX_BYTES + 1)
        body = verify_roots([parse_document(raw, update.ROOT_MAGIC)])
    except OSError as error:
        raise Refusal(f"--update-root {path}: {error.strerror}", USAGE) from error
    except DocumentError as error:
        mend = "`python -m tools.release root` and `sign` make one"
        raise Refusal(f"--update-root {path}: {error}; {mend}", USAGE) from error
    if body["expires"] * 1000 <= datetime.now(UTC).timestamp() * 1000:
        raise Refusal(f"--update-root {path}: has expired; take the newest root of your releases", USAGE)
    return raw


def refuse_other_root(place: Place, folder: str, raw: bytes) -> None:
    """Raises Refusal where the module has another root already."""
    if place.exists(folder + FILE) and place.read(folder + FILE) != raw:
        mend = "another comes with a release that the keepers of its own have signed"
        raise Refusal(f"{place.port}: has another root for updates; {mend}", FAULT)
