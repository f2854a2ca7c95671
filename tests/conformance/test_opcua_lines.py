"""Lines that are cut for a moment, servers without subscriptions, and limits."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from rigs.opcua import NodeOpcua
from watching import Seen, away, running, until
from wiretap import Fault, tapped

from isthmus.edge.opcua_client import reading
from isthmus.edge.source import Limits
from isthmus.edge.sources.opcua import Opcua, OpcuaTag
from isthmus.model.samples import ValueKind

pytestmark = pytest.mark.peer("node-opcua")
COUNT = OpcuaTag(name="count", node="Objects/Plant/Press/count", kind=ValueKind.I64)
GHOST = OpcuaTag(name="ghost", node="Objects/Plant/Press/ghost")


@pytest.fixture(scope="module")
def rig() -> Any:  # noqa: ANN401  a generator of a rig
    rig = NodeOpcua()
    yield rig
    rig.kill()


@pytest.mark.parametrize(
    "fault", [Fault.DROPPED, Fault.HALF_A_FRAME, pytest.param(Fault.MUTED, marks=pytest.mark.long)]
)
def test_a_line_that_is_cut_for_a_moment_loses_no_change_and_leaks_no_session(rig: NodeOpcua, fault: Fault) -> None:
    first, second = Seen(), Seen()

    async def check(port: int) -> None:
        with tapped(port) as tap:
            source = rig.source(tap.port)
            async with running(source, [COUNT, GHOST], first) as task:
                await until(lambda: first.of(0), 5, task)
                tap.break_line(fault)
                for value in range(101, 106):
                    await asyncio.to_thread(rig.change, "count", value)
                    await asyncio.sleep(rig.pace_s)
                await away(task, rig.deadline_s)
            tap.break_line(Fault.NONE)
            async with running(source, [COUNT, GHOST], second) as task:
                await until(lambda: any(row.value == 105 for row in second.of(0)), 3, task)
                await until(lambda: 1 in second.faults, 1, task)
                assert rig.sessions() == 1
                await asyncio.to_thread(rig.change, "count", 106)
                await until(lambda: any(row.value == 106 for row in second.of(0)), 3, task)
        await until(lambda: rig.sessions() == 0, 2)

    asyncio.run(check(rig.start()))
    assert {row.value for row in (*first.of(0), *second.of(0))} >= {17, *range(101, 107)}


def test_a_value_that_did_not_change_is_told_again_after_the_cut(rig: NodeOpcua) -> None:
    second = Seen()

    async def check(port: int) -> None:
        with tapped(port) as tap:
            source, first = rig.source(tap.port), Seen()
            async with running(source, [COUNT], first) as task:
                await until(lambda: first.rows, 5, task)
                tap.break_line(Fault.DROPPED)
                await away(task, rig.deadline_s)
            tap.break_line(Fault.NONE)
            async with running(source, [COUNT], second) as task:
                await until(lambda: second.rows, 3, task)

    asyncio.run(check(rig.start()))
    assert second.rows[0].value == 17


def test_read_in_turns_a_value_comes_once_until_it_changes_and_a_bad_node_is_a_fault(rig: NodeOpcua) -> None:
    seen, source = Seen(), msgspec.structs.replace(source_of(rig), poll_s=0.02)
    by_id = OpcuaTag(name="no-such-id", node="nsu=urn:northgate:press;i=4711")

    async def check() -> None:
        async with running(source, [COUNT, GHOST, by_id], seen) as task:
            await until(lambda: seen.of(0) and len(seen.faults) == 2, 5, task)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(rig.change, "count", 18)
            await until(lambda: seen.of(0)[-1].value == 18, 2, task)

    asyncio.run(check())
    assert [row.value for row in seen.of(0)] == [17, 18]
    assert "BadNodeIdUnknown" in seen.faults[2][1]


def test_more_tags_than_the_server_takes_are_named_and_the_others_go_on(rig: NodeOpcua) -> None:
    seen, source = Seen(), source_of(rig)
    tags = [COUNT, msgspec.structs.replace(COUNT, name="again"), msgspec.structs.replace(COUNT, name="third")]
    plan = msgspec.structs.replace(source.plan(tags, Limits(items=2)), per_request=1)

    async def check() -> None:
        task = asyncio.create_task(source.run(plan, seen))
        try:
            await until(lambda: seen.of(0) and seen.of(1) and seen.faults, 5, task)
        finally:
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(check())
    assert list(seen.faults) == [2]
    assert "no more than 2" in seen.faults[2][1]


def test_a_node_that_comes_later_is_found_without_a_new_start(rig: NodeOpcua, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOOK_AGAIN_S", 0.2)
    seen, source = Seen(), source_of(rig)

    async def check() -> None:
        async with running(source, [COUNT, GHOST], seen) as task:
            await until(lambda: seen.of(0) and seen.faults, 5, task)
            await asyncio.to_thread(rig.grow)
            await until(lambda: any(row.value == 6.5 for row in seen.of(1)), 3, task)

    asyncio.run(check())
    rig.kill()  # a later test wants the server without the node
    assert seen.faults == {}


def source_of(rig: NodeOpcua) -> Opcua:
    source = rig.source(rig.start())
    assert isinstance(source, Opcua)
    return source
