"""History by address: the operators' answers, in four formats, for whoever is logged in."""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from litestar import Litestar
from litestar.exceptions import ServiceUnavailableException
from litestar.testing import TestClient
from visits import make_client, make_fresh, make_told, make_visit  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model import query as q
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import iso
from isthmus.model.waveforms import bursts
from isthmus.site.historian.corrections import Correction
from isthmus.web import history_files
from isthmus.web.history_api import QUESTIONS
from isthmus.web.respond import Queue, in_thread
from web_world import Visitor

Visit = Callable[[str], Visitor]


def stretch(told: worlds.World) -> tuple[int, int]:
    return told.now_ns - 1300 * 10**9, told.now_ns


def address(question: str, told: worlds.World, more: str = "") -> str:
    start, end = stretch(told)
    return f"/api/history/{question}?tag=paint/load&from={start}&to={end}{more}"


def test_nobody_reads_history_without_logging_in(client: TestClient[Litestar], told: worlds.World) -> None:
    client.cookies.clear()
    for each in ("tags", "corrections", "bursts", *QUESTIONS):
        assert client.get(address(each, told)).status_code == 401


@pytest.mark.parametrize(
    ("question", "operator", "more"),
    [
        ("last", q.Last(), ""),
        ("raw", q.Raw(before=True), "&before=true"),
        ("aggregate", q.Aggregate(bucket_ns=300 * 10**9), "&every_s=300"),
        ("time-weighted-mean", q.TimeWeightedMean(bucket_ns=300 * 10**9), "&every_s=300"),
        ("decimate", q.Decimate(points=20, method="lttb"), "&points=20&method=lttb"),
        ("counter-delta", q.CounterDelta(bucket_ns=300 * 10**9, width=16), "&every_s=300&bits=16"),
        ("integral", q.Integral(bucket_ns=300 * 10**9), "&every_s=300"),
        ("coverage", q.Coverage(bucket_ns=300 * 10**9), "&every_s=300"),
        ("gaps", q.Gaps(longer_ns=5 * 10**9), "&longer_s=5"),
        ("top-reasons", q.TopReasons(limit=3), "&limit=3"),
    ],
)
def test_each_address_answers_as_its_operator(
    visit: Visit, told: worlds.World, question: str, operator: q.Operator, more: str
) -> None:
    tag = told.site.tags.find("paint/load")
    assert tag is not None
    expected = told.site.historian.query(operator, [tag], *stretch(told))
    assert expected.num_rows > 0
    visitor = visit("operator")
    rows = visitor.get(address(question, told, more)).json()["rows"]
    assert [{key: value for key, value in row.items() if key != "name"} for row in rows] == expected.to_pylist()
    parquet = pq.read_table(io.BytesIO(visitor.get(address(question, told, f"{more}&format=parquet")).content))
    assert parquet.select(expected.column_names).equals(expected)
    arrow = pa.ipc.open_stream(visitor.get(address(question, told, f"{more}&format=arrow")).content).read_all()
    assert arrow.equals(parquet)
    csv = visitor.get(address(question, told, f"{more}&format=csv"))
    assert csv.headers["content-disposition"] == f'attachment; filename="{question}.csv"'
    assert csv.text.count("\n") == expected.num_rows + 1


def test_windows_and_moments_are_asked_by_address(visit: Visit, told: worlds.World) -> None:
    start, end = stretch(told)
    rows = visit("quality").get(address("state-durations", told, "&every_s=600")).json()["rows"]
    assert {row["window"] for row in rows} <= {0, 1, 2}
    assert sum(row["duration_ns"] for row in rows) <= end - start
    at = iso(end - 10**9)
    [row] = visit("quality").get(address("as-of", told, f"&at={at}")).json()["rows"]
    assert (row["name"], row["at_ns"]) == ("paint/load", end - 10**9)


def test_what_was_put_right_is_told_and_history_as_it_was_known_then_too(visit: Visit, told: worlds.World) -> None:
    visitor, tag = visit("quality"), told.site.tags.find("pack/load")
    assert tag is not None
    there = f"/api/history/raw?tag=pack/load&from={stretch(told)[0]}&to={stretch(told)[1]}"
    before = visitor.get(there).json()["rows"]
    now = time.time_ns()
    at = before[0]["time_ns"]
    told.site.historian.correct(
        [Correction(tag=tag, time_ns=at, value=-77.5, said_ns=now, by="Ann", why="sensor stuck")]
    )
    assert visitor.get(there).json()["rows"][0]["f64"] == -77.5
    assert visitor.get(f"{there}&known={now - 1}").json()["rows"] == before
    assert visitor.get(f"{there}&format=csv").text.splitlines()[1].split(",")[4] == "-77.5"
    [said] = [one for one in visitor.get("/api/history/corrections").json()["rows"] if one["name"] == "pack/load"]
    assert (said["by"], said["why"], said["value"]) == ("Ann", "sensor stuck", -77.5)


def test_bursts_are_given_with_their_readings(visit: Visit, told: worlds.World) -> None:
    [tag] = told.site.tags.intern_all([TagInfo(name="paint/burst", kind=ValueKind.WAVEFORM)])
    burst = bursts([tag], [told.now_ns - 10**9], [0], [39062.5], [[0.5, -1.5]])
    told.site.historian.append([Batch(99, 1, 1, told.now_ns, burst)])
    there = f"/api/history/bursts?tag=paint/burst&from={stretch(told)[0]}&to={told.now_ns}"
    [row] = visit("maintenance").get(there).json()["rows"]
    assert (row["name"], row["interval_ns"], row["value"]) == ("paint/burst", 39062.5, [0.5, -1.5])
    assert pq.read_table(io.BytesIO(visit("maintenance").get(f"{there}&format=parquet").content)).num_rows == 1


@pytest.mark.parametrize(
    ("asked", "status", "word"),
    [
        ("/api/history/raw", 400, "Name one to 5,000 tags"),
        ("/api/history/raw?tag=no/such*", 400, "Name one to 5,000 tags"),
        ("/api/history/raw?tag=no/such", 404, "No tag is called"),
        ("/api/history/median?tag=paint/load", 404, "History answers no question"),
        ("/api/history/raw?tag=paint/load&from=yesterday", 400, "is no moment"),
        ("/api/history/raw?tag=paint/load&from=5&to=5", 400, "must lie before"),
        ("/api/history/raw?tag=paint/load&from=99999999999999999999", 400, "outside"),
        ("/api/history/aggregate?tag=paint/load&from=0&every_s=0.001", 400, "take a larger every_s"),
        ("/api/history/last?tag=paint/load&format=xml", 400, "format"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(visit: Visit, asked: str, status: int, word: str) -> None:
    answer = visit("operator").get(asked)
    assert (answer.status_code, word in answer.text) == (status, True), answer.text


def test_more_rows_than_a_format_gives_are_refused_before_they_are_read(
    visit: Visit, told: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(worlds_limits(), "json", 10)
    answer = visit("operator").get(address("raw", told))
    assert answer.status_code == 400
    assert "format=parquet" in answer.text
    assert visit("operator").get(address("raw", told, "&format=parquet")).status_code == 200


def worlds_limits() -> dict[str, int]:
    from isthmus.web import history_api  # noqa: PLC0415  only this test turns it down

    return history_api.MOST_ROWS


def test_what_a_tag_was_before_its_kind_changed_is_asked_for_by_its_number(visit: Visit, told: worlds.World) -> None:
    tags, end = told.site.tags, told.now_ns
    old = TagInfo(name="paint/changed", kind=ValueKind.F64, unit="degF")
    [first] = tags.intern_all([old])
    before = columns(ValueKind.F64, [first] * 2, [end - 4 * 10**9, end - 3 * 10**9], [0, 0], [70.5, 71.5])
    told.site.historian.append([Batch(77, 1, 1, end, before)])
    [second] = tags.intern_all([TagInfo(name="paint/changed", kind=ValueKind.I64, unit="degC")])
    after = columns(ValueKind.I64, [second], [end - 2 * 10**9], [0], [21])
    told.site.historian.append([Batch(77, 1, 2, end, after)])

    visitor = visit("operator")
    names = {row["name"] for row in visitor.get("/api/history/tags").json()["rows"]}
    listed = {row["name"]: row for row in visitor.get("/api/history/tags?former=true").json()["rows"]}
    former = f"paint/changed#{first}"
    assert former not in names
    assert (listed[former]["kind"], listed[former]["unit"], listed["paint/changed"]["unit"]) == ("f64", "degF", "degC")
    assert listed[former]["until"].endswith("Z")

    def asked(name: str) -> list[tuple[str, object]]:
        there = f"/api/history/raw?tag={name.replace('#', '%23')}&from={end - 10**10}&to={end}"
        return [(row["name"], row["f64"] or row["i64"]) for row in visitor.get(there).json()["rows"]]

    assert asked("paint/changed") == [("paint/changed", 21)]
    assert asked(former) == [(former, 70.5), (former, 71.5)]
    assert visitor.get("/api/history/raw?tag=paint/load%23" + str(first)).status_code == 404


def test_a_file_made_in_many_pieces_is_the_answer(
    visit: Visit, told: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_files, "PIECE_ROWS", 50)
    start, end = stretch(told)
    there = f"/api/history/raw?tag=pa*/load&from={start - 3 * 86400 * 10**9}&to={end}&before=true"
    tags = sorted(each for each, info in told.site.tags.all().items() if re.fullmatch("pa.*/load", info.name))
    expected = told.site.historian.query(q.Raw(before=True), tags, start - 3 * 86400 * 10**9, end)
    assert expected.num_rows > 50
    visitor = visit("quality")
    parquet = visitor.get(f"{there}&format=parquet")
    table = pq.read_table(io.BytesIO(parquet.content))
    assert table.select(expected.column_names).equals(expected)
    assert set(table["name"].to_pylist()) == {told.site.tags.info(tag).name for tag in tags}
    arrow = pa.ipc.open_stream(visitor.get(f"{there}&format=arrow").content)
    assert arrow.read_all().equals(table)
    assert visitor.get(f"{there}&format=csv").text.count("\n") == expected.num_rows + 1


def test_history_asked_by_too_many_at_once_says_so_and_pages_do_not_wait() -> None:
    line, go = Queue("test", at_once=1, waiting=1), threading.Event()

    async def ask() -> list[object]:
        asked = [asyncio.ensure_future(line(go.wait)(20)) for _ in range(3)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(in_thread(lambda: "page")(), 5) == "page"
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert (first, second) == (True, True)
    assert isinstance(third, ServiceUnavailableException)


def test_a_question_that_touches_a_damaged_file_names_it_and_all_others_are_answered(fresh: worlds.World) -> None:
    [tag] = fresh.site.tags.intern_all([TagInfo(name="old/flow", kind=ValueKind.F64)])
    day = fresh.now_ns - 40 * 86400 * 10**9
    fresh.site.historian.append([Batch(88, 1, 1, day, columns(ValueKind.F64, [tag], [day], [0], [1.5]))])
    fresh.site.historian.seal()  # type: ignore[attr-defined]
    folder = fresh.site.historian.folder  # type: ignore[attr-defined]
    [path] = folder.glob(f"segments/day={iso(day)[:10]}/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with TestClient(fresh.app) as client:
        visitor = Visitor(client, "quality")
        answer = visitor.get(f"/api/history/raw?tag=old/flow&from={day - 1}&to={day + 1}")
        assert answer.status_code == 500
        assert path.name in answer.text
        assert "isthmus history mend" in answer.text
        assert visitor.get(address("raw", fresh)).status_code == 200
