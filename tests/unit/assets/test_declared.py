"""Lists, exports and logs: what a column means is guessed and said; a row that does not fit is listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openpyxl import Workbook
from sayings import PLANT

from isthmus.assets.declared import mapping, tables, zeek
from isthmus.assets.declared.mapping import Declared
from isthmus.model.errors import UsageError


def told(path: Path, wanted: dict[str, str] | None = None) -> Declared:
    table = tables.read(path)
    return mapping.statements(PLANT, table, mapping.guess(table.columns, wanted), source="list", time_ns=5)


def test_a_german_excel_export_is_read_with_its_title_and_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Anlagenliste Halle 3;;\nHostname;IP-Address;Hersteller\nSPS-1;10.0.0.5;Müller\n".encode("cp1252"))
    found = told(path, {"Hersteller": "maker"})
    [one] = found.seen
    assert (one.address, one.fields, one.frame) == ("10.0.0.5", {"maker": "Müller", "name": "SPS-1"}, 3)


def test_rows_that_do_not_fit_are_listed_with_their_line_and_none_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "name,ip address,mac,owner\nplc,10.0.0.1,,A\nbad,10.0.0.999,,A\n,,,only an owner\nx,,zz:1,\ny,10.0.0.2,,A,too,many\n"
    )
    found = told(path)
    assert [one.address for one in found.seen] == ["10.0.0.1"]
    lines = sorted(found.not_fitting)
    assert [line.split()[1].rstrip(":,") for line in lines] == ["3", "4", "5", "6"]
    assert "'10.0.0.999' is no IP address" in lines[0]
    assert len(found.seen) + len(found.not_fitting) == 5


def test_a_workbook_is_read_like_a_csv(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (("Asset tag", "IP", "Model", "Firmware"), ("A-1", "10.0.0.7", "CP1L", 1.1), (None, None, None, None)):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    [one] = told(tmp_path / "a.xlsx").seen
    assert (one.address, one.fields) == ("10.0.0.7", {"firmware": "1.1", "model": "CP1L", "number": "A-1"})


def test_netbox_exports_are_read_as_json_and_as_csv(tmp_path: Path) -> None:
    device = {
        "name": "plc-1",
        "device_type": {"manufacturer": {"name": "Siemens"}, "model": "S7-1200"},
        "role": {"name": "PLC"},
        "serial": "SC-123456",
        "primary_ip": {"address": "10.0.0.5/24"},
        "asset_tag": "A7",
    }
    (tmp_path / "a.json").write_text(json.dumps({"count": 1, "results": [device]}))
    (tmp_path / "a.csv").write_text(
        "name,manufacturer,device_type,role,serial,primary_ip4,asset_tag\nplc-1,Siemens,S7-1200,PLC,SC-123456,10.0.0.5/24,A7\n"
    )
    first, second = told(tmp_path / "a.json").seen[0], told(tmp_path / "a.csv").seen[0]
    wanted = {"maker": "Siemens", "model": "S7-1200", "role": "PLC", "serial": "SC-123456", "number": "A7"}
    for one in (first, second):
        assert one.address == "10.0.0.5"
        assert {name: one.fields.get(name) for name in wanted} == wanted


def test_an_unknown_column_or_field_is_refused_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,ip\nplc,10.0.0.1\n")
    with pytest.raises(UsageError, match="there are name, ip"):
        told(tmp_path / "a.csv", {"Typ": "model"})
    with pytest.raises(UsageError, match="no field 'colour'"):
        told(tmp_path / "a.csv", {"name": "colour"})


@pytest.mark.parametrize("text", ["", "just one line of text", "\n\n\n", "[]", '{"results": []}', '{"a": ', "[[1]]"])
def test_a_file_without_a_table_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UsageError):
        told(tmp_path / "a.csv")


CONN = (
    "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\torig_pkts\tresp_pkts\n"
    "1600000000.500000\t10.0.0.9\t50000\t10.0.0.1\t502\ttcp\tmodbus\t4\t3\n"
    "1600000009.000000\t10.0.0.9\t50001\t10.0.0.1\t502\ttcp\tmodbus\t1\t1\n"
    "broken line\n#close\t2020\n"
)


def test_zeek_conversations_count_together_and_a_broken_line_is_listed(tmp_path: Path) -> None:
    (tmp_path / "conn.log").write_text(CONN)
    found = zeek.read(PLANT, tmp_path / "conn.log", "z", 0)
    [one] = found.flows
    assert (one.client, one.server, one.port, one.service, one.packets) == ("10.0.0.9", "10.0.0.1", 502, "modbus", 9)
    assert one.time_ns == 1_600_000_000_500_000_000
    assert len(found.not_fitting) == 1


def test_icsnpp_identities_and_functions_are_read_as_json(tmp_path: Path) -> None:
    identity = {
        "ts": 1600000000.5,
        "id.orig_h": "10.0.0.9",
        "id.resp_h": "10.0.0.1",
        "socket_address": "10.0.0.1",
        "vendor_name": "Rockwell Automation",
        "product_name": "1756-ENBT/A",
        "revision": "4.7",
        "serial_number": "0x0051aec3",
    }
    (tmp_path / "cip_identity.log").write_text(json.dumps(identity) + "\n")
    [one] = zeek.read(PLANT, tmp_path / "cip_identity.log", "z", 0).seen
    assert one.fields["serial"] == "0051aec3"
    assert one.address == "10.0.0.1"
    write = {"ts": 1.0, "id.orig_h": "10.0.0.9", "id.resp_h": "10.0.0.1", "id.resp_p": 502, "func": "WRITE_SINGLE_COIL"}
    (tmp_path / "modbus.log").write_text(json.dumps(write) + "\n")
    [flow] = zeek.read(PLANT, tmp_path / "modbus.log", "z", 0).flows
    assert (flow.service, flow.function, flow.act) == ("modbus", "WRITE_SINGLE_COIL", "write")


def test_malcolm_documents_are_conversations(tmp_path: Path) -> None:
    hit = {
        "_source": {
            "@timestamp": "2020-09-13T12:26:40.500Z",
            "event": {"dataset": "conn"},
            "source": {"ip": "10.0.0.9"},
            "destination": {"ip": "10.0.0.1", "port": 4840},
            "network": {"transport": "tcp", "protocol": "opcua-binary"},
        }
    }
    (tmp_path / "m.json").write_text(json.dumps(hit) + "\n")
    [one] = zeek.read(PLANT, tmp_path / "m.json", "z", 0).flows
    assert (one.server, one.port, one.service, one.time_ns) == ("10.0.0.1", 4840, "opc-ua", 1_600_000_000_500_000_000)
