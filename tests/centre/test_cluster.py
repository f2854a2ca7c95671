"""Spark and Sail over what sites shipped: the same answers as the reference, also when a worker is killed."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from clusters import SAIL, SMALL, SPARK, SparkCluster, free_port, until
from group import END, OPERATORS, STRETCHES, T0, Site, assert_same, three_days, wanted

from isthmus.centre.centre import Centre
from isthmus.centre.cluster import Cluster
from isthmus.centre.session import Session
from isthmus.model import query as q
from isthmus.model.time import NS_PER_S

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    folder = tmp_path_factory.mktemp("group")
    made = [Site(folder, folder / "group", name, seed) for seed, name in enumerate(("acme/north", "acme/south"), 1)]
    for each in made:
        three_days(each)
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def centre(sites: list[Site]) -> Iterator[Centre]:
    with Centre(sites[0].folder.parent / "centre", sites[0].group) as opened:
        opened.take()
        yield opened


def assert_every_operator(centre: Centre, sites: list[Site], cluster: Cluster) -> None:
    numbers = {each.name: each.number for each in centre.stock.sites()}
    pasts = {numbers[each.name]: each.past() for each in sites}
    tags = [tag.id for tag in centre.stock.tags("*")]
    for operator in OPERATORS:
        for start_ns, end_ns in STRETCHES:
            found = centre.query(operator, tags, start_ns, end_ns, engine=cluster)
            assert_same(found, wanted(operator, pasts, start_ns, end_ns), operator)


@pytest.mark.peer("sail")
def test_sail_says_what_the_reference_says(centre: Centre, sites: list[Site]) -> None:
    with Session("sail", SAIL / "bin" / "python") as session:
        assert_every_operator(centre, sites, Cluster(session))


@pytest.mark.peer("spark")
def test_spark_with_two_workers_says_so_and_goes_on_when_one_is_killed_in_mid_query(
    centre: Centre, sites: list[Site], tmp_path: Path
) -> None:
    page = free_port()
    settings = {**SMALL, "spark.ui.enabled": "true", "spark.ui.port": str(page)}
    with (
        SparkCluster(tmp_path) as spark,
        Session("spark", SPARK / "bin" / "python", master=spark.master, settings=settings) as session,
    ):
        assert_every_operator(centre, sites, Cluster(session))

        # Three days by the second are millions of stretches: long enough to be cut in the middle.
        numeric = [tag.id for tag in centre.stock.tags("acme/*:plc/t[1256]")]
        operator = q.TimeWeightedMean(bucket_ns=NS_PER_S)
        expected = centre.query(operator, numeric, T0, END)
        answers: list[pa.Table | BaseException] = []

        def ask() -> None:
            try:
                answers.append(centre.query(operator, numeric, T0, END, engine=Cluster(session)))
            except BaseException as error:  # noqa: BLE001  told to the test
                answers.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        busy = until(lambda: active_tasks(page), "a query at work on both workers", 60)
        assert busy
        assert not answers, "the query was over before a worker could be killed in the middle of it"
        spark.kill_worker()
        assert not answers
        asking.join(300)
        assert not isinstance(answers[0], BaseException), answers[0]
        assert spark.alive() == 1 or until(lambda: spark.alive() == 1, "the master's word that one worker is left")
        found = answers[0]
        assert found.num_rows == expected.num_rows
        assert found.select(["tag", "bucket_ns", "good_ns"]) == expected.select(["tag", "bucket_ns", "good_ns"])
        assert_same(
            found.slice(0, 5000), [tuple(row.values()) for row in expected.slice(0, 5000).to_pylist()], operator
        )


def active_tasks(page: int) -> bool:
    """Whether both executors are at work this moment."""
    base = f"http://127.0.0.1:{page}/api/v1/applications"
    with urllib.request.urlopen(base, timeout=5) as answer:
        application = json.load(answer)[0]["id"]
    with urllib.request.urlopen(f"{base}/{application}/executors", timeout=5) as answer:  # noqa: S310  loopback
        executors = [each for each in json.load(answer) if each["id"] != "driver"]
    return len(executors) > 1 and all(each["activeTasks"] for each in executors)
