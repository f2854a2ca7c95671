"""What a site's own sources learned, as the asset record has it: called as the plant calls it, each machine by itself."""

from __future__ import annotations

from typing import Any

from sayings import said

from isthmus.assets.addresses import Places
from isthmus.assets.record import record
from isthmus.model.records.assets import AssetKnown
from isthmus.model.records.edge import DeviceIdentified, Nameplate
from isthmus.run.auditing.own import asked

PLANT = "acme/northgate"
NAMES = {f"{PLANT}#source/press-1": "Press 1 (press-1)", f"{PLANT}#source/press-2": "Press 2 (press-2)"}


def told(source: str, address: str, at: int = 1, **fields: Any) -> DeviceIdentified:  # noqa: ANN401  as the test says
    return DeviceIdentified(
        path=f"{PLANT}#source/{source}",
        time_ns=at,
        address=address,
        protocol="OPC UA",
        **fields,
    )


def assets(*devices: DeviceIdentified) -> list[AssetKnown]:
    return record(PLANT, asked(PLANT, devices, NAMES), [], Places())


def test_a_device_is_called_as_the_plant_calls_it_with_a_serial_and_without() -> None:
    found = assets(
        told("press-1", "opc.tcp://10.0.0.7:4840", maker="Acme", model="P 200", serial="42"),
        told("press-2", "opc.tcp://10.0.0.8:4840"),
    )
    said = [(one.best("name"), one.best("address"), one.best("source"), one.best("serial")) for one in found]
    assert sorted(said) == [
        ("Press 1 (press-1)", "10.0.0.7", "press-1", "42"),
        ("Press 2 (press-2)", "10.0.0.8", "press-2", ""),
    ]


def test_two_ports_of_one_host_are_two_devices_each_with_its_name() -> None:
    found = assets(
        told("press-1", "10.0.0.7:502", maker="Acme", model="P 200", serial="42"),
        told("press-2", "10.0.0.7:503", maker="Acme", model="P 200", serial="43"),
    )
    assert sorted((one.best("name"), one.best("behind"), one.best("ports")) for one in found) == [
        ("Press 1 (press-1)", "10.0.0.7", "tcp/502"),
        ("Press 2 (press-2)", "10.0.0.7", "tcp/503"),
    ]


def test_the_machines_of_one_server_are_assets_behind_it() -> None:
    parts = tuple(
        Nameplate(
            name=f"machine Line {number}", maker="Acme", model="L 5", serial=f"L-{number}", more={"role": "machine"}
        )
        for number in range(3)
    )
    found = assets(told("press-1", "opc.tcp://10.0.0.7:4840", parts=parts, more={"role": "gateway"}))
    (gateway,) = [one for one in found if not one.parent]
    machines = [one for one in found if one.parent]
    assert (gateway.best("name"), gateway.role) == ("Press 1 (press-1)", "gateway")
    assert {one.parent for one in machines} == {gateway.path.rpartition("/")[2]}
    assert sorted((one.best("name"), one.best("serial"), one.role) for one in machines) == [
        ("Line 0", "L-0", "machine"),
        ("Line 1", "L-1", "machine"),
        ("Line 2", "L-2", "machine"),
    ]


def test_a_device_that_is_replaced_keeps_the_plants_name_for_the_new_one() -> None:
    found = assets(
        told("press-1", "opc.tcp://10.0.0.7:4840", at=1, maker="Acme", serial="42"),
        told("press-1", "opc.tcp://10.0.0.7:4840", at=100, maker="Acme", serial="77"),
    )
    assert {one.best("serial"): one.best("name") for one in found}["77"] == "Press 1 (press-1)"


def test_what_an_audit_hears_of_the_servers_software_is_no_device_beside_the_machine() -> None:
    own = asked(
        PLANT, [told("press-1", "opc.tcp://10.0.0.7:4840", at=5, maker="Acme", model="P 200", serial="42")], NAMES
    )
    heard = said(
        "10.0.0.7", at=9, how="queried", method="asked: OPC UA BuildInfo", maker="Unified Automation", model="UaServer"
    )
    (one,) = record(PLANT, [*own, heard], [], Places())
    assert (one.best("maker"), one.best("model"), one.best("serial")) == ("Acme", "P 200", "42")
    assert "UaServer" in {field.value for field in one.fields}
    (alone,) = record(PLANT, [heard], [], Places())
    assert alone.best("model") == "UaServer"
