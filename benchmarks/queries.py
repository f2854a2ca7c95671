"""Questions asked of a week of history, beside InfluxDB, VictoriaMetrics and PostgreSQL where they can answer them.

Every store takes in the same week; then all are asked in turn, in interleaved rounds of one run, and
each figure is the median of the rounds, in ms, after one question that is not counted. Our history is
asked twice over: as it stands while a plant runs, with samples in memory, the day that goes on in
unmerged segments and late rows apart; and settled, when all of it is merged and rolled up. `first_ms`
is the first question of its kind, with no file open yet. With each round the stretch that is asked for
moves on by a second, as it does on a screen, so that nobody answers the very same question twice.

VictoriaMetrics moves the edges of a question to whole steps and then knows most of its last answer:
`_cached`; without that it reads. A question that a peer cannot express is left out for it: none of the first two carries a value over
the edge of a shift. `--days` shortens the week; the shift states need at least one day.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from reference import history as plant
from reference.peers import InfluxDb, PostgreSql, VictoriaMetrics
from reference.report import Figures, line, middle, say
from reference.store import opened

from isthmus.model import query as q
from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, Interval
from isthmus.site.historian.store import Store

T0: Final = plant.T0_MS * 1_000_000
BATCH: Final = 50_000
IN_MEMORY: Final = 150_000
"""Less than an hour's samples, after which they are sealed."""
TAG: Final = plant.group("second").first
HUNDRED: Final = range(plant.group("half-minute").first, plant.group("half-minute").first + 100)
STATES: Final = range(plant.group("state").first, plant.group("state").first + 200)
SECONDS: Final = range(TAG, TAG + 20)
COUNTER: Final = plant.group("counter").first
Asks = Mapping[str, Callable[[], object]]


def shifts(days: float) -> tuple[Interval, ...]:
    length = 8 * NS_PER_HOUR
    count = max(int(days * 3), 1)
    return tuple(Interval(T0 + number * length, T0 + (number + 1) * length) for number in range(count))


class Edges(NamedTuple):
    """What is asked for, in ns."""

    start: int
    end: int
    noon: int
    """The beginning of an hour in its midst."""
    day: int
    """The end of the first day."""


def edges(days: float, number: int) -> Edges:
    """The stretch that is asked for in a round."""
    start = T0 + number * NS_PER_S
    noon = start + NS_PER_DAY // 2 if days >= 1 else start
    return Edges(start, start + int(days * NS_PER_DAY), noon, start + NS_PER_DAY)


def fill(store: Store, past: plant.History) -> None:
    seq = 0
    for first in range(0, past.rows, BATCH):
        received_ns = int(past.time_ms[first : first + BATCH].max() + 1000) * 1_000_000
        parts = plant.batches(past, first, first + BATCH)
        store.append([Batch(1, 1, seq + number, received_ns, part) for number, part in enumerate(parts, 1)])
        seq += len(parts)
        if past.rows - IN_MEMORY <= first + BATCH < past.rows - IN_MEMORY + BATCH:
            store.maintain()


def ours(store: Store, days: float, number: int) -> Asks:
    start, end, noon, day = edges(days, number)
    minutes = q.Aggregate(bucket_ns=NS_PER_MINUTE)
    asked: dict[str, tuple[q.Operator, Sequence[int], int, int]] = {
        "last_of_all": (q.Last(), range(1, 2001), 0, 2**62),
        "raw_hour": (q.Raw(), [TAG], noon, noon + NS_PER_HOUR),
        "raw_hour_of_today": (q.Raw(), [TAG], end - NS_PER_HOUR, end),
        "minutes_of_one_tag": (minutes, [TAG], start, end),
        "minutes_of_hundred_tags_a_day": (minutes, HUNDRED, start, day),
        "time_weighted_hours": (q.TimeWeightedMean(bucket_ns=NS_PER_HOUR), [TAG], start, end),
        "counter_by_hour": (q.CounterDelta(bucket_ns=NS_PER_HOUR), [COUNTER], start, end),
        "states_by_shift": (q.StateDurations(windows=shifts(days)), STATES, T0, end),
        "top_states": (q.TopReasons(), STATES, T0, end),
        "plot_of_twenty_tags": (q.Decimate(points=1200), SECONDS, start, end),
    }
    return {name: partial(store.query, *each) for name, each in asked.items()}


def influxdb(server: InfluxDb, days: float, number: int) -> Asks:
    start, end, noon, day = edges(days, number)
    raw = "SELECT v, q FROM s WHERE t = '{tag}' AND time >= {start} AND time < {end}"
    extremes = "SELECT min(v), max(v){mean} FROM s WHERE {tags} AND time >= {start} AND time < {end} GROUP BY time({width}s), t"
    width = max(int(days * 86_400 / 600), 1)

    def over(tags: Sequence[int], stop: int, width: int, mean: str = "") -> str:
        chosen = "(" + " OR ".join(f"t = '{tag}'" for tag in tags) + ")"
        return extremes.format(tags=chosen, start=start, end=stop, width=width, mean=mean)

    asked = {
        "last_of_all": "SELECT last(v) FROM s GROUP BY t",
        "raw_hour": raw.format(tag=TAG, start=noon, end=noon + NS_PER_HOUR),
        "raw_hour_of_today": raw.format(tag=TAG, start=end - NS_PER_HOUR, end=end),
        "minutes_of_one_tag": over([TAG], end, 60, ", mean(v)"),
        "minutes_of_hundred_tags_a_day": over(HUNDRED, day, 60, ", mean(v)"),
        "plot_of_twenty_tags": over(SECONDS, end, width),
    }
    return {name: partial(server.get, "/query", db="b", epoch="ns", q=text) for name, text in asked.items()}


def victoria(server: VictoriaMetrics, days: float, number: int) -> Asks:
    start, end, noon, day = edges(days, number)

    def over(tags: range, stop: int, step_s: int, more: dict[str, str]) -> Callable[[], object]:
        words = {"start": str(start / 1e9), "end": str(stop / 1e9), "step": f"{step_s}s", **more}
        wanted = "|".join(map(str, tags))
        series = f's_v{{t=~"{wanted}"}}[{step_s}s]'
        text = " or ".join(f'label_set({name}_over_time({series}), "f", "{name}")' for name in ("min", "max", "avg"))
        return partial(server.get, "/api/v1/query_range", query=text, **words)

    def hour(since: int) -> Callable[[], object]:
        words = {"match[]": f's_v{{t="{TAG}"}}', "start": str(since / 1e9), "end": str((since + NS_PER_HOUR) / 1e9)}
        return partial(server.get, "/api/v1/export", **words)

    delta = {"start": str((start + NS_PER_HOUR) / 1e9), "end": str(end / 1e9), "step": "3600s", "nocache": "1"}
    return {
        "last_of_all": partial(server.get, "/api/v1/query", query="last_over_time(s_v[1h])", time=str(end / 1e9)),
        "raw_hour": hour(noon),
        "raw_hour_of_today": hour(end - NS_PER_HOUR),
        "counter_by_hour": partial(
            server.get, "/api/v1/query_range", query=f'increase(s_v{{t="{COUNTER}"}}[1h])', **delta
        ),
        **{
            name + suffix: over(*each, more)
            for suffix, more in {"": {"nocache": "1"}, "_cached": {}}.items()
            for name, each in {
                "minutes_of_one_tag": (range(TAG, TAG + 1), end, 60),
                "minutes_of_hundred_tags_a_day": (HUNDRED, day, 60),
                "plot_of_twenty_tags": (SECONDS, end, max(int(days * 86_400 / 600), 1)),
            }.items()
        },
    }


def postgres(server: PostgreSql, days: float, number: int) -> Asks:
    start, end, noon, day = (each // 1_000_000 for each in edges(days, number))
    raw = "SELECT ts, v, q FROM s WHERE tag = {tag} AND ts >= {start} AND ts < {end}"
    bucket = "SELECT tag, ts / {width}, min(v), max(v), avg(v) FROM s WHERE {tags} AND ts >= {start} AND ts < {end} GROUP BY 1, 2"
    hour_ms = 3_600_000
    between = "tag BETWEEN {first} AND {last}".format

    def over(tags: Sequence[int], stop: int, width: int) -> str:
        return bucket.format(tags=between(first=tags[0], last=tags[-1]), start=start, end=stop, width=width)

    asked = {
        "last_of_all": "SELECT g, (SELECT v FROM s WHERE tag = g ORDER BY ts DESC LIMIT 1) FROM generate_series(1, 2000) g",
        "raw_hour": raw.format(tag=TAG, start=noon, end=noon + hour_ms),
        "raw_hour_of_today": raw.format(tag=TAG, start=end - hour_ms, end=end),
        "minutes_of_one_tag": over([TAG], end, 60_000),
        "minutes_of_hundred_tags_a_day": over(HUNDRED, day, 60_000),
        "states_by_shift": f"""
            WITH h AS (SELECT tag, v, ts AS since, lead(ts, 1, {end}::bigint) OVER (PARTITION BY tag ORDER BY ts) AS until
                       FROM s WHERE tag BETWEEN {STATES[0]} AND {STATES[-1]} AND ts >= {start} AND ts < {end}),
            w AS (SELECT n, {start} + n * {8 * hour_ms}::bigint AS a, {start} + (n + 1) * {8 * hour_ms}::bigint AS b
                  FROM generate_series(0, {max(int(days * 3), 1) - 1}) n)
            SELECT tag, n, v, sum(least(until, b) - greatest(since, a)) FROM h JOIN w ON since < b AND until > a GROUP BY 1, 2, 3""",  # noqa: S608  our own numbers
        "top_states": f"""
            SELECT v, sum(until - since) FROM (
                SELECT v, ts AS since, lead(ts, 1, {end}::bigint) OVER (PARTITION BY tag ORDER BY ts) AS until
                FROM s WHERE tag BETWEEN {STATES[0]} AND {STATES[-1]} AND ts >= {start} AND ts < {end}) h
            GROUP BY 1 ORDER BY 2 DESC LIMIT 10""",  # noqa: S608  our own numbers
        "plot_of_twenty_tags": over(SECONDS, end, max(int(days * plant.DAY_MS / 600), 1)),
    }
    return {name: partial(_fetch, server, text) for name, text in asked.items()}


def _fetch(server: PostgreSql, text: str) -> object:
    return server.db.execute(text).fetchall()


Made = Callable[[float], tuple[InfluxDb | VictoriaMetrics | PostgreSql, Callable[[int], Asks]]]


def with_influxdb(days: float) -> tuple[InfluxDb, Callable[[int], Asks]]:
    server = InfluxDb()
    return server, partial(influxdb, server, days)


def with_victoria(days: float) -> tuple[VictoriaMetrics, Callable[[int], Asks]]:
    server = VictoriaMetrics()
    return server, partial(victoria, server, days)


def with_postgres(days: float) -> tuple[PostgreSql, Callable[[int], Asks]]:
    server = PostgreSql()
    return server, partial(postgres, server, days)


PEERS: Final[Mapping[str, Made]] = {"influxdb": with_influxdb, "victoria": with_victoria, "postgres": with_postgres}
SETTLE_S: Final = 10.0


def load(server: InfluxDb | VictoriaMetrics | PostgreSql, past: plant.History) -> None:
    with ThreadPoolExecutor(1) as sending:
        sent = sending.submit(lambda: None)
        for first in range(0, past.rows, BATCH):
            payload = server.payload(past, first, min(first + BATCH, past.rows))
            sent.result()
            sent = sending.submit(server.write, payload)
            if first // BATCH % 100 == 99:
                say(f"{server.name}: {first / past.rows:.0%}")
        sent.result()
    if isinstance(server, PostgreSql):
        server.db.execute("VACUUM ANALYZE s")
    say(f"{server.name} has {past.rows} rows")


def taken_ms(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return (time.perf_counter() - start) * 1e3


def rounds(stores: Mapping[str, Callable[[int], Asks]], count: int) -> dict[str, Figures]:
    """Of each store and question the median of `count` rounds, in which every store is asked once in turn."""
    found: dict[str, list[Figures]] = {name: [] for name in stores}
    for number in range(count + 1):
        for name, asks in stores.items():
            found[name].append({question: taken_ms(ask) for question, ask in asks(number).items()})
        say(f"round {number} of {count}" if number else "every question once, not counted")
    return {name: middle(its[1:]) for name, its in found.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=float, default=float(plant.DAYS))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--peers", default=",".join(PEERS), help="which peers, by comma; none for ours alone")
    given = arguments.parse_args()
    past = plant.make(given.days)
    say(f"{past.rows} rows made")
    folder = Path(tempfile.mkdtemp(prefix="bench-queries-"))
    servers: list[InfluxDb | VictoriaMetrics | PostgreSql] = []
    try:
        with opened(folder) as store:
            fill(store, past)
            with store.view() as view:
                apart = {
                    "rows_in_memory": sum(each.size for each in view.tails),
                    "segments": len(view.segments),
                    "of_them_late": sum(each.overlap for each in view.segments),
                }
            say(f"our history has {past.rows} rows: {apart}")
            asks: dict[str, Callable[[int], Asks]] = {"isthmus": partial(ours, store, given.days)}
            first_ms = {name: round(taken_ms(ask), 2) for name, ask in asks["isthmus"](0).items()}
            for name in given.peers.split(","):
                if name in PEERS:
                    server, questions = PEERS[name](given.days)
                    servers.append(server)
                    load(server, past)
                    asks[name] = questions
            time.sleep(SETTLE_S if servers else 0)
            control = rounds(asks, given.rounds)
            live = control.pop("isthmus")
            store.compact()
            settled = rounds({"isthmus": partial(ours, store, given.days)}, given.rounds)["isthmus"]
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    figures = {"live_ms": live, "settled_ms": settled, "first_ms": first_ms, "state": apart}
    ratio = {
        f"{question}_{who}": round(ms / live[question.removesuffix("_cached")], 2)
        for who, its in control.items()
        for question, ms in its.items()
    }
    line("queries", figures, control, ratio, days=given.days, rows=past.rows, rounds=given.rounds)


if __name__ == "__main__":
    main()
