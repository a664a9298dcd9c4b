"""What the command line does with platform profiles: the shipped ones, and one held against a platform's description.

findings = check_against(load_profile("own.json"), "openapi.yaml", None, today)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from plumeproof.delivery.exchange import Endpoint
from plumeproof.delivery.openapi import FILE_MAX_BYTES, read_description
from plumeproof.delivery.profile import Profile, load_profile, read_profile, shipped
from plumeproof.delivery.profile_check import check_profile
from plumeproof.delivery.profile_findings import Finding
from plumeproof.errors import ConfigError, DeliveryError, UnreachableError

__all__ = ["Finding", "check_against", "load_profile", "read_profile", "shipped"]
FETCH_S = 30.0  # of a description


def check_against(profile: Profile, place: str, ca_file: Path | None, today: dt.date) -> Sequence[Finding]:
    """What a profile and the OpenAPI description at `place` (a file, or an https:// address) disagree about.

    Raises ConfigError, and UnreachableError where nothing answers.
    """
    return check_profile(profile, read_description(_read(place, ca_file), place), today)


def _read(place: str, ca_file: Path | None) -> bytes:
    if place.startswith("https://"):
        return _fetch(place, ca_file)
    try:
        with Path(place).open("rb") as file:
            return file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        mend = "name a file or an https:// address"
        raise ConfigError(place, f"cannot be read: {error.strerror}; {mend}") from error


def _fetch(place: str, ca_file: Path | None) -> bytes:
    address = urlsplit(place)
    try:
        if not address.hostname or address.username or address.password:
            raise ValueError
        endpoint = Endpoint(f"https://{address.netloc}", ca_file, FETCH_S)
    except ValueError as error:
        raise ConfigError(place[:200], "is no https:// address of a description") from error
    query = f"?{address.query}" if address.query else ""
    try:
        answer = endpoint.ask("GET", (address.path or "/") + query, {"User-Agent": "plumeproof"})
    except DeliveryError as error:
        raise UnreachableError(str(error)) from error
    finally:
        endpoint.close()
    if answer.status != 200:
        raise UnreachableError(f"{place[:200]}: status {answer.status}; download the description and name the file")
    return answer.body
