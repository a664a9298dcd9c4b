"""A works that hands out footprints: the ledger of tonnes_plant with one figure revised, site.toml, bridge.toml, TLS.

Two products of December 2026, whose figure the bridge has revised after they were issued: four footprints, two of them
deprecated. Imitates nothing but the customer's host, which is tools.pact_requester's listener.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from plumeproof.rules.figure import CO2E, MONTH
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from tests.doubles.manual_clock import ManualClock
from tests.doubles.tonnes_plant import write_tonnes
from tools import test_ca
from tools.eu_platform.receipts import write_private

SAMPLE = files("plumeproof.documents").joinpath("sample_site.toml").read_text()
REVISED_UTC_MS = 1_801_000_000_000  # 2027-01-26, behind the sample's `issued`
NOW_UTC_MS = 1_802_000_000_000
DECEMBER = (1_796_079_600_000, 1_798_758_000_000)  # of the site's clock
SECRET, OTHER_SECRET, OWN_SECRET = (
    "customer-a-secret-0123456789",
    "customer-b-secret-0123456789",
    "ours-at-a-0123456789",
)


def site_text() -> str:
    """The sample, without the pollutant that the plant does not measure, and with a second product."""
    first = SAMPLE.index("[[permit.outlet.pollutant]]")
    text = SAMPLE[:first] + SAMPLE[SAMPLE.index("[[permit.outlet.pollutant]]", first + 1) :]
    product = text[text.index("[[pact.product]]") : text.index("[[pact.footprint]]")]
    begins = text.index("[[pact.footprint]]")
    ends = text.index('version = "2026"\n', begins) + len('version = "2026"\n')
    other = product.replace('"steam"', '"power"').replace("product-id:steam-40bar", "product-id:power")
    other = other.replace('"megajoule"', '"kilowatt hour"').replace('"17300"', '"17100"')
    said = text[begins:ends].replace('"steam"', '"power"').replace('"CN"', '"Eastern Asia"').replace('"62.5"', '"37.5"')
    return text[:begins] + other + text[begins:ends] + "\n" + said + text[ends:]


@lru_cache(maxsize=1)
def _ledger_files() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        write_tonnes(Path(folder), 2)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def write_ledger(folder: Path, revise: bool = True) -> None:
    """ledger.sqlite, keys.json and line-1.toml; made once a process."""
    for name, raw in _ledger_files().items():
        (folder / name).write_bytes(raw)
    if revise:
        revise_december(folder / "ledger.sqlite", 1.01, REVISED_UTC_MS)


def write_works(folder: Path, listener_url: str = "") -> Path:
    """Everything in one folder; returns bridge.toml. `listener_url`: of the customer's own host."""
    test_ca.make(folder / "ca")
    data = folder / "data"
    data.mkdir()
    write_ledger(data)
    (folder / "site.toml").write_text(site_text())
    write_private(folder / "own.secret", (OWN_SECRET + "\n").encode())
    told = (
        f'base_url = "{listener_url}"\nown_client_id = "works"\nown_secret_file = "own.secret"\n'
        if listener_url
        else ""
    )
    (folder / "bridge.toml").write_text(
        f"""
[gateway]
id = "gateway-01"
data_dir = "data"
[keys]
file = "data/keys.json"
[[module]]
device = "plume-01"
port = "/dev/null"
[[plant]]
file = "data/line-1.toml"
[documents]
site_file = "site.toml"
[pact]
port = 0
cert_file = "ca/server.pem"
key_file = "ca/server.key"
requests_per_minute = 10000
tokens_per_minute = 1000
[[pact.client]]
id = "customer-a"
products = ["*"]
secret_sha256 = "{hashlib.sha256(SECRET.encode()).hexdigest()}"
{told}{'ca_file = "ca/ca.pem"' if listener_url else ""}
[[pact.client]]
id = "customer-b"
products = ["power"]
secret_sha256 = "{hashlib.sha256(OTHER_SECRET.encode()).hexdigest()}"
"""
    )
    return folder / "bridge.toml"


def revise_december(ledger: Path, factor: float, now_utc_ms: int) -> None:
    """The bridge's own writer makes revision n+1 of the month's t CO2e."""
    writer = Writer(ledger)
    figures = SqliteFigures(writer, ManualClock(now_utc_ms))
    found = [one for one in figures.of_period("line-1", MONTH, *DECEMBER) if one.layer == CO2E]
    assert len(found) == 1 and found[0].value is not None
    figures.commit([found[0]._replace(value=found[0].value * factor)], (), figures.position())
    writer.close()


def without(text: str, key: str) -> str:
    """A site file without one line of it."""
    found, count = re.subn(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
    assert count
    return found
