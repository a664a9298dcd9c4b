"""Code lists of CBAM as data: codes.csv (short lists, countries), categories.csv (aggregated goods), goods.csv (CN).

Each row names its source; `verified` holds the day on which somebody compared it with the act (empty: nobody yet). A
user's file with the same columns adds rows or replaces those of the same code (`--codes FILE`). CN codes are listed by
heading where a whole heading is covered: the longest row that begins a code decides, so the lists tell covered goods
from others, and not an eight-digit code that exists from one that does not.

    book = load_codes((Path("own.csv"),))
    book.name("country", "CN"); book.good("72085120").category
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from plumeproof.errors import ConfigError

TABLE_MAX = 1 << 20  # characters of one table
NEAREST = 4  # codes that a refusal offers
LISTED_MAX = 12  # a list as short as this is offered whole
CODE_COLUMNS = ("list", "code", "name", "confidence", "source", "verified")
CATEGORY_COLUMNS = ("id", "name", "sector", "unit", "counts_indirect", "source", "verified")
GOOD_COLUMNS = ("cn", "name", "category", "unit", "source", "verified")
TABLES = {"codes.csv": CODE_COLUMNS, "categories.csv": CATEGORY_COLUMNS, "goods.csv": GOOD_COLUMNS}
CN_DIGITS = 8
UNITS = ("t", "MWh")


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a list."""

    list: str
    code: str
    name: str
    confidence: str
    source: str
    verified: str


@dataclass(frozen=True, slots=True)
class Category:
    """An aggregated goods category. `unit`: the functional unit; `counts_indirect`: yes, no or unknown: whether
    indirect emissions are part of the embedded ones; they are reported either way."""

    id: str
    name: str
    sector: str
    unit: str
    counts_indirect: str
    source: str
    verified: str


@dataclass(frozen=True, slots=True)
class Good:
    """Goods of a CN code or heading. `category`: empty where the heading is excluded."""

    cn: str
    name: str
    category: str
    unit: str
    source: str
    verified: str


class CodeBook:
    """All lists together."""

    def __init__(
        self,
        lists: Mapping[str, Mapping[str, Code]],
        categories: Mapping[str, Category],
        goods: Mapping[str, Good],
        own: Sequence[str] = (),
    ) -> None:
        """`own`: names of files that the user added."""
        self._lists, self.categories, self._goods, self.own = lists, categories, goods, tuple(own)

    def code(self, name: str, code: str) -> Code:
        """The row of a code. Raises ValueError: what is unknown, and the nearest that are known."""
        found = self._lists[name].get(code)
        if found is None:
            raise ValueError(_unknown(f"code of list {name}", code, self._lists[name]))
        return found

    def category(self, name: str) -> Category:
        """As `code`."""
        found = self.categories.get(name)
        if found is None:
            raise ValueError(_unknown("goods category", name, self.categories))
        return found

    def good(self, cn: str) -> Good:
        """The row that covers a CN code. Raises ValueError for a code outside CBAM."""
        if len(cn) != CN_DIGITS or not (cn.isascii() and cn.isdigit()):
            raise ValueError(f"{cn[:20]!r} is no CN code; write its {CN_DIGITS} digits")
        found = next((self._goods[cn[:n]] for n in range(CN_DIGITS, 3, -1) if cn[:n] in self._goods), None)
        if found is None:
            near = sorted(self._goods, key=lambda one: (-_alike(one, cn), one))[:NEAREST]
            told = ", ".join(f"{one} {self._goods[one].name}" for one in sorted(near))
            raise ValueError(f"CN code {cn} is not among CBAM goods; nearest are {told}; add it with --codes")
        if not found.category:
            raise ValueError(f"CN code {cn} is excluded from CBAM goods ({found.cn} {found.name})")
        return found

    def require(self, name: str, code: str) -> None:
        """That a code is of this list; `goods` is the list of CN codes. Raises ValueError."""
        if name == "goods":
            self.good(code)
        else:
            self.code(name, code)

    def unverified(self) -> int:
        """Rows that nobody has compared with the act yet."""
        count = sum(not row.verified for rows in self._lists.values() for row in rows.values())
        count += sum(not category.verified for category in self.categories.values())
        return count + sum(not good.verified for good in self._goods.values())


def load_codes(own: Sequence[Path] = ()) -> CodeBook:
    """The package's lists and the user's rows over them. Raises ConfigError: file, line, what is wrong."""
    lists: dict[str, dict[str, Code]] = {}
    categories: dict[str, Category] = {}
    goods: dict[str, Good] = {}
    texts = [(name, (files("plumeproof.cbam") / name).read_text(encoding="utf-8")) for name in TABLES]
    texts += [(str(path), _own_text(path)) for path in own]
    for where, text in texts:
        seen: set[tuple[str, ...]] = set()
        columns, rows = _rows(text, where)
        for line, row in rows:
            key = (row[0], row[1]) if columns == CODE_COLUMNS else (row[0],)
            if key in seen:
                raise ConfigError(f"{where} line {line}", f"{' '.join(key)[:60]} stands twice; delete one")
            seen.add(key)
            if columns == CODE_COLUMNS:
                lists.setdefault(row[0], {})[row[1]] = Code(*row)
            elif columns == CATEGORY_COLUMNS:
                categories[row[0]] = _category(row, f"{where} line {line}")
            else:
                goods[row[0]] = Good(*row)
                if row[3] not in UNITS:
                    raise ConfigError(f"{where} line {line}", f"unit is {' or '.join(UNITS)}, not {row[3][:20]!r}")
                if row[2] and row[2] not in categories:
                    raise ConfigError(f"{where} line {line}", _unknown("goods category", row[2], categories))
    return CodeBook(lists, categories, goods, tuple(path.name for path in own))


def _category(row: tuple[str, ...], where: str) -> Category:
    found = Category(*row)
    if found.unit not in UNITS or found.counts_indirect not in ("yes", "no", "unknown"):
        raise ConfigError(where, "unit is t or MWh, counts_indirect is yes, no or unknown")
    return found


def _own_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4 * TABLE_MAX + 1).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"no UTF-8 at byte {error.start}; save it as UTF-8") from error


def _rows(text: str, where: str) -> tuple[tuple[str, ...], Iterator[tuple[int, tuple[str, ...]]]]:
    if len(text) > TABLE_MAX:
        raise ConfigError(where, f"more than {TABLE_MAX} characters; no table of codes is so large")
    reader = csv.reader(io.StringIO(text), strict=True)
    columns = tuple(next(reader, ()))
    if columns not in TABLES.values():
        told = "; or ".join(",".join(one) for one in TABLES.values())
        raise ConfigError(f"{where} line 1", f"the columns must be {told}")

    def rows() -> Iterator[tuple[int, tuple[str, ...]]]:
        try:
            for row in reader:
                if len(row) != len(columns):
                    raise ConfigError(f"{where} line {reader.line_num}", f"{len(row)} values, {len(columns)} columns")
                if not all(cell.isprintable() for cell in row):
                    raise ConfigError(f"{where} line {reader.line_num}", "holds characters that cannot be printed")
                yield reader.line_num, tuple(row)
        except csv.Error as error:
            raise ConfigError(f"{where} line {reader.line_num}", f"no readable CSV: {error}") from None

    return columns, rows()


def _unknown(what: str, code: str, known: Mapping[str, object]) -> str:
    if len(known) <= LISTED_MAX:
        return f"{code[:40]!r} is no {what}: {', '.join(known)}; add it with --codes"
    near = difflib.get_close_matches(code, known, NEAREST, 0.0)
    return f"{code[:40]!r} is no {what}; nearest are {', '.join(near)}; add it with --codes"


def _alike(row: str, cn: str) -> int:
    return next((at for at, (one, two) in enumerate(zip(row, cn, strict=False)) if one != two), len(row))
