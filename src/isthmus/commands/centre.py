"""A group's centre: what its sites shipped, and questions over all of them.

    isthmus centre status                 what each site shipped, how old it is, what was refused and why
    isthmus centre query "acme/*:press*/power" --ask mean --by 1h --from 2026-11-01
    isthmus centre query "*:*/state" --ask states --engine spark --python spark/bin/python --master spark://host:7077
    isthmus centre waveforms "acme/*:press*/vibration" --from 2026-11-01    bursts: how many readings, rms, peak
    isthmus centre records --kind RunEnded --about O-4711 --from 2026-11-01   what was logged, over all sites
    isthmus centre verify                 read every file again; 1 when one is not as it was shipped

Each site ships with a line in its plant.toml, `[historian] ship_to = "/mnt/group"`, its records too where
`ship_records = true` stands beside it; the centre reads that folder and keeps what it checked in a folder of its own. It needs no plant file and no server: DuckDB in
this process answers, or a Spark or Sail cluster that you have already.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isthmus.model import query as q
from isthmus.model.errors import UsageError
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, Interval, from_datetime, iso, parse

if TYPE_CHECKING:
    from isthmus.centre.centre import Asks, Centre
    from isthmus.centre.record_stock import TakenLog
    from isthmus.centre.stock import GroupTag, Taken

_UNITS: Final = {"s": NS_PER_S, "m": NS_PER_MINUTE, "h": NS_PER_HOUR, "d": NS_PER_DAY}
_LARGEST: Final = 10_000
_MOST_STRETCHES: Final = 20_000_000
_STRETCHES: Final = frozenset({"minmax", "mean", "integral", "counted", "coverage"})
_HOLDS: Final = frozenset({"mean", "integral", "coverage", "states", "top", "gaps"})
_SILENT_NS: Final = 5 * NS_PER_MINUTE
"""A site ships its newest samples every ten seconds, if not told otherwise."""


def _windows(start_ns: int, end_ns: int, by_ns: int) -> q.Operator:
    if (end_ns - start_ns) // by_ns > _LARGEST:
        msg = f"that is more than {_LARGEST} stretches; choose a longer --by"
        raise UsageError(msg)
    edges = [*range(start_ns, end_ns, by_ns), end_ns]
    return q.StateDurations(windows=tuple(map(Interval, edges[:-1], edges[1:])))


_ASKS: Final[dict[str, tuple[str, Callable[[int, int, int], q.Operator]]]] = {
    "last": ("the newest sample of each tag", lambda _s, _e, _by: q.Last()),
    "raw": ("every sample", lambda _s, _e, _by: q.Raw()),
    "minmax": ("count, minimum, maximum and mean by stretch", lambda _s, _e, by: q.Aggregate(bucket_ns=by)),
    "mean": ("the mean over time by stretch", lambda _s, _e, by: q.TimeWeightedMean(bucket_ns=by)),
    "integral": ("value times seconds by stretch", lambda _s, _e, by: q.Integral(bucket_ns=by)),
    "counted": ("how far a counter moved by stretch", lambda _s, _e, by: q.CounterDelta(bucket_ns=by)),
    "coverage": ("how much of each stretch was observed", lambda _s, _e, by: q.Coverage(bucket_ns=by)),
    "states": ("how long each value held in each stretch", _windows),
    "top": ("the values that held longest, over all tags", lambda _s, _e, _by: q.TopReasons()),
    "gaps": ("where there was no usable value for longer than --by", lambda _s, _e, by: q.Gaps(longer_ns=by)),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The task, the group's folder, and what is asked."""
    parser.add_argument("--group", type=Path, default=Path("group"), help="the folder that the sites ship to (%(default)s)")  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("var/centre"), help="the centre's own folder (%(default)s)")
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    tasks.add_parser("status", help="what is there, by site")
    tasks.add_parser("verify", help="read every file again")
    ask = tasks.add_parser(
        "query",
        help="ask over all sites",
        description="The answer as CSV. " + " ".join(f"{name}: {what}." for name, (what, _) in _ASKS.items()),
    )
    ask.add_argument("tags", help="which tags, as 'site:source/tag' with * and ?; without a colon those of all sites")
    ask.add_argument("--ask", choices=_ASKS, default="minmax", help="the question (default: %(default)s)")
    _stretch_arguments(ask)
    ask.add_argument("--by", default="1h", metavar="LENGTH", help="length of a stretch: 30s, 15m, 1h, 1d (default: 1h)")
    ask.add_argument("--engine", choices=["duckdb", "spark", "sail"], default="duckdb", help="who works it out (default: duckdb)")  # fmt: skip
    ask.add_argument("--python", type=Path, help="the interpreter of Spark's or Sail's own environment")
    ask.add_argument("--master", default="", help="spark://host:7077 or sc://host:50051; none for this machine alone")
    _waveform_arguments(
        tasks.add_parser("waveforms", help="bursts of fast signals over all sites", description=_BURSTS)
    )
    _record_arguments(tasks.add_parser("records", help="what was logged, over all sites", description=_RECORDS))
    accept = tasks.add_parser(
        "accept",
        help="take in a log of records that was restored",
        description="A log that does not go on from what was taken in is refused. This lets go of what was taken in.",
    )
    accept.add_argument("site", help="the site, as acme/northgate")


_BURSTS: Final = (
    "Each burst that begins within the stretch: readings, rate, mean, rms and peak; with --readings those too. "
    "Parquet has a row a burst, CSV with --readings a row a reading."
)
_RECORDS: Final = (
    "Each record whose time lies within the stretch, as it was said last. The chain of each site's log was checked "
    "when it was taken in. With one --kind its fields are columns of the CSV."
)


def _stretch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", metavar="TIME", help="from when, UTC if it names no zone; else 24 h back")  # fmt: skip
    parser.add_argument("--to", dest="until", metavar="TIME", help="until before when; else now")


def _waveform_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tags", help="which tags, as 'site:source/tag' with * and ?; without a colon those of all sites")  # fmt: skip
    _stretch_arguments(parser)
    parser.add_argument("--readings", action="store_true", help="the readings too")
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="into this file; CSV goes to the screen without it")


def _record_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="RunEnded, StopExplained, LotChanged, ...; may be repeated; else all")  # fmt: skip
    _stretch_arguments(parser)
    parser.add_argument("--site", default="*", metavar="PATTERN", help="of which sites, with * and ?; else all")
    parser.add_argument("--path", default="*", metavar="PATTERN", help="of which equipment, 'acme/*/press*'; else all")
    parser.add_argument("--about", default="", metavar="TEXT", help="an order, a lot, a material: a text of the record is just this")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="each revision as it was logged, and what was taken back")
    parser.add_argument("--people", action="store_true", help="with the names of who said it")
    parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Do the task."""
    from isthmus.centre.centre import Centre  # noqa: PLC0415  heavy

    with Centre(args.data, args.group) as centre:
        return _TASKS[args.task](centre, args)


def _status(centre: Centre, args: argparse.Namespace) -> int:
    del args
    _told(centre.take())
    now_ns = from_datetime(datetime.now(UTC))
    print(f"{'site':30} {'days':>5} {'files':>6} {'samples':>15} {'GB':>8}  newest sealed         shipped")
    for each in centre.stock.sites():
        size = centre.stock.size(each.number)
        files, age_s = size.segments + size.rollups, (now_ns - each.shipped_ns) / NS_PER_S
        newest = iso(size.last_ns)[:19] + "Z" if size.segments else "-" * 20
        line = f"{each.name:30} {size.days:>5} {files:>6} {size.rows:>15,} {size.bytes / 1e9:>8.3f}"
        print(f"{line}  {newest}  {age_s:,.0f} s ago")
    _told(centre.bursts.take())
    _told(centre.records.take())
    for each in centre.bursts.stock.sites():
        size = centre.bursts.stock.size(each.number)
        bursts = f"{size.days} days, {size.segments} files, {size.rows:,} bursts, {size.bytes / 1e9:.3f} GB"
        print(f"{each.name}: {bursts}")
    for log in centre.records.logs():
        broken = "".join(
            f"; the site's own log is broken before frame {each}" for each in centre.records.breaks(log.site)
        )
        print(f"{log.site}: {log.position:,} records, frame {log.number}, {log.head}{broken}")
    refused = [*centre.stock.refused(), *centre.bursts.stock.refused(), *centre.records.refused()]
    for one in refused:
        print(f"refused since {iso(one.since_ns)[:19]}Z: {one.name}: {one.why}")
    return int(bool(refused))


def _verify(centre: Centre, args: argparse.Namespace) -> int:
    del args
    taken: list[Taken | TakenLog] = [
        *centre.stock.take(anew=True),
        *centre.bursts.take(anew=True),
        *centre.records.take(anew=True),
    ]
    _told(taken)
    refused, files = sum(len(each.refused) for each in taken), sum(each.files for each in taken)
    print(
        f"{files} files read" + (f"; {refused} things are not as they were shipped" if refused else ", all as shipped")
    )
    return int(refused > 0)


def _query(centre: Centre, args: argparse.Namespace) -> int:
    since, until = _stretch(args)
    until = min(until, from_datetime(datetime.now(UTC)))  # nothing is known of what is still to come
    if since >= until:
        msg = f"--from {iso(since)} lies ahead of now; nothing is known of what is still to come"
        raise UsageError(msg)
    operator = _ASKS[args.ask][1](since, until, _length(args.by))
    _told(centre.take())
    tags = {each.id: each for each in _tags(centre, args.tags)}
    if args.ask in _STRETCHES and (until - since) // _length(args.by) * len(tags) > _MOST_STRETCHES:
        msg = f"that is more than {_MOST_STRETCHES:,} stretches of all tags; choose a longer --by, or fewer tags"
        raise UsageError(msg)
    _warn_of_silent(centre, {each.site for each in tags.values()}, args.ask, until)
    with _engine(args) as engine:
        began = time.monotonic()
        table = centre.query(operator, list(tags), since, until, engine=engine)
        took_s = time.monotonic() - began
    out = csv.writer(sys.stdout)
    names = [name for name in table.column_names if name != "tag"]
    out.writerow([*(["site", "tag"] if "tag" in table.column_names else []), *names])
    for batch in table.to_batches():
        out.writerows(_row(row, tags) for row in batch.to_pylist())
    sys.stdout.flush()
    print(f"{table.num_rows:,} rows of {len(tags):,} tags in {took_s:.2f} s by {args.engine}", file=sys.stderr)
    return 0


def _warn_of_silent(centre: Centre, names: set[str], ask: str, until_ns: int) -> None:
    """Where a value is carried on to the end, what was not heard since is told beside the answer."""
    for site in centre.stock.sites() if ask in _HOLDS else ():
        heard_ns = centre.heard_ns(site)
        if site.name in names and until_ns - heard_ns > _SILENT_NS:
            when = iso(heard_ns)[:19]
            print(f"{site.name} shipped last at {when}Z: what held then is told as going on since", file=sys.stderr)


def _waveforms(centre: Centre, args: argparse.Namespace) -> int:
    from isthmus.model.samples import ValueKind  # noqa: PLC0415  heavy
    from isthmus.run.group import write_bursts  # noqa: PLC0415  as above

    since, until = _stretch(args)
    if args.format == "parquet" and args.out is None:
        msg = "Parquet is not for a screen; name a file with --out bursts.parquet"
        raise UsageError(msg)
    _told(centre.take())
    _told(centre.bursts.take())
    tags = [each for each in _tags(centre, args.tags) if each.info.kind is ValueKind.WAVEFORM]
    if not tags:
        msg = f"no tag that fits {args.tags!r} is of bursts (kind waveform); ask for others with `isthmus centre query`"
        raise UsageError(msg)
    bursts = write_bursts(centre, tags, since, until, readings=args.readings, form=args.format, out=args.out)
    sys.stdout.flush()
    print(f"{bursts:,} bursts of {len(tags):,} tags" + (f" in {args.out}" if args.out else ""), file=sys.stderr)
    return 0


def _records(centre: Centre, args: argparse.Namespace) -> int:
    from isthmus.centre.records import Asked  # noqa: PLC0415  heavy
    from isthmus.model.records import kinds  # noqa: PLC0415  as above
    from isthmus.run.group import write_records  # noqa: PLC0415  as above

    since, until = _stretch(args)
    unknown = [each for each in args.kind if each not in kinds()]
    if unknown:
        msg = f"there is no kind {unknown[0]!r}; there are {', '.join(kinds())}"
        raise UsageError(msg)
    taken = centre.records.take()
    _told(taken)
    if not centre.records.logs():
        msg = "no site ships its records; a site does so with `[historian] ship_records = true` in its plant.toml"
        raise UsageError(msg)
    asked = Asked(since, until, frozenset(args.kind), args.path, args.about, every=args.all, people=args.people)
    found = write_records(centre.read_records(asked, args.site), args.kind, form=args.format, every=args.all)
    sys.stdout.flush()
    print(f"{found:,} records", file=sys.stderr)
    return int(any(each.refused for each in taken))


def _accept(centre: Centre, args: argparse.Namespace) -> int:
    taken = centre.records.accept(args.site)
    if taken is None:
        msg = f"{args.site} ships no records here; `isthmus centre status` lists the sites that do"
        raise UsageError(msg)
    _told([taken])
    print(
        f"{args.site}: {taken.records:,} records taken in; `isthmus centre status` shows the hash that stands for them"
    )
    return int(bool(taken.refused))


def _tags(centre: Centre, pattern: str) -> list[GroupTag]:
    found = centre.stock.tags(pattern)
    if not found:
        msg = f"no tag fits {pattern!r}; write it as 'acme/northgate:press/power', with * and ? where it may differ"
        raise UsageError(msg)
    return found


def _stretch(args: argparse.Namespace) -> tuple[int, int]:
    until = _moment(args.until) if args.until else from_datetime(datetime.now(UTC))
    since = _moment(args.since) if args.since else until - NS_PER_DAY
    if since >= until:
        msg = f"--from {iso(since)} is not before --to {iso(until)}"
        raise UsageError(msg)
    return since, until


def _row(row: dict[str, Any], tags: dict[int, Any]) -> list[object]:
    head = [tags[row["tag"]].site, tags[row["tag"]].info.name] if "tag" in row else []
    return [*head, *(iso(value) if name in _TIMES and value is not None else value for name, value in row.items() if name != "tag")]  # fmt: skip


_TIMES: Final = frozenset({"time_ns", "bucket_ns", "start_ns", "end_ns", "at_ns"})


def _told(taken: Iterable[Taken | TakenLog]) -> None:
    for each in taken:
        for refused in each.refused:
            mend = "delete that file and run `isthmus history ship` at the site: it is sent again"
            print(f"{each.site}: not taken in: {refused.why}. What was there before stands; {mend}", file=sys.stderr)


@contextmanager
def _engine(args: argparse.Namespace) -> Iterator[Asks | None]:
    """The engine that was asked for, for as long as the question lasts; None for DuckDB."""
    if args.engine == "duckdb":
        yield None
        return
    from isthmus.centre.cluster import Cluster  # noqa: PLC0415  heavy
    from isthmus.centre.session import WHAT_IT_NEEDS, Session  # noqa: PLC0415  as above

    if args.python is None:
        msg = f"{args.engine} has an environment of its own: {WHAT_IT_NEEDS[args.engine]}; then name its --python"
        raise UsageError(msg)
    with Session(args.engine, args.python, master=args.master) as session:
        yield Cluster(session)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return parse(text) if moment.tzinfo else from_datetime(moment.replace(tzinfo=UTC))
    except ValueError as error:
        msg = f"{text!r} is no time; write it as 2026-11-22 or 2026-11-22T06:00:00Z"
        raise UsageError(msg) from error


def _length(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit() or not int(number):
        msg = f"{text!r} is no length; write it as 30s, 15m, 1h or 1d"
        raise UsageError(msg)
    return int(number) * _UNITS[unit]


_TASKS = {
    "status": _status,
    "verify": _verify,
    "query": _query,
    "waveforms": _waveforms,
    "records": _records,
    "accept": _accept,
}
