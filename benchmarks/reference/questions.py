"""What screens ask, in the words of each peer: of the reference plant's samples as `reference.peers` puts them in.

Each method gives a question that is ready to be asked; times are in ns, [start_ns, end_ns), as in model.query.
A question that a peer cannot express is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Final, Protocol

import numpy as np

from isthmus.model.time import NS_PER_S, Interval
from reference.history import History
from reference.peers import InfluxDb, Peer, PostgreSql, VictoriaMetrics
from reference.report import say

Ask = Callable[[], object]
LOAD_BATCH: Final = 100_000
_MS: Final = 1_000_000


class Asked(Protocol):
    """A peer that is asked."""

    @property
    def server(self) -> Peer:
        """What is filled, and stopped in the end."""
        ...

    def last(self, tags: Sequence[int] | None, now_ns: int) -> Ask:
        """The newest number of each of these tags, None for all."""
        ...

    def raw(self, tag: int, start_ns: int, end_ns: int) -> Ask:
        """Every sample of one tag."""
        ...

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, width_ns: int, *, mean: bool = True) -> Ask:
        """Lowest and highest of each tag and bucket, and the mean."""
        ...


class AskedInflux:
    """InfluxDB, in InfluxQL."""

    def __init__(self) -> None:
        self.server = InfluxDb()

    def _ask(self, text: str) -> Ask:
        return partial(self.server.get, "/query", db="b", epoch="ns", q=text)

    def last(self, tags: Sequence[int] | None, now_ns: int) -> Ask:
        del now_ns
        of = f" WHERE {_any_of(tags)}" if tags else ""
        return self._ask(f"SELECT last(v) FROM s{of} GROUP BY t")  # noqa: S608  our own numbers

    def raw(self, tag: int, start_ns: int, end_ns: int) -> Ask:
        return self._ask(f"SELECT v, q FROM s WHERE t = '{tag}' AND time >= {start_ns} AND time < {end_ns}")  # noqa: S608  our own numbers

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, width_ns: int, *, mean: bool = True) -> Ask:
        figures = "min(v), max(v), mean(v)" if mean else "min(v), max(v)"
        when = f"time >= {start_ns} AND time < {end_ns}"
        return self._ask(f"SELECT {figures} FROM s WHERE {_any_of(tags)} AND {when} GROUP BY time({width_ns}ns), t")  # noqa: S608


def _any_of(tags: Sequence[int]) -> str:
    return "(" + " OR ".join(f"t = '{tag}'" for tag in tags) + ")"


class AskedVictoria:
    """VictoriaMetrics, in MetricsQL.

    It moves the edges of a question to whole steps, and then knows most of its last answer unless told not to.
    """

    def __init__(self) -> None:
        self.server = VictoriaMetrics()

    def last(self, tags: Sequence[int] | None, now_ns: int) -> Ask:
        series = "s_v" if tags is None else f's_v{{t=~"{"|".join(map(str, tags))}"}}'
        text = f"last_over_time({series}[1h])"
        return partial(self.server.get, "/api/v1/query", query=text, time=_seconds(now_ns))

    def raw(self, tag: int, start_ns: int, end_ns: int) -> Ask:
        words = {"match[]": f's_v{{t="{tag}"}}', "start": _seconds(start_ns), "end": _seconds(end_ns)}
        return partial(self.server.get, "/api/v1/export", **words)

    def buckets(  # noqa: PLR0913  one more of its own
        self,
        tags: Sequence[int],
        start_ns: int,
        end_ns: int,
        width_ns: int,
        *,
        mean: bool = True,
        cached: bool = True,
    ) -> Ask:
        step_s = max(width_ns // NS_PER_S, 1)
        series = f's_v{{t=~"{"|".join(map(str, tags))}"}}[{step_s}s]'
        figures = ("min", "max", "avg") if mean else ("min", "max")
        text = " or ".join(f'label_set({each}_over_time({series}), "f", "{each}")' for each in figures)
        return self._range(text, start_ns, end_ns, step_s, cached=cached)

    def counter(self, tag: int, start_ns: int, end_ns: int, width_ns: int) -> Ask:
        """How far a counter moved by bucket."""
        step_s = width_ns // NS_PER_S
        text = f'increase(s_v{{t="{tag}"}}[{step_s}s])'
        return self._range(text, start_ns + width_ns, end_ns, step_s, cached=False)

    def _range(self, text: str, start_ns: int, end_ns: int, step_s: int, *, cached: bool) -> Ask:
        words = {"start": _seconds(start_ns), "end": _seconds(end_ns), "step": f"{step_s}s"}
        words |= {} if cached else {"nocache": "1"}
        return partial(self.server.get, "/api/v1/query_range", query=text, **words)


def _seconds(moment_ns: int) -> str:
    return str(moment_ns / NS_PER_S)


class AskedPostgres:
    """PostgreSQL, in SQL."""

    def __init__(self) -> None:
        self.server = PostgreSql()

    def _ask(self, text: str) -> Ask:
        return lambda: self.server.db.execute(text.encode()).fetchall()

    def last(self, tags: Sequence[int] | None, now_ns: int) -> Ask:
        del now_ns
        of = f"unnest(ARRAY{list(tags)}) g" if tags else "generate_series(1, 2000) g"
        return self._ask(f"SELECT g, (SELECT v FROM s WHERE tag = g ORDER BY ts DESC LIMIT 1) FROM {of}")  # noqa: S608

    def raw(self, tag: int, start_ns: int, end_ns: int) -> Ask:
        return self._ask(f"SELECT ts, v, q FROM s WHERE {_within([tag], start_ns, end_ns)}")  # noqa: S608

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, width_ns: int, *, mean: bool = True) -> Ask:
        figures = "min(v), max(v), avg(v)" if mean else "min(v), max(v)"
        rows = _within(tags, start_ns, end_ns)
        return self._ask(f"SELECT tag, ts / {width_ns // _MS}, {figures} FROM s WHERE {rows} GROUP BY 1, 2")  # noqa: S608

    def states(self, tags: Sequence[int], windows: Sequence[Interval], start_ns: int, end_ns: int) -> Ask:
        """How long each value held in each window; what held when the stretch began is left out."""
        edges = ", ".join(
            f"({n}, {each.start_ns // _MS}::bigint, {each.end_ns // _MS}::bigint)" for n, each in enumerate(windows)
        )
        return self._ask(f"""
            WITH h AS ({_held(tags, start_ns, end_ns)}), w(n, a, b) AS (VALUES {edges})
            SELECT tag, n, v, sum(least(until, b) - greatest(since, a)) FROM h JOIN w ON since < b AND until > a
            GROUP BY 1, 2, 3""")  # noqa: S608

    def top(self, tags: Sequence[int], start_ns: int, end_ns: int) -> Ask:
        """The values that held longest."""
        return self._ask(f"""
            SELECT v, sum(until - since) FROM ({_held(tags, start_ns, end_ns)}) h
            GROUP BY 1 ORDER BY 2 DESC LIMIT 10""")  # noqa: S608


def _within(tags: Sequence[int], start_ns: int, end_ns: int) -> str:
    return f"tag BETWEEN {tags[0]} AND {tags[-1]} AND ts >= {start_ns // _MS} AND ts < {end_ns // _MS}"


def _held(tags: Sequence[int], start_ns: int, end_ns: int) -> str:
    until = f"lead(ts, 1, {end_ns // _MS}::bigint) OVER (PARTITION BY tag ORDER BY ts)"
    return f"SELECT tag, v, ts AS since, {until} AS until FROM s WHERE {_within(tags, start_ns, end_ns)}"  # noqa: S608


PEERS: Final[Mapping[str, Callable[[], Asked]]] = {
    "influxdb": AskedInflux,
    "victoria": AskedVictoria,
    "postgres": AskedPostgres,
}
"""How each is started."""


def load(server: Peer, past: History, until: float = inf) -> bool:
    """Put samples into a peer, the next batch made while one is taken in; False when not done at the moment `until`."""
    with ThreadPoolExecutor(1) as sending:
        sent = sending.submit(lambda: None)
        for number, first in enumerate(range(0, past.rows, LOAD_BATCH)):
            payload = server.payload(past, first, min(first + LOAD_BATCH, past.rows))
            sent.result()
            sent = sending.submit(server.write, payload)
            if number % 25 == 24:
                say(f"{server.name}: {first / past.rows:.0%}")
                if time.monotonic() > until:
                    return False
        sent.result()
    if isinstance(server, PostgreSql):
        server.db.execute("VACUUM ANALYZE s")
    say(f"{server.name} has {past.rows} rows")
    return True


def only(past: History, tags: Sequence[int], newest_ms: int) -> History:
    """The samples of some tags, and of all others those of the newest stretch."""
    keep = np.isin(past.tag, tags) | (past.time_ms >= int(past.time_ms.max()) - newest_ms)
    return History(past.tag[keep], past.time_ms[keep], past.value[keep], past.status[keep])
