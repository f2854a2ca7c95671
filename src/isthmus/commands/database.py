"""Where records and people stand: in files beside the site, or in PostgreSQL.

    isthmus database check plant.toml      whether the database of [site] answers, and what stands in it
    isthmus database move plant.toml       bring records and people from the files to the database
    isthmus database back plant.toml       bring them back to the files

`move` and `back` want the site stopped. Both count every table on both sides at the end, and take nothing
away from where it was: with `database` in [site] the site uses the database, without it the files.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The task and the plant file."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, told in (
        ("check", "whether the database answers"),
        ("move", "from the files to the database"),
        ("back", "from the database to the files"),
    ):
        task = tasks.add_parser(name, help=told)
        task.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")
        if name != "check":
            task.add_argument("--replace", action="store_true", help="people that are there already give way")


def run(args: argparse.Namespace) -> int:
    """Do the task; 1 when a table does not hold the same on both sides."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.move import database_of_file, move  # noqa: PLC0415  as above

    file = load(args.file)
    if args.task == "check":
        database = database_of_file(file)
        db = database.connect()
        version = db.execute("SELECT current_setting('server_version') AS version").fetchone()["version"]
        print(f"{database.where} answers: version {version}, {len(database.tables(db))} tables")
        db.close()
        database.close()
        return 0
    counted = move(file, back=args.task == "back", replace=args.replace, tell=print)
    differ = [each for each in counted if each.here != each.there]
    for each in counted:
        if each.here or each.there:
            print(f"  {each.table:24} {each.here:>10,} in files {each.there:>10,} in the database")
    print(f"{len(differ)} tables differ" if differ else f"all {len(counted)} tables hold the same")
    return int(bool(differ))
