"""The frozen comb is what the generator makes of it, by another library's arithmetic, and fits its place in flash."""

from __future__ import annotations

from acq import p256_table
from tools import make_comb_table


def test_the_table_is_the_generators():
    assert make_comb_table.TARGET.read_text() == make_comb_table.render()


def test_the_table_takes_4_kib_of_flash():
    assert len(p256_table.BASE_COMB) == 64 * p256_table.BLOCKS << (p256_table.TEETH - 1)
    assert len(p256_table.BASE_COMB) <= 4096
