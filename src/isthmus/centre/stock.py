"""What the centre knows of its sites, in SQLite: which shipped files it has checked and which of them count.

    site      name, number, root, ...   a number is given once; what was last taken in of the site
    day       site, day, list, opening  which list of a day counts
    segment   site, day, id, ...        the files of these lists, each of which was read and matches its hash
    tag       site, id, name, ...       from the site's dictionary
    refused   site, name, why, since    what was not taken in, until it is mended

A file counts only if a list names it and its bytes have the hash that the list says; a day is taken in
whole or stays as it was. Each site's root is taken in within one transaction, so whoever asks meanwhile
sees the state before or the state after.
"""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Day, Entry, Hold, Place, Root, TagEntry

NAME: Final = "stock.sqlite"
MOST_SITES: Final = 127
KEPT_NS: Final = 7 * NS_PER_DAY
"""How long a site is asked to keep what a refused day stands on, from the last look on."""
TAG_BITS: Final = 24
"""A tag of the group is the site's number and the site's own tag in one int32, which every engine has."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS site (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, root INTEGER NOT NULL, state TEXT NOT NULL,
    wal INTEGER NOT NULL, received_ns INTEGER NOT NULL, shipped_ns INTEGER NOT NULL, taken_ns INTEGER NOT NULL,
    tags TEXT NOT NULL, corrections TEXT NOT NULL, newest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS day (
    site INTEGER NOT NULL, day INTEGER NOT NULL, list TEXT NOT NULL, opening TEXT NOT NULL,
    PRIMARY KEY (site, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (
    site INTEGER NOT NULL, day INTEGER NOT NULL, id INTEGER NOT NULL, level INTEGER NOT NULL, rows INTEGER NOT NULL,
    time_min INTEGER NOT NULL, time_max INTEGER NOT NULL, tag_min INTEGER NOT NULL, tag_max INTEGER NOT NULL,
    unit TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, overlap INTEGER NOT NULL,
    bucket_ns INTEGER NOT NULL, made_of TEXT NOT NULL,
    PRIMARY KEY (site, day, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (
    site INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL,
    valid_to INTEGER, PRIMARY KEY (site, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tag_name ON tag (name);
CREATE TABLE IF NOT EXISTS refused (
    site TEXT NOT NULL, name TEXT NOT NULL, why TEXT NOT NULL, since_ns INTEGER NOT NULL,
    PRIMARY KEY (site, name)) WITHOUT ROWID;
"""
_SPOILT: Final = ""
"""In the place of a list: the day stands as it was, and all of it is read again until it is whole."""
_ENTRY: Final = tuple(name for name in Entry.__struct_fields__ if name != "tags")
"""What a rollup covers may be as long as a day has tags: it stays in the day's list."""
_SEGMENT: Final = tuple(name for name in Segment._fields if name not in {"path", "tags"})
_COLUMNS: Final = ", ".join(_ENTRY)


class Known(NamedTuple):
    """What was last taken in of a site."""

    number: int
    name: str
    root: int
    """The newest of which all was taken in."""
    state: str
    """Of that root; "" while something is refused."""
    wal: int
    received_ns: int
    shipped_ns: int
    taken_ns: int
    tags: str
    corrections: str
    newest: str


class Refused(NamedTuple):
    """A file that was not taken in."""

    site: str
    name: str
    why: str
    since_ns: int


class Taken(NamedTuple):
    """What one look at a site brought."""

    site: str
    root: int
    days: int
    """Days whose list is a new one."""
    files: int
    """Files read and found to be as listed."""
    refused: tuple[Refused, ...]


class GroupTag(NamedTuple):
    """A tag of one of the sites; `id` is the group's number for it."""

    id: int
    site: str
    info: TagInfo
    current: bool


class Size(NamedTuple):
    """How much a site has here."""

    days: int
    segments: int
    rollups: int
    rows: int
    bytes: int
    first_ns: int
    last_ns: int


class Stock:
    """One process of the centre takes stock; any thread may ask. `folder` is the centre's own.

    `named` says by what name a site ships what is looked at, see `shipped.waveforms_of`; each such stock has a
    file of its own, `name`.
    """

    def __init__(
        self, folder: Path, where: Place, *, name: str = NAME, named: Callable[[str], str] = lambda site: site
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.where, self._lock, self._named = where, threading.RLock(), named
        self._db = sqlite3.connect(folder / name, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # all of it can be taken anew from what was shipped
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def take(self, *, anew: bool = False) -> list[Taken]:
        """Look at every site's root and take in what is new. `anew` reads every file again.

        Raises OSError when the group's folder cannot be read. What is wrong at one site keeps no other
        from being taken in; it is in `refused`.
        """
        sites = sorted(filter(None, map(shipped.site_of, self.where.names(""))))
        return [self._take(self._named(site), anew=anew) for site in sites]

    def behind(self, names: Iterable[str]) -> bool:
        """Whether one of these sites, by the name that it ships by, sealed since stock was taken.

        What its tail let go of then is in segments that are not known here yet.
        """
        known = {each.name: each.wal for each in self.sites()}
        for name in names:
            listed = shipped.read_tail(self.where, name)
            if listed is not None and listed.wal > known.get(name, -1):
                return True
        return False

    def sites(self) -> list[Known]:
        """Every site taken in so far, in the order of their numbers."""
        with self._lock:
            rows = self._db.execute(f"SELECT {', '.join(Known._fields)} FROM site ORDER BY number").fetchall()  # noqa: S608  our own column names
        return [Known._make(row) for row in rows]

    def refused(self) -> list[Refused]:
        """What is not taken in, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT site, name, why, since_ns FROM refused ORDER BY since_ns").fetchall()
        return [Refused._make(row) for row in rows]

    def size(self, site: int) -> Size:
        """How much there is of one site."""
        with self._lock:
            row = self._db.execute(
                "SELECT count(DISTINCT day), sum(bucket_ns = 0), sum(bucket_ns > 0),"
                " sum(iif(bucket_ns = 0, rows, 0)), sum(bytes), min(time_min), max(time_max)"
                " FROM segment WHERE site = ?",
                (site,),
            ).fetchone()
        return Size(*(int(each or 0) for each in row))

    def tags(self, pattern: str, *, every: bool = False) -> list[GroupTag]:
        """The tags whose `site:name` fits a pattern of `*` and `?`; with `every` those no longer in use too."""
        site, colon, name = pattern.partition(":")
        site, name = (site, name) if colon else ("*", pattern)
        with self._lock:
            rows = self._db.execute(
                "SELECT site.number, site.name, id, tag.name, kind, unit, valid_to FROM tag"
                " JOIN site ON site.number = tag.site WHERE site.name GLOB ? AND tag.name GLOB ?"
                " AND (? OR valid_to IS NULL) ORDER BY site.number, id",
                (site, name, every),
            ).fetchall()
        return [
            GroupTag(number << TAG_BITS | tag, its, TagInfo(name=called, kind=ValueKind(kind), unit=unit), to is None)
            for number, its, tag, called, kind, unit, to in rows
        ]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent look at everything."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def opening_before(self, site: int, day: int) -> int | None:
        """The newest day up to `day` that has a snapshot."""
        with self._lock:
            row = self._db.execute(
                "SELECT max(day) FROM day WHERE site = ? AND day <= ? AND opening <> ''", (site, day)
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def openings(self, site: int, first_day: int, last_day: int) -> dict[int, str]:
        """The hash of each snapshot of these days."""
        with self._lock:
            return dict(
                self._db.execute(
                    "SELECT day, opening FROM day WHERE site = ? AND day BETWEEN ? AND ? AND opening <> ''",
                    (site, first_day, last_day),
                ).fetchall()
            )

    def segments(self, site: Known, first_day: int, last_day: int) -> list[Segment]:
        """The files of these days that count, in the order of their ids."""
        wanted = ", ".join(_SEGMENT)
        with self._lock:
            rows = self._db.execute(
                f"SELECT {wanted} FROM segment WHERE site = ? AND day BETWEEN ? AND ? ORDER BY id",  # noqa: S608  our own column names
                (site.number, first_day, last_day),
            ).fetchall()
        return [_segment(site.name, row) for row in rows]

    def lists(self, site: int, first_day: int, last_day: int) -> dict[int, str]:
        """The hash of the list of each of these days."""
        with self._lock:
            return dict(
                self._db.execute(
                    "SELECT day, list FROM day WHERE site = ? AND day BETWEEN ? AND ? AND list <> ?",
                    (site, first_day, last_day, _SPOILT),
                ).fetchall()
            )

    def hashes(self) -> set[tuple[str, str]]:
        """Site and hash of every file that counts."""
        with self._lock:
            rows = self._db.execute("SELECT name, sha256 FROM segment JOIN site ON number = site").fetchall()
        return set(rows)

    def _take(self, site: str, *, anew: bool) -> Taken:
        known = next((each for each in self.sites() if each.name == site), None)
        root_name = f"{shipped.folder_of(site)}/{shipped.ROOT}"
        try:
            root = shipped.read_root(self.where, site)
            if root is None:
                return Taken(site, 0, 0, 0, ())
            before = [each for each in self.refused() if each.site == site]
            if known is not None and known.state == root.state() and not before and not anew:
                self._seen(known, root)
                return Taken(site, root.number, 0, 0, ())
            return self._take_root(site, known, root, anew=anew)
        except StoreDamaged as error:
            refused = Refused(site, root_name, str(error), time.time_ns())
            self._refuse(site, [refused])
            return Taken(site, 0, 0, 0, (refused,))

    def _seen(self, known: Known, root: Root) -> None:
        if (known.root, known.wal) != (root.number, root.wal):
            with self._lock:
                self._db.execute(
                    "UPDATE site SET root = ?, wal = ?, received_ns = ?, shipped_ns = ? WHERE number = ?",
                    (root.number, root.wal, root.received_ns, root.shipped_ns, known.number),
                )

    def _take_root(self, site: str, known: Known | None, root: Root, *, anew: bool) -> Taken:
        folder = shipped.folder_of(site)
        with self._lock:
            listed = (
                {}
                if known is None
                else dict(self._db.execute("SELECT day, list FROM day WHERE site = ?", (known.number,)).fetchall())
            )
            checked = (
                set()
                if known is None or anew
                else {row[0] for row in self._db.execute("SELECT sha256 FROM segment WHERE site = ?", (known.number,))}
            )
        days: list[tuple[Day, str]] = []
        refused: list[Refused] = []
        spoilt: list[int] = []
        files = 0
        for date, name in sorted(root.days.items()):
            day = shipped.day_of(date)
            if listed.get(day) == name and not anew:
                continue
            try:
                trusted = set() if listed.get(day) == _SPOILT else checked
                found, read = self._check_day(site, f"{folder}/day={date}", name, trusted)
            except StoreDamaged as error:
                refused.append(Refused(site, f"{folder}/day={date}", str(error), time.time_ns()))
                spoilt.append(day)
                continue
            days.append((found, name))
            files += read
        for name in (f"{root.corrections}.msgpack", f"{root.newest}.arrow"):
            shipped.read_named(self.where, f"{folder}/{name}")
        tags = None
        if known is None or known.tags != root.tags:
            data = shipped.read_named(self.where, f"{folder}/{root.tags}.json")
            tags = msgspec.json.decode(data, type=list[TagEntry])
        gone = [day for day in listed if shipped.date_of(day) not in root.days]
        self._put(site, known, root, days, gone, tags, whole=not refused)
        with self._lock:
            self._db.executemany(
                "UPDATE day SET list = ? WHERE day = ? AND site = (SELECT number FROM site WHERE name = ?)",
                [(_SPOILT, day, site) for day in spoilt],
            )
        self._refuse(site, refused)
        self._keep(site, None if known is None or not refused else known.root)
        return Taken(site, root.number, len(days), files, tuple(refused))

    def _keep(self, site: str, number: int | None) -> None:
        """Let the site keep what a refused day stands on, until it is mended."""
        which = shipped.folder_of(site).replace("/", "-")
        name = f"{shipped.READERS}/{socket.gethostname()}-refuses-{which}.json"
        try:
            if number is None:
                self.where.remove(name)
            else:
                self.where.put(name, shipped.to_json(Hold(time.time_ns() + KEPT_NS, {site: number})))
        except OSError:
            return  # a folder that can only be read: the day stands as long as the site keeps it by itself

    def _check_day(self, site: str, folder: str, name: str, checked: set[str]) -> tuple[Day, int]:
        """A day's list with every file of it checked; how many had to be read. Raises StoreDamaged."""
        day = shipped.from_json(shipped.read_named(self.where, f"{folder}/{name}.json"), Day, name)
        if folder != f"{shipped.folder_of(site)}/day={shipped.date_of(day.day)}":
            msg = f"{folder}/{name}.json is a list of {shipped.date_of(day.day)}"
            raise StoreDamaged(msg)
        if day.opening:
            shipped.read_named(self.where, f"{folder}/{day.opening}.arrow")
        read = 0
        for each in day.files:
            if each.sha256 in checked and self.where.size(f"{folder}/{each.sha256}.parquet") == each.bytes:
                continue
            shipped.read_named(self.where, f"{folder}/{each.sha256}.parquet")
            read += 1
        return day, read

    def _put(  # noqa: PLR0913, PLR0917  all that one root changes
        self,
        site: str,
        known: Known | None,
        root: Root,
        days: Sequence[tuple[Day, str]],
        gone: Sequence[int],
        tags: Sequence[TagEntry] | None,
        *,
        whole: bool,
    ) -> None:
        marks = ", ".join("?" * (2 + len(_ENTRY)))
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                number = known.number if known else self._next_number()
                row = Known(
                    number, site, root.number if whole or known is None else known.root, root.state() if whole else "", root.wal, root.received_ns,
                    root.shipped_ns, time.time_ns(), root.tags, root.corrections, root.newest,
                )  # fmt: skip
                self._db.execute(
                    f"INSERT OR REPLACE INTO site ({', '.join(Known._fields)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608  our own column names
                    row,
                )
                for each in (*gone, *(day.day for day, _ in days)):
                    self._db.execute("DELETE FROM segment WHERE site = ? AND day = ?", (number, each))
                    self._db.execute("DELETE FROM day WHERE site = ? AND day = ?", (number, each))
                self._db.executemany(
                    "INSERT INTO day (site, day, list, opening) VALUES (?, ?, ?, ?)",
                    [(number, day.day, name, day.opening) for day, name in days],
                )
                self._db.executemany(
                    f"INSERT INTO segment (site, day, {_COLUMNS}) VALUES ({marks})",  # noqa: S608  our own column names
                    [
                        (number, day.day, *(getattr(each, name) for name in _ENTRY))
                        for day, _ in days
                        for each in day.files
                    ],
                )
                if tags is not None:
                    self._put_tags(number, tags)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _put_tags(self, number: int, tags: Sequence[TagEntry]) -> None:
        if any(each.id >> TAG_BITS for each in tags):
            msg = f"a site has tags beyond {1 << TAG_BITS}; the group's numbers hold no more"
            raise StoreDamaged(msg)
        self._db.execute("DELETE FROM tag WHERE site = ?", (number,))
        self._db.executemany(
            "INSERT INTO tag (site, id, name, kind, unit, valid_to) VALUES (?, ?, ?, ?, ?, ?)",
            [(number, e.id, e.info.name, str(e.info.kind), e.info.unit, e.valid_to_ns) for e in tags],
        )

    def _next_number(self) -> int:
        number = int(self._db.execute("SELECT coalesce(max(number), 0) + 1 FROM site").fetchone()[0])
        if number > MOST_SITES:
            msg = f"a centre takes in {MOST_SITES} sites; start a second one for the others"
            raise StoreDamaged(msg)
        return number

    def _refuse(self, site: str, refused: Sequence[Refused]) -> None:
        """What is refused of a site now; what was refused before and is so still keeps its time."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            since = dict(self._db.execute("SELECT name, since_ns FROM refused WHERE site = ?", (site,)).fetchall())
            self._db.execute("DELETE FROM refused WHERE site = ?", (site,))
            self._db.executemany(
                "INSERT INTO refused (site, name, why, since_ns) VALUES (?, ?, ?, ?)",
                [each._replace(since_ns=since.get(each.name, each.since_ns)) for each in refused],
            )
            self._db.execute("COMMIT")


def _segment(site: str, row: Sequence[Any]) -> Segment:
    fields = dict(zip(_SEGMENT, row, strict=True))
    path = shipped.file_name(site, fields["day"], fields["sha256"], "parquet")
    return Segment(path=path, **{**fields, "overlap": bool(fields["overlap"])})
