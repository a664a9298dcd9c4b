"""Errors of the bridge, sorted by what the caller does next (architecture B8).

BridgeError
├── ConfigError            start refused; exit status 2; names file, key and reason
├── ProfileError           analyzer profile or register table refused; exit status 2; names file, place and mend
├── RuleError              rule set, plant or figures that no averaging rule can use; exit status 2; what, where, mend
├── UnreachableError       something outside does not answer; exit status 3
├── LinkError              drop the session, resynchronise, count
│   ├── LinkTimeout
│   └── LinkVersionError
├── EvidenceError          quarantine the bytes, alarm, go on; never forward, never average
│   ├── EnvelopeError
│   ├── RecordError
│   ├── ChainError
│   └── ParametersError
├── AnchorRefused          sign no anchor, alarm, go on storing: a person must say which history is the true one
├── StoreError             stop acknowledging; the module's journal is the buffer now
└── DeliveryError
    ├── RetryableDelivery  back off; may carry "not before"
    ├── BlockedDelivery    keep everything, alarm, try rarely: a person must put something right
    └── FinalDelivery      quarantine the row (or split it), alarm, continue with the next

Facts are attributes; the text is for people: short, no secrets, bytes from outside escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from plumeproof.model import Receipt

SENTENCE_MAX = 400  # characters: one line for people


class BridgeError(Exception):
    """Root of everything the bridge raises on purpose."""


class ConfigError(BridgeError):
    """Configuration refused. `where` names file and key (with line where known), `reason` says why and the mend."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class ProfileError(BridgeError):
    """A profile, a table or a choice of analyzers that cannot be used; one line: what, where, how to mend."""


class RuleError(BridgeError):
    """A rule set, a plant or figures that the averaging rules cannot use. `where` names rule set and setting, or the
    argument; `reason` says why and how to mend it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class UnreachableError(BridgeError):
    """Something outside the bridge cannot be reached (port, broker, platform)."""


class LinkError(BridgeError):
    """The link to a module failed: drop the session and start again with HELLO."""


class LinkTimeout(LinkError):
    """No complete answer within the time for it."""


class LinkVersionError(LinkError):
    """The module speaks no wire version that this bridge reads. Names both."""


class EvidenceError(BridgeError):
    """Bytes that must not count as evidence. `code` is a stable word for counters, `detail` is for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class EnvelopeError(EvidenceError):
    """Not an envelope of the strict profile, or its signature does not hold (SPEC.md section 3)."""


class RecordError(EvidenceError):
    """A signed payload that is no readable record of a known kind (SPEC.md section 4)."""


class ChainError(EvidenceError):
    """A record that contradicts the chain of its module (equivocation, time or boot going back)."""


class ParametersError(EvidenceError):
    """A parameter set that cannot give meaning to register bytes (SPEC.md section 5)."""


class AgreementError(BridgeError):
    """A packet or payload says another value than the signed figure: a person is needed."""


class AnchorRefused(BridgeError):
    """The gateway's key would sign a smaller or different history than it has signed, or cannot know. Says which."""


class StoreError(BridgeError):
    """The ledger cannot commit, or cannot be read. Nothing may be acknowledged until it can."""

    def __init__(self, sentence: str) -> None:
        # SQLite quotes what it found in a damaged file, in as many lines as it likes.
        line = " ".join(sentence.split())
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in line)[:SENTENCE_MAX])


class DeliveryError(BridgeError):
    """A delivery that did not end with a stored receipt. `receipts`: of the rows before it in the same window."""

    receipts: Sequence[Receipt] = ()


class RetryableDelivery(DeliveryError):
    """Try the same bytes again. `not_before_s`: seconds the other side asked to wait, if it did."""

    def __init__(self, reason: str, not_before_s: float | None = None) -> None:
        super().__init__(reason)
        self.not_before_s = not_before_s


class BlockedDelivery(DeliveryError):
    """Nothing gets through before a person has put something right (credentials, certificate, address, clock)."""


class FinalDelivery(DeliveryError):
    """The other side will never take these bytes. `can_split`: a part of them may still be good."""

    def __init__(self, reason: str, can_split: bool = False) -> None:
        super().__init__(reason)
        self.can_split = can_split
