"""The Modbus source against gateways that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from modbus_gateway import Asked, Gateway, listening

from isthmus.edge.modbus_client.codec import Table
from isthmus.edge.source import Limits
from isthmus.edge.sources import kinds
from isthmus.edge.sources.modbus import Modbus, ModbusTag
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway
from isthmus.model.samples import ValueKind


class Seen:
    def __init__(self) -> None:
        self.last: dict[int, tuple[int, Any]] = {}
        self.values: dict[int, list[Any]] = {}
        self.faults: dict[int, str] = {}
        self.told: list[tuple[int, int]] = []
        self.ups = 0

    def emit(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.last[row["tag"]] = row["status"], row["value"]
            self.values.setdefault(row["tag"], []).append(row["value"])

    def up(self, *, address: str, security: str) -> None:
        assert address
        assert security == "none"
        self.ups += 1

    def fault(self, tag: int, status: int, why: str) -> None:
        self.told.append((tag, status))
        if status == st.GOOD:
            del self.faults[tag]
        else:
            self.faults[tag] = why

    def good(self) -> dict[int, Any]:
        return {tag: value for tag, (status, value) in sorted(self.last.items()) if status == st.GOOD}


def u16(address: int, **more: Any) -> ModbusTag:  # noqa: ANN401  fields of a tag
    return ModbusTag(name=f"r{address}", kind=ValueKind.I64, address=address, **more)


def meter(port: int, **more: Any) -> Modbus:  # noqa: ANN401  fields of a source
    return Modbus(**{"name": "m", "host": "127.0.0.1", "port": port, "poll_s": 0.02, "timeout_s": 0.15, **more})


@contextlib.asynccontextmanager
async def running(source: Modbus, tags: Sequence[ModbusTag], seen: Seen) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(source.run(source.plan(tags, Limits()), seen))
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


def test_a_bad_address_is_found_by_halving_named_and_left_out() -> None:
    gateway, seen = Gateway({1: {n: n for n in range(100) if n not in (37, 38)}}), Seen()
    tags = [u16(n) for n in range(64)]

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), tags, seen) as task:
            await until(lambda: len(seen.good()) == 62 and len(seen.faults) == 2, task)
            after = len(gateway.asked)
            polls = len(seen.values[0])
            await until(lambda: len(seen.values[0]) > polls + 3, task)
            assert not any(37 in range(a.start, a.start + a.size) for a in gateway.asked[after:])
        assert after <= 40, "a dozen questions isolate two bad addresses out of 64"

    asyncio.run(check())
    assert seen.good() == {n: n for n in range(64) if n not in (37, 38)}
    assert seen.last[37] == (st.BAD_NODE_ID_UNKNOWN, None)
    assert "holding 37" in seen.faults[37]
    assert "no such address" in seen.faults[37]


def test_a_hole_between_two_tags_makes_two_requests_and_no_fault() -> None:
    gateway, seen = Gateway({1: {0: 5, 9: 6}}), Seen()

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), [u16(0), u16(9)], seen) as task:
            await until(lambda: len(seen.good()) == 2, task)

    asyncio.run(check())
    assert seen.good() == {0: 5, 1: 6}
    assert seen.told == []


def test_a_refused_address_is_tried_again_and_comes_back() -> None:
    memory = {0: 1}
    gateway, seen = Gateway({1: memory}), Seen()

    async def check() -> None:
        async with (
            listening(gateway.serve) as port,
            running(meter(port, retry_bad_s=0.1), [u16(0), u16(1), u16(2)], seen) as task,
        ):
            await until(lambda: set(seen.faults) == {1, 2}, task)
            memory.update({1: 7, 2: 8})
            await until(lambda: seen.good() == {0: 1, 1: 7, 2: 8}, task)
            assert seen.faults == {}
            gateway.asked.clear()
            polls = len(seen.values[0])
            await until(lambda: len(seen.values[0]) >= polls + 2, task)
            assert {(a.start, a.size) for a in gateway.asked} == {(0, 1), (1, 2)}, "what came back is read together"

    asyncio.run(check())


def test_a_late_reply_never_passes_for_the_next_answer() -> None:
    gateway, seen = Gateway({1: {0: 111, 500: 222}, 2: {0: 333}}), Seen()
    gateway.delay = lambda asked: 0.17 if asked.unit == 2 else 0.0
    tags = [u16(0), u16(500), u16(0, unit_id=2)]

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port, retry_silent_s=0.16), tags, seen) as task:
            await until(lambda: len([a for a in gateway.asked if a.unit == 2]) > 3, task)

    asyncio.run(check())
    assert set(seen.values[0]) == {111}
    assert set(seen.values[1]) == {222}
    assert set(seen.values[2]) == {None}


def test_a_gateway_that_repeats_no_transaction_number_is_read_where_that_is_declared() -> None:
    gateway, seen = Gateway({1: {0: 111}, 2: {0: 333}, 3: {0: 9}}), Seen()
    gateway.echoes = False
    gateway.delay = lambda asked: 0.2 if asked.unit == 2 else 0.1
    tags = [u16(0), u16(0, unit_id=2), u16(0, unit_id=3)]

    async def check() -> None:
        async with listening(gateway.serve) as port:
            async with running(meter(port), tags, Seen()) as task:
                with pytest.raises(DeviceAway):
                    await asyncio.wait_for(task, 2)
            async with running(meter(port, echoes=False, retry_silent_s=0.3), tags, seen) as task:
                await until(lambda: len([a for a in gateway.asked if a.unit == 2]) > 3, task)

    asyncio.run(check())
    assert set(seen.values[0]) == {111}
    assert set(seen.values[1]) == {None}, "a late answer of unit 2 belongs to nobody"
    assert set(seen.values[2]) == {9}


@pytest.mark.parametrize("how", ["silent", "gateway code"])
def test_a_silent_unit_behind_a_gateway_costs_its_own_tags_only(how: str) -> None:
    gateway, seen = Gateway({1: {0: 1}, 2: {0: 2, 300: 3}}), Seen()
    if how == "silent":
        gateway.silent = {2}
    else:
        gateway.codes = {2: 11}
    tags = [u16(0), u16(0, unit_id=2), u16(300, unit_id=2)]
    status = st.BAD_TIMEOUT if how == "silent" else st.BAD_NO_COMMUNICATION

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port, retry_silent_s=0.3), tags, seen) as task:
            await until(lambda: set(seen.faults) == {1, 2} and len(seen.values[0]) > 20, task)
            assert seen.good() == {0: 1}
            assert {seen.last[1], seen.last[2]} == {(status, None)}
            asked = len([a for a in gateway.asked if a.unit == 2])
            assert asked * 4 < len(gateway.asked), "it is asked ever more rarely, one question at a time"
            gateway.silent, gateway.codes = set(), {}
            await until(lambda: seen.good() == {0: 1, 1: 2, 2: 3}, task)

    asyncio.run(check())
    assert seen.faults == {}
    assert seen.ups == 1


def test_a_device_that_is_silent_as_a_whole_is_away() -> None:
    gateway = Gateway({1: {0: 1}, 2: {0: 2}})
    gateway.silent = {1, 2}

    async def check() -> str:
        async with (
            listening(gateway.serve) as port,
            running(meter(port), [u16(0), u16(0, unit_id=2)], Seen()) as task,
        ):
            with pytest.raises(DeviceAway) as caught:
                await asyncio.wait_for(task, 2)
            assert str(port) in str(caught.value)
            return str(caught.value)

    assert "does not answer within 0.15 s" in asyncio.run(check())


@pytest.mark.parametrize("deaf_to", [set[int](), {0x2B}], ids=["refuses", "ignores"])
def test_a_device_that_cannot_say_who_it_is_is_there_all_the_same(deaf_to: set[int]) -> None:
    gateway = Gateway({1: {}})
    gateway.deaf_to = deaf_to

    async def check() -> None:
        async with listening(gateway.serve) as port:
            identity = await meter(port).identify()
            assert identity.address == f"127.0.0.1:{port}"
            assert (identity.maker, identity.model, identity.serial) == ("", "", "")

    asyncio.run(check())


def test_a_busy_device_is_asked_again_at_the_next_poll_and_nothing_is_left_out() -> None:
    gateway, seen = Gateway({1: {0: 1, 1: 2}}), Seen()
    gateway.codes = {1: 6}

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), [u16(0), u16(1)], seen) as task:
            await until(lambda: len(seen.faults) == 2, task)
            assert "busy" in seen.faults[0]
            gateway.codes = {}
            await until(lambda: seen.good() == {0: 1, 1: 2}, task)

    asyncio.run(check())
    assert {(a.start, a.size) for a in gateway.asked} == {(0, 2)}
    assert seen.faults == {}


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (lambda telegram: telegram[:-1], "in the middle of a reply"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak Modbus/TCP"),
        (lambda telegram: telegram[:6] + b"\x09" + telegram[7:], "unit 9 answered"),
        (lambda telegram: telegram[:5] + b"\x04" + telegram[6:7] + b"\x03\x01\x00", "1 bytes came where 2"),
    ],
    ids=["half a reply", "another protocol", "another unit", "another length"],
)  # fmt: skip
def test_a_line_that_cannot_be_trusted_is_given_up_with_its_reason(breaks: Callable[[bytes], bytes], says: str) -> None:
    gateway = Gateway({1: {0: 1}})
    gateway.raw = breaks

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), [u16(0)], Seen()) as task:
            with pytest.raises(DeviceAway, match=says):
                await asyncio.wait_for(task, 2)

    asyncio.run(check())


def test_questions_overlap_only_where_that_is_allowed() -> None:
    async def most_open(in_flight: int) -> int:
        gateway, seen = Gateway({1: {n: n for n in range(2000)}}), Seen()
        gateway.delay = lambda _: 0.01
        tags = [u16(n) for n in range(0, 2000, 200)]
        async with (
            listening(gateway.serve) as port,
            running(meter(port, in_flight=in_flight), tags, seen) as task,
        ):
            await until(lambda: len(seen.good()) == 10, task)
        assert seen.good() == {n: n * 200 for n in range(10)}
        return gateway.most_open

    assert asyncio.run(most_open(1)) == 1
    assert asyncio.run(most_open(4)) == 4


def test_a_tag_may_have_its_own_period_and_its_own_unit() -> None:
    gateway, seen = Gateway({1: {0: 1}, 7: {0: 2}}), Seen()
    tags = [u16(0), u16(0, unit_id=7, poll_s=0.2)]

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), tags, seen) as task:
            await until(lambda: len(seen.values.get(1, [])) == 3, task)

    asyncio.run(check())
    assert len(seen.values[0]) > 10
    assert seen.good() == {0: 1, 1: 2}


def test_all_four_tables_are_read_with_their_own_function() -> None:
    gateway, seen = Gateway({1: {n: n & 1 for n in range(40)}}), Seen()
    tags = [
        ModbusTag(name=f"{table}", table=table, address=33, kind=ValueKind.BOOL if table.of_bits else ValueKind.I64)
        for table in Table
    ]

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), tags, seen) as task:
            await until(lambda: len(seen.good()) == 4, task)

    asyncio.run(check())
    assert seen.good() == {0: True, 1: True, 2: 1, 3: 1}
    assert {a.function for a in gateway.asked} == {1, 2, 3, 4}


def test_a_reading_that_takes_longer_than_its_period_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    gateway, seen = Gateway({1: {0: 1}}), Seen()
    gateway.delay = lambda _: 0.05

    async def check() -> None:
        async with listening(gateway.serve) as port, running(meter(port), [u16(0)], seen) as task:
            await until(lambda: len(seen.values.get(0, [])) > 4, task)

    with caplog.at_level(logging.WARNING):
        asyncio.run(check())
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "longer than poll_s = 0.02" in one]) == 1


def test_limits_of_the_device_bound_every_request() -> None:
    plan = meter(1).plan([u16(n) for n in range(100)], Limits(per_request=10))
    assert {block.size for block in plan.polls[0].blocks} == {10}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"table": "coil"}, "a bool cannot become kind = 'f64'; write kind = 'bool'"),
        ({"table": "coil", "type": "u16"}, "a coil is one bit"),
        ({"type": "f32", "kind": "i64"}, "a f32 cannot become kind = 'i64'; write kind = 'f64'"),
        ({"type": "str 8"}, "write kind = 'str'"),
        ({"type": "i16", "kind": "i64", "scale": 0.1}, "scale and offset make a float"),
        ({"scale": 0}, "scale = 0"),
        ({"type": "f64", "address": 65533}, "end behind 65535"),
        ({"type": "u24"}, "matching regex"),
        ({"order": "little"}, "little"),
        ({"address": -1}, ">= 0"),
        ({"adress": 1}, "adress"),
    ],
)
def test_a_wrong_tag_gets_a_sentence(fields: dict[str, object], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({"name": "t", "address": 0, **fields}, ModbusTag)


def test_a_wrong_source_gets_a_sentence() -> None:
    section = {"kind": "modbus", "name": "m", "host": "h", "echoes": False, "in_flight": 2}
    with pytest.raises(msgspec.ValidationError, match="write in_flight = 1"):
        msgspec.convert(section, kinds()["modbus"])


def test_only_reading_functions_ever_cross_the_wire_whatever_the_device_answers() -> None:
    gateway = Gateway({1: {0: 1}})
    tags = (u16(0), u16(5), ModbusTag(name="c", table=Table.COIL, address=0, kind=ValueKind.BOOL))
    crossed: list[int] = []

    async def spy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(6)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                crossed.append(pdu[1])
                asked = Asked(pdu[0], pdu[1], *(int.from_bytes(pdu[at : at + 2], "big") for at in (2, 4)))
                answer = bytes((pdu[0],)) + (gateway.answer(asked) or b"")
                writer.write(head[:4] + len(answer).to_bytes(2, "big") + answer)
        writer.transport.abort()

    async def check() -> None:
        async with listening(spy) as port:
            source, seen = meter(port, tags=tags, retry_bad_s=0.05), Seen()
            await source.identify()
            assert [found.path async for found in source.browse("*")] == ["r0", "c"]
            async with running(source, tags, seen) as task:
                await until(lambda: len(seen.values.get(0, [])) > 10, task)
            gateway.codes = {1: 4}
            async with running(source, tags, Seen()):
                await asyncio.sleep(0.2)

    asyncio.run(check())
    assert len(crossed) > 20
    assert set(crossed) == {1, 3, 0x2B}
