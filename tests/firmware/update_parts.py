"""What the tests of the update share, on both interpreters: keepers, a release key, a thief, and a store to update.

Documents are signed by the module's own signer, which test_signer_vectors holds against published signatures; a second
writer of documents is tools/release/ (tests/tools/test_release.py).
"""

import hashlib
import json
import struct

from acqwire import frames, update
from flash_parts import PowerCut  # also puts tests/doubles on the path
from power_cut_store import ERROR, FLIPPED, NOTHING, PowerCutStore

from acq.soft_signer import SoftSigner
from acq.update import Updater
from acq.update_boot import choose
from acq.update_choice import read_choice, write_choice

__all__ = (
    "ERROR", "FLIPPED", "NOTHING", "Bench", "PowerCut", "PowerCutStore", "choose", "document", "key", "read_choice",
    "release", "root", "write_choice",
)  # fmt: skip

NOW_S = 1800000000
OLD_HASH = b"\x0f" * 32
_CONTEXTS = {update.ROOT_MAGIC: update.ROOT_CONTEXT, update.RELEASE_MAGIC: update.RELEASE_CONTEXT}
_KEYS = {}
_SIGNED = {}


def key(name: str) -> SoftSigner:
    """The key of this name, always the same."""
    if name not in _KEYS:
        _KEYS[name] = SoftSigner(hashlib.sha256(name.encode()).digest())
    return _KEYS[name]


def document(magic: bytes, body, names) -> bytes:
    """Signed by the keys of these names."""
    signed = body if isinstance(body, bytes) else _canonical(body)
    digest = hashlib.sha256(_CONTEXTS[magic] + signed).digest()
    entries = []
    for name in names:
        if (name, digest) not in _SIGNED:
            _SIGNED[name, digest] = key(name).sign(digest)
        entries.append(key(name).kid + _SIGNED[name, digest])
    return struct.pack(">4sBBH", magic, 1, len(entries), len(signed)) + b"".join(sorted(entries)) + signed


def _canonical(body) -> bytes:
    """RFC 8785 as far as these documents need it."""
    pairs = [json.dumps(name) + ":" + json.dumps(body[name], separators=(",", ":")) for name in sorted(body)]
    return ("{" + ",".join(pairs) + "}").encode()


def root(number=1, keys=("r1", "r2", "r3"), signers=("r1", "r2"), release_key="rel", **changes) -> bytes:
    """A root document; `changes` to its body."""
    body = {
        "type": "root", "format": 1, "product": update.PRODUCT, "version": number, "threshold": 2,
        "root_keys": [key(name).public_key.hex() for name in keys], "release_key": key(release_key).public_key.hex(),
        "expires": NOW_S + 100000, "minimum": 0,
    }  # fmt: skip
    body.update(changes)
    return document(update.ROOT_MAGIC, body, signers)


FILES = (("acq/__init__.py", b""), ("acq/app.py", b"app " * 200), ("main.py", b"print(1)\n"))


def release(number=1, files=FILES, signers=("rel",), listed=None, **changes):
    """(manifest document, what follows it); `listed` instead of the true list of files, `changes` to the body."""
    if listed is None:
        listed = [[path, len(content), hashlib.sha256(content).digest().hex()] for path, content in files]
    body = {
        "type": "release", "format": 1, "product": update.PRODUCT, "board": "host", "mpy": 0, "version": number,
        "minimum": 0, "release": "0.0." + str(number), "root": 1, "issued": NOW_S - 1000, "expires": NOW_S + 1000,
        "files": listed,
    }  # fmt: skip
    body.update(changes)
    return document(update.RELEASE_MAGIC, body, signers), b"".join(content for _, content in files)


class Bench:
    """A store with a factory root, and a program that runs. `now_s`: its UTC, None for none."""

    def __init__(self, store=None) -> None:
        self.store = PowerCutStore(root()) if store is None else store
        self.now_s = NOW_S
        self.now_ms = 0
        self.start()

    def start(self) -> int:
        """A start of the module: the slot that runs."""
        self.slot = choose(self.store, self.store.feed)
        self.choice = read_choice(self.store)
        self.updater = Updater(self.store, self.choice, lambda: self.now_s)
        return self.slot

    def work(self) -> None:
        while self.updater.has_work:
            self.updater.step()

    def send(self, made, roots=b"", total=None) -> int:
        """Everything up to READY or a refusal; the reason."""
        manifest, content = made
        stream = roots + manifest + content
        updater = self.updater
        updater.begin(len(roots), len(manifest), len(stream) if total is None else total, self.now_ms)
        self.work()
        while updater.phase in (update.PHASE_HEAD, update.PHASE_FILES):
            piece = stream[updater.next_offset : updater.next_offset + frames.UPDATE_PIECE_BYTES]
            assert piece, "it waits for more than there is"
            updater.take(updater.next_offset, piece, self.now_ms)
            self.work()
        assert updater.phase in (update.PHASE_READY, update.PHASE_REFUSED)
        return updater.reason

    def switch(self, made) -> int:
        """END; the reason."""
        self.updater.end(hashlib.sha256(made[0]).digest(), OLD_HASH)
        self.work()
        return self.updater.reason

    def install(self, made, roots=b"") -> None:
        """A whole update, tried and confirmed."""
        assert self.send(made, roots) == 0, self.updater.reason
        assert self.switch(made) == 0
        self.start()
        self.confirm()

    def confirm(self) -> None:
        assert self.choice.is_trial
        self.choice.confirm()
        write_choice(self.store, self.choice)
