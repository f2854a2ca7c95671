"""Answers as model.query promises them, whoever worked them out: types, order, words, and sites put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.model import query as q
from isthmus.model.query import Operator
from isthmus.site.historian.asking.operators.decimate import largest_triangles
from isthmus.site.historian.memory.rows import ANSWER

NOT_WHOLE: Final = "\x01"
"""Stands before a number that is not whole in a cluster's words: every engine writes those otherwise."""
_NO_LIMIT: Final = 1 << 31


def _of(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field("tag", pa.int32()), *(pa.field(name, kind) for name, kind in columns)])


_I, _F, _S = pa.int64(), pa.float64(), pa.string()
SCHEMA: Final[Mapping[type, pa.Schema]] = {
    q.Last: ANSWER,
    q.Raw: ANSWER,
    q.Aggregate: _of(
        ("bucket_ns", _I), ("n", _I), ("n_good", _I), *((name, _F) for name in ("min", "max", "mean", "first", "last"))
    ),
    q.TimeWeightedMean: _of(("bucket_ns", _I), ("mean", _F), ("good_ns", _I)),
    q.StateDurations: _of(("window", _I), ("value", _S), ("duration_ns", _I)),
    q.AsOf: _of(("at_ns", _I), ("time_ns", _I), ("status", pa.uint32()), ("f64", _F), ("i64", _I), ("str", _S)),
    q.Decimate: _of(("time_ns", _I), ("value", _F)),
    q.CounterDelta: _of(("bucket_ns", _I), ("delta", _F)),
    q.Integral: _of(("bucket_ns", _I), ("integral", _F), ("good_ns", _I)),
    q.Coverage: _of(("bucket_ns", _I), ("good_ns", _I), ("bad_ns", _I), ("n", _I)),
    q.Gaps: _of(("start_ns", _I), ("end_ns", _I)),
    q.TopReasons: pa.schema([("value", _S), ("duration_ns", _I), ("n", _I)]),
}
_ORDER: Final[Mapping[type, tuple[str, ...]]] = {
    q.Last: ("tag",),
    q.StateDurations: ("tag", "window", "value"),
    q.AsOf: ("tag", "at_ns"),
    q.Gaps: ("tag", "start_ns"),
    **dict.fromkeys((q.Raw, q.Decimate), ("tag", "time_ns")),
    **dict.fromkeys((q.Aggregate, q.TimeWeightedMean, q.CounterDelta, q.Integral, q.Coverage), ("tag", "bucket_ns")),
}


def none(operator: Operator) -> pa.Table:
    """The answer about nothing."""
    return SCHEMA[type(operator)].empty_table()


def unlimited(operator: Operator) -> Operator:
    """The question as each site is asked it: what is cut short is cut once all have answered."""
    return msgspec.structs.replace(operator, limit=_NO_LIMIT) if isinstance(operator, q.TopReasons) else operator


def together(operator: Operator, parts: Sequence[pa.Table]) -> pa.Table:
    """One answer from those of the sites, whose tags are the group's, in the order of the sites."""
    wanted = SCHEMA[type(operator)]
    table = pa.concat_tables([each.cast(wanted) for each in parts] or [none(operator)])
    return _longest(table, operator.limit) if isinstance(operator, q.TopReasons) else table


def tidy(operator: Operator, table: pa.Table) -> pa.Table:
    """An answer of a cluster: named, ordered and cut as a site's own would be."""
    wanted = SCHEMA[type(operator)]
    table = table.select(wanted.names).cast(pa.schema([field.with_nullable(nullable=True) for field in wanted]))
    if isinstance(operator, q.StateDurations | q.TopReasons):
        table = table.set_column(table.column_names.index("value"), "value", _words(table["value"]))
    if isinstance(operator, q.TopReasons):
        return _longest(table, operator.limit)
    # Arrow puts nulls last and texts in the order of their bytes, as the reference does.
    table = table.sort_by([(name, "ascending") for name in _ORDER[type(operator)]])
    if isinstance(operator, q.Decimate) and operator.method == "lttb":
        table = _triangles(table, operator.points)
    return table.cast(wanted)


def _words(column: pa.ChunkedArray) -> pa.Array:
    words = [_word(each) for each in column.to_pylist()]
    return pa.array(words, pa.string())


def _word(word: str | None) -> str | None:
    return str(float(word[1:])) if word and word[0] == NOT_WHOLE else word


def _longest(table: pa.Table, limit: int) -> pa.Table:
    summed = table.group_by("value").aggregate([("duration_ns", "sum"), ("n", "sum")])
    summed = summed.rename_columns({"duration_ns_sum": "duration_ns", "n_sum": "n"}).select(table.column_names)
    return summed.sort_by([("duration_ns", "descending"), ("value", "ascending")]).slice(0, limit)


def _triangles(table: pa.Table, points: int) -> pa.Table:
    kept = []
    for tag in pc.unique(table["tag"]).to_pylist():
        its = table.filter(pc.equal(table["tag"], tag))
        time_ns, value = its["time_ns"].to_numpy(), its["value"].to_numpy()
        kept.append(its.take(pa.array(np.asarray(largest_triangles(time_ns, value, points)))))
    return pa.concat_tables(kept) if kept else table
