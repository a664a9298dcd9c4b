"""Lines of the review about papers that must say the same: permit, plant descriptions, configuration, factor codes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from plumeproof.documents.permit import disagreements
from plumeproof.documents.presets import Preset
from plumeproof.documents.readiness import DISAGREES, LINKS, NOT_ASKED, PAPERS, READY, Line
from plumeproof.documents.site import SiteFile
from plumeproof.rules.plant import Plant

MN_2017 = 24  # characters; HJ 212-2005 has 14


def permit_lines(site_file: SiteFile, plants: Mapping[str, Plant], devices: Collection[str]) -> Iterator[Line]:
    """`devices`: modules of the configuration."""
    name, site = site_file.path.name, site_file.site
    asked = "Permit and plant descriptions: outlets, measurands and limits"
    faults = list(disagreements(site_file, plants))
    for at, fault in enumerate(faults, 1):
        told = f"{fault.where.removeprefix(str(site_file.path)).lstrip(': ')}: {fault.reason}"
        yield Line(f"papers.permit.{at}", PAPERS, asked, DISAGREES, f"{name} {told}", "put one of the two right")
    if not faults:
        outlets = [outlet.id for _, outlet in site.outlets()]
        yield Line(
            "papers.permit", PAPERS, asked, READY, f"{name}: outlets {', '.join(outlets)}; plants {', '.join(plants)}"
        )
    named = {outlet.plant for _, outlet in site.outlets()}
    for plant in plants.values():
        if plant.id not in named:
            told = f"plant {plant.id} is described, but no [[permit.outlet]] of {name} names it"
            mend = "add its outlet, or take the plant out of bridge.toml"
            yield Line(f"papers.outlet.{plant.id}", PAPERS, f"Outlet of plant {plant.id}", DISAGREES, told, mend)
        strange = sorted({source.device for source in plant.sources()} - set(devices))
        asked = f"Modules of plant {plant.id} are those of the configuration"
        key = f"papers.modules.{plant.id}"
        if strange:
            told = f"the description reads {', '.join(strange)}; [[module]] has {', '.join(sorted(devices)) or 'none'}"
            yield Line(key, PAPERS, asked, DISAGREES, told, "put the device id right, or add the [[module]]")
        else:
            yield Line(key, PAPERS, asked, READY, f"bridge.toml [[module]]: {', '.join(sorted(devices))}")


def link_lines(
    site_file: SiteFile, plants: Mapping[str, Plant], preset: Preset, known_codes: Collection[str]
) -> Iterator[Line]:
    """HJ 212: station number of each outlet that has one, and the factor codes of its pollutants."""
    name, by_name = site_file.path.name, {}
    for _, one in preset.parameters():
        by_name.update({called: one.code for called in one.known_as if one.code and ":" not in called})
    is_asked = False
    for permit, outlet in site_file.site.outlets():
        if not outlet.mn:
            continue
        is_asked = True
        asked = f"Station number (MN) of outlet {outlet.id}"
        told = f"{name} outlet {outlet.id}, permit {permit.number}: {outlet.mn}, {len(outlet.mn)} characters"
        mend = (
            "" if len(outlet.mn) == MN_2017 else "HJ 212-2017 has 24 characters: ask the authority for the new number"
        )
        yield Line(f"hj212.mn.{outlet.id}", LINKS, asked, READY if not mend else DISAGREES, told, mend)
        plant = plants.get(outlet.plant)
        for pollutant in outlet.pollutants:
            asked = f"Factor code of {pollutant.measurand} at {outlet.id}"
            key = f"hj212.code.{outlet.id}.{pollutant.measurand}"
            if not pollutant.hj212:
                told = f"{name}: none; it is not sent to the platform"
                yield Line(key, LINKS, asked, NOT_ASKED, told)
                continue
            gas = next(
                (one.gas or one.id for one in (plant.measurands if plant else ()) if one.id == pollutant.measurand), ""
            )
            expected = by_name.get(pollutant.measurand) or by_name.get(gas)
            if pollutant.hj212 not in known_codes:
                told = f"{name}: {pollutant.hj212} stands in no table of HJ 212-2017 annex B"
                yield Line(key, LINKS, asked, DISAGREES, told, "take the code of annex B, or agree a local one")
            elif expected is not None and expected != pollutant.hj212:
                told = f"{name}: {pollutant.hj212}, but {pollutant.measurand} has {expected}"
                yield Line(key, LINKS, asked, DISAGREES, told, f"write {expected}, or name the measurand otherwise")
            else:
                yield Line(key, LINKS, asked, READY, f"{name}: {pollutant.hj212}, HJ 212-2017 annex B")
    if not is_asked:
        told = f"no outlet of {name} has a station number (mn)"
        yield Line("hj212.none", LINKS, "Identifiers of the Chinese platform", NOT_ASKED, told)
