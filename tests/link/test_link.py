"""The link between edge and site under every fault that a network and a plant can think of."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import pyarrow as pa
import pytest
from counting import full, until
from sites import Edge, Joined, Place, make_joined, make_place, make_run, make_soon  # noqa: F401  fixtures

from isthmus.edge import gate as latch
from isthmus.edge import reopen, uplink
from isthmus.model.errors import UsageError
from isthmus.model.records.edge import ConduitCut, ConduitReopened, LinkChanged, SamplesDropped
from isthmus.model.samples import ValueKind, columns
from isthmus.wire import tls
from isthmus.wire.link import FRAMES, MAX_BODY, VERSION_HEADER, Answer

Run = Callable[[Coroutine[Any, Any, None]], None]


def counts(first: int, rows: int = 100) -> pa.RecordBatch:
    return columns(
        ValueKind.I64, np.zeros(rows), time.time_ns() + np.arange(rows), np.zeros(rows), np.arange(first, first + rows)
    )


async def feed(edge: Edge, batches: int, first: int = 0) -> None:
    for number in range(batches):
        edge.buffer.put("line", counts(first + number * 100))
        await asyncio.sleep(0.001)


def test_what_an_edge_reads_arrives_once_and_in_order(place: Place, joined: Joined, run: Run) -> None:
    async def story() -> None:
        async with joined() as edge:
            await feed(edge, 50)
            await until(lambda: len(place.taker.values.get("line", [])) == 5000)
            await until(lambda: edge.buffer.waiting == 0)
        assert place.taker.values["line"] == list(range(5000))
        assert place.taker.edges == {"line-1"}

    run(story())


def test_a_site_that_is_away_is_told_and_nothing_is_lost_when_it_returns(place: Place, run: Run) -> None:
    async def story() -> None:
        async with Edge(place.enrolled(), place.url) as edge:
            await feed(edge, 20)
            await until(lambda: "is the site running?" in edge.uplink.now.cause)
            async with place.listening():
                await until(lambda: len(place.taker.values.get("line", [])) == 2000)
                await until(lambda: any(told.up for told in place.taker.told(LinkChanged)))
                down = place.taker.told(LinkChanged)[0]
                assert not down.up
                assert "cannot be reached" in down.cause

    run(story())


def test_a_full_disk_on_the_site_is_said_in_words_and_waited_out(place: Place, joined: Joined, run: Run) -> None:
    async def story() -> None:
        place.taker.trouble = full()
        async with joined() as edge:
            await feed(edge, 5)
            await until(lambda: "the site's disk is full" in edge.uplink.now.cause)
            place.taker.trouble = None
            await until(lambda: place.taker.values.get("line") == list(range(500)))

    run(story())


def test_one_frame_that_the_site_refuses_is_set_aside_and_stops_nobody(
    place: Place, joined: Joined, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "RETRY_S", 0.02)

    async def story() -> None:
        place.taker.poison_rows = 13
        async with joined() as edge:
            for rows, first in ((100, 0), (100, 100), (13, 200), (100, 300)):
                edge.buffer.put("line", counts(first, rows))
                await asyncio.to_thread(edge.buffer.flush)
            await until(lambda: place.taker.values.get("line") == [*range(200), *range(300, 400)])
            await until(lambda: place.taker.told(SamplesDropped))
            (dropped,) = place.taker.told(SamplesDropped)
            assert (dropped.why, dropped.rows, dropped.path) == ("refused", 13, "acme/northgate#source/line")
            assert len(list((edge.folder / "buffer" / "refused").iterdir())) == 1

    run(story())


def test_a_site_that_takes_the_connection_and_is_silent_costs_one_deadline(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "DEADLINE", httpx.Timeout(0.5))

    async def story() -> None:
        folder = place.enrolled()
        held: list[asyncio.StreamWriter] = []

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            await reader.read()

        context = tls.server_context(place.certificates.folder)
        server = await asyncio.start_server(mute, "127.0.0.1", place.port, ssl=context)
        async with Edge(folder, place.url) as edge:
            await feed(edge, 5)
            await until(lambda: "was silent" in edge.uplink.now.cause)
            server.close()
            for writer in held:
                writer.transport.abort()
            await until(lambda: edge.uplink.now.cause and "was silent" not in edge.uplink.now.cause)
            async with place.listening():
                await until(lambda: place.taker.values.get("line") == list(range(500)))

    run(story())


class Line:
    """A line between edge and site that can go dead without a word, and come back."""

    def __init__(self, port: int) -> None:
        self.dead = False
        self._port = port
        self._parts: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._through, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for part in self._parts:
            part.cancel()
        await asyncio.wait(self._parts)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        for source, target in ((reader, back), (there, writer)):
            self._parts.append(asyncio.create_task(self._pump(source, target)))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                while self.dead:  # noqa: ASYNC110  a dead line tells nobody
                    await asyncio.sleep(0.02)
                target.write(data)
        finally:
            target.transport.abort()


def test_a_line_that_goes_dead_again_and_again_loses_and_doubles_nothing(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "DEADLINE", httpx.Timeout(0.4))

    async def story() -> None:
        async with (
            place.listening(),
            Line(place.port) as line,
            Edge(place.enrolled(), f"https://127.0.0.1:{line.port}") as edge,
        ):
            for cut in range(4):
                await feed(edge, 20, cut * 4000)
                line.dead = True
                await feed(edge, 20, cut * 4000 + 2000)
                await until(lambda: not edge.uplink.now.up)
                line.dead = False
                await until(lambda: edge.uplink.now.up)
            await until(lambda: len(place.taker.values.get("line", [])) >= 16_000)
        assert place.taker.values["line"] == list(range(16_000))

    run(story())


@pytest.mark.parametrize(
    ("garbage", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot json!", "is no site of isthmus"),
        (b"\x00\xffthis is not http at all\r\n\r\n", "broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b" " * 2_000_000, "longer than any answer"),
        (b"HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "HTTP status 302"),
        (b"", "broke"),
    ],
)
def test_garbage_for_an_answer_is_said_so_and_nothing_is_forgotten(
    place: Place, run: Run, garbage: bytes, words: str
) -> None:
    async def story() -> None:
        folder = place.enrolled()

        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(garbage)
            writer.close()

        server = await asyncio.start_server(
            babble, "127.0.0.1", place.port, ssl=tls.server_context(place.certificates.folder)
        )
        async with Edge(folder, place.url) as edge:
            await feed(edge, 5)
            await until(lambda: words in edge.uplink.now.cause)
            assert edge.buffer.waiting
            server.close()
            async with place.listening():
                await until(lambda: place.taker.values.get("line") == list(range(500)), 15)

    run(story())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n"])
def test_what_answers_without_a_handshake_is_not_taken_for_a_site_that_refuses_us(
    place: Place, run: Run, said: bytes
) -> None:
    async def story() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(said)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", place.port)
        async with Edge(place.enrolled(), place.url) as edge:
            await until(lambda: "is the site running" in edge.uplink.now.cause)
            assert "enrol" not in edge.uplink.now.cause
        server.close()

    run(story())


def test_an_edge_of_another_plant_is_turned_away_and_told_why(place: Place, run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        other = Place(tmp_path / "other", place.port)
        folder = other.enrolled()
        async with place.listening(), Edge(folder, place.url) as edge:
            await until(lambda: "not of this plant's authority" in edge.uplink.now.cause)
            # The other way about: it trusts this site, but its own certificate is of another plant.
            (folder / "tls" / "ca.pem").write_bytes((place.certificates.folder / "ca.pem").read_bytes())
            await edge.uplink._hang_up()
            await until(lambda: "enrol" in edge.uplink.now.cause)
            assert not place.taker.edges

    run(story())


def test_an_edge_that_was_removed_is_refused_from_its_next_request_on(place: Place, joined: Joined, run: Run) -> None:
    async def story() -> None:
        async with joined() as edge:
            await feed(edge, 1)
            await until(lambda: edge.uplink.now.up and not edge.buffer.waiting)
            assert place.certificates.remove("line-1")
            await feed(edge, 1, 100)
            await until(lambda: "not enrolled here" in edge.uplink.now.cause)
            assert place.taker.values["line"] == list(range(100))

    run(story())


def test_an_edges_ended_certificate_is_an_alarm_and_is_renewed_without_an_outage(place: Place, run: Run) -> None:
    async def story() -> None:
        folder = place.enrolled()
        key = tls.load_key(folder / "tls" / "own.key")
        ended = tls.sign(place.certificates.folder, "line-1", "edge", key.public_key(), days=-10).decode()
        tls.save_enrolled(folder / "tls", ended, (place.certificates.folder / "ca.pem").read_text())
        place.certificates._enter("line-1", "edge", ended)
        async with place.listening(), Edge(folder, place.url) as edge:
            await feed(edge, 5)
            await until(lambda: place.taker.values.get("line") == list(range(500)))
            await until(lambda: not tls.is_due(tls.own(folder / "tls")))
            await feed(edge, 5, 500)
            await until(lambda: place.taker.values.get("line") == list(range(1000)))
            await until(lambda: not edge.uplink.now.alarm)
        assert [told.subject for told in place.told] == ["line-1"]

    run(story())


def test_a_certificate_that_ended_beyond_the_overlap_is_refused(place: Place) -> None:
    folder = place.enrolled()
    key = tls.load_key(folder / "tls" / "own.key")
    ended = tls.sign(place.certificates.folder, "line-1", "edge", key.public_key(), days=-200).decode()
    place.certificates._enter("line-1", "edge", ended)
    assert "ended 200 days ago" in place.certificates.refusal(tls.peer_of_pem(ended))


def test_a_sites_ended_certificate_does_not_cut_its_edges_off(place: Place, run: Run) -> None:
    async def story() -> None:
        folder = place.enrolled()
        site = place.certificates.folder
        key = tls.load_key(site / "own.key")
        (site / "own.pem").write_bytes(tls.sign(site, "site", "site", key.public_key(), days=-10))
        context = tls.server_context(site)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", place.port, ssl=context)
        async with server, Edge(folder, place.url) as edge:
            assert (await edge.uplink._post(b"")).acknowledged == ()

    run(story())


def test_an_edge_cannot_pass_for_the_site(place: Place, run: Run) -> None:
    async def story() -> None:
        folder = place.enrolled()
        impostor = place.enrolled("impostor") / "tls"
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", place.port, ssl=tls.server_context(impostor))
        async with server, Edge(folder, place.url) as edge:
            await until(lambda: "not of this plant's authority" in edge.uplink.now.cause)

    run(story())


def test_a_renewed_certificate_for_another_key_is_not_taken(place: Place) -> None:
    folder = place.enrolled() / "tls"
    before = (folder / "own.pem").read_text()
    other = tls.load_key(place.enrolled("other") / "tls" / "own.key")
    foreign = tls.sign(place.certificates.folder, "line-1", "edge", other.public_key()).decode()
    assert not tls.take_renewed(folder, foreign)
    assert not tls.take_renewed(folder, "rubbish")
    assert (folder / "own.pem").read_text() == before


def test_the_site_cuts_the_conduit_and_only_two_people_here_open_it(place: Place, joined: Joined, run: Run) -> None:
    async def story() -> None:
        async with joined() as edge:
            await feed(edge, 5)
            await until(lambda: edge.uplink.now.up)
            place.cut = True
            await until(lambda: edge.gate.latch.told and edge.gate.closed)
            place.cut = False
            await feed(edge, 5, 500)
            await asyncio.sleep(0.5)  # what was on its way when the gate closed has arrived
            bodies = place.taker.bodies
            await asyncio.sleep(0.7)
            assert place.taker.bodies == bodies
            assert edge.buffer.waiting
            with pytest.raises(UsageError, match="two different people"):
                reopen.reopen(edge.folder, "A. Smith", " a. smith ", "no")
            reopen.reopen(edge.folder, "A. Smith", "B. Jones", "checked")
            await until(lambda: place.taker.values.get("line") == list(range(1000)))
            await until(lambda: place.taker.told(ConduitReopened))
            (cut,) = place.taker.told(ConduitCut)
            assert cut.by == "the site"
            assert "failed after" in cut.verified
            assert place.taker.told(ConduitReopened)[0].by == ("A. Smith", "B. Jones")

    run(story())


def test_a_cut_made_here_holds_over_a_restart(place: Place, run: Run) -> None:
    async def story() -> None:
        folder = place.enrolled()
        latch.close(folder, level=2, by="night shift", reason="drill")
        async with place.listening():
            async with Edge(folder, place.url) as edge:
                await feed(edge, 5)
                await until(lambda: edge.gate.latch.told)
            async with Edge(folder, place.url) as edge:
                assert edge.gate.closed
                await asyncio.sleep(0.7)
            assert place.taker.bodies == 0

    run(story())


def test_a_latch_that_cannot_be_read_is_closed(tmp_path: Path) -> None:
    assert not latch.read(tmp_path).closed
    (tmp_path / "gate.json").write_bytes(b"\xff\x00 half a fi")
    assert latch.read(tmp_path).closed


def test_an_idle_link_still_asks_whether_the_site_is_there(
    place: Place, joined: Joined, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "HELLO_S", 0.2)

    async def story() -> None:
        async with joined() as edge:
            await until(lambda: not edge.buffer.waiting and edge.uplink.now.up)
            bodies = place.taker.bodies
            await until(lambda: place.taker.bodies > bodies + 2)

    run(story())


def test_after_a_long_outage_new_values_arrive_before_the_backlog_is_through(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "IN_ORDER_BYTES", 5_000)
    monkeypatch.setattr(uplink, "MAX_BODY", 2_000)
    first_new = 10**6
    taken = place.taker.take

    def slowly(edge: str, body: bytes) -> Answer:
        time.sleep(0.04)
        return taken(edge, body)

    monkeypatch.setattr(place.taker, "take", slowly)

    async def story() -> None:
        async with Edge(place.enrolled(), place.url) as edge:
            chance = np.random.default_rng(1)
            for number in range(60):
                noise = columns(
                    ValueKind.I64,
                    np.zeros(100),
                    chance.integers(0, 2**60, 100),
                    np.zeros(100),
                    np.arange(number * 100, number * 100 + 100),
                )
                edge.buffer.put("line", noise)
                await asyncio.to_thread(edge.buffer.flush)
            assert edge.buffer.waiting > 50_000
            async with place.listening():
                await until(lambda: len(edge.buffer.lanes) > 1)
                edge.buffer.put("line", counts(first_new, 1))
                await until(lambda: len(place.taker.values.get("line", [])) == 6001, 30)
        values = place.taker.values["line"]
        assert values.index(first_new) < 5500
        assert [value for value in values if value != first_new] == list(range(6000))

    run(story())


def test_the_door_says_what_it_does_not_take(place: Place, run: Run) -> None:
    async def story() -> None:
        folder = place.enrolled() / "tls"
        async with place.listening():
            async with httpx.AsyncClient(verify=tls.client_context(folder), trust_env=False) as client:
                ours = {VERSION_HEADER: "1"}
                assert (
                    await client.post(place.url + FRAMES, content=b"", headers={VERSION_HEADER: "9"})
                ).status_code == 426
                assert (await client.get(place.url + "/", headers=ours)).status_code == 404
                assert (await client.post(place.url + FRAMES, content=b"rubbish", headers=ours)).status_code == 400
                assert (await client.post(place.url + FRAMES, content=b"", headers=ours)).json() == {
                    "acknowledged": [],
                    "refused": [],
                    "cut": False,
                    "certificate": "",
                }
            anonymous = tls.trusting((folder / "ca.pem").read_text())
            async with httpx.AsyncClient(verify=anonymous, trust_env=False) as client:
                reply = await client.post(place.url + FRAMES, content=b"x" * 100_000, headers=ours)
                assert reply.status_code == 403
                assert "no certificate was shown" in reply.text

    run(story())


def test_random_bytes_and_half_open_sockets_leave_the_door_open_for_others(
    place: Place, joined: Joined, run: Run
) -> None:
    def rude() -> list[socket.socket]:
        context = tls.trusting((place.certificates.folder / "ca.pem").read_text())
        held = []
        for number in range(30):
            raw = socket.create_connection(("127.0.0.1", place.port), 5)
            if number % 3 == 0:
                raw.sendall(b"\x16\x03\x01 not a handshake")
            elif number % 3 == 1:
                raw = context.wrap_socket(raw)
                raw.sendall(b"POST /v1/frames HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nhalf")
            else:
                raw = context.wrap_socket(raw)
                raw.sendall(bytes(range(256)) * 100)
            held.append(raw)
        return held

    async def story() -> None:
        async with joined() as edge:
            held = await asyncio.to_thread(rude)
            await feed(edge, 10)
            await until(lambda: place.taker.values.get("line") == list(range(1000)))
            for one in held:
                one.close()

    run(story())


def test_an_endless_body_is_cut_off(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.site.intake.link.LONE_FRAME", MAX_BODY)

    async def story() -> None:
        folder = place.enrolled() / "tls"

        async def endless() -> Any:  # noqa: ANN401
            for _ in range(MAX_BODY // 2**20 + 8):
                yield bytes(2**20)

        async with place.listening(), httpx.AsyncClient(verify=tls.client_context(folder), trust_env=False) as client:
            reply = await client.post(place.url + FRAMES, content=endless(), headers={VERSION_HEADER: "1"})
            assert reply.status_code == 413
        assert place.taker.bodies == 0

    run(story())


def test_a_line_too_slow_for_a_large_body_is_sent_small_ones(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "DEADLINE", httpx.Timeout(0.4))
    monkeypatch.setattr(uplink, "LEAST_BODY", 2_000)
    monkeypatch.setattr(uplink, "MAX_BODY", 100_000)
    taken = place.taker.take

    def slow(edge: str, body: bytes) -> Answer:
        time.sleep(len(body) / 30_000)
        return taken(edge, body)

    monkeypatch.setattr(place.taker, "take", slow)

    async def story() -> None:
        async with Edge(place.enrolled(), place.url) as edge:
            for number in range(40):
                edge.buffer.put("line", counts(number * 100).set_column(1, "time_ns", noisy()))
                await asyncio.to_thread(edge.buffer.flush)
            assert edge.buffer.waiting > 30_000
            async with place.listening():
                await until(lambda: place.taker.values.get("line") == list(range(4000)), 30)

    run(story())


def noisy() -> pa.Array:
    """Times that hardly compress."""
    return pa.array(np.random.default_rng().integers(0, 2**60, 100))


def test_a_taken_address_is_said_in_words(place: Place, run: Run) -> None:
    async def story() -> None:
        async with place.listening():
            with pytest.raises(UsageError, match="another site may run here"):
                async with place.listening():
                    pass

    run(story())


def test_only_tls_1_3_is_spoken(place: Place, run: Run) -> None:
    def old() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", place.port), 5) as raw, pytest.raises(ssl.SSLError):
            context.wrap_socket(raw)

    async def story() -> None:
        async with place.listening():
            await asyncio.to_thread(old)

    run(story())


def test_private_keys_are_readable_by_their_owner_only(place: Place) -> None:
    folder = place.enrolled() / "tls"
    site = place.certificates.folder
    for key in (folder / "own.key", site / "own.key", site / "ca.key", site / "enrolled.json"):
        assert key.stat().st_mode & 0o077 == 0, key
    assert "line-1" in json.loads((site / "enrolled.json").read_text())
