"""Questions asked of a week of history, beside InfluxDB, VictoriaMetrics and PostgreSQL where they can answer them.

All are asked in turn, in interleaved rounds of one run, and each figure is the median of the rounds, in
ms, after one question that is not counted. Our history is asked twice over: live, as it stands while a
plant runs, with samples in memory, the day that goes on in unmerged segments and late rows apart; and
settled, a copy in which all of it is merged and rolled up. `first_ms` is the first question of its kind,
with no file open yet. With each round the stretch that is asked for moves on by a second, as it does on
a screen, so that nobody answers the very same question twice.

Ours holds every sample of the 2,000 tags. The peers hold the whole week of those tags that are asked
over time, and the last hour alone of all others (`rows_of_peers`): filling them
with the rest would take as long again, and to hold less does not make them slower. `--whole` fills it all.

VictoriaMetrics moves the edges of a question to whole steps and then knows most of its last answer;
`_uncached` is without that. A question that a peer cannot express is left out for it: none of the first
two carries a value over the edge of a shift. `--days` shortens the week; the shift states need at least
one day. `--minutes` bounds the run: a peer that fills too slowly is left out, and fewer rounds are asked.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from reference import history as plant
from reference.questions import PEERS, Ask, Asked, AskedPostgres, AskedVictoria, load, only
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
NEWEST_MS: Final = 3_600_000
SETTLE_S: Final = 5.0
PAUSE_S: Final = 1.0
FOR_ROUNDS_S: Final = 120.0
"""What the rounds need at least of the time that there is."""
Asks = Mapping[str, Ask]


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


def asked_of(peer: Asked, days: float, number: int) -> Asks:
    """The same of a peer, as far as it can express it."""
    start, end, noon, day = edges(days, number)
    width = max(int(days * 86_400 / 600), 1) * NS_PER_S
    out = {
        "last_of_all": peer.last(None, end),
        "raw_hour": peer.raw(TAG, noon, noon + NS_PER_HOUR),
        "raw_hour_of_today": peer.raw(TAG, end - NS_PER_HOUR, end),
        "minutes_of_one_tag": peer.buckets([TAG], start, end, NS_PER_MINUTE),
        "minutes_of_hundred_tags_a_day": peer.buckets(HUNDRED, start, day, NS_PER_MINUTE),
        "plot_of_twenty_tags": peer.buckets(SECONDS, start, end, width, mean=False),
    }
    if isinstance(peer, AskedVictoria):
        out |= {
            "minutes_of_one_tag_uncached": peer.buckets([TAG], start, end, NS_PER_MINUTE, cached=False),
            "minutes_of_hundred_tags_a_day_uncached": peer.buckets(HUNDRED, start, day, NS_PER_MINUTE, cached=False),
            "plot_of_twenty_tags_uncached": peer.buckets(SECONDS, start, end, width, mean=False, cached=False),
            "counter_by_hour": peer.counter(COUNTER, start, end, NS_PER_HOUR),
        }
    if isinstance(peer, AskedPostgres):
        out |= {
            "states_by_shift": peer.states(STATES, shifts(days), start, end),
            "top_states": peer.top(STATES, start, end),
        }
    return out


def taken_ms(ask: Ask) -> float:
    start = time.perf_counter()
    ask()
    return (time.perf_counter() - start) * 1e3


def rounds(stores: Mapping[str, Callable[[int], Asks]], count: int, until: float) -> tuple[dict[str, Figures], int]:
    """Of each store and question the median of `count` rounds, in which every store is asked once in turn.

    Each begins one round, and what the one before it still does in the background has a moment to end.
    No round begins behind the moment `until`, but one is always counted; how many were.
    """
    found: dict[str, list[Figures]] = {name: [] for name in stores}
    order = list(stores)
    for number in range(count + 1):
        if number > 1 and time.monotonic() > until:
            say(f"time is up: {number - 1} rounds")
            break
        for name in (*order[number % len(order) :], *order[: number % len(order)]):
            time.sleep(PAUSE_S)
            found[name].append({question: taken_ms(ask) for question, ask in stores[name](number).items()})
        say(f"round {number} of {count}" if number else "every question once, not counted")
    return {name: middle(its[1:]) for name, its in found.items()}, len(found["live"]) - 1


def filled(folder: Path, past: plant.History) -> tuple[Path, Path]:
    """Our history as it stands while a plant runs, and a copy that is settled."""
    live, settled = folder / "live", folder / "settled"
    with opened(live) as store:
        fill(store, past)
    say(f"our history has {past.rows} rows")
    shutil.copytree(live, settled)
    with opened(settled) as store:
        store.compact()
    say("and a copy of it is settled")
    return live, settled


def state_of(store: Store) -> Figures:
    """What a question finds apart."""
    with store.view() as view:
        return {
            "rows_in_memory": sum(each.size for each in view.tails),
            "segments": len(view.segments),
            "of_them_late": sum(each.overlap for each in view.segments),
        }


def loaded(names: Sequence[str], past: plant.History, until: float) -> dict[str, Asked]:
    """The peers with what is asked of them; one that is not full when time is up is left out."""
    out: dict[str, Asked] = {}
    try:
        for name in names:
            peer = out[name] = PEERS[name]()
            if not load(peer.server, past, until):
                say(f"{name} is left out: it took too long to fill")
                out.pop(name).server.stop()
    except BaseException:
        for peer in out.values():
            peer.server.stop()
        raise
    return out


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=float, default=float(plant.DAYS))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--minutes", type=float, default=8.5, help="in which all is to end")
    arguments.add_argument("--peers", default=",".join(PEERS), help="which peers, by comma; none for ours alone")
    arguments.add_argument("--whole", action="store_true", help="the peers hold everything too; takes twice as long")
    given = arguments.parse_args()
    until = time.monotonic() + given.minutes * 60
    past = plant.make(given.days)
    say(f"{past.rows} rows made")
    theirs = past if given.whole else only(past, [*SECONDS, *HUNDRED, *STATES, COUNTER], newest_ms=NEWEST_MS)
    folder = Path(tempfile.mkdtemp(prefix="bench-queries-"))
    peers: dict[str, Asked] = {}
    try:
        live, settled = filled(folder, past)
        peers = loaded([name for name in given.peers.split(",") if name in PEERS], theirs, until - FOR_ROUNDS_S)
        time.sleep(SETTLE_S if peers else 0)
        with opened(live) as running, opened(settled) as resting:
            state = {"live": state_of(running), "settled": state_of(resting)}
            say(f"what is asked: {state}")
            asks: dict[str, Callable[[int], Asks]] = {
                "live": partial(ours, running, given.days),
                "settled": partial(ours, resting, given.days),
                **{name: partial(asked_of, peer, given.days) for name, peer in peers.items()},
            }
            first_ms = {name: round(taken_ms(ask), 2) for name, ask in asks["live"](0).items()}
            control, counted = rounds(asks, given.rounds, until)
    finally:
        for peer in peers.values():
            peer.server.stop()
        shutil.rmtree(folder)
    mine = control.pop("live")
    figures = {"live_ms": mine, "settled_ms": control.pop("settled"), "first_ms": first_ms, "state": state}
    ratio = {
        f"{question}_{who}": round(ms / mine[question.removesuffix("_uncached")], 2)
        for who, its in control.items()
        for question, ms in its.items()
    }
    line("queries", figures, control, ratio, days=given.days, rows=past.rows, rows_of_peers=theirs.rows, rounds=counted)


if __name__ == "__main__":
    main()
