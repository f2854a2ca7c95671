"""Questions asked of a week of history, beside InfluxDB, VictoriaMetrics and PostgreSQL where they can answer them.

Best of five warm runs in ms, after everything was sealed, merged and settled. `--days` shortens the
week; the shift states need at least one. A question that a peer cannot express is left out for it:
none of the first two carries a value over the edge of a shift.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reference import history as plant
from reference.peers import InfluxDb, PostgreSql, VictoriaMetrics
from reference.store import opened

from isthmus.model import query as q
from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, Interval

T0 = plant.T0_MS * 1_000_000
BATCH, RUNS = 50_000, 5
TAG = plant.group("second").first
HUNDRED = range(plant.group("half-minute").first, plant.group("half-minute").first + 100)
STATES = range(plant.group("state").first, plant.group("state").first + 200)
SECONDS = range(TAG, TAG + 20)
Figures = dict[str, float]


def best_ms(ask: Callable[[], object]) -> float:
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        ask()
        found.append(time.perf_counter() - start)
    return round(min(found) * 1e3, 2)


def shifts(days: float) -> tuple[Interval, ...]:
    length = 8 * NS_PER_HOUR
    count = max(int(days * 3), 1)
    return tuple(Interval(T0 + number * length, T0 + (number + 1) * length) for number in range(count))


def ours(past: plant.History, days: float) -> Figures:
    end = T0 + int(days * NS_PER_DAY)
    folder = Path(tempfile.mkdtemp(prefix="bench-queries-"))
    with opened(folder) as store:
        seq = 0
        for first in range(0, past.rows, BATCH):
            received_ns = int(past.time_ms[first : first + BATCH].max() + 1000) * 1_000_000
            parts = plant.batches(past, first, first + BATCH)
            store.append([Batch(1, 1, seq + number, received_ns, part) for number, part in enumerate(parts, 1)])
            seq += len(parts)
        store.compact()
        noon = T0 + NS_PER_DAY // 2 if days >= 1 else T0

        def ask(operator: q.Operator, tags: range | list[int], start: int, stop: int) -> float:
            return best_ms(lambda: store.query(operator, tags, start, stop))

        figures = {
            "last_of_all": ask(q.Last(), range(1, 2001), 0, 2**62),
            "raw_hour": ask(q.Raw(), [TAG], noon, noon + NS_PER_HOUR),
            "minutes_of_one_tag": ask(q.Aggregate(bucket_ns=NS_PER_MINUTE), [TAG], T0, end),
            "minutes_of_hundred_tags_a_day": ask(q.Aggregate(bucket_ns=NS_PER_MINUTE), HUNDRED, T0, T0 + NS_PER_DAY),
            "time_weighted_hours": ask(q.TimeWeightedMean(bucket_ns=NS_PER_HOUR), [TAG], T0, end),
            "states_by_shift": ask(q.StateDurations(windows=shifts(days)), STATES, T0, end),
            "top_states": ask(q.TopReasons(), STATES, T0, end),
            "plot_of_twenty_tags": ask(q.Decimate(points=1200), SECONDS, T0, end),
        }
    shutil.rmtree(folder)
    return figures


def influxdb(past: plant.History, days: float) -> Figures:
    server = InfluxDb()
    try:
        for first in range(0, past.rows, BATCH):
            server.write(server.payload(past, first, min(first + BATCH, past.rows)))
        end, noon = T0 + int(days * NS_PER_DAY), T0 + NS_PER_DAY // 2 if days >= 1 else T0
        raw = "SELECT v, q FROM s WHERE t = '{tag}' AND time >= {start} AND time < {end}"
        extremes = (
            "SELECT min(v), max(v) FROM s WHERE {tags} AND time >= {start} AND time < {end} GROUP BY time({width}s), t"
        )
        minute = "SELECT min(v), max(v), mean(v) FROM s WHERE {tags} AND time >= {start} AND time < {end} GROUP BY time(1m), t"
        hundred = "(" + " OR ".join(f"t = '{tag}'" for tag in HUNDRED) + ")"
        twenty = "(" + " OR ".join(f"t = '{tag}'" for tag in SECONDS) + ")"

        def ask(text: str) -> float:
            return best_ms(lambda: server.get("/query", db="b", epoch="ns", q=text))

        return {
            "last_of_all": ask("SELECT last(v) FROM s GROUP BY t"),
            "raw_hour": ask(raw.format(tag=TAG, start=noon, end=noon + NS_PER_HOUR)),
            "minutes_of_one_tag": ask(minute.format(tags=f"t = '{TAG}'", start=T0, end=end)),
            "minutes_of_hundred_tags_a_day": ask(minute.format(tags=hundred, start=T0, end=T0 + NS_PER_DAY)),
            "plot_of_twenty_tags": ask(
                extremes.format(tags=twenty, start=T0, end=end, width=max(int(days * 86_400 / 600), 1))
            ),
        }
    finally:
        server.stop()


def victoria(past: plant.History, days: float) -> Figures:
    server = VictoriaMetrics()
    try:
        for first in range(0, past.rows, BATCH):
            server.write(server.payload(past, first, min(first + BATCH, past.rows)))
        time.sleep(5)
        end, noon = T0 + int(days * NS_PER_DAY), T0 + NS_PER_DAY // 2 if days >= 1 else T0

        def over(tags: range, start: int, stop: int, step_s: int) -> float:
            words = {"start": str(start / 1e9), "end": str(stop / 1e9), "step": f"{step_s}s", "nocache": "1"}
            wanted = "|".join(map(str, tags))
            series = f's_v{{t=~"{wanted}"}}[{step_s}s]'
            text = " or ".join(
                f'label_set({name}_over_time({series}), "f", "{name}")' for name in ("min", "max", "avg")
            )
            return best_ms(lambda: server.get("/api/v1/query_range", query=text, **words))

        export = {"match[]": f's_v{{t="{TAG}"}}', "start": str(noon / 1e9), "end": str((noon + NS_PER_HOUR) / 1e9)}
        at = str(end / 1e9)
        return {
            "last_of_all": best_ms(lambda: server.get("/api/v1/query", query="last_over_time(s_v[1h])", time=at)),
            "raw_hour": best_ms(lambda: server.get("/api/v1/export", **export)),
            "minutes_of_one_tag": over(range(TAG, TAG + 1), T0, end, 60),
            "minutes_of_hundred_tags_a_day": over(HUNDRED, T0, T0 + NS_PER_DAY, 60),
            "plot_of_twenty_tags": over(SECONDS, T0, end, max(int(days * 86_400 / 600), 1)),
        }
    finally:
        server.stop()


def postgres(past: plant.History, days: float) -> Figures:
    server = PostgreSql()
    try:
        for first in range(0, past.rows, BATCH):
            server.write(server.payload(past, first, min(first + BATCH, past.rows)))
        server.db.execute("VACUUM ANALYZE s")
        start, end = plant.T0_MS, plant.T0_MS + int(days * plant.DAY_MS)
        noon = start + plant.DAY_MS // 2 if days >= 1 else start
        raw = "SELECT ts, v, q FROM s WHERE tag = {tag} AND ts >= {start} AND ts < {end}"
        bucket = "SELECT tag, ts / 60000, min(v), max(v), avg(v) FROM s WHERE {tags} AND ts >= {start} AND ts < {end} GROUP BY 1, 2"

        def ask(text: str) -> float:
            return best_ms(lambda: server.db.execute(text).fetchall())

        between = f"tag BETWEEN {HUNDRED[0]} AND {HUNDRED[-1]}"
        return {
            "raw_hour": ask(raw.format(tag=TAG, start=noon, end=noon + 3_600_000)),
            "minutes_of_one_tag": ask(bucket.format(tags=f"tag = {TAG}", start=start, end=end)),
            "minutes_of_hundred_tags_a_day": ask(bucket.format(tags=between, start=start, end=start + plant.DAY_MS)),
        }
    finally:
        server.stop()


PEERS = {"influxdb": influxdb, "victoria": victoria, "postgres": postgres}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=float, default=1.0)
    arguments.add_argument("--peers", default=",".join(PEERS), help="which peers, by comma; none for ours alone")
    given = arguments.parse_args()
    past = plant.make(given.days)
    figures = ours(past, given.days)
    control = {name: PEERS[name](past, given.days) for name in given.peers.split(",") if name in PEERS}
    for name, found in {"isthmus": figures, **control}.items():
        print(f"{name:10} " + "  ".join(f"{question} {ms:g}" for question, ms in found.items()) + "  (ms)")
    ratio = {
        f"{question}_{who}": round(figures[question] / ms, 3)
        for who, its in control.items()
        for question, ms in its.items()
    }
    line = {"bench": "queries", "days": given.days, "rows": past.rows, "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({**line, "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    main()
