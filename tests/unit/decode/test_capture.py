"""Files and links: the same packets say the same, however they were caught and however the file is read."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from wire import MAC_A, MAC_B, A, B, ethernet, heard, ip, pcap, pcapng, session, tcp, udp

from isthmus.assets.decode.audit import hear, hear_windows
from isthmus.assets.decode.capture import NoCapture, windows
from isthmus.assets.decode.flows import together
from isthmus.assets.decode.heard import Heard

EVERYTHING = [packet for sample in samples.ALL for packet in sample()]


def content(found: Heard) -> dict[str, object]:
    return msgspec.to_builtins(found)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pcap(tmp_path_factory.mktemp("capture") / "all.pcap", EVERYTHING)


def test_formats_and_byte_orders_say_the_same(plain: Path, tmp_path: Path) -> None:
    want = content(hear(plain))
    packed = tmp_path / "all.pcap.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert want == content(hear(packed))
    for order in "<>":
        assert want == content(hear(pcap(tmp_path / "o.pcap", EVERYTHING, order=order)))
        assert want == content(hear(pcap(tmp_path / "n.pcap", EVERYTHING, order=order, nano=True)))
        assert want == content(hear(pcapng(tmp_path / "o.pcapng", EVERYTHING, order=order)))


@given(size=st.integers(200, 20_000))
def test_windows_of_any_size_say_the_same(plain: Path, size: int) -> None:
    assert content(hear_windows(windows(plain, lambda _: None, size))) == content(hear(plain))


@given(cut=st.integers(24, 4000))
def test_a_file_cut_anywhere_is_read_up_to_there_and_says_so(
    plain: Path, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    whole = plain.read_bytes()
    path = tmp_path_factory.getbasetemp() / "cut.pcap"
    path.write_bytes(whole[: len(whole) - cut])
    found = hear(path)
    at, packets = 24, 0
    while (
        at + 16 <= len(whole) - cut and at + 16 + int.from_bytes(whole[at + 8 : at + 12], "little") <= len(whole) - cut
    ):
        at, packets = at + 16 + int.from_bytes(whole[at + 8 : at + 12], "little"), packets + 1
    assert found.packets == packets
    assert any("cut short" in sentence for sentence in found.told) == (at != len(whole) - cut)


def test_a_damaged_length_ends_the_reading_and_says_where(plain: Path, tmp_path: Path) -> None:
    whole = bytearray(plain.read_bytes())
    whole[24 + 8 : 24 + 12] = b"\xff\xff\xff\x7f"
    path = tmp_path / "damaged.pcap"
    path.write_bytes(whole)
    found = hear(path)
    assert found.packets == 0
    assert any("damaged at byte 24" in sentence for sentence in found.told)


@pytest.mark.parametrize("harm", ["flipped", "cut"])
def test_a_packed_file_that_is_damaged_is_read_to_the_break_and_says_so(tmp_path: Path, harm: str) -> None:
    polls = session(502, *[(">", samples.mbap(index, 1, random.Random(index).randbytes(200))) for index in range(900)])  # noqa: S311  bytes that do not pack
    packed = bytearray(gzip.compress(pcap(tmp_path / "plain.pcap", polls).read_bytes()))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2 :] = b"\xff" * 1000
    path = tmp_path / "damaged.pcap.gz"
    path.write_bytes(packed)
    found = hear(path)
    assert 0 < found.packets < len(polls)
    assert any("breaks off" in sentence for sentence in found.told)


def test_packets_of_one_direction_stand_together_in_their_order_though_names_are_alike() -> None:
    """Names that have the upper half in common are sorted whole."""
    upper, lower = np.uint64(7 << 32), np.arange(300, dtype=np.uint64) % np.uint64(3)
    for keys in (upper | lower, (lower << np.uint64(32)) | lower, lower << np.uint64(48)):
        order = together(keys)
        sorted_keys = keys[order]
        assert (sorted_keys[1:] != sorted_keys[:-1]).sum() == 2
        assert all((np.diff(order[sorted_keys == key]) > 0).all() for key in np.unique(keys))


def test_what_is_no_capture_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a capture")
    with pytest.raises(NoCapture, match="pcap or pcapng"):
        hear(path)


@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (101, lambda frame: frame[14:]),
        (113, lambda frame: b"\0\0\0\1\0\6" + frame[6:12] + b"\0\0" + frame[12:]),
        (276, lambda frame: frame[12:14] + b"\0\0" + bytes(4) + b"\0\1\0\6" + frame[6:12] + b"\0\0" + frame[14:]),
        (0, lambda frame: b"\2\0\0\0" + frame[14:]),
        (1, lambda frame: frame[:12] + b"\x81\0\0\x07" + frame[12:]),
        (1, lambda frame: frame[:12] + b"\x88\xa8\0\x07\x81\0\0\x08" + frame[12:]),
    ],
    ids=["raw", "cooked", "cooked2", "loopback", "vlan", "qinq"],
)
def test_every_link_is_read(tmp_path: Path, link: int, wrap: object) -> None:
    assert callable(wrap)
    found = heard(tmp_path, [wrap(frame) for frame in samples.modbus_identification()], link=link)
    assert [one.model for one in found.identities] == ["Example 100"]
    assert [(one.client, one.server, one.packets) for one in found.conversations] == [(A, B, 9)]


def test_ipv6_is_read_behind_its_extensions(tmp_path: Path) -> None:
    payload = samples.mbap(1, 1, b"\x06\x00\x00\x00\x09")
    frame = tcp(("fd00::5", 40_000), ("fd00::9", 502), payload)
    hop = frame[:20] + b"\0" + frame[21:54] + b"\6\0" + bytes(6) + frame[54:]
    hop = hop[:18] + (len(hop) - 54).to_bytes(2, "big") + hop[20:]
    found = heard(tmp_path, [hop])
    assert [(one.client, one.server, one.function) for one in found.uses] == [
        ("fd00::5", "fd00::9", "Write Single Register")
    ]


def test_who_opened_is_the_client_whatever_the_ports(tmp_path: Path) -> None:
    opened = session(40_999, (">", b"hello"))
    assert [(one.client, one.server, one.port, one.initiation) for one in heard(tmp_path, opened).conversations] == [
        (A, B, 40_999, "syn")
    ]
    late = [tcp((B, 502), (A, 40_000), samples.mbap(1, 1, b"\x03\x02\0\1"))]
    assert [(one.client, one.server, one.initiation) for one in heard(tmp_path, late).conversations] == [(A, B, "port")]


def test_connections_one_after_another_are_one_conversation(tmp_path: Path) -> None:
    many = [tcp((A, port), (B, 502), samples.mbap(1, 1, b"\x06\0\0\0\1")) for port in range(40_000, 40_050)]
    found = heard(tmp_path, many)
    assert [(one.packets, one.port) for one in found.conversations] == [(50, 502)]
    assert [(one.function, one.count) for one in found.uses] == [("Write Single Register", 50)]


def test_neighbours_are_seen_behind_their_cards(tmp_path: Path) -> None:
    packet = udp((A, 5000), (B, 123), b"\x23" + bytes(47))
    moved = ethernet(0x0800, ip(A, B, 17, packet[34:]), "02:00:00:00:00:77", MAC_B)
    found = heard(tmp_path, [packet, moved])
    assert [(one.address, one.mac, one.claimed) for one in found.neighbours] == [
        (A, MAC_A, False),
        (A, "02:00:00:00:00:77", False),
    ]
