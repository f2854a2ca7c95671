"""What should not be so: one finding per cause, with its frame; silence about what is normal."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import pytest
from sayings import PLANT, flow, said

from isthmus.assets.addresses import Places
from isthmus.assets.decided import with_decisions
from isthmus.assets.findings import Look, find
from isthmus.assets.findings.connections import baseline_of
from isthmus.assets.record import record
from isthmus.model.records.assets import AssetDecided, AssetFinding, AssetSeen, FlowSeen
from isthmus.model.zones import Conduit, Zone, ZoneKind

ZONES = (
    Zone(name="office", kind=ZoneKind.ENTERPRISE, networks=("10.1.0.0/16",)),
    Zone(name="control", kind=ZoneKind.CONTROL, networks=("10.4.0.0/16",)),
    Zone(name="sis", kind=ZoneKind.SAFETY, networks=("10.5.0.0/16",)),
)


def found(
    flows: Sequence[FlowSeen],
    seen: Sequence[AssetSeen] = (),
    *,
    places: Places | None = None,
    conduits: Sequence[Conduit] = (),
    baseline: frozenset[str] | None = None,
) -> list[AssetFinding]:
    where = places or Places()
    ends = {end for one in flows for end in (one.client, one.server)}
    everything = [*seen, *(said(end, method="traffic") for end in sorted(ends))]
    assets = record(PLANT, everything, flows, where)
    look = Look(PLANT, assets, flows, where, conduits=conduits, baseline=baseline, today_ns=1_790_000_000 * 10**9)
    return [one for one in find(look) if one.severity != "note"]


def test_many_internet_servers_of_one_device_are_one_finding_with_its_frames() -> None:
    flows = [flow("192.168.0.100", f"93.184.{n}.34", "tls", port=443, at=n + 10) for n in range(27)]
    [one] = found(flows)
    assert one.what == "unexpected connectivity"
    assert one.addresses == ("192.168.0.100",)
    assert "27 internet addresses" in one.title
    assert [proof.frame for proof in one.evidence][:3] == [10, 11, 12]


def test_a_public_range_used_inside_is_one_finding_and_silent_once_declared() -> None:
    flows = [flow("141.81.0.10", f"141.81.0.{n}") for n in range(20, 34)]
    [one] = found(flows)
    assert "141.81.0.0/24" in one.title or "141.81.0.0" in one.next_step
    assert found(flows, places=Places(internal=["141.81.0.0/24"])) == []


def test_a_lone_public_address_on_the_wire_is_grave() -> None:
    [one] = found([flow("208.73.217.142", "224.0.0.22", "igmp", transport="igmp", port=0)])
    assert (one.severity, one.addresses) == ("high", ("208.73.217.142",))


def test_names_and_multicasts_are_no_findings() -> None:
    flows = [
        flow("10.4.0.5", "10.4.0.255", "netbios-ns", transport="udp", port=137),
        flow("10.4.0.5", "239.255.255.250", "ssdp", transport="udp", port=1900),
        flow("10.4.0.5", "224.0.0.251", "mdns", transport="udp", port=5353),
        flow("10.4.0.5", "10.4.0.6", "modbus"),
    ]
    assert found(flows, places=Places(ZONES), baseline=frozenset({"10.4.0.5 10.4.0.6 modbus"})) == []


def test_a_zone_is_crossed_only_by_a_conduit_that_says_so() -> None:
    flows = [flow("10.1.0.9", f"10.4.0.{n}", "opc-ua", port=4840) for n in (1, 2, 3)]
    [one] = found(flows, places=Places(ZONES))
    assert (one.severity, one.conduit) == ("high", ""), "the plant file refuses a way opened towards OT"
    assert "the OT side dials" in one.next_step
    [outwards] = found([flow("10.4.0.1", "10.1.0.9", "https", port=443)], places=Places(ZONES))
    declared = tomllib.loads(outwards.conduit)["conduit"][0]
    assert (declared["initiator"], declared["responder"], declared["protocols"]) == ("control", "office", ["https"])
    allowed = Conduit(name="erp", initiator="office", responder="control", protocols=("opcua",))
    assert found(flows, places=Places(ZONES), conduits=[allowed]) == []
    for other in (
        Conduit(name="back", initiator="control", responder="office", protocols=("opcua",)),
        Conduit(name="web", initiator="office", responder="control", protocols=("https",)),
    ):
        assert len(found(flows, places=Places(ZONES), conduits=[other])) == 1


def test_whoever_reaches_into_safety_is_told_once() -> None:
    [one] = found([flow("10.4.0.7", "10.5.0.2", "modbus")], places=Places(ZONES))
    assert (one.what, one.severity) == ("safety zone access", "high")
    [other] = found([flow("192.168.1.88", "192.168.1.2", "tristation", transport="udp", port=1502)])
    assert other.what == "safety zone access"
    assert set(other.addresses) == {"192.168.1.88", "192.168.1.2"}


def test_engineering_is_told_and_daily_operation_is_not() -> None:
    umas = flow("10.0.0.9", "10.0.0.1", function="UMAS take reservation", act="engineering")
    assert [one.what for one in found([umas])] == ["engineering access"]
    assert found([flow("10.0.0.9", "10.0.0.1", "dnp3", function="Operate", act="control")]) == []
    [stop] = found([flow("10.0.0.9", "10.0.0.1", "s7comm", function="Stop", act="control")])
    assert stop.severity == "high"
    assert found([umas], baseline=frozenset(baseline_of([umas]))) == []


def test_a_new_talker_and_a_new_function_are_told_against_the_baseline() -> None:
    normal = [flow("10.0.0.9", "10.0.0.1", function="Read Holding Registers", act="read")]
    baseline = frozenset(baseline_of(normal))
    assert found(normal, baseline=baseline) == []
    stranger = flow("10.0.0.101", "10.0.0.1", function="Write Single Coil", act="write")
    assert [one.what for one in found([*normal, stranger], baseline=baseline)] == ["new talker"]
    [write] = found(
        [*normal, flow("10.0.0.9", "10.0.0.1", function="Write Single Coil", act="write")], baseline=baseline
    )
    assert (write.what, write.severity) == ("new function", "high")


def test_firmware_drift_needs_one_device_one_way_of_knowing_and_an_order_in_time() -> None:
    def told(*seen: AssetSeen) -> list[str]:
        return [one.what for one in found([], seen)]

    old = said("10.0.0.1", at=1, maker="Rockwell", serial="0051aec3", firmware="4.3")
    new = said("10.0.0.1", at=9, maker="Rockwell", serial="0051aec3", firmware="4.7")
    assert told(old, new) == ["drift"]
    assert told(old) == []
    other_way = said("10.0.0.1", at=9, maker="Rockwell", serial="0051aec3", firmware="4.003", method="SNMP sysDescr")
    assert told(old, other_way) == []
    assert told(old, said("10.0.0.1", at=9, maker="Rockwell", serial="0051aec3", firmware="V4.3")) == []


def test_an_address_move_is_one_finding_for_the_whole_chassis() -> None:
    seen = []
    for at, address in ((1, "10.0.0.125"), (50, "10.0.0.120")):
        seen.append(said(address, at=at, maker="Rockwell", serial="0051aec3", model="1756-ENBT/A"))
        seen.append(said(address, at=at, child="slot 0", maker="Rockwell", serial="0051823f", model="1756-L61/B"))
    [one] = found([], seen)
    assert (one.what, len(one.assets)) == ("identity", 2)
    assert one.addresses == ("10.0.0.120", "10.0.0.125")


def test_a_host_in_two_networks_at_once_goes_round_the_boundary() -> None:
    seen = [
        said("10.1.0.9", at=1, to=90, mac="00:0c:29:00:00:01", name="HIST01", method="NetBIOS"),
        said("10.4.0.9", at=5, to=80, mac="00:0c:29:00:00:02", name="HIST01", method="NetBIOS"),
    ]
    [one] = found([], seen, places=Places(ZONES))
    assert "2 networks at once" in one.title


def test_clear_text_and_end_of_life_are_told_once_each() -> None:
    clear = flow("10.0.0.9", "10.0.0.1", "mqtt", port=1883, function="user name and password", act="exposure")
    [one] = found([clear, flow("10.0.0.9", "10.0.0.1", "mqtt", port=1883)])
    assert (one.what, one.severity) == ("weak protocol", "high")
    [old] = found([], [said("10.0.0.4", os="Windows Server 2003 R2", method="SMB browser")])
    assert old.what == "end of life"
    assert found([], [said("10.0.0.4", os="Windows 11", method="SMB browser")]) == []


def test_remote_control_is_told_unless_a_conduit_names_it() -> None:
    rdp = flow("10.1.0.9", "10.1.0.4", "", port=3389)
    assert [one.what for one in found([rdp])] == ["remote access"]
    managed = Conduit(name="remote", initiator="office", responder="control", protocols=("rdp",))
    assert found([rdp], conduits=[managed]) == []


def homed(*addresses: str) -> list[str]:
    """What is found of one computer that was seen at these addresses at the same time."""
    seen = [said(one, at=1, to=9, maker="Northgate", serial="SN-4711", name="LINE-PC") for one in addresses]
    return [one.title for one in found([], seen)]


def test_a_computer_in_two_networks_at_once_is_told() -> None:
    assert homed("10.4.0.5", "192.168.7.5") == ["LINE-PC stands in 2 networks at once"]
    assert homed("fd00:1::5", "fd00:2::5") == ["LINE-PC stands in 2 networks at once"]


def test_the_old_and_the_new_internet_protocol_on_one_card_are_no_two_networks() -> None:
    assert homed("10.4.0.5", "fe80::7", "fd00:4::5") == []
    assert homed("fd00:4::5", "fd00:4::6", "fe80::7") == []
    assert homed("10.4.0.5", "169.254.7.7") == []


def test_a_person_s_word_that_a_station_is_for_engineering_counts_as_a_list_s() -> None:
    umas = flow("10.0.0.9", "10.0.0.1", function="UMAS take reservation", act="engineering")
    ends = [said(end, method="traffic") for end in ("10.0.0.1", "10.0.0.9")]
    known = record(PLANT, ends, [umas], Places())
    station = next(one for one in known if one.best("address") == "10.0.0.9")
    word = AssetDecided(
        path=station.path,
        time_ns=1,
        decision="set",
        fields={"role": "Engineering station"},
        reason="walk-through",
        by="anna",
        said_ns=1,
    )
    [before] = [one for one in find(Look(PLANT, known, [umas], Places())) if one.what == "engineering access"]
    assert (before.severity, "not declared one" in before.text) == ("medium", True)
    told = with_decisions(known, [word])
    [after] = [one for one in find(Look(PLANT, told, [umas], Places())) if one.what == "engineering access"]
    assert (after.severity, "not declared one" in after.text) == ("low", False)


@pytest.mark.parametrize(
    ("os", "ended"),
    [
        ("Windows 10 Pro 19045", True),
        ("Windows 10 IoT Enterprise LTSC 2021", False),
        ("Windows Media Center", False),
        ("Debian GNU/Linux 10 (buster)", True),
        ("Debian GNU/Linux 12", False),
        ("Ubuntu 20.04.6 LTS", True),
        ("Windows CE", True),
    ],
)
def test_only_what_the_maker_has_dropped_is_at_its_end(os: str, *, ended: bool) -> None:
    assert bool(found([], [said("10.0.0.4", os=os, method="SMB browser")])) is ended
