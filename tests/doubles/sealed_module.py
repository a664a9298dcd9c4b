"""A module that answers the link from a list of envelopes: SPEC.md section 2 without flash, bus or time.

Payloads by cbor2's canonical form, signatures by cryptography. It does not imitate COBS noise (the frames pass through
the bridge's codec), a journal that runs full, BUSY, or the time exchange.
"""

from __future__ import annotations

import hashlib
import struct

import cbor2
from acqwire import fields, frames, labels
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from plumeproof.evidence.framing import FrameCodec
from plumeproof.model import Frame

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SealedModule:
    """ByteStream whose other end is a module with the records given by `seal`."""

    def __init__(self, device: str = "plume-01", secret: int = 1000) -> None:
        self.device = device
        self.key = ec.derive_private_key(secret, ec.SECP256R1())
        self.public_key = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.kid = hashlib.sha256(self.public_key).digest()[:16]
        self.boot = 0
        self.mono_ms = 0
        self.next_slot = 0
        self.journal: dict[int, tuple[bytes, bytes]] = {}  # seq -> (content hash, envelope)
        self.newest = 0
        self.newest_hash = bytes(32)
        self.released = 0
        self.acknowledged: list[int] = []
        self.missing: tuple[int, int] | None = None
        self._codec = FrameCodec()
        self._out = b""

    # Sealing

    def seal(self, kind: int, own: dict[int, object], **changed: object) -> bytes:
        """Seal the next record; `changed` overrides common fields by name (PREV=..., SEQ=...)."""
        common = {
            fields.VERSION: 1,
            fields.KIND: kind,
            fields.DEVICE: self.device,
            fields.BOOT: self.boot,
            fields.SEQ: self.newest + 1,
            fields.PREV: self.newest_hash,
            fields.MONO_MS: self.mono_ms,
            fields.UTC_STATUS: 0,
            fields.PARAMETERS_HASH: bytes(32),
        }
        common.update({getattr(fields, name): value for name, value in changed.items()})
        payload = cbor2.dumps({**common, **own}, canonical=True)
        protected = cbor2.dumps({labels.HEADER_ALG: labels.ALG_ES256, labels.HEADER_KID: self.kid}, canonical=True)
        structure = cbor2.dumps([labels.SIGNATURE_CONTEXT, protected, b"", payload], canonical=True)
        r, s = decode_dss_signature(self.key.sign(structure, ec.ECDSA(hashes.SHA256())))
        s = min(s, ORDER - s)
        raw = cbor2.dumps(
            cbor2.CBORTag(18, [protected, {}, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big")]), canonical=True
        )
        self.put(raw, hashlib.sha256(structure).digest())
        return raw

    def put(self, raw: bytes, content_hash: bytes) -> None:
        """Append bytes to the journal as they are."""
        self.newest += 1
        self.newest_hash = content_hash
        self.journal[self.newest] = (content_hash, raw)

    def start(self) -> None:
        """A boot and its record."""
        self.boot += 1
        self.mono_ms = 0
        self.next_slot = 0
        self.seal(
            fields.KIND_BOOT,
            {
                fields.RESET_CAUSE: 1,
                fields.FIRMWARE_VERSION: "0.1.0",
                fields.FIRMWARE_HASH: bytes(32),
                fields.INTERPRETER: "double",
                fields.JOURNAL_VERSION: 1,
                fields.PUBLIC_KEY: self.public_key,
                fields.TORN_COUNT: 0,
            },
        )

    def sample(self, slot_count: int = 3) -> None:
        """A samples record of one block of two registers."""
        self.mono_ms += slot_count * 1000
        self.seal(
            fields.KIND_SAMPLES,
            {
                fields.FIRST_SLOT: self.next_slot,
                fields.SLOT_COUNT: slot_count,
                fields.SLOT_MS: 1000,
                fields.FIRST_SLOT_MONO_MS: self.next_slot * 1000,
                fields.BLOCKS: [[bytes(slot_count), b"\x43\xce\x60\x00" * slot_count]],
                fields.RETRIES: 0,
            },
        )
        self.next_slot += slot_count

    # The line

    def write(self, data: bytes) -> None:
        for question in self._codec.feed(data):
            for kind, body in self._answers(question):
                self._out += self._codec.encode(Frame(kind, question.address, question.number, body))

    def read(self, limit: int, timeout_s: float) -> bytes:
        taken, self._out = self._out[:limit], self._out[limit:]
        return taken

    def close(self) -> None:
        pass

    def _answers(self, question: Frame) -> list[tuple[int, bytes]]:
        oldest = min(self.journal, default=0)
        if question.type == frames.HELLO:
            head = struct.pack(">BIQQ32s16s", 1, self.boot, oldest, self.newest, self.newest_hash, self.kid)
            return [(frames.WELCOME, head + self.device.encode())]
        if question.type == frames.ACKNOWLEDGE:
            seq, content_hash = struct.unpack(">Q32s", question.body)
            result = self._release(seq, content_hash)
            return [(frames.RELEASED, struct.pack(">BQQ", result, min(self.journal, default=0), self.newest))]
        first, window = struct.unpack(">QB", question.body)
        answers = []
        if self.missing is not None and self.missing[0] == first:
            answers.append((frames.MISSING, struct.pack(">QQ", *self.missing)))
            first = self.missing[1] + 1
        elif first not in self.journal and (kept := [seq for seq in self.journal if seq > first]):
            answers.append((frames.MISSING, struct.pack(">QQ", first, min(kept) - 1)))
            first = min(kept)
        for seq in range(first, min(first + window, self.newest + 1)):
            if seq not in self.journal:
                break
            content_hash, raw = self.journal[seq]
            answers.append((frames.RECORD, struct.pack(">Q32s", seq, content_hash) + raw))
        return [*answers, (frames.END, struct.pack(">QQ", oldest, self.newest))]

    def _release(self, seq: int, content_hash: bytes) -> int:
        if seq not in self.journal:
            return frames.RELEASE_DONE if seq == self.released else frames.RELEASE_UNKNOWN_SEQ
        if self.journal[seq][0] != content_hash:
            return frames.RELEASE_WRONG_HASH
        self.acknowledged.append(seq)
        self.released = seq
        for old in [known for known in self.journal if known <= seq]:
            del self.journal[old]
        return frames.RELEASE_DONE
