"""Reads a table from a file: CSV in the usual dialects, an .xlsx sheet, JSON as NetBox and Malcolm write it."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.model.errors import UsageError

_MOST_ROWS: Final = 1_000_000
_LARGEST: Final = 256 << 20
_HEADER_WITHIN: Final = 20
_LONGEST_CELL: Final = 4_096
"""Characters. What is longer is no value of a field; its row is listed."""
_LISTS: Final = ("results", "devices", "assets", "hosts", "data", "hits")


class Table(NamedTuple):
    """Rows by column name, each with the number of its line from 1."""

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    not_fitting: list[str]
    """Rows that cannot be read as rows, a sentence each."""


def read(path: Path, sheet: str = "", known: Callable[[str], bool] = lambda _: False) -> Table:
    """The table of a file. Raises UsageError when there is none in it.

    `known` tells the name of a column from a title: of the first lines the one with the most of them is the header.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            msg = f"{path} is {size / 1e6:.0f} MB; a list of assets is at most {_LARGEST / 1e6:.0f} MB. Split it."
            raise UsageError(msg)
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            return _of_cells(path, _sheet(path, sheet), known)
        text = _text(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(msg) from error
    if text.lstrip()[:1] in ("{", "["):
        return _of_json(path, text)
    return _of_cells(path, _csv(path, text), known)


def _text(path: Path) -> str:
    """Its text, whatever a spreadsheet saved it as. Raises UsageError for what is no text."""
    raw = path.read_bytes()
    for encoding in _encodings(raw):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    what = next((what for sign, what in _SIGNS.items() if raw.startswith(sign)), "no text")
    msg = f"{path} is {what}; save the list as CSV (UTF-8) or .xlsx, with that ending"
    raise UsageError(msg)


_SIGNS: Final = {
    b"PK": "a workbook or an archive",
    b"\xd0\xcf\x11\xe0": "a workbook of before 2007 (.xls)",
    b"%PDF": "a PDF",
}


def _encodings(raw: bytes) -> tuple[str, ...]:
    """By its first bytes, else by where the zeros of UTF-16 stand; Windows' own last."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ("utf-16",)
    odd, even = raw[1:200:2].count(0), raw[0:200:2].count(0)
    if odd > 10 * even or even > 10 * odd:
        return ("utf-16-le",) if odd > even else ("utf-16-be",)
    return ("utf-8-sig", "cp1252", "latin-1")


def _csv(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line of the file on which it begins."""
    sample = text[:20_000]
    try:
        dialect: Any = csv.Sniffer().sniff(sample, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    csv.field_size_limit(_LARGEST)
    reader, line = csv.reader(io.StringIO(text, newline=""), dialect), 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        msg = f"{path}, line {line}: this is no CSV ({error})"
        raise UsageError(msg) from error


def _sheet(path: Path, sheet: str) -> Iterator[tuple[int, list[str]]]:
    try:
        from openpyxl import load_workbook  # noqa: PLC0415  an extra of its own
        from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415  as above
    except ImportError as error:
        msg = "an .xlsx file needs openpyxl: pip install 'isthmus[audit]', or save the sheet as CSV"
        raise UsageError(msg) from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        msg = f"{path} is no workbook that can be read: {error}"
        raise UsageError(msg) from error
    try:
        if sheet and sheet not in book.sheetnames:
            msg = f"{path} has no sheet {sheet!r}; it has {', '.join(book.sheetnames)}"
            raise UsageError(msg)
        page = book[sheet] if sheet else book.worksheets[0]
        for number, row in enumerate(page.iter_rows(values_only=True), 1):
            yield number, [_written(cell) for cell in row]
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        msg = f"{path} is a workbook that breaks off or is damaged: {error}"
        raise UsageError(msg) from error
    finally:
        book.close()


def _written(cell: object) -> str:
    """A cell as a person reads it.

    >>> _written(datetime(2019, 1, 1)), _written(12.0), _written(None)
    ('2019-01-01', '12', '')
    """
    if isinstance(cell, datetime) and cell.time() == time():
        return date(cell.year, cell.month, cell.day).isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def _headed(
    lines: Iterator[tuple[int, list[str]]], known: Callable[[str], bool]
) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    """The header and what stands below it: of the first lines with two filled cells that with the most known names."""
    first: list[tuple[int, list[str]]] = []
    for number, cells in lines:
        first.append((number, [cell.strip() for cell in cells]))
        if len(first) > _HEADER_WITHIN:
            break
    may = [index for index, (_, cells) in enumerate(first) if sum(bool(cell) for cell in cells) > 1]
    if not may:
        return (), lines
    best = max(may, key=lambda index: (sum(known(cell) for cell in first[index][1] if cell), -index))
    return _unique(first[best][1]), chain(first[best + 1 :], lines)


def _of_cells(path: Path, lines: Iterator[tuple[int, list[str]]], known: Callable[[str], bool]) -> Table:
    """The rows below the header; what stands above it is a title."""
    columns, below = _headed(lines, known)
    rows: list[tuple[int, dict[str, str]]] = []
    wrong: list[str] = []
    for number, cells in below:
        filled = [cell.strip() for cell in cells]
        if not any(filled):
            continue
        if long := next((index for index, cell in enumerate(filled) if len(cell) > _LONGEST_CELL), None):
            where = columns[long] if long < len(columns) else f"column {long + 1}"
            wrong.append(
                f"line {number}, {where}: {len(filled[long]):,} characters in one cell, and {_LONGEST_CELL:,} is the most"
            )
            continue
        if len(rows) >= _MOST_ROWS:
            wrong.append(f"line {number} and what follows: more than {_MOST_ROWS:,} rows")
            break
        beyond = [cell for cell in filled[len(columns) :] if cell]
        if beyond:
            wrong.append(
                f"line {number} has {len(filled)} cells under {len(columns)} columns; {', '.join(beyond)[:80]!r} has none"
            )
            continue
        rows.append((number, dict(zip(columns, filled, strict=False))))
    if not columns:
        msg = f"{path} has no header: a line with the names of its columns, for example name,address,maker,model"
        raise UsageError(msg)
    return Table(columns, rows, wrong)


def _unique(cells: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    out = []
    for index, cell in enumerate(cells, 1):
        name = cell or f"column {index}"
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(out)


def _of_json(path: Path, text: str) -> Table:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = _lines(path, text)
    while isinstance(found, dict):
        inner = next((found[name] for name in _LISTS if isinstance(found.get(name), list | dict)), None)
        found = inner if inner is not None else [found]
    entries = [one.get("_source", one) if isinstance(one, dict) else one for one in found]
    wrong = [f"entry {number} is no object" for number, one in enumerate(entries, 1) if not isinstance(one, dict)]
    rows = [(number, flat(one)) for number, one in enumerate(entries, 1) if isinstance(one, dict)]
    columns = tuple(dict.fromkeys(name for _, row in rows for name in row))
    if not rows:
        msg = f"{path} holds no list of assets; export devices from NetBox as JSON or CSV"
        raise UsageError(msg)
    return Table(columns, rows, wrong)


def _lines(path: Path, text: str) -> list[Any]:
    out = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            out += [msgspec.json.decode(line)] if line.strip() else []
        except (msgspec.DecodeError, RecursionError) as error:
            msg = f"{path} is no JSON, and line {number} is no line of JSON: {error}"
            raise UsageError(msg) from error
    return out


def flat(given: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested objects as one row with dotted names.

    >>> flat({"name": "plc", "device_type": {"manufacturer": {"name": "Siemens"}}})
    {'name': 'plc', 'device_type.manufacturer.name': 'Siemens'}
    """
    out: dict[str, str] = {}
    for name, value in given.items():
        key = f"{before}{name}"
        if isinstance(value, Mapping):
            out |= flat(value, f"{key}.")
        elif isinstance(value, list):
            out[key] = ", ".join(str(one.get("name", one) if isinstance(one, dict) else one) for one in value)
        elif value is not None:
            out[key] = str(value)
    return out
