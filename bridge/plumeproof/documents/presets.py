"""What each category of project is asked to measure, as data, held against what plant descriptions measure.

presets/*.toml are the shipped lists; a file of your own takes their place ([readiness] preset_file). Of ZLD, WTE and
SWRO works it is said that their goods are no CBAM goods, and how carbon reaches them all the same.

    lines = parameter_lines(load_preset("wte", None), site_file, plants, own)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from plumeproof.documents.readiness import MISSING, NOT_ASKED, PARAMETERS, READY, Line
from plumeproof.documents.readiness_file import ReadinessFile
from plumeproof.documents.site import SiteFile
from plumeproof.errors import ConfigError
from plumeproof.rules.plant import Plant
from plumeproof.section import Section, list_of, one_of, setting, text_like, typed
from plumeproof.toml_file import parse_toml, read_text

FILE_MAX_BYTES = 256 * 1024
NOT_MEASURED = "measure it, or state in a [[readiness.parameter]] where it is measured, or why this works has none"
REQUIRED, IF_FITTED = "required", "if_fitted"
WAYS = (  # reference: reporting section 0
    "its customers' CBAM plants, where its monitoring equipment is installed",
    "green-procurement footprints (PACT)",
    "its own site inventory (GHG statement)",
)
_ID = re.compile(r"[a-z0-9_]{1,40}")
_CODE = re.compile(r"[a-z][0-9]{5}")
_KNOWN = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


def _code(value: object, _folder: Path) -> str:
    text = typed(value, str)
    if text and _CODE.fullmatch(text) is None:
        raise ValueError(f'{text[:40]!r} is no HJ 212 code; write a letter and five digits, or ""')
    return text


@dataclass(frozen=True, slots=True)
class Parameter:
    """`code`: HJ 212-2017; `known_as`: how descriptions call it; `need`: required or if_fitted."""

    id: str = setting(text_like(_ID, "parameter id (a-z 0-9 _)"))
    name: str = setting(text_like())
    code: str = setting(_code)
    known_as: tuple[str, ...] = setting(list_of(text_like(_KNOWN, "name of a quantity")))
    need: str = setting(one_of(REQUIRED, IF_FITTED))


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters under a heading."""

    parameters: tuple[Parameter, ...]
    name: str = setting(text_like())


@dataclass(frozen=True, slots=True)
class Preset:
    """`verified`: the day on which a person compared it with its source, "" nobody yet."""

    groups: tuple[Group, ...]
    title: str = setting(text_like())
    source: str = setting(text_like())
    is_cbam: bool = setting(one_of(True, False))
    verified: str = setting(lambda value, _folder: typed(value, str), "")

    def parameters(self) -> Iterator[tuple[Group, Parameter]]:
        """In the file's order."""
        for group in self.groups:
            for one in group.parameters:
                yield group, one


def load_preset(category: str, own: Path | None) -> Preset:
    """A shipped list, or a file of your own. Raises ConfigError: one line with file, line, key and mend."""
    path = own or Path(f"{category}.toml")
    if own is None:
        text = files("plumeproof.documents").joinpath("presets", path.name).read_text(encoding="utf-8")
    else:
        text = read_text(own, FILE_MAX_BYTES, "name a copy of a shipped preset", "this is no preset")
    tree, lines = parse_toml(text, path)
    top = Section(tree, (), lines, path, "plumeproof readiness --sample-preset")
    groups = tuple(
        one.build(Group, parameters=one.each("parameter", Parameter, is_needed=True)) for one in top.sections("group")
    )
    preset = top.build(Preset, groups=groups)
    ids = [one.id for _, one in preset.parameters()]
    if len(set(ids)) != len(ids):
        raise top.refuse("group", "a parameter id is there twice; each stands once")
    return preset


def preset_text(category: str) -> str:
    """A shipped list as it is, to copy."""
    return files("plumeproof.documents").joinpath("presets", f"{category}.toml").read_text(encoding="utf-8")


def parameter_lines(
    preset: Preset, site_file: SiteFile, plants: Mapping[str, Plant], own: ReadinessFile, is_own: bool = True
) -> Iterator[Line]:
    """One for each required parameter; those that are asked only where fitted, and of which nothing is stated, share
    one line of their group. Raises ConfigError for a stated parameter that the list does not have, where the list is
    that of the site's own category."""
    stated = {one.parameter: one for one in own.elsewhere}
    known = [one.id for _, one in preset.parameters()]
    for name in stated if is_own else ():
        if name not in known:
            told = f"parameter {name} is none of this category; there are {', '.join(known)}"
            raise ConfigError(f"{site_file.path}: readiness.parameter", told)
    named = {name for _, one in preset.parameters() for name in one.known_as}
    for group in preset.groups:
        unfitted = []
        for one in group.parameters:
            asked = f"{group.name}: {one.name}" + (f" ({one.code})" if one.code else "")
            key = f"parameter.{one.id}"
            found = _measured(one, named, site_file, plants, own)
            entry = stated.get(one.id)
            if found:
                yield Line(key, PARAMETERS, asked, READY, found)
            elif entry is not None and entry.where:
                evidence = f"measured elsewhere: {entry.where} ({site_file.path.name} [[readiness.parameter]])"
                yield Line(key, PARAMETERS, asked, READY, evidence)
            elif entry is not None:
                evidence = f"this works has none: {entry.not_here} ({site_file.path.name} [[readiness.parameter]])"
                yield Line(key, PARAMETERS, asked, NOT_ASKED, evidence)
            elif one.need == REQUIRED:
                told = f'no plant description measures it, no [[readiness.parameter]] "{one.id}" says where'
                yield Line(key, PARAMETERS, asked, MISSING, told, NOT_MEASURED)
            else:
                unfitted.append(one.name)
        if unfitted:
            told = f"{group.name}, only where fitted: {', '.join(unfitted)}"
            key = f"parameter.unfitted.{re.sub('[^a-z0-9]+', '_', group.name.lower())}"
            yield Line(key, PARAMETERS, told, NOT_ASKED, "nothing is stated of them")


def _measured(
    one: Parameter, named: Collection[str], site_file: SiteFile, plants: Mapping[str, Plant], own: ReadinessFile
) -> str:
    """Where it is measured; "" where it is not."""
    found = []
    by_code = {
        (outlet.plant, pollutant.measurand)
        for _, outlet in site_file.site.outlets()
        for pollutant in outlet.pollutants
        if one.code and pollutant.hj212 == one.code
    }
    for plant in plants.values():
        names = {measurand.id: measurand.id for measurand in plant.measurands}
        # The gas tells what a measurand is where its own name does not: NOx reported as NO2 is no NO2
        unnamed = [one for one in plant.measurands if one.gas and one.id not in named]
        names |= {str(measurand.gas): measurand.id for measurand in unnamed}
        names |= {f"peripheral:{entry.kind}": entry.kind for entry in plant.peripherals}
        names |= {entry.id: entry.id for entry in plant.computed}
        names |= {"flow": "flow"} if plant.flow is not None else {}
        names |= {"state": "states"} if plant.states else {}
        hits = [names[name] for name in one.known_as if name in names]
        hits += [measurand for where, measurand in sorted(by_code) if where == plant.id and measurand in names]
        found += [f"measured: {hit} of {plant.id}" for hit in dict.fromkeys(hits)]
    for name in one.known_as:
        if name.startswith("table:") and site_file.has_table(name.removeprefix("table:")):
            found.append(f"stated: {site_file.path.name} [{name.removeprefix('table:')}]")
        if name.startswith("factor:") and any(entry.what == name.removeprefix("factor:") for entry in own.factors):
            found.append(f"stated: {site_file.path.name} [[readiness.factor]]")
    return ", ".join(found)
