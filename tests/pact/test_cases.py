"""The 28 public cases, spoken by the requester over TLS to the real host; one server for all of them.

What the host must do beyond them: rights of clients, times of tokens, limits, hostile bodies, page links, events that
come again after an outage of the customer.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plumeproof.config import load_config
from plumeproof.pact_service import PactService
from tests.doubles.footprint_works import NOW_UTC_MS, OWN_SECRET, SECRET, write_works
from tests.doubles.manual_clock import ManualClock
from tools.pact_requester.cases import CASES, run_all
from tools.pact_requester.listener import Listener
from tools.pact_requester.schemas import Description
from tools.pact_requester.session import Session, Target

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
OPENAPI = REFERENCE / "data" / "pact" / "pact-openapi-v3_0.yaml"
pytestmark = pytest.mark.skipif(not OPENAPI.exists(), reason="the reference's data are not here (PLUMEPROOF_REFERENCE)")
LIST = "/3/footprints"


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """(service, folder, listener, clock): a host that runs, and a customer's host that refuses the first two events."""
    folder = tmp_path_factory.mktemp("works")
    from tools import test_ca

    test_ca.make(folder / "ca")
    listener = Listener(0, folder / "ca" / "server.pem", folder / "ca" / "server.key", "works", OWN_SECRET)
    clock = ManualClock(NOW_UTC_MS)
    service = PactService(load_config(write_works(folder, listener.url)), clock)
    service.start()
    yield service, folder, listener, clock
    service.stop()
    listener.close()


@pytest.fixture(scope="module")
def session(works):
    """A customer that may see everything."""
    service, folder, listener, _ = works
    target = Target(service.url, service.url, "customer-a", SECRET, folder / "ca" / "ca.pem")
    found = Session(target, Description(OPENAPI), listener)
    found.token = found.ask_token(f"{service.url}/auth/token", SECRET).json()["access_token"]
    yield found
    found.close()


@pytest.fixture(scope="module")
def outcomes(works):
    service, folder, listener, _ = works
    target = Target(service.url, service.url, "customer-a", SECRET, folder / "ca" / "ca.pem")
    own = Session(target, Description(OPENAPI), listener)
    found = {outcome.number: outcome for outcome in run_all(own)}
    own.close()
    return found


@pytest.mark.parametrize(
    "number", range(1, 29), ids=lambda number: f"case-{number}-{CASES[number][0].replace(' ', '-')}"
)
def test_public_case(outcomes, number):
    assert outcomes[number].is_passed, outcomes[number].told
