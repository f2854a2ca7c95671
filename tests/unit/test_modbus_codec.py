from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.edge.modbus_client import codec
from isthmus.edge.modbus_client.codec import NotModbus, Refusal, Reply, Table

# The examples of the Modbus Application Protocol V1.1b3, sections 6.1 to 6.4, with a TCP header before them.
GOLDEN = [
    (codec.read(1, Table.COIL, 19, 19), "0001 0000 0006 01 01 0013 0013", "0001 0000 0006 01 01 03 cd 6b 05", "cd6b05"),
    (codec.read(1, Table.DISCRETE, 196, 22), "0001 0000 0006 01 02 00c4 0016", "0001 0000 0006 01 02 03 ac db 35", "acdb35"),
    (codec.read(1, Table.HOLDING, 107, 3), "0001 0000 0006 01 03 006b 0003", "0001 0000 0009 01 03 06 022b 0000 0064", "022b00000064"),
    (codec.read(1, Table.INPUT, 8, 1), "0001 0000 0006 01 04 0008 0001", "0001 0000 0005 01 04 02 000a", "000a"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "asked", "answered", "carries"), GOLDEN)
def test_telegrams_are_those_of_the_standard(request_: codec.Request, asked: str, answered: str, carries: str) -> None:
    assert codec.telegram(1, request_) == bytes.fromhex(asked)
    buffer = bytearray.fromhex(answered)
    reply = codec.take(buffer)
    assert reply is not None
    assert not buffer
    assert codec.data(request_, reply) == bytes.fromhex(carries)


@given(some.lists(some.integers(1, 12), max_size=40))
def test_replies_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"".join(bytes.fromhex(answered) for _, _, answered, _ in GOLDEN)
    buffer, out, at = bytearray(), [], 0
    for cut in [*cuts, len(stream)]:
        buffer += stream[at : at + cut]
        at += cut
        while (reply := codec.take(buffer)) is not None:
            out.append(reply.pdu[0])
    assert out == [1, 2, 3, 4]
    assert not buffer


def test_an_exception_is_a_refusal_with_its_code() -> None:
    with pytest.raises(Refusal) as caught:
        codec.data(codec.read(1, Table.HOLDING, 0, 1), Reply(1, 1, b"\x83\x02"))
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "stream",
    ["48545450 2f31 2e31", "0001 0001 0006 01 03", "0001 0000 0002 01 03", "0001 0000 00ff 01 03"],
    ids=["http", "another protocol", "too short", "too long"],
)
def test_bytes_that_are_no_modbus_are_refused_at_the_header(stream: str) -> None:
    with pytest.raises(NotModbus):
        codec.take(bytearray.fromhex(stream))


@pytest.mark.parametrize(
    "reply",
    [Reply(1, 2, b"\x03\x02\0\0"), Reply(1, 1, b"\x04\x02\0\0"), Reply(1, 1, b"\x03\x02\0"), Reply(1, 1, b"\x03\x04\0\0\0\0"), Reply(1, 1, b"\x03")],
    ids=["another unit", "another function", "too few bytes", "too many bytes", "nothing"],
)  # fmt: skip
def test_a_reply_that_cannot_belong_to_its_request_is_refused(reply: Reply) -> None:
    with pytest.raises(NotModbus):
        codec.data(codec.read(1, Table.HOLDING, 0, 1), reply)


def test_an_identification_in_pages_is_read_to_its_end() -> None:
    first = codec.page(bytes.fromhex("0e 02 02 ff 01 01 00 04 41434d45"))
    last = codec.page(bytes.fromhex("0e 02 02 00 00 02 01 01 50 02 03 322e31"))
    assert first == ({0: "ACME"}, 1)
    assert last == ({1: "P", 2: "2.1"}, None)


@given(some.binary(max_size=60))
def test_any_identification_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(NotModbus):
        assert len(codec.page(body).objects) <= 255


def test_there_is_no_function_that_writes() -> None:
    asked = {codec.read(1, table, 0, 1).pdu[0] for table in Table} | {codec.identify(1).pdu[0]}
    assert asked == {1, 2, 3, 4, 0x2B}
