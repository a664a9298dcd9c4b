"""Which program this start runs (SPEC.md section 8.4): judged by the factory's code, before anything else is imported.

    slot = choose(store, feed)

Signature and files of a slot are checked here each time; nothing expires at a start, since a module that stops
measuring on a date helps nobody. The record of choice is written before the program of a trial runs: a program that
ends the start by whatever means has used up one of its trials.
"""

import hashlib

from acqwire import update

from acq.update_choice import read_choice, write_choice
from acq.update_document import Manifest, UpdateError
from acq.update_trust import Trust, believe

_CHUNK_BYTES = 512


def choose(store, feed) -> int:
    """The slot to start. store: ports.UpdateStore; feed(): called in between. Raises OSError when the record of choice
    cannot be written: better no start than a trial that never ends."""
    choice = read_choice(store)
    if choice.slot == update.FACTORY:
        return update.FACTORY
    if choice.is_trial and choice.trials == 0:
        choice.go_back(update.RESULT_RETURNED, update.REASON_NONE)
        write_choice(store, choice)  # power fails before: the same again; after: nothing is left to do
    elif choice.is_trial:
        choice.trials -= 1
        write_choice(store, choice)
    while choice.slot != update.FACTORY:
        reason = _judge(store, choice, feed)
        if reason == update.REASON_NONE:
            return choice.slot
        if choice.is_trial:
            choice.go_back(update.RESULT_RETURNED, reason)
        else:
            _leave(store, choice, reason, feed)
        write_choice(store, choice)
    return update.FACTORY


def verify_slot(store, slot: int, feed) -> Trust:
    """The trust that a slot's documents and files deserve. Raises UpdateError, OSError."""
    factory = store.factory_root()
    trust = Trust(factory)
    with store.open(slot, update.ROOTS_NAME) as roots, store.open(slot, update.MANIFEST_NAME) as signed:
        for _ in believe(trust, factory, roots, roots.seek(0, 2), signed, 0, signed.seek(0, 2)):
            feed()
        check_target(store, trust.manifest)
        check_names(store, slot, trust.manifest)
        for path, size, digest in trust.manifest.entries(signed, trust.signed_at):
            feed()
            if hash_file(store, slot, path) != (size, digest):
                raise UpdateError(update.REASON_HASH)
    return trust


def check_target(store, manifest: Manifest) -> None:
    """Made for this board. Raises UpdateError."""
    if manifest.board != store.board or manifest.mpy not in (0, store.mpy):
        raise UpdateError(update.REASON_BOARD)


def check_names(store, slot: int, manifest: Manifest) -> None:
    """Nothing else lies in the slot: a file that nobody has signed could be imported. The files of the manifest are
    looked at one by one elsewhere, so that their number is enough. Raises UpdateError, OSError."""
    count = 0
    for _ in store.names(slot):
        count += 1
    if count != manifest.count + 2:  # the roots and the manifest itself
        raise UpdateError(update.REASON_HASH)


def hash_file(store, slot: int, path: str):
    """(bytes, SHA-256) of a file. Raises OSError."""
    digest = hashlib.sha256()
    chunk = bytearray(_CHUNK_BYTES)
    view = memoryview(chunk)
    size = 0
    with store.open(slot, path) as file:
        count = file.readinto(chunk)
        while count:
            digest.update(view[:count])
            size += count
            count = file.readinto(chunk)
    return size, digest.digest()


def _judge(store, choice, feed) -> int:
    """REASON_NONE when the chosen slot may run."""
    try:
        trust = verify_slot(store, choice.slot, feed)
    except UpdateError as refused:
        return refused.code
    except OSError:
        return update.REASON_FLASH
    if trust.root.version < choice.root_version:
        return update.REASON_ROOT_VERSION
    if trust.manifest.version < choice.least(trust.root):
        return update.REASON_VERSION
    choice.version = trust.manifest.version
    return update.REASON_NONE


def _leave(store, choice, reason: int, feed) -> None:
    """A confirmed program is damaged: the other slot, where it still may run, else the factory."""
    other = update.SLOT_A + update.SLOT_B - choice.slot
    choice.previous_slot, choice.previous_version = other, 0
    choice.go_back(update.RESULT_DAMAGED, reason)
    if _judge(store, choice, feed) != update.REASON_NONE:
        choice.slot, choice.version = update.FACTORY, 0
