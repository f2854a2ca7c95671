"""Answers the questions of model.query over the sealed segments and the head: with numpy where it can, else with DuckDB.

What screens ask is answered by arrays/. Everything else, and every answer that would not fit memory,
is DuckDB's, which asks as follows.

Segments without late data are read as they are. The rows that may stand in the place of others (late
segments and the head, see view.py) are merged in memory and handed over as a table; the segments'
rows with the same (tag, time) are left out by an anti-join, only where there can be any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged
from isthmus.model.query import (
    Aggregate,
    AsOf,
    CounterDelta,
    Decimate,
    Integral,
    Last,
    Operator,
    Raw,
    TimeWeightedMean,
)
from isthmus.model.time import to_datetime
from isthmus.site.historian.asking.arrays import answers
from isthmus.site.historian.asking.operators import RELATIONS, decimate, needed, texts
from isthmus.site.historian.memory.rows import concat, last_arrival_wins, to_table
from isthmus.site.historian.sealed import rollup
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.view import Asked, View

MEMORY_LIMIT: Final = "256MB"
_SETTINGS: Final = (
    f"SET GLOBAL memory_limit = '{MEMORY_LIMIT}'",
    "SET GLOBAL parquet_metadata_cache = true",
    # Above 0, an as-of join over Parquet may become a nested loop, two hundred times slower.
    "SET GLOBAL asof_loop_join_threshold = 0",
    "SET GLOBAL preserve_insertion_order = false",
    "SET GLOBAL TimeZone = 'UTC'",
)
_WORTH: Final = """
       coalesce(f64, i64::DOUBLE) AS num,
       coalesce(f64 IS NOT NULL AND NOT isnan(f64) OR i64 IS NOT NULL OR str IS NOT NULL, false)
       AND status < 2147483648 AS usable,
       CASE WHEN usable THEN coalesce(str, i64::VARCHAR,
            CASE WHEN abs(f64) < 9007199254740992 AND f64 = trunc(f64) THEN f64::BIGINT::VARCHAR
                 ELSE f64::VARCHAR END) END AS word"""
_DERIVED: Final = (
    "SELECT *, {worth}, 1 AS n, usable::INTEGER AS good, CASE WHEN usable THEN num END AS total FROM {source}"
)
_DERIVED_ROLLED: Final = "SELECT *, {worth} FROM {source}"
_VALUES: Final = """tag, epoch_ns(time) AS time_ns, (q::BIGINT & 4294967295)::UINTEGER AS status,
       CASE WHEN e IS NULL THEN f
            ELSE i / [1.0::DOUBLE, 10.0, 100.0, 1000.0, 10000.0][e + 1] END AS f64,
       CASE WHEN e IS NULL THEN i END AS i64, s AS str"""
_SEGMENTS: Final = "SELECT {values} FROM read_parquet({files}) WHERE {tags} AND {times}"
_ROLLED: Final = """
SELECT {values}, coalesce(n, 0) AS n, coalesce(good, 0) AS good,
       CASE WHEN good > 0 THEN
            coalesce(u, CASE WHEN e IS NULL THEN t ELSE t / [1.0::DOUBLE, 10.0, 100.0, 1000.0, 10000.0][e + 1] END)
       END AS total
FROM read_parquet({files}) WHERE {tags} AND {times}
"""
_WITHOUT_LATE: Final = "SELECT sealed.* FROM ({sealed}) AS sealed ANTI JOIN late USING (tag, time_ns)"
_LATE: Final = "SELECT * FROM late"


class Engine:
    """One DuckDB in this process. Any thread may ask; each question has a cursor of its own."""

    def __init__(self) -> None:
        self._db = duckdb.connect()
        for setting in _SETTINGS:
            self._db.execute(setting)

    def close(self) -> None:
        """Let go of memory."""
        self._db.close()

    def query(self, view: View, operator: Operator, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> pa.Table:
        """The answer to one question; `tags` are in order, each once. Raises StoreDamaged for a bad segment."""
        if isinstance(operator, Last):
            return to_table(view.before(tags, end_ns))
        if isinstance(operator, Raw):
            opening = [view.before(tags, start_ns)] if operator.before else []
            return to_table(last_arrival_wins(concat([*opening, view.rows(tags, start_ns, end_ns)])))
        return self.ask(view, operator, tags, start_ns, end_ns)

    def ask(  # noqa: PLR0913  a question, and what may answer it
        self,
        view: View,
        operator: Operator,
        tags: NDArray[np.int32],
        start_ns: int,
        end_ns: int,
        *,
        rolled: bool = True,
        arrays: bool = True,
    ) -> pa.Table:
        """As `query` for operators with a text; without rollups, or without numpy, when told so."""
        if isinstance(operator, AsOf):
            start_ns, end_ns = min(operator.at_ns, default=0), max(operator.at_ns, default=-1) + 1
        asked = Asked(view, tags, start_ns, end_ns, view.late(tags, start_ns, end_ns))
        parameters: dict[str, object] = {"start": start_ns, "end": end_ns}
        if isinstance(operator, Decimate):
            parameters["width"] = decimate.width_ns(operator, start_ns, end_ns)
        use = self._rollups(asked, operator, parameters) if rolled else None
        few = _few(operator, use)
        if len(few):
            parts = [(few, False), (np.setdiff1d(tags, few), True)]
            found = [
                self.ask(view, operator, each, start_ns, end_ns, rolled=roll, arrays=arrays)
                for each, roll in parts
                if len(each)
            ]
            return pa.concat_tables(found).sort_by([("tag", "ascending"), ("time_ns", "ascending")])
        quick = answers().get(type(operator)) if arrays else None
        table = quick(operator, asked, use) if quick and len(tags) else None
        if table is None:
            # What a rollup says of time and order is for arrays alone; a text takes its rows for samples.
            known = use if isinstance(operator, Aggregate | Decimate) else None
            table = self._answer(asked, operator, known, parameters)
        if isinstance(operator, Decimate) and operator.method == "lttb":
            table = _triangles(table, operator.points)
        return table

    def _answer(
        self, asked: Asked, operator: Operator, use: rollup.Use | None, parameters: Mapping[str, object]
    ) -> pa.Table:
        text = texts()[type(operator)]
        relations = needed(text.ASKS)
        tables = {"late": to_table(asked.late), "asked": pa.table({"tag": asked.tags})}
        if "opening" in relations:
            tables["before"] = to_table(asked.view.opening(operator, asked.tags, asked.start_ns))
        made = {
            "samples": _samples(asked, use),
            "opening": _DERIVED.format(worth=_WORTH, source="before"),
            **{name: sql for name, (_, sql) in RELATIONS.items()},
        }
        sql = _with({name: made[name] for name in relations}, text.DUCKDB)
        return self._run(sql, {**text.parameters(operator), **parameters}, tables)

    def _rollups(self, asked: Asked, operator: Operator, parameters: Mapping[str, object]) -> rollup.Use | None:
        """The coarsest rollups that give exactly the same answer, or None."""
        for bucket_ns in sorted(rollup.BUCKETS, reverse=True):
            if _fits(operator, bucket_ns, parameters):
                use = rollup.usable(asked, bucket_ns)
                if use is not None:
                    return use
        return None

    def _run(self, sql: str, parameters: Mapping[str, object], tables: Mapping[str, pa.Table]) -> pa.Table:
        used = {name: value for name, value in parameters.items() if f"${name}" in sql}
        with self._db.cursor() as cursor:
            for name, table in tables.items():
                cursor.register(name, table)
            try:
                # All of it is fetched: a cursor with rows left refuses its next statement.
                return cursor.sql(sql, params=used).to_arrow_table()
            except (duckdb.IOException, duckdb.InvalidInputException) as error:
                msg = f"a segment cannot be read: {error}. Find it with `isthmus history verify`"
                raise StoreDamaged(msg) from error


def _fits(operator: Operator, bucket_ns: int, parameters: Mapping[str, object]) -> bool:
    """Whether a rollup with these buckets can give the answer."""
    if isinstance(operator, Decimate):
        return int(str(parameters["width"])) % bucket_ns == 0
    if isinstance(operator, TimeWeightedMean):
        edges = operator.bucket_ns % bucket_ns == operator.origin_ns % bucket_ns == 0
        return edges and bucket_ns == rollup.WEIGHTED_NS
    if isinstance(operator, Integral):
        return operator.bucket_ns % bucket_ns == 0 and bucket_ns == rollup.WEIGHTED_NS
    return isinstance(operator, Aggregate | CounterDelta) and operator.bucket_ns % bucket_ns == 0


def _few(operator: Operator, use: rollup.Use | None) -> NDArray[np.int32]:
    """Tags of which every sample may be wanted, because there may be so few: rollups do not have them all."""
    if use is None or not isinstance(operator, Decimate):
        return np.empty(0, np.int32)
    return use.tags[rollup.at_least(use) <= decimate.wanted(operator)]


def _samples(asked: Asked, use: rollup.Use | None) -> str:
    """The relation of every sample asked for, each (tag, time) once; rollups in the place of those they stand for."""
    if use is None:
        return _DERIVED.format(worth=_WORTH, source=f"({_plain(asked, [(asked.tags, asked.start_ns, asked.end_ns)])})")
    others = np.setdiff1d(asked.tags, use.tags)
    pieces = [(others, asked.start_ns, asked.end_ns)] if len(others) else []
    pieces += [(use.tags, *each) for each in rollup.between(use.stretches, asked.start_ns, asked.end_ns)]
    stretches = [_files(asked.view, use.rollups, use.tags, start, end, _ROLLED) for start, end in use.stretches]
    relations = [_DERIVED.format(worth=_WORTH, source=f"({_plain(asked, pieces)})")]
    # A stretch may lie wholly before or behind the samples of its day.
    if rolled := " UNION ALL ".join(filter(None, stretches)):
        relations.append(_DERIVED_ROLLED.format(worth=_WORTH, source=f"({rolled})"))
    return " UNION ALL BY NAME ".join(relations)


def _plain(asked: Asked, pieces: Sequence[tuple[NDArray[np.int32], int, int]]) -> str:
    """Samples of these tags and stretches from the segments, and every late one."""
    plain = [each for each in asked.view.segments_of(asked.tags, asked.start_ns, asked.end_ns) if not each.overlap]
    parts = [found for each in pieces if (found := _files(asked.view, plain, *each, _SEGMENTS))]
    if not parts:
        return _LATE
    if asked.late.size and int(asked.late.time_ns.min()) <= max(each.time_max for each in plain):
        parts = [_WITHOUT_LATE.format(sealed=" UNION ALL ".join(parts))]
    return " UNION ALL ".join([*parts, _LATE] if asked.late.size else parts)


def _files(  # noqa: PLR0913, PLR0917  what is read of which
    view: View, segments: Sequence[Segment], tags: NDArray[np.int32], start_ns: int, end_ns: int, text: str
) -> str:
    """The rows of these tags within [start_ns, end_ns) from files, those of one unit together; "" for none."""
    parts = []
    for unit in ("ms", "us", "ns"):
        files = [
            each for each in segments if each.unit == unit and each.time_max >= start_ns and each.time_min < end_ns
        ]
        if files:
            first, last = min(each.time_min for each in files), max(each.time_max for each in files)
            times = _times(unit, max(start_ns, first), min(end_ns, last + 1))
            names = [f"'{str(view.files.folder / each.path).replace(chr(39), chr(39) * 2)}'" for each in files]
            parts.append(text.format(values=_VALUES, files=f"[{', '.join(names)}]", tags=_tags(tags), times=times))
    return " UNION ALL ".join(parts)


def _tags(tags: NDArray[np.int32]) -> str:
    first, last = int(tags[0]), int(tags[-1])
    if len(tags) == 1:
        return f"tag = {first}"
    if last - first + 1 == len(tags):
        return f"tag BETWEEN {first} AND {last}"
    return f"tag BETWEEN {first} AND {last} AND tag IN ({', '.join(map(str, tags.tolist()))})"


def _times(unit: str, start_ns: int, end_ns: int) -> str:
    if unit == "ns":
        return f"epoch_ns(time) >= {start_ns} AND epoch_ns(time) < {end_ns}"
    # A whole microsecond is at or behind a moment exactly when it is at or behind the next whole one.
    first, end = (to_datetime(-(-moment // 1000) * 1000).isoformat() for moment in (start_ns, end_ns))
    return f"time >= TIMESTAMPTZ '{first}' AND time < TIMESTAMPTZ '{end}'"


def _with(relations: Mapping[str, str], text: str) -> str:
    """The operator's text with the relations that it asks, as one statement."""
    heads = ", ".join(f"{name} AS ({sql})" for name, sql in relations.items())
    body = text.strip()
    return f"WITH {heads}, {body[5:]}" if body.startswith("WITH ") else f"WITH {heads} {body}"


def _triangles(table: pa.Table, points: int) -> pa.Table:
    tag = table["tag"].to_numpy()
    keep: list[NDArray[np.intp]] = []
    for each in np.unique(tag):
        rows = np.flatnonzero(tag == each)
        time_ns, value = table["time_ns"].to_numpy()[rows], table["value"].to_numpy()[rows]
        keep.append(rows[decimate.largest_triangles(time_ns, value, points)])
    return table.take(pa.array(np.concatenate(keep))) if keep else table
