"""What goes over the wire when devices are asked: against servers of others and a controller with four slots."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from devices import FourSlots, approved, asked, device, modbus_answer, plant_file, table
from tap import FIN, RST, SYN, Seen, by_connection, most_open, tapped

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.said import Identity
from isthmus.cli import main
from isthmus.edge.identify.approved import targets
from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.evidence import Evidence
from isthmus.edge.identify.protocols import askings
from isthmus.edge.identify.round import Rules, Visit, ask_all
from isthmus.model.records.assets import AssetKnown, AssetSeen, FlowSeen
from isthmus.model.zones import Zone, ZoneKind
from isthmus.run.auditing.store import AuditStore

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "tests" / "peers"


@contextmanager
def served(*command: str, port: int, cwd: Path) -> Iterator[None]:
    """A server of others in a process of its own, once it takes connections."""
    running = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 25
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"{command} does not listen")
        yield
    finally:
        running.terminate()
        running.communicate(timeout=10)


def peer(name: str) -> str:
    return str(ROOT / ".peers" / name / "bin" / "python")


@contextmanager
def server(protocol: str, port: int, cwd: Path) -> Iterator[None]:
    """The server of others that speaks a protocol."""
    if protocol == "ethernet-ip":
        (cwd / "cpppo.cfg").write_text(
            "[Identity]\nVendor Number = 309\nProduct Name = MVI56E-MNETC\nSerial Number = 12648430\n"
            "Product Revision = 2051\n"
        )
    commands = {
        "modbus": (peer("pymodbus"), str(PEERS / "pymodbus" / "pymodbus_server.py"), str(port)),
        "ethernet-ip": (
            peer("cpppo"), "-m", "cpppo.server.enip", "--address", f"127.0.0.1:{port}", "--no-udp", "SCADA=INT[4]",
        ),
        "s7": (peer("snap7"), str(PEERS / "snap7" / "snap7_server.py"), str(port)),
        "opc-ua": (sys.executable, "-W", "ignore", str(PEERS / "asyncua" / "asyncua_server.py"), str(port)),
    }  # fmt: skip
    with served(*commands[protocol], port=port, cwd=cwd):
        yield


MORE: dict[str, dict[str, Any]] = {"modbus": {"unit": 1}, "ethernet-ip": {"slots": (0, 1, 2, 3, 4, 5, 6)}}
SERVERS = [
    pytest.param("modbus", marks=pytest.mark.peer("pymodbus")),
    pytest.param("ethernet-ip", marks=pytest.mark.peer("cpppo")),
    pytest.param("s7", marks=pytest.mark.peer("snap7")),
    pytest.param("opc-ua"),
]
WHO = {
    "modbus": ("Northgate Instruments", "NI-7 three-phase", "3.16.1", ""),
    "ethernet-ip": ("ProSoft Technology", "MVI56E-MNETC", "3.8", "00c0ffee"),
    "s7": ("Siemens", "6ES7 315-2EH14-0AB0", "", ""),
    "opc-ua": ("FreeOpcUa", "FreeOpcUa Python Server", "1.0pre", ""),
}


def only_reads(protocol: str, data: bytes) -> bool:
    """What this says by its standard alone, without our list: no function that changes anything."""
    if protocol == "modbus":
        return data[7:9] == b"\x2b\x0e"
    if protocol == "ethernet-ip":
        plain = data[:2] in {b"\x63\0", b"\x65\0", b"\x66\0"}
        routed = data[40:46] == b"\x52\x02\x20\x06\x24\x01" and data[50:56] == b"\x01\x02\x20\x01\x24\x01"
        return plain or (data[:2] == b"\x6f\0" and (routed or data[40:46] == b"\x01\x02\x20\x01\x24\x01"))
    if protocol == "s7":
        reads_list = data[7:9] == b"\x32\x07" and data[22:24] == b"\x44\x01" and data[29:31] in {b"\0\x11", b"\0\x1c"}
        return data[5] == 0xE0 or (data[7:9] == b"\x32\x01" and data[17] == 0xF0) or reads_list
    if data[:3] in {b"HEL", b"OPN", b"CLO"}:
        return True
    return data[:3] == b"MSG" and int.from_bytes(data[26:28], "little") in {428, 461, 467, 631, 473}


def assert_careful(protocol: str, seen: list[Seen], rounds: int) -> None:
    """One connection at a time, few frames, clean close, and nothing that is not on the list."""
    connections = by_connection(seen)
    assert len(connections) == rounds
    assert most_open(seen) == 1, [one for one in seen if one.flags & (SYN | FIN | RST)]
    frames = askings()[protocol].FRAMES
    for frames_of in connections:
        assert len(frames_of) <= 25
        assert not any(one.flags & RST for one in frames_of)
        assert {one.asks for one in frames_of if one.flags & FIN} == {True, False}
        assert sum(bool(one.flags & SYN) for one in frames_of) == 2
        sent = [one.data for one in frames_of if one.asks and one.data]
        assert sent
        for data in sent:
            assert sum(frame.fits(data) for frame in frames) == 1, data.hex(" ")
            assert only_reads(protocol, data), data.hex(" ")


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("protocol", SERVERS)
def test_a_server_of_others_survives_a_hundred_rounds(
    protocol: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    approval = approved(port, protocol, **MORE.get(protocol, {}))
    with server(protocol, port, tmp_path), tapped(port) as seen:
        visits = [asked(tmp_path, approval)[0] for _ in range(100)]
    assert {(one.outcome, one.left) for one in visits} == {("answered", "")}
    assert_careful(protocol, seen, 100)


@pytest.mark.parametrize("protocol", SERVERS)
def test_a_server_of_others_is_asked_with_care_and_known_afterwards(
    protocol: str, tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    unit = "unit = 1" if protocol == "modbus" else ""
    plant = plant_file(tmp_path, table(port, protocol, unit))
    into = ["--into", str(tmp_path / "audit")]
    with server(protocol, port, tmp_path), tapped(port) as seen:
        visits = [asked(tmp_path, approved(port, protocol, **MORE.get(protocol, {})))[0] for _ in range(2)]
        assert main(["audit", "identify", str(plant), *into, "--send", "--json"]) == 0
    assert [one.outcome for one in visits] == ["answered"] * 2, visits
    assert not any(one.left for one in visits)
    assert_careful(protocol, seen, 3)
    assert visits[0].frames == len(by_connection(seen)[0])
    (told,) = json.loads(capsys.readouterr().out)["targets"]
    who = WHO[protocol]
    if protocol == "opc-ua" and "left out for want of frames" in told["why"]:
        who = ("", "http://example.com/press", "", "")  # a busy machine acknowledges each segment by itself
    assert who in [(one["maker"], one["model"], one["firmware"], one["serial"]) for one in told["told"]]
    assert main(["audit", "show", "127.0.0.1", *into]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if (who[0] or who[1]) in line and "asked" in line)
    assert "queried" in line
    assert "asked: " in line


@pytest.mark.parametrize("rounds", [15, pytest.param(100, marks=pytest.mark.long)])
def test_a_controller_with_four_slots_survives_round_after_round(tmp_path: Path, rounds: int) -> None:
    with FourSlots(keeps_s=0.03) as controller:
        outcomes = {asked(tmp_path, approved(controller.port))[0].outcome for _ in range(rounds)}
        end = time.monotonic() + 5
        while controller.taken and time.monotonic() < end:
            time.sleep(0.01)
    assert outcomes == {"answered"}
    assert (controller.served, controller.most, controller.broken, controller.refused) == (rounds, 1, 0, 0)
    assert controller.taken == 0


def test_a_controller_that_keeps_half_closed_connections_for_ever_loses_one_and_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("isthmus.edge.identify.line.CLOSE_S", 0.3)
    with FourSlots(keeps_s=None) as controller:
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        said = []
        for folder in ("audit", "audit", "audit", "audit", "another", "and one more"):
            assert main(["audit", "identify", str(plant), "--into", str(tmp_path / folder), "--send"]) == 1
            said.append(capsys.readouterr().out)
    assert (controller.taken, controller.broken, controller.refused, controller.served) == (1, 0, 0, 1)
    assert "did not close its side" in said[0]
    assert "NI-4" in said[0]
    assert all("kept a connection half closed" in one and "approve it anew" in one for one in said[1:])


def test_a_slow_device_is_still_closed_from_both_sides(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.6) as controller, tapped(controller.port) as seen:
        (visit,) = asked(tmp_path, approved(controller.port))
    assert (visit.outcome, visit.left) == ("answered", "")
    assert_careful("modbus", seen, 1)


def test_what_is_kept_as_evidence_is_what_went_over_the_wire(tmp_path: Path) -> None:
    from isthmus.assets.decode.capture import application, windows  # noqa: PLC0415  heavy

    with FourSlots(keeps_s=0.0) as controller, tapped(controller.port) as seen:
        asked(tmp_path, approved(controller.port))
    path = tmp_path / "0.pcapng"
    told: list[str] = []
    kept = [
        bytes(window.data[at + 40 : at + size])
        for window in windows(path, told.append)
        for at, size in zip(window.at, window.caught, strict=True)
    ]
    assert not told
    assert [one for one in kept if one] == [one.data for one in seen if one.data]
    assert application(path) == "isthmus audit identify"
    assert b"MODBUS Application Protocol V1.1b3, 6.21" in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.long
@pytest.mark.peer("tshark")
def test_the_evidence_is_read_by_others(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.0) as controller:
        asked(tmp_path, approved(controller.port))
        port = controller.port
    fields = ("-T", "fields", "-e", "modbus.func_code", "-e", "frame.comment")
    out = subprocess.run(
        ("tshark", "-r", str(tmp_path / "0.pcapng"), "-d", f"tcp.port=={port},mbtcp", *fields),
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout
    assert out.count("43") >= 2
    assert "Read Device Identification, regular" in out
    assert "approved by Anna Weber" in out


def test_the_request_is_on_disk_before_it_is_sent(tmp_path: Path) -> None:
    found: list[bool] = []

    def look(sock: socket.socket, data: bytes) -> None:
        found.append(data in (tmp_path / "0.pcapng").read_bytes())
        sock.sendall(modbus_answer(data))

    with device(look) as port:
        asked(tmp_path, approved(port))
    assert found == [True]


@contextmanager
def running(*command: str, cwd: Path) -> Iterator[None]:
    """A server of others over UDP, in a process of its own."""
    started = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        started.terminate()
        started.wait(10)


def answered(folder: Path, approval: Approval, seen: list[Seen]) -> Visit:
    """The first round that is answered: until then the server starts."""
    for _ in range(80):
        seen.clear()
        (visit,) = asked(folder, approval)
        if visit.outcome == "answered":
            return visit
        time.sleep(0.2)
    pytest.fail(visit.why)


def identities(folder: Path) -> list[Identity]:
    """What the newest evidence says."""
    return hear(max(folder.glob("*.pcapng"), key=lambda path: int(path.stem))).identities


def assert_listed(protocol: str, seen: list[Seen]) -> None:
    sent = [one.data for one in seen if one.asks]
    assert sent
    assert all(sum(frame.fits(data) for frame in askings()[protocol].FRAMES) == 1 for data in sent)


@pytest.mark.peer("net-snmp")
def test_an_snmp_agent_of_others_is_asked_by_four_datagrams(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    (tmp_path / "snmpd.conf").write_text(
        "rocommunity plant-4711 127.0.0.1\nsysName press-switch\nsysDescr Hirschmann RS30 - SW: L2P-07.1.02\n"
    )
    agent = ("snmpd", "-f", "-C", "-c", "snmpd.conf", "-Lf", "log", "-p", "pid", f"udp:127.0.0.1:{port}")
    with running(*agent, cwd=tmp_path), tapped(port) as seen:
        visit = answered(tmp_path, approved(port, "snmp", community="plant-4711"), seen)
    assert (visit.frames, len(seen)) == (4, 4)
    assert_listed("snmp", seen)
    (one,) = [each for each in identities(tmp_path) if each.method == "SNMP system group"]
    assert (one.maker, one.model, one.firmware, one.name) == ("Hirschmann", "RS30", "L2P-07.1.02", "press-switch")


@pytest.mark.peer("bacpypes3")
def test_a_bacnet_device_of_others_is_asked_property_by_property(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    device = (peer("bacpypes3"), str(PEERS / "bacpypes3" / "bacpypes3_server.py"), str(port))
    with running(*device, cwd=tmp_path), tapped(port) as seen:
        visit = answered(tmp_path, approved(port, "bacnet"), seen)
    assert visit.frames == len(seen) <= 16
    assert_listed("bacnet", seen)
    for data in (one.data for one in seen if one.asks):
        assert data[4:8] == b"\x01\x00\x10\x08" or data[9] == 12, "Who-Is, or Read Property"
    told = [getattr(one, name) for one in identities(tmp_path) for name in ("maker", "model", "firmware", "name")]
    assert {"Northgate Instruments", "NB-20", "5.1.7", "Chiller 2"} <= set(told)


def test_a_device_with_an_ipv6_address_is_asked_alike(tmp_path: Path) -> None:
    zone = Zone(name="control", kind=ZoneKind.CONTROL, networks=("::1/128",))
    with FourSlots(keeps_s=0.0, host="::1") as controller, Evidence(tmp_path / "0.pcapng") as evidence:
        found = targets([approved(controller.port, address="::1")], [zone], datetime.now(UTC))
        (visit,) = ask_all(found, evidence, Rules((tmp_path / "edge",)))
    assert (visit.outcome, visit.left, visit.target.name) == ("answered", "", f"[::1]:{controller.port}")
    (one,) = identities(tmp_path)
    assert (one.address, one.maker, one.firmware) == ("::1", "Northgate", "1.2")


def test_evidence_that_is_imported_elsewhere_tells_of_the_devices_and_nothing_of_us(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.0) as controller:
        asked(tmp_path, approved(controller.port))
    assert main(["audit", "import", str(tmp_path / "0.pcapng"), "--into", str(tmp_path / "audit")]) == 0
    with AuditStore(tmp_path / "audit", make=False) as store:
        assert [(one.how, one.method) for one in store.all(AssetSeen)] == [("queried", "asked: Modbus 43/14")]
        assert not store.all(FlowSeen)
        (one,) = store.all(AssetKnown)
        assert (one.best("maker"), one.best("model"), one.best("firmware")) == ("Northgate", "NI-4", "1.2")
        assert [(source.what, source.not_fitting) for source in store.sources()] == [("asked", ())]
