"""How deep JSON nests, told before it is parsed: a parser at the interpreter's recursion limit takes the stack from
whatever is finalised meanwhile.
"""

from __future__ import annotations

import re

# Strings, to the end where one has none (so no byte is read twice), and what nests outside of them
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def is_deeper(body: bytes, most: int) -> bool:
    """Whether arrays and objects nest deeper than `most` anywhere, up to where no parser would go on."""
    depth = 0
    for found in _NESTING.finditer(body):
        if found[0] in (b"[", b"{"):
            depth += 1
            if depth > most:
                return True
        elif found[0] in (b"]", b"}"):
            depth -= 1
    return False
