"""A sheet as a PDF (A4): the words of the page, the same bytes each time, no fonts from the machine.

Latin text is set in Bitstream Vera, which reportlab brings and which is embedded; Chinese, Japanese and Korean in the
readers' own font for them (STSong-Light, ISO 32000-1 section 9.7.5.2).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import reportlab
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from plumeproof.documents.sheet import BAD, GOOD, OPEN, Bar, Block, Facts, Heading, Sheet, Table, Text, Verdict

MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN - 12  # reportlab's frames keep 6 points on each side
_COLOUR = {GOOD: colors.HexColor("#17652f"), OPEN: colors.HexColor("#b07d00"), BAD: colors.HexColor("#a11212")}
HEADING_ROOM = 45 * mm  # of a heading, a table's head and its first rows
_LINE, _HEAD, _BLUE = colors.HexColor("#d5dae0"), colors.HexColor("#eef2f6"), colors.HexColor("#2b5f8a")
_GREY = colors.HexColor("#4a5560")
_FOREIGN = re.compile(r"[^\x00-\u024f\u2010-\u2026\u20ac]+")  # what Vera has no letters for


def pdf_of(sheet: Sheet) -> bytes:
    """The file."""
    _register()
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
        title=f"{sheet.title}: {sheet.subtitle}", author="PlumeProof", invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, built: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(_GREY)
        canvas.drawString(MARGIN, 10 * mm, sheet.foot[:120])
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, f"page {built.page}")

    story: list[Flowable] = [_words(sheet.title, "title"), _words(sheet.subtitle, "subtitle")]
    story += [_words(sheet.standing, "standing")] if sheet.standing else []
    for block in sheet.blocks:
        story += _shown(block)
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _shown(block: Block) -> Iterator[Flowable]:
    if isinstance(block, Heading):
        yield CondPageBreak(HEADING_ROOM)  # a long table may not take its heading to the next page whole
        yield _words(block.text, "heading")
    elif isinstance(block, Text):
        yield _words(block.text, "text")
    elif isinstance(block, Verdict):
        yield _marked([[_words(block.text, "strong")]], [WIDTH], {0: block.mood})
        yield Spacer(1, 2 * mm)
    elif isinstance(block, Facts):
        rows = [[_words(name, "strong"), _words(value, "cell")] for name, value in block.rows]
        if rows:
            yield _grid(rows, [WIDTH * 0.32, WIDTH * 0.68], [])
        yield Spacer(1, 3 * mm)
    elif isinstance(block, Table):
        yield from _table(block)
    else:
        yield _words(f"{block.name}: {block.told}", "text")
        yield _BarLine(block)


def _table(block: Table) -> Iterator[Flowable]:
    shares = block.widths or _shares(block)
    whole = sum(shares)
    widths = [WIDTH * share / whole for share in shares]
    head = [_words(name, "strong right" if at in block.numbers else "strong") for at, name in enumerate(block.columns)]
    rows = [
        [_words(value, "cell right" if at in block.numbers else "cell") for at, value in enumerate(row)]
        for row in block.rows
    ]
    for place, mood in enumerate(block.moods):
        if mood:
            rows[place][0] = _words(block.rows[place][0], mood)
    yield _grid([head, *rows], widths, [("BACKGROUND", (0, 0), (-1, 0), _HEAD)], block.moods)
    yield Spacer(1, 3 * mm)


def _grid(rows: Sequence[list[Any]], widths: list[float], more: list[Any], moods: tuple[str, ...] = ()) -> Grid:
    style: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 5),
        *more,
    ]
    style += [("LINEBEFORE", (0, at), (0, at), 3, _COLOUR[mood]) for at, mood in enumerate(moods, 1) if mood]
    return Grid(rows, colWidths=widths, style=style, repeatRows=1 if more else 0)


def _marked(rows: Sequence[list[Any]], widths: list[float], moods: dict[int, str]) -> Grid:
    style: list[Any] = [("BACKGROUND", (0, 0), (-1, -1), colors.HexColor("#f5f7f9"))]
    style += [("LINEBEFORE", (0, at), (0, at), 4, _COLOUR[mood]) for at, mood in moods.items()]
    return Grid(rows, colWidths=widths, style=style)


def _shares(block: Table) -> tuple[float, ...]:
    """By the longest word and the mean length of each column."""
    found = []
    for at, name in enumerate(block.columns):
        texts = [name, *(row[at] for row in block.rows)]
        longest = max(len(word) for text in texts for word in (text.split() or [""]))
        found.append(max(4.0, min(40.0, max(longest, sum(map(len, texts)) / len(texts)))))
    return tuple(found)


class _BarLine(Flowable):
    """A bar with its threshold."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self.width, self.height = WIDTH, 8 * mm
        self._bar = bar

    def draw(self) -> None:
        """Called by reportlab."""
        canvas, height = self.canv, 4 * mm
        canvas.setFillColor(_HEAD)
        canvas.rect(0, 2 * mm, WIDTH, height, stroke=0, fill=1)
        canvas.setFillColor(_BLUE)
        width = WIDTH * min(1.0, self._bar.share / self._bar.full)
        if width > 0.0:  # a width of nothing would be drawn as a hairline
            canvas.rect(0, 2 * mm, width, height, stroke=0, fill=1)
        if self._bar.threshold is not None:
            canvas.setStrokeColor(_COLOUR[BAD])
            at = WIDTH * min(1.0, self._bar.threshold / self._bar.full)
            canvas.line(at, 1 * mm, at, 7 * mm)


def _words(text: str, style: str) -> Paragraph:
    marked = _FOREIGN.sub(lambda found: f'<font name="STSong-Light">{found[0]}</font>', escape(text, quote=False))
    return Paragraph(marked, _styles()[style])


@lru_cache(maxsize=1)
def _styles() -> dict[str, ParagraphStyle]:
    base = ParagraphStyle("base", fontName="Vera", fontSize=8.5, leading=12, splitLongWords=1)
    bold = ParagraphStyle("bold", parent=base, fontName="VeraBd")
    return {
        "title": ParagraphStyle("title", parent=bold, fontSize=16, leading=20),
        "subtitle": ParagraphStyle("subtitle", parent=base, fontSize=9.5, textColor=_GREY, spaceAfter=4),
        "standing": ParagraphStyle("standing", parent=bold, textColor=colors.HexColor("#6a5200"), spaceAfter=6),
        "heading": ParagraphStyle("heading", parent=bold, fontSize=11.5, leading=15, spaceBefore=8, spaceAfter=3,
                                  textColor=_BLUE),
        "text": ParagraphStyle("text", parent=base, spaceAfter=4),
        "strong": bold,
        "strong right": ParagraphStyle("strong right", parent=bold, alignment=2),
        "cell": base,
        "cell right": ParagraphStyle("cell right", parent=base, alignment=2),
        **{mood: ParagraphStyle(mood, parent=bold, textColor=colour) for mood, colour in _COLOUR.items()},
    }  # fmt: skip


@lru_cache(maxsize=1)
def _register() -> None:
    """Once a process: reportlab keeps fonts for all documents."""
    fonts = Path(reportlab.__file__).parent / "fonts"
    pdfmetrics.registerFont(TTFont("Vera", str(fonts / "Vera.ttf")))
    pdfmetrics.registerFont(TTFont("VeraBd", str(fonts / "VeraBd.ttf")))
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
