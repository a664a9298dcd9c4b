"""Ticks of a signature and of its verification: the one ends where the other's object is made."""

import gc
import hashlib

import mps2

from acq import p256


class NotedVerification(p256.Verification):
    begun = 0

    def __init__(self, *arguments):
        NotedVerification.begun = mps2.cycles()
        super().__init__(*arguments)


def count(signer, signatures):
    """Means of both over so many digests; garbage is collected before each, and inside where the heap asks for it."""
    honest = p256.Verification
    p256.Verification = NotedVerification
    sign = verify = 0
    for number in range(signatures):
        digest = hashlib.sha256(bytes((number,))).digest()
        gc.collect()
        start = mps2.cycles()
        signer.begin(digest)
        while not signer.step():
            pass
        end = mps2.cycles()
        sign += NotedVerification.begun - start
        verify += end - NotedVerification.begun
    p256.Verification = honest
    return sign // signatures, verify // signatures
