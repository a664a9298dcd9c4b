"""tests/firmware/vector_files.py for the emulated part: what a test names lies in the part's folder.

`check_signatures(PATH)` takes published verification cases a line at a time, as its heap does not hold the whole file.
"""

import hashlib
import json

import mps2

from acq import p256

_PIECE_BYTES = 1024


def own(name):
    """A file of tests/vectors."""
    return json.loads(mps2.file_read(name, 0, 65536))


def lines_of(path):
    """The lines of a file of any size."""
    rest = b""
    start = 0
    while True:
        piece = mps2.file_read(path, start, _PIECE_BYTES)
        start += len(piece)
        rest += piece
        while b"\n" in rest:
            line, rest = rest.split(b"\n", 1)
            yield line
        if not piece:
            return


def check_signatures(path):
    """Each line a JSON list: case, uncompressed point, message, r || s (all hex), whether it is valid."""
    counts = [0, 0]
    for line in lines_of(path):
        case, key, message, signature, is_valid = json.loads(line)
        digest = hashlib.sha256(bytes.fromhex(message)).digest()
        if p256.verify(bytes.fromhex(key), digest, bytes.fromhex(signature)) != is_valid:
            print("WRONG", case)
        counts[0 if is_valid else 1] += 1
    print("checked", counts[0], counts[1])
