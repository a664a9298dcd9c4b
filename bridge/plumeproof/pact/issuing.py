"""Every footprint of a site file, from the ledger of its plants, in the file's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plumeproof.documents.site import SiteFile
from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.ledger_strips import LedgerStrips
from plumeproof.pact.footprint import Issued, issue
from plumeproof.pact.measured import Stack, measure
from plumeproof.pact.offer import read_offer


def issue_all(
    site_file: SiteFile,
    desks: Mapping[str, tuple[FigureDesk, LedgerStrips]],
    skip: Callable[[ConfigError], None] | None = None,
) -> Sequence[Issued]:
    """All versions of all footprints. `desks`: by plant id; `skip`: told of a footprint that cannot be made yet, the
    others are; None: it is raised. Raises ConfigError, StoreError, RuleError."""
    offer = read_offer(site_file)
    stacks = {name: Stack(desk, ledger) for name, (desk, ledger) in desks.items()}
    found: list[Issued] = []
    for offered in offer.footprints:
        try:
            measured = measure(offered, site_file.site, stacks.__getitem__)
        except ConfigError as error:
            if skip is None:
                raise
            skip(error)
            continue
        found += issue(offer, offered, measured, site_file.site.party)
    return found
