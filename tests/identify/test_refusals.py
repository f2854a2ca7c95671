"""Who is never asked, whatever stands in the list, and when nobody is."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from devices import LOOPBACK, FourSlots, aimed, approved, asked, device, plant_file, table
from hypothesis import given
from hypothesis import strategies as st

from isthmus.cli import main
from isthmus.edge import gate
from isthmus.edge.identify.approved import faults, refusals, targets
from isthmus.edge.identify.evidence import Evidence
from isthmus.edge.identify.round import Alone, Rules, ask_all
from isthmus.model.errors import IsthmusError, UsageError
from isthmus.model.zones import Zone, ZoneKind

CONTROL = Zone(
    name="control", kind=ZoneKind.CONTROL, networks=("10.4.0.0/16", "fd00:4::/32", "2002::/16", "64:ff9b::/96")
)
SAFETY = Zone(name="sis", kind=ZoneKind.SAFETY, networks=("10.4.9.0/24", "fd00:4:9::/48"))
ZONES = [CONTROL, SAFETY]
NAT64, MAPPED = int(ipaddress.ip_address("64:ff9b::")), int(ipaddress.ip_address("::ffff:0:0"))


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """The same device, said otherwise."""
    number = int(address)
    return [
        str(address),
        f"::ffff:{address}",
        str(ipaddress.IPv6Address(MAPPED | number)),
        ipaddress.IPv6Address(MAPPED | number).exploded,
        str(ipaddress.IPv6Address(NAT64 | number)),
        str(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1)),
        f"::{address}",
        f"0x{number:08x}",
        str(number),
        ".".join(f"0{part:o}" for part in address.packed),
    ]


@given(st.integers(int(ipaddress.ip_address("10.4.9.0")), int(ipaddress.ip_address("10.4.9.255"))), st.randoms())
def test_an_address_in_a_safety_zone_is_refused_however_it_is_said(number: int, chance: Random) -> None:
    zones = list(ZONES)
    chance.shuffle(zones)
    for said in spellings(ipaddress.IPv4Address(number)):
        assert list(refusals(said, zones)), said
        (target,) = targets([approved(502, address=said)], zones, datetime.now(UTC))
        assert target.refused, said


@given(st.integers(0, (1 << 80) - 1))
def test_an_ipv6_address_in_a_safety_zone_is_refused(rest: int) -> None:
    said = str(ipaddress.IPv6Address(int(ipaddress.ip_address("fd00:4:9::")) | rest))
    assert "safety" in next(refusals(said, ZONES))


def test_a_safety_zone_written_as_mapped_addresses_is_the_same_zone() -> None:
    wrapped = Zone(name="sis", kind=ZoneKind.SAFETY, networks=("::ffff:10.4.9.0/120",))
    assert "safety" in next(refusals("10.4.9.7", [CONTROL, wrapped]))


def test_a_safety_zone_without_networks_refuses_everything() -> None:
    nameless = Zone(name="sis", kind=ZoneKind.SAFETY)
    assert "nobody can tell" in next(refusals("10.4.1.20", [CONTROL, nameless]))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("plc-3.leeds.example", "names are not taken"),
        ("localhost", "names are not taken"),
        ("10.4.1.20/24", "names are not taken"),
        ("", "names are not taken"),
        ("192.168.7.7", "in no [[zone]]"),
        ("0.0.0.0", "not the address of one device"),  # noqa: S104  refused, not bound
        ("255.255.255.255", "not the address of one device"),
        ("224.0.0.1", "not the address of one device"),
        ("ff02::1", "not the address of one device"),
        ("fd00:4::1%eth0", "not the address of one device"),
        ("10.4.255.255", "broadcast"),
        ("10.4.1.255", "broadcast"),
        ("10.4.0.0", "broadcast"),
    ],
)
def test_what_is_no_single_device_of_the_plant_is_refused(said: str, why: str) -> None:
    assert any(why in one for one in refusals(said, ZONES))


def test_an_ordinary_device_is_not_refused() -> None:
    assert not list(refusals("10.4.1.20", ZONES))
    assert not list(refusals("::ffff:10.4.1.20", ZONES))
    (target,) = targets([approved(502, address="::ffff:10.4.1.20")], ZONES, datetime.now(UTC))
    assert (target.address, target.segment, target.refused) == ("10.4.1.20", "control 10.4.0.0/16", "")


@given(st.timedeltas(timedelta(days=-8), timedelta(days=8)))
def test_outside_its_window_nobody_is_asked(away: timedelta) -> None:
    approval = approved(502, address="10.4.1.20")
    now = approval.begins + away
    (target,) = targets([approval], ZONES, now)
    assert (target.refused == "") == (approval.begins <= now < approval.ends)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"ends": datetime(2026, 1, 1, tzinfo=UTC)}, "ends before it begins"),
        ({"ends": datetime.now(UTC) + timedelta(days=8)}, "longer than 7 days"),
        ({"protocol": "snmp"}, "community"),
        ({"protocol": "snmp", "community": "ü" * 20}, "longer than 32 bytes"),
        ({"protocol": "modbus", "slots": (1,)}, "only ethernet-ip"),
    ],
)
def test_an_approval_that_makes_no_sense_is_told(more: dict[str, Any], why: str) -> None:
    assert any(why in one for one in faults(approved(502, address="10.4.1.20", **more), ZONES))


def test_the_plant_file_with_a_safety_address_is_a_mistake_and_nothing_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FourSlots(keeps_s=0.0) as controller:
        safety = '[[zone]]\nname = "sis"\nkind = "safety"\nnetworks = ["127.0.0.0/30"]\n'
        plant = plant_file(tmp_path, safety, table(controller.port, "modbus"))
        assert main(["audit", "identify", str(plant), "--into", str(tmp_path / "audit"), "--send"]) == 1
        assert "lies in the safety zone sis" in capsys.readouterr().err
        assert main(["check", str(plant)]) == 1
        assert (controller.served, controller.most) == (0, 0)


def test_one_device_is_asked_by_one_protocol_in_a_round() -> None:
    first, second = aimed(approved(502), approved(44818, "ethernet-ip"))
    assert first.refused == ""
    assert "one connection for each device" in second.refused


def test_outside_the_window_nothing_is_sent(tmp_path: Path) -> None:
    past = approved(1, begins=datetime.now(UTC) - timedelta(hours=2), ends=datetime.now(UTC) - timedelta(hours=1))
    with FourSlots(keeps_s=0.0) as controller:
        (visit,) = asked(tmp_path, approved(controller.port, begins=past.begins, ends=past.ends))
        assert (visit.outcome, visit.requests, visit.frames) == ("not asked", 0, 0)
        assert "outside its window" in visit.why
        assert controller.most == 0


def test_a_window_that_ends_meanwhile_ends_the_conversation_cleanly(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.0) as controller:
        approval = approved(controller.port)
        times = iter([approval.begins, approval.ends])
        (visit,) = asked(tmp_path, approval, rules=Rules((tmp_path / "edge",), now=lambda: next(times)))
        assert (visit.outcome, visit.requests) == ("not asked", 0)
        assert "window has ended" in visit.why
    assert (controller.most, controller.served, controller.broken) == (1, 0, 0)


def test_nothing_is_sent_while_the_conduit_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FourSlots(keeps_s=0.0) as controller:
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        gate.close(tmp_path / "edge", level=2, by="Anna", reason="ransomware in the office network")
        assert main(["audit", "identify", str(plant), "--into", str(tmp_path / "audit"), "--send"]) == 1
        assert "the conduit is cut by Anna: ransomware" in capsys.readouterr().out
        visits = asked(tmp_path, approved(controller.port), approved(controller.port, address="127.0.0.2"))
        assert [one.outcome for one in visits] == ["not asked"] * 2
        assert all("the conduit is cut" in one.why for one in visits)
        assert controller.most == 0


def test_a_cut_meanwhile_ends_the_conversation_with_nothing_but_its_close(tmp_path: Path) -> None:
    requests: list[bytes] = []

    def cut(sock: socket.socket, data: bytes) -> None:
        while data:
            requests.append(data)
            gate.close(tmp_path / "edge", level=2, by="Anna", reason="drill")
            sock.sendall(data[:4] + b"\0\3" + data[6:7] + b"\xab\1")  # illegal function: it would ask otherwise
            data = sock.recv(4096)

    with device(cut) as port:
        visits = asked(tmp_path, approved(port), approved(port, address="127.0.0.2"))
    assert [one.outcome for one in visits] == ["not asked"] * 2
    assert all("cut by Anna" in one.why for one in visits)
    assert (len(requests), visits[0].left) == (1, "")


def test_a_gate_that_cannot_be_read_counts_as_cut(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "gate.json").write_text("{")
    with FourSlots(keeps_s=0.0) as controller:
        (visit,) = asked(tmp_path, approved(controller.port))
    assert (visit.outcome, controller.most) == ("not asked", 0)


def test_the_second_failure_ends_a_segment(tmp_path: Path, free_port: Callable[[], int]) -> None:
    dead = free_port()
    with FourSlots(keeps_s=0.0) as controller:
        approvals = [approved(dead, address=f"127.0.0.{number}") for number in (2, 3)]
        visits = asked(tmp_path, *approvals, approved(controller.port))
    assert [one.outcome for one in visits] == ["failed", "failed", "not asked"]
    assert "2 devices of control 127.0.0.0/24 failed" in visits[2].why
    assert controller.most == 0


def test_a_segment_has_a_rest_between_two_devices(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.0) as first, FourSlots(keeps_s=0.0, host="127.0.0.2") as second:
        rules = Rules((tmp_path / "edge",), rest_s=0.4)
        visits = asked(tmp_path, approved(first.port), approved(second.port, address="127.0.0.2"), rules=rules)
    assert [one.outcome for one in visits] == ["answered"] * 2
    assert visits[1].began_ns - visits[0].began_ns > 400_000_000


def test_a_failure_elsewhere_does_not_end_a_segment(tmp_path: Path, free_port: Callable[[], int]) -> None:
    dead = free_port()
    other = Zone(name="cell-2", kind=ZoneKind.CONTROL, networks=("127.0.1.0/24",))
    with FourSlots(keeps_s=0.0) as controller, Evidence(tmp_path / "0.pcapng") as evidence:
        approvals = [approved(dead, address=f"127.0.1.{number}") for number in (2, 3, 4)]
        found = targets([*approvals, approved(controller.port)], [LOOPBACK, other], datetime.now(UTC))
        visits = list(ask_all(found, evidence, Rules((tmp_path / "edge",), rest_s=0.0)))
    assert [one.outcome for one in visits] == ["failed", "failed", "not asked", "answered"]


def test_a_safety_controller_that_the_record_knows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text("address,maker,model,role\n127.0.0.1,Northgate,SC-1,safety\n")
    with FourSlots(keeps_s=0.0) as controller:
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        into = ["--into", str(tmp_path / "audit")]
        assert main(["audit", "import", str(tmp_path / "list.csv"), "--plant", str(plant), *into]) == 0
        assert main(["audit", "identify", str(plant), *into]) == 1
        assert "this is a safety controller" in capsys.readouterr().out
        assert main(["audit", "identify", str(plant), *into, "--send"]) == 1
        assert controller.most == 0


@pytest.mark.parametrize(
    ("maker", "model", "why"),
    [
        ("Siemens", "6ES7 516-3FN01-0AB0", "its model says “6ES7 516-3F”"),
        ("Siemens", "CPU 315F-2 PN/DP", "its model says “CPU 315F-2”"),
        ("Rockwell Automation", "1756-L81ES", "its model says “1756-L81ES”"),
    ],
)
def test_a_fail_safe_controller_is_refused_by_its_order_number_and_cannot_be_talked_out_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], maker: str, model: str, why: str
) -> None:
    (tmp_path / "list.csv").write_text(f"address,maker,model\n127.0.0.1,{maker},{model}\n")
    with FourSlots(keeps_s=0.0) as controller:
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        into = ["--into", str(tmp_path / "audit")]
        assert main(["audit", "import", str(tmp_path / "list.csv"), "--plant", str(plant), *into]) == 0
        assert main(["audit", "accept", "127.0.0.1", "--set", "role=computer", "--reason", "so", *into]) == 0
        assert main(["audit", "identify", str(plant), *into, "--send"]) == 1
        assert f"this is a safety controller ({why})" in capsys.readouterr().out
        assert controller.most == 0


def test_a_role_in_a_person_s_words_is_the_role_that_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text("address,maker,model\n127.0.0.1,Northgate,N-1\n")
    with FourSlots(keeps_s=0.0) as controller:
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        into = ["--into", str(tmp_path / "audit")]
        assert main(["audit", "import", str(tmp_path / "list.csv"), "--plant", str(plant), *into]) == 0
        assert main(["audit", "identify", str(plant), *into]) == 0
        said = ["audit", "accept", "127.0.0.1", "--reason", "walk-through", *into]
        assert main([*said, "--set", "role=banana"]) == 2
        assert "means no role; roles are computer, controller" in capsys.readouterr().err
        assert main([*said, "--set", "role=Safety controller"]) == 0
        assert main(["audit", "identify", str(plant), *into, "--send"]) == 1
        assert controller.most == 0


def test_a_safety_zone_that_the_record_was_told_of_holds_with_another_plant_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text("address,maker\n10.0.0.9,Northgate\n")
    into = ["--into", str(tmp_path / "audit")]
    with FourSlots(keeps_s=0.0) as controller:
        safety = '[[zone]]\nname = "sis"\nkind = "safety"\nnetworks = ["127.0.0.0/30"]\n'
        plant = plant_file(tmp_path, safety)
        assert main(["audit", "import", str(tmp_path / "list.csv"), "--plant", str(plant), *into]) == 0
        plant = plant_file(tmp_path, table(controller.port, "modbus"))
        assert main(["audit", "identify", str(plant), *into, "--send"]) == 1
        assert "lies in the safety zone sis" in capsys.readouterr().out
        assert controller.most == 0


def test_two_rounds_at_once_are_refused(tmp_path: Path) -> None:
    with FourSlots(keeps_s=0.0) as controller, Alone(), pytest.raises(UsageError, match="wait until it ends"):
        asked(tmp_path, approved(controller.port))


def test_evidence_that_cannot_be_written_means_that_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "asked").write_text("a file where the folder should be")
    with pytest.raises(IsthmusError, match="nothing was sent"):
        Evidence(tmp_path / "asked" / "0.pcapng")


def test_without_approvals_nothing_happens_and_the_way_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "identify", str(plant_file(tmp_path)), "--into", str(tmp_path / "audit"), "--send"]) == 1
    said = capsys.readouterr().out
    assert "approves no device" in said
    assert "isthmus audit identify --help" in said
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("way", [[], ["--dry-run"], ["--json"], ["--dry-run", "--json"]])
def test_without_send_nothing_is_sent_nor_written(
    way: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *given, **_: opened.append(given))
    plant = plant_file(tmp_path, table(502, "ethernet-ip", "slots = [0, 3]"))
    assert main(["audit", "identify", str(plant), "--into", str(tmp_path / "audit"), *way]) == 0
    assert not opened
    assert not (tmp_path / "audit").exists()
    said = capsys.readouterr().out
    if "--dry-run" in way:
        assert "63 00 00 00 00 00 00 00" in said
        assert "slot 3" in said
    if "--json" not in way:
        assert "Nothing was sent" in said
