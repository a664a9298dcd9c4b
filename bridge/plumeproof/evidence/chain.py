"""The chain of one module: which record may follow which (SPEC.md sections 1, 4.2; reference: reliability section 7).

Pure: the caller brings the head and, where a seq comes again, the content hash it has stored; it gets a Decision
with the head to keep. Nothing is stored, asked or logged here.

    decision = accept(head, record, envelope.is_high_s)
    if decision.verdict == ACCEPT: ledger.append([(record, envelope)], decision.head, decision.holes)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acqwire import fields, limits

from plumeproof.model import Head, Overflow, Record, Samples

ACCEPT = "accept"  # store it; `head` is the new head, `holes` what it leaves behind for good
DUPLICATE = "duplicate"  # already stored: acknowledge again, store nothing
HOLE = "hole"  # records before it are lacking: ask for `holes` first; nothing changes
EQUIVOCATION = "equivocation"  # another record for a stored seq: quarantine it, keep the frozen `head`
REFUSE = "refuse"  # contradicts the chain: quarantine it; `code` says how

SLOT_UNKNOWN = -1  # Head.next_slot behind a hole: the slots inside it cannot be counted
BOOT_UNKNOWN = -2  # Head.next_slot behind bytes that nobody could read: they may have been the record of a boot
NO_PREV = bytes(limits.HASH_BYTES)  # prev of seq 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one record. `head`: the head to keep, None as long as there is none."""

    verdict: str
    head: Head | None
    holes: tuple[tuple[int, int], ...] = ()
    code: str = ""
    detail: str = ""


def accept(
    head: Head | None,
    record: Record,
    is_high_s: bool = False,
    stored_hash: bytes | None = None,
    missing_until: int | None = None,
) -> Decision:
    """Decide on `record` behind `head` (None: no record of this module yet).

    `stored_hash`: content hash of the stored record of the same seq, where the seq is below the head; None when none
    is stored. `missing_until`: last seq that the module has declared MISSING; a hole up to there is accepted.
    Codes of REFUSE: other_device, high_s, frozen, below_head, prev, first_record, boot_lower, boot_skipped,
    boot_record_missing, boot_repeated, mono_lower, slot_order.
    """
    if head is not None and head.device != record.device:
        return _refuse(head, "other_device", f"record of {record.device} in the chain of {head.device}")
    head_seq = head.seq if head else 0
    if head is not None and record.seq <= head_seq:
        return _accept_again(head, record, stored_hash)
    if is_high_s:
        return _refuse(head, "high_s", "high-s signature on a record that is not stored: no module makes it")
    if head is not None and head.is_frozen:
        return _refuse(head, "frozen", "chain is frozen since an equivocation")
    holes: tuple[tuple[int, int], ...] = ()
    if record.seq > head_seq + 1:
        holes = ((head_seq + 1, record.seq - 1),)
        if missing_until is None or missing_until < record.seq - 1:
            return Decision(HOLE, head, holes, "hole", f"seq {head_seq + 1} to {record.seq - 1} not here")
    fault = _fault(head, record, bool(holes))
    if fault is not None:
        return _refuse(head, *fault)
    return Decision(ACCEPT, next_head(head, record), holes)


def head_behind(head: Head | None, device: str, seq: int, content_hash: bytes, record: Record | None) -> Head:
    """The head for going on behind a record in quarantine; `record` None: nobody could read it.

    What it says of its boot and time counts only forward: one record that goes back must not let a second one follow.
    """
    if head is None:
        head = Head(device, 0, NO_PREV, 0, 0, SLOT_UNKNOWN, False)
    if record is None:
        return replace(head, seq=seq, content_hash=content_hash, next_slot=BOOT_UNKNOWN)
    if (record.boot, record.mono_ms) < (head.boot, head.mono_ms):
        return replace(head, seq=seq, content_hash=content_hash, next_slot=SLOT_UNKNOWN)
    return replace(next_head(head, record), seq=seq, content_hash=content_hash)


def next_head(head: Head | None, record: Record) -> Head:
    """The head when `record` has been taken, whatever was found."""
    is_next = record.seq == (head.seq if head else 0) + 1
    if isinstance(record.body, (Samples, Overflow)):
        next_slot = record.body.slots.first_slot + record.body.slots.slot_count
    elif record.kind == fields.KIND_BOOT:
        next_slot = 0
    elif head is not None and is_next and head.boot == record.boot and head.next_slot != BOOT_UNKNOWN:
        next_slot = head.next_slot
    else:
        next_slot = SLOT_UNKNOWN
    return Head(
        device=record.device,
        seq=record.seq,
        content_hash=record.content_hash,
        boot=record.boot,
        mono_ms=record.mono_ms,
        next_slot=next_slot,
        is_frozen=head is not None and head.is_frozen,
    )


def _accept_again(head: Head, record: Record, stored_hash: bytes | None) -> Decision:
    known = head.content_hash if record.seq == head.seq else stored_hash
    if known is None:
        return _refuse(head, "below_head", f"seq {record.seq} is not stored and lies behind the head {head.seq}")
    if known == record.content_hash:
        return Decision(DUPLICATE, head)
    return Decision(
        EQUIVOCATION,
        replace(head, is_frozen=True),
        code="equivocation",
        detail=f"another record is stored as seq {record.seq}",
    )


def _fault(head: Head | None, record: Record, has_hole: bool) -> tuple[str, str] | None:
    """Why a record ahead of the head cannot be its successor; None when it can."""
    is_boot = record.kind == fields.KIND_BOOT
    if record.seq == 1:
        if record.prev != NO_PREV:
            return "prev", "first record names a predecessor"
        if not is_boot:
            return "first_record", "first record is no boot record"
    if head is None:
        return None if is_boot or has_hole else ("boot_record_missing", "boot begins without its boot record")
    if not has_hole and record.prev != head.content_hash:
        return "prev", f"prev is not the content hash of seq {head.seq}"
    if record.boot < head.boot:
        return "boot_lower", f"boot {record.boot} behind boot {head.boot}"
    if record.boot > head.boot:
        return _fault_of_new_boot(head, record, has_hole or head.next_slot == BOOT_UNKNOWN)
    if is_boot:
        return "boot_repeated", f"second boot record of boot {record.boot}"
    if record.mono_ms < head.mono_ms:
        return "mono_lower", f"{record.mono_ms} ms behind {head.mono_ms} ms of the same boot"
    return _fault_of_slots(head.next_slot, record, has_hole)


def _fault_of_new_boot(head: Head, record: Record, has_hole: bool) -> tuple[str, str] | None:
    if has_hole:
        return None
    if record.kind != fields.KIND_BOOT:
        return "boot_record_missing", f"boot {record.boot} begins without its boot record"
    if record.boot != head.boot + 1:
        return "boot_skipped", f"boot {record.boot} behind boot {head.boot} without a hole"
    return None


def _fault_of_slots(next_slot: int, record: Record, has_hole: bool) -> tuple[str, str] | None:
    if not isinstance(record.body, (Samples, Overflow)) or next_slot in (SLOT_UNKNOWN, BOOT_UNKNOWN):
        return None
    first = record.body.slots.first_slot
    if first < next_slot or (first > next_slot and not has_hole):
        return "slot_order", f"slot {first} where slot {next_slot} should begin"
    return None


def _refuse(head: Head | None, code: str, detail: str) -> Decision:
    return Decision(REFUSE, head, code=code, detail=detail)
