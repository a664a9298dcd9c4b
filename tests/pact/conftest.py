"""One works that hands out footprints, for all tests here, and its customer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plumeproof.config import load_config
from plumeproof.pact_service import PactService
from tests.doubles.footprint_works import NOW_UTC_MS, OTHER_SECRET, OWN_SECRET, SECRET, write_works
from tests.doubles.manual_clock import ManualClock
from tools import test_ca
from tools.pact_requester.listener import Listener
from tools.pact_requester.schemas import Description
from tools.pact_requester.session import Session, Target

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
OPENAPI = REFERENCE / "data" / "pact" / "pact-openapi-v3_0.yaml"


class Works:
    """A host that runs, its folder and clock, and the listener of customer-a, which is its PACT host."""

    def __init__(self, folder: Path) -> None:
        test_ca.make(folder / "ca")
        self.folder, self.clock = folder, ManualClock(NOW_UTC_MS)
        self.listener = Listener(0, folder / "ca" / "server.pem", folder / "ca" / "server.key", "works", OWN_SECRET)
        self.config_file = write_works(folder, self.listener.url)
        self.service = PactService(load_config(self.config_file), self.clock)
        self.service.start()
        self.description = Description(OPENAPI)

    def session(self, client: str = "customer-a", listener: Listener | None = None) -> Session:
        """With a token."""
        secret = {"customer-a": SECRET, "customer-b": OTHER_SECRET}[client]
        url = self.service.url
        found = Session(Target(url, url, client, secret, self.folder / "ca" / "ca.pem"), self.description, listener)
        found.token = found.ask_token(f"{url}/auth/token", secret).json()["access_token"]
        return found

    def close(self) -> None:
        self.service.stop()
        self.listener.close()


@pytest.fixture(scope="package")
def works(tmp_path_factory):
    if not OPENAPI.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    found = Works(tmp_path_factory.mktemp("works"))
    yield found
    found.close()


@pytest.fixture(scope="package")
def customer(works):
    """customer-a, which may see everything."""
    found = works.session()
    yield found
    found.close()


@pytest.fixture(scope="package")
def other(works):
    """customer-b: power only, and no host of its own."""
    found = works.session("customer-b")
    yield found
    found.close()
