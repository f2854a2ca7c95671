"""Writes what a group's centre found for a person: bursts as CSV or Parquet, records as CSV or a line of JSON each."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.centre.centre import Centre
from isthmus.centre.records import Found, fields_of
from isthmus.centre.stock import GroupTag
from isthmus.model.errors import UsageError
from isthmus.model.time import NS_PER_S, iso

_TIMES: Final = frozenset({"time_ns", "start_ns", "end_ns", "said_ns", "until_ns"})
_BURST: Final = ("site", "tag", "unit", "time", "status", "rate_hz", "n", "mean", "rms", "peak")
_READING: Final = ("site", "tag", "unit", "burst", "time", "value")


def write_bursts(  # noqa: PLR0913  what, and how
    centre: Centre,
    tags: Sequence[GroupTag],
    start_ns: int,
    end_ns: int,
    *,
    readings: bool,
    form: str,
    out: Path | None,
) -> int:
    """The bursts of these tags that begin within [start_ns, end_ns); how many there were.

    Nothing stands under the name `out` until all of it does. Raises UsageError when it cannot be written.
    """
    known = {each.id: each for each in tags}
    tables = centre.waveforms(list(known), start_ns, end_ns, readings=readings)
    with ExitStack() as stack:
        if form == "parquet" and out is not None:
            return _parquet(tables, known, stack.enter_context(_whole(out)), readings=readings)
        file = sys.stdout
        if out is not None:
            path = stack.enter_context(_whole(out))
            file = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        return _csv(tables, known, file, readings=readings)


def write_records(found: Iterable[Found], kinds: Sequence[str], *, form: str, every: bool) -> int:
    """The records on standard output; how many there were. With one kind its fields are the CSV's columns."""
    count = 0
    if form == "jsonl":
        for count, each in enumerate(found, 1):  # noqa: B007  it is returned
            line = {"site": each.site, "position": each.position, **each.facts}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        return count
    out = csv.writer(sys.stdout)
    fields = fields_of(kinds[0]) if len(kinds) == 1 else ()
    said = ("position", "revision", "gone") if every else ()
    out.writerow(["site", "time", *([] if fields else ["kind"]), "path", *said, *(fields or ["facts"])])
    for count, each in enumerate(found, 1):  # noqa: B007  it is returned
        facts = {"position": each.position, **each.facts}
        head = [each.site, iso(each.facts["time_ns"]), *([] if fields else [facts["kind"]]), facts["path"]]
        cells = [_cell(name, facts.get(name)) for name in fields] if fields else [_rest(each)]
        out.writerow([*head, *(facts.get(name, 0) for name in said), *cells])
    return count


def _rest(found: Found) -> str:
    """All that is not in a column of its own."""
    own = {"kind", "path", "time_ns", "ordinal", "revision", "gone"}
    return msgspec.json.encode({name: value for name, value in found.facts.items() if name not in own}).decode()


def _cell(name: str, value: Any) -> object:  # noqa: ANN401  whatever a record holds
    if name in _TIMES and isinstance(value, int):
        return iso(value)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | tuple) else value


def _csv(tables: Iterable[pa.Table], tags: dict[int, GroupTag], file: TextIO, *, readings: bool) -> int:
    out, count = csv.writer(file), 0
    out.writerow(_READING if readings else _BURST)
    for table in tables:
        count += table.num_rows
        for row in table.to_pylist():
            tag = tags[row["tag"]]
            head = [tag.site, tag.info.name, tag.info.unit]
            if readings:
                out.writerows([*head, *each] for each in _readings(row))
            else:
                rate_hz = NS_PER_S / row["interval_ns"] if row["interval_ns"] > 0 else None
                out.writerow([*head, iso(row["time_ns"]), row["status"], rate_hz, *(row[name] for name in _BURST[6:])])
    return count


def _readings(row: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """A row a reading: when the burst began, when the reading was taken, and what it was, to a float32's digits."""
    begin = iso(row["time_ns"])
    for number, value in enumerate(np.asarray(row["value"] or (), np.float32)):
        yield begin, iso(row["time_ns"] + round(number * row["interval_ns"])), value


def _parquet(tables: Iterable[pa.Table], tags: dict[int, GroupTag], path: Path, *, readings: bool) -> int:
    columns = [
        ("site", pa.string()),
        ("tag", pa.string()),
        ("unit", pa.string()),
        ("time", pa.timestamp("ns", tz="UTC")),
        ("status", pa.uint32()),
        ("interval_ns", pa.float64()),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("mean", "rms", "peak")),
        *([("readings", pa.list_(pa.float32()))] if readings else []),
    ]
    schema, count = pa.schema(columns), 0
    with pq.ParquetWriter(path, schema, version="2.6", compression="zstd") as writer:
        for table in tables:
            count += table.num_rows
            named = [tags[each] for each in table["tag"].to_pylist()]
            words = [[one.site for one in named], [one.info.name for one in named], [one.info.unit for one in named]]
            rest = [table[name].cast(kind) for name, (_, kind) in zip(table.column_names[1:], columns[3:], strict=True)]
            writer.write_table(pa.table([*(pa.array(each, pa.string()) for each in words), *rest], schema=schema))
    return count


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A temporary name beside `out`, which takes its place when all went well."""
    temporary = out.with_name(out.name + ".tmp")
    try:
        yield temporary
        temporary.replace(out)
    except OSError as error:
        msg = f"{out} cannot be written: {error}"
        raise UsageError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)
