"""Times signatures of the soft signer on the interpreter: `micropython signing.py FIRMWARE COUNT`.

Prints a JSON object a line: {"us", "unverified_us", "signature"} for each signature over another digest, times in
microseconds. Unverified: until the signature exists; the rest is its verification with the public key, before it is
given out. Garbage is collected before each, and inside where the heap asks for it.
"""

import gc
import hashlib
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from acq.soft_signer import SoftSigner

SECRET = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # published: RFC 6979 A.2.5

signer = SoftSigner(SECRET)
for number in range(int(sys.argv[2])):
    digest = hashlib.sha256(str(number).encode()).digest()
    gc.collect()
    start = time.ticks_us()
    signer.begin(digest)
    while not signer.is_verifying:
        signer.step()
    unverified_us = time.ticks_diff(time.ticks_us(), start)
    while not signer.step():
        pass
    us = time.ticks_diff(time.ticks_us(), start)
    if len(signer.signature) != 64:
        raise ValueError("no signature")
    print(json.dumps({"us": us, "unverified_us": unverified_us, "signature": signer.signature.hex()}))
