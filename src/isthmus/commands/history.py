"""What history holds: show, verify, back up, restore, put right and bring along.

    isthmus history show               what is stored, by day; --tags N for the N largest tags
    isthmus history coverage 'press/*' how much of each day was observed, tag by tag
    isthmus history slowest            the questions that took longest
    isthmus history verify [FOLDER]    every file, byte and row against the manifest; 1 when something is wrong
    isthmus history compact            merge late data and small segments now (the site does so by itself)
    isthmus history backup FOLDER      bring a copy up to date, while the site goes on writing
    isthmus history restore FOLDER     put a backup back into an empty place, and verify it
    isthmus history mend FOLDER        put back from a backup what is missing or damaged; the rest stays
    isthmus history rebuild [FOLDER]   make a lost manifest anew of the files; says what it would do, --write does it
    isthmus history import FILE ...    bring a past along, from PI, Ignition, InfluxDB or any table
    isthmus history correct TAG ...    put a sample right; the old one is kept
    isthmus history corrections        what people put right: when, who and why
    isthmus history sql [FOLDER]       the same questions as SQL macros, for whoever has DuckDB
    isthmus history ship FOLDER        put what is new where a group reads it (the site does so with ship_to)

All but `compact`, `restore` and `rebuild` may run while the site is at work; `import` and `correct` are handed to
it then, and it takes them without anything live waiting for them.
"""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.site.config import SiteSection

if TYPE_CHECKING:
    from isthmus.site.historian.bringing.imports import Into

_IMPORT: Final = """\
Samples of files go into history as tags SOURCE/name. The dialect is found by the file's first lines;
name it with --format where it is not. Stopped, even by kill -9, an import is just started again: what
was taken in is passed over. Rows that do not fit are listed with line and reason in FILE.rejected.csv,
and none is dropped in silence. A site at work is handed the samples piece by piece; what is live goes first.

  A table, a row a sample (CSV, .csv.gz, Parquet), its columns named by you:
    isthmus history import past.csv --source oven --tag Point --time When --value Reading --zone Europe/London

  PI, as piconfig or DataLink write it (tag, time, value, perhaps a status); "Bad Input", "No Data" and
  their like become Bad samples that say why, digital states become texts:
    isthmus history import pi-2019.csv --source pi --zone Europe/Berlin

  Ignition, as shown (t_stamp and a column a tag) or its tables as they are in the database:
    isthmus history import tags.csv --source ignition
    isthmus history import sqlt_data_1_2026_01.csv --source ignition --tag-names sqlth_te.csv

  InfluxDB: a query exported as CSV (annotated or not, of 1.x or 2.x), or line protocol (.lp):
    isthmus history import query.csv --source influx
    isthmus history import backup.lp --source influx
"""

_TEACHES: Final = {
    "coverage": """\
A line a tag, a sign a day: █ all of it was observed with a usable value, half a sign half of it, a blank nothing.
What a device that was away did not tell is not covered; a value that merely did not change is.
    isthmus history coverage 'press/*' --days 90""",
    "correct": """\
What was there stays and can be asked for (known= of the API); figures made of it are made anew.
    isthmus history correct press/parts 2026-11-22T06:00:00.250Z 120 --by Ann --why "counted by hand"
    isthmus history correct oven/temp 2026-11-22T06:00:00Z - --by Ann --why "sensor unplugged\"""",
    "sql": """\
Made of what is sealed now; make it anew when it is a day old. Names, times and lengths are asked like this:
    isthmus history sql --out history.sql
    duckdb -init history.sql
    FROM history_tags;
    FROM history_aggregate(['press/force'], '2026-11-22 06:00+00', '2026-11-22 14:00+00', INTERVAL 1 MINUTE);""",
    "backup": """\
The first copy is whole, each later one into the same folder brings what is new. Verify it now and then:
    isthmus history backup /mnt/backup/northgate
    isthmus history verify /mnt/backup/northgate""",
    "restore": """\
Into an empty place, so that nothing newer is written over; of single damaged files see `isthmus history mend`.
    isthmus history --data /srv/isthmus/site restore /mnt/backup/northgate""",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The task, and where history lies."""
    parser.add_argument(
        "--data", type=Path, default=SiteSection().data, help="the site's data folder (default: %(default)s)"
    )
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    show = tasks.add_parser("show", help="what is stored")
    show.add_argument("--tags", type=int, default=0, metavar="N", help="also the N tags with the most samples")
    show.add_argument("--days", type=int, default=14, metavar="N", help="the last N days; 0 for all (default: 14)")
    cover = tasks.add_parser("coverage", help="how much of each day was observed")
    cover.add_argument("pattern", nargs="?", default="*", help="tags by a pattern, 'press/*' (default: all)")
    cover.add_argument("--days", type=int, default=30, metavar="N", help="the last N days (default: 30)")
    tasks.add_parser("slowest", help="the questions that took longest")
    check = tasks.add_parser("verify", help="check every file, byte and row")
    check.add_argument("folder", type=Path, nargs="?", help="a backup, or another history, instead of the site's")
    tasks.add_parser("compact", help="merge late data and small segments now")
    copy = tasks.add_parser("backup", help="copy history while it is written")
    copy.add_argument("folder", type=Path, help="where the copy lies; only what is new is copied again")
    back = tasks.add_parser("restore", help="put a backup back")
    back.add_argument("folder", type=Path, help="where the backup lies")
    mend = tasks.add_parser("mend", help="put back what is missing or damaged")
    mend.add_argument("folder", type=Path, help="where a backup lies; what is whole here is left as it is")
    anew = tasks.add_parser(
        "rebuild",
        help="make a lost manifest anew of the files",
        description="For a history whose manifest.sqlite is lost, damaged, or older than its files. Every file is "
        "read; names, corrections and marks come from names.journal, and from a backup where one is named. Says what "
        "was found, and changes nothing; --write makes the manifest. Nothing is deleted: what cannot be read goes to "
        "history/lost.",
    )
    anew.add_argument("folder", type=Path, nargs="?", help="where a backup lies: for names that the journal has not, and for files that are missing or damaged")  # fmt: skip
    anew.add_argument("--write", action="store_true", help="do it; the site must stand still")
    ship = tasks.add_parser(
        "ship",
        help="put what is new where a group reads it",
        description="New segments as they are, then one file that says what counts. Cut short, it is just run again.",
    )
    ship.add_argument("target", help="the group's folder, or a URL as s3://bucket/group")
    ship.add_argument("--site", required=True, help="[plant] path of this site, as acme/northgate")
    ship.add_argument("--records", action="store_true", help="the log of records too, which names people ([historian] ship_records)")  # fmt: skip
    ship.add_argument("--no-waveforms", action="store_true", help="without bursts of fast signals")
    ship.add_argument("--over-newer", action="store_true", help="let a history restored from a backup stand for a newer state there")  # fmt: skip
    _import_arguments(
        tasks.add_parser(
            "import",
            help="bring a past along",
            description=_IMPORT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    right = tasks.add_parser("correct", help="put a sample right; the old one is kept")
    right.add_argument("tag", help="source/tag")
    right.add_argument("time", help="the sample's time, 2026-11-22T06:00:00.250Z, with Z or an offset")
    right.add_argument("value", help="what it really was; - for: there was none to believe")
    right.add_argument("--by", required=True, help="who says so")
    right.add_argument("--why", required=True, help="for what reason")
    tasks.add_parser("corrections", help="what people put right")
    macros = tasks.add_parser("sql", help="the questions of history as SQL macros for DuckDB")
    macros.add_argument("folder", type=Path, nargs="?", help="a backup, or another history, instead of the site's")
    macros.add_argument("--out", type=Path, help="write to this file instead of printing")
    for task, words in _TEACHES.items():
        tasks.choices[task].description = words
        tasks.choices[task].formatter_class = argparse.RawDescriptionHelpFormatter


def _import_arguments(bring: argparse.ArgumentParser) -> None:
    bring.add_argument("files", type=Path, nargs="+", metavar="FILE", help="CSV, .csv.gz, .parquet, or .lp")
    bring.add_argument("--source", required=True, help="the source that the tags shall belong to")
    bring.add_argument(
        "--format",
        choices=["table", "pi", "ignition", "ignition-tables", "influx", "lines"],
        default="",
        help="the dialect (default: found by the first lines)",
    )
    bring.add_argument("--zone", default="UTC", help="zone of times that name none, for example Europe/London")
    bring.add_argument("--tag", default="tag", metavar="COLUMN", help="of a table: column of the name (default: tag)")
    bring.add_argument("--time", default="time", metavar="COLUMN", help="of a table: column of the time")
    bring.add_argument("--value", default="value", metavar="COLUMN", help="of a table: column of the value")
    bring.add_argument("--status", default="", metavar="COLUMN", help="of a table: column of the OPC UA status, if any")
    bring.add_argument("--tag-names", type=Path, metavar="FILE", help="of ignition-tables: a dump of sqlth_te")
    bring.add_argument("--rejected", type=Path, metavar="FILE", help="where to list rows that do not fit")


def run(args: argparse.Namespace) -> int:
    """Do the task."""
    from isthmus.run.private import keep_private  # noqa: PLC0415  beside what loads more

    keep_private()
    folder = args.data / "history"
    if args.task in {"sql", "verify"} and args.folder is not None:
        folder = args.folder / "history" if (args.folder / "history").is_dir() else args.folder
    if args.task not in {"restore", "import", "rebuild"} and not (folder / "manifest.sqlite").exists():
        msg = f"{folder} holds no history; give the site's data folder with --data"
        if any((folder / "segments").glob("*/*.parquet")):
            msg = f"{folder} has lost its manifest.sqlite; isthmus history rebuild says what it can make anew"
        raise UsageError(msg)
    try:
        return _TASKS[args.task](folder, args)
    except OSError as error:
        msg = _held(folder, args.task, error) if error.errno == errno.EBUSY else _refused(error, folder)
        raise IsthmusError(msg) from error


def _held(folder: Path, task: str, error: OSError) -> str:
    """Who writes history, and what to do."""
    from isthmus.site.historian.sealed.leases import SITE, Held  # noqa: PLC0415  heavy

    holder = error.holder if isinstance(error, Held) else None
    if holder is not None and holder.what != SITE:
        return f"{folder} is being written by {holder}; wait until that is done, or stop it first"
    who = f"a running site (process {holder.process}, since {holder.since})" if holder else "a running site"
    return f"{folder} is being written by {who}, {_INSTEAD.get(task, 'stop it first')}"


def _refused(error: OSError, folder: Path) -> str:
    """What the disk refused, where, and the mend."""
    where = Path(error.filename) if isinstance(error.filename, str) else error.filename or folder
    if error.errno in _REFUSED:
        return f"{where}: {_REFUSED[error.errno]}"
    return f"{where}: {error.strerror or error}"


def _tell(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return 0


def _show(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.run.history import show  # noqa: PLC0415  heavy

    return _tell(show(folder, tags=args.tags, days=args.days))


def _coverage(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.run.history import coverage  # noqa: PLC0415  heavy

    return _tell(coverage(folder, args.pattern, max(args.days, 1)))


def _slowest(folder: Path, args: argparse.Namespace) -> int:
    del args
    from isthmus.run.history import slow  # noqa: PLC0415  heavy

    return _tell(slow(folder))


def _verify(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.keeping.verify import verify  # noqa: PLC0415  heavy

    wrong = 0
    for finding in verify(folder):
        print(finding)
        wrong += 1
    print("everything is as it was written" if not wrong else f"{wrong} things are not as they were written")
    if wrong and args.folder is not None:
        print("Of a backup: delete what is wrong, and back up again.")
    return int(wrong > 0)


def _compact(folder: Path, args: argparse.Namespace) -> int:
    del args
    from isthmus.site.historian.store import Store  # noqa: PLC0415  heavy

    with Store(folder, told=lambda told: print(told.what), background=False, what="isthmus history compact") as store:
        with store.view() as view:
            before = len(view.segments)
        store.compact()
        with store.view() as view:
            size = sum(each.bytes for each in view.segments)
            print(f"{before} segments became {len(view.segments)}, {size / 1e6:,.1f} MB")
    return 0


def _backup(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.keeping.backup import backup  # noqa: PLC0415  heavy

    done = backup(folder, args.folder)
    print(
        f"{args.folder}: {done.rows:,} samples; {done.segments} files of segments and rollups, {done.new} of them new, {done.new_bytes / 1e6:,.1f} MB"
    )
    for each in done.damaged:
        print(each)
    if done.damaged:
        print(f"{len(done.damaged):,} files are damaged here; all that is whole is in the copy")
    return int(bool(done.damaged))


def _restore(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.keeping.backup import restore  # noqa: PLC0415  heavy

    done = restore(args.folder, folder)
    print(f"{folder}: {done.rows:,} samples are back; {done.segments} files of segments and rollups, each verified")
    return 0


def _mend(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.keeping.mend import mend  # noqa: PLC0415  heavy

    found = list[bool]()
    for each in mend(folder, args.folder):
        print(each)
        found.append(each.whole)
    if not found:
        print("nothing is missing or damaged")
    elif any(found):
        print("A running site reads what was put back once it is started anew.")
    return int(not all(found))


def _rebuild(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.run.history import Counted  # noqa: PLC0415  heavy
    from isthmus.site.historian.keeping.rebuild import alone, examine, rebuild, told  # noqa: PLC0415  as above

    guard = alone(folder) if args.write else None
    try:
        with Counted("files read") as progress:
            found = examine(folder, args.folder, progress)
        for each in found:
            _tell(told(each))
        if not found:
            print(f"{folder}: the manifest is whole and that of the files beside it; there is nothing to make anew")
            return 0
        if not args.write:
            print("Nothing was changed; stop the site, and give the same command with --write.")
            return 1
        rebuild(found)
    finally:
        if guard is not None:
            guard.release()
    print("The manifest is made anew. Start the site; isthmus history verify checks every file against it.")
    return 0


def _import(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.run.hand_history import Hands, Straight  # noqa: PLC0415  heavy
    from isthmus.run.one_writer import open_store  # noqa: PLC0415  as above

    store = open_store(folder, f"isthmus history import {args.files[0]}", background=True)
    if store is None:
        print("the site is running and is handed the samples; what is live goes first")
        hands = Hands(args.data)
        return _import_into(hands, hands.finish, args)
    with store:
        return _import_into(Straight(store, args.data), lambda: None, args)


def _import_into(into: Into, done_with: Callable[[], None], args: argparse.Namespace) -> int:
    """Each file; `done_with` is called when one was read."""
    from isthmus.run.history import Listed, Progress  # noqa: PLC0415  heavy
    from isthmus.site.historian.bringing.exports import Columns, tag_names  # noqa: PLC0415  as above
    from isthmus.site.historian.bringing.imports import How, import_file  # noqa: PLC0415  as above

    names = tag_names(args.tag_names) if args.tag_names else {}
    how = How(args.format, Columns(args.tag, args.time, args.value, args.status), args.zone, names)
    for number, path in enumerate(args.files):
        listed = args.rejected or path.with_name(path.name + ".rejected.csv")
        progress = Progress(path.name)
        with Listed(listed, path, more=bool(args.rejected and number)) as unfit:
            try:
                done = import_file(into, path, args.source, how, unfit=unfit, progress=progress)
            except KeyboardInterrupt:
                print(f"\n{path}: stopped; the same command goes on where it was", file=sys.stderr)
                raise
        done_with()
        progress.end()
        print(f"{path}: {done.rows:,} samples")
        if unfit.rows:
            print(
                f"  {done.unread:,} rows left out, {done.odd:,} kept as Bad samples without a value;"
                f" each with line and reason in {listed}"
            )
        if done.doubled:
            print(
                f"  {done.doubled:,} samples stand in an hour that {args.zone}'s clock went through twice: a tag's belong to"
                " the first until they step back, and then to the second"
            )
        for name in done.mixed[:10]:
            print(f"  {name} is kept as texts: most of its values are numbers, and some are not")
    return 0


def _correct(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.model.time import parse  # noqa: PLC0415  heavy
    from isthmus.run.hand_history import correct  # noqa: PLC0415  as above
    from isthmus.run.history import must_hold  # noqa: PLC0415  as above
    from isthmus.run.one_writer import open_store  # noqa: PLC0415  as above
    from isthmus.site.historian.corrections import Correction, value_of  # noqa: PLC0415  as above
    from isthmus.site.intake.handed_history import SaidRight  # noqa: PLC0415  as above

    try:
        time_ns = parse(args.time)
    except ValueError as error:
        msg = f"{args.time!r} is no moment ({error}); write it as 2026-11-22T06:00:00.250Z"
        raise UsageError(msg) from error
    must_hold(folder, args.tag, time_ns)
    said = SaidRight(tag=args.tag, time_ns=time_ns, value=args.value, by=args.by, why=args.why, said_ns=time.time_ns())
    store = open_store(folder, "isthmus history correct", background=False)
    if store is None:
        correct(args.data, said)
        print(f"{args.tag} at {args.time} is {args.value} from now on; the running site took it and folds again")
        return 0
    with store:
        tag = store.tags.find(args.tag)
        if tag is None:
            msg = f"no tag is called {args.tag}; isthmus history show --tags 100 lists the largest"
            raise UsageError(msg)
        try:
            value = value_of(store.tags.info(tag).kind, args.value)
        except ValueError as error:
            msg = f"{args.tag}: {error}"
            raise UsageError(msg) from error
        right = Correction(
            tag=tag,
            time_ns=time_ns,
            value=value,
            status=0 if value is not None else 0x8000_0000,
            said_ns=said.said_ns,
            by=args.by,
            why=args.why,
        )
        store.correct([right])
    print(f"{args.tag} at {args.time} is {args.value} from now on; the site folds again when it is started")
    return 0


def _corrections(folder: Path, args: argparse.Namespace) -> int:
    del args
    from isthmus.model.time import iso  # noqa: PLC0415  heavy
    from isthmus.run.history import put_right  # noqa: PLC0415  as above
    from isthmus.site.historian.reader import Reader  # noqa: PLC0415  as above

    said = put_right(folder)
    if not said:
        print("nobody put a sample right; isthmus history correct does")
    with Reader(folder) as reader:
        for one in said:
            value = "no value" if one.value is None else one.value
            name = reader.tags.info(one.tag).name
            print(f"{iso(one.said_ns)[:19]}Z  {one.by}: {name} at {iso(one.time_ns)} is {value} ({one.why})")
    return 0


def _sql(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.site.historian.asking.sql import script  # noqa: PLC0415  heavy

    text = script(folder, time.time_ns())
    if args.out is None:
        sys.stdout.write(text)
    else:
        args.out.write_text(text, encoding="utf-8")
        print(f"{args.out}: duckdb -init {args.out}, then FROM history_tags;")
    return 0


def _ship(folder: Path, args: argparse.Namespace) -> int:
    from isthmus.run.ship import lanes, words  # noqa: PLC0415  heavy

    troubles: list[str] = []
    ways = lanes(folder, args.target, args.site, waveforms=not args.no_waveforms, records=args.records)
    for name, opens in ways.items():
        shipper = opens()
        if shipper is not None:
            done = shipper.ship(over_newer=args.over_newer)
            troubles += done.troubles
            print(f"{args.target}: {words(name, done)}")
    for trouble in troubles:
        print(trouble)
    return int(bool(troubles))


_FULL: Final = "the disk is full; nothing half-done counts. Make room, and give the same command again"
_READ_ONLY: Final = "may not be written by you; give the command as who runs the site, or on a disk that can be written"
_REFUSED: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOENT: "is not there",
    errno.ENOTDIR: "is no folder",
    errno.EEXIST: "is a file, and a folder is needed",
    errno.EISDIR: "is a folder, and a file is needed",
    errno.EIO: "the disk cannot be read or written; look at its health, and restore a backup elsewhere if need be",
}
_INSTEAD: Final = {
    "compact": "which merges by itself; stop it first to do so now",
}
"""What to do when a running site holds the history."""
_TASKS = {
    "show": _show,
    "coverage": _coverage,
    "slowest": _slowest,
    "verify": _verify,
    "compact": _compact,
    "backup": _backup,
    "restore": _restore,
    "mend": _mend,
    "rebuild": _rebuild,
    "import": _import,
    "correct": _correct,
    "corrections": _corrections,
    "sql": _sql,
    "ship": _ship,
}
