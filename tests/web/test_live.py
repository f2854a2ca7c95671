"""The stream of a page: everything once, then only what changed, until the session ends."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from visits import make_fresh  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model import status as st
from isthmus.model.records.production import StateChanged
from isthmus.model.states import State
from isthmus.site.namespace import Last
from isthmus.web.live import BUILDERS, messages


def read(line: bytes) -> dict[str, Any]:
    assert line.startswith(b"data: ")
    assert line.endswith(b"\n\n")
    return dict(json.loads(line[6:]))


def token_of(made: worlds.World, name: str) -> str:
    return str(made.app.state.house.accounts.log_in(name, worlds.PASSWORD, "x"))


def test_a_stream_begins_with_the_whole_page_and_goes_on_with_what_changed(fresh: worlds.World) -> None:
    house = fresh.app.state.house

    async def story() -> None:
        stream = messages(house, token_of(fresh, "operator"), BUILDERS["plant"], "", {})
        first = read(await anext(stream))
        assert len([key for key in first["cells"] if key.endswith("-strip")]) == len(worlds.NAMES)
        before = time.monotonic()
        fresh.site.append([StateChanged(path=worlds.path("Paint"), time_ns=time.time_ns(), state=State.DOWN)])
        slug = "machining_line-b_paint"
        while (
            f"{slug}-state" not in (told := read(await anext(stream)))["cells"]
            or "down" not in told["cells"][f"{slug}-state"]
        ):
            pass
        assert time.monotonic() - before < 1.5
        assert "Paint down" in told["cells"]["needs"]
        assert not any(key.endswith("-job") for key in told["cells"]), "what did not change is not sent again"
        await stream.aclose()

    asyncio.run(story())
    assert not fresh.site.namespace._subscribers


def test_a_stream_ends_when_the_person_logs_out(fresh: worlds.World) -> None:
    house = fresh.app.state.house

    async def story() -> None:
        token = token_of(fresh, "operator")
        stream = messages(house, token, BUILDERS["connections"], "", {})
        await anext(stream)
        house.accounts.log_out(token)
        assert [line async for line in stream][-1].startswith(b"event: out")

    asyncio.run(story())


def test_a_machine_streams_the_newest_sample_of_its_trend_with_its_source_time(fresh: worlds.World) -> None:
    house = fresh.app.state.house

    async def story() -> None:
        below = worlds.below("Paint")
        asked = {"tag": "paint/load"}
        stream = messages(house, token_of(fresh, "operator"), BUILDERS["machine"], below, asked)
        await anext(stream)
        fresh.site.namespace.put_samples({"paint/load": Last(fresh.now_ns + 5, st.GOOD, 77.5)})
        told = read(await anext(stream))
        while not told["data"] or told["data"]["trend"]["value"] != 77.5:
            told = read(await anext(stream))
        assert told["data"]["trend"] == {"tag": "paint/load", "time_ns": fresh.now_ns + 5, "value": 77.5}
        await stream.aclose()

    asyncio.run(story())


def test_a_tags_newest_value_and_the_rows_of_the_list_come_as_they_change(fresh: worlds.World) -> None:
    house = fresh.app.state.house
    tag = "cnc-01/good"
    number = fresh.site.tags.find(tag)
    assert number is not None

    async def story() -> None:
        token = token_of(fresh, "operator")
        page = messages(house, token, BUILDERS["tag"], tag, {})
        rows = messages(house, token, BUILDERS["tags"], "", {"find": "cnc-01"})
        fixed = messages(house, token, BUILDERS["tag"], tag, {"from": "1000", "to": "2000"})
        first, list_first = read(await anext(page)), read(await anext(rows))
        assert first["data"]["trend"]["tag"] == tag
        assert "trend" not in read(await anext(fixed))["data"], "a stretch that somebody chose stays"
        at = time.time_ns()
        fresh.site.namespace.put_samples({tag: Last(at, st.GOOD, 987_654)})
        told = read(await anext(page))
        assert "987,654" in told["cells"]["newest"]
        assert told["data"]["trend"]["value"] == 987_654
        assert int(told["data"]["trend"]["start_ns"]) < at < int(told["data"]["trend"]["end_ns"])
        list_told = read(await anext(rows))
        assert "987,654" in list_told["cells"][f"tag-{number}"]
        assert sum(key.startswith("tag-") for key in list_told["cells"]) == 1, "what did not change is not sent again"
        assert list_told["data"]["of"] == list_first["data"]["of"]
        for stream in (page, rows, fixed):
            await stream.aclose()

    asyncio.run(story())
