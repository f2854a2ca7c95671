"""The bus: what is acknowledged here is there, once; a bus that is down or may forget costs the site nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from bus_sites import PLANT, Publishing, published, publishing, section, wait_for
from nats_creds import settings_and_creds
from nats_servers import OLD, Server, kept, one

from isthmus.cli import main
from isthmus.model.query import Raw
from isthmus.model.records.site import BusChanged, BusMissed
from isthmus.site.intake.bus_reader import BusReader
from isthmus.site.intake.certificates import Member
from isthmus.site.intake.speakers import Speakers
from isthmus.site.publish.bus import READER, Lane
from isthmus.site.publish.buses.nats import NatsSection
from isthmus.wire import frame as frames
from isthmus.wire import tls
from isthmus.wire.frame import source_id
from spine import EPOCH, MONDAY, Spine, of_events

PLC = source_id("plc")


@pytest.fixture
def server(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Server]:
    with one(tmp_path / "nats", free_port) as made:
        yield made


@pytest.mark.peer("nats")
def test_every_acknowledged_frame_and_every_record_is_on_the_bus_once_under_its_path(
    tmp_path: Path, server: Server
) -> None:
    with publishing(tmp_path / "site", section(server)) as site:
        site.take(3)
        site.say(0, 2)
        publisher = site.begin()
        site.take(2)
        wait_for(lambda: published(publisher))
        found = kept(server, "isthmus.frames.acme.northgate.#source.plc")
        assert [name for _, name, _ in found] == [f"{PLANT}/{PLC}/{EPOCH}/{seq}" for seq in range(1, 6)]
        assert next(frames.unpack_all(found[4][2])) == of_events("plc", 5, [(MONDAY + 5, "parts", 5)])[0]
        words = kept(server, "isthmus.dictionaries.acme.northgate.#source.plc.>")
        assert [frames.dictionary(next(frames.unpack_all(data))).source for _, _, data in words] == ["plc"]
        records = kept(server, "isthmus.records.JobStarted.acme.northgate.>")
        assert [json.loads(data)["order"] for _, _, data in records] == ["0", "1"]
        assert len(kept(server, "isthmus.records.>")) == site.spine.site.log.position


@pytest.mark.peer("nats")
def test_what_comes_while_the_bus_is_down_is_published_when_it_is_back_and_delays_nobody(
    tmp_path: Path, server: Server
) -> None:
    with publishing(tmp_path / "site", section(server)) as site:
        site.take(1)
        publisher = site.begin()
        wait_for(lambda: published(publisher))
        server.kill()
        began = time.monotonic()
        site.take(20)
        site.say(0, 20)
        assert time.monotonic() - began < 3
        assert publisher.waiting[Lane.FRAMES]
        server.start()
        wait_for(lambda: published(publisher))
        assert len(kept(server, "isthmus.frames.>")) == 21
        assert len(kept(server, "isthmus.records.JobStarted.>")) == 20


@pytest.mark.peer("nats")
def test_what_the_bus_kept_without_our_hearing_of_it_is_not_published_again_however_long_ago(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bus forgets ids after two minutes: `duplicates_s` could not be less, so the ids are taken from it.
    monkeypatch.setattr("isthmus.site.publish.publisher._REMEMBERED_NS", 0)
    with publishing(tmp_path / "site", section(server)) as site:
        site.take(4)
        publisher = site.begin()
        wait_for(lambda: published(publisher))
        site.end()
        marks = tmp_path / "site" / "bus" / "marks.json"
        told = json.loads(marks.read_text())
        told["lanes"]["frames"]["at"] = 0  # as if the site had been killed before it noted how far it was
        marks.write_text(json.dumps(told))
        site.take(1)
        publisher = site.begin()
        wait_for(lambda: published(publisher))
        assert publisher.repeats == 4
        assert len(kept(server, "isthmus.frames.>")) == 5


def test_a_frame_that_an_edge_sends_again_after_a_restart_is_put_aside_once(tmp_path: Path) -> None:
    bus = NatsSection(servers=("nats://127.0.0.1:1",))
    with publishing(tmp_path / "site", bus) as site:
        site.take(3)
        before = site.spool.log.end
    again = Publishing(tmp_path / "site", bus, stores=site.spine)
    try:
        again.take(3)
        assert again.spool.log.end == before
    finally:
        again.close()


@pytest.mark.peer("nats-old")
def test_a_server_of_2_9_is_refused_in_plain_words(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with one(tmp_path / "nats", free_port, OLD, sync="") as server:
        assert check(tmp_path, server) == 1
        assert "is NATS 2.9.10, which cannot sync before it acknowledges; it must be 2.10 or newer" in said(capsys)


@pytest.mark.peer("nats")
def test_a_server_that_syncs_when_it_likes_is_refused_and_told_and_the_site_goes_on(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with one(tmp_path / "nats", free_port, sync="") as server:
        assert check(tmp_path, server) == 1
        assert "syncs every 120 s: a power cut takes back what it acknowledged; set sync_interval: always" in said(
            capsys
        )
        with publishing(tmp_path / "site", section(server)) as site:
            publisher = site.begin()
            site.take(5)
            wait_for(lambda: any(isinstance(record, BusChanged) for _, record in site.spine.site.log.read(0)))
            assert publisher.waiting[Lane.FRAMES]
            assert not server.ask("jsz")["messages"]


@pytest.mark.peer("nats")
def test_what_nobody_can_see_is_refused_unless_it_is_taken_on_trust(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, server, "monitor = []\nreplicas = 1") == 1
    assert "nobody can see whether the servers sync before they acknowledge; give monitor" in said(capsys)
    assert check(tmp_path, server, "monitor = []\nreplicas = 1\nunchecked = true") == 0
    assert "is taken on trust" in said(capsys)


@pytest.mark.peer("nats")
def test_a_stream_with_too_few_copies_is_refused_and_one_copy_is_said(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, server) == 0
    assert "stream isthmus_frames: 1 copy, on disk: what it holds dies with its one disk" in said(capsys)
    assert check(tmp_path, server, f"monitor = ['{server.watched}']\nreplicas = 3") == 1
    assert "monitor names 1 of the 3 servers that keep a copy: whether the others sync" in said(capsys)
    others = "'http://127.0.0.1:1', 'http://127.0.0.1:2'"
    assert check(tmp_path, server, f"monitor = ['{server.watched}', {others}]\nreplicas = 3") == 1
    assert "stream isthmus_frames keeps 1 of 3 copies; nats stream edit isthmus_frames --replicas 3" in said(capsys)


@pytest.mark.long
@pytest.mark.peer("nats")
def test_a_password_is_asked_for_and_comes_from_the_environment(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    login = "authorization { user: isthmus, password: correct-horse }"
    with one(tmp_path / "nats", free_port, more=login) as server:
        more = f"monitor = ['{server.watched}']\nreplicas = 1\nuser = 'isthmus'\npassword = 'env:BUS_PASSWORD'"
        monkeypatch.setenv("BUS_PASSWORD", "wrong")
        assert check(tmp_path, server, more) == 1
        assert "authorization" in said(capsys).lower()
        monkeypatch.setenv("BUS_PASSWORD", "correct-horse")
        assert check(tmp_path, server, more) == 0


@pytest.mark.long
@pytest.mark.peer("nats")
def test_over_tls_both_sides_show_certificates_of_one_authority(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    authority = tmp_path / "authority"
    tls.make_authority(authority, PLANT)
    roles: tuple[tuple[str, tls.Role], ...] = (("nats", "site"), ("isthmus", "edge"))
    for name, role in roles:
        tls.make_own(authority, name, role, ["127.0.0.1"])
        for file in ("own.pem", "own.key"):
            (authority / file).rename(tmp_path / f"{name}{Path(file).suffix}")
    files = {"ca": authority / "ca.pem", "certificate": tmp_path / "isthmus.pem", "key": tmp_path / "isthmus.key"}
    theirs = f'cert_file: "{tmp_path}/nats.pem", key_file: "{tmp_path}/nats.key", ca_file: "{files["ca"]}"'
    with one(tmp_path / "nats", free_port, more=f"tls {{ {theirs}, verify: true }}") as server:
        more = f"monitor = ['{server.watched}']\nreplicas = 1\n"
        ours = "".join(f"{name} = '{path}'\n" for name, path in files.items())
        assert check(tmp_path, server, more + ours) == 0
        assert check(tmp_path, server, more + f"ca = '{files['ca']}'\n") == 1
        assert "NATS at" in said(capsys)


@pytest.mark.long
@pytest.mark.peer("nats")
def test_a_creds_file_lets_in_where_a_server_asks_for_one(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, creds = settings_and_creds(tmp_path)
    with one(tmp_path / "nats", free_port, more=settings) as server:
        more = f"monitor = ['{server.watched}']\nreplicas = 1\n"
        assert check(tmp_path, server, more) == 1
        assert "authorization" in said(capsys).lower()
        assert check(tmp_path, server, f"{more}credentials = '{creds}'") == 0


@pytest.mark.long
@pytest.mark.peer("nats")
def test_a_second_site_takes_in_what_the_first_published_each_frame_once(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        site = stack.enter_context(publishing(tmp_path / "site", section(server)))
        centre = stack.enter_context(publishing(tmp_path / "centre", section(server, read=(PLANT,))))
        publisher = site.begin()
        site.take(50)
        with reading(centre) as reader:
            wait_for(lambda: reader.taken >= 50)
            wait_for(lambda: parts(centre.spine) == list(range(1, 51)))
        site.take(10)
        with reading(centre):  # begun anew, it goes on where it stopped
            wait_for(lambda: parts(centre.spine) == list(range(1, 61)))
        wait_for(lambda: published(publisher))
        assert centre.spine.ingest.repeats == 0
        assert not centre.spool.log.end  # what was read from the bus does not go back to it


@contextmanager
def reading(centre: Publishing) -> Iterator[BusReader]:
    reader, stop = BusReader(centre.spine.ingest, centre.section), threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join(20)


def parts(spine: Spine) -> list[int]:
    number = spine.tags.find("plc/parts")
    if number is None:
        return []
    table = spine.historian.query(Raw(), [number], 0, 1 << 62)
    return table.column("i64").to_pylist()


@pytest.mark.long
def test_a_bus_that_is_down_for_too_long_costs_the_oldest_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.site.publish.spool._SEGMENT", 2_000)
    bus = NatsSection(servers=("nats://127.0.0.1:1",), retry_s=0.05, retry_most_s=0.05)
    with publishing(tmp_path / "site", bus) as site:
        site.spool._keep_bytes = 6_000
        site.take(100)
        site.begin()
        wait_for(lambda: any(isinstance(record, BusMissed) for _, record in site.spine.site.log.read(0)))
        site.end()
        [missed] = [record for _, record in site.spine.site.log.read(0) if isinstance(record, BusMissed)]
        left = sum(1 for _ in site.spool.log.read(0))
        assert missed.count + left == 100
        assert left
        assert site.spool.log.size <= 6_000 + 2_000
        assert parts(site.spine) == list(range(1, 101))


def check(folder: Path, server: Server, more: str | None = None) -> int:
    file = folder / "plant.toml"
    more = f"monitor = ['{server.watched}']\nreplicas = 1" if more is None else more
    file.write_text(
        f"[plant]\npath = '{PLANT}'\nname = 'N'\ntime_zone = 'UTC'\n[bus]\nkind = 'nats'\nservers = ['{server.address}']\n{more}\n"
    )
    return main(["bus", "check", str(file)])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_what_comes_by_the_bus_speaks_for_no_source_of_the_sites_own_edges() -> None:
    edge = {"edge-1": Member(role="edge", serials=[], since_ns=0)}
    speakers = Speakers({"plc": "edge-1", "meter": ""}, lambda: edge, f"{PLANT}#conduit/uplink")
    voice = speakers.voice(READER)
    assert "plc is of the edge edge-1, and what came by the bus says the same name" in voice.refusal(source_id("plc"))
    assert voice.refusal(source_id("meter"))  # the one edge speaks for what names none
    assert not voice.refusal(source_id("of another plant"))
