"""The nouns of the bridge as frozen dataclasses. Data only: rules live in evidence/, store/ and delivery/.

Times: `_utc_ms` Unix/UTC milliseconds, `_mono_ms` milliseconds since the module's boot. Hashes are 32 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frame:
    """A good link frame (SPEC.md section 2.1) without CRC."""

    type: int
    address: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope whose form, kid and signature hold (SPEC.md section 3).

    `raw`: the bytes as received. `content_hash`: SHA-256 of the Sig_structure. `is_high_s`: the signature is
    the high-s twin; the record can only be a duplicate.
    """

    raw: bytes
    kid: bytes
    payload: bytes
    content_hash: bytes
    is_high_s: bool


@dataclass(frozen=True, slots=True)
class Boot:
    """Body of a boot record."""

    reset_cause: int
    firmware_version: str
    firmware_hash: bytes
    interpreter: str
    journal_version: int
    public_key: bytes
    torn_count: int
    element_counter: int | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """A run of consecutive slots (SPEC.md section 4.2)."""

    first_slot: int
    slot_count: int
    slot_ms: int
    first_slot_mono_ms: int


@dataclass(frozen=True, slots=True)
class BlockReadings:
    """Outcome bytes and register bytes of one block over the slots of a record."""

    outcomes: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Samples:
    """Body of a samples record; `blocks` in the order of the parameter set."""

    slots: Slots
    blocks: tuple[BlockReadings, ...]
    retries: int


@dataclass(frozen=True, slots=True)
class Overflow:
    """Body of an overflow record: slots that the module could not keep."""

    slots: Slots


@dataclass(frozen=True, slots=True)
class ParametersPart:
    """Body of a parameters record."""

    part_hash: bytes
    part: int
    parts: int
    part_bytes: bytes


@dataclass(frozen=True, slots=True)
class TimeSync:
    """Body of a time sync record; `step_ms` is None for the first mapping of a boot."""

    host_utc_ms: int
    host_unc_ms: int
    nonce: bytes
    round_trip_ms: int
    step_ms: int | None
    decision: int


@dataclass(frozen=True, slots=True)
class Event:
    """Body of an event record."""

    code: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Body of a health record: counters since the boot, columns of acqwire.counts; `heap_free` 0: not known."""

    reset_cause: int
    analyzers: tuple[tuple[int, ...], ...]
    stray_bytes: int
    link: tuple[int, ...]
    journal: tuple[int, ...]
    heap_free: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Body of a calibration record: from `slot` on the analyzer is in the phase (`is_begin`), or no longer.

    `mark`, `analyzer`: indices into calibrations and analyzers of the parameter set; `phase`: calibration.PHASE_*.
    """

    mark: int
    analyzer: int
    phase: int
    is_begin: bool
    slot: int
    slot_mono_ms: int


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Body of a key change record: from the next record on `next_key` (SEC1 uncompressed) signs; `proof`: its own
    signature of SPEC.md section 10."""

    next_key: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class UnknownBody:
    """Body of a record kind that this release does not know: stored, chained, named, never averaged."""

    kind: int


Body = Boot | Samples | Overflow | ParametersPart | TimeSync | Event | Health | Calibration | KeyChange | UnknownBody


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed payload (SPEC.md section 4) with the identity of its envelope."""

    kind: int
    device: str
    boot: int
    seq: int
    prev: bytes
    mono_ms: int
    utc_ms: int | None
    utc_status: int
    utc_unc_ms: int | None
    sync_seq: int | None
    parameters_hash: bytes
    content_hash: bytes
    body: Body


@dataclass(frozen=True, slots=True)
class Head:
    """Newest accepted record of a module. `is_frozen`: equivocation seen, nothing more is accepted.

    `next_slot`: number of the slot that the next samples or overflow record of this boot must begin with.
    """

    device: str
    seq: int
    content_hash: bytes
    boot: int
    mono_ms: int
    next_slot: int
    is_frozen: bool


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A ledger row: `position` grows by commit order over all modules; stages keep it as their cursor."""

    position: int
    device: str
    seq: int
    kind: int
    boot: int
    content_hash: bytes
    utc_ms: int | None
    received_utc_ms: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Average:
    """One average of one channel over [start_utc_ms, start_utc_ms + interval_s * 1000).

    `mean`, `minimum`, `maximum`, `deviation` (sample standard deviation) are None without a valid sample
    (deviation: fewer than two). `n_invalid`: (cause, count) pairs, sorted by cause. n_expected counts the slots
    that the interval should hold at the slot distance. [first_seq, last_seq] are the records used, `head_hash`
    the content hash of the last. `order`: name of the order of summation.
    """

    device: str
    channel: str
    quantity: str
    unit: str
    interval_s: int
    start_utc_ms: int
    n_expected: int
    n_valid: int
    n_invalid: tuple[tuple[str, int], ...]
    mean: float | None
    minimum: float | None
    maximum: float | None
    deviation: float | None
    first_seq: int
    last_seq: int
    head_hash: bytes
    parameters_hash: bytes
    rule: str
    rule_version: str
    order: str
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """Where the slots of one record lie: [first_utc_ms, end_utc_ms). Finds the records of an interval."""

    seq: int
    is_overflow: bool
    first_utc_ms: int
    end_utc_ms: int


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """An interval with slots that are in no average yet. `reason`: of the next revision, if it becomes one."""

    interval_s: int
    start_utc_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record with slots that is not averaged, and why."""

    seq: int
    reason: str
    parameters_hash: bytes


@dataclass(frozen=True, slots=True)
class AveragingState:
    """How far one module is averaged. `seq`: newest record seen; `slot_utc_ms`: UTC of its newest slot, None before
    the first; `longest_ms`: longest span of a samples record so far."""

    device: str
    seq: int
    slot_utc_ms: int | None
    longest_ms: int
    open_intervals: tuple[OpenInterval, ...]


@dataclass(frozen=True, slots=True)
class AveragingStep:
    """What one step of averaging has found in the records up to `position`; stored whole or not at all.

    `averages` in the order found: a row equal to the newest revision is left out, another becomes the next one.
    """

    position: int
    states: tuple[AveragingState, ...]
    spans: tuple[tuple[str, SlotSpan], ...]
    skipped: tuple[tuple[str, SkippedRecord], ...]
    resumed: tuple[tuple[str, int], ...]
    averages: tuple[Average, ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Head of a module as somebody states it. `count`: its records up to and including seq."""

    device: str
    seq: int
    content_hash: bytes
    count: int


@dataclass(frozen=True, slots=True)
class AnchorStatement:
    """Heads of all modules, signed by the gateway's key. `prev`: content hash of the statement with number − 1.
    `next_kid`: of the key that goes on behind this one, where it is another."""

    gateway: str
    number: int
    prev: bytes
    utc_ms: int
    heads: tuple[Anchor, ...]
    kid: bytes
    content_hash: bytes
    raw: bytes
    next_kid: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """A ledger row of a statement; `stamp`: RFC 3161 response about its bytes, None before there is one."""

    number: int
    content_hash: bytes
    kid: bytes
    statement: bytes
    stamp: bytes | None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One waiting delivery. `kind`: envelope, average, report or anchor. `key`: idempotency key or topic identity."""

    id: int
    sink: str
    module: str
    kind: str
    key: str
    body: bytes
    attributes: tuple[tuple[str, str], ...]
    attempts: int
    due_utc_ms: int
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class NewRow:
    """A delivery to be queued: see OutboxRow. `body` None: the envelope of record (module, seq) is the body."""

    sink: str
    module: str
    kind: str
    key: str
    body: bytes | None = None
    seq: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What proves a delivery: the platform's receipt or the broker's acknowledgement, as JSON bytes."""

    outbox_id: int
    sink: str
    proof: bytes
    received_utc_ms: int
