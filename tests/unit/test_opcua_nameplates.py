"""Who stands behind an OPC UA server: the device of the address, and what has a nameplate of its own behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from isthmus.edge.opcua_client.identity import placed
from isthmus.edge.opcua_client.nameplates import Plates
from isthmus.edge.source import Identity
from isthmus.edge.sources.opcua import Opcua
from isthmus.model.records.edge import Nameplate
from isthmus.sim.servers.opcua import Controller

MILL = Nameplate(name="machine Mill", maker="Werkzeug AG", model="WZ 500", serial="1")
SAW = Nameplate(name="machine Saw", maker="Werkzeug AG", model="WZ 20", serial="2")
PLC = Nameplate(name="device PLC_1", maker="Siemens AG", model="CPU 1516-3", serial="S C-1")
SPINDLE = Nameplate(name="component Spindle of Mill", maker="Spindel AG", model="HS 40", serial="9")


def test_a_machine_with_a_server_of_its_own_is_what_answers_at_the_address() -> None:
    here, behind = placed(Plates(machines=(MILL,), components=(SPINDLE,)))
    assert here == MILL
    assert behind == (SPINDLE,)


def test_behind_a_controller_stand_its_machines() -> None:
    assert placed(Plates(machines=(MILL, SAW), devices=(PLC,))) == (PLC, (MILL, SAW))


def test_several_machines_without_a_device_stand_behind_a_gateway_of_unknown_make() -> None:
    here, behind = placed(Plates(machines=(MILL, SAW)))
    assert (here.maker, here.model, here.more["role"]) == ("", "", "gateway")
    assert behind == (MILL, SAW)


def test_a_machine_that_stands_among_the_devices_too_is_told_once() -> None:
    twice = Nameplate(name="device Mill 1", maker=MILL.maker, model=MILL.model, serial=MILL.serial)
    assert placed(Plates(machines=(MILL,), devices=(twice,))) == (twice, ())


def test_a_server_without_nameplates_says_nothing_of_its_device() -> None:
    assert placed(Plates()) == (Nameplate(name=""), ())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def identity_of(build: Callable[[Any], Awaitable[None]]) -> Identity:
    """What an asyncua server says that `build` fills."""
    from asyncua import Server, ua  # noqa: PLC0415  heavy

    async def ask() -> Identity:
        server, url = Server(), f"opc.tcp://127.0.0.1:{free_port()}/"
        await server.init()
        server.set_endpoint(url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await build(server)
        async with server:
            return await Opcua(name="x", url=url, security="none").identify()

    return asyncio.run(ask())


def test_the_simulated_controllers_say_who_they_are_as_real_ones_do() -> None:
    mill = identity_of(Controller("mill", "machinery", 2).build)
    packer = identity_of(Controller("packer", "packml", 0).build)
    assert (mill.model, mill.serial, mill.firmware) == ("SIM-5 machining centre", "S-mill", "4.1.2")
    assert (mill.more["order_number"], mill.more["hardware"], mill.more["role"]) == ("SIM-5-1000", "B", "machine")
    assert (packer.model, packer.serial) == ("SIM-PLC 20", "S-packer")
    assert packer.more["manual"].startswith("https://")
    assert not mill.parts
    assert not packer.parts


def test_components_are_found_and_a_nameplate_of_nonsense_costs_nothing() -> None:
    async def build(server: Any) -> None:  # noqa: ANN401  asyncua has no types
        from asyncua import ua  # noqa: PLC0415  heavy

        machines = await server.nodes.objects.add_folder(2, "Machines")
        for number in range(2):
            machine = await machines.add_object(2, f"Line {number}")
            plate = await machine.add_object(2, "Identification")
            await plate.add_property(2, "Manufacturer", "Linien  AG\n")
            await plate.add_property(2, "Model", ua.LocalizedText("x" * 5000))
            await plate.add_property(2, "SerialNumber", [1.0, 2.0])
            await plate.add_property(2, "YearOfConstruction", ua.Variant(2021 * number, ua.VariantType.UInt16))
        part = await (await machine.add_object(2, "Components")).add_object(2, "Drive")
        await (await part.add_object(2, "Identification")).add_property(2, "SerialNumber", "D-7")
        await machines.add_object(2, "No machine at all")

    said = identity_of(build)
    assert [part.name for part in said.parts] == ["machine Line 0", "machine Line 1", "component Drive of Line 1"]
    assert (said.parts[0].maker, len(said.parts[0].model), said.parts[0].serial) == ("Linien AG", 200, "")
    assert "made" not in said.parts[0].more
    assert said.parts[1].more["made"] == "2021"
    assert said.parts[2].serial == "D-7"
    assert said.more["software"].startswith("FreeOpcUa Python Server"), "its build information is its software's"
    assert said.more["software_maker"] == "FreeOpcUa"
