"""Messages in several segments and datagrams in fragments are put together, within bounds."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from wire import MAC_A, MAC_B, A, B, ethernet, heard, ip, pcap, session, tcp, udp

from isthmus.assets.decode.audit import hear_windows
from isthmus.assets.decode.capture import windows

IDENTIFIED = samples.modbus_identification()
ANSWER = IDENTIFIED[4]
PAYLOAD = ANSWER[54:]
SEQ = int.from_bytes(ANSWER[38:42], "big")


def split(*cuts: int) -> list[bytes]:
    """The answer of 43/14 in segments."""
    edges = [0, *sorted(cuts), len(PAYLOAD)]
    return [tcp((B, 502), (A, 40_001), PAYLOAD[low:high], SEQ + low) for low, high in itertools.pairwise(edges)]


@given(cuts=st.sets(st.integers(8, len(PAYLOAD) - 1), min_size=1, max_size=6))
def test_an_answer_split_anywhere_is_put_together(tmp_path_factory: pytest.TempPathFactory, cuts: set[int]) -> None:
    found = heard(tmp_path_factory.getbasetemp(), [*IDENTIFIED[:4], *split(*cuts), *IDENTIFIED[5:]])
    assert [one.model for one in found.identities] == ["Example 100"]


def test_segments_in_any_order_and_twice_are_put_together(tmp_path: Path) -> None:
    first, *rest = split(20, 30, 40)
    for order in itertools.permutations(rest):
        found = heard(tmp_path, [*IDENTIFIED[:4], first, *order, order[0], *IDENTIFIED[5:]])
        assert [one.model for one in found.identities] == ["Example 100"]


def test_an_answer_goes_on_in_the_next_window(tmp_path: Path) -> None:
    path = pcap(tmp_path / "split.pcap", [*IDENTIFIED[:4], *split(20, 30, 40), *IDENTIFIED[5:]])
    for size in range(150, 900, 50):
        found = hear_windows(windows(path, lambda _: None, size))
        assert [one.model for one in found.identities] == ["Example 100"]


def test_a_lost_segment_leaves_the_message_incomplete_and_says_so(tmp_path: Path) -> None:
    parts = split(20, 30, 40)
    found = heard(tmp_path, [*IDENTIFIED[:4], parts[0], parts[2], parts[3]])
    assert found.identities == []
    assert any("1 messages over several TCP segments are not complete" in one for one in found.told)


def test_two_messages_in_a_segment_are_both_read(tmp_path: Path) -> None:
    both = samples.mbap(1, 1, b"\x06\0\0\0\1") + samples.mbap(2, 1, b"\x05\0\0\xff\0")
    found = heard(tmp_path, session(502, (">", both)))
    assert {one.function for one in found.uses} == {"Write Single Register", "Write Single Coil"}


@pytest.mark.parametrize("ends", [(A, B), ("fd00::5", "fd00::9")], ids=["IPv4", "IPv6"])
def test_fragments_are_put_together_in_any_order(tmp_path: Path, ends: tuple[str, str]) -> None:
    item = b"\1\0" + bytes(16) + samples.cip_identity(1, 14, (20, 11), 7, b"1756-L61/B LOGIX5561") + b"\3"
    body = samples.enip(0x63, b"\1\0\x0c\0" + struct.pack("<H", len(item)) + item)
    whole = struct.pack(">HHHH", 44818, 5000, 8 + len(body), 0) + body
    kind = 0x86DD if ":" in ends[0] else 0x0800
    pieces = [
        ethernet(
            kind, ip(ends[1], ends[0], 17, whole[at : at + 24], offset=at, more=at + 24 < len(whole)), MAC_B, MAC_A
        )
        for at in range(0, len(whole), 24)
    ]
    for order in (pieces, pieces[::-1]):
        found = heard(tmp_path, order)
        assert [(one.address, one.model) for one in found.identities] == [(ends[1], "1756-L61/B LOGIX5561")]
    assert any("lack a fragment" in one for one in heard(tmp_path, pieces[:-1]).told)


def test_endless_beginnings_stay_within_bounds(tmp_path: Path) -> None:
    begin = samples.mbap(1, 1, b"\x2b\x0e\x02\x82\0\0\4")[:7] + b"\x2b"
    begin = begin[:4] + b"\0\xf0" + begin[6:]
    never = [tcp((B, 502), (A, 10_000 + index), begin, 1) for index in range(3000)]
    parts = [
        ethernet(0x0800, ip(A, B, 17, bytes(24), name=index, offset=0, more=True), MAC_A, MAC_B)
        for index in range(3000)
    ]
    found = heard(tmp_path, [*never, *parts])
    assert any("3000 messages over several TCP segments" in one for one in found.told)
    assert any("3000 IP datagrams lack a fragment" in one for one in found.told)


def test_a_use_counts_every_packet_though_few_are_read(tmp_path: Path) -> None:
    found = heard(tmp_path, session(502, *[(">", samples.mbap(index, 1, b"\x03\0\0\0\1")) for index in range(2000)]))
    assert [(one.function, one.count) for one in found.uses] == [("Read Holding Registers", 2000)]
    assert found.uses[0].last_frame == 2003


def test_a_change_of_firmware_is_two_identities_and_a_repetition_is_one(tmp_path: Path) -> None:
    def answer(minor: int) -> bytes:
        item = b"\1\0" + bytes(16) + samples.cip_identity(1, 14, (20, minor), 7, b"CPU") + b"\3"
        return udp((B, 44818), (A, 5000), samples.enip(0x63, b"\1\0\x0c\0" + struct.pack("<H", len(item)) + item))

    found = heard(tmp_path, [answer(1)] * 500 + [answer(2)] * 500)
    assert [(one.firmware, one.packet_frame) for one in found.identities] == [("20.1", 1), ("20.2", 501)]

    back = heard(tmp_path, [answer(1), answer(2), answer(1), answer(1), answer(2)])
    seen = [(one.firmware, one.packet_frame, one.last_ns - one.time_ns > 0) for one in back.identities]
    assert seen == [("20.1", 1, False), ("20.2", 2, False), ("20.1", 3, True), ("20.2", 5, False)]
