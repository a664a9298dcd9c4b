"""A key that gives over to the next one: the module's program with its real signer, read by the bridge's strict side,
the power cut at every file that is written and around the record that says so.
"""

from __future__ import annotations

import pytest
from acqwire import fields, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from acq.app import App
from acq.cose import Sealer
from acq.identity import BootFacts
from acq.key_change import begin
from acq.settings import read_plan
from acq.soft_signer import SoftSigner
from plumeproof.errors import RecordError
from plumeproof.evidence import chain
from plumeproof.evidence.envelope import kid_of, verify_envelope
from plumeproof.evidence.key_change import Succession, build_statement, check_key_change
from plumeproof.evidence.record import parse_record
from plumeproof.model import KeyChange as Body
from tests.doubles.signed_module import SignedModule
from tests.firmware.app_parts import ADDRESS, Rig, RigStart

OLD = (7777).to_bytes(32, "big")


class Cut(Exception):
    """The power has gone."""


class KeyRig(Rig):
    """With the files of a module; `left`: writes until the power fails, None: never. `after`: behind that write."""

    def __init__(self) -> None:
        super().__init__()
        self.files = {"key.bin": OLD, "rotate": b""}
        self.left: int | None = None
        self.after = False
        self.head_record = None
        self.succession = Succession()
        self.kids: list[bytes] = []
        board = self.board
        board.exists = lambda name: name in self.files
        board.replace = lambda name, content: self._write(name, bytes(content))
        board.remove = lambda name: self._write(name, None)
        board.read_part = lambda name, start, count: (
            self.parameters if name == "parameters.json" else self.files[name]
        )[start : start + count]

    def _write(self, name: str, content: bytes | None) -> None:
        is_last = self.left == 0
        if self.left is not None:
            self.left -= 1
        if is_last and not self.after:
            raise Cut
        if content is None:
            del self.files[name]
        else:
            self.files[name] = content
        if is_last:
            raise Cut

    def start(self) -> None:
        """A boot, as main.py does it."""
        self.app = None
        self.line.arriving, self.line.sent = bytearray(), bytearray()
        self.open_signer = lambda: SoftSigner(self.files["key.bin"])
        signer, change = self.open_signer(), None
        if "rotate" in self.files or "next_key.bin" in self.files:
            signer, change = begin(self.board, self, "mod-1")
        plan = read_plan(self.parameters, b'{"link_address": %d}' % ADDRESS)
        sealer = Sealer(signer)
        sealer.change = change
        self.app = App(self.board, plan, BootFacts(RigStart(), signer.public_key), self._writer, sealer)

    def collect(self) -> None:
        """All that is durable, verified as the bridge does; who signed stands in `kids`."""
        points = {}
        for secret in (self.files["key.bin"], self.files.get("next_key.bin", OLD)[:32], OLD):
            signer = SoftSigner(secret)
            points[signer.kid] = signer.public_key
        while True:
            found = [body for type_, body in self.ask(frames.FETCH, self._next()) if type_ == frames.RECORD]
            if not found:
                return
            for body in found:
                envelope = verify_envelope(body[40:], points.__getitem__)
                record = parse_record(envelope)
                decision = chain.accept(self.head_record, record)
                assert decision.verdict == chain.ACCEPT, decision
                assert self.succession.fault(record.seq, envelope.kid) == ""
                self.succession.take(record.seq, envelope.kid, record.body)
                self.head_record = decision.head
                self.head = (record.seq, record.content_hash)
                self.kids.append(envelope.kid)
                self.records.append(record)
            self.acknowledge()

    def _next(self) -> bytes:
        return (self.head[0] + 1).to_bytes(8, "big") + b"\x08"


def run(rig: KeyRig) -> None:
    rig.start()
    rig.run(7_000_000)
    rig.collect()


def judge(rig: KeyRig) -> None:
    """One change, old before it, new behind it; nothing is left over."""
    assert set(rig.files) == {"key.bin", "public_key.bin"} or set(rig.files) == {"key.bin"}
    changes = [number for number, record in enumerate(rig.records) if isinstance(record.body, Body)]
    new = SoftSigner(rig.files["key.bin"])
    assert len(changes) == 1 and rig.records[changes[0]].body.next_key == new.public_key
    assert set(rig.kids[: changes[0] + 1]) == {SoftSigner(OLD).kid} != {new.kid} == set(rig.kids[changes[0] + 1 :])
    assert any(record.kind == fields.KIND_SAMPLES for record in rig.records[changes[0] :])


def test_the_chain_goes_on_under_the_next_key():
    rig = KeyRig()
    run(rig)
    judge(rig)
    assert [record.kind for record in rig.records[:3]] == [1, 3, 9]
    ((_, welcome),) = rig.ask(frames.HELLO, b"\x01\x01")
    assert kid_of(SoftSigner(rig.files["key.bin"]).public_key) in welcome
    run(rig)  # another start: nothing is asked any more
    judge(rig)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", range(6))  # next_key.bin, rotate, next_key.bin, key.bin, next_key.bin, public_key.bin
def test_power_fails_at_every_write(write, after):
    rig = KeyRig()
    rig.left, rig.after = write, after
    with pytest.raises(Cut):
        run(rig)
    rig.left = None
    rig.app = None
    run(rig)
    run(rig)
    judge(rig)


def test_power_fails_before_the_record_is_durable():
    rig = KeyRig()
    rig.start()
    original, seen = rig.app._sealing._journal.append, []

    def cut(kind, *rest):
        seen.append(kind)
        if kind == fields.KIND_KEY_CHANGE:
            raise Cut
        return original(kind, *rest)

    rig.app._sealing._journal.append = cut
    with pytest.raises(Cut):
        rig.run(7_000_000)
    assert len(rig.files["next_key.bin"]) == 64 and seen[-1] == fields.KIND_KEY_CHANGE
    run(rig)
    judge(rig)


@pytest.mark.parametrize("name", ["element.json", "next_key.bin"])
def test_what_cannot_be_is_refused(name):
    rig = KeyRig()
    rig.files[name] = b"{}"
    with pytest.raises(ValueError, match="rotate"):
        rig.start()


@given(st.sampled_from(("device", "old", "next", "proof", "same")), st.integers(0, 511))
@settings(max_examples=40)
def test_a_change_without_both_signatures_is_no_record(what, bit):
    old, new = SignedModule(secret=2000), SignedModule(secret=3000)
    proof = new.sign(build_statement("plume-01", old.kid, new.public_key))
    body = Body(new.public_key, proof)
    check_key_change("plume-01", old.kid, body)
    device, kid = "plume-01", old.kid
    if what == "device":
        device = "plume-02"
    elif what == "old":
        kid = SignedModule(secret=2001).kid
    elif what == "next":
        body = Body(SignedModule(secret=3001).public_key, proof)
    elif what == "same":
        kid = new.kid
    else:
        turned = bytearray(proof)
        turned[bit // 8] ^= 1 << bit % 8
        body = Body(new.public_key, bytes(turned))
    with pytest.raises(RecordError, match="key_change"):
        check_key_change(device, kid, body)


def test_who_may_sign_behind_a_change():
    one, two, three = (SignedModule(secret=number) for number in (11, 12, 13))
    order = Succession()
    order.take(8, one.kid, Body(two.public_key, bytes(64)))
    assert order.fault(8, one.kid) == order.fault(9, two.kid) == order.fault(20, three.kid) == ""
    assert "has handed over" in order.fault(9, one.kid) and "has handed over" in order.fault(9, three.kid)
    assert "has handed over" in order.fault(400, one.kid)
