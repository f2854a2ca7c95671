"""Browsing by the companion specifications' names, on a server that carries their own node sets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from rigs import free_port
from rigs.opcua import start_node_opcua
from watching import Seen, running, until

from isthmus.edge.opcua_client.nodes import joined, split
from isthmus.edge.opcua_client.profiles import propose
from isthmus.edge.source import Identity, TagFound
from isthmus.edge.sources.opcua import Opcua, OpcuaTag
from isthmus.model.samples import ValueKind


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opcua]:
    process = start_node_opcua(free_port(), tmp_path_factory.mktemp("server"), "companion")
    url = f"opc.tcp://127.0.0.1:{process.port}"
    yield Opcua(name="companion", url=url, security="none", timeout_s=5, publishing_ms=50)
    process.kill()


@pytest.fixture(scope="module")
def browsed(source: Opcua) -> tuple[Identity, list[TagFound]]:
    async def ask() -> tuple[Identity, list[TagFound]]:
        return await source.identify(), [found async for found in source.browse("*")]

    return asyncio.run(ask())


@pytest.mark.peer("node-opcua")
def test_machines_are_recognised_by_the_names_of_their_specifications(
    browsed: tuple[Identity, list[TagFound]],
) -> None:
    identity, found = browsed
    proposals = {one.root: one for one in propose(identity.more["namespaces"].splitlines(), found)}
    assert {root: (one.profile, one.sure) for root, one in proposals.items()} == {
        "Objects/Machines/CNC1": ("machine-tool", True),
        "Objects/Machines/Press2": ("machinery", True),
        "Objects/Packer": ("packml", True),
    }
    tool = proposals["Objects/Machines/CNC1"]
    assert tool.state["channel_state"].path == "Objects/Machines/CNC1/Monitoring/Channel1/ChannelState"
    assert {"channel_mode", "program_state", "operation_mode"} <= set(tool.state)
    assert "blocked" in proposals["Objects/Packer"].state
    assert tool.parts["order"].path.endswith("JobIdentifier")


@pytest.mark.peer("node-opcua")
def test_each_machine_of_a_server_is_known_by_its_own_nameplate(browsed: tuple[Identity, list[TagFound]]) -> None:
    identity, _ = browsed
    assert [(one.name, one.maker, one.model, one.serial, one.firmware) for one in identity.parts] == [
        ("machine CNC1", "Werkzeug AG", "WZ 500", "WZ-0815", "3.14"),
        ("machine Press2", "Pressen GmbH", "P 200", "P-42", ""),
    ]
    assert (identity.maker, identity.model, identity.more["software"]) == ("", "", "Press 4.2")


@pytest.mark.peer("node-opcua")
def test_a_proposed_state_can_be_read(source: Opcua, browsed: tuple[Identity, list[TagFound]]) -> None:
    path = next(found.path for found in browsed[1] if found.path.endswith("MachineryItemState/CurrentState"))
    seen = Seen()

    async def check() -> None:
        async with running(source, [OpcuaTag(name="state", node=path, kind=ValueKind.STR)], seen) as task:
            await until(lambda: seen.rows, 5, task)

    asyncio.run(check())
    assert seen.rows[0].value == "Executing"


@pytest.mark.peer("node-opcua")
def test_a_pattern_below_one_machine_leaves_the_others_alone(source: Opcua) -> None:
    async def ask() -> set[str]:
        return {found.path async for found in source.browse("Objects/Machines/CNC1/*")}

    paths = asyncio.run(ask())
    assert paths
    assert all(path.startswith("Objects/Machines/CNC1/") for path in paths)


@pytest.mark.parametrize("names", [("Objects", "A/B", "C&D"), ("Objects", "&/", "x"), ("Objects",)])
def test_a_path_may_hold_any_sign_in_its_names(names: tuple[str, ...]) -> None:
    assert split(joined(names)) == names


def test_without_the_specifications_namespace_a_proposal_is_not_sure() -> None:
    paths = ["Objects/M/MachineryItemState/CurrentState", "Objects/M/Production/ActiveProgram/PartsGood"]
    found = [TagFound(path=path, address={"node": path}, kind=ValueKind.STR) for path in paths]
    (one,) = propose(["http://opcfoundation.org/UA/"], found)
    assert (one.root, one.profile, one.sure, set(one.parts)) == ("Objects/M", "machinery", False, {"good"})
    assert propose([], found[1:]) == []
