"""Proof of possession: module and registrar build the same statement, byte for byte, from SPEC.md section 9."""

from __future__ import annotations

import pytest
from acqwire import limits
from hypothesis import given
from hypothesis import strategies as st

from acq import possession as module_side
from plumeproof import possession as registrar_side
from plumeproof.possession import Proof

NAMES = st.text(st.sampled_from(limits.DEVICE_CHARACTERS), min_size=1, max_size=limits.DEVICE_MAX_BYTES)


def raw(size: int):
    return st.binary(min_size=size, max_size=size)


@given(nonce=raw(32), device=NAMES, point=raw(65), serial=st.binary(max_size=32), firmware=raw(32))
def test_one_statement(nonce, device, point, serial, firmware):
    theirs = module_side.build_statement(nonce, device, point, serial, firmware)
    assert theirs == registrar_side.build_statement(Proof(nonce, device, point, serial, firmware))
    assert theirs[0] == 0x87  # an array of seven: no Sig_structure, which has four, can begin so


@pytest.mark.parametrize("sizes", [(31, 65, 0, 32), (32, 64, 0, 32), (32, 65, 33, 32), (32, 65, 0, 31)])
def test_the_module_signs_no_other_form(sizes):
    nonce, point, serial, firmware = (bytes(size) for size in sizes)
    with pytest.raises(ValueError, match="possession"):
        module_side.build_statement(nonce, "plume-01", point, serial, firmware)
