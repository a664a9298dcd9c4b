"""The permit view: numbers, outlets, limits and reporting duties of the permits in one sheet, for the permit file.

Limits stand in the permit's copy and in the plant descriptions, which the averaging follows; where both do not say the
same, nothing is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plumeproof.documents.sheet import Block, Facts, Heading, Sheet, Table, Text
from plumeproof.documents.site import Outlet, Site, SiteFile
from plumeproof.documents.standing import OWN_FORM, Standing
from plumeproof.errors import ConfigError
from plumeproof.rules.plant import Measurand, Plant

FORMAT = "plumeproof.permit/1"
STANDING = Standing(
    OWN_FORM,
    "the permits as site.toml copies them; HJ 212-2017 annex B for codes",
    "2026-11-25",  # the codes; each permit is checked against the plant descriptions whenever this is made
    "A copy for work, not the permit itself.",
)


def require_agreement(site_file: SiteFile, plants: Mapping[str, Plant]) -> None:
    """Raises the first of the disagreements."""
    for error in disagreements(site_file, plants):
        raise error


def disagreements(site_file: SiteFile, plants: Mapping[str, Plant]) -> Iterator[ConfigError]:
    """Where outlets name plants that are not there, pollutants or sources no measurands of theirs, or limits differ:
    file, outlet, what is wrong and where to mend it."""
    site, where = site_file.site, str(site_file.path)
    for permit, outlet in site.outlets():
        plant = plants.get(outlet.plant)
        at = f"{where}: outlet {outlet.id}"
        if plant is None:
            there = ", ".join(sorted(plants)) or "none"
            yield ConfigError(at, f"names plant {outlet.plant[:40]!r}; described are {there}")
            continue
        for pollutant in outlet.pollutants:
            measurand = _measurand(plant, pollutant.measurand)
            if measurand is None:
                known = ", ".join(one.id for one in plant.measurands)
                told = f"{pollutant.measurand[:40]!r} is no measurand of plant {plant.id}: {known}"
                yield ConfigError(at, told)
                continue
            own = {limit.kind: limit.value for limit in pollutant.limits}
            theirs = {limit.kind: limit.value for limit in measurand.limits}
            if own != theirs:
                told = f"permit {permit.number} says {_told(own)}, plant {plant.id} {_told(theirs)}"
                yield ConfigError(at, f"limits of {measurand.id}: {told}; put one of them right")
    for source in site.sources:
        _, outlet = site.outlet(source.outlet)
        if outlet.plant in plants and _measurand(plants[outlet.plant], source.measurand) is None:
            told = f"{source.measurand[:40]!r} is not measured at {outlet.id}"
            yield ConfigError(f"{where}: source {source.id}", told)


def permit_document(site: Site) -> dict[str, Any]:
    """For machines."""
    return {
        "format": FORMAT,
        "profile": STANDING.content,
        "site": {"id": site.works.id, "name": site.works.name, "address": site.works.address},
        "party": {"legal_name": site.party.legal_name, "identifiers": list(site.party.identifiers)},
        "permits": [
            {
                "number": permit.number,
                "authority": permit.authority,
                "valid_from": permit.valid_from.isoformat(),
                "valid_to": permit.valid_to.isoformat(),
                "outlets": [_outlet(outlet) for outlet in permit.outlets],
            }
            for permit in site.permits
        ],
    }


def permit_sheet(site: Site) -> Sheet:
    """For the permit file."""
    blocks: list[Block] = [
        Facts(
            (
                ("Operator", site.party.legal_name),
                ("Identifiers", ", ".join(site.party.identifiers)),
                ("Works", f"{site.works.name}, {site.works.address}, {site.works.country}"),
                ("Position (WGS 84)", f"{site.works.latitude:.6f}, {site.works.longitude:.6f} degrees"),
            )
        )
    ]
    for permit in site.permits:
        blocks += [
            Heading(f"Permit {permit.number}"),
            Facts((("Authority", permit.authority), ("Valid", f"{permit.valid_from} to {permit.valid_to}"))),
        ]
        for outlet in permit.outlets:
            blocks.append(Heading(f"Outlet {outlet.id}: {outlet.name}"))
            rows = tuple(
                (
                    pollutant.measurand,
                    pollutant.hj212 or "none",
                    ", ".join(f"{limit.kind} {limit.value:g} mg/m3" for limit in pollutant.limits) or "none",
                    ", ".join(pollutant.duties) or "none",
                )
                for pollutant in outlet.pollutants
            )
            blocks.append(Facts((("Measured by plant", outlet.plant), ("HJ 212 station (MN)", outlet.mn or "none"))))
            blocks.append(Table(("Pollutant", "HJ 212 code", "Limits at reference conditions", "To be reported"), rows))
        if not permit.outlets:
            blocks.append(Text("No outlet is listed."))
    return Sheet("Permit view", site.works.name, tuple(blocks), STANDING.text)


def _measurand(plant: Plant, name: str) -> Measurand | None:
    return next((one for one in plant.measurands if one.id == name), None)


def _told(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{kind} {value:g}" for kind, value in sorted(limits.items())) or "none"


def _outlet(outlet: Outlet) -> dict[str, Any]:
    return {
        "id": outlet.id,
        "name": outlet.name,
        "plant": outlet.plant,
        "mn": outlet.mn,
        "pollutants": [
            {
                "measurand": pollutant.measurand,
                "hj212": pollutant.hj212,
                "duties": list(pollutant.duties),
                "limits": {limit.kind: f"{limit.value:g}" for limit in pollutant.limits},
            }
            for pollutant in outlet.pollutants
        ],
    }
