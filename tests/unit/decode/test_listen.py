"""Listening: what the ring gives is what was sent, and its record is that of the same packets in a file."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import samples
from wire import A, B, pcap, tcp

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.capture import MARGIN, windows
from isthmus.assets.decode.ear import Ear
from isthmus.assets.heard import facts_of
from isthmus.assets.ledger import Fact, Ledger
from isthmus.cli import main
from isthmus.edge.keeping import Keeper
from isthmus.edge.listen import Caught
from isthmus.model.records.assets import AssetKnown, SourceRead
from isthmus.model.time import NS_PER_S
from isthmus.run.auditing.store import AuditStore

_CAPBSET_DROP, _NET_RAW = 24, 13
TAGGED = samples.ALL[0]()[0]
TAGGED = TAGGED[:12] + struct.pack(">HH", 0x8100, 0x6000 | 77) + TAGGED[12:]


class Wire:
    """A virtual cable in a network namespace of its own: what is sent into `tx0` comes out of `rx0`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def listen(self, folder: Path, *words: str | Path) -> subprocess.Popen[str]:
        """`isthmus audit listen` there; listening when this returns."""
        command = [sys.executable, "-m", "isthmus", "audit", "listen", "--interface", "rx0", "--into", folder, *words]
        listening = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert listening.stdout is not None
        assert "listening on rx0" in listening.stdout.readline()
        return listening

    def send(self, frames: Sequence[bytes], folder: Path) -> None:
        """Put frames on the cable, by a process that stands there."""
        (folder / "frames").write_bytes(b"".join(struct.pack("=I", len(one)) + one for one in frames))
        code = (
            "import socket, struct, sys; data = open(sys.argv[1], 'rb').read(); at = 0\n"
            "given = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); given.bind(('tx0', 0))\n"
            "while at < len(data):\n"
            "    size, = struct.unpack_from('=I', data, at); given.send(data[at + 4 : at + 4 + size]); at += 4 + size"
        )
        command: list[str | Path] = ["ip", "netns", "exec", self.name, sys.executable, "-c", code, folder / "frames"]
        subprocess.run(command, check=True, timeout=20)


@pytest.fixture
def wire() -> Iterator[Wire]:
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("a cable between two interfaces needs Linux, root and ip (iproute2)")
    name = f"isthmus-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True, timeout=10)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        for words in (("link", "add", "tx0", "type", "veth", "peer", "name", "rx0"), ("link", "set", "tx0", "up"),
                      ("link", "set", "rx0", "addrgenmode", "none"), ("link", "set", "rx0", "up")):  # fmt: skip
            subprocess.run(["ip", "-n", name, *words], check=True, timeout=10)
        yield Wire(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True, timeout=10)


def record(folder: Path) -> list[object]:
    """The assets without the moment of judging and the name of the source."""
    with AuditStore(folder, make=False) as store:
        assets = [msgspec.to_builtins(one) for one in store.all(AssetKnown)]
    for asset in assets:
        asset |= {"time_ns": 0, "revision": 0, "fields": [field | {"source": ""} for field in asset["fields"]]}
    return assets


def sources(folder: Path) -> list[SourceRead]:
    with AuditStore(folder, make=False) as store:
        return store.sources()


def packets(files: Sequence[Path]) -> list[bytes]:
    return [
        window.data[at : at + size].tobytes()
        for path in files
        for window in windows(path, pytest.fail)
        for at, size in zip(window.at.tolist(), window.caught.tolist(), strict=True)
    ]


def test_a_listening_gives_every_packet_and_the_record_of_its_capture(wire: Wire, tmp_path: Path) -> None:
    frames = [*(one for sample in samples.ALL for one in sample() if 60 <= len(one) <= 1514), TAGGED]
    listening = wire.listen(tmp_path / "heard", "--keep", tmp_path / "kept")
    wire.send(frames, tmp_path)
    time.sleep(0.3)
    with AuditStore(tmp_path / "heard", make=False):
        # Somebody else writes just now: stopping waits for them, and loses nothing.
        listening.send_signal(signal.SIGTERM)
        assert listening.stdout is not None
        assert "in use by another" in listening.stdout.readline()
    told, _ = listening.communicate(timeout=30)
    assert listening.returncode == 0, told
    assert ", 0 missed;" in told
    kept = sorted((tmp_path / "kept").iterdir())
    heard = packets(kept)
    assert [one for one in heard if one in frames] == frames
    [read] = sources(tmp_path / "heard")
    assert (read.what, read.packets) == ("listening", len(heard))
    assert main(["audit", "import", *map(str, kept), "--into", str(tmp_path / "imported")]) == 0
    assert record(tmp_path / "heard") == record(tmp_path / "imported")
    assert len(record(tmp_path / "heard")) > 10


def test_listening_ends_when_its_time_is_over(wire: Wire, tmp_path: Path) -> None:
    listening = wire.listen(tmp_path / "heard", "--for", "1s")
    told, _ = listening.communicate(timeout=30)
    assert listening.returncode == 0, told
    assert " packets, " in told


@pytest.mark.long
def test_an_interface_that_goes_down_is_told_and_one_that_is_gone_ends_it(wire: Wire, tmp_path: Path) -> None:
    listening = wire.listen(tmp_path / "heard")
    for words in (("set", "rx0", "down"), ("set", "rx0", "up")):
        subprocess.run(["ip", "-n", wire.name, "link", *words], check=True, timeout=10)
        time.sleep(0.5)
    wire.send([TAGGED], tmp_path)
    time.sleep(0.5)
    subprocess.run(["ip", "-n", wire.name, "link", "del", "tx0"], check=True, timeout=10)
    told, _ = listening.communicate(timeout=40)
    assert listening.returncode == 1, told
    assert "rx0 went down: ENETDOWN" in told
    assert "rx0 is gone, so the listening ended" in told
    [read] = sources(tmp_path / "heard")
    assert read.packets > 0
    assert any("is gone" in line for line in read.not_fitting)


def test_an_unknown_interface_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "listen", "--interface", "l0", "--into", str(tmp_path / "a")]) == 2
    assert "there is no interface l0; did you mean lo?" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_length_of_time_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "listen", "--interface", "lo", "--for", "a day", "--into", str(tmp_path)])
    assert "write 90s, 30m, 24h or 7d" in capsys.readouterr().err


def test_without_the_right_it_says_how_to_give_it(tmp_path: Path) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("taking a right away needs Linux and root")
    command: list[str | Path] = [sys.executable, "-m", "isthmus", "audit", "listen", "--interface", "lo"]
    command += ["--into", tmp_path / "a"]
    libc = ctypes.CDLL(None)
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=30,
        preexec_fn=lambda: libc.prctl(_CAPBSET_DROP, _NET_RAW, 0, 0, 0),
    )  # fmt: skip
    assert done.returncode == 2
    assert "sudo setcap cap_net_raw=ep" in done.stderr
    assert "AmbientCapabilities=CAP_NET_RAW" in done.stderr


def logged(ledger: Ledger, facts: Sequence[Fact], *, everything: bool = False) -> list[Fact]:
    out = ledger.due(facts, everything=everything)
    ledger.given(out)
    return out


def later(fact: Fact, seconds: int) -> Fact:
    return msgspec.structs.replace(fact, last_ns=fact.last_ns + seconds * NS_PER_S)


def some_facts(folder: Path) -> list[Fact]:
    seen, flows = facts_of("audit/site", hear(pcap(folder / "some.pcap", samples.ALL[0]())), "digest")
    return [*seen, *flows]


def test_what_only_grew_is_logged_once_an_hour_and_at_the_end(tmp_path: Path) -> None:
    ledger, facts = Ledger(), some_facts(tmp_path)
    assert logged(ledger, facts) == facts
    assert logged(ledger, facts) == []
    soon = [later(one, 60) for one in facts]
    assert logged(ledger, soon) == []
    assert [one.revision for one in logged(ledger, [later(one, 3600) for one in facts])] == [1] * len(facts)
    last = [later(one, 3700) for one in facts]
    assert logged(ledger, last) == []
    assert [one.last_ns for one in logged(ledger, last, everything=True)] == [one.last_ns for one in last]


def test_what_did_not_hold_is_taken_back_and_may_come_again(tmp_path: Path) -> None:
    ledger, facts = Ledger(), some_facts(tmp_path)
    logged(ledger, facts)
    [gone] = logged(ledger, facts[1:])
    assert (gone.path, gone.gone, gone.revision) == (facts[0].path, True, 1)
    assert logged(ledger, facts[1:]) == []
    [again] = logged(ledger, facts)
    assert (again.path, again.gone, again.revision) == (facts[0].path, False, 2)


def test_forgetting_silent_conversations_changes_no_fact(tmp_path: Path) -> None:
    # Port 102 carries several protocols here between the same ports, which forgetting tells apart better.
    shared = (102).to_bytes(2, "big")
    frames = [one for sample in samples.ALL for one in sample() if shared not in {one[34:36], one[36:38]}]
    frames += [tcp((A, 40_000 + n), (B, 502), samples.mbap(n, 1, b"\x03\0\0\0\x3c")) for n in range(200)]
    frames += frames[-20:]
    path = pcap(tmp_path / "all.pcap", frames)
    whole = hear(path)
    ear, ledger = Ear(), Ledger()
    [window] = windows(path, pytest.fail)
    begins = list(range(0, len(frames), 40))
    for begin in begins:
        part = slice(begin, begin + 40)
        ear.take(
            window._replace(
                at=window.at[part], caught=window.caught[part], length=window.length[part],
                time_ns=window.time_ns[part], link=window.link[part], first_frame=begin + 1,
            )
        )  # fmt: skip
        before = ear.directions
        seen, flows = facts_of("p", ear.forget(int(window.time_ns[part][0])), "digest")
        ledger.over([*seen, *flows])
        assert ear.directions <= before
    assert ear.directions < 100
    seen, flows = facts_of("p", ear.heard([]), "digest")
    given = {one.path: one for one in ledger.due([*seen, *flows], everything=True)}
    wanted_seen, wanted_flows = facts_of("p", whole, "digest")
    wanted = {one.path: one for one in [*wanted_seen, *wanted_flows]}
    assert {path for path in wanted if "asset-seen" in path} == {path for path in given if "asset-seen" in path}
    conversations = [one for one in wanted_flows if not one.function]
    assert sum(one.packets for one in given.values() if hasattr(one, "packets")) == sum(
        one.packets for one in conversations
    )


def test_the_oldest_kept_packets_go_when_there_are_too_many(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, "eth1", most_bytes=3000, file_bytes=1000)
    frame = bytes(range(200)) * 2
    for number in range(20):
        data = np.zeros(16 + len(frame) + MARGIN, np.uint8)
        data[16 : 16 + len(frame)] = np.frombuffer(frame, np.uint8)
        one = np.array([len(frame)], np.int64)
        keeper.keep(
            Caught(data, np.array([16]), one, one, np.array([number * NS_PER_S]), np.array([1], np.int32)), number + 1
        )
    left = sorted(tmp_path.iterdir())
    assert keeper.dropped > 0
    assert sum(path.stat().st_size for path in left) <= 3000 + 1000
    assert left[-1].name.endswith("-from-000000000019.pcap")
    assert packets(left)[-1] == frame


def test_the_ring_is_left_as_it_was_found() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("listening needs Linux and root")
    from isthmus.edge.listen import Tap  # noqa: PLC0415  Linux alone

    with Tap("lo", margin=MARGIN, ring_mb=4) as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0))
        given.sendto(b"said once", given.getsockname())
        end, heard = time.monotonic() + 5, b""
        while b"said once" not in heard and time.monotonic() < end:
            caught = tap.take(0.2)
            heard += caught.data.tobytes() if caught else b""
        assert heard.count(b"said once") == 1  # leaving and arriving on loopback is one packet
        assert tap.missed() == 0
