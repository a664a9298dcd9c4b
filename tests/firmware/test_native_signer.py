"""Native signer and DER, on both interpreters. `CModule` stands in for a C module, which no build of ours has: it keeps
the promises of native_signer.py's docstring and shows nothing of the speed or the safety of a real one."""

from acqwire import causes
from atecc608 import G, N, multiply, point_bytes, sign
from atecc_parts import digest_of, fault_of, is_good

from acq.der import parse_signature
from acq.native_signer import NativeSigner

_SECRET = 0x1B2C3D4E5F60718293A4B5C6D7E8F9010203040506070809A0B0C0D0E0F01122


def _der_number(number: int) -> bytes:
    raw = number.to_bytes(33, "big")
    while len(raw) > 1 and raw[0] == 0 and raw[1] < 0x80:
        raw = raw[1:]
    return b"\x02" + bytes((len(raw),)) + raw


def _der(r: int, s: int) -> bytes:
    body = _der_number(r) + _der_number(s)
    return b"\x30" + bytes((len(body),)) + body


class CModule:
    """The two functions; `spoil` changes what `sign` gives."""

    def __init__(self, is_high: bool = False, spoil=None) -> None:
        self._is_high = is_high
        self._spoil = spoil
        self._count = 1000

    def public_key(self) -> bytes:
        return b"\x04" + point_bytes(multiply(_SECRET, G))

    def sign(self, digest: bytes) -> bytes:
        assert len(digest) == 32
        self._count += 1
        r, s = sign(_SECRET, digest, self._count)
        if (s > N // 2) != self._is_high:
            s = N - s
        der = _der(r, s)
        return der if self._spoil is None else self._spoil(der)


def _sign(signer, digest):
    signer.begin(digest)
    while not signer.step():
        assert signer.wait_us() == 0
    return signer.signature


def test_signatures_are_fixed_low_and_verify():
    for is_high in (False, True):
        signer = NativeSigner(CModule(is_high))
        for number in range(3):
            assert is_good(signer.public_key, digest_of(number), _sign(signer, digest_of(number)))
        assert signer.step()


def test_a_signature_that_is_no_der_or_does_not_verify_never_leaves():
    for spoil in (
        lambda der: b"",
        lambda der: der + b"\x00",
        lambda der: der[:-1],
        lambda der: b"\x30\x81" + der[1:],
        lambda der: der[:-1] + bytes((der[-1] ^ 1,)),
        lambda der: _der(1, 1),
        lambda der: _der(N, N),
        lambda der: _der(N - 1, (1 << 256) - 1),
    ):
        signer = NativeSigner(CModule(spoil=spoil))
        assert fault_of(_sign, signer, digest_of(1)) == (causes.FAULT_SIGNER, 0)
        assert signer.signature == b""


def test_a_public_key_off_the_curve_is_refused():
    module = CModule()
    honest = module.public_key()
    for key in (b"", honest[:-1], b"\x03" + honest[1:], honest[:-1] + bytes((honest[-1] ^ 1,)), b"\x04" + bytes(64)):
        module.public_key = lambda key=key: key
        try:
            NativeSigner(module)
            raise AssertionError(key)
        except ValueError:
            pass


def test_der_both_ways():
    for r, s in ((1, 1), (127, 128), (128, 127), (255, 256), (N - 1, 1), (1 << 255, (1 << 256) - 1)):
        assert parse_signature(_der(r, s)) == (r, s)


def test_der_that_is_not_the_one_right_encoding_is_refused():
    good = _der(0x80, 0x7F)  # 30 07 02 02 00 80 02 01 7F
    assert good == b"\x30\x07\x02\x02\x00\x80\x02\x01\x7f" and parse_signature(good) == (0x80, 0x7F)
    for text in (
        "", "30", "3000", "3006020101020101ff", "3007020200800201",
        "310702020080020 17f", "3007030200800201 7f", "300702020080030 17f",  # other tags
        "30060201800201 7f",  # negative
        "3008020300 00800201 7f", "30080202 00800202007f",  # a zero in front for nothing
        "3006020100020101", "3006020101020100",  # zero
        "300602000202017f", "30050200 02017f",  # empty
        "3081070202008002017f", "308007020200800201 7f0000",  # long and indefinite form
        "300802020080 02017f00", "3008020200800201 7f",  # something behind, a length that is not there
        "3027022201" + "00" * 33 + "020101",  # 34 bytes
        "30260221 01" + "00" * 32 + "020101",  # above 256 bits
    ):  # fmt: skip
        try:
            raise AssertionError((text, parse_signature(bytes.fromhex(text.replace(" ", "")))))
        except ValueError:
            pass
