"""Which program starts: the record of choice in two copies (SPEC.md section 8.4).

A write goes to the copy that does not count, so that power may fail at any byte of it: the other one still counts.
"""

import struct
from binascii import crc32

from acqwire import limits, update

_EIO = 5
_CHECKED_BYTES = update.CHOICE_BYTES - 4


class Choice:
    """The fields of the record. Made new: the factory's program, nothing ever confirmed."""

    def __init__(self) -> None:
        self.slot = self.previous_slot = update.FACTORY
        self.version = self.previous_version = 0
        self.state = update.STATE_CONFIRMED
        self.trials = 0  # starts that are left to it
        self.generation = 0
        self.copy = 1  # which one it was read from; written is the other
        self.newest = 0  # version confirmed last, under the release key with release_kid
        self.floor = 0  # highest minimum confirmed, under the same
        self.issued = 0  # latest issue of a release confirmed under the same, s: UTC cannot be earlier
        self.root_version = 0  # of the last confirmed release
        self.release_kid = bytes(limits.KID_BYTES)
        self.next_newest = self.next_floor = self.next_issued = self.next_root_version = 0  # once confirmed
        self.next_release_kid = self.release_kid
        self.told_result = self.told_reason = self.told_version = 0  # the event that is due; result 0: none
        self.told_old = self.told_new = bytes(limits.HASH_BYTES)

    @property
    def is_trial(self) -> bool:
        return self.state == update.STATE_TRIAL

    def least(self, root) -> int:
        """The version below which nothing runs, under this update_trust.Root."""
        if root.release_kid == self.release_kid:
            return max(self.floor, root.minimum)
        return root.minimum  # set by a key that has been replaced: void, or its thief could lock the module for ever

    def tell(self, result: int, reason: int, version: int, old: bytes, new: bytes) -> None:
        """This event is due."""
        self.told_result, self.told_reason, self.told_version = result, reason, version
        self.told_old, self.told_new = old, new

    def prepare(self, root, manifest) -> None:
        """Keep what will count when the trial of this release is confirmed."""
        is_same = root.release_kid == self.release_kid
        self.next_newest = max(self.newest if is_same else 0, manifest.version)
        self.next_floor = max(self.least(root), manifest.minimum)
        self.next_issued = max(self.issued if is_same else 0, manifest.issued)
        self.next_root_version, self.next_release_kid = root.version, root.release_kid

    def confirm(self) -> None:
        """The trial has shown that it measures, seals and is heard."""
        self.newest, self.floor, self.issued = self.next_newest, self.next_floor, self.next_issued
        self.root_version, self.release_kid = self.next_root_version, self.next_release_kid
        self.state, self.trials = update.STATE_CONFIRMED, 0
        self.tell(update.RESULT_CONFIRMED, update.REASON_NONE, self.version, self.told_old, self.told_new)

    def go_back(self, result: int, reason: int) -> None:
        """The program before runs again. The hashes of the change that is undone are still in told_old, told_new."""
        self.tell(result, reason, self.version, self.told_old, self.told_new)
        self.slot, self.version = self.previous_slot, self.previous_version
        self.previous_slot, self.previous_version = update.FACTORY, 0
        self.state, self.trials = update.STATE_CONFIRMED, 0

    def pack(self) -> bytes:
        """The record's bytes."""
        record = struct.pack(
            update.CHOICE_FORMAT[:-1], update.CHOICE_MAGIC, update.CHOICE_LAYOUT, self.slot, self.state, self.trials,
            self.generation, self.version, self.previous_version, self.newest, self.floor, self.issued,
            self.root_version, self.release_kid, self.next_newest, self.next_floor, self.next_issued,
            self.next_root_version, self.next_release_kid, self.previous_slot, self.told_result, self.told_reason,
            self.told_version, self.told_old, self.told_new,
        )  # fmt: skip
        return record + struct.pack(">I", crc32(record))


def read_choice(store) -> Choice:
    """The copy that counts; a new Choice where there is none. Raises OSError."""
    found = Choice()
    for copy in (0, 1):
        choice = _unpack(store.read_choice(copy))
        if choice is not None and choice.generation > found.generation:
            choice.copy = copy
            found = choice
    return found


def write_choice(store, choice: Choice) -> None:
    """Make it count. Power fails within: the choice before. Raises OSError, also when it does not read back."""
    choice.generation += 1
    record = choice.pack()
    copy = 1 - choice.copy
    try:
        store.write_choice(copy, record)
        if store.read_choice(copy) != record:
            raise OSError(_EIO)
    except OSError:
        choice.generation -= 1  # the next attempt takes the same copy: the other one still counts
        raise
    choice.copy = copy


def _unpack(record: bytes):
    if len(record) != update.CHOICE_BYTES or struct.unpack_from(">I", record, _CHECKED_BYTES)[0] != crc32(
        record[:_CHECKED_BYTES]
    ):
        return None
    choice = Choice()
    (
        magic, layout, choice.slot, choice.state, choice.trials, choice.generation, choice.version,
        choice.previous_version, choice.newest, choice.floor, choice.issued, choice.root_version, choice.release_kid,
        choice.next_newest, choice.next_floor, choice.next_issued, choice.next_root_version, choice.next_release_kid,
        choice.previous_slot, choice.told_result, choice.told_reason, choice.told_version, choice.told_old,
        choice.told_new, _,
    ) = struct.unpack(update.CHOICE_FORMAT, record)  # fmt: skip
    is_known = magic == update.CHOICE_MAGIC and layout == update.CHOICE_LAYOUT
    if not is_known or choice.slot > update.SLOT_B or choice.previous_slot > update.SLOT_B:
        return None
    return choice
