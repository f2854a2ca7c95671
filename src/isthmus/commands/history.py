"""What history holds: show, verify, compact, back up and restore it.

    isthmus history show               what is stored, by day; --tags for the largest tags
    isthmus history verify             every file, byte and row against the manifest; 1 when something is wrong
    isthmus history compact            merge late data and small segments now (the site does so by itself)
    isthmus history backup FOLDER      bring a copy up to date, while the site goes on writing
    isthmus history restore FOLDER     put a backup back into an empty place, and verify it
    isthmus history import FILE ...    bring a past along: CSV, Parquet, InfluxDB line protocol (.lp)
    isthmus history ship FOLDER        put what is new where a group reads it (the site does so with ship_to)

`show`, `verify`, `backup` and `ship` may run while the site writes.
"""

from __future__ import annotations

import argparse
import errno
from pathlib import Path

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.model.time import NS_PER_DAY, iso, to_datetime
from isthmus.site.config import SiteSection


def arguments(parser: argparse.ArgumentParser) -> None:
    """The task, and where history lies."""
    parser.add_argument(
        "--data", type=Path, default=SiteSection().data, help="the site's data folder (default: %(default)s)"
    )
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    show = tasks.add_parser("show", help="what is stored")
    show.add_argument("--tags", type=int, metavar="N", help="also the N tags with the most samples")
    tasks.add_parser("verify", help="check every file, byte and row")
    tasks.add_parser("compact", help="merge late data and small segments now")
    copy = tasks.add_parser("backup", help="copy history while it is written")
    copy.add_argument("folder", type=Path, help="where the copy lies; only what is new is copied again")
    back = tasks.add_parser("restore", help="put a backup back")
    back.add_argument("folder", type=Path, help="where the backup lies")
    ship = tasks.add_parser(
        "ship",
        help="put what is new where a group reads it",
        description="New segments as they are, then one file that says what counts. Cut short, it is just run again.",
    )
    ship.add_argument("target", help="the group's folder, or a URL as s3://bucket/group")
    ship.add_argument("--site", required=True, help="[plant] path of this site, as acme/northgate")
    ship.add_argument("--over-newer", action="store_true", help="let a history restored from a backup stand for a newer state there")  # fmt: skip
    bring = tasks.add_parser(
        "import",
        help="bring a past along",
        description="Samples of files into history, as tags `SOURCE/name`. Stopped, it is just started again.",
    )
    bring.add_argument("files", type=Path, nargs="+", metavar="FILE", help="CSV, .csv.gz, .parquet, or .lp")
    bring.add_argument("--source", required=True, help="the source that the tags shall belong to")
    bring.add_argument("--tag", default="tag", metavar="COLUMN", help="column of the tag's name (default: tag)")
    bring.add_argument("--time", default="time", metavar="COLUMN", help="column of the time (default: time)")
    bring.add_argument("--value", default="value", metavar="COLUMN", help="column of the value (default: value)")
    bring.add_argument("--status", default="", metavar="COLUMN", help="column of the OPC UA status, if there is one")
    bring.add_argument("--zone", default="UTC", help="zone of times that name none, for example Europe/London")


def run(args: argparse.Namespace) -> int:
    """Do the task."""
    folder = args.data / "history"
    if args.task not in {"restore", "import"} and not (folder / "manifest.sqlite").exists():
        msg = f"{folder} holds no history; give the site's data folder with --data"
        raise UsageError(msg)
    try:
        return _TASKS[args.task](folder, args)
    except OSError as error:
        if error.errno == errno.EBUSY:
            msg = f"{folder} is being written by a running site, which merges by itself; stop it first to do so now"
        else:
            msg = f"{folder}: {error}"
        raise IsthmusError(msg) from error


def _show(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.reader import Reader  # noqa: PLC0415  heavy

    with Reader(folder) as reader, reader.view() as view:
        segments = view.segments
        sealed, size = sum(each.rows for each in segments), sum(each.bytes for each in segments)
        waiting = sum(tail.size for tail in view.tails)
        print(f"{folder}: {len(reader.tags.all())} tags, {sealed:,} samples in {len(segments)} segments")
        if segments:
            first, last = min(each.time_min for each in segments), max(each.time_max for each in segments)
            print(f"from {iso(first)} to {iso(last)}, {size / 1e6:,.1f} MB, {size / sealed:.2f} bytes a sample")
        print(f"{waiting:,} samples in the log, not sealed yet")
        print("\nday          samples    MB     segments")
        for day in sorted({each.day for each in segments}):
            found = [each for each in segments if each.day == day]
            rows, mb = sum(each.rows for each in found), sum(each.bytes for each in found) / 1e6
            late = ", late data to be merged" if any(each.overlap for each in found) else ""
            print(f"{to_datetime(day * NS_PER_DAY).date()} {rows:>11,} {mb:>6.1f} {len(found):>5}{late}")
        if args.tags:
            from isthmus.site.historian.sizes import by_tag  # noqa: PLC0415  as above

            print("\nsamples        MB     from                 to                   tag")
            for each in by_tag(view)[: args.tags]:
                name = reader.tags.info(each.tag).name
                times = f"{iso(each.first_ns)[:19]}Z {iso(each.last_ns)[:19]}Z"
                print(f"{each.rows:>11,} {each.bytes / 1e6:>6.2f}   {times} {name}")
    return 0


def _verify(folder: Path, args: argparse.Namespace) -> int:
    del args
    from isthmus.site.historian.verify import verify  # noqa: PLC0415  heavy

    wrong = 0
    for finding in verify(folder):
        print(finding)
        wrong += 1
    print("everything is as it was written" if not wrong else f"{wrong} things are not as they were written")
    return int(wrong > 0)


def _compact(folder: Path, args: argparse.Namespace) -> int:
    del args
    from isthmus.site.historian.store import Store  # noqa: PLC0415  heavy

    with Store(folder, told=lambda told: print(told.what), background=False) as store:
        with store.view() as view:
            before = len(view.segments)
        store.compact()
        with store.view() as view:
            size = sum(each.bytes for each in view.segments)
            print(f"{before} segments became {len(view.segments)}, {size / 1e6:,.1f} MB")
    return 0


def _backup(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.backup import backup  # noqa: PLC0415  heavy

    done = backup(folder, args.folder)
    print(
        f"{args.folder}: {done.rows:,} samples in {done.segments} segments; {done.new} were new, {done.new_bytes / 1e6:,.1f} MB"
    )
    return 0


def _restore(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.backup import restore  # noqa: PLC0415  heavy

    done = restore(args.folder, folder)
    print(f"{folder}: {done.rows:,} samples in {done.segments} segments are back, each verified")
    return 0


def _import(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.imports import Columns, Imported, import_file  # noqa: PLC0415  heavy
    from isthmus.site.historian.store import Store  # noqa: PLC0415  as above

    named = Columns(args.tag, args.time, args.value, args.status)
    with Store(folder, told=lambda told: print(told.what)) as store:
        for path in args.files:

            def progress(done: Imported, path: Path = path) -> None:
                print(f"\r{path}: {done.rows:,} samples", end="", flush=True)

            done = import_file(store, path, args.source, named=named, zone=args.zone, progress=progress)
            print(f"\r{path}: {done.rows:,} samples, {done.odd:,} of them no numbers, {done.unread:,} lines unread")
    return 0


def _ship(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.ship import open_shipper  # noqa: PLC0415  heavy

    done = open_shipper(folder, args.target, args.site).ship(over_newer=args.over_newer)
    for trouble in done.troubles:
        print(trouble)
    days = f"{len(done.root.days)} days, {done.days} of them with a new list"
    print(f"{args.target}: {days}; {done.files} files sent, {done.bytes / 1e6:,.1f} MB")
    print(f"{done.tail_rows:,} samples put into the tail; {done.deleted} files deleted that counted no more")
    return int(bool(done.troubles))


_TASKS = {
    "show": _show,
    "verify": _verify,
    "compact": _compact,
    "backup": _backup,
    "restore": _restore,
    "import": _import,
    "ship": _ship,
}
