"""The module's key gives over to the next one (SPEC.md section 10). Imported only at a start that finds `rotate` or
`next_key.bin`; everything here happens before the first poll but the one record that says so.

next_key.bin is the next private key (32 bytes), and behind it, from the moment before the record goes to flash, that
record's content hash (32 bytes): whether the record became durable is then asked of the journal's head.
"""

import hashlib

from acqwire import fields, key_change, limits

from acq.cbor import Writer
from acq.cose import build_protected
from acq.soft_signer import SoftSigner

ASKED = "rotate"  # whoever provisions the module makes this file
NEXT = "next_key.bin"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # n of P-256, FIPS 186-5 / SP 800-186


def begin(board, start, device: str):
    """The signer of this start, and the KeyChange that is to be sealed, None where the key has changed already.
    Raises JournalError, ValueError, SignerFault."""
    is_changing = settle(board)
    signer = start.open_signer()
    return signer, KeyChange(board, device, signer.kid) if is_changing else None


def settle(board) -> bool:
    """Whether the key is still to change. Where power failed behind the record that names the next key, it is the
    module's key now. Raises JournalError, ValueError."""
    if board.exists("element.json"):
        raise ValueError("the key of a secure element does not change so: remove `rotate`, see SECURE_ELEMENT.md")
    if not board.exists(NEXT):
        return True
    content = _read(board)
    if len(content) == 32:
        return True
    from acq.journal import Journal

    journal = Journal(board.flash)
    journal.mount()
    if journal.head_hash != content[32:]:
        board.replace(NEXT, content[:32])  # the record did not become durable: it is sealed anew
        return True
    _take(board, content[:32])
    return False


class KeyChange:
    """`signer`: of the next key; `build`, `finish` and `adopt` are for sealing.py."""

    def __init__(self, board, device: str, old_kid: bytes) -> None:
        """Draws the key where there is none yet. Blocks for four signatures. Raises ValueError, SignerFault."""
        self._board = board
        self._device = device
        if not board.exists(NEXT):
            board.replace(NEXT, _draw(board.entropy))
        # From here on the key's own file asks: were `rotate` left to the end, a power cut would ask for a third key
        if board.exists(ASKED):
            board.remove(ASKED)
        self._secret = _read(board)[:32]
        self.signer = SoftSigner(self._secret)
        if self.signer.kid == old_kid:
            raise ValueError("next_key.bin is the key of this module already: remove it, and `rotate`")
        self.signer.begin(hashlib.sha256(_statement(device, old_kid, self.signer.public_key)).digest())
        while not self.signer.step():
            pass
        self._proof = self.signer.signature

    def build(self, builder, chain, stamp) -> int:
        """Payload bytes of the record."""
        writer = builder.begin(fields.KIND_KEY_CHANGE, 2, chain, stamp)
        writer.uint(key_change.KEY_NEXT)
        writer.bytes(self.signer.public_key)
        writer.uint(key_change.KEY_PROOF)
        writer.bytes(self._proof)
        return writer.end

    def finish(self, content_hash: bytes) -> None:
        """The record is signed and goes to flash next."""
        self._board.replace(NEXT, self._secret + content_hash)

    def adopt(self, sealer, link) -> None:
        """It is durable. Killed in here, `settle` of the next start does the rest."""
        sealer.signer = self.signer
        sealer.protected = build_protected(self.signer.kid)
        link.identity = self.signer.kid + self._device.encode()
        _take(self._board, self._secret)
        self._board.replace("public_key.bin", self.signer.public_key)


def _take(board, secret: bytes) -> None:
    board.replace("key.bin", secret)
    # Power fails here: both files hold one key; settle comes to this line again
    board.remove(NEXT)


def _draw(entropy) -> bytes:
    """Drawn anew while it is no number of 1..n-1. Raises ValueError without entropy."""
    draw = getattr(entropy, "key", None)  # of hardware: tested; a computer's generator is the system's
    key = entropy.random(32) if draw is None else draw()
    while not 0 < int.from_bytes(key, "big") < _ORDER:
        key = entropy.random(32) if draw is None else draw()
    return key


def _read(board) -> bytes:
    content = board.read_part(NEXT, 0, 65)
    if len(content) not in (32, 64):
        raise ValueError("next_key.bin does not hold 32 or 64 bytes: remove it, and `rotate`")
    return content


def _statement(device: str, old_kid: bytes, next_key: bytes) -> bytes:
    buf = bytearray(192)  # 5 heads, 21 + 32 + 16 + 65 bytes
    writer = Writer(buf)
    writer.array(5)
    writer.text(key_change.CONTEXT)
    writer.uint(key_change.VERSION)
    writer.text(device)
    writer.bytes(old_kid[: limits.KID_BYTES])
    writer.bytes(next_key)
    return bytes(buf[: writer.end])
