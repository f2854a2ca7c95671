"""Spark and Sail over what sites shipped: the same answers as the reference, also when a worker is killed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from group import END, OPERATORS, STRETCHES, T0, Site, assert_same, two_sites, wanted

from isthmus.centre.centre import Centre
from isthmus.centre.cluster import Cluster
from isthmus.centre.session import Session
from isthmus.model import query as q
from isthmus.model.time import NS_PER_S

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))
from reference.spark import SAIL, SMALL, SPARK, SparkCluster, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def sites() -> Iterator[list[Site]]:
    with two_sites() as made:
        yield made


@pytest.fixture(scope="module")
def centre(sites: list[Site]) -> Iterator[Centre]:
    with Centre(sites[0].folder.parent / "centre", sites[0].group) as opened:
        opened.take()
        yield opened


def assert_every_operator(
    centre: Centre, sites: list[Site], cluster: Cluster, stretches: Sequence[tuple[int, int]] = STRETCHES
) -> None:
    numbers = {each.name: each.number for each in centre.stock.sites()}
    pasts = {numbers[each.name]: each.past() for each in sites}
    tags = [tag.id for tag in centre.stock.tags("*")]
    for operator in OPERATORS:
        for start_ns, end_ns in stretches:
            found = centre.query(operator, tags, start_ns, end_ns, engine=cluster)
            assert_same(found, wanted(operator, pasts, start_ns, end_ns), operator)


@pytest.mark.peer("sail")
def test_sail_says_what_the_reference_says(centre: Centre, sites: list[Site]) -> None:
    with Session("sail", SAIL / "bin" / "python") as session:
        assert_every_operator(centre, sites, Cluster(session))


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkCluster]:
    with TemporaryDirectory() as folder, SparkCluster(Path(folder)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def session(spark: SparkCluster) -> Iterator[Session]:
    with Session("spark", SPARK / "bin" / "python", master=spark.master, settings=SMALL) as opened:
        yield opened


@pytest.mark.peer("spark")
def test_spark_with_two_workers_says_what_the_reference_says(
    centre: Centre, sites: list[Site], spark: SparkCluster, session: Session
) -> None:
    assert spark.alive() == 2
    assert_every_operator(centre, sites, Cluster(session), STRETCHES[:1])
    assert spark.alive() == 2


@pytest.mark.peer("spark")
def test_a_worker_killed_in_mid_query_costs_no_answer(centre: Centre, spark: SparkCluster, session: Session) -> None:
    """Three days by the second are two million stretches: long enough to be cut in the middle."""
    numeric = [tag.id for tag in centre.stock.tags("acme/*:plc/t[1256]")]
    operator = q.TimeWeightedMean(bucket_ns=NS_PER_S)
    expected = centre.query(operator, numeric, T0, END)
    assert expected.num_rows > 1_000_000
    assert spark.alive() == 2
    before, _ = spark.tasks()
    answers: list[pa.Table | BaseException] = []

    def ask() -> None:
        try:
            answers.append(centre.query(operator, numeric, T0, END, engine=Cluster(session)))
        except BaseException as error:  # noqa: BLE001  told to the test
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()

    def at_work() -> bool:
        begun, ended = spark.tasks()
        return begun > before and begun > ended

    until(at_work, "a task of this query on the worker")
    spark.kill_worker()
    begun, ended = spark.tasks()
    assert begun > ended, "the worker had done all that it was given"
    assert not answers
    asking.join(400)
    assert answers, "no answer came"
    assert not isinstance(answers[0], BaseException), answers[0]
    until(lambda: spark.alive() == 1, "the master's word that one worker is left")
    found = answers[0]
    assert found.select(["tag", "bucket_ns", "good_ns"]).equals(expected.select(["tag", "bucket_ns", "good_ns"]))
    np.testing.assert_allclose(found["mean"].to_numpy(), expected["mean"].to_numpy(), rtol=1e-9, atol=1e-9)
