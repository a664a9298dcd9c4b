"""Which program this is: the hash over its files that every boot record carries (SPEC.md section 4.3)."""

import hashlib

from acqwire import journal

from acq import VERSION

_CHUNK_BYTES = 512


class BootFacts:
    """What record.RecordBuilder.build_boot takes."""

    journal_version = journal.LAYOUT_VERSION
    firmware_version = VERSION

    def __init__(self, board, public_key: bytes, torn_count: int) -> None:
        self.reset_cause = board.reset_cause
        self.interpreter = board.interpreter
        self.firmware_hash = firmware_hash(board)
        self.public_key = public_key
        self.torn_count = torn_count


def firmware_hash(board) -> bytes:
    """SHA-256 over path, 0x00 and SHA-256 of each file, in byte order of the paths."""
    whole = hashlib.sha256()
    chunk = bytearray(_CHUNK_BYTES)
    view = memoryview(chunk)
    for path in sorted(path.encode() for path in board.firmware_paths()):
        single = hashlib.sha256()
        with board.open_firmware(path.decode()) as file:
            count = file.readinto(chunk)
            while count:
                single.update(view[:count])
                count = file.readinto(chunk)
        whole.update(path)
        whole.update(b"\x00")
        whole.update(single.digest())
    return whole.digest()
