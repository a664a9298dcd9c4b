"""The stream of a module over a line that drops, repeats, cuts and spoils what passes (F6), real codec and ledger.

Spoiled are bytes (the CRC finds them) and bodies of whole frames under a new, good CRC, which only verifying finds.
"""

from __future__ import annotations

import random

from acqwire import frames
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.errors import EvidenceError, LinkError
from plumeproof.evidence.framing import FrameCodec, encode_frame
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.model import Frame
from plumeproof.pipeline import Ingest
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_pipeline import OneKey, TickingTime, stored
from tests.doubles.sealed_module import SealedModule


class BadLine:
    """ByteStream between bridge and module; does not imitate time: what is late here is a repeated frame."""

    def __init__(self, module: SealedModule, dice: random.Random, rate: float) -> None:
        self._module, self._dice, self.rate = module, dice, rate
        self._late = {True: b"", False: b""}  # by direction
        self._out = b""

    def write(self, data: bytes) -> None:
        self._module.write(self._disturb(data, True))
        answers = self._module.read(1 << 30, 0)
        for encoded in answers.split(b"\x00"):
            if encoded:
                self._out += self._disturb(self._spoil(encoded + b"\x00"), False)

    def read(self, limit: int, timeout_s: float) -> bytes:
        count = min(limit, self._dice.randint(1, 700))
        taken, self._out = self._out[:count], self._out[count:]
        return taken

    def close(self) -> None:
        pass

    def _spoil(self, encoded: bytes) -> bytes:
        """The body changed under a good CRC."""
        if self._dice.random() >= self.rate:
            return encoded
        (frame,) = FrameCodec().feed(encoded)
        body = bytearray(frame.body)
        for _ in range(self._dice.randint(1, 3)):
            body[self._dice.randrange(len(body))] = self._dice.randrange(256)
        kind = frame.type
        if self._dice.random() < 0.1:
            kind = self._dice.choice((frames.RECORD, frames.END, frames.MISSING, frames.BUSY, frames.RELEASED))
        return encode_frame(Frame(kind, frame.address, frame.number, bytes(body)))

    def _disturb(self, data: bytes, is_question: bool) -> bytes:
        if self._dice.random() >= self.rate:
            return data
        what = self._dice.choice(("drop", "twice", "cut", "noise", "late", "flip"))
        if what == "drop":
            return b""
        if what == "twice":
            return data + data
        if what == "cut":
            return data[: self._dice.randrange(len(data))]
        if what == "noise":
            return self._dice.randbytes(self._dice.randint(1, 6000)) + data
        if what == "late":
            self._late[is_question], data = data, self._late[is_question]
            return data
        changed = bytearray(data)
        changed[self._dice.randrange(len(changed))] ^= 1 << self._dice.randrange(8)
        return bytes(changed)


def quarantined(writer: Writer) -> set[int]:
    with writer.reading() as connection:
        return {row[0] for row in connection.execute("SELECT seq FROM quarantine")}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.1, 0.4]), st.lists(st.sampled_from("bse"), max_size=30))
def test_nothing_is_lost_doubled_or_taken_from_the_line(tmp_path_factory, seed, rate, history):
    dice = random.Random(seed)
    module = SealedModule()
    module.start()
    for what in history:
        if what == "b":
            module.start()
        else:
            module.sample(dice.randint(1, 60))
    sealed = dict(module.journal)
    writer = Writer(tmp_path_factory.mktemp("line") / "ledger.sqlite")
    ledger = SqliteLedger(writer, TickingTime())
    release = module._release

    def checked(seq: int, content_hash: bytes) -> int:
        result = release(seq, content_hash)
        if result == frames.RELEASE_DONE:
            head = ledger.head("plume-01")
            is_kept = (head is not None and head.seq >= seq) or seq in quarantined(writer)
            assert is_kept, "released before it was stored"
        return result

    module._release = checked
    line = BadLine(module, dice, rate)
    codec, session = FrameCodec(), Session(1)
    ingest = Ingest("plume-01", Line(line, codec, session, TickingTime()), OneKey(module), ledger)
    for tries in range(400):
        if tries == 300:
            line.rate = 0.0
        try:
            ingest.greet()
            while ingest.poll(dice.randint(1, 8)):
                pass
            if not module.journal:
                break
        except (LinkError, EvidenceError):
            continue
    found = stored(ledger)
    assert module.journal == {}
    assert {row.seq: row.envelope for row in ledger.of_device("plume-01", 1, 10**9)} == {
        seq: sealed[seq][1] for seq in found
    }
    with writer.reading() as connection:
        holes = connection.execute("SELECT first_seq, last_seq FROM hole").fetchall()
    # What a spoilt MISSING takes away is a hole in the ledger: never silent.
    declared = {seq for first, last in holes for seq in range(first, last + 1)}
    assert set(sealed) - set(found) <= declared | quarantined(writer)
    writer.close()
