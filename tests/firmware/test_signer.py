"""P-256, RFC 6979 and the soft signer, on both interpreters against published vectors."""

import hashlib

from vector_files import own

from acq import p256, soft_signer
from acq.faults import SignerFault
from acq.rfc6979 import Nonces


def _digest(message):
    return hashlib.sha256(message).digest()


def _signer():
    return soft_signer.SoftSigner(bytes.fromhex(own("rfc6979_p256.json")["secret"]))


def test_public_key_and_kid():
    vectors = own("rfc6979_p256.json")
    signer = _signer()
    assert signer.public_key == b"\x04" + bytes.fromhex(vectors["x"]) + bytes.fromhex(vectors["y"])
    assert signer.kid == _digest(signer.public_key)[:16]


def test_rfc6979_nonces_and_signatures():
    vectors = own("rfc6979_p256.json")
    signer = _signer()
    secret = int(vectors["secret"], 16)
    for case in vectors["cases"]:
        digest = _digest(case["message"].encode())
        assert Nonces(secret, digest, p256.N).next() == int(case["k"], 16)
        s = int(case["s"], 16)
        low = min(s, p256.N - s)
        assert signer.sign(digest) == bytes.fromhex(case["r"]) + low.to_bytes(32, "big")


def test_inverse_by_multiplying_back():
    for modulus in (p256.P, p256.N):
        for number in (1, 2, 3, modulus - 1, modulus - 2, 1 << 255, 0x1234567890ABCDEF << 90):
            assert p256.inverse(number, modulus) * number % modulus == 1
        assert p256.inverse(0, modulus) == 0


def test_comb_and_ladder_agree_at_the_edges():
    x, y = _base_point()
    assert p256.is_on_curve(x, y)
    for scalar in (0, 1, 2, 3, p256.N - 1, p256.N - 2, 1 << 255, (1 << 43) - 1, 1 << 43, p256.N >> 1):
        comb, ladder = p256.Comb(scalar), p256.Ladder(scalar, x, y)
        while not comb.step():
            pass
        while not ladder.step():
            pass
        assert p256.to_affine(comb.point) == p256.to_affine(ladder.point)
    last = p256.Ladder(p256.N, x, y)
    while not last.step():
        pass
    assert p256.to_affine(last.point) is None


def test_a_table_of_any_point_multiplies_as_the_ladder_does():
    base = p256.Ladder(0xC0FFEE, *_base_point())
    while not base.step():
        pass
    x, y = p256.to_affine(base.point)
    for teeth, columns, blocks in ((4, 64, 2), (4, 64, 1), (3, 87, 3), (2, 129, 2)):
        table = p256.build_comb_table(x, y, teeth, columns, blocks)
        assert len(table.points) == 64 * blocks << (teeth - 1)
        for scalar in (0, 1, 2, 3, p256.N - 1, p256.N - 2, 1 << 255, p256.N >> 1, 0x123456789 << 190):
            comb, ladder = p256.Comb(scalar, table), p256.Ladder(scalar, x, y)
            while not comb.step():
                pass
            while not ladder.step():
                pass
            assert p256.to_affine(comb.point) == p256.to_affine(ladder.point), (teeth, columns, blocks, scalar)


def _base_point():
    one = p256.Comb(1)
    while not one.step():
        pass
    return p256.to_affine(one.point)


def test_a_fault_in_the_arithmetic_never_leaves():
    signer = _signer()
    honest = p256.add_affine
    calls = [0]

    def faulty(point, x2, y2):
        honest(point, x2, y2)
        calls[0] += 1
        if calls[0] == 7:
            point[0] ^= 1

    p256.add_affine = faulty
    try:
        signer.sign(_digest(b"fault"))
        raise AssertionError("a faulty signature left the signer")
    except SignerFault:
        assert signer.signature == b""
    finally:
        p256.add_affine = honest
    assert len(signer.sign(_digest(b"sound"))) == 64


def test_signing_is_sliced():
    signer = _signer()
    signer.begin(_digest(b"slices"))
    steps = 0
    while not signer.step():
        steps += 1
    assert steps > 70  # 22 rows to sign, 22 and 32 to verify
    assert signer.step()


def test_every_impossible_secret_is_refused():
    for secret in (bytes(32), p256.N.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31, b""):
        try:
            soft_signer.SoftSigner(secret)
            raise AssertionError("taken")
        except ValueError:
            pass


def test_one_flipped_bit_does_not_verify():
    signer = _signer()
    digest = _digest(b"flip")
    signature = signer.sign(digest)
    for bit in range(0, 512, 37):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not p256.verify(signer.public_key, digest, bytes(changed))
