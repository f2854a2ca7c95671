"""A whole site by its plant file, with a bus and a database: joined, fed, and closed in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bus_sites import published, publishing, section, wait_for
from nats_servers import kept, one

from isthmus.model.query import Raw
from isthmus.model.records.people import JobStarted
from isthmus.plantfile import load
from isthmus.run.site import open_site
from postgres import Cluster

PLANT_FILE = """
[plant]
name = "Northgate Works"
path = "acme/northgate"
[site]
listen = "127.0.0.1:{link}"
data = "{folder}/site"
database = "{database}"
[bus]
kind = "nats"
servers = ["{server}"]
monitor = ["{monitor}"]
replicas = 1
[[zone]]
name = "control"
kind = "control"
"""


@pytest.mark.peer("nats")
@pytest.mark.peer("postgresql")
def test_a_site_with_a_bus_and_a_database_says_each_fact_to_both_and_ends_in_order(
    tmp_path: Path, free_port: Callable[[], int], postgres: Cluster
) -> None:
    with one(tmp_path / "nats", free_port) as server:
        file = tmp_path / "plant.toml"
        file.write_text(
            PLANT_FILE.format(
                link=free_port(),
                folder=tmp_path,
                database=postgres.database(),
                server=server.address,
                monitor=server.watched,
            )
        )
        found, ended_s = asyncio.run(told(file))
        assert found == 40
        assert ended_s < 15
        assert len(kept(server, "isthmus.records.JobStarted.acme.northgate.>")) == 40


async def told(file: Path) -> tuple[int, float]:
    """Say forty facts; how many stand in the tables, and how long the site took to end, s."""
    plant = load(file)
    async with open_site(plant) as site:
        for n in range(40):
            said = JobStarted(path="acme/northgate/cnc", time_ns=n + 1, order=str(n), by="ann", said_ns=1)
            await asyncio.to_thread(site.append, [said])
        rows = await asyncio.to_thread(site.views.query, "SELECT count(*) AS n FROM runs_begun")
        marks = plant.site.data / "bus" / "marks.json"
        until = time.monotonic() + 20
        while not marks.exists() or f'"at":{site.log.position}' not in marks.read_text():
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        ending = time.monotonic()
    return int(rows[0]["n"]), time.monotonic() - ending


READING = """
[plant]
name = "Centre"
path = "acme/centre"
[site]
listen = "127.0.0.1:{link}"
data = "{folder}/centre"
[bus]
kind = "nats"
servers = ["{server}"]
monitor = ["{monitor}"]
replicas = 1
publish = false
read = ["acme/northgate"]
[[zone]]
name = "control"
kind = "control"
"""


@pytest.mark.peer("nats")
def test_a_centre_by_its_plant_file_takes_in_what_another_plant_publishes(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with one(tmp_path / "nats", free_port) as server, publishing(tmp_path / "site", section(server)) as site:
        publisher = site.begin()
        site.take(30)
        wait_for(lambda: published(publisher))
        file = tmp_path / "centre.toml"
        file.write_text(
            READING.format(link=free_port(), folder=tmp_path, server=server.address, monitor=server.watched)
        )
        assert asyncio.run(read(file)) == list(range(1, 31))


async def read(file: Path) -> list[int]:
    """What the centre's history has of the other plant's parts, once it has all."""
    async with open_site(load(file)) as centre:
        until = time.monotonic() + 20
        while True:
            number = centre.tags.find("plc/parts")
            found = (
                [] if number is None else centre.historian.query(Raw(), [number], 0, 1 << 62).column("i64").to_pylist()
            )
            if len(found) == 30 or time.monotonic() > until:
                return found
            await asyncio.sleep(0.1)
