"""What each protocol's messages say, in frames built from its documents."""

from __future__ import annotations

from pathlib import Path

import samples
from wire import MAC_A, MAC_B, A, B, heard, one_identity, session, tcp, udp

from isthmus.assets.decode.heard import Heard


def said(found: Heard) -> set[tuple[str, str]]:
    return {(one.function, one.act) for one in found.uses}


def test_ethernet_ip_lists_its_identity(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.list_identity()))
    assert (one.address, one.child) == (B, "")
    assert (one.maker, one.model, one.firmware) == ("Rockwell Automation", "1756-L61/B LOGIX5561", "20.11")
    assert (one.order_number, one.serial, one.role) == ("1756-L61/B", "00c0ffee", "controller")


def test_modules_of_a_backplane_are_children_by_slot(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.backplane())
    assert [(one.child, one.model, one.serial) for one in found.identities] == [
        ("slot 0", "1756-L61/B LOGIX5561", "00000100"),
        ("slot 1", "1756-ENBT/A", "00000101"),
        ("slot 2", "MVI56", "00000102"),
    ]
    assert said(found) == {("Get Attributes All of Identity", "identify")}


def test_attributes_of_another_class_are_no_identity(tmp_path: Path) -> None:
    ask = samples.enip(0x6F, samples.rr_data(b"\x01\x02\x20\x64\x24\x01"))
    answer = samples.enip(0x6F, samples.rr_data(b"\x81\0\0\0" + samples.cip_identity(1, 14, (1, 1), 5, b"Program")))
    assert heard(tmp_path, session(44818, (">", ask), ("<", answer))).identities == []


def test_a_vendor_number_that_nobody_listed_stays_a_number(tmp_path: Path) -> None:
    item = b"\1\0" + bytes(16) + samples.cip_identity(0xEEEE, 14, (1, 1), 5, b"Thing") + b"\3"
    answer = samples.enip(0x63, b"\1\0\x0c\0" + len(item).to_bytes(2, "little") + item)
    assert one_identity(heard(tmp_path, [udp((B, 44818), (A, 5000), answer)])).maker == "vendor 0xeeee"


def test_modbus_tells_who_it_is_and_what_was_written(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.modbus_identification())
    one = one_identity(found)
    assert (one.maker, one.model, one.order_number, one.firmware) == (
        "Example Works",
        "Example 100",
        "EX-100",
        "V1.2.3",
    )
    assert said(found) == {
        ("Read Device Identification", "identify"),
        ("Read Holding Registers", "read"),
        ("Write Single Register", "write"),
    }


def test_modbus_is_known_on_any_port(tmp_path: Path) -> None:
    found = heard(tmp_path, session(10_502, (">", samples.mbap(1, 1, b"\x03\x00\x00\x00\x01"))))
    assert [(one.service, one.port, one.labelled) for one in found.conversations] == [("modbus", 10_502, "content")]


def test_umas_names_the_processor(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.umas()))
    assert (one.maker, one.model, one.firmware) == ("Schneider Electric", "140 CPU 311 10", "2.70")


def test_s7_lists_give_order_number_firmware_and_serial(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.s7())
    lists = {one.method: one for one in found.identities}
    first, second = lists["S7 SZL 0x0011"], lists["S7 SZL 0x001C"]
    assert (first.maker, first.order_number, first.firmware) == ("Siemens", "6ES7 315-2EH14-0AB0", "V3.2.6")
    assert (second.model, second.serial, second.name) == ("CPU 315-2 PN/DP", "S C-C2UR28922012", "PLC_1")
    assert {("Write Variable", "write"), ("Stop", "control")} < said(found)


def test_s7_plus_gives_order_number_and_firmware(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.s7_plus()))
    assert (one.maker, one.model, one.firmware) == ("Siemens", "6ES7 211-1BE31-0XB0", "V3.0")


def test_only_answers_of_dcp_say_who_someone_is(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.dcp())
    one = one_identity(found)
    assert (one.maker, one.model, one.name, one.address, one.mac) == (
        "Siemens",
        "ET200S",
        "press-4",
        "192.168.0.6",
        MAC_B,
    )
    assert ("Set station name", "engineering") in said(found)


def test_lldp_names_the_chassis_and_not_the_port(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.lldp()))
    assert (one.mac, one.address, one.name) == ("02:aa:aa:aa:aa:01", "10.0.0.12", "Switch1")
    assert (one.maker, one.model, one.order_number, one.firmware) == (
        "Siemens", "SCALANCE X212-2", "6GK5 212-2BB00-2AA3", "V4.02",
    )  # fmt: skip


def test_cdp_names_platform_and_software(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.cdp()))
    assert (one.maker, one.model, one.firmware) == ("Cisco", "WS-C3560-24TS", "12.2(44)SE")
    assert (one.address, one.role) == ("10.0.0.253", "switch")


def test_opc_ua_describes_both_sides_and_shows_a_password(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.opcua())
    assert {(one.address, one.model, one.name) for one in found.identities} == {
        (A, "http://example.com/client", "The client"),
        (B, "http://example.com/server", "The server"),
    }
    assert [one.what for one in found.exposures] == ["user name operator and password"]
    assert {("Open Secure Channel without security", "other"), ("Write", "write")} < said(found)


def test_bacnet_gathers_properties_of_a_device(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.bacnet())
    assert {one.maker for one in found.identities} == {"Johnson Controls", ""}
    assert {one.model for one in found.identities} == {"NAE-4510", ""}
    assert {(one.firmware, one.name) for one in found.identities} == {("5.1.0", "AHU-1"), ("", "")}
    assert {one.more["device instance"] for one in found.identities} == {"1234"}
    assert ("Write Property", "write") in said(found)


def test_snmp_describes_a_switch_and_shows_the_community(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.snmp())
    one = one_identity(found)
    assert (one.maker, one.model, one.firmware) == ("Hirschmann", "MAR", "L2P-09.0.00")
    assert [one.what for one in found.exposures] == ["community public"]


def test_a_filler_is_no_model_of_omron(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.fins())
    one = one_identity(found)
    assert (one.maker, one.model, one.firmware) == ("Omron", "CP1L-EL20DR-D", "01.00")
    assert ("Memory Area Write", "write") in said(found)


def test_ads_services_are_children_by_port(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.ads())
    one = one_identity(found)
    assert (one.maker, one.model, one.firmware, one.child) == ("Beckhoff", "PLC Server", "2.11.2103", "AMS port 801")
    assert ("Write Control", "control") in said(found)


def test_a_route_of_ads_shows_its_password(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.ads_route())
    assert one_identity(found).name == "CX_0D7560"
    assert [one.what for one in found.exposures] == ["user name Administrator and password"]


def test_slmp_type_name_counts_only_where_it_was_asked(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.slmp()))
    assert (one.maker, one.model) == ("Mitsubishi Electric", "FX5U-32MT/ES")
    unasked = [packet for index, packet in enumerate(samples.slmp()) if index != 3]
    assert heard(tmp_path, unasked).identities == []


def test_hart_says_type_and_revisions(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.hart_ip()))
    assert (one.maker, one.model, one.serial) == ("Rosemount", "HART device type 0x264e", "0000d2")
    assert one.firmware == "dev rev 4, sw rev 1"


def test_fox_tells_station_and_version(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.fox()))
    assert (one.maker, one.firmware, one.name, one.os) == ("Tridium", "3.5.41.1", "HQ", "QNX 6.3.2")


def test_mms_identifies_and_is_not_taken_for_s7(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.mms())
    one = one_identity(found)
    assert (one.maker, one.model, one.firmware) == ("Example", "IED-7", "2.1")
    assert [one.service for one in found.conversations] == ["mms"]
    assert ("Write", "write") in said(found)


def test_commands_of_telecontrol_are_named(tmp_path: Path) -> None:
    assert said(heard(tmp_path, samples.iec104())) == {("Single Command", "control")}
    found = heard(tmp_path, samples.dnp3())
    one = one_identity(found)
    assert (one.maker, one.model, one.firmware, one.child) == ("Example", "RTU-8", "2.0", "outstation 10")
    assert said(found) == {("Direct Operate", "control")}


def test_mqtt_shows_who_connects_and_with_which_password(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.mqtt())
    assert (one_identity(found).name, one_identity(found).address) == ("press-4", A)
    assert [one.what for one in found.exposures] == ["user name gateway and password"]
    assert ("Publish", "write") in said(found)


def test_a_dhcp_client_is_known_by_its_own_mac(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.dhcp()))
    assert (one.mac, one.address, one.name, one.os) == (MAC_A, "", "KoyoDL405", "Windows")


def test_windows_announces_its_version(tmp_path: Path) -> None:
    one = one_identity(heard(tmp_path, samples.browser()))
    assert one.name == "WIN2K3LAB022"
    assert "2003" in one.os


def test_tristation_concerns_a_safety_controller(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.tristation())
    assert (one_identity(found).role, one_identity(found).address) == ("safety controller", B)
    assert ("Start Download Change", "engineering") in said(found)


def test_office_protocols_are_named_and_their_passwords_shown(tmp_path: Path) -> None:
    found = heard(tmp_path, samples.office())
    named = {one.port: one.service for one in found.conversations}
    assert named == {
        80: "http", 443: "tls", 2022: "ssh", 5999: "vnc", 445: "smb", 21: "ftp", 53: "dns", 123: "ntp", 0x0806: "arp",
    }  # fmt: skip
    assert {(one.service, one.what) for one in found.exposures} == {
        ("http", "user name operator and password"),
        ("ftp", "password"),
    }
    assert [(one.address, one.mac) for one in found.neighbours if one.claimed] == [(A, MAC_A)]


def test_a_network_card_never_gives_a_maker(tmp_path: Path) -> None:
    found = heard(tmp_path, [tcp((A, 40_000), (B, 102), b"\x03\0\0\x16\x11\xe0" + bytes(16))])
    assert found.identities == []
    assert [(one.service, one.labelled) for one in found.conversations] == [("s7comm", "port")]
