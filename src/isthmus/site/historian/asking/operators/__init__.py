"""One file per question of model.query, found by itself: its text for each engine that answers it.

A text asks two relations, one row a sample, unique in (tag, time_ns):

    samples   within [$start, $end)
    opening   the newest of each tag before $start, what was in force when the stretch began

    tag, time_ns, status, f64, i64, str    as they were written
    n, good   how many samples the row stands for, and how many usable ones: 1 and 0 or 1, but for rollups
    total     the sum of the usable numbers among them, null where there is none
    num       the value as a double, null for texts
    usable    true when there is a value, its status is not Bad and it is not NaN
    word      the value as text, whole numbers without a decimal point; null when not usable

Texts that need to know how long a value held ask `held` or `parts`, which stand in RELATIONS.
Parameters beside $start and $end are the operator's own fields.

DUCKDB is asked by the site and by a group's screens; SPARK by a group's cluster, Spark or Sail. A Spark
text leaves the order of its rows, and the limit of a list, to whoever asked: across a cluster both are
cheaper at the end. In its `word`, a number that is not whole stands behind the character 1, as every
engine writes such numbers otherwise.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

from isthmus.model.query import Operator

RELATIONS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    # held(tag, since, until, num, usable, word): each value with the stretch of [$start, $end) in which it held.
    "held": (
        ("samples", "opening"),
        """
        SELECT * FROM (
            SELECT tag, greatest(time_ns, $start) AS since, num, usable, word,
                   lead(time_ns, 1, $end) OVER (PARTITION BY tag ORDER BY time_ns) AS until
            FROM (SELECT tag, time_ns, num, usable, word FROM opening
                  UNION ALL SELECT tag, time_ns, num, usable, word FROM samples))
        WHERE until > since""",
    ),
    # parts(tag, num, usable, bucket, since, until): the same, cut at buckets of $bucket, one of which begins at $shift.
    "parts": (
        ("held",),
        """
        SELECT tag, num, usable, bucket, since, until
        FROM (SELECT *, since - (since - $shift) % $bucket AS bucket FROM held)
        WHERE until <= bucket + $bucket
        UNION ALL
        SELECT tag, num, usable, bucket, greatest(since, bucket), least(until, bucket + $bucket)
        FROM (SELECT *, unnest(range(since - (since - $shift) % $bucket, until, $bucket)) AS bucket
              FROM held WHERE until > since - (since - $shift) % $bucket + $bucket)""",
    ),
}
"""What texts may ask beside `samples` and `opening`: the relations that each is made of, and how."""
SPARK_RELATIONS: Final[Mapping[str, str]] = {
    "held": """
        SELECT * FROM (
            SELECT tag, greatest(time_ns, $start) AS since, num, usable, word,
                   lead(time_ns, 1, $end) OVER (PARTITION BY tag ORDER BY time_ns) AS until
            FROM (SELECT tag, time_ns, num, usable, word FROM opening
                  UNION ALL SELECT tag, time_ns, num, usable, word FROM samples))
        WHERE until > since""",
    "parts": """
        SELECT tag, num, usable, bucket, greatest(since, bucket) AS since, least(until, bucket + $bucket) AS until
        FROM (SELECT tag, num, usable, since, until,
                     explode(sequence(since - (since - $shift) % $bucket, until - 1L, $bucket)) AS bucket FROM held)""",
}
"""The same for Spark and Sail."""


class Text(Protocol):
    """What each file of this folder has."""

    OPERATOR: type[Operator]
    ASKS: tuple[str, ...]
    """The relations that it asks."""
    DUCKDB: str
    SPARK: str

    parameters: Callable[[Any], Mapping[str, object]]
    """The parameters beside $start and $end, from the operator."""


def needed(asks: Sequence[str]) -> list[str]:
    """Every relation that must be there for these, each behind those that it is made of."""
    out: list[str] = []
    for name in asks:
        below = needed(RELATIONS[name][0]) if name in RELATIONS else []
        out += [each for each in [*below, name] if each not in out]
    return out


@cache
def texts() -> Mapping[type[Operator], Text]:
    """Every file of this folder by its operator."""
    found = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    return {module.OPERATOR: module for module in found}


def no_parameters(operator: object) -> Mapping[str, object]:
    """For texts with none of their own."""
    del operator
    return {}
