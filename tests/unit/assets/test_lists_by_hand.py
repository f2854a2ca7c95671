"""Lists as people hand them over: nothing is dropped in silence, and a wrong guess can be mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from isthmus.cli import main
from isthmus.model.records.assets import AssetKnown
from isthmus.run.auditing.store import AuditStore

Said = Callable[..., tuple[int, str]]


@pytest.fixture(name="said")
def make_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        code = main(["audit", *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def held() -> list[AssetKnown]:
    with AuditStore(Path("audit"), make=False) as store:
        return store.all(AssetKnown)


def test_a_list_that_was_mapped_wrongly_is_read_again_and_what_it_said_before_goes(said: Said) -> None:
    Path("list.csv").write_text("Wer,IP,Art\nPLC-1,10.0.0.1,S7-1500\nPLC-2,10.0.0.2,S7-300\n")
    code, told = said("import", "list.csv", "--map", "Art=notes")
    assert "columns left out: Wer; --preview shows them, and --map 'Wer=model'" in told
    assert [one.best("notes") for one in held()] == ["S7-1500", "S7-300"]
    assert "read before, nothing new in it; with --map it is read otherwise" in said("import", "list.csv")[1]
    code, told = said("import", "list.csv", "--map", "Art=model", "--map", "Wer=name")
    assert (code, "read otherwise than before" in told, "left out" in told) == (0, True, False)
    names = {(one.best("name"), one.best("model"), one.best("notes")) for one in held()}
    assert names == {("PLC-1", "S7-1500", ""), ("PLC-2", "S7-300", "")}
    said("import", "list.csv", "--map", "Art=notes", "--map", "Wer=name")
    assert [one.best("notes") for one in held()] == ["S7-1500", "S7-300"]


def test_a_list_of_which_nothing_was_understood_is_not_kept_as_read(said: Said) -> None:
    Path("list.csv").write_text("colour,shape\nred,round\n")
    code, told = said("import", "list.csv")
    assert (code, "no row of it names a device, so nothing was kept" in told) == (1, True)
    assert said("import", "list.csv", "--map", "colour=name")[0] == 0
    assert [one.best("name") for one in held()] == ["red"]


def test_german_columns_are_known(said: Said) -> None:
    head = "Bezeichnung;IP-Adresse;Hersteller;Gerätetyp;Seriennummer;Firmwarestand;Standort;Bemerkung"
    Path("liste.csv").write_bytes(
        f"{head}\nSPS Süd;10.0.0.7;Siemens;S7-1500;S C-123;V2.9;Halle 3;neu\n".encode("cp1252")
    )
    code, told = said("import", "liste.csv")
    [one] = held()
    assert (code, "left out" in told) == (0, False)
    fields = ("name", "address", "maker", "model", "serial", "firmware", "location", "notes")
    assert [one.best(name) for name in fields] == [
        *("SPS Süd", "10.0.0.7", "Siemens", "S7-1500", "S C-123", "V2.9", "Halle 3", "neu"),
    ]


def test_the_header_is_the_line_that_names_columns_and_not_a_title_of_two_cells(said: Said) -> None:
    book = Workbook()
    page = book.active
    assert page is not None
    for row in (("Plant North",), ("As of", "2026-01-01"), (), ("Name", "IP", "VLAN"), ("P1", "10.2.0.1", 12.0)):
        page.append(row)
    book.save("list.xlsx")
    assert said("import", "list.xlsx")[0] == 0
    assert [(one.best("name"), one.best("vlan")) for one in held()] == [("P1", "12")]


def test_two_rows_with_one_serial_are_told(said: Said) -> None:
    rows = "A,10.1.0.1,SN0001,Siemens\nB,10.1.0.2,SN0001,Siemens\nC,10.1.0.3,SN0003,Siemens\nD,10.1.0.3,,Siemens\n"
    Path("list.csv").write_text("name,address,serial,maker\n" + rows)
    told = said("import", "list.csv")[1]
    assert "line 3: serial SN0001 stands in line 2 too, with other words" in told
    assert "line 5: address 10.1.0.3 stands in line 4 too, with other words" in told
    assert "line 3: serial SN0001" in said("show", "--sources")[1]


def test_the_same_device_twice_in_the_same_words_is_not_told(said: Said) -> None:
    Path("list.csv").write_text("name,address,serial,notes\nA,10.1.0.1,SN0001,new\nA,10.1.0.1,SN0001,also new\n")
    assert "with other words" not in said("import", "list.csv")[1]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("P,300.1.1.1,", "line 103, IP: '300.1.1.1' is no IP address"),
        (f"P,10.0.0.1,{'x' * 200_000}", "line 103, notes: 200,000 characters in one cell, and 4,096 is the most"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_its_line_and_column_and_costs_no_other(
    said: Said, row: str, why: str
) -> None:
    many = "\n".join(["words"] * 101)
    Path("list.csv").write_text(f'name,IP,notes\nBIG,10.0.0.3,"{many}"\n{row}\nLAST,10.0.0.4,fine\n')
    assert why in said("import", "list.csv")[1]
    assert {one.best("name") for one in held()} == {"BIG", "LAST"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_list_is_read_in_whatever_a_spreadsheet_saved_it_as(said: Said, encoding: str) -> None:
    Path("list.csv").write_bytes("name,address\nFräse,10.0.0.9\nPLC,10.0.0.10\n".encode(encoding))
    assert said("import", "list.csv")[0] == 0
    assert {one.best("name") for one in held()} == {"Fräse", "PLC"}


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("a.csv", b"PK\x03\x04\x00\x00", "a.csv is a workbook or an archive; save the list as CSV"),
        ("b.csv", b"\x7fELF\x00\x00\x01\r\x02", "b.csv is no text"),
        ("c.log", b"\x7fELF\x00\x00\x01\r\x02\nmore\n", "c.log is no log of Zeek"),
        ("d.json", b'{"name": "x"}\n{"name": ', "line 2 is no line of JSON"),
        ("e.json", b'{"results": [{"_source": "x"}]}', "e.json holds no list of assets"),
    ],
)
def test_a_file_of_another_sort_is_refused_in_words_once(said: Said, name: str, body: bytes, why: str) -> None:
    Path(name).write_bytes(body)
    code, told = said("import", name)
    assert (code, told.count(name)) == (1, 1)
    assert why in told


def test_a_log_whose_times_cannot_be_read_says_so_line_by_line(said: Said) -> None:
    line = {"ts": "x", "id.orig_h": "10.0.0.1", "id.resp_h": "10.0.0.2", "id.resp_p": 502}
    Path("conn.log").write_text(json.dumps(line) + "\n")
    assert "line 1: 'x' is no time" in said("import", "conn.log")[1]


def test_a_folder_s_lists_are_not_passed_over_in_silence(said: Said) -> None:
    Path("all").mkdir()
    Path("all/assets.csv").write_text("name,address\nA,10.0.0.1\n")
    Path("all/conn.log").write_text('{"ts": 1, "id.orig_h": "10.0.0.1", "id.resp_h": "10.0.0.2", "id.resp_p": 502}\n')
    code, told = said("import", "all")
    assert (code, "all: lists are not read with a folder: assets.csv; name them themselves" in told) == (0, True)


def test_a_damaged_table_file_is_made_anew_from_the_log(said: Said) -> None:
    Path("list.csv").write_text("name,address\nA,10.0.0.1\n")
    said("import", "list.csv")
    Path("audit/views.sqlite").write_bytes(b"garbage" * 2000)
    code, told = said("list")
    assert (code, "1 of 1 assets" in told) == (0, True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--dismiss", "--set", "owner=x"), "not allowed with argument"),
        (("--set", "address=banana"), "'banana' is no IP address"),
        (("--set", "mac=1234"), "'1234' is no MAC address"),
        (("--by", " "), "say who decides with --by"),
        (("--dismiss", "--baseline"), "speak of one finding or asset"),
    ],
)
def test_a_decision_that_cannot_be_is_refused(said: Said, words: tuple[str, ...], why: str) -> None:
    Path("list.csv").write_text("name,address\nA,10.0.0.1\n")
    said("import", "list.csv")
    try:
        code, told = said("accept", "A", "--reason", "seen", *words)
    except SystemExit as stopped:
        code, told = int(stopped.code or 0), why
    assert (code, why in told) == (2, True)
    assert "decision" not in said("show", "A")[1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"ts": 900_000_000_000_000_000}, "line 1: '900000000000000000' is no time"),
        ({"ts": -5}, "line 1: '-5' is no time"),
        ({"id.resp_p": 99_999_999}, "line 1: '99999999' is no port"),
        ({"id.resp_p": "²"}, "line 1: '²' is no port"),
    ],
)
def test_numbers_of_a_log_that_cannot_be_are_told_and_cost_no_other_line(
    said: Said, line: dict[str, object], why: str
) -> None:
    good = {"ts": 1, "id.orig_h": "10.0.0.1", "id.resp_h": "10.0.0.2", "id.resp_p": 502, "orig_pkts": "9" * 30}
    Path("conn.log").write_text(json.dumps(good | line) + "\n" + json.dumps(good) + "\n")
    code, told = said("import", "conn.log")
    assert (code, why in told, "1 statement" in told) == (0, True, True)


@pytest.mark.parametrize("wrong", ["70000", "-1", "80x"])
def test_a_port_that_is_none_is_refused_before_anything_is_served(
    said: Said, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        said("pages", f"--port={wrong}")
    assert f"{wrong!r} is no port" in capsys.readouterr().err


def test_every_verb_knows_the_folder_by_either_name(said: Said) -> None:
    Path("list.csv").write_text("name,address\nA,10.0.0.1\n")
    said("import", "list.csv", "--into", "mine")
    assert "1 of 1 assets" in said("list", "--from", "mine")[1]
    assert said("report", "r.html", "--into", "mine")[0] == 0
