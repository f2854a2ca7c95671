"""A capture cut into pieces, read in any order or twice, is the capture."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import samples
from wire import ACK, SYN, A, B, ethernet, ip, pcap, tcp

from isthmus.assets.decode.capture import windows
from isthmus.cli import main
from isthmus.model.records.assets import AssetFinding, AssetKnown
from isthmus.run.auditing.store import AuditStore


def record(folder: Path) -> tuple[list[Any], list[Any]]:
    """Assets and findings without the moment of judging, and without the file and frame where each thing is seen."""
    with AuditStore(folder, make=False) as store:
        assets = [msgspec.to_builtins(one) for one in store.all(AssetKnown)]
        findings = [msgspec.to_builtins(one) for one in store.all(AssetFinding)]
    for asset in assets:
        asset |= {"time_ns": 0, "revision": 0}
        asset["fields"] = [
            {key: field[key] for key in field if key not in {"source", "frame"}} for field in asset["fields"]
        ]
    told = ([one["what"], one["title"], one["severity"], *map(str, one.get("addresses", ()))] for one in findings)
    return assets, sorted(told)


def pieces(path: Path, cuts: Sequence[int]) -> list[Path]:
    """The capture's packets in files of their own, each byte and time as it was."""
    data = path.read_bytes()
    at, places = 24, list[int]()
    while at < len(data):
        places.append(at)
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    places.append(len(data))
    out = []
    for number, (begin, end) in enumerate(pairwise([0, *cuts, len(places) - 1])):
        out.append(path.with_name(f"{path.stem}-{number}.pcap"))
        out[-1].write_bytes(data[:24] + data[places[begin] : places[end]])
    return out


def imported(folder: Path, files: Iterable[Path]) -> tuple[list[Any], list[Any]]:
    for path in files:
        assert main(["audit", "import", str(path), "--into", str(folder)]) == 0
    return record(folder)


def identity(port: int) -> list[bytes]:
    """A connection from a low port to a high one, whose identity answer lies in two segments."""
    answer = samples.mbap(1, 1, b"\x2b\x0e\x01\x01\0\0\x03" + b"\0\x05Maker" + b"\x01\x07Model-7" + b"\x02\x041.60")
    return [
        tcp((A, 1024), (B, port), b"", 1, SYN),
        tcp((B, port), (A, 1024), b"", 1, SYN | ACK),
        tcp((A, 1024), (B, port), samples.mbap(1, 1, b"\x2b\x0e\x01\0"), 2),
        tcp((B, port), (A, 1024), answer[:20], 2),
        tcp((B, port), (A, 1024), answer[20:], 22),
        *(tcp((A, 1024), (B, port), samples.mbap(n, 1, b"\x03\0\0\0\x08"), 20 + 12 * n) for n in range(2, 6)),
    ]


def fragments() -> list[bytes]:
    """A datagram in two fragments that says who its sender is."""
    whole = next(one for sample in samples.ALL for one in sample() if one[23:24] == b"\x11" and len(one) > 150)
    source, target = ".".join(map(str, whole[26:30])), ".".join(map(str, whole[30:34]))
    inner = whole[34:]
    return [
        ethernet(0x0800, ip(source, target, 17, inner[:64], more=True)),
        ethernet(0x0800, ip(source, target, 17, inner[64:], offset=64)),
    ]


@pytest.mark.parametrize("cut", [2, 4, 6])
def test_a_connection_cut_anywhere_is_one_connection(tmp_path: Path, cut: int) -> None:
    whole = pcap(tmp_path / "whole.pcap", identity(40_000))
    wanted = imported(tmp_path / "one", [whole])
    [device] = [one for one in wanted[0] if "Model-7" in str(one)]
    assert device["fields"]
    first, second = pieces(whole, [cut])
    assert imported(tmp_path / "forwards", [first, second]) == wanted
    assert imported(tmp_path / "backwards", [second, first, second]) == wanted


def test_a_datagram_cut_between_its_fragments_is_read(tmp_path: Path) -> None:
    whole = pcap(tmp_path / "whole.pcap", fragments())
    wanted = imported(tmp_path / "one", [whole])
    assert len(wanted[0]) > 0
    assert imported(tmp_path / "two", reversed(pieces(whole, [1]))) == wanted


def test_a_capture_in_many_pieces_in_any_order_is_the_capture(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  repeatable, no secret
    shared = (102).to_bytes(2, "big")
    frames = [one for sample in samples.ALL for one in sample() if shared not in {one[34:36], one[36:38]}]
    whole = pcap(tmp_path / "whole.pcap", frames)
    wanted = imported(tmp_path / "one", [whole])
    files = pieces(whole, sorted(chance.sample(range(1, len(frames)), 5)))
    for order in range(2):
        chance.shuffle(files)
        assert imported(tmp_path / f"order{order}", files) == wanted


def test_captures_far_apart_are_not_joined(tmp_path: Path) -> None:
    whole = pcap(tmp_path / "whole.pcap", identity(40_000))
    first, second = pieces(whole, [4])
    moved = bytearray(second.read_bytes())
    [window] = windows(second, pytest.fail)
    for at in window.at.tolist():
        struct.pack_into("<I", moved, at - 16, struct.unpack_from("<I", moved, at - 16)[0] + 3600)
    second.write_bytes(moved)
    assert "Model-7" not in str(imported(tmp_path / "apart", [first, second]))
