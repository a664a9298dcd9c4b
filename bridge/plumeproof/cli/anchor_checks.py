"""What `doctor` asks about anchors: the gateway's key, what it has signed last, who keeps it, the time-stamps."""

from __future__ import annotations

import time

from plumeproof.anchors import KeptStatement, judge_statements
from plumeproof.config import Config
from plumeproof.delivery_parts import keepers
from plumeproof.errors import ConfigError, EvidenceError
from plumeproof.gateway_key import GatewayKey
from plumeproof.inspection import read_anchors
from plumeproof.keys import load_keys
from plumeproof.model import AnchorStatement, StoredAnchor

HOUR_MS = 3_600_000
LATE_HOURS = 2  # beyond every_hours: a bridge that runs has signed by then


def check_anchors(config: Config, is_running: bool) -> str:
    """The key may sign, and key and ledger agree on what it has signed. In one sentence. Raises ConfigError."""
    assert config.anchors.key_file is not None
    key, keys, gateway = GatewayKey(config.anchors.key_file), load_keys(config.keys.file), config.gateway.id
    newest: StoredAnchor | None = None
    bare = 0
    for newest in read_anchors(config.gateway.ledger_file) if config.gateway.ledger_file.exists() else ():
        bare += newest.stamp is None
    number = 0 if newest is None else newest.number
    try:
        keys.find(key.kid, gateway, number + 1, "anchor")
    except EvidenceError as error:
        raise ConfigError(str(config.keys.file), f"{error.detail}; see `plumeproof keys enroll`") from error
    raw = key.newest()
    items = [KeptStatement(f"number {number}", newest.statement)] if newest is not None else []
    items += [KeptStatement("beside the key", raw)] if raw is not None else []
    kept = judge_statements(items, keys)
    if kept.findings:
        raise ConfigError(str(config.anchors.key_file), f"{kept.findings[0][3]} ({kept.findings[0][2]})")
    if raw is None and newest is not None and newest.kid == key.kid:
        raise ConfigError(f"{config.anchors.key_file}.newest", "is gone; put it back, nothing is signed without it")
    if raw is not None and kept.statements[-1].number > number + 1:
        raise ConfigError(str(config.gateway.ledger_file), "was put back: the key has signed more than it knows")
    to = ", ".join(keepers(config))
    if not to:
        raise ConfigError("anchors", "nobody keeps them; name a folder, a broker or a platform that does")
    return f"{_newest(config, kept.statements, bare, is_running)}; kept by {to}"


def _newest(config: Config, known: list[AnchorStatement], bare: int, is_running: bool) -> str:
    if not known:
        return "none signed yet"
    age_h = (time.time() * 1000 - known[-1].utc_ms) / HOUR_MS
    if is_running and age_h > config.anchors.every_hours + LATE_HOURS:
        raise ConfigError("anchors", f"the newest is {age_h:.0f} hours old though the bridge runs; see its log")
    stamps = f", {bare} without time-stamp" if config.anchors.tsa_url is not None else ""
    return f"number {known[-1].number}, {age_h:.1f} hours old{stamps}"


def check_authority(config: Config) -> str:
    """The time-stamp authority answers, and its stamp holds. Raises DeliveryError, ConfigError."""
    from plumeproof.stamp_stage import ask_stamp
    from plumeproof.time_stamp import load_certificates

    wanted = config.anchors
    assert wanted.tsa_url is not None and wanted.tsa_certificate_file is not None
    began_s = time.time()
    _, utc_ms = ask_stamp(wanted.tsa_url, load_certificates(wanted.tsa_certificate_file), b"plumeproof doctor")
    return f"{wanted.tsa_url} answers, its stamp holds, this PC's clock differs by {utc_ms / 1000 - began_s:+.0f} s"
