"""A capture that was cut into pieces gives the record of the whole, wherever it was cut and in whatever order."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.assets.addresses import Places
from isthmus.assets.decode.audit import hear
from isthmus.assets.heard import facts_of
from isthmus.assets.oriented import oriented
from isthmus.assets.record import record
from isthmus.model.records.assets import AssetSeen, FlowSeen

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def frame(source: int, target: int, ports: tuple[int, int], payload: bytes, *, tcp: bool) -> bytes:
    """An Ethernet frame with IPv4; 10.0.0.`source` speaks."""
    tail = struct.pack("!IIBBHHH", 1, 1, 0x50, 0x18, 8192, 0, 0) if tcp else struct.pack("!HH", 8 + len(payload), 0)
    inner = struct.pack("!HH", *ports) + tail + payload
    addresses = bytes([10, 0, 0, source, 10, 0, 0, target])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 64, 6 if tcp else 17, 0) + addresses
    return bytes([2, 0, 0, 0, 0, target, 2, 0, 0, 0, 0, source, 8, 0]) + ip + inner


def conversations() -> list[bytes]:
    """A Modbus server that says who it is, twice and then otherwise, and BACnet between two equal ports."""
    out = []
    for firmware in (b"1.6", b"1.6", b"1.7"):
        told = b"".join(
            bytes([n, len(text)]) + text for n, text in enumerate((b"Telemecanique", b"TM221CE16R", firmware))
        )
        answer = b"\x2b\x0e\x01\x01\x00\x00\x03" + told
        request = struct.pack("!HHHB", 1, 0, 5, 1) + b"\x2b\x0e\x01\x00"
        reply = struct.pack("!HHHB", 1, 0, len(answer) + 1, 1) + answer
        out += [frame(9, 1, (50000, 502), request, tcp=True), frame(1, 9, (502, 50000), reply, tcp=True)]
    read = bytes.fromhex("810a001101040005010c0c02000007194d")
    say = bytes.fromhex("810a0000010030010c0c02000007194d3e74005550533f")
    say = say[:2] + len(say).to_bytes(2, "big") + say[4:]
    for _ in range(2):
        out.append(frame(9, 2, (47808, 47808), read, tcp=False))
        out.append(frame(2, 9, (47808, 47808), say, tcp=False))
    return out


def pcap(packets: Sequence[bytes], first: int) -> bytes:
    times = range(1000 + first, 1000 + first + len(packets))
    return HEAD + b"".join(
        struct.pack("<IIII", at, 0, len(one), len(one)) + one for at, one in zip(times, packets, strict=True)
    )


def the_record(folder: Path, files: Sequence[bytes]) -> list[Any]:
    """The assets, without where in which file it can be seen."""
    seen: list[AssetSeen] = []
    flows: list[FlowSeen] = []
    path = folder / "piece.pcap"
    for number, content in enumerate(files):
        path.write_bytes(content)
        said, talked = facts_of("p", hear(path), f"source {number}")
        seen += said
        flows += talked
    out = msgspec.to_builtins(record("p", seen, oriented(flows), Places()))
    for asset in out:
        for field in asset["fields"]:
            field.pop("source", None)
            field.pop("frame", None)
    return list(out)


@given(cuts=st.sets(st.integers(1, 9), max_size=4), chance=st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_capture_cut_anywhere_gives_the_record_of_the_whole(
    tmp_path: Path, cuts: set[int], chance: random.Random
) -> None:
    packets = conversations()
    whole = the_record(tmp_path, [pcap(packets, 0)])
    assert len(whole) == 3
    edges = [0, *sorted(cuts), len(packets)]
    pieces = [pcap(packets[a:b], a) for a, b in pairwise(edges)]
    chance.shuffle(pieces)
    assert the_record(tmp_path, pieces) == whole
    assert the_record(tmp_path, [*pieces, *pieces[:1]]) == whole


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.data("captures")
def test_real_captures_cut_between_conversations_give_the_record_of_the_whole(tmp_path: Path, data: Path) -> None:
    """Cut before a request: an answer in another piece than its request no longer tells what was asked."""
    chance = random.Random(7)  # noqa: S311  the same cuts each time
    for path in sorted((data / "captures").glob("*.pcap")):
        content = path.read_bytes()
        if content[:4] != b"\xd4\xc3\xb2\xa1" or len(content) > 300_000 or "profinet" in path.name:
            continue
        packets, at = [], 24
        while at < len(content):
            size = 16 + struct.unpack_from("<I", content, at + 8)[0]
            packets.append(content[at : at + size])
            at += size
        cut = sorted(chance.sample(range(1, len(packets)), 2))
        edges = [0, *cut, len(packets)]
        pieces = [content[:24] + b"".join(packets[a:b]) for a, b in pairwise(edges)]
        assert the_record(tmp_path, pieces[::-1]) == the_record(tmp_path, [content]), path.name
