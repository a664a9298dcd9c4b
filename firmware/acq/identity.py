"""Which program this is: the hash over its files that every boot record carries (SPEC.md section 4.3)."""

import hashlib

from acqwire import journal

from acq import VERSION

_CHUNK_BYTES = 512


class BootFacts:
    """What record.RecordBuilder.build_boot takes."""

    journal_version = journal.LAYOUT_VERSION
    firmware_version = VERSION

    def __init__(self, start, public_key: bytes) -> None:
        self.reset_cause = start.reset_cause
        self.interpreter = start.interpreter
        # Of a program that is frozen only the hash is there, made when its image was
        self.firmware_hash = getattr(start, "frozen_hash", b"") or firmware_hash(start)
        self.public_key = public_key
        self.torn_count = 0  # told by the journal's mount
        self.element_counter = getattr(start, "element_counter", 0)


def firmware_hash(start) -> bytes:
    """SHA-256 over path, 0x00 and SHA-256 of each file, in byte order of the paths."""
    whole = hashlib.sha256()
    buf = memoryview(bytearray(_CHUNK_BYTES))
    for path in sorted(path.encode() for path in start.firmware_paths()):
        single = hashlib.sha256()
        with start.open_firmware(path.decode()) as file:
            count = file.readinto(buf)
            while count:
                single.update(buf[:count])
                count = file.readinto(buf)
        whole.update(path)
        whole.update(b"\x00")
        whole.update(single.digest())
    return whole.digest()
