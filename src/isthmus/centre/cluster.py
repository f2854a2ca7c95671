"""Questions answered by Spark or Sail over the same files, by the same operators.

The cluster scans what is sealed and in order. What may stand in the place of other rows (late segments,
corrections, the tail) and what was in force before are few: they are merged here, as the site itself
does it, and handed over as tables. Files whose times need nanoseconds are handed over likewise, since
not every engine has them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.centre import answers
from isthmus.centre.centre import Part, stretch
from isthmus.centre.session import Session
from isthmus.model import query as q
from isthmus.model.query import Operator
from isthmus.model.time import to_datetime
from isthmus.site.historian.asking.operators import SPARK_RELATIONS, decimate, needed, texts
from isthmus.site.historian.memory.rows import to_table
from isthmus.site.historian.sealed.manifest import Segment

_LISTED: Final = 500
"""More tags than this are joined, not listed."""
_PLAIN: Final = """
SELECT tag + {offset} AS tag, unix_micros(time) * 1000L AS time_ns, cast(q AS bigint) & 4294967295L AS status,
       CASE WHEN e IS NULL THEN f
            ELSE cast(i AS double) / element_at(array(1.0D, 10.0D, 100.0D, 1000.0D, 10000.0D), e + 1) END AS f64,
       CASE WHEN e IS NULL THEN i END AS i64, s AS str
FROM {view} WHERE {tags} AND time >= TIMESTAMP '{first}' AND time < TIMESTAMP '{end}'"""
_DERIVED: Final = """
SELECT *, CASE WHEN usable THEN coalesce(str, cast(i64 AS string),
              CASE WHEN abs(f64) < 9007199254740992D AND f64 % 1.0D = 0.0D THEN cast(cast(f64 AS bigint) AS string)
                   ELSE concat(char(1), cast(f64 AS string)) END) END AS word,
       1 AS n, cast(usable AS int) AS good, CASE WHEN usable THEN num END AS total
FROM (SELECT *, coalesce(f64, cast(i64 AS double)) AS num,
             coalesce(f64 IS NOT NULL AND NOT isnan(f64) OR i64 IS NOT NULL OR str IS NOT NULL, false)
             AND status < 2147483648L AS usable
      FROM ({source}))"""
_LATE: Final = "SELECT * FROM late"
_WITHOUT_LATE: Final = (
    "SELECT sealed.* FROM ({sealed}) AS sealed LEFT ANTI JOIN late"
    " ON sealed.tag = late.tag AND sealed.time_ns = late.time_ns"
)


class Cluster:
    """A session as an engine of the centre's. A question is given up after `timeout_s`."""

    def __init__(self, session: Session, *, timeout_s: float = 900.0) -> None:
        self._session, self._timeout_s, self._lock = session, timeout_s, threading.Lock()

    def query(self, parts: Sequence[Part], operator: Operator, start_ns: int, end_ns: int) -> pa.Table:
        """As `Asks.query`; raises as `Session.ask`."""
        asked = question(parts, operator, start_ns, end_ns)
        with self._lock:
            found = self._session.ask(asked.sql, asked.views, asked.tables, self._timeout_s)
        return answers.tidy(operator, found)


class Question(NamedTuple):
    """What a session is asked."""

    sql: str
    views: dict[str, list[str]]
    """By name, the files behind it."""
    tables: dict[str, pa.Table]


def question(parts: Sequence[Part], operator: Operator, start_ns: int, end_ns: int) -> Question:
    """One statement over the files of all sites, with the rows that are merged here."""
    text = texts()[type(operator)]
    first, end = _edges(operator, start_ns, end_ns)
    relations = needed(text.ASKS)
    views: dict[str, list[str]] = {}
    plain: list[str] = []
    late, opening, asked = [], [], []
    for part in parts:
        view = part.view._replace(segments=tuple(map(_by_hand, part.view.segments)))
        late.append(_group(to_table(view.late(part.tags, first, end)), part.offset))
        if "opening" in relations:
            opening.append(_group(to_table(view.opening(operator, part.tags, first)), part.offset))
        asked.append(pa.table({"tag": (part.tags + part.offset).astype(np.int32)}))
        found = [each for each in view.segments_of(part.tags, first, end) if not each.overlap]
        for unit in ("ms", "us"):
            its = [each for each in found if each.unit == unit]
            if its:
                name = f"site{part.site}_{unit}"
                views[name] = [str(view.files.folder / each.path) for each in its]
                plain.append(
                    _scan(
                        name, part, max(first, min(e.time_min for e in its)), min(end, max(e.time_max for e in its) + 1)
                    )
                )
    tables = {"late": pa.concat_tables(late), "asked": pa.concat_tables(asked)}
    if opening:
        tables["opened"] = pa.concat_tables(opening)
    source = _samples(plain, any_late=tables["late"].num_rows > 0)
    return Question(_statement(operator, source, start_ns, end_ns), views, tables)


def _statement(operator: Operator, source: str, start_ns: int, end_ns: int) -> str:
    """The operator's text with the relations that it asks and its parameters."""
    text = texts()[type(operator)]
    relations = needed(text.ASKS)
    first, end = _edges(operator, start_ns, end_ns)
    parameters: dict[str, object] = {"start": first, "end": end, **text.parameters(operator)}
    if isinstance(operator, q.Decimate):
        parameters["width"] = decimate.width_ns(operator, start_ns, end_ns)
    made = {
        "samples": _DERIVED.format(source=source),
        "opening": _DERIVED.format(source="SELECT * FROM opened"),
        **SPARK_RELATIONS,
    }
    heads = ", ".join(f"{name} AS ({made[name]})" for name in relations)
    body = text.SPARK.strip()
    sql = f"WITH {heads}, {body[5:]}" if body.startswith("WITH ") else f"WITH {heads} {body}"
    for name in sorted(parameters, key=len, reverse=True):
        sql = sql.replace(f"${name}", _literal(parameters[name]))
    return sql


def _edges(operator: Operator, start_ns: int, end_ns: int) -> tuple[int, int]:
    return (start_ns, end_ns) if isinstance(operator, q.Last) else stretch(operator, start_ns, end_ns)


def _by_hand(segment: Segment) -> Segment:
    """Files with nanoseconds are read here, with those that hold late rows."""
    return segment._replace(overlap=True) if segment.unit == "ns" else segment


def _group(table: pa.Table, offset: int) -> pa.Table:
    """The rows with the group's tags; an unsigned status is none of Spark's types."""
    table = table.set_column(0, "tag", pc.add(table["tag"], pa.scalar(offset, pa.int32())))
    return table.set_column(2, "status", table["status"].cast(pa.int64()))


def _scan(name: str, part: Part, first_ns: int, end_ns: int) -> str:
    """A whole microsecond is at or behind a moment exactly when it is at or behind the next whole one."""
    first, end = (to_datetime(-(-moment // 1000) * 1000).isoformat() for moment in (first_ns, end_ns))
    return _PLAIN.format(offset=part.offset, view=name, tags=_tags(part), first=first, end=end)


def _tags(part: Part) -> str:
    low, high = int(part.tags[0]), int(part.tags[-1])
    between = f"tag BETWEEN {low} AND {high}"
    if high - low + 1 == len(part.tags):
        return between
    if len(part.tags) <= _LISTED:
        return f"{between} AND tag IN ({', '.join(map(str, part.tags.tolist()))})"
    return f"{between} AND tag + {part.offset} IN (SELECT tag FROM asked)"  # noqa: S608  our own numbers


def _samples(plain: Sequence[str], *, any_late: bool) -> str:
    if not plain:
        return _LATE
    sealed = " UNION ALL ".join(plain)
    return f"{_WITHOUT_LATE.format(sealed=sealed)} UNION ALL {_LATE}" if any_late else sealed


def _literal(value: object) -> str:
    """Numbers, truths and lists of numbers; nothing else is ever a parameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L"
    if isinstance(value, float):
        return f"{value!r}D"
    if isinstance(value, list | tuple):
        return f"cast(array({', '.join(map(_literal, value))}) AS array<bigint>)"
    msg = f"{value!r} is no parameter of a question"
    raise TypeError(msg)
