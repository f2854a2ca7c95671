"""Damaged captures: no crash, no hang, no unbounded memory; what could not be read is said."""

from __future__ import annotations

import gzip
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import samples
from wire import BEGIN_NS, pcap, pcapng

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.capture import NoCapture
from isthmus.assets.decode.ends import EndsHeard, hear_across

SLOWEST_S, LARGEST_MB = 1.0, 300


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def overwrite(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    worst = chance.choice((b"\0", b"\xff", b"\x7f", b"\x80"))
    data[at : at + chance.choice((1, 2, 4, 64))] = worst * chance.choice((1, 2, 4, 64))


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def remove(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 200)]


def repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randrange(1, 2000)] * chance.choice((1, 3, 50))


def shuffle(data: bytearray, chance: random.Random) -> None:
    one, other = sorted(chance.randrange(len(data)) for _ in range(2))
    size = chance.randrange(1, 400)
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, overwrite, cut, remove, repeat, shuffle)


def inside(packets: list[bytes], chance: random.Random) -> list[bytes]:
    """Damage packets and leave the file in order, so that decoders meet it and not the reader alone."""
    out = list(packets)
    for _ in range(chance.randrange(1, 30)):
        data = bytearray(out[place := chance.randrange(len(out))])
        for _ in range(chance.randrange(1, 4)):
            if data:
                chance.choice(MUTATIONS)(data, chance)
        out[place] = bytes(data[:60_000])
    return out


def read_damaged(folder: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  repeatable, no secret
    packets = [packet for sample in samples.ALL for packet in sample()]
    path = folder / "damaged.pcap"
    wholes = [make(folder / "whole", packets).read_bytes() for make in (pcap, pcapng)]
    refused, before_kb = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(rounds):
        if number % 2:
            (pcap if number % 4 == 1 else pcapng)(path, inside(packets, chance))
        else:
            data = bytearray(chance.choice(wholes))
            for _ in range(chance.randrange(1, 6)):
                if len(data) > 8:
                    chance.choice(MUTATIONS)(data, chance)
            if number % 16 == 0:
                data = bytearray(gzip.compress(data))
                chance.choice(MUTATIONS)(data, chance)
            path.write_bytes(data)
        begin, ends = time.process_time(), EndsHeard()
        try:
            found = hear(path, ends)
        except NoCapture:
            refused += 1
            continue
        if found.packets and number % 4 == 0:
            for _, across in hear_across([ends.ends("one"), ends.ends("other")]):
                assert across.packets == 0
        took_s = time.process_time() - begin
        assert took_s < SLOWEST_S, f"round {number} of seed {seed} took {took_s:.2f} s"
        assert found.packets or found.told, f"round {number} of seed {seed}: nothing was read and nothing said"
        assert all(identity.packet_frame <= found.packets for identity in found.identities)
    assert refused < rounds // 4
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024 < LARGEST_MB


def test_three_hundred_damaged_captures_do_no_harm(tmp_path: Path) -> None:
    read_damaged(tmp_path, 300, BEGIN_NS)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_damaged_captures_do_no_harm(tmp_path: Path) -> None:
    read_damaged(tmp_path, 10_000, 7)
