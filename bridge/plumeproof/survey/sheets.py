"""Tables as people keep them, CSV or one sheet of an XLSX workbook, to a grid of texts and back. Meaning: table.py.

Every parser has limits, and a workbook is measured before it is unpacked: it is a zip file of XML from outside. Cells
that are no plain text or number (formulas, dates, errors) are refused one by one, with their place.

CSV: UTF-8, comma, semicolon or tab; a cell that a spreadsheet would take for a formula (begins with = + - @, a tab or
an apostrophe and is no plain number) is written with an apostrophe in front, which is taken off again when it is read.
"""

from __future__ import annotations

import csv
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumeproof.errors import ProfileError
from plumeproof.evidence.reader import DECIMAL

CSV_MAX_BYTES = 1_048_576
XLSX_MAX_BYTES = 4_194_304
XLSX_UNPACKED_MAX_BYTES = 33_554_432  # all parts together
XLSX_ENTRIES_MAX = 500
ROWS_MAX = 5_000  # a bus has 250 channels at most
COLUMNS_MAX = 64
CELL_MAX = 2_000  # characters
DELIMITERS = ",;\t"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
SHEET_NAME = "Registers"
COLUMN_WIDTH = 16  # characters; wide enough for ids and references
PIECE_BYTES = 65_536  # unpacked at a time
# What Python's zipfile and unpackers raise for damaged files; RuntimeError also for encrypted ones
UNZIP_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, RuntimeError, EOFError, ValueError,
                OSError, IndexError)  # fmt: skip
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A cell that cannot be used: where, why, how to mend it. `column`: letter, and its heading where it has one."""

    file: str
    sheet: str
    row: int
    column: str
    reason: str
    mend: str

    def __str__(self) -> str:
        sheet = f", sheet {self.sheet}" if self.sheet else ""
        return f"{self.file}{sheet}, row {self.row}, column {self.column}: {self.reason}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Grid:
    """A sheet as texts. `rows`: row number (from 1, as spreadsheets show it) and its cells; empty rows are left out."""

    file: str
    sheet: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    refusals: tuple[Refusal, ...]


def read_grid(path: Path, sheet: str | None = None) -> Grid:
    """A table file. Raises ProfileError for a file that is none; OSError as the system has it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    limit = XLSX_MAX_BYTES if is_zip else CSV_MAX_BYTES
    if size > limit:
        raise ProfileError(f"{path.name}: {size} bytes, at most {limit}; keep one analyzer's registers in one file")
    if is_zip:
        return _read_xlsx(path, sheet)
    if sheet is not None:
        raise ProfileError(f"{path.name}: is no workbook, so it has no sheet {sheet!r}; leave --sheet out")
    return _read_csv(path)


def build_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV file (UTF-8 with the mark that spreadsheets look for, CR LF as RFC 4180 has it)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_guard(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def build_xlsx(rows: Iterable[Sequence[str]]) -> bytes:
    """A workbook of one sheet; every cell is text, so no spreadsheet makes numbers, dates or formulas of it."""
    from openpyxl import Workbook

    book = Workbook(write_only=False)
    sheet: Any = book.active
    sheet.title = SHEET_NAME
    sheet.freeze_panes = "C2"
    for number, row in enumerate(rows, start=1):
        for column, text in enumerate(row, start=1):
            if text:
                cell = sheet.cell(number, column)
                cell.value = text
                cell.data_type = "s"  # openpyxl takes =... for a formula otherwise
                cell.number_format = "@"
    for column in range(1, sheet.max_column + 1):
        sheet.column_dimensions[_letter(column)].width = COLUMN_WIDTH
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def column_name(column: int, heading: str = "") -> str:
    """`D (register)`; `column` counts from 0."""
    return f"{_letter(column + 1)} ({heading})" if heading else _letter(column + 1)


def _guard(cell: str) -> str:
    is_formula = cell.startswith(FORMULA_STARTS) and DECIMAL.fullmatch(cell) is None
    return "'" + cell if is_formula else cell


def _unguard(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def _read_csv(path: Path) -> Grid:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ProfileError(f"{path.name}: byte {fault.start} is no UTF-8; save it as CSV UTF-8") from fault
    heading = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=heading.count)
    rows: list[tuple[int, list[object]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        # A quoted cell may span lines, so rows are counted and not lines: that is what a spreadsheet shows.
        for number, cells in enumerate(reader, start=1):
            if number > ROWS_MAX:
                raise ProfileError(f"{path.name}: more than {ROWS_MAX} rows; keep one analyzer's registers in one file")
            rows.append((number, [_unguard(cell) for cell in cells]))
    except csv.Error as fault:
        raise ProfileError(f"{path.name}: line {reader.line_num}: {fault}; save it as CSV UTF-8 again") from fault
    return _build_grid(path.name, "", rows)


def _read_xlsx(path: Path, wanted: str | None) -> Grid:
    clean = _repack(path)
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    # openpyxl believes what it reads; a workbook with other parts than it expects ends in any of these.
    broken = (InvalidFileException, KeyError, TypeError, AttributeError, SyntaxError, OverflowError, *UNZIP_ERRORS)
    try:
        # read_only: rows come one by one, so the limits below hold before a sheet is in memory
        book = load_workbook(clean, read_only=True, data_only=False, keep_links=False)
        names = book.sheetnames
        if wanted is not None and wanted not in names:
            raise ProfileError(f"{path.name}: no sheet {wanted!r}; there are: {', '.join(names)}")
        name = wanted or names[0]
        rows = list(_xlsx_rows(book[name], path.name))
    except broken as fault:  # SyntaxError: ElementTree's ParseError
        raise ProfileError(
            f"{path.name}: no readable workbook ({type(fault).__name__}); save it as XLSX again"
        ) from fault
    return _build_grid(path.name, name, rows)


def _xlsx_rows(sheet: Any, file: str) -> Iterator[tuple[int, list[object]]]:
    sheet.reset_dimensions()  # what the file claims of its size would be believed: a million empty rows
    for number, cells in enumerate(sheet.iter_rows(max_col=COLUMNS_MAX + 1), start=1):
        if number > ROWS_MAX:
            raise ProfileError(f"{file}: sheet {sheet.title}: more than {ROWS_MAX} rows; delete the empty ones below")
        found: list[object] = [_Odd("formula") if cell.data_type == "f" else cell.value for cell in cells]
        yield number, found


@dataclass(frozen=True, slots=True)
class _Odd:
    """A cell that is no text and no number."""

    what: str


def _repack(path: Path) -> io.BytesIO:
    """The workbook's parts in a zip file of our own making, after a look at how much they unpack to and that their XML
    has no document type (entities are how small files grow large). What a directory says of sizes is not believed:
    openpyxl would unpack a part in one go, whatever its size claims to be."""
    clean = io.BytesIO()
    left = XLSX_UNPACKED_MAX_BYTES
    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(clean, "w") as copy:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(entries) > XLSX_ENTRIES_MAX or len(names) < len(entries):
                raise ProfileError(f"{path.name}: has too many parts or one twice; save it as XLSX again")
            for entry in entries:
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ProfileError(f"{path.name}: is packed in an unusual way; save it as XLSX again")
                content = bytearray()
                with archive.open(entry) as part:
                    while piece := part.read(PIECE_BYTES):
                        content += piece
                        if len(content) > left:
                            raise ProfileError(f"{path.name}: unpacks to more than a table can be; export it as CSV")
                left -= len(content)
                is_xml = entry.filename.endswith((".xml", ".rels", ".vml"))
                if is_xml and (b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\x00" in content):
                    raise ProfileError(f"{path.name}: {entry.filename} declares a document type; save it as XLSX again")
                copy.writestr(entry.filename, bytes(content))
    except UNZIP_ERRORS as fault:
        reason = type(fault).__name__
        raise ProfileError(f"{path.name}: no readable workbook ({reason}); save it as XLSX without password") from fault
    clean.seek(0)
    return clean


def _build_grid(file: str, sheet: str, rows: Iterable[tuple[int, list[object]]]) -> Grid:
    """Texts; what cannot be one is refused in place and left empty."""
    refusals: list[Refusal] = []
    kept = []
    for number, cells in rows:
        texts = []
        for column, cell in enumerate(cells):
            text, reason, mend = _text_of(cell)
            if not reason and text and column >= COLUMNS_MAX:
                text, reason, mend = "", f"lies behind column {COLUMNS_MAX}", "take unused columns away"
            if reason:
                refusals.append(Refusal(file, sheet, number, column_name(column), reason, mend))
            texts.append(text)
        if any(texts):
            kept.append((number, tuple(texts)))
    return Grid(file, sheet, tuple(kept), tuple(refusals))


def _text_of(cell: object) -> tuple[str, str, str]:
    """Text, and reason and mend where there is none."""
    if cell is None:
        return "", "", ""
    if isinstance(cell, _Odd):
        return "", f"is a {cell.what}", "paste its value as text"
    if isinstance(cell, bool):
        return "", "is TRUE or FALSE", "write 1 or 0"
    if isinstance(cell, int | float):
        return repr(cell), "", ""
    if not isinstance(cell, str):
        return "", f"is a {type(cell).__name__}", "format the column as text and write it again"
    if len(cell) > CELL_MAX:
        return "", f"has more than {CELL_MAX} characters", "shorten it"
    if not cell.isprintable():
        return "", "holds a line break or another sign that cannot be shown", "write it in one line"
    return cell, "", ""


def _letter(column: int) -> str:
    """Column letters as spreadsheets have them; `column` counts from 1."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
