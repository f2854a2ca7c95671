"""The map of who asks whom: an edge and its devices, one by one or together, and the conduit to the site."""

from __future__ import annotations

import re
import time

import pytest
from visits import make_fresh, make_silent  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.equipment import beside
from isthmus.model.records.edge import SourceChanged
from isthmus.web.figures.asked import MOST, asked
from isthmus.web.figures.sources import all_sources
from isthmus.web.network import network


@pytest.mark.parametrize("devices", [1, 10, 300])
def test_every_device_has_a_line_from_the_edge_that_asks_it_and_no_label_lies_on_another(
    silent: worlds.World, devices: int
) -> None:
    house = silent.app.state.house
    names = [f"plc-{number:03}" for number in range(devices)]
    now = time.time_ns()
    silent.site.append(
        [
            SourceChanged(
                path=beside(silent.site.plant.path, "source", name),
                time_ns=now,
                state="up",
                cause="",
                security="none" if number % 2 else "signed and encrypted",
            )
            for number, name in enumerate(names)
        ]
    )
    silent.site.contact.heard("edge-a", names[: devices // 2 + 1], now)
    silent.site.contact.heard("edge-b", names[devices // 2 + 1 :], now)
    silent.site.contact.dials("edge-a", beside(silent.site.plant.path, "conduit", "uplink"))
    nodes, edges = asked(house)
    lines = [one for one in edges if one["kind"] == "asks"]
    assert sum(one["n"] for one in lines) == devices
    by_source = {one.name: one.edge for one in all_sources(house)}
    assert by_source["plc-000"] == "edge-a"
    assert ("#edge/edge-a", "#site") in {(one["client"], one["server"]) for one in edges if one["kind"] == "conduit"}
    assert height_of(network(nodes, edges, single=True)) < 1000, "it fits a screen"
    if devices <= MOST:
        by_edge = {one["server"]: one["client"] for one in lines}
        assert by_edge["#source/plc-000"] == "#edge/edge-a"
        assert len(by_edge) == devices
        assert devices == 1 or by_edge[f"#source/plc-{devices - 1:03}"] == "#edge/edge-b"
    drawing = str(network(nodes, edges, single=True))
    assert drawing.count('class="edge e-asks"') == len(lines)
    assert "conduit uplink" in drawing
    places = re.findall(r'<text class="label[^"]*" x="(\d+)" y="(\d+)">', drawing)
    assert len(set(places)) == len(places) == len(nodes)


def height_of(drawing: str) -> int:
    return int(re.findall(r'viewBox="0 0 1200 (\d+)"', drawing)[0])


def test_of_many_devices_the_silent_ones_stand_by_themselves(silent: worlds.World) -> None:
    silent.site.append(
        [
            SourceChanged(
                path=beside(silent.site.plant.path, "source", f"plc-{number:03}"),
                time_ns=time.time_ns(),
                state="away" if number % 50 == 0 else "up",
                cause="",
            )
            for number in range(300)
        ]
    )
    nodes, edges = asked(silent.app.state.house)
    assert {(one["label"], one["n"]) for one in nodes if one["role"] == "machine"} == {
        ("silent", 6),
        ("no security", 294),
    }
    assert {(one["kind"], one["n"]) for one in edges} == {("quiet", 6), ("asks", 294), ("conduit", 1)}


def test_a_device_that_is_silent_is_drawn_as_silent(silent: worlds.World) -> None:
    path = beside(silent.site.plant.path, "source", "plc")
    silent.site.append([SourceChanged(path=path, time_ns=time.time_ns(), state="away", cause="no answer")])
    [line, conduit] = asked(silent.app.state.house)[1]
    assert (line["kind"], conduit["kind"]) == ("quiet", "conduit")
    assert "silent now" in line["said"]
