"""Reads a table from a file: CSV in the usual dialects, an .xlsx sheet, JSON as NetBox and Malcolm write it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.model.errors import UsageError

_MOST_ROWS: Final = 1_000_000
_LARGEST: Final = 256 << 20
_HEADER_WITHIN: Final = 20
_LISTS: Final = ("results", "devices", "assets", "hosts", "data", "hits")


class Table(NamedTuple):
    """Rows by column name, each with the number of its line from 1."""

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    not_fitting: list[str]
    """Rows that cannot be read as rows, a sentence each."""


def read(path: Path, sheet: str = "") -> Table:
    """The table of a file. Raises UsageError when there is none in it."""
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            msg = f"{path} is {size / 1e6:.0f} MB; a list of assets is at most {_LARGEST / 1e6:.0f} MB. Split it."
            raise UsageError(msg)
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            return _of_cells(path, _sheet(path, sheet))
        text = _text(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(msg) from error
    if text.lstrip()[:1] in ("{", "["):
        return _of_json(path, text)
    return _of_cells(path, _csv(path, text))


def _text(path: Path) -> str:
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "utf-16") if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("cp1252", errors="replace")


def _csv(path: Path, text: str) -> Iterator[list[str]]:
    sample = text[:20_000]
    try:
        dialect: Any = csv.Sniffer().sniff(sample, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        yield from csv.reader(io.StringIO(text), dialect)
    except csv.Error as error:
        msg = f"{path} is no CSV: {error}"
        raise UsageError(msg) from error


def _sheet(path: Path, sheet: str) -> Iterator[list[str]]:
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
        for row in page.iter_rows(values_only=True):
            yield ["" if cell is None else str(cell) for cell in row]
    finally:
        book.close()


def _of_cells(path: Path, lines: Iterator[list[str]]) -> Table:
    """The first line with two filled cells is the header; what stands above it is a title."""
    columns: tuple[str, ...] = ()
    rows: list[tuple[int, dict[str, str]]] = []
    wrong: list[str] = []
    for number, cells in enumerate(lines, 1):
        filled = [cell.strip() for cell in cells]
        if not columns:
            if sum(bool(cell) for cell in filled) > 1:
                columns = _unique(filled)
            elif number > _HEADER_WITHIN:
                break
            continue
        if not any(filled):
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
    wrong = [f"entry {number} is no object" for number, one in enumerate(found, 1) if not isinstance(one, dict)]
    rows = [(number, flat(one.get("_source", one))) for number, one in enumerate(found, 1) if isinstance(one, dict)]
    columns = tuple(dict.fromkeys(name for _, row in rows for name in row))
    if not rows:
        msg = f"{path} holds no list of assets; export devices from NetBox as JSON or CSV"
        raise UsageError(msg)
    return Table(columns, rows, wrong)


def _lines(path: Path, text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f"{path} is no JSON: {error}"
        raise UsageError(msg) from error


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
