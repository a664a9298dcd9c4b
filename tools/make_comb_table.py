"""Writes firmware/acq/p256_table.py: the fixed-base comb of P-256, computed by cryptography, not by our arithmetic.

Signed comb: scalar bits at distance COLUMNS make one column, the columns lie in BLOCKS of ROWS. Entry i of block b, as
x || y, is 2**(b * ROWS) times the sum of +-2**(t * COLUMNS) * G over the teeth t: the highest with plus, the others
with plus where bit t of i is 1, else minus. Two blocks of six teeth are the cheapest comb that 4 KiB hold: 21 doublings
and 42 additions; a single block of seven teeth takes 36 and 36 (an addition costs 1.3 doublings on a Cortex-M3).
`python tools/make_comb_table.py [--check]`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

TEETH = 6
COLUMNS = -(-256 // TEETH)
BLOCKS = 2
ROWS = -(-COLUMNS // BLOCKS)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TARGET = Path(__file__).resolve().parents[1] / "firmware" / "acq" / "p256_table.py"


def multiple(scalar: int) -> bytes:
    """scalar * G as x || y."""
    numbers = ec.derive_private_key(scalar % ORDER, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def render() -> str:
    """Text of the module."""
    lines = [
        f'"""Signed comb of P-256, {BLOCKS} blocks of {TEETH} teeth: made by tools/make_comb_table.py, not by hand."""',
        "",
        f"TEETH = {TEETH}",
        f"COLUMNS = {COLUMNS}",
        f"BLOCKS = {BLOCKS}",
        "BASE_COMB = (",
    ]
    for block in range(BLOCKS):
        for index in range(1 << (TEETH - 1)):
            signs = [1 if index >> tooth & 1 else -1 for tooth in range(TEETH - 1)] + [1]
            scalar = sum(sign << (tooth * COLUMNS) for tooth, sign in enumerate(signs)) << (block * ROWS)
            point = multiple(scalar)
            for start in range(0, 64, 16):
                lines.append('    b"' + "".join(f"\\x{value:02x}" for value in point[start : start + 16]) + '"')
    return "\n".join([*lines, ")", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 when different")
    if parser.parse_args().check:
        return 0 if TARGET.read_text() == render() else 1
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
