"""The label on a module: id, serial number and the fingerprint of its key, as text and as a QR code.

The fingerprint is the kid, in fours. A label is no secret and no proof: it names what keys.json must say. The code
holds `PLUMEPROOF:1:<DEVICE>:<KID>`: capitals and digits only, so that it is small.
"""

from __future__ import annotations

import html
import io
from pathlib import Path

import segno

from tools.module.refusal import USAGE, Refusal

SUFFIXES = (".svg", ".png", ".txt")
_SCALE = 6  # pixels or units of a module of the code
_LINE = 22
_QUIET = 4  # modules around a code (ISO/IEC 18004)


def text_of(device: str, kid: str) -> str:
    """What the code says."""
    return f"PLUMEPROOF:1:{device}:{kid}".upper()


def fingerprint(kid: str) -> str:
    """Fours, as people compare them."""
    return " ".join(kid[at : at + 4] for at in range(0, len(kid), 4))


def lines_of(device: str, kid: str, serial: str) -> list[str]:
    """The label's text."""
    return [device, *([f"serial {serial}"] if serial else []), fingerprint(kid)]


def draw(device: str, kid: str, serial: str) -> str:
    """For a terminal: two rows of the code in a line of text."""
    out = io.StringIO()
    _code(device, kid).terminal(out, compact=True, border=_QUIET)
    return out.getvalue().rstrip("\n") + "\n" + "\n".join(lines_of(device, kid, serial))


def write(path: Path, device: str, kid: str, serial: str) -> None:
    """The label as SVG (code and text), PNG (code) or text. Raises Refusal."""
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise Refusal(f"--label {path}: ends in none of {' '.join(SUFFIXES)}", USAGE)
    code = _code(device, kid)
    out = io.BytesIO()
    if kind == ".png":
        code.save(out, kind="png", scale=_SCALE, border=_QUIET)
        content = out.getvalue()
    elif kind == ".svg":
        content = _svg(code, lines_of(device, kid, serial)).encode()
    else:
        content = (draw(device, kid, serial) + "\n").encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Refusal(f"--label {path}: {error.strerror}; name a place that can be written", USAGE) from error


def _svg(code: segno.QRCode, lines: list[str]) -> str:
    width, height = code.symbol_size(scale=_SCALE, border=_QUIET)
    inner = code.svg_inline(scale=_SCALE, border=_QUIET)
    below = height + _LINE * (len(lines) + 1)
    page = max(width, 12 * max(map(len, lines)))
    texts = "".join(
        f'<text x="{4 * _SCALE}" y="{height + _LINE * (at + 1)}">{html.escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{page}" height="{below}" viewBox="0 0 {page} {below}">'
        f'<rect width="{page}" height="{below}" fill="#fff"/>{inner}'
        f'<g font-family="monospace" font-size="16" fill="#000">{texts}</g></svg>\n'
    )


def _code(device: str, kid: str) -> segno.QRCode:
    return segno.make_qr(text_of(device, kid), error="m")
