"""Lines of `plumeproof readiness` about platforms and brokers, each asked now as the service would, or said not to be.

A platform gets a request for a token and nothing else; its description, where one is named, is held against the profile
as `plumeproof profile check` does. Time limits are those of the sinks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from plumeproof.config import Config, HttpsSinkConfig
from plumeproof.delivery.tls import ClientCertificate
from plumeproof.delivery_parts import check_platform, probe_broker, probe_platform
from plumeproof.documents.due_lines import Days, ending_line
from plumeproof.documents.readiness import DISAGREES, LINKS, MISSING, PLATFORM, READY, UNJUDGED, Line
from plumeproof.documents.readiness_file import ReadinessFile
from plumeproof.errors import BridgeError, ConfigError
from plumeproof.hj212_parts import try_link
from plumeproof.profile_desk import check_against

OFFLINE = "not asked: --offline"
AGAIN = "run the review without --offline on the gateway"


def platform_lines(config: Config, own: ReadinessFile, days: Days, is_offline: bool) -> Iterator[Line]:
    """Of every [[sink.https]] and [[sink.mqtt]]."""
    names = [sink.name for sink in config.https_sinks]
    for platform in own.platforms:
        if platform.sink not in names:
            there = ", ".join(names) or "none"
            raise ConfigError(
                "readiness.platform", f"{platform.sink[:40]} is no [[sink.https]] of bridge.toml: {there}"
            )
    if not config.https_sinks:
        told, mend = "bridge.toml has no [[sink.https]]", "name the platform, its profile and our credentials there"
        yield Line("platform.login", PLATFORM, "An API that takes our reports", MISSING, told, mend)
    descriptions = {one.sink: one.openapi for one in own.platforms}
    for sink in config.https_sinks:
        yield from _platform(sink, descriptions.get(sink.name), days, is_offline)
    for broker in config.mqtt_sinks:
        key, asked = f"platform.broker.{broker.name}", f"Broker {broker.name} takes our connection"
        if is_offline:
            yield Line(key, PLATFORM, asked, UNJUDGED, OFFLINE, AGAIN)
            continue
        try:
            told, left = probe_broker(broker, config.gateway.id)
        except (BridgeError, OSError) as error:
            yield Line(key, PLATFORM, asked, MISSING, str(error), "check host, port, firewall and certificates")
        else:
            yield Line(key, PLATFORM, asked, READY, told)
            yield from _served(broker.name, "broker", left, days)


def try_links(config: Config, is_offline: bool) -> Iterator[Line]:
    """Of every [[sink.hj212]]: whether it can be planned and its port takes connections."""
    for sink in config.hj212_sinks:
        key, asked = f"hj212.link.{sink.name}", f"HJ 212 link {sink.name} can be planned and reached"
        if is_offline:
            yield Line(key, LINKS, asked, UNJUDGED, OFFLINE, AGAIN)
            continue
        try:
            yield Line(key, LINKS, asked, READY, try_link(config, sink))
        except (BridgeError, OSError) as error:
            mend = "check host, port, firewall, secret_file, and the outlet in site.toml"
            yield Line(key, LINKS, asked, MISSING, str(error), mend)


def _platform(sink: HttpsSinkConfig, openapi: str | None, days: Days, is_offline: bool) -> Iterator[Line]:
    key, asked = f"platform.profile.{sink.name}", f"Profile of platform {sink.name}"
    try:
        profile = check_platform(sink)
    except ConfigError as error:
        yield Line(key, PLATFORM, asked, MISSING, str(error), "put bridge.toml or the profile right")
        return
    told = f"{profile.name} {profile.version}: {profile.status}, checked {profile.checked}; {profile.source}"
    mend = (
        "" if profile.status == "official" else f"it is {profile.status}: ask the platform for its published interface"
    )
    yield Line(key, PLATFORM, asked, READY, told, mend)
    yield from _login(sink, days, is_offline)
    yield _description(sink, openapi, days, is_offline)
    if sink.cert_file is not None and sink.key_file is not None:
        key, asked = f"platform.certificate.client.{sink.name}", f"Our certificate for platform {sink.name}"
        try:
            end = datetime.fromtimestamp(ClientCertificate(sink.cert_file, sink.key_file).ends_utc_s(), UTC).date()
        except ConfigError as error:
            yield Line(key, PLATFORM, asked, MISSING, str(error), "put the certificate there")
        else:
            mend = "renew it; the bridge takes the new file"
            yield ending_line(key, PLATFORM, asked, end, sink.cert_file.name, mend, days)


def _login(sink: HttpsSinkConfig, days: Days, is_offline: bool) -> Iterator[Line]:
    key, asked = f"platform.login.{sink.name}", f"Platform {sink.name} answers and accepts our credentials"
    if is_offline:
        yield Line(key, PLATFORM, asked, UNJUDGED, OFFLINE, AGAIN)
        return
    try:
        told, left = probe_platform(sink)
    except (BridgeError, OSError) as error:
        mend = "check base_url, firewall, ca_file, secret and key files; `plumeproof doctor` tries the same"
        yield Line(key, PLATFORM, asked, MISSING, str(error), mend)
        return
    yield Line(key, PLATFORM, asked, READY, told)
    yield from _served(sink.name, "platform", left, days)


def _served(name: str, what: str, left: Mapping[str, int], days: Days) -> Iterator[Line]:
    """The certificate that the other side has shown."""
    if "server" in left:
        end = datetime.now(UTC).date() + timedelta(days=left["server"])
        key, asked = f"platform.certificate.server.{name}", f"Certificate of {what} {name}"
        yield ending_line(key, PLATFORM, asked, end, "as it was shown", f"ask the {what} when it renews it", days)


def _description(sink: HttpsSinkConfig, openapi: str | None, days: Days, is_offline: bool) -> Line:
    key, asked = f"platform.description.{sink.name}", f"Profile and published interface of platform {sink.name} agree"
    if openapi is None:
        told = "no description of the platform is named in [[readiness.platform]]"
        mend = 'ask the platform for its OpenAPI description and name it: openapi = "FILE or https://..."'
        return Line(key, PLATFORM, asked, UNJUDGED, told, mend)
    if is_offline and openapi.startswith("https://"):
        return Line(key, PLATFORM, asked, UNJUDGED, OFFLINE, AGAIN)
    try:
        findings = check_against(check_platform(sink), openapi, sink.ca_file, days.on)
    except BridgeError as error:
        return Line(key, PLATFORM, asked, UNJUDGED, str(error), "name a description that can be read")
    errors = [one.line() for one in findings if one.level == "error"]
    command = f"`plumeproof profile check {sink.profile} --openapi {openapi}`"
    if errors:
        told = f"{len(errors)} differences, first: {errors[0]}"
        return Line(key, PLATFORM, asked, DISAGREES, told, f"{command} lists them; put the profile right")
    return Line(key, PLATFORM, asked, READY, f"{command}: 0 errors, {len(findings)} warnings")
