"""What the centre knows of its sites' logs of records, in SQLite: which runs it has checked, and how far each chain is.

    log      site, first, head, ...     a site's log: its first frame, and the newest frame that was checked
    run      site, at, ...              its runs in order, each read, of the hash that is listed, and in the chain
    refused  site, name, why, since     what was not taken in, until it is mended

A run counts only if its bytes are as listed and its first frame names the last one before it. What was
taken in once is never replaced by something else: a log that does not go on from the frame that the
centre holds is refused, until a person says that it was restored (`accept`). So the centre is also the
witness of each site's log: what was shipped cannot be changed at the site unseen.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.centre.stock import Refused
from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Place
from isthmus.site.records import shipped_log as form
from isthmus.site.records.shipped_log import Link, LogRoot, Run

NAME: Final = "records.sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log (
    site TEXT PRIMARY KEY, root INTEGER NOT NULL, first TEXT NOT NULL, number INTEGER NOT NULL, head TEXT NOT NULL,
    position INTEGER NOT NULL, lists TEXT NOT NULL, shipped_ns INTEGER NOT NULL, taken_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (
    site TEXT NOT NULL, at INTEGER NOT NULL, sealed INTEGER NOT NULL, time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (site, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    site TEXT NOT NULL, name TEXT NOT NULL, why TEXT NOT NULL, since_ns INTEGER NOT NULL,
    PRIMARY KEY (site, name)) WITHOUT ROWID;
"""


class Known(NamedTuple):
    """What was taken in of a site's log."""

    site: str
    root: int
    """The newest root of which all was taken in; 0 while something is refused."""
    first: str
    number: int
    """Of the newest frame, and its hash: on paper it dates the log."""
    head: str
    position: int
    """How many records there are."""
    lists: str
    """The lists that were read, as JSON."""
    shipped_ns: int
    taken_ns: int


class Held(NamedTuple):
    """A run that was checked."""

    run: Run
    sealed: bool


class TakenLog(NamedTuple):
    """What one look at a site's log brought."""

    site: str
    records: int
    files: int
    """Files read and found to be as listed."""
    refused: tuple[Refused, ...]


class _Walk:
    """How far the check of one site's runs came."""

    def __init__(self, site: str, known: Known | None, held: Sequence[Held]) -> None:
        self.site, self.known = site, known
        self.held = list(held)
        newest = held[-1].run if held else None
        self.link = form.NOTHING if newest is None else Link(newest.last, newest.after, newest.position + newest.rows)
        self.files = 0
        self.met = known is None or self.link[:2] == (known.number, known.head)
        """Whether the frame that the centre holds as the newest stands in the chain."""


class RecordStock:
    """One process of the centre takes stock; any thread may ask. `folder` is the centre's own."""

    def __init__(self, folder: Path, where: Place) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.where, self._lock = where, threading.RLock()
        self._db = sqlite3.connect(folder / NAME, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "PRAGMA synchronous = FULL"
        )  # the head is a witness: it is not made anew from what it vouches for
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def take(self, *, anew: bool = False) -> list[TakenLog]:
        """Look at every site's log and take in what is new. `anew` reads every file again.

        Raises OSError when the group's folder cannot be read. What is wrong at one site is in `refused`.
        """
        sites = sorted(filter(None, map(shipped.site_of, self.where.names(""))))
        return [self._take(site, anew=anew) for site in sites]

    def accept(self, site: str) -> TakenLog | None:
        """Forget what was taken in of a site and take in what is there now; None for a site that ships no records."""
        if form.read_root(self.where, site) is None:
            return None
        with self._lock:
            self._db.execute("DELETE FROM run WHERE site = ?", (site,))
            self._db.execute("DELETE FROM log WHERE site = ?", (site,))
        return self._take(site, anew=True)

    def logs(self) -> list[Known]:
        """Every site's log, by the site's name."""
        with self._lock:
            rows = self._db.execute(f"SELECT {', '.join(Known._fields)} FROM log ORDER BY site").fetchall()  # noqa: S608  our own column names
        return [Known._make(row) for row in rows]

    def refused(self) -> list[Refused]:
        """What is not taken in, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT site, name, why, since_ns FROM refused ORDER BY since_ns").fetchall()
        return [Refused._make(row) for row in rows]

    def runs(self, site: str, start_ns: int = -(1 << 63), end_ns: int = (1 << 63) - 1) -> list[Held]:
        """The checked runs of a site that may hold records of [start_ns, end_ns), in the order of the log."""
        with self._lock:
            rows = self._db.execute(
                "SELECT body, sealed FROM run WHERE site = ? AND time_max >= ? AND time_min < ? ORDER BY at",
                (site, start_ns, end_ns),
            ).fetchall()
        return [Held(msgspec.json.decode(body, type=Run), bool(sealed)) for body, sealed in rows]

    def read(self, site: str, held: Held) -> bytes:
        """The bytes of a checked run. Raises StoreDamaged when they are gone or are others now."""
        return shipped.read_named(self.where, form.run_name(site, held.run, sealed=held.sealed))

    def breaks(self, site: str) -> list[int]:
        """The frames before which the site's own log is broken, as it says itself."""
        return [each.run.first for each in self.runs(site) if each.run.broken]

    def _take(self, site: str, *, anew: bool) -> TakenLog:
        name = f"{shipped.folder_of(site)}/{form.ROOT}"
        known = next((each for each in self.logs() if each.site == site), None)
        try:
            root = form.read_root(self.where, site)
            if root is None:
                return self._without(site, name, known)
            if known is not None and known.root == root.number and not anew:
                self._seen(site, root)
                return TakenLog(site, 0, 0, ())
            return self._take_root(root, known, anew=anew)
        except StoreDamaged as error:
            return self._refuse(site, name, str(error))

    def _without(self, site: str, name: str, known: Known | None) -> TakenLog:
        if known is None:
            return TakenLog(site, 0, 0, ())
        return self._refuse(site, name, f"{name} is not there any more")

    def _take_root(self, root: LogRoot, known: Known | None, *, anew: bool) -> TakenLog:
        site, name = root.site, f"{shipped.folder_of(root.site)}/{form.ROOT}"
        before = [each for each in self.runs(site) if each.sealed]
        sealed = self._sealed(root, known, before, anew=anew)
        mine, theirs = [each.run for each in before], sealed[: len(before)]
        if known is not None and (root.first != known.first or theirs != mine):
            return self._refuse(site, name, _replaced(site, known))
        walk = _Walk(site, known, [] if anew else before)
        wrong = self._walk(walk, [*(Held(run, sealed=True) for run in sealed[len(walk.held) :]), *_opened(root)])
        if known is not None and not walk.met:
            return self._refuse(site, *(wrong or (name, _replaced(site, known))), files=walk.files)
        self._put(root, walk, whole=wrong is None)
        records = walk.link.position - (known.position if known else 0)
        if wrong is not None:
            return self._refuse(site, *wrong, files=walk.files, records=records)
        with self._lock:
            self._db.execute("DELETE FROM refused WHERE site = ?", (site,))
        return TakenLog(site, records, walk.files, ())

    def _sealed(self, root: LogRoot, known: Known | None, before: Sequence[Held], *, anew: bool) -> list[Run]:
        """Every sealed run; lists that were read before are not read again."""
        read: tuple[str, ...] = () if known is None else tuple(msgspec.json.decode(known.lists, type=list[str]))
        whole = anew or root.lists[: len(read)] != read
        runs = [] if whole else [each.run for each in before[: len(read) * form.LIST_RUNS]]
        for name in root.lists if whole else root.lists[len(read) :]:
            runs += form.read_list(self.where, root.site, name)
        return [*runs, *root.runs]

    def _walk(self, walk: _Walk, ahead: Sequence[Held]) -> tuple[str, str] | None:
        """Check run after run; the first that is not as listed ends it: its name, and why."""
        for held in ahead:
            name = form.run_name(walk.site, held.run, sealed=held.sealed)
            try:
                wrong = self._check(walk, held)
            except StoreDamaged as error:
                wrong = str(error)
            if wrong:
                return name, wrong
            walk.held.append(held)
        return None

    def _check(self, walk: _Walk, held: Held) -> str:
        """Why a run is not the next of the chain; "" when it is. Raises StoreDamaged."""
        run, known = held.run, walk.known
        name = form.run_name(walk.site, run, sealed=held.sealed)
        expected = Link(run.first - 1, run.before, run.position)
        if expected != walk.link and not run.broken:
            return (
                f"{name} begins with frame {run.first} behind {run.before[:16]}, and the run before it ends with "
                f"frame {walk.link.number}, {walk.link.head[:16]}: a run is missing, or stands out of its place"
            )
        pieces = list(form.pieces_of(shipped.read_named(self.where, name)))
        walk.files += 1
        if not pieces:
            return f"{name} holds no frame"
        actual, _ = form.run_of(pieces, broken=run.broken)
        if msgspec.structs.replace(actual, start=run.start, end=run.end) != run:
            return f"{name} does not hold the frames that are listed of it"
        if known is not None and run.first <= known.number <= run.last:
            (found,) = (each for each in pieces if each.frame.seq == known.number)
            if form.hash_of(found.packed) != known.head:
                return _replaced(walk.site, known)
            walk.met = True
        walk.link = Link(run.last, run.after, run.position + run.rows)
        return ""

    def _seen(self, site: str, root: LogRoot) -> None:
        with self._lock:
            self._db.execute("UPDATE log SET shipped_ns = ? WHERE site = ?", (root.shipped_ns, site))

    def _put(self, root: LogRoot, walk: _Walk, *, whole: bool) -> None:
        lists = root.lists if whole else ()
        row = Known(
            root.site, root.number if whole else 0, root.first, walk.link.number, walk.link.head, walk.link.position,
            shipped.to_json(lists).decode(), root.shipped_ns, time.time_ns(),
        )  # fmt: skip
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                had = int(
                    self._db.execute("SELECT count(*) FROM run WHERE site = ? AND sealed", (root.site,)).fetchone()[0]
                )
                self._db.execute("DELETE FROM run WHERE site = ? AND NOT sealed", (root.site,))
                self._db.executemany("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?)", _rows(walk, had))
                self._db.execute(
                    f"INSERT OR REPLACE INTO log ({', '.join(row._fields)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608  our own column names
                    row,
                )
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _refuse(self, site: str, name: str, why: str, *, files: int = 0, records: int = 0) -> TakenLog:
        """Nothing of what is refused counts; what was refused before and is so still keeps its time."""
        with self._lock:
            row = self._db.execute("SELECT since_ns FROM refused WHERE site = ? AND name = ?", (site, name)).fetchone()
            refused = Refused(site, name, why, int(row[0]) if row else time.time_ns())
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM refused WHERE site = ?", (site,))
            self._db.execute("INSERT INTO refused (site, name, why, since_ns) VALUES (?, ?, ?, ?)", refused)
            self._db.execute("UPDATE log SET root = 0 WHERE site = ?", (site,))  # looked at again until it is mended
            self._db.execute("COMMIT")
        return TakenLog(site, records, files, (refused,))


def _opened(root: LogRoot) -> Iterator[Held]:
    return (Held(run, sealed=False) for run in root.open)


def _rows(walk: _Walk, had: int) -> Iterator[tuple[str, int, bool, int, int, str]]:
    """What is new of a site's runs: sealed ones that are there already stay as they are."""
    for at, (run, sealed) in enumerate(walk.held):
        if at >= had:
            yield walk.site, at, sealed, run.time_min, run.time_max, shipped.to_json(run).decode()


def _replaced(site: str, known: Known) -> str:
    return (
        f"the records of {site} do not go on from frame {known.number} ({known.head[:16]}), which was taken in: the "
        "site's log was changed, or restored from a backup. What was taken in stands; if it was restored, "
        f"`isthmus centre accept {site}` takes in what is there now"
    )
