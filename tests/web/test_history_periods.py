"""History by the plant's own clock: days with 23, 24 and 25 hours, months, shifts, and no figure of what is to come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from visits import make_client, make_told, make_visit  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_HOUR, NS_PER_S, iso, parse
from web_world import Visitor

Visit = Callable[[str], Visitor]
FIRST = parse("2025-10-25T00:00:00+01:00")
HOURS = 24 + 25 + 24


@pytest.fixture(name="meter", scope="module", autouse=True)
def make_meter(told: worlds.World) -> None:
    """Ten units an hour over the end of summer time, and two hours in which nobody read it."""
    [tag] = told.site.tags.intern_all([TagInfo(name="energy/meter", kind=ValueKind.I64)])
    hours = [each for each in range(HOURS + 1) if each not in {48, 49}]
    rows: list[tuple[int, int, int | None]] = [(FIRST + each * NS_PER_HOUR, 0, 10 * each) for each in hours]
    rows += [(FIRST + 48 * NS_PER_HOUR, 0x80050000, None)]
    time_ns, status, value = (list(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True))
    batch = columns(ValueKind.I64, [tag] * len(rows), time_ns, status, value)
    told.site.historian.append([Batch(501, 1, 1, told.now_ns, batch)])


def asked(visit: Visit, question: str, more: str) -> list[dict[str, Any]]:
    answer = visit("operator").get(f"/api/history/{question}?tag=energy/meter&{more}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_days_of_meters_are_the_days_on_the_wall_and_add_up(visit: Visit) -> None:
    span = "from=2025-10-25T00:00:00%2B01:00&to=2025-10-28T00:00:01Z"
    rows = asked(visit, "counter-delta", f"{span}&every=day")
    days = ["2025-10-25T00:00:00+01:00", "2025-10-26T00:00:00+01:00", "2025-10-27T00:00:00Z", "2025-10-28T00:00:00Z"]
    assert [(row["bucket_ns"], row["delta"]) for row in rows] == list(
        # The meter was away at midnight: what it counted meanwhile belongs to the day on which it was read again.
        zip(map(parse, days), [230, 240, 250, 10], strict=True)
    )
    [month] = asked(visit, "counter-delta", f"{span}&every=month")
    assert (month["bucket_ns"], month["delta"]) == (parse("2025-10-01T00:00:00+01:00"), 10 * HOURS)
    seen = asked(visit, "aggregate", f"{span}&every=day")
    assert [row["n"] for row in seen] == [24, 25, 23, 1]


def test_shifts_are_told_with_their_edges(visit: Visit) -> None:
    rows = asked(visit, "state-durations", "from=2025-10-25T12:00:00Z&to=2025-10-27T00:00:00Z&every=shift")
    assert {row["window"] for row in rows} == set(range(max(row["window"] for row in rows) + 1))
    assert all(row["end_ns"] - row["start_ns"] >= row["duration_ns"] > 0 for row in rows)
    assert sum(row["duration_ns"] for row in rows) == 36 * NS_PER_HOUR


def test_nothing_is_said_of_what_is_still_to_come(visit: Visit, told: worlds.World) -> None:
    ahead = iso(told.now_ns + 30 * 24 * NS_PER_HOUR)
    for question in ("coverage", "integral", "time-weighted-mean"):
        rows = asked(visit, question, f"from={iso(told.now_ns - NS_PER_HOUR)}&to={ahead}&every=month")
        assert 0 < sum(row["good_ns"] for row in rows) < NS_PER_HOUR + 600 * NS_PER_S
    later = iso(told.now_ns + 31 * 24 * NS_PER_HOUR)
    refused = visit("operator").get(f"/api/history/coverage?tag=energy/meter&from={ahead}&to={later}")
    assert (refused.status_code, "ahead of now" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("from=2000-01-01T00:00:00Z&every=day", "more than 1000 periods"),
        ("every=shift&calendar=none", "calendar=three"),
        ("every=fortnight", "every"),
    ],
)
def test_periods_that_cannot_be_are_said_in_a_sentence(visit: Visit, more: str, word: str) -> None:
    answer = visit("operator").get(f"/api/history/coverage?tag=energy/meter&{more}")
    assert (answer.status_code, word in answer.text) == (400, True), answer.text
