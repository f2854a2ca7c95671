"""What every source promises, asked of each protocol against a real server (see rigs/__init__.py)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from rigs import Known, Rig, free_port, rigs
from watching import Row, Seen, away, busy, running, until
from wiretap import Fault, Wiretap, tapped

from isthmus.edge.source import Identity, Limits, Source, SourceSection, Tag
from isthmus.model.errors import DeviceAway
from isthmus.model.samples import ValueKind
from isthmus.model.status import is_bad, is_good

FIRST_VALUE_S = 5.0
CANCEL_S = 1.0
BROKEN = [fault for fault in Fault if fault is not Fault.NONE]


def tags_of(rig: Rig) -> list[Tag]:
    return [known.tag for known in rig.known]


def counter_of(rig: Rig) -> int:
    return [known.tag.name for known in rig.known].index(rig.counting)


def all_seen(rig: Rig, seen: Seen) -> Callable[[], bool]:
    return lambda: {row.tag for row in seen.rows} >= set(range(len(rig.known)))


@pytest.fixture(scope="session", params=[pytest.param(rig, id=str(rig.name), marks=rig.marks) for rig in rigs()])
def server(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig: Rig = request.param()
    yield rig
    rig.kill()


@pytest.fixture
def rig(server: Rig) -> Rig:
    server.start()
    return server


@pytest.fixture
def tap(rig: Rig) -> Iterator[Wiretap]:
    with tapped(rig.start()) as tap:
        yield tap


def test_each_value_arrives_exactly_with_its_kind_its_status_and_its_time(rig: Rig) -> None:
    seen, before = Seen(), time.time_ns()

    async def check() -> None:
        async with running(rig.source(rig.start()), tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)

    asyncio.run(check())
    for index, known in enumerate(rig.known):
        row = seen.of(index)[0]
        assert row.kind is known.kind, known.tag.name
        assert (type(row.value), row.value) == (type(known.value), known.value), known.tag.name
        assert row.status == known.status, known.tag.name
        if known.time_ns is None:
            assert before <= row.time_ns <= row.arrived_ns, known.tag.name
        else:
            assert row.time_ns == known.time_ns, known.tag.name
    assert len(seen.ups) == 1
    assert seen.faults == {}


def test_every_change_that_keeps_the_pace_arrives_once_and_in_order(rig: Rig) -> None:
    seen, counter = Seen(), counter_of(rig)

    async def check() -> None:
        async with running(rig.source(rig.start()), tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            for value in range(1001, 1021):
                await asyncio.to_thread(rig.change, rig.counting, value)
                await asyncio.sleep(rig.pace_s)
            await until(lambda: seen.of(counter)[-1].value == 1020, 2, task)

    asyncio.run(check())
    assert changes(seen.of(counter), above=1000) == list(range(1001, 1021))


@pytest.mark.parametrize("fault", BROKEN)
def test_a_line_that_is_broken_from_the_start_is_told_in_time(rig: Rig, tap: Wiretap, fault: Fault) -> None:
    tap.break_line(fault)
    seen = Seen()

    async def check() -> None:
        async with running(rig.source(tap.port), tags_of(rig), seen) as task:
            error = await away(task, rig.deadline_s)
            assert str(tap.port) in str(error)
            await until(lambda: tap.open == 0, CANCEL_S)

    asyncio.run(check())
    assert seen.ups == []
    assert not any(is_good(row.status) for row in seen.rows)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_line_that_breaks_in_the_middle_is_told_in_time(rig: Rig, tap: Wiretap, fault: Fault) -> None:
    seen = Seen()

    async def check() -> None:
        async with running(rig.source(tap.port), tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            tap.break_line(fault)
            error = await away(task, rig.deadline_s)
            assert str(tap.port) in str(error)
            await until(lambda: tap.open == 0, CANCEL_S)

    asyncio.run(check())


def test_a_port_where_nobody_listens_is_told_at_once(rig: Rig) -> None:
    port = free_port()

    async def check() -> None:
        async with running(rig.source(port), tags_of(rig), Seen()) as task:
            error = await away(task, rig.deadline_s)
            assert str(port) in str(error)

    asyncio.run(check())


def test_a_server_that_is_killed_is_told_in_time(rig: Rig) -> None:
    seen = Seen()

    async def check() -> None:
        async with running(rig.source(rig.start()), tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            rig.kill()
            await away(task, rig.deadline_s)

    asyncio.run(check())


def test_a_server_that_freezes_is_told_in_time_and_can_be_read_again_when_it_thaws(rig: Rig) -> None:
    seen, again = Seen(), Seen()

    async def check() -> None:
        source = rig.source(rig.start())
        async with running(source, tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            rig.freeze()
            try:
                await away(task, rig.deadline_s)
                async with running(source, tags_of(rig), Seen()) as frozen:
                    await away(frozen, rig.deadline_s)
            finally:
                rig.thaw()
        async with running(source, tags_of(rig), again) as task:
            await until(all_seen(rig, again), FIRST_VALUE_S, task)

    asyncio.run(check())


def test_cancelling_ends_within_a_second_and_leaves_nothing_open(rig: Rig, tap: Wiretap) -> None:
    async def check() -> None:
        held = await asyncio.to_thread(rig.sessions)
        for _ in range(3):
            seen = Seen()
            async with running(rig.source(tap.port), tags_of(rig), seen) as task:
                await until(all_seen(rig, seen), FIRST_VALUE_S, task)
                assert tap.open > 0
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=CANCEL_S)
                assert done
                assert task.cancelled()
        await until(lambda: tap.open == 0, CANCEL_S)
        await until(lambda: rig.sessions() <= held, 2)

    asyncio.run(check())


def test_cancelling_in_the_middle_of_connecting_leaves_nothing_open(rig: Rig, tap: Wiretap) -> None:
    tap.break_line(Fault.MUTED)

    async def check() -> None:
        async with running(rig.source(tap.port), tags_of(rig), Seen()) as task:
            await until(lambda: tap.open, 2, task)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=CANCEL_S)
            assert done
        await until(lambda: tap.open == 0, CANCEL_S)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []

    asyncio.run(check())


def test_nothing_is_ever_asked_that_could_write(rig: Rig, tap: Wiretap) -> None:
    async def check() -> None:
        source, seen = rig.source(tap.port), Seen()
        await source.identify()
        async for _ in source.browse("*"):
            pass
        async with running(source, [*tags_of(rig), rig.bad], seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            await asyncio.sleep(2 * rig.pace_s)

    asyncio.run(check())
    asked = [service for stream in tap.said for service in rig.asked(stream)]
    assert asked
    assert set(asked) <= rig.harmless


def test_one_bad_tag_is_named_with_a_reason_and_hides_no_other(rig: Rig) -> None:
    seen = Seen()
    tags = tags_of(rig)
    tags.insert(1, rig.bad)
    good = set(range(len(tags))) - {1}

    async def check() -> None:
        async with running(rig.source(rig.start()), tags, seen) as task:
            await until(lambda: {row.tag for row in seen.rows} >= good, FIRST_VALUE_S, task)
            await until(lambda: 1 in seen.faults, FIRST_VALUE_S, task)

    asyncio.run(check())
    assert set(seen.faults) == {1}
    status, why = seen.faults[1]
    assert is_bad(status)
    assert len(why) > 10
    assert not any(is_good(row.status) for row in seen.of(1))


def test_what_its_device_has_not_is_a_fault_even_when_it_is_the_only_tag(rig: Rig) -> None:
    seen = Seen()

    async def check() -> None:
        async with running(rig.source(rig.start()), [rig.bad], seen) as task:
            await until(lambda: 0 in seen.faults, FIRST_VALUE_S, task)
            await asyncio.sleep(2 * rig.pace_s)
            assert not task.done()

    asyncio.run(check())


def test_every_field_of_the_plant_file_is_described(rig: Rig) -> None:
    assert issubclass(rig.source_class, SourceSection)
    for cls in (rig.source_class, rig.tag_class):
        assert cls.__doc__
        for name, hint in typing.get_type_hints(cls, include_extras=True).items():
            if typing.get_origin(hint) is not typing.ClassVar:
                metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
                assert any(meta.description for meta in metas), f"{cls.__name__}.{name} has no description"


def test_a_plan_is_the_same_for_the_same_input_and_needs_no_device(rig: Rig) -> None:
    tags = [*tags_of(rig), rig.bad]
    for limits in (Limits(), Limits(per_request=3, items=5, in_flight=2)):
        plans = [rig.source(port).plan(list(tags), limits) for port in (1, 1)]
        assert plans[0] == plans[1]
        assert repr(plans[0]) == repr(plans[1])


def test_a_device_says_who_it_is(rig: Rig) -> None:
    port = rig.start()
    identity = asyncio.run(rig.source(port).identify())
    assert str(port) in identity.address
    assert identity.protocol
    said = msgspec.to_builtins(identity)
    assert {field: said[field] for field in rig.identity} == dict(rig.identity)


def test_a_device_that_is_being_read_is_asked_who_it_is_over_the_same_connection(rig: Rig, tap: Wiretap) -> None:
    seen = Seen()

    async def check() -> Identity:
        source = rig.source(tap.port)
        async with running(source, tags_of(rig), seen) as task:
            await until(all_seen(rig, seen), FIRST_VALUE_S, task)
            connections = len(tap.said)
            identity = await source.identify()
            assert len(tap.said) == connections
            assert not task.done()
        return identity

    said = msgspec.to_builtins(asyncio.run(check()))
    assert {field: said[field] for field in rig.identity} == dict(rig.identity)


def test_asking_who_a_silent_device_is_ends_in_time(rig: Rig, tap: Wiretap) -> None:
    tap.break_line(Fault.MUTED)

    async def browse_all() -> None:
        async for _ in rig.source(tap.port).browse("*"):
            pass

    async def check() -> None:
        await away(asyncio.ensure_future(ignore(rig.source(tap.port).identify())), rig.deadline_s)
        if rig.found:
            await away(asyncio.ensure_future(browse_all()), rig.deadline_s)
        await until(lambda: tap.open == 0, CANCEL_S)

    asyncio.run(check())


async def ignore(work: typing.Awaitable[object]) -> None:
    await work


def test_browsing_finds_the_signals_by_their_names(rig: Rig, tap: Wiretap) -> None:
    async def found(pattern: str) -> dict[str, ValueKind | None]:
        return {found.path: found.kind async for found in rig.source(tap.port).browse(pattern)}

    everything = asyncio.run(found("*"))
    assert {path: everything.get(path) for path in rig.found} == dict(rig.found)
    if rig.found:
        some = asyncio.run(found(rig.pattern))
        assert some
        assert set(some) < set(everything)
    asyncio.run(until(lambda: tap.open == 0, CANCEL_S))


def test_what_browsing_finds_can_be_read_as_it_stands(rig: Rig) -> None:
    port, seen = rig.start(), Seen()

    async def check() -> None:
        source = rig.source(port)
        found = [one async for one in source.browse("*") if one.path in rig.found and one.kind is not None]
        tags = [
            msgspec.convert({"name": one.path, "kind": one.kind, "unit": one.unit, **one.address}, rig.tag_class)
            for one in found
        ]
        if tags:
            async with running(source, tags, seen) as task:
                await until(lambda: {row.tag for row in seen.rows} >= set(range(len(tags))), FIRST_VALUE_S, task)

    asyncio.run(check())
    assert seen.faults == {}


@pytest.mark.parametrize(
    "elsewhere", [False, pytest.param(True, marks=pytest.mark.long)], ids=["same-addresses", "other-addresses"]
)
def test_a_device_that_comes_back_delivers_at_once_and_every_value_of_its_second_life(
    rig: Rig, *, elsewhere: bool
) -> None:
    first, second, counter = Seen(), Seen(), counter_of(rig)

    async def retrying(source: Source, seen: Seen) -> None:
        while True:
            with contextlib.suppress(DeviceAway):
                await source.run(source.plan(tags_of(rig), Limits()), seen)
            await asyncio.sleep(0.1)

    async def check() -> None:
        source = rig.source(rig.start())
        async with running(source, tags_of(rig), first) as task:
            await until(all_seen(rig, first), FIRST_VALUE_S, task)
            rig.kill()
            await away(task, rig.deadline_s)
        again = asyncio.create_task(retrying(source, second))
        try:
            await asyncio.sleep(0.5)
            await asyncio.to_thread(rig.start_elsewhere if elsewhere else rig.start)
            await until(all_seen(rig, second), rig.back_s * busy(), again)
            for value in range(2001, 2021):
                await asyncio.to_thread(rig.change, rig.counting, value)
                await asyncio.sleep(rig.pace_s)
            await until(lambda: second.of(counter)[-1].value == 2020, 2, again)
        finally:
            again.cancel()
            await asyncio.wait([again], timeout=2)

    asyncio.run(check())
    assert right_values(rig.known, second)
    assert changes(second.of(counter), above=2000) == list(range(2001, 2021))


def changes(rows: Sequence[Row], *, above: int) -> list[Any]:
    """The values in the order in which they came; a source that polls says an unchanged value again."""
    return [value for value, _ in itertools.groupby(row.value for row in rows) if value > above]


def right_values(known: Sequence[Known], seen: Seen) -> bool:
    return [seen.of(index)[0].value for index in range(len(known))] == [one.value for one in known]
