"""Proof that a module holds the private key it shows: its signature over a statement with the registrar's nonce.

SPEC.md, "Proof of possession"; reference: reliability section 6.
The statement is an array of seven that begins with a text of its own, a record's Sig_structure an array of four with
another text: what is signed here can never pass for a record, whatever nonce is chosen.
"""

import hashlib

from acqwire import limits, possession

from acq.cbor import Writer


def build_statement(nonce: bytes, device: str, public_key: bytes, serial: bytes, firmware_hash: bytes) -> bytes:
    """Deterministic CBOR. Raises ValueError for a part of the wrong length."""
    name = device.encode()
    if len(nonce) != possession.NONCE_BYTES or len(serial) > possession.SERIAL_MAX_BYTES:
        raise ValueError("possession: nonce is not 32 bytes, or serial number longer than 32")
    if not 0 < len(name) <= limits.DEVICE_MAX_BYTES or len(public_key) != limits.PUBLIC_KEY_BYTES:
        raise ValueError("possession: device id or public key of the wrong length")
    if len(firmware_hash) != limits.HASH_BYTES:
        raise ValueError("possession: firmware hash is not 32 bytes")
    buf = bytearray(256)  # 7 heads, 21 + 32 + 32 + 65 + 32 + 32 bytes
    writer = Writer(buf)
    writer.array(7)
    writer.text(possession.CONTEXT)
    writer.uint(possession.VERSION)
    writer.bytes(nonce)
    writer.text(device)
    writer.bytes(public_key)
    writer.bytes(serial)
    writer.bytes(firmware_hash)
    return bytes(buf[: writer.end])


def prove(signer, nonce: bytes, device: str, serial: bytes, firmware_hash: bytes, wait=None) -> bytes:
    """The signature, 64 bytes, over the statement's SHA-256. Blocks. Raises ValueError, SignerFault."""
    statement = build_statement(nonce, device, signer.public_key, serial, firmware_hash)
    signer.begin(hashlib.sha256(statement).digest())
    while not signer.step():
        if wait is not None:
            wait(signer.wait_us())
    return signer.signature
