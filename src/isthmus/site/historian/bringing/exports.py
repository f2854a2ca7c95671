"""How other systems write their past down: each dialect as rows of line, tag, time, value and status.

    table            a row a sample, columns named by the caller; also Parquet
    pi               tag, time, value[, status] as piconfig and DataLink write them, with or without a header
    ignition         Ignition's tag history as shown: t_stamp and a column a tag
    ignition-tables  sqlth_data partitions dumped as CSV, with the tags' names from a dump of sqlth_te
    influx           InfluxDB 2 query export, annotated or plain (_time, _value), or 1.x (name, time, fields)
    lines            InfluxDB line protocol

A dialect is a function from the file's rows to rows of `Said`; nothing is judged here, see imports.py.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from isthmus.model.errors import UsageError

SNIFF_BYTES: Final = 256 * 1024
_PI_TIME: Final = re.compile(r"^\s*\d{1,2}-[^\W\d_]{3}-\d{2,4}(\s|$)")
_CELLS: Final = re.compile(r"[;,\t]")


class Said(NamedTuple):
    """One sample as the file says it, all in words; "" where it says nothing."""

    line: int
    """Of the file, counted from 1."""
    name: str
    when: str
    word: str
    status: str


class Columns(NamedTuple):
    """What the columns of a table are called; "" for a status that it does not have."""

    tag: str = "tag"
    time: str = "time"
    value: str = "value"
    status: str = ""


class Opened(NamedTuple):
    """A text file being read: its rows with their lines, and how far reading is in bytes."""

    path: Path
    rows: Iterator[tuple[int, list[str]]]
    delimiter: str


Reader = Callable[[Opened, Columns, Mapping[str, str]], Iterator[Said]]


def detect(path: Path) -> str:  # noqa: PLR0911  one line a dialect
    """The dialect of a file, by its name and its first lines."""
    if path.suffix == ".parquet":
        return "table"
    if path.suffix in {".lp", ".line"}:
        return "lines"
    head = _head(path).splitlines()
    first = head[0] if head else ""
    cells = {cell.strip(' "').lower() for cell in _CELLS.split(first)}
    if first.startswith(("#datatype", "#group", "#default")) or {"_time", "_value"} <= cells:
        return "influx"
    if {"tagid", "t_stamp"} <= cells:
        return "ignition-tables"
    if "t_stamp" in cells:
        return "ignition"
    if first.lower().startswith(("name,time,", "name,tags,time,")):
        return "influx"
    for line in head[:2]:
        if any(_PI_TIME.match(cell.strip('"')) for cell in _CELLS.split(line)[1:2]):
            return "pi"
    if path.suffix == ".txt" and "=" in first:
        return "lines"
    return "table"


def open_text(path: Path) -> tuple[IO[str], str, IO[bytes]]:
    """A text file, its delimiter, and the file beneath that knows how many bytes were read."""
    head = _head(path)
    lines = [line for line in head.splitlines()[:20] if line and not line.startswith("#")]
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    below: IO[bytes] = path.open("rb")
    data = gzip.GzipFile(fileobj=below) if path.suffix == ".gz" else below
    text = io.TextIOWrapper(data, encoding=_encoding_of(_first_bytes(path)), errors="replace", newline="")
    return text, delimiter, below


def rows_of(text: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV with the line on which each ends. Raises UsageError for a quote that is never closed."""
    quotes = _Quotes(text)
    reader = csv.reader(quotes, delimiter=delimiter)
    before = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _open_quote(path, before + 1, str(error)) from error
        if row is None:
            return
        if reader.line_num > before + 1 and quotes.count % 2:
            raise _open_quote(path, before + 1, "the file ends within it")
        before, quotes.count = reader.line_num, 0
        yield reader.line_num, row


class _Quotes:
    """Lines as they are, and how many quotes were in them since the count was set to nothing."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text, self.count = iter(text), 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.count += line.count('"')
        return line


def _open_quote(path: Path, line: int, what: str) -> UsageError:
    return UsageError(
        f'{path}, line {line}: a quote (") that begins here is not closed, or the cell is too long ({what}). Close or '
        "double it, and start again; what stands before it was taken in"
    )


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Raises UsageError where a file that is packed ends too early or is not packed at all."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path} cannot be unpacked: {error}. Copy or export it anew; what could be read was taken in"
        raise UsageError(msg) from error


def _head(path: Path) -> str:
    data = _first_bytes(path)
    return data.decode(_encoding_of(data), errors="replace")


def _first_bytes(path: Path) -> bytes:
    if path.suffix == ".gz":
        with unpacking(path), gzip.open(path) as file:
            return _until_cut(file)
    with path.open("rb") as plain:
        return plain.read(SNIFF_BYTES)


def _until_cut(file: gzip.GzipFile) -> bytes:
    """Of a file that is cut off, what stands before the cut says how to read it."""
    data = b""
    try:
        while len(data) < SNIFF_BYTES and (more := file.read1(SNIFF_BYTES - len(data))):
            data += more
    except EOFError:
        if not data:
            raise
    return data


def _encoding_of(data: bytes) -> str:
    """UTF-8, or what Windows writes where it is none; a character cut at the end does not count."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def table(opened: Opened, named: Columns, names: Mapping[str, str]) -> Iterator[Said]:
    """A row a sample."""
    del names
    header = _header(opened)
    lacking = [each for each in named if each and each not in header]
    if lacking:
        msg = f"{opened.path} has no column {', '.join(lacking)}; it has {', '.join(header)}"
        raise UsageError(msg)
    places = [header.index(each) if each else -1 for each in named]
    for line, row in opened.rows:
        if any(cell.strip() for cell in row[len(header) :]):
            yield Said(line, "", "", "", "")  # perhaps a decimal comma: whose cell is whose is not known
        elif row:
            cells = [row[at] if 0 <= at < len(row) else "" for at in places]
            yield Said(line, *cells)


def pi(opened: Opened, named: Columns, names: Mapping[str, str]) -> Iterator[Said]:
    """tag, time, value and perhaps a status; a first row without a time is a header."""
    del named, names
    first = True
    for line, row in opened.rows:
        header = first and len(row) > 1 and not _PI_TIME.match(row[1])
        first = False
        if not row or header or row[0].lstrip().startswith(("*", "@")):  # remarks and commands of piconfig
            continue
        cells = [cell.strip() for cell in row] + [""] * 4
        yield Said(line, cells[0], cells[1], cells[2], cells[3])


def ignition(opened: Opened, named: Columns, names: Mapping[str, str]) -> Iterator[Said]:
    """t_stamp and a column a tag; an empty cell is no sample."""
    del named, names
    header = _header(opened)
    at = [cell.lower() for cell in header].index("t_stamp")
    for line, row in opened.rows:
        if len(row) > len(header) or len(row) <= at:
            yield Said(line, "", "", "", "")
            continue
        for place, cell in enumerate(row):
            if place != at and cell.strip():
                yield Said(line, header[place], row[at], cell, "")


def ignition_tables(opened: Opened, named: Columns, names: Mapping[str, str]) -> Iterator[Said]:
    """sqlth_data: of int, float and text value one is set; dataintegrity is an OPC DA quality."""
    del named
    header = [cell.lower() for cell in _header(opened)]
    place = {name: header.index(name) for name in ("tagid", "t_stamp")}
    values = [header.index(name) for name in ("floatvalue", "intvalue", "stringvalue", "datevalue") if name in header]
    integrity = header.index("dataintegrity") if "dataintegrity" in header else -1
    for line, row in opened.rows:
        if not row:
            continue
        if len(row) != len(header):
            yield Said(line, "", "", "", "")
            continue
        word = next((row[at] for at in values if row[at].strip() and row[at].upper() != "NULL"), "")
        tag = row[place["tagid"]]
        status = f"da:{row[integrity]}" if integrity >= 0 else ""
        yield Said(line, names.get(tag, tag if not names else ""), row[place["t_stamp"]], word, status)


def tag_names(path: Path) -> dict[str, str]:
    """A dump of sqlth_te: id to tagpath. Raises UsageError."""
    text, delimiter, _ = open_text(path)
    with text, unpacking(path):
        rows = [row for _, row in rows_of(text, delimiter, path) if row]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if not {"id", "tagpath"} <= set(header):
        msg = f"{path} has no columns id and tagpath; give a dump of the table sqlth_te"
        raise UsageError(msg)
    return {row[header.index("id")]: row[header.index("tagpath")] for row in rows[1:] if len(row) == len(header)}


def influx(opened: Opened, named: Columns, names: Mapping[str, str]) -> Iterator[Said]:
    """Tables one after the other, each with its header; a tag is `measurement,set.field`, as in line protocol."""
    del named, names
    header: list[str] = []
    fresh = True
    for line, row in opened.rows:
        if not row or not any(cell for cell in row) or row[0].startswith("#"):
            fresh = True
        elif fresh:
            header, fresh = row, False
        elif "_time" in header:
            yield from _influx_2(line, header, row)
        else:
            yield from _influx_1(line, header, row)


_NOT_A_TAG: Final = frozenset({"", "result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement"})


def _influx_2(line: int, header: Sequence[str], row: Sequence[str]) -> Iterator[Said]:
    if len(row) != len(header):
        yield Said(line, "", "", "", "")
        return
    cells = dict(zip(header, row, strict=True))
    tags = "".join(f",{name}={cells[name]}" for name in sorted(cells) if name not in _NOT_A_TAG and cells[name])
    field = cells.get("_field", "value")
    yield Said(line, f"{cells.get('_measurement', '')}{tags}.{field}", cells["_time"], cells.get("_value", ""), "")


def _influx_1(line: int, header: Sequence[str], row: Sequence[str]) -> Iterator[Said]:
    if len(row) != len(header):
        yield Said(line, "", "", "", "")
        return
    cells = dict(zip(header, row, strict=True))
    series = cells.get("name", "") + (f",{cells['tags']}" if cells.get("tags") else "")
    for name, word in cells.items():
        if name not in {"name", "tags", "time"} and word:
            yield Said(line, f"{series}.{name}", cells["time"], word, "")


_LINE: Final = re.compile(r"((?:[^\s\\]|\\.)+) +((?:[^\s\"]|\"(?:[^\"\\]|\\.)*\")+)(?: +(-?\d+))?\s*$")
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_FIELD: Final = re.compile(r"((?:[^=,\\]|\\.)+)=(\"(?:[^\"\\]|\\.)*\"|[^,]*)(?:,|$)")


def lines(text: Iterable[str]) -> Iterator[Said]:
    """InfluxDB line protocol; a field becomes the tag `measurement,set.field`."""
    for line, said in enumerate(text, 1):
        if not said.strip() or said.startswith("#"):
            continue
        match = _LINE.match(said)
        if match is None:
            yield Said(line, "", "", "", "")
            continue
        series = re.sub(r"\\(.)", r"\1", match[1])
        for field, value in _FIELD.findall(match[2]):
            if value.startswith('"'):
                word = re.sub(r"\\([\"\\])", r"\1", value[1:-1])
            else:
                truth = {"t": "1", "true": "1", "f": "0", "false": "0"}.get(value.lower())
                word = truth or (value[:-1] if value[-1:] in "iu" else value)
                if not (truth or _NUMBER.fullmatch(word)):
                    yield Said(line, "", "", "", "")  # only texts in quotes are texts
                    continue
            yield Said(line, f"{series}.{field}", f"{match[3]}ns" if match[3] else "", word, "")


def _header(opened: Opened) -> list[str]:
    for _, row in opened.rows:
        if row:
            return [cell.strip() for cell in row]
    msg = f"{opened.path} is empty"
    raise UsageError(msg)


READERS: Final[Mapping[str, Reader]] = {
    "table": table,
    "pi": pi,
    "ignition": ignition,
    "ignition-tables": ignition_tables,
    "influx": influx,
}
DIALECTS: Final = (*READERS, "lines")
