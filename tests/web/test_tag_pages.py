"""The tag pages: find a tag, put a stretch or a sample right, see old and new, take it back; bursts of fast signals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.testing import TestClient
from visits import make_fresh  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.query import Raw
from isthmus.model.records.people import SampleCorrected
from isthmus.model.samples import Batch, TagInfo, ValueKind
from isthmus.model.time import NS_PER_MINUTE, NS_PER_S
from isthmus.model.waveforms import bursts
from web_world import Visitor

Visit = Callable[[str], Visitor]
TAG = "oven/temperature"
ADDRESS = f"/tag/{TAG}"


@pytest.fixture
def visit(fresh: worlds.World) -> Iterator[Visit]:
    with TestClient(fresh.app) as client:
        yield lambda role: Visitor(client, role)


@pytest.fixture(name="times")
def make_times(fresh: worlds.World) -> list[int]:
    """Ten samples of a temperature, 200 to 209, a second apart."""
    fresh.site.tags.intern_all([TagInfo(name=TAG, kind=ValueKind.F64, unit="°C", step=False)])
    start = fresh.now_ns - 5 * NS_PER_MINUTE
    made = [start + at * NS_PER_S for at in range(10)]
    fresh.samples("oven", "temperature", made, [200.0 + at for at in range(10)], 1)
    return made


def values(fresh: worlds.World, known_ns: int | None = None) -> list[float | None]:
    tag = fresh.site.tags.find(TAG)
    assert tag is not None
    table = fresh.site.historian.query(Raw(), [tag], 0, 1 << 62, known_ns=known_ns)
    return list(table["f64"].to_pylist())


def stretch(times: list[int], **more: str) -> dict[str, str]:
    return {"start_ns": str(times[0]), "end_ns": str(times[-1] + 1), "count": "10", "why": "sensor stuck", **more}


def test_a_tag_is_found_by_words_of_its_name_and_leads_to_its_page(visit: Visit, times: list[int]) -> None:
    del times
    page = visit("operator").get("/tags?find=temp+OVEN").text
    assert f'href="/tag/{TAG}"' in page
    assert "cnc-01/good" not in page
    assert "name holds nothing" in visit("operator").get("/tags?find=nothing").text
    assert visit("operator").get("/tag/no/such").status_code == 404
    told = visit("operator").get(ADDRESS).text
    assert "209 °C" in told
    assert "Nobody put a sample of this tag right" in told


def test_one_sample_a_whole_stretch_and_a_shift_are_put_right_and_taken_back(
    fresh: worlds.World, visit: Visit, times: list[int]
) -> None:
    quality = visit("quality")
    assert quality.post(ADDRESS, **stretch(times, which=str(times[3]), value="99.5")).status_code == 303
    assert values(fresh) == [200, 201, 202, 99.5, 204, 205, 206, 207, 208, 209]
    assert quality.post(ADDRESS, **stretch(times, which="all", kind="shift", value="-2")).status_code == 303
    assert values(fresh)[:4] == [198, 199, 200, 97.5]
    assert quality.post(ADDRESS, **stretch(times, which=str(times[9]), kind="bad")).status_code == 303
    assert values(fresh)[9] is None
    line = quality.get(f"/api/trend?tag={TAG}&start_ns={times[0]}&end_ns={times[-1] + NS_PER_MINUTE}").json()
    assert line["value"] == [198, 199, 200, 97.5, 202, 203, 204, 205, 206, None]
    page = quality.get(ADDRESS).text
    assert "10 samples, the first 200 °C → 198 °C" in page
    assert "207 °C → nothing to believe" in page
    assert "replaced since" in page
    assert "sensor stuck" in page
    assert 'data-then="0"' in page
    shift = sorted({one.said_ns for one in fresh.site.historian.corrections()})[1]
    back = {"act": "back", "said_ns": str(shift), "why": "the sensor was right"}
    assert quality.post(ADDRESS, **back).status_code == 303
    # What was put right again since stays; the rest is what was known before, the other person's value too.
    assert values(fresh) == [200, 201, 202, 99.5, 204, 205, 206, 207, 208, None]
    assert quality.post(ADDRESS, **back).status_code == 400
    assert values(fresh, known_ns=0) == [200.0 + at for at in range(10)]
    then = visit("quality").get(f"{ADDRESS}?from={times[0]}&to={times[-1] + 1}&known={shift}").text
    assert "As it was known at" in then
    assert "97.5 °C" in then
    assert "Put right what is chosen" not in then
    records = [one for _, one in fresh.site.log.read(0) if isinstance(one, SampleCorrected)]
    assert len(records) == 1 + 10 + 1 + 9
    assert {one.by for one in records} == {"quality"}


def test_only_who_may_and_only_what_is_there_is_put_right(fresh: worlds.World, visit: Visit, times: list[int]) -> None:
    for role in ("operator", "supervisor", "administrator"):
        assert visit(role).post(ADDRESS, **stretch(times, value="1")).status_code == 403
        assert "Put right what is chosen" not in visit(role).get(ADDRESS).text
    wrong: list[dict[str, str]] = [
        {"value": "much"},
        {"value": ""},
        {"value": "1", "why": " "},
        {"value": "1", "count": "9"},
        {"value": "1", "kind": "guess"},
        {"value": "1", "which": str(times[0] + 1)},
        {"value": "1", "start_ns": str(times[-1] + 1), "end_ns": str(times[-1] + 2)},
        {"value": "1", "start_ns": "x"},
    ]
    for each in wrong:
        assert visit("quality").post(ADDRESS, **stretch(times, **each)).status_code == 400, each
    quality = visit("quality")
    assert quality.client.post(ADDRESS, data=stretch(times, value="1"), follow_redirects=False).status_code == 403
    assert values(fresh) == [200.0 + at for at in range(10)]


def test_a_program_puts_right_and_takes_back_by_the_api(fresh: worlds.World, visit: Visit, times: list[int]) -> None:
    engineer = visit("ot-engineer")
    session = engineer.get("/api/session").json()
    assert session["role"] == "ot-engineer"
    assert "sample" in session["may"]
    said = {"form": session["form"], "tag": TAG, "why": "calibrated"}
    answer = engineer.client.post("/api/history/correct", data={**said, "time_ns": str(times[0]), "value": "7"})
    assert (answer.status_code, answer.json()) == (200, {"samples": 1})
    assert values(fresh)[0] == 7
    [told] = engineer.get("/api/history/corrections").json()["rows"]
    back = {**said, "said_ns": str(told["said_ns"])}
    assert engineer.client.post("/api/history/take-back", data=back).json() == {"samples": 1}
    assert values(fresh)[0] == 200
    assert engineer.client.post("/api/history/correct", data={"tag": TAG}).status_code == 403
    refused = engineer.client.post("/api/history/correct", data={**said, "time_ns": "1", "value": "7"})
    assert refused.status_code == 400
    assert "no sample" in refused.json()["detail"]
    start, end = times[0], times[-1] + 1
    then = engineer.get(f"/api/trend?tag={TAG}&start_ns={start}&end_ns={end}&known_ns={told['said_ns']}").json()
    assert then["value"][0] == 7


@pytest.fixture(name="waves")
def make_waves(fresh: worlds.World) -> list[int]:
    """Five bursts of a sine, a minute apart, each stronger than the one before; the third carries none."""
    [tag] = fresh.site.tags.intern_all([TagInfo(name="press/vibration", kind=ValueKind.WAVEFORM, unit="g")])
    made = [fresh.now_ns - (5 - at) * NS_PER_MINUTE for at in range(5)]
    readings: list[Any] = [
        None if at == 2 else [(at + 1) * math.sin(2 * math.pi * 50 * x / 5120) for x in range(2048)] for at in range(5)
    ]
    interval = [NS_PER_S / 5120] * 5
    fresh.site.historian.append(
        [Batch(tag, 1, 1, made[-1], bursts([tag] * 5, made, [0, 0, 1 << 31, 0, 0], interval, readings))]
    )
    return made


def test_a_fast_signal_shows_its_newest_burst_steps_through_time_and_how_strong_it_was(
    visit: Visit, waves: list[int]
) -> None:
    operator = visit("operator")
    page = operator.get("/tag/press/vibration").text
    assert "the newest" in page
    assert "2,048 readings at 5,120 Hz, 400 ms · RMS 3.536 g · peak 5 g" in page
    assert f"at={waves[3]}&" in page
    assert 'rel="next"' not in page
    middle = operator.get(f"/tag/press/vibration?at={waves[2]}").text
    assert "This burst carries no reading: Bad" in middle
    assert f"at={waves[1]}&" in middle
    assert f"at={waves[3]}&" in middle
    told = operator.get(f"/api/waveform?tag=press/vibration&at_ns={waves[4]}&points=100").json()
    assert told["rate_hz"] == 5120
    assert len(told["value"]) <= 100
    assert max(told["value"]) == pytest.approx(5, abs=1e-3)
    rows = operator.get(f"/api/waveforms?tag=press/vibration&start_ns={waves[0]}&end_ns={waves[4] + 1}").json()["rows"]
    assert [row["peak"] and round(row["peak"]) for row in rows] == [1, 2, None, 4, 5]
    assert operator.get("/api/waveform?tag=cnc-01/good&at_ns=1").status_code == 404
    assert visit("quality").post("/tag/press/vibration", **stretch(waves, value="1")).status_code == 400


def test_a_fast_signal_that_never_came_says_so(fresh: worlds.World, visit: Visit) -> None:
    fresh.site.tags.intern_all([TagInfo(name="press/vibration", kind=ValueKind.WAVEFORM)])
    assert "No burst of this fast signal has come yet" in visit("operator").get("/tag/press/vibration").text


def test_what_a_tag_was_before_its_kind_changed_is_offered_on_its_page(
    fresh: worlds.World, visit: Visit, times: list[int]
) -> None:
    before = fresh.site.tags.find(TAG)
    fresh.site.tags.intern_all([TagInfo(name=TAG, kind=ValueKind.STR, unit="", step=True)])
    page = visit("quality").get(ADDRESS).text
    assert "it was a number in °C" in page
    assert f'href="{ADDRESS}%23{before}"' in page
    past = visit("quality").get(f"{ADDRESS}%23{before}").text
    assert f'What <a href="{ADDRESS}">{TAG}</a> was until' in past
    assert "Samples: 10" in past, "the stretch is that of its newest samples"
    assert "209 °C" in past
    assert "Put right what is chosen" not in past, "what is over is not put right"
    line = visit("quality").get(f"/api/trend?tag={TAG}%23{before}&start_ns={times[0]}&end_ns={times[-1] + 1}")
    assert line.json()["value"] == [200.0 + at for at in range(10)]
    assert visit("quality").get(f"{ADDRESS}%239999").status_code == 404
