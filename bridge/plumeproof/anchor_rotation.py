"""The gateway gets its next key: the old one signs a statement that names it, and the registry follows.

Both keys vouch for the change: the old one by the name, the next one by its proof of possession and by the statement
that it signs directly behind (reference: reliability section 6, rotate). The bridge must not run meanwhile. Power may
fail anywhere: the same call again goes on where it stopped.

    number = hand_over(config, Path("next.key"))
"""

from __future__ import annotations

from pathlib import Path

from plumeproof.anchor_stage import AnchorStage
from plumeproof.clock import SystemClock
from plumeproof.config import Config
from plumeproof.enrolment import Registry
from plumeproof.errors import ConfigError
from plumeproof.gateway_key import GatewayKey
from plumeproof.keys import load_keys
from plumeproof.store.anchors import SqliteAnchors
from plumeproof.store.connection import Writer
from plumeproof.store.lock import LedgerLock

HOUR_MS = 3_600_000


def hand_over(config: Config, next_key_file: Path) -> int:
    """Number of the statement that names the next key; from there on the registry has that one.

    Raises ConfigError (the bridge runs, a key or the registry cannot be used), AnchorRefused, StoreError."""
    wanted, gateway = config.anchors, config.gateway.id
    if wanted.key_file is None:
        raise ConfigError("anchors.key_file", "is missing; there is no key to hand over from")
    old, new = GatewayKey(wanted.key_file), GatewayKey(next_key_file)
    if old.kid == new.kid:
        raise ConfigError(str(next_key_file), "is the key that signs now; make the next with `keys create-gateway`")
    lock = LedgerLock(config.gateway.data_dir)
    try:
        writer, clock = Writer(config.gateway.ledger_file), SystemClock()
        try:
            keys = load_keys(config.keys.file)
            stage = AnchorStage(gateway, old, SqliteAnchors(writer, clock), keys, clock, wanted.every_hours * HOUR_MS)
            number = stage.hand_over(new.kid)
        finally:
            writer.close()
    finally:
        lock.release()
    with Registry(config.keys.file) as registry:
        registry.rotate(gateway, new.public_key, number, f"anchor {number} of the old key names it", "anchor")
    return number
