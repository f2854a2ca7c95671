"""The MTConnect source against a living agent: restarts, overruns, heartbeats, TLS, and agents that lie."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.edge.source import Limits
from isthmus.edge.sources.mtconnect import Mtconnect, MtconnectTag, Plan
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway, DeviceRefuses
from isthmus.model.samples import ValueKind
from isthmus.sim.servers.mtconnect_agent import Agent, Device, Item

T0 = 1_790_000_000_000_000_000
MILL = Device(
    id="d1",
    name="MILL",
    uuid="mill-1",
    manufacturer="Northgate",
    serial="0007",
    items=(
        Item(id="parts", category="EVENT", type="PART_COUNT"),
        Item(id="load", category="SAMPLE", type="LOAD", units="PERCENT"),
        Item(id="sys", category="CONDITION", type="SYSTEM"),
    ),
)
PARTS = MtconnectTag(name="parts", item="parts", kind=ValueKind.I64)
LOAD = MtconnectTag(name="load", item="load")
SYS = MtconnectTag(name="sys", item="sys", kind=ValueKind.STR, condition="code")


class Seen:
    def __init__(self) -> None:
        self.rows: dict[int, list[tuple[int, int, Any]]] = {}
        self.faults: dict[int, str] = {}
        self.ups: list[tuple[str, str]] = []

    def emit(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.rows.setdefault(row["tag"], []).append((row["time_ns"], row["status"], row["value"]))

    def up(self, *, address: str, security: str) -> None:
        self.ups.append((address, security))

    def fault(self, tag: int, status: int, why: str) -> None:
        if status == st.GOOD:
            del self.faults[tag]
        else:
            self.faults[tag] = why

    def last(self, tag: int) -> tuple[int, Any]:
        _, status, value = self.rows.get(tag, [(0, 0, None)])[-1]
        return status, value

    def values(self, tag: int) -> list[Any]:
        return [value for _, _, value in self.rows[tag]]


def mill(port: int, **more: Any) -> Mtconnect:  # noqa: ANN401  fields of a source
    fixed = {"name": "mill", "url": f"http://127.0.0.1:{port}", "interval_s": 0.0, "heartbeat_s": 0.2, "timeout_s": 0.4}
    return Mtconnect(**{**fixed, **more})


@contextlib.asynccontextmanager
async def served(agent: Agent) -> AsyncIterator[int]:
    async with await agent.serve("127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])
        agent.drop()


@contextlib.asynccontextmanager
async def running(source: Mtconnect, plan: Plan, seen: Seen) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(source.run(plan, seen))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=2)


async def until(holds: Callable[[], object], task: asyncio.Task[None], within_s: float = 3.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        if task.done():
            task.result()
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_an_agent_that_starts_anew_is_probed_again_and_the_gap_is_told() -> None:
    agent, seen = Agent(MILL), Seen()
    agent.update("parts", 5, T0)

    async def check() -> None:
        async with served(agent) as port:
            source = mill(port)
            async with running(source, source.plan([PARTS, LOAD], Limits()), seen) as task:
                await until(lambda: seen.last(0) == (st.GOOD, 5), task)
                agent.restart()
                agent.update("parts", 1, T0 + 9)
                agent.update("parts", 2, time.time_ns())
                await until(lambda: seen.last(0) == (st.GOOD, 2), task)
                agent.update("parts", 3, time.time_ns())
                await until(lambda: seen.last(0) == (st.GOOD, 3), task)

    asyncio.run(check())
    told = [status for _, status, _ in seen.rows[0]]
    assert st.BAD_NO_DATA in told[told.index(st.GOOD) :]
    assert len(seen.ups) == 2


def test_an_agent_that_comes_back_with_its_buffer_loses_nothing() -> None:
    agent, seen = Agent(MILL), Seen()

    async def check() -> None:
        async with served(agent) as port:
            source = mill(port, count=3)
            plan = source.plan([PARTS, SYS], Limits())
            async with running(source, plan, seen) as task:
                agent.update("parts", 0, T0)
                await until(lambda: seen.rows.get(0) and seen.last(0) == (st.GOOD, 0), task)
                await until(lambda: agent._streams, task)
                agent.drop()
                with pytest.raises(DeviceAway, match=r"broke off|ended the stream"):
                    await asyncio.wait_for(task, 2)
            for part in range(1, 21):
                agent.update("parts", part, T0 + part)
            agent.condition("sys", "Fault", T0 + 30, code="401")
            agent.condition("sys", "Normal", T0 + 31, code="401")
            async with running(source, plan, seen) as task:
                await until(lambda: (T0 + 31, st.GOOD, "") in seen.rows[1], task)
                agent.update("parts", 21, time.time_ns())
                await until(lambda: seen.last(0) == (st.GOOD, 21), task)

    asyncio.run(check())
    assert sorted({value for value in seen.values(0) if value is not None}) == list(range(22))
    assert (T0 + 30, st.GOOD, "401") in seen.rows[1]
    for part in range(1, 21):
        assert (T0 + part, st.GOOD, part) in seen.rows[0]
    held = [time_ns for time_ns, _, value in seen.rows[0] if value == 20]
    assert len(held) == 2
    assert abs(held[1] - time.time_ns()) < 10**10, "what stands is said again at the time of the new connection"


def test_a_buffer_that_ran_over_is_told_as_a_gap_and_reading_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    agent, seen = Agent(MILL, buffer=8), Seen()

    async def check() -> None:
        async with served(agent) as port:
            source = mill(port, interval_s=0.1, count=2)
            async with running(source, source.plan([PARTS, LOAD], Limits()), seen) as task:
                agent.update("parts", 1, T0)
                await until(lambda: seen.last(0) == (st.GOOD, 1), task)
                for part in range(2, 60):
                    agent.update("parts", part, T0 + part)
                await until(lambda: seen.last(0) == (st.GOOD, 59), task)
                agent.update("parts", 60, T0 + 10**18)
                await until(lambda: seen.last(0) == (st.GOOD, 60), task)

    asyncio.run(check())
    assert st.BAD_NO_DATA in [status for _, status, _ in seen.rows[1]]
    assert any("ran over" in record.getMessage() and "observations" in record.getMessage() for record in caplog.records)


def test_missing_more_than_the_buffer_while_away_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    agent, seen = Agent(MILL, buffer=8), Seen()

    async def check() -> None:
        async with served(agent) as port:
            source = mill(port)
            plan = source.plan([PARTS], Limits())
            async with running(source, plan, seen) as task:
                await until(lambda: seen.ups, task)
            for part in range(100):
                agent.update("parts", part, T0 + part)
            async with running(source, plan, seen) as task:
                await until(lambda: seen.last(0) == (st.GOOD, 99), task)

    asyncio.run(check())
    assert any("no longer has the 100 observations" in record.getMessage() for record in caplog.records)


def test_an_agent_that_starts_anew_under_the_same_instance_is_not_believed_to_go_on() -> None:
    agent, again, seen = Agent(MILL), Agent(MILL), Seen()
    again._instance = agent._instance
    for part in range(30):
        agent.update("parts", part, T0 + part)
    again.update("parts", 2, T0 + 100)

    async def check() -> None:
        async with served(agent) as port:
            plan = mill(port).plan([PARTS], Limits())
            async with running(mill(port), plan, seen) as task:
                await until(lambda: seen.ups and seen.last(0) == (st.GOOD, 29), task)
        async with served(again) as port, running(mill(port), plan, seen) as task:
            await until(lambda: seen.last(0) == (st.GOOD, 2), task)
            again.update("parts", 3, time.time_ns())
            await until(lambda: seen.last(0) == (st.GOOD, 3), task)

    asyncio.run(check())
    assert (T0 + 100, st.GOOD, 2) in seen.rows[0]
    assert st.BAD_NO_DATA in [status for _, status, _ in seen.rows[0]]


def test_a_tag_of_another_type_is_named_with_what_it_says() -> None:
    agent, seen = Agent(MILL), Seen()
    agent.update("parts", "many", T0)

    async def check() -> None:
        async with served(agent) as port:
            source = mill(port)
            async with running(source, source.plan([PARTS, LOAD], Limits()), seen) as task:
                await until(lambda: 0 in seen.faults, task)
                assert seen.faults == {0: "parts: it says 'many', which is no i64; write kind = 'str'"}
                assert seen.last(0) == (st.BAD_TYPE_MISMATCH, None)
                agent.update("parts", 7, time.time_ns())
                await until(lambda: seen.last(0) == (st.GOOD, 7) and not seen.faults, task)

    asyncio.run(check())


def test_an_unknown_device_is_refused_and_a_known_one_is_read_alone() -> None:
    agent, seen = (
        Agent(MILL, Device(id="d2", name="SAW", items=(Item(id="x", category="EVENT", type="EXECUTION"),))),
        Seen(),
    )

    async def check() -> None:
        async with served(agent) as port:
            with pytest.raises(DeviceRefuses, match="has no device LATHE"):
                await mill(port, device="LATHE").identify()
            source = mill(port, device="mill-1")
            assert [found.path async for found in source.browse("*LOAD")] == ["Device[MILL]/LOAD"]
            assert [found.path async for found in source.browse("*EXECUTION")] == []
            async with running(source, source.plan([LOAD], Limits()), seen) as task:
                agent.update("load", 50.5, T0)
                await until(lambda: seen.rows.get(0) and seen.last(0) == (st.GOOD, 50.5), task)
            identity = await source.identify()
            assert (identity.maker, identity.serial, identity.more["uuid"]) == ("Northgate", "0007", "mill-1")

    asyncio.run(check())


Answer = Callable[[bytes], bytes]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """An HTTP server that answers any request with these bytes, then says nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


def http(body: bytes, status: str = "200 OK", **heads: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in heads.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (http(b"<html><body>router</body></html>"), DeviceAway, "begins with html"),
        (http(b"<!DOCTYPE a><MTConnectDevices/>"), DeviceAway, "DOCTYPE"),
        (http(b"", "200 OK"), DeviceAway, "answers probe with nothing"),
        (http(b"no", "401 Unauthorized"), DeviceRefuses, "does not let us in"),
        (http(b"", "302 Found", Location="https://elsewhere.example/"), DeviceRefuses, "points to https://elsewhere"),
        (http(b"x" * 3_000_000), DeviceAway, "larger than 1 MB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n<MTConnectDevices>", DeviceAway, "does not answer probe within"),
        (b"\x00\x01\x02\x03 nothing like HTTP\r\n\r\n", DeviceAway, "broke off"),
        (b"", DeviceAway, "does not answer probe within 0.4 s"),
    ],
    ids=["a web page", "a doctype", "nothing", "not let in", "redirected", "too large", "half", "garbage", "silent"],
)  # fmt: skip
def test_what_answers_otherwise_than_an_agent_is_told_with_its_reason(
    answer: bytes, error: type[Exception], says: str
) -> None:
    async def check() -> None:
        async with answering(lambda _: answer) as port:
            source = mill(port, document_mb=1)
            for work in (source.identify(), source.run(source.plan([LOAD], Limits()), Seen())):
                with pytest.raises(error, match=says) as caught:
                    await asyncio.wait_for(_ignore(work), 2)
                assert str(port) in str(caught.value)

    asyncio.run(check())


async def _ignore(work: Awaitable[object]) -> None:
    await work


def test_a_stream_without_heartbeats_is_given_up() -> None:
    agent, seen = Agent(MILL), Seen()

    def answer(request: bytes) -> bytes:
        verb = request.partition(b" ")[2].partition(b"?")[0].strip(b"/").partition(b" ")[0].decode()
        if verb == "sample":
            return b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=b\r\n\r\n--b\r\n"
        return http(agent._document(verb, (MILL,), {}))

    async def check() -> None:
        async with answering(answer) as port:
            source = mill(port, heartbeat_s=0.1, timeout_s=0.2)
            async with running(source, source.plan([PARTS], Limits()), seen) as task:
                await until(lambda: seen.ups, task)
                with pytest.raises(DeviceAway, match=r"sends no heartbeat for 0\.3 s"):
                    await asyncio.wait_for(task, 1)

    asyncio.run(check())


def test_https_is_read_with_the_authority_that_the_plant_file_names(tmp_path: Path) -> None:
    authority = certificate(tmp_path)
    agent, seen = Agent(MILL), Seen()
    agent.update("load", 1.5, T0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, tmp_path / "key.pem")

    async def check() -> None:
        async with await asyncio.start_server(agent._answer, "127.0.0.1", 0, ssl=context) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(DeviceRefuses, match="certificate that is not trusted"):
                await mill(1, url=url).identify()
            with pytest.raises(DeviceRefuses, match="there is no file"):
                await mill(1, url=url, ca=str(tmp_path / "none.pem")).identify()
            source = mill(1, url=url, ca=str(authority))
            assert (await source.identify()).security == "TLS"
            async with running(source, source.plan([LOAD], Limits()), seen) as task:
                await until(lambda: seen.rows.get(0) and seen.last(0) == (st.GOOD, 1.5), task)
            agent.drop()

    asyncio.run(check())
    assert seen.ups[0][1] == "TLS"


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain, pem = serialization.NoEncryption(), serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "agent.pem").write_bytes(made.public_bytes(pem))
    return folder / "agent.pem"


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ("GET /sample?from=999999", 400, "OUT_OF_RANGE"),
        ("GET /sample?from=abc", 400, "OUT_OF_RANGE"),
        ("GET /sample?count=0", 400, "OUT_OF_RANGE"),
        ("GET /LATHE/current", 404, "NO_DEVICE"),
        ("GET /assets", 404, "UNSUPPORTED"),
        ("PUT /probe", 405, "INVALID_REQUEST"),
    ],
)
def test_our_agent_refuses_in_the_words_of_the_standard(request_: str, status: int, says: str) -> None:
    agent = Agent(MILL)

    async def ask() -> httpx.Response:
        method, _, target = request_.partition(" ")
        async with served(agent) as port, httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"http://127.0.0.1:{port}{target}")

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert f'errorCode="{says}"' in answer.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "bool"}, "write kind = 'str'"),
        ({"part": -1}, "the first is 0"),
        ({"condition": "some"}, "some"),
        ({"item": ""}, "length >= 1"),
    ],
)
def test_a_wrong_tag_gets_a_sentence(fields: dict[str, object], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({"name": "t", "item": "x", **fields}, MtconnectTag)
