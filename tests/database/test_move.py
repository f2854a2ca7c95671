"""A site moves to the database and back with every record and every person, counted on both sides."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.model.records.people import JobStarted
from isthmus.site.historian.store import Store
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.views_db import Views
from isthmus.web.accounts import Accounts, Cost, Person
from postgres import Cluster
from spine import MONDAY

CHEAP = Cost(n=16, r=1, p=1)
GOOD = "three words do well"


def plant(folder: Path, address: str) -> Path:
    file = folder / "plant.toml"
    file.write_text(
        "[plant]\npath = 'acme/northgate'\nname = 'N'\n"
        f"[site]\ndata = '{folder / 'site'}'\ndatabase = '{address}'\n[web]\ndata = '{folder / 'web'}'\n"
    )
    return file


def lived(folder: Path) -> None:
    """What a site of files leaves behind."""
    log = RecordsLog(folder / "site" / "log")
    log.append(
        [
            JobStarted(path="acme/northgate/cnc", time_ns=MONDAY + n, order=str(n), by="ann", said_ns=MONDAY)
            for n in range(300)
        ]
    )
    log.close()
    people = Accounts(folder / "web", time.time_ns, cost=CHEAP)
    for name in ("ann", "Bob"):
        people.add(Person(name=name, full_name=name, role="administrator"), GOOD)
    people.close()


@pytest.mark.long
@pytest.mark.peer("postgresql")
def test_records_and_people_move_over_and_back_and_are_counted(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    address = postgres.database()
    file = plant(tmp_path, address)
    lived(tmp_path)
    assert main(["database", "check", str(file)]) == 0
    assert main(["database", "move", str(file)]) == 0
    said = capsys.readouterr().out
    assert "runs_begun                      300 in files        300 in the database" in said
    assert "person                            2 in files          2 in the database" in said
    database = PostgresDatabase(address)
    people = Accounts(database, time.time_ns, cost=CHEAP)
    assert people.log_in("BOB", GOOD, "x")
    people.add(Person(name="eve", full_name="Eve", role="operator"), GOOD)
    people.close()
    database.close()
    assert main(["database", "back", str(file)]) != 0  # people are known in the files
    assert "--replace" in capsys.readouterr().err
    (tmp_path / "site" / "views.sqlite").unlink()
    assert main(["database", "back", str(file), "--replace"]) == 0
    files = Accounts(tmp_path / "web", time.time_ns, cost=CHEAP)
    assert [person.name for person in files.people()] == ["ann", "Bob", "eve"]
    files.close()
    views = Views(tmp_path / "site" / "views.sqlite", [])
    assert views.query("SELECT count(*) AS n FROM facts")[0]["n"] == 300
    views.close()


@pytest.mark.peer("postgresql")
def test_nothing_moves_while_the_site_runs(
    tmp_path: Path, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    file = plant(tmp_path, postgres.database())
    lived(tmp_path)
    with Store(tmp_path / "site" / "history", background=False):
        assert main(["database", "move", str(file)]) != 0
    assert "is being written by the site" in capsys.readouterr().err
