"""The 28 cases, by number and name. Each is a function of a session; CaseFailure says why it does not hold."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tools.pact_requester.session import (
    CaseFailure,
    Session,
    next_link,
    object_of,
    require_status,
    to_http,
)

Case = Callable[[Session], str | None]
TYPE = "org.wbcsd.pact.ProductFootprint.{}.3"
LIST = "/3/footprints"
WRONG = "invalid-access-token"
GEOGRAPHY = ("geographyCountry", "geographyRegionOrSubregion", "geographyCountrySubdivision")
VALID_YEARS = 3
CASES: dict[int, tuple[str, Case]] = {}


def case(number: int, name: str) -> Callable[[Case], Case]:
    """Put a case into the table."""

    def add(function: Case) -> Case:
        CASES[number] = (name, function)
        return function

    return add


@dataclass(frozen=True, slots=True)
class Outcome:
    """`told`: why it does not hold, or what to know."""

    number: int
    name: str
    is_passed: bool
    told: str


def run_all(session: Session) -> Iterator[Outcome]:
    """In order: the first four learn what the others ask about. Raises httpx.ConnectError where nobody answers."""
    for number, (name, function) in sorted(CASES.items()):
        try:
            told = function(session)
        except CaseFailure as failure:
            yield Outcome(number, name, False, str(failure))
        except httpx.ConnectError:
            if number == 1:
                raise
            yield Outcome(number, name, False, "the host does not answer any more")
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            yield Outcome(number, name, False, f"cannot be followed: {type(error).__name__}: {str(error)[:160]}")
        else:
            yield Outcome(number, name, True, told or "")


@case(1, "Obtain auth token with valid credentials")
def _token(session: Session) -> None:
    session.token = _good_token(session, f"{session.target.auth_url}/auth/token")


@case(2, "Obtain auth token with invalid credentials")
def _no_token(session: Session) -> None:
    _bad_token(session, f"{session.target.auth_url}/auth/token")


@case(3, "Get PCF using GetFootprint")
def _get(session: Session) -> None:
    session.footprints = session.read_pages(LIST)
    one = _first(session)
    answer = session.get(f"{LIST}/{one['id']}")
    require_status(answer, 200)
    data = object_of(answer).get("data")
    session.require_schema("ProductFootprint", data)
    if data != one:
        raise CaseFailure("the footprint differs from the one in the list")
    _require_sums(data)


@case(4, "Get all PCFs using ListFootprints")
def _list(session: Session) -> None:
    found = session.read_pages(LIST)
    _first(session)
    if {one["id"] for one in found} != {one["id"] for one in session.footprints} or len(found) != len(
        session.footprints
    ):
        raise CaseFailure("two lists differ, or an id stands twice")


@case(5, "Pagination link implementation of Action ListFootprints")
def _pages(session: Session) -> None:
    answer = session.get(f"{LIST}?limit=1")
    seen = session.read_list(answer)
    link = next_link(answer)
    if link is None:
        raise CaseFailure("no Link rel=next for limit=1; the host must have two footprints or more")
    while link is not None:
        if urlsplit(link).netloc != urlsplit(session.target.base_url).netloc or urlsplit(link).scheme != "https":
            raise CaseFailure(f"the page link is not absolute, or names another host: {link[:120]}")
        first, again = session.get(link), session.get(link)
        page = session.read_list(first)
        if session.read_list(again) != page:
            raise CaseFailure("a page link gives another page when it is asked again")
        if len(page) > 1 or len(seen) > len(session.footprints):
            raise CaseFailure("a page is larger than limit=1, or the pages do not end")
        seen += page
        link = next_link(first)
    if sorted(one["id"] for one in seen) != sorted(one["id"] for one in session.footprints):
        raise CaseFailure("the pages together are not the list")


@case(6, "Attempt ListFootprints with invalid token")
def _list_wrong(session: Session) -> None:
    session.require_error(session.get(LIST, WRONG), 400, "BadRequest")


@case(7, "Attempt GetFootprint with invalid token")
def _get_wrong(session: Session) -> None:
    session.require_error(session.get(f"{LIST}/{_first(session)['id']}", WRONG), 400, "BadRequest")


@case(8, "Attempt GetFootprint with non-existent id")
def _get_none(session: Session) -> None:
    for name in (str(uuid.uuid4()), "random-string-as-id"):
        session.require_error(session.get(f"{LIST}/{name}"), 404, "NotFound", "NoSuchFootprint")


@case(9, "Attempt authentication through HTTP")
def _token_http(session: Session) -> str | None:
    url = to_http(f"{session.target.auth_url}/auth/token")
    return _without(lambda: session.ask_token(url, session.target.secret), "access_token")


@case(10, "Attempt ListFootprints through HTTP")
def _list_http(session: Session) -> str | None:
    return _without(lambda: session.get(to_http(session.target.base_url + LIST)), "data")


@case(11, "Attempt GetFootprint through HTTP")
def _get_http(session: Session) -> str | None:
    url = to_http(f"{session.target.base_url}{LIST}/{_first(session)['id']}")
    return _without(lambda: session.get(url), "data")


@case(12, "Receive asynchronous PCF request")
def _request(session: Session) -> str | None:
    event = _event("RequestCreatedEvent", {"productId": _first(session)["productIds"], "comment": "for this year"})
    require_status(session.post_event(event), 200)
    if session.listener is None:
        return "the answering event was not looked for (no --listen-port)"
    answer = session.listener.wait_for("RequestFulfilledEvent", event["id"], session.wait_s)
    if answer is None:
        raise CaseFailure(f"no RequestFulfilledEvent came within {session.wait_s:g} s")
    session.require_schema("RequestFulfilledEvent", answer)
    if not any(one["id"] == _first(session)["id"] for one in answer["data"]["pfs"]):
        raise CaseFailure("the answering event lacks the footprint that was asked for")
    return "answered by an event"


@case(13, "Receive PCF request fulfilled event")
def _fulfilled(session: Session) -> None:
    data = {"requestEventId": str(uuid.uuid4()), "pfs": [_first(session)]}
    require_status(session.post_event(_event("RequestFulfilledEvent", data)), 200)


@case(14, "Receive PCF request rejected event")
def _rejected(session: Session) -> None:
    error = {"code": "NotFound", "message": "The requested footprint could not be found."}
    event = _event("RequestRejectedEvent", {"requestEventId": str(uuid.uuid4()), "error": error})
    require_status(session.post_event(event), 200)


@case(15, "Receive notification of PCF update (published event)")
def _published(session: Session) -> None:
    require_status(session.post_event(_event("PublishedEvent", {"pfIds": [str(uuid.uuid4())]})), 200)


@case(16, "Attempt Action Events with invalid token")
def _event_wrong(session: Session) -> None:
    event = _event("PublishedEvent", {"pfIds": [str(uuid.uuid4())]})
    session.require_error(session.post_event(event, WRONG), 400, "BadRequest")


@case(17, "Attempt Action Events through HTTP")
def _event_http(session: Session) -> str | None:
    event = _event("PublishedEvent", {"pfIds": [str(uuid.uuid4())]})
    base = to_http(session.target.base_url)
    return _without(lambda: session.post_event(event, base_url=base), "data", may_be_empty=False)


@case(18, "OpenID Connect-based authentication flow")
def _openid(session: Session) -> None:
    session.token = _good_token(session, _token_endpoint(session))
    session.read_list(session.get(f"{LIST}?limit=1"))


@case(19, "OpenID Connect-based authentication flow with incorrect credentials")
def _openid_wrong(session: Session) -> None:
    _bad_token(session, _token_endpoint(session))


@case(20, "Get filtered list of footprints by productId")
def _by_product(session: Session) -> None:
    value = _first(session)["productIds"][0]
    _filter(session, {"productId": value}, lambda one: value in one["productIds"])
    _require_nothing(session, {"productId": "urn:pact:nobody.example:product-id:none"})


@case(21, "Get filtered list of footprints by companyId")
def _by_company(session: Session) -> None:
    value = _first(session)["companyIds"][0]
    _filter(session, {"companyId": value}, lambda one: value in one["companyIds"])
    _require_nothing(session, {"companyId": "urn:pact:nobody.example:company:none"})


@case(22, "Get filtered list of footprints by geography")
def _by_geography(session: Session) -> None:
    value = _first_of(session, lambda one: [one["pcf"][name] for name in GEOGRAPHY if name in one["pcf"]])
    _filter(session, {"geography": value}, lambda one: value in [one["pcf"].get(name) for name in GEOGRAPHY])
    _require_nothing(session, {"geography": "XX"})


@case(23, "Get filtered list of footprints by classification")
def _by_classification(session: Session) -> None:
    value = _first_of(session, lambda one: one.get("productClassifications", []))
    _filter(session, {"classification": value}, lambda one: value in one.get("productClassifications", []))
    _require_nothing(session, {"classification": "urn:pact:productclassification:un-cpc:99999"})


@case(24, "Get filtered list of footprints by validOn")
def _by_valid_on(session: Session) -> None:
    begin, _ = _validity(_first(session))
    _filter(session, {"validOn": _z(begin)}, lambda one: _validity(one)[0] <= begin <= _validity(one)[1])
    _require_nothing(session, {"validOn": "1990-01-01T00:00:00Z"})


@case(25, "Get filtered list of footprints by validAfter")
def _by_valid_after(session: Session) -> None:
    moment = _validity(_first(session))[0] - timedelta(seconds=1)
    _filter(session, {"validAfter": _z(moment)}, lambda one: _validity(one)[0] > moment)
    _require_nothing(session, {"validAfter": _z(max(_validity(one)[0] for one in session.footprints))})


@case(26, "Get filtered list of footprints by validBefore")
def _by_valid_before(session: Session) -> None:
    moment = _validity(_first(session))[1] + timedelta(seconds=1)
    _filter(session, {"validBefore": _z(moment)}, lambda one: _validity(one)[1] < moment)
    _require_nothing(session, {"validBefore": _z(min(_validity(one)[1] for one in session.footprints))})


@case(27, "Get filtered list of footprints by status")
def _by_status(session: Session) -> None:
    value = _first(session)["status"]
    _filter(session, {"status": value}, lambda one: one["status"] == value)
    session.require_error(session.get(f"{LIST}?status=Unheard"), 400, "BadRequest")


@case(28, "Get filtered list of footprints by status and productId")
def _by_both(session: Session) -> None:
    status, value = _first(session)["status"], _first(session)["productIds"][0]
    wanted = {"status": status, "productId": value}
    _filter(session, wanted, lambda one: one["status"] == status and value in one["productIds"])
    _require_nothing(session, wanted | {"productId": "urn:pact:nobody.example:product-id:none"})


def _good_token(session: Session, url: str) -> str:
    answer = session.ask_token(url, session.target.secret)
    require_status(answer, 200)
    found = object_of(answer)
    if str(found.get("token_type")).lower() != "bearer" or not isinstance(found.get("access_token"), str):
        raise CaseFailure("the answer has no access_token, or token_type is not Bearer")
    return str(found["access_token"])


def _bad_token(session: Session, url: str) -> None:
    answer = session.ask_token(url, session.target.secret + "-wrong")
    require_status(answer, 400, 401)
    if not object_of(answer).get("error"):
        raise CaseFailure("the refusal has no member `error`")


def _token_endpoint(session: Session) -> str:
    answer = session.http.get(f"{session.target.auth_url}/.well-known/openid-configuration")
    require_status(answer, 200)
    found = object_of(answer).get("token_endpoint")
    if not isinstance(found, str) or not found.startswith("https://"):
        raise CaseFailure("the provider's configuration names no token_endpoint with https")
    return found


def _without(ask: Callable[[], httpx.Response], member: str, may_be_empty: bool = True) -> str | None:
    """Nothing that is worth something over plain HTTP: no connection, or an answer without it."""
    try:
        answer = ask()
    except httpx.HTTPError as error:
        return f"refused ({type(error).__name__})"
    if 200 <= answer.status_code < 300 and (answer.content or not may_be_empty):
        raise CaseFailure(f"status {answer.status_code} over plain HTTP")
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = {}
    if isinstance(content, dict) and member in content:
        raise CaseFailure(f"`{member}` came over plain HTTP")
    return f"status {answer.status_code}"


def _event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": TYPE.format(kind),
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "https://requester.example/3/events",
        "time": _z(datetime.now(UTC)),
        "data": data,
    }


def _first(session: Session) -> dict[str, Any]:
    if not session.footprints:
        raise CaseFailure("the host has no footprint for this client")
    return session.footprints[0]


def _first_of(session: Session, values: Callable[[dict[str, Any]], list[str]]) -> str:
    found = [value for one in session.footprints for value in values(one)]
    if not found:
        raise CaseFailure("no footprint has one; nothing to filter by")
    return found[0]


def _filter(session: Session, wanted: dict[str, str], fits: Callable[[dict[str, Any]], bool]) -> None:
    found = session.read_pages(f"{LIST}?{_query(wanted)}")
    right = [one["id"] for one in session.footprints if fits(one)]
    if not found or sorted(one["id"] for one in found) != sorted(right):
        raise CaseFailure(f"{len(found)} footprints came, {len(right)} fit")


def _require_nothing(session: Session, wanted: dict[str, str]) -> None:
    if session.read_pages(f"{LIST}?{_query(wanted)}"):
        raise CaseFailure(f"footprints came that do not fit {wanted}")


def _query(wanted: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe=':')}" for name, value in wanted.items())


def _validity(one: dict[str, Any]) -> tuple[datetime, datetime]:
    if "validityPeriodStart" in one:
        return datetime.fromisoformat(one["validityPeriodStart"]), datetime.fromisoformat(one["validityPeriodEnd"])
    begin = datetime.fromisoformat(one["pcf"]["referencePeriodEnd"])
    day = 28 if (begin.month, begin.day) == (2, 29) else begin.day
    return begin, begin.replace(year=begin.year + VALID_YEARS, day=day)


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _require_sums(one: dict[str, Any]) -> None:
    """The specification's own sums, where all their parts are sent: by decimals, to the last digit."""
    from decimal import Context, Decimal, Inexact

    pcf, exact = one["pcf"], Context(prec=200, traps=[Inexact])
    total = Decimal(pcf["fossilGhgEmissions"])
    for name in (
        "landUseChangeGhgEmissions", "landManagementBiogenicCO2Emissions", "landManagementBiogenicCO2Removals",
        "technologicalCO2Removals", "ccsTechnologicalCO2Capture", "biogenicNonCO2Emissions",
    ):  # fmt: skip
        total = exact.add(total, Decimal(pcf.get(name, "0")))
    if total != Decimal(pcf["pcfExcludingBiogenicUptake"]):
        raise CaseFailure(f"pcfExcludingBiogenicUptake is {pcf['pcfExcludingBiogenicUptake']}, its parts are {total}")
    total = exact.add(total, Decimal(pcf.get("biogenicCO2Uptake", "0")))
    if total != Decimal(pcf["pcfIncludingBiogenicUptake"]):
        raise CaseFailure(f"pcfIncludingBiogenicUptake is {pcf['pcfIncludingBiogenicUptake']}, its parts are {total}")
