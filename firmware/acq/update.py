"""One update, from its first byte to the switch (SPEC.md section 8.3): a machine in slices, imported when asked for.

    updater = Updater(store, choice, utc_s)
    updater.begin(roots bytes, manifest bytes, total bytes, now_ms)
    updater.take(offset, piece, now_ms)           one piece at a time: `is_busy` until `step` has written it
    while updater.has_work: updater.step()        in quiet moments: each call does one slice of work
    updater.end(hash of the manifest, hash of the program that runs)      switched when its work is done

Order: sizes, then roots and manifest in a place of their own, then their signatures, then what they say, and only then
is the slot that is not running cleared. Whatever goes wrong ends in PHASE_REFUSED with a reason; the program that runs
and the record of choice are touched by nothing but `end`.
"""

import hashlib

from acqwire import frames, update

from acq.update_boot import check_names, check_target
from acq.update_choice import write_choice
from acq.update_document import UpdateError
from acq.update_trust import Trust, believe


class Updater:
    """`phase`, `reason`, `next_offset`: what UPDATE_STATE says. `version`, `new_hash`: of a believed manifest."""

    def __init__(self, store, choice, utc_s) -> None:
        """store: ports.UpdateStore; choice: update_choice.Choice; utc_s(): seconds, None without UTC."""
        self._store = store
        self._choice = choice
        self._utc_s = utc_s
        self._piece = bytearray(frames.UPDATE_PIECE_BYTES)
        self._view = memoryview(self._piece)
        self._forget(update.PHASE_IDLE, update.REASON_NONE)

    def _forget(self, phase: int, reason: int) -> None:
        self.phase, self.reason = phase, reason
        self.next_offset = 0
        self.version, self.new_hash = 0, b""
        self._roots_bytes = self._manifest_bytes = self._total_bytes = 0
        self._manifest_hash = b""
        self._trust = None
        self._held = 0  # bytes of _piece that are not written yet
        self._left = 0  # bytes of the present part still to come
        self._is_head = False  # the part that has come whole is roots and manifest, not a file
        self._file = None  # open for writing, or being read back
        self._list = None  # the slot's manifest, open, and its entries that are still to come
        self._entries = None
        self._work = None
        self._began_ms = self._heard_ms = 0

    @property
    def is_busy(self) -> bool:
        """A piece is waiting to be written, or its file to be made."""
        return self.has_work and self.phase != update.PHASE_CHECKING

    @property
    def has_work(self) -> bool:
        """There is something for `step`."""
        return self._held > 0 or self._work is not None

    def begin(self, roots_bytes: int, manifest_bytes: int, total_bytes: int, now_ms: int) -> None:
        """An update of these sizes is announced; one that had begun is dropped."""
        self._forget_file()
        self._forget(update.PHASE_HEAD, update.REASON_NONE)
        self._began_ms = self._heard_ms = now_ms
        head_bytes = roots_bytes + manifest_bytes
        self._slot = update.SLOT_B if self._choice.slot == update.SLOT_A else update.SLOT_A
        if self._choice.is_trial:
            self._refuse(update.REASON_ORDER)  # the other slot is the one to return to
        elif not self._store.factory_root():
            self._refuse(update.REASON_NO_ROOT)
        elif (
            not 0 < manifest_bytes <= update.MANIFEST_MAX_BYTES
            or not 0 <= roots_bytes <= update.ROOTS_MAX * update.ROOT_MAX_BYTES
            or not head_bytes < total_bytes <= head_bytes + min(update.TOTAL_MAX_BYTES, self._store.room(self._slot))
        ):
            self._refuse(update.REASON_SIZE)
        else:
            self._roots_bytes, self._manifest_bytes, self._total_bytes = roots_bytes, manifest_bytes, total_bytes
            self._left = head_bytes
            self._work = self._begin_head()

    def take(self, offset: int, piece, now_ms: int) -> None:
        """As much of the piece as belongs to the present part, if it is the next one; to be called when not busy."""
        if self.phase not in (update.PHASE_HEAD, update.PHASE_FILES) or offset != self.next_offset:
            return
        count = min(len(piece), self._left)
        self._view[:count] = piece[:count]
        self._held = count
        self._left -= count
        self.next_offset += count
        self._heard_ms = now_ms
        if self._left == 0:  # nothing more is wanted before this part has been judged
            self._is_head = self.phase == update.PHASE_HEAD
            self.phase = update.PHASE_CHECKING

    def end(self, manifest_hash: bytes, old_hash: bytes) -> None:
        """Switch, in the next quiet moment. old_hash: of the program that runs."""
        if self.phase in (update.PHASE_SWITCHED, update.PHASE_REFUSED, update.PHASE_CHECKING):
            return  # asked again, or to be asked again
        if self.phase != update.PHASE_READY:
            self._refuse(update.REASON_ORDER)
        elif manifest_hash != self._manifest_hash:
            self._refuse(update.REASON_HASH)
        else:
            self.phase = update.PHASE_CHECKING
            self._work = self._finish(old_hash)

    def step(self) -> None:
        """One slice: a piece written, a part of a signature, 512 bytes read back."""
        try:
            if self._held:
                self._write()
            elif self._work is not None:
                work = self._work
                try:
                    next(work)
                except StopIteration:
                    if self._work is work:  # else it has set its successor
                        self._work = None
        except UpdateError as refused:
            self._refuse(refused.code)
        except OSError:
            self._refuse(update.REASON_FLASH)
        except MemoryError:
            self._refuse(update.REASON_MEMORY)

    def watch(self, now_ms: int) -> None:
        """Whoever lets us wait is not waited for."""
        is_ours = self.phase == update.PHASE_CHECKING  # nobody is waited for, and yet it must end
        if (is_ours or self.phase in (update.PHASE_HEAD, update.PHASE_FILES, update.PHASE_READY)) and (
            now_ms - self._began_ms > update.TRANSFER_MAX_MS
            or (now_ms - self._heard_ms > update.IDLE_MAX_MS and not is_ours)
        ):
            self._refuse(update.REASON_SLOW)

    # Parts

    def _begin_head(self):
        self._file = self._store.create(update.INCOMING, update.MANIFEST_NAME)
        yield

    def _finish(self, old_hash: bytes):
        self._judge(self._trust)  # once more: time has passed
        yield
        self._switch(old_hash)

    def _write(self) -> None:
        count, self._held = self._held, 0
        piece = self._view[:count]
        if self._file.write(piece) != count:
            raise UpdateError(update.REASON_FLASH)
        if self._trust is not None:
            self._hash.update(piece)
        if self._left == 0:
            self._close()
            self._work = self._check_head() if self._is_head else self._check_file()

    def _check_head(self):
        """Roots and manifest, from the incoming place; afterwards the slot is empty but for them."""
        store = self._store
        factory = store.factory_root()
        self._trust = trust = Trust(factory)
        self._file = head = store.open(update.INCOMING, update.MANIFEST_NAME)
        roots_bytes, manifest_bytes = self._roots_bytes, self._manifest_bytes
        for _ in believe(trust, factory, head, roots_bytes, head, roots_bytes, manifest_bytes):
            yield
        self._close()
        self.version, self.new_hash = trust.manifest.version, trust.manifest.program_hash
        self._judge(trust)
        if roots_bytes + manifest_bytes + trust.manifest.total_bytes != self._total_bytes:
            raise UpdateError(update.REASON_SIZE)
        left = store.room(self._slot)
        self._list = store.open(update.INCOMING, update.MANIFEST_NAME)
        for _, size, _ in trust.manifest.entries(self._list, trust.signed_at):
            left -= store.footprint(size)
            yield
        self._close_list()
        if left < 0:  # sizes alone do not tell: a file of one byte may take a whole block
            raise UpdateError(update.REASON_SIZE)
        # power fails from here on: the slot that is not chosen is incomplete, and nobody starts it
        while store.clear(self._slot):
            yield
        with store.open(update.INCOMING, update.MANIFEST_NAME) as head:
            for name, left in ((update.ROOTS_NAME, roots_bytes), (update.MANIFEST_NAME, manifest_bytes)):
                self._file = store.create(self._slot, name)
                self._hash = hashlib.sha256()
                while left:
                    count = head.readinto(self._view[: min(left, frames.UPDATE_PIECE_BYTES)])
                    if not count or self._file.write(self._view[:count]) != count:
                        raise UpdateError(update.REASON_FLASH)
                    self._hash.update(self._view[:count])
                    left -= count
                    yield
                self._close()
        self._manifest_hash = self._hash.digest()
        self._list = store.open(self._slot, update.MANIFEST_NAME)
        self._entries = trust.manifest.entries(self._list, trust.signed_at - roots_bytes)
        self._next_file()

    def _check_file(self):
        """What came is what was signed, and what was written is what came."""
        path, size, digest = self._entry
        if self._hash.digest() != digest:
            raise UpdateError(update.REASON_HASH)
        again = hashlib.sha256()
        self._file = file = self._store.open(self._slot, path)
        count = file.readinto(self._piece)
        while count:
            again.update(self._view[:count])
            size -= count
            yield
            count = file.readinto(self._piece)
        self._close()
        if size or again.digest() != digest:
            raise UpdateError(update.REASON_FLASH)
        self._next_file()

    def _next_file(self) -> None:
        try:
            self._entry = next(self._entries)
        except StopIteration:
            self._close_list()
            check_names(self._store, self._slot, self._trust.manifest)
            while self._store.clear(update.INCOMING):
                pass  # one file and its folder
            self.phase = update.PHASE_READY
            return
        path, self._left, _ = self._entry
        self._hash = hashlib.sha256()
        self._file = self._store.create(self._slot, path)
        self.phase = update.PHASE_FILES
        if self._left == 0:  # an empty file: nothing comes
            self._close()
            self.phase = update.PHASE_CHECKING
            self._work = self._check_file()

    # Judgement

    def _judge(self, trust: Trust) -> None:
        """Everything that the signed words are held against. Raises UpdateError."""
        manifest, root, choice = trust.manifest, trust.root, self._choice
        check_target(self._store, manifest)
        if root.version < choice.root_version:
            raise UpdateError(update.REASON_ROOT_VERSION)
        least = choice.least(root)
        earliest_s = manifest.issued
        if root.release_kid == choice.release_kid:
            least = max(least, choice.newest)
            earliest_s = max(earliest_s, choice.issued)
        if manifest.version < least:
            raise UpdateError(update.REASON_VERSION)
        now_s = self._utc_s()
        if now_s is None or now_s < earliest_s:  # a clock before the release's own issue is wrong, or the issue is
            raise UpdateError(update.REASON_NO_TIME)
        if now_s >= manifest.expires or now_s >= root.expires:
            raise UpdateError(update.REASON_EXPIRED)

    def _switch(self, old_hash: bytes) -> None:
        """Power fails within: the old program is chosen or the new one, whole either way."""
        choice = self._choice
        before = choice.slot, choice.version, choice.previous_slot, choice.previous_version
        choice.previous_slot, choice.previous_version = before[:2]
        choice.slot, choice.version = self._slot, self.version
        choice.state, choice.trials = update.STATE_TRIAL, update.TRIALS
        choice.prepare(self._trust.root, self._trust.manifest)
        choice.tell(update.RESULT_SWITCHED, update.REASON_NONE, self.version, old_hash, self.new_hash)
        try:
            write_choice(self._store, choice)
        except OSError:
            choice.slot, choice.version, choice.previous_slot, choice.previous_version = before
            choice.state, choice.trials, choice.told_result = update.STATE_CONFIRMED, 0, 0
            raise
        self.phase = update.PHASE_SWITCHED

    # Files

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _close_list(self) -> None:
        if self._list is not None:
            file, self._list = self._list, None
            file.close()

    def _refuse(self, reason: int) -> None:
        self._forget_file()
        version, new_hash = self.version, self.new_hash
        self._forget(update.PHASE_REFUSED, reason)
        self.version, self.new_hash = version, new_hash

    def _forget_file(self) -> None:
        try:
            self._close_list()
            self._close()
        except OSError:  # its flash has failed already: this is the end of what has been refused
            self._file = None
