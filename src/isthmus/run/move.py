"""Moves records and people between the site's own files and a database, and counts both sides afterwards.

Tables of records are folded from the log, which stays where it is; people are copied. Nothing is taken
away from the place that was moved from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import UsageError
from isthmus.plantfile import PlantFile
from isthmus.run.database import database_of
from isthmus.site import views as folder_of_views
from isthmus.site.historian.sealed.leases import Held
from isthmus.site.historian.store import Store
from isthmus.site.records.database import Connection, Database
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.views_db import Views
from isthmus.web.accounts import TABLES, tables_of

_OWN: Final = frozenset({"views_known", "views_log"})


class Counted(NamedTuple):
    """One table's rows in both places."""

    table: str
    here: int
    there: int


def move(file: PlantFile, *, back: bool, replace: bool, tell: Callable[[str], None]) -> list[Counted]:
    """From the files to the database, or back; every table's rows in the files and in the database.

    Raises UsageError when a site runs, or when people are known already where they shall go.
    """
    with ExitStack() as stack:
        database = database_of_file(file)
        stack.callback(database.close)
        stack.enter_context(_alone(file))
        log = stack.enter_context(closing(RecordsLog(file.site.data / "log")))
        files = Views(file.site.data / "views.sqlite", folder_of_views.found())
        stack.callback(files.close)
        far = Views(database, folder_of_views.found())
        stack.callback(far.release)
        for views in (files, far):
            views.belongs_to(log.first, log.position)
            while (left := log.position - views.position) > 0:
                tell(f"{views.database.where}: {left:,} records to fold")
                before = views.position
                views.step(log)
                if views.position == before:
                    msg = f"{views.database.where}: a view stands still; see the log of the site"
                    raise UsageError(msg)
        people: list[Path | Database] = [file.web.data, database]
        _copy(*(people[::-1] if back else people), replace=replace)
        return [*_records(files, far), *_people(file.web.data, database)]


def database_of_file(file: PlantFile) -> PostgresDatabase:
    """The database that the file names. Raises UsageError when it names none."""
    found = database_of(file)
    if found is None:
        msg = f"{file.file} names no database: add database = 'postgresql://user@host/name' to [site]"
        raise UsageError(msg)
    return found


def _alone(file: PlantFile) -> Store:
    """History, opened: while we hold it no site of this folder can run."""
    try:
        return Store(file.site.data / "history", file.historian, background=False, what="isthmus database")
    except Held as error:
        raise UsageError(str(error.strerror)) from error


def _copy(origin: Path | Database, target: Path | Database, *, replace: bool) -> None:
    with closing(tables_of(origin)) as source, closing(tables_of(target)) as goal:
        if _count(goal, "person") and not replace:
            msg = "people are known there already; with --replace they give way to those from here"
            raise UsageError(msg)
        goal.execute("BEGIN")
        for table in TABLES:
            goal.execute(f"DELETE FROM {table}")  # noqa: S608  our own names
            for row in source.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608  as above
                names, marks = ", ".join(row.keys()), ", ".join("?" * len(row))
                goal.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row))  # noqa: S608  as above
        goal.execute("COMMIT")


def _records(files: Views, far: Views) -> Iterator[Counted]:
    with closing(files.database.connect()) as db:
        tables = [name for name, what in files.database.tables(db) if what == "table" and name not in _OWN]
    for table in sorted(tables):
        sql = f"SELECT count(*) AS n FROM {table}"  # noqa: S608  our own names
        yield Counted(table, files.query(sql)[0]["n"], far.query(sql)[0]["n"])


def _people(folder: Path, database: Database) -> Iterator[Counted]:
    with closing(tables_of(folder)) as here, closing(tables_of(database)) as there:
        for table in TABLES:
            yield Counted(table, _count(here, table), _count(there, table))


def _count(db: Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) AS n FROM {table}").fetchone()["n"])  # noqa: S608  our own names
