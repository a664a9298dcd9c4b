"""Writes firmware/acq/p256_table.py: the fixed-base comb of P-256, computed by cryptography, not by our arithmetic.

Entry i (from 1) is the sum of 2**(t * COLUMNS) * G over the bits t of i, as x || y.
`python tools/make_comb_table.py [--check]`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

TEETH = 6
COLUMNS = -(-256 // TEETH)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TARGET = Path(__file__).resolve().parents[1] / "firmware" / "acq" / "p256_table.py"


def multiple(scalar: int) -> bytes:
    """scalar * G as x || y."""
    numbers = ec.derive_private_key(scalar % ORDER, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def render() -> str:
    """Text of the module."""
    lines = [
        f'"""Fixed-base comb of P-256 with {TEETH} teeth: made by tools/make_comb_table.py, not by hand."""',
        "",
        f"TEETH = {TEETH}",
        "BASE_COMB = (",
    ]
    for index in range(1, 1 << TEETH):
        point = multiple(sum(1 << (tooth * COLUMNS) for tooth in range(TEETH) if index >> tooth & 1))
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
