"""The published signature files of the reference folder; they need a larger heap than a module has, for their JSON."""

import hashlib

from vector_files import reference

from acq import p256
from acq.soft_signer import SoftSigner


def _digest(message):
    return hashlib.sha256(message).digest()


def test_reference_rfc6979_file():
    found = 0
    vectors = reference("vectors/rfc6979/p256.json")
    signer = SoftSigner(bytes.fromhex(vectors["private_key_x"]))
    for case in vectors["tests"]:
        if case["hash"] != "sha256":
            continue
        found += 1
        digest = _digest(case["message_utf8"].encode())
        s = int(case["s"], 16)
        low = min(s, p256.N - s).to_bytes(32, "big")
        assert signer.sign(digest) == bytes.fromhex(case["r"]) + low
        assert p256.verify(signer.public_key, digest, bytes.fromhex(case["sig_p1363"]))
    assert found == 2


def test_wycheproof_p1363():
    counts = [0, 0]
    for group in reference("vectors/wycheproof/ecdsa_secp256r1_sha256_p1363.json")["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["uncompressed"])
        for case in group["tests"]:
            is_valid = case["result"] == "valid"
            counts[0 if is_valid else 1] += 1
            digest = _digest(bytes.fromhex(case["msg"]))
            assert p256.verify(public_key, digest, bytes.fromhex(case["sig"])) == is_valid, case["tcId"]
    assert counts == [58, 29], counts


def _integer(der, at):
    """A minimal positive DER INTEGER at `at`: (number, end); raises ValueError (X.690 8.3, 10.1)."""
    if at + 2 > len(der) or der[at] != 2 or not 0 < der[at + 1] < 128 or at + 2 + der[at + 1] > len(der):
        raise ValueError()
    body = der[at + 2 : at + 2 + der[at + 1]]
    if body[0] & 0x80 or (len(body) > 1 and body[0] == 0 and not body[1] & 0x80):
        raise ValueError()
    return int.from_bytes(body, "big"), at + 2 + len(body)


def _from_der(der):
    """r || s of a strict DER signature, None for anything else."""
    try:
        if len(der) < 8 or der[0] != 0x30 or der[1] != len(der) - 2 or der[1] > 127:
            return None
        r, at = _integer(der, 2)
        s, at = _integer(der, at)
    except ValueError:
        return None
    if at != len(der) or r >> 256 or s >> 256:
        return None
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_wycheproof_der():
    counts = [0, 0]
    for group in reference("vectors/wycheproof/ecdsa_secp256r1_sha256_der.json")["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["uncompressed"])
        for case in group["tests"]:
            is_valid = case["result"] == "valid"
            counts[0 if is_valid else 1] += 1
            signature = _from_der(bytes.fromhex(case["sig"]))
            digest = _digest(bytes.fromhex(case["msg"]))
            found = signature is not None and p256.verify(public_key, digest, signature)
            assert found == is_valid, case["tcId"]
    assert counts == [58, 103], counts
