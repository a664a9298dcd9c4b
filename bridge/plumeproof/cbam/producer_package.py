"""The community's producer data package v2 (XML) from operator data. Not an EU format, and it says so.

Of its kind: producer to importer, one quarter, one installation. A third party's schema (MIT), which the user names.
Its code TOM02 is read as that schema reads it (continuous measurement).

    root = build_package(data, digest); schema.faults(root)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal

from plumeproof import __version__
from plumeproof.cbam.attribution import GoodResult, ProcessResult, divide
from plumeproof.cbam.operator_data import OperatorData
from plumeproof.cbam.xml_file import Element, Schema, new_child, new_root
from plumeproof.documents.declared import add, text_of
from plumeproof.documents.standing import COMMUNITY, Standing
from plumeproof.errors import ConfigError
from plumeproof.rules.calendar import month_number, year_number

NAMESPACE = "https://rgtmaia.github.io/cbam-spec/schema/package/v2"
ROOT = "CBAMProducerDataPackage"
PACKAGE_VERSION, SCHEMA_VERSION = "2.0", "2.0.0"
XSD_NAMES = "cbam-producer-data-package-v2*.xsd"
DECIMALS = 6  # that its numbers carry
ACTUAL = "01"
BY_CALCULATION, BY_MEASUREMENT = "TOM01", "TOM02"
STANDING = Standing(
    COMMUNITY, "cbam-producer-data-package v2", "2026-11-25", "It is no EU format, and no authority takes it."
)
_STEP = Decimal(1).scaleb(-DECIMALS)


def build_package(data: OperatorData, digest: str) -> Element:
    """`digest`: SHA-256 of the operator data. Raises ConfigError."""
    year, quarter = _quarter(data)
    head, party, works = data.table.head, data.site.party, data.site.works
    is_closed = all(one.is_closed for one in data.measured)
    root = new_root(NAMESPACE, ROOT)
    root.set("version", PACKAGE_VERSION)
    root.set("schemaVersion", SCHEMA_VERSION)
    dataset = new_child(root, "DatasetIdentification")
    new_child(dataset, "DatasetId", str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{digest}")))
    new_child(dataset, "Version", "1.0")
    new_child(dataset, "GenerationDate", data.periods[-1].prepared_on.isoformat())
    new_child(dataset, "DatasetStatus", "final" if is_closed else "draft")
    period = new_child(root, "ReportingPeriod")
    for name, text in (("Year", f"{year:04d}"), ("Quarter", str(quarter)), ("PeriodId", f"{year:04d}-Q{quarter}")):
        new_child(period, name, text)
    operator = new_child(root, "Operator")
    new_child(operator, "OperatorId", head.registry_operator_id or party.identifiers[0])
    new_child(operator, "OperatorName", party.legal_name)
    _address(operator, party.country, party.address)
    new_child(new_child(operator, "ContactDetails"), "Name", party.contact)
    installations = new_child(root, "Installations")
    installations.set("count", "1")
    installation = new_child(installations, "Installation")
    installation.set("index", "1")
    new_child(installation, "InstallationId", head.registry_installation_id or head.installation_id)
    new_child(installation, "InstallationName", works.name)
    _address(installation, works.country, works.address)
    routes = {route for process in data.table.processes for route in process.routes}
    if len(routes) == 1:  # the package has room for one
        process = new_child(installation, "ProductionProcess")
        new_child(process, "RouteCode", routes.pop())
        new_child(process, "MethodologyCode", BY_MEASUREMENT if data.measured else BY_CALCULATION)
    goods = data.attribution.goods
    products = new_child(installation, "Products")
    products.set("count", str(len(goods)))
    for index, good in enumerate(goods, 1):
        _product(new_child(products, "Product"), index, good, data, is_closed)
    metadata = new_child(root, "PackageMetadata")
    software = new_child(metadata, "GeneratingSoftware")
    for name, text in (("Name", "PlumeProof"), ("Version", __version__), ("SchemaVersion", SCHEMA_VERSION)):
        new_child(software, name, text)
    new_child(metadata, "GeneratedAt", f"{data.periods[-1].prepared_on.isoformat()}T00:00:00Z")
    new_child(metadata, "IntegrityHash", digest)
    new_child(metadata, "LegalDisclaimer", STANDING.text).set("language", "en")
    return root


def require_valid(root: Element, schema: Schema) -> None:
    """That the user's schema takes it. Raises ConfigError with the element."""
    for fault in schema.faults(root):
        raise ConfigError(f"{schema.path.name}: {fault.name}", fault.sentence)


def _quarter(data: OperatorData) -> tuple[int, int]:
    """Year and quarter of the period, which must be one."""
    offset, end = data.offset_min, data.end_utc_ms - 1
    first, last = month_number(data.start_utc_ms, offset), month_number(end, offset)
    year = year_number(data.start_utc_ms, offset)
    if year_number(end, offset) != year or last != first + 2 or first % 3 != 1:
        told = "a producer package is of one quarter, such as --from 2026-10 --to 2027-01"
        raise ConfigError("--from, --to", f"{data.days} is none; {told}")
    return year, (first + 2) // 3


def _address(parent: Element, country: str, street: str) -> None:
    address = new_child(parent, "Address")
    new_child(address, "Country", country)
    new_child(address, "Street", street)


def _product(product: Element, index: int, good: GoodResult, data: OperatorData, is_closed: bool) -> None:
    process = next(one for one in data.attribution.processes if one.process.id == good.process)
    category = data.table.book.categories[process.process.category]
    product.set("index", str(index))
    new_child(product, "ProductId", good.cn)
    new_child(product, "Description", good.name)
    new_child(product, "Category", category.sector)
    code = new_child(product, "CommodityCode")
    new_child(code, "CnCode", good.cn).set("informative", "true")
    new_child(code, "HsCode", good.cn[:6]).set("informative", "true")
    production = new_child(product, "Production")
    if good.quantity != good.quantity.quantize(_STEP):
        raise ConfigError(f"good {good.cn}", f"{good.quantity} has more than {DECIMALS} decimals; the package has not")
    for name, text in (
        ("QuantityType", "TOTAL_PRODUCTION"), ("Quantity", text_of(good.quantity)), ("MeasurementUnit", good.unit),
    ):  # fmt: skip
        new_child(production, name, text)
    embedded = new_child(product, "EmbeddedEmissions")
    parts = list(_parts(process))
    is_measured = any(item.kind == "measured" and item.process == good.process for item in data.attribution.items)
    for name, number in parts:
        element = new_child(embedded, name)
        if name != "PrecursorEmissions":
            new_child(element, "DeterminationType", ACTUAL)
        if name == "DirectEmissions":
            new_child(element, "MethodologyCode", BY_MEASUREMENT if is_measured else BY_CALCULATION)
        _value(element, "SpecificEmissions", number, good.unit)
    _value(embedded, "TotalSpecificEmissions", add([number for _, number in parts]), good.unit)
    metadata = new_child(product, "CalculationMetadata")
    new_child(metadata, "Version", "1")
    new_child(metadata, "Status", _status(data, is_closed))


def _parts(process: ProcessResult) -> Iterator[tuple[str, Decimal]]:
    """Own direct and indirect, precursors together; what is printed adds up to the printed total."""
    yield "DirectEmissions", divide(process.attributed.direct, process.level, DECIMALS)
    yield "IndirectEmissions", divide(process.attributed.indirect, process.level, DECIMALS)
    precursors = add([process.precursors.direct, process.precursors.indirect])
    if precursors:
        yield "PrecursorEmissions", divide(precursors, process.level, DECIMALS)


def _value(parent: Element, name: str, number: Decimal, unit: str) -> None:
    element = new_child(parent, name)
    new_child(element, "Value", format(number.quantize(_STEP), "f"))
    new_child(element, "Unit", f"tCO2e/{unit}")


def _status(data: OperatorData, is_closed: bool) -> str:
    verifier = data.table.verifier
    if not is_closed:
        return "draft"
    return "verified" if verifier is not None and verifier.opinion == "unmodified" else "calculated"
