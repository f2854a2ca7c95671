"""The namespace: the newest of each thing, handed from any thread to whoever is subscribed."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any, cast

from isthmus.model.records.production import Counted, StateChanged
from isthmus.model.states import State
from isthmus.site.namespace import Changes, Last, Namespace

PATH = "acme/northgate/machining/line-a/cnc-01"


def state(time_ns: int, state: State, **more: Any) -> StateChanged:  # noqa: ANN401
    return StateChanged(path=PATH, time_ns=time_ns, state=state, **more)


def test_a_sample_that_comes_late_does_not_replace_a_newer_one() -> None:
    live = Namespace()
    live.put_samples({"plc/speed": Last(20, 0, 2.0)})
    live.put_samples({"plc/speed": Last(10, 0, 1.0), "plc/temp": Last(5, 0, 7.0)})
    assert live.last("plc/speed") == Last(20, 0, 2.0)
    assert live.tags() == ["plc/speed", "plc/temp"]


def test_the_newest_fact_is_by_its_own_time_and_can_be_taken_back() -> None:
    live = Namespace()
    live.put_facts([state(5, State.RUN), state(3, State.DOWN)])
    assert live.fact(PATH, "StateChanged") == state(5, State.RUN)
    live.put_facts([state(5, State.RUN, revision=1, gone=True)])
    assert live.fact(PATH, "StateChanged") is None


def test_previews_replace_each_other_and_go_when_nothing_is_open() -> None:
    live = Namespace()
    live.put_previews(PATH, ["StateChanged", "Counted"], [state(1, State.RUN), Counted(path=PATH, time_ns=1)])
    live.put_previews(PATH, ["StateChanged", "Counted"], [state(2, State.RUN)])
    assert live.preview(PATH, "StateChanged") == (state(2, State.RUN),)
    assert live.preview(PATH, "Counted") == ()


def test_a_slow_subscriber_gets_the_newest_of_each_thing_once() -> None:
    async def story() -> list[Changes]:
        live = Namespace()
        out: list[Changes] = []
        ready = asyncio.Event()

        async def listen() -> None:
            stream = cast("Any", live.subscribe())
            async with aclosing(stream) as changes:
                ready.set()
                async for change in changes:
                    out.append(change)
                    if "end" in change.samples:
                        return
                    await asyncio.sleep(0.05)

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(listen())
            await ready.wait()
            await asyncio.sleep(0)

            def put() -> None:
                for number in range(1000):
                    live.put_samples({"plc/speed": Last(number, 0, float(number))})
                live.put_samples({"end": Last(1, 0, 1)})

            thread = threading.Thread(target=put)
            thread.start()
            await asyncio.to_thread(thread.join)
        assert live._subscribers == set()
        return out

    seen = asyncio.run(story())
    assert len(seen) < 100
    assert next(change for change in reversed(seen) if "plc/speed" in change.samples).samples["plc/speed"].value == 999
