"""ADS and FINS, of which nobody publishes a server: held against real stations' recorded answers and others' clients.

The bytes are of two captures of the public collection ICS-Security-Tools (github.com/ITI/ICS-Security-Tools,
pcaps/beckoff/beckoffaddroute.pcapng, frames 43 and 44; pcaps/omron/omron_test.pcap, frames 17 and 18).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from devices import approved, asked

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.said import Identity

ROOT = Path(__file__).resolve().parents[2]
CX_ASKED = bytes.fromhex("036614710000000001000000 c0a801c70101 102700000000")
CX_SAID = bytes.fromhex(
    "036614710000000001000080050d756001011027"
    "0300000005000a0043585f30443735363000"
    "040014011401000006000000000000000000000003" + 259 * "00" + "03000400020bb408"
)
"""A CX controller with Windows CE 6.0 and TwinCAT 2.11.2228."""
CP1L_ASKED = bytes.fromhex("80000200000000 63 00 ef 050100")
CP1L_SAID = bytes.fromhex(
    "c0000200630000c800ef05010000"
    "4350314c2d454c323044522d4400000020202020"
    "30312e3030000000000030312e30360000000000"
    "0000000000000000000000000000000000000001"
    "0000000000000000000000000000000000010003"
    "000a172a1008000000000000"
)


@contextmanager
def station(answer: bytes, port: int = 0, echoed: Sequence[int] = ()) -> Iterator[tuple[int, list[bytes]]]:
    """Answers every datagram alike, the bytes of `echoed` places taken from the request; tells what it was asked."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            pytest.skip(f"UDP port {port} is taken on this machine")
        sock.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, whom = sock.recvfrom(2048)
                except TimeoutError:
                    continue
                heard.append(data)
                said = bytearray(answer)
                for place in echoed:
                    said[place] = data[place]
                sock.sendto(said, whom)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1], heard
        finally:
            ended.set()
            thread.join(5)


def known(folder: Path, protocol: str, answer: bytes) -> tuple[Identity, bytes]:
    """Who answers with these bytes, as the evidence of asking tells, and what was asked."""
    with station(answer) as (port, heard):
        (visit,) = asked(folder, approved(port, protocol))
    assert (visit.outcome, visit.frames, len(heard)) == ("answered", 2, 1), visit.why
    (one,) = hear(folder / "0.pcapng").identities
    return one, heard[0]


def without(data: bytes, first: int, end: int) -> bytes:
    return data[:first] + data[end:]


def test_a_real_twincat_stations_answer_is_understood_and_asked_for_as_beckhoffs_search_does(tmp_path: Path) -> None:
    one, request = known(tmp_path, "ads", CX_SAID)
    assert (one.maker, one.name, one.role) == ("Beckhoff", "CX_0D7560", "controller")
    assert dict(one.more) == {"AMS net id": "5.13.117.96.1.1", "TwinCAT": "2.11.2228"}
    assert without(request, 12, 18) == without(CX_ASKED, 12, 18), "but for the asker's own net id"


def test_a_real_omron_controllers_answer_is_understood_and_asked_for_as_recorded(tmp_path: Path) -> None:
    one, request = known(tmp_path, "fins", CP1L_SAID)
    assert (one.maker, one.model, one.firmware) == ("Omron", "CP1L-EL20DR-D", "01.00")
    assert (request[:7], request[8:9], request[10:]) == (CP1L_ASKED[:7], CP1L_ASKED[8:9], CP1L_ASKED[10:])
    assert request[7] == 1, "our node is the last part of our address"


@pytest.mark.peer("pyads")
def test_pyads_asks_a_twincat_station_the_same(tmp_path: Path) -> None:
    _, ours = known(tmp_path, "ads", CX_SAID)
    python = ROOT / ".peers" / "pyads" / "bin" / "python"
    with station(CX_SAID, 48899) as (_, heard):
        told = subprocess.run(
            [python, ROOT / "tests" / "peers" / "pyads" / "ask.py", "127.0.0.1"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    assert told.stdout.strip() == "5.13.117.96.1.1"
    assert [without(one, 12, 18) for one in heard] == [without(ours, 12, 18)]


@pytest.mark.peer("omron-fins")
def test_the_omron_fins_package_asks_a_controller_the_same(tmp_path: Path) -> None:
    one, ours = known(tmp_path, "fins", CP1L_SAID)
    environment = {**os.environ, "NODE_PATH": str(ROOT / ".peers" / "npm" / "node_modules")}
    with station(CP1L_SAID, echoed=(9,)) as (port, heard):
        told = subprocess.run(
            ["node", ROOT / "tests" / "peers" / "omron_fins" / "ask.js", str(port)],
            capture_output=True, text=True, timeout=20, check=True, env=environment,
        )  # fmt: skip
    said = json.loads(told.stdout)
    assert said["model"].rstrip("\0") == one.model
    assert said["version"][:5] == one.firmware
    (request,) = heard
    assert (request[:3], request[10:12]) == (ours[:3], ours[10:12]), "a command that wants an answer: 05 01"
