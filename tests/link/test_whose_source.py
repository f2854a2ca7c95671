"""A source is spoken for by one edge alone: what another sends of it is refused, told, kept there, and not lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from counting import PLANT, until
from cryptography.hazmat.primitives.asymmetric import ec
from sites import Edge, Place, make_place, make_run, make_soon  # noqa: F401  fixtures
from test_link import Run, counts

from isthmus.edge import uplink
from isthmus.model.errors import UsageError
from isthmus.model.query import Raw
from isthmus.model.records.edge import DeviceIdentified
from isthmus.model.records.site import SamplesQuarantined, SourceRefused
from isthmus.plantfile import load, read
from isthmus.run.carry import Door, carry_in, carry_out
from isthmus.run.edge import read_by
from isthmus.run.relay import run_relay
from isthmus.run.site import open_site
from isthmus.site.intake.certificates import BY_HAND
from isthmus.site.site import Site
from isthmus.wire import tls
from isthmus.wire.frame import source_id

HEAD = '[plant]\nname = "N"\npath = "{plant}"\n[edge]\nsite = "{url}"\n[site]\ndata = "{data}"\nlisten = "127.0.0.1:{port}"\n'
SOURCE = '[[source]]\nkind = "modbus"\nname = "{name}"\nhost = "127.0.0.1"\n{edge}\n'


def plant_file(place: Place, **edges: str) -> Path:
    """A plant with these sources, each with the edge that it names."""
    path = place.folder / "plant.toml"
    head = HEAD.format(plant=PLANT, url=place.url, data=place.folder / "site", port=place.port)
    named = {name: f'edge = "{edge}"' if edge else "" for name, edge in edges.items()}
    path.write_text(head + "".join(SOURCE.format(name=name, edge=edge) for name, edge in named.items()))
    return path


def enrolled(place: Place, name: str) -> Path:
    place.certificates.folder = place.folder / "site" / "tls"
    return place.enrolled(name)


def values(site: Site, name: str) -> list[int]:
    tag = site.tags.find(f"{name}/count")
    if tag is None:
        return []
    return np.sort(site.historian.query(Raw(), [tag], 0, 2**62).column("i64").to_numpy()).tolist()


def told(site: Site) -> list[SourceRefused]:
    return [record for _, record in site.log.read(0) if isinstance(record, SourceRefused)]


def test_an_edge_speaks_for_its_own_sources_alone_and_what_is_refused_waits(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "ASK_S", 0.5)
    first, second = enrolled(place, "line-1"), enrolled(place, "line-2")

    async def story() -> None:
        async with (
            Edge(first, place.url, sources=["saw"]) as one,
            Edge(second, place.url, sources=["mill", "saw"]) as two,
        ):
            async with open_site(load(plant_file(place, saw="line-1", mill="line-2"))) as site:
                for number in range(20):
                    one.buffer.put("saw", counts(number * 100))
                    two.buffer.put("saw", counts(50_000 + number * 100))
                    two.buffer.put("mill", counts(number * 100))
                    await asyncio.sleep(0.02)
                await until(lambda: values(site, "saw") == list(range(2000)))
                await until(lambda: values(site, "mill") == list(range(2000)))
                refused = told(site)
                assert {(each.edge, each.source, each.path) for each in refused} == {
                    ("line-2", "saw", f"{PLANT}#conduit/uplink")
                }
                assert "saw is of the edge line-1 by the site's plant file, not of line-2" in refused[0].why
                assert two.uplink.now.up
                assert list(two.uplink.now.refused) == [source_id("saw")]
                assert one.uplink.now.refused == {}
                sent = two.uplink.now.sent_bytes
                await asyncio.sleep(2.0)
                assert two.uplink.now.sent_bytes - sent < 15_000  # a frame each half second, not all of it all the time
                assert len(told(site)) == len(refused)  # within the minute it is said once
            # The plant file is mended: what waited arrives, all of it and once.
            async with open_site(load(plant_file(place, saw="line-2", mill="line-2"))) as site:
                everything = [*range(2000), *range(50_000, 52_000)]
                await until(lambda: values(site, "saw") == everything, 20)
                two.buffer.put("saw", counts(60_000))
                await until(lambda: values(site, "saw") == [*everything, *range(60_000, 60_100)], 10)
                assert values(site, "mill") == list(range(2000))
                assert two.uplink.now.refused == {}
                await until(lambda: not two.buffer.waiting)

    run(story())


def test_what_is_refused_outlives_the_edge_that_keeps_it(place: Place, run: Run) -> None:
    enrolled(place, "line-1")
    folder = enrolled(place, "line-2")

    async def story() -> None:
        async with open_site(load(plant_file(place, saw="line-1"))) as site:
            async with Edge(folder, place.url, sources=["saw"]) as edge:
                edge.buffer.put("saw", counts(0))
                await until(lambda: edge.uplink.now.refused)
                await until(lambda: not edge.buffer.waiting)
            assert values(site, "saw") == []
        async with (
            open_site(load(plant_file(place, saw="line-2"))) as site,
            Edge(folder, place.url, sources=["saw"]),
        ):
            await until(lambda: values(site, "saw") == list(range(100)))

    run(story())


def test_a_plant_with_one_edge_names_none_and_a_second_edge_asks_for_names(place: Place, run: Run) -> None:
    folder = enrolled(place, "line-1")

    async def story() -> None:
        async with (
            open_site(load(plant_file(place, saw=""))) as site,
            Edge(folder, place.url, sources=["saw"]) as edge,
        ):
            edge.buffer.put("saw", counts(0))
            await until(lambda: values(site, "saw") == list(range(100)))
            enrolled(place, "line-2")
            edge.buffer.put("saw", counts(100))
            await until(lambda: told(site))
            assert "saw names no edge, and the enrolled edges are: line-1, line-2" in told(site)[0].why
            assert values(site, "saw") == list(range(100))

    run(story())


def test_a_dictionary_and_a_record_of_another_source_are_set_aside(place: Place, run: Run) -> None:
    enrolled(place, "line-1")
    folder = enrolled(place, "line-2")

    async def story() -> None:
        async with (
            open_site(load(plant_file(place, saw="line-1", mill="line-2"))) as site,
            Edge(folder, place.url, sources=["mill"]) as edge,
        ):
            tag = edge.buffer._tags["mill"][0]
            edge.buffer._tags["mill"] = (
                msgspec.structs.replace(tag, name="saw/count"),
            )  # what a wicked edge would write
            edge.buffer.let_overtake()
            for source in ("saw", "mill"):
                path = f"{PLANT}#source/{source}"
                edge.buffer.tell(DeviceIdentified(path=path, time_ns=1, address="x", protocol="y"))
            edge.buffer.put("mill", counts(0))
            await until(lambda: any(isinstance(one, DeviceIdentified) for _, one in site.log.read(0)))
            await until(lambda: sum(isinstance(one, SamplesQuarantined) for _, one in site.log.read(0)) >= 2)
            said = [one for _, one in site.log.read(0)]
            assert [one.path for one in said if isinstance(one, DeviceIdentified)] == [f"{PLANT}#source/mill"]
            whys = " ".join(one.why for one in said if isinstance(one, SamplesQuarantined))
            assert "its dictionary names tags that are not of this source" in whys
            assert f"this edge may not speak of {PLANT}#source/saw" in whys
            assert values(site, "saw") == []

    run(story())


def test_a_relay_speaks_for_the_edges_behind_it_and_lets_each_say_its_own(
    place: Place, run: Run, free_port: object
) -> None:
    first, second = enrolled(place, "line-1"), enrolled(place, "line-2")
    enrolled(place, "line-3")
    port = free_port()  # type: ignore[operator]
    folder = place.folder / "relay"
    key = ec.generate_private_key(ec.SECP256R1())
    made = place.certificates.admit("dmz", "relay", key.public_key(), edges=["line-1", "line-2"])
    tls.write_key(folder / "tls" / "own.key", key)
    tls.save_enrolled(folder / "tls", made.certificate, made.ca)
    behind = {"line-1": ["saw"], "line-2": ["mill", "lathe"]}

    async def story() -> None:
        async with open_site(load(plant_file(place, saw="line-1", mill="line-2", lathe="line-3"))) as site:
            relay = asyncio.create_task(
                run_relay(
                    PLANT,
                    folder,
                    listen=f"127.0.0.1:{port}",
                    site=place.url,
                    edges=behind,
                    conduit="dmz",
                    most_bytes=2**27,
                )
            )
            url = f"https://127.0.0.1:{port}"
            async with (
                Edge(first, url, sources=["saw", "mill"]) as one,
                Edge(second, url, sources=["mill", "lathe"]) as two,
            ):
                one.buffer.put("saw", counts(0))
                one.buffer.put("mill", counts(10_000))
                two.buffer.put("mill", counts(0))
                two.buffer.put("lathe", counts(0))
                await until(lambda: values(site, "saw") == values(site, "mill") == list(range(100)))
                await until(lambda: one.uplink.now.refused)
                await until(lambda: told(site))
                assert "--edge line-1=" in one.uplink.now.refused[source_id("mill")]
                assert {(each.edge, each.source) for each in told(site)} == {("dmz", "lathe")}
                assert "lathe is of the edge line-3, for which dmz is no relay" in told(site)[0].why
            relay.cancel()
            await asyncio.wait([relay])

    run(story())


def test_a_relay_of_several_edges_that_cannot_say_whose_a_source_is_does_not_start(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        edges: dict[str, tuple[str, ...]] = {"line-1": (), "line-2": ("mill",)}
        with pytest.raises(UsageError, match="--edge line-1=SOURCE"):
            await run_relay(PLANT, tmp_path, listen="", site="", edges=edges, conduit="dmz", most_bytes=1)

    run(story())


def test_a_stick_is_vouched_for_by_the_person_at_the_site(place: Place, run: Run, tmp_path: Path) -> None:
    folder = enrolled(place, "line-1")
    enrolled(place, "line-2")

    async def story() -> None:
        async with Edge(folder, place.url, sources=["saw"]) as edge:
            edge.buffer.put("saw", counts(0))
            await asyncio.to_thread(edge.buffer.flush)
            await asyncio.to_thread(carry_out, folder / "buffer", tmp_path / "stick")
        async with open_site(load(plant_file(place, saw="line-1"))) as site:

            def carry() -> None:
                with Door(place.url, place.certificates) as door:
                    carry_in(tmp_path / "stick", door.take)

            await asyncio.to_thread(carry)
            assert values(site, "saw") == list(range(100))

    run(story())
    with pytest.raises(UsageError, match="own name for what people carry"):
        place.certificates.new_code(BY_HAND)


def test_one_plant_file_serves_several_edges(place: Place) -> None:
    file = load(plant_file(place, saw="line-1", mill="line-2"))
    assert [source.name for source in read_by(file.sources, enrolled(place, "line-2") / "tls")] == ["mill"]
    with pytest.raises(UsageError, match="enrolled as line-3, and no"):
        read_by(file.sources, enrolled(place, "line-3") / "tls")
    _, mistakes = read(plant_file(place, saw="line-1", mill=""))
    assert [mistake.what for mistake in mistakes] == ["source mill names no edge, and others do"]
