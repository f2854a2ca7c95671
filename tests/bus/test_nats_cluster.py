"""Three nodes, and the leader killed three times while a site publishes."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from bus_sites import PLANT, Publishing, published, publishing, section, wait_for
from nats_servers import Server, kept, three

from isthmus.site.publish.publisher import Publisher
from isthmus.wire.frame import source_id
from spine import EPOCH

KILLS = 3
CALM_S = 4.0


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.peer("nats")
def test_three_nodes_whose_leader_is_killed_three_times_lose_and_double_nothing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with three(tmp_path / "nats", free_port) as servers:
        bus = section(
            servers[0],
            servers=tuple(server.address for server in servers),
            monitor=tuple(server.watched for server in servers),
            replicas=3,
            retry_most_s=1.0,
            deadline_s=3.0,
        )
        with publishing(tmp_path / "site", bus) as site:
            publisher = site.begin()
            frames, records, slowest_s, stalls = write_while_leaders_die(site, publisher, servers)
            wait_for(lambda: published(publisher), 60)
            wanted = [f"{PLANT}/{source_id('plc')}/{EPOCH}/{seq}" for seq in range(1, frames + 1)]
            on_bus = Counter(name for _, name, _ in kept(servers[0], "isthmus.frames.>"))
            told = Counter(name.split("/")[3] for _, name, _ in kept(servers[0], "isthmus.records.>"))
            lost = [name for name in wanted if not on_bus[name]]
            doubled = [name for name, times in (on_bus | told).items() if times > 1]
            position = site.spine.site.log.position
            print(  # noqa: T201  the figures are the point
                f"\n{KILLS} leaders killed: {frames:,} frames and {position:,} records acknowledged by the site, "
                f"{on_bus.total():,} and {told.total():,} on the bus; {len(lost)} lost, {len(doubled)} doubled; "
                f"slowest acknowledgement of the site {slowest_s * 1e3:.0f} ms, "
                f"the bus stood still for up to {max(stalls):.1f} s",
                file=sys.stderr,
            )
            assert records > 100
            assert lost == []
            assert doubled == []
            assert on_bus.total() == frames
            assert {int(place) for place in told} == set(range(1, position + 1))


def write_while_leaders_die(
    site: Publishing, publisher: Publisher, servers: list[Server]
) -> tuple[int, int, float, list[float]]:
    """How many frames and records the site acknowledged, the slowest of them, and how long the bus stood still."""
    over, written = threading.Event(), [0, 0.0]

    def write() -> None:
        while not over.is_set():
            began = time.monotonic()
            site.take(1)
            site.say(int(written[0]), 1)
            written[0] += 1
            written[1] = max(written[1], time.monotonic() - began)
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    stalls: list[float] = []
    try:
        time.sleep(CALM_S)
        for _ in range(KILLS):
            victim = leader(servers)
            victim.kill()
            killed, mark = time.monotonic(), dict(publisher._marks)
            wait_for(lambda mark=mark: publisher._marks != mark, 60)  # type: ignore[misc]
            stalls.append(time.monotonic() - killed)
            time.sleep(CALM_S / 2)
            victim.start()
            time.sleep(CALM_S)
    finally:
        over.set()
        writer.join(30)
    assert not writer.is_alive()
    return int(written[0]), int(written[0]), written[1], stalls


def leader(servers: list[Server]) -> Server:
    """The node that leads the stream of frames."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for server in servers:
            for account in server.ask("jsz?streams=true")["account_details"]:
                for stream in account["stream_detail"]:
                    name = stream.get("cluster", {}).get("leader")
                    if stream["name"] == "isthmus_frames" and name:
                        return next(one for one in servers if one.name == name)
        time.sleep(0.2)
    msg = "nobody leads the stream"
    raise AssertionError(msg)
