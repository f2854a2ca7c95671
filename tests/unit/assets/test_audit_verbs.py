"""The verbs of `isthmus audit` on a folder of their own, with captures written here packet by packet."""

from __future__ import annotations

import csv
import json
import os
import struct
import threading
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from isthmus.assets.findings import Look, find
from isthmus.cli import main
from isthmus.model.records.assets import AssetKnown, AssetSeen, FlowSeen
from isthmus.run import one_writer
from isthmus.run.auditing.store import AuditStore
from isthmus.site.historian.store import Store
from isthmus.site.records.records_log import RecordsLog

Run = Callable[..., int]
_SUM = 0x45


def packet(source: int, target: int, ports: tuple[int, int], payload: bytes, sequence: int) -> bytes:
    """An Ethernet frame with IPv4 and TCP; 10.0.0.`source` speaks."""
    tcp = struct.pack("!HHIIBBHHH", *ports, sequence, 1, 0x50, 0x18, 8192, 0, 0) + payload
    addresses = bytes([10, 0, 0, source, 10, 0, 0, target])
    ip = struct.pack("!BBHHHBBH", _SUM, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + addresses
    return bytes([2, 0, 0, 0, 0, target, 2, 0, 0, 0, 0, source, 8, 0]) + ip + tcp


def capture(path: Path, frames: list[bytes], first_s: int) -> Path:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    body = b"".join(struct.pack("<IIII", first_s + n, 0, len(f), len(f)) + f for n, f in enumerate(frames))
    path.write_bytes(head + body)
    return path


def modbus_identity(server: int, firmware: str) -> list[bytes]:
    """A client asks 43/14, the server says maker, product and revision."""
    objects = [b"Telemecanique", b"TM221CE16R", firmware.encode()]
    told = b"".join(bytes([index, len(text)]) + text for index, text in enumerate(objects))
    answer = b"\x2b\x0e\x01\x01\x00\x00\x03" + told
    request = struct.pack("!HHHB", 1, 0, 5, 1) + b"\x2b\x0e\x01\x00"
    reply = struct.pack("!HHHB", 1, 0, len(answer) + 1, 1) + answer
    return [packet(9, server, (50000, 502), request, 100), packet(server, 9, (502, 50000), reply, 200)]


@pytest.fixture
def audit(tmp_path: Path) -> Run:
    def run(verb: str, *words: object, folder: str = "audit") -> int:
        option = "--from" if verb in ("export", "report") else "--into"
        return main(["audit", verb, *map(str, words), option, str(tmp_path / folder)])

    return run


def known(folder: Path) -> list[dict[str, object]]:
    """The record without the moment at which it was judged."""
    with AuditStore(folder, make=False) as store:
        return [msgspec.to_builtins(one) | {"time_ns": 0, "revision": 0} for one in store.all(AssetKnown)]


def test_any_order_twice_or_in_pieces_gives_the_identical_record(tmp_path: Path, audit: Run) -> None:
    files = [
        capture(tmp_path / f"{name}.pcap", modbus_identity(server, firmware), first)
        for name, server, firmware, first in (("a", 1, "1.6", 1000), ("b", 1, "1.7", 9000), ("c", 2, "1.6", 5000))
    ]
    records = []
    for index, order in enumerate(permutations(files)):
        folder = f"o{index}"
        if index % 2:
            assert audit("import", *order, folder=folder) == 0
        for path in order:
            assert audit("import", path, folder=folder) == 0
        records.append(known(tmp_path / folder))
    assert len(records[0]) == 3
    assert all(record == records[0] for record in records)


def test_an_import_says_what_stands_and_goes_on_where_it_was(
    tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = capture(tmp_path / "a.pcap", modbus_identity(1, "1.6"), 1000)
    assert audit("import", path) == 0
    assert audit("import", path) == 0
    told = capsys.readouterr().out
    assert "read before, nothing new in it" in told
    assert audit("list", "telemecanique") == 0
    assert "TM221CE16R" in capsys.readouterr().out
    assert audit("show", "10.0.0.1", "--complete", "--sources") == 0
    told = capsys.readouterr().out
    assert "a.pcap frame 2" in told
    assert "Active and supported protocols" in told


def test_accepting_keeps_who_and_why_and_a_baseline_finds_the_newcomer(
    tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("import", capture(tmp_path / "a.pcap", modbus_identity(1, "1.6"), 1000)) == 0
    assert audit("accept", "10.0.0.1", "--set", "owner=Line 2", "--reason", "walk-through", "--by", "anna") == 0
    assert audit("accept", "--baseline", "--reason", "commissioned", "--by", "anna") == 0
    assert audit("accept", "10.0.0.1", "--reason", "known", "--by", "anna") == 0
    assert audit("import", capture(tmp_path / "b.pcap", modbus_identity(2, "1.6"), 2000)) == 0
    capsys.readouterr()
    assert audit("findings", "--brief") == 0
    told = capsys.readouterr().out
    assert "10.0.0.2" in told
    assert "New" in told
    assert audit("show", "10.0.0.1") == 0
    told = capsys.readouterr().out
    assert "Line 2" in told
    assert "anna" in told
    assert audit("list", "--state", "accepted") == 0
    assert "1 of 3 assets" in capsys.readouterr().out


def test_what_cannot_be_is_refused_in_words(tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("list") == 2
    assert "holds no audit yet" in capsys.readouterr().err
    assert audit("import", tmp_path / "none.pcap") == 2
    assert "there is no file" in capsys.readouterr().err
    (tmp_path / "x.pcap").write_bytes(b"no capture at all")
    assert audit("import", tmp_path / "x.pcap") == 1
    assert audit("accept", "10.9.9.9", "--reason", "why") == 2
    assert "no asset has the id" in capsys.readouterr().err
    assert audit("accept", "10.9.9.9", "--reason", " ") == 2
    assert audit("export", tmp_path / "a.doc") == 2
    with AuditStore(tmp_path / "audit"):
        assert audit("list") == 2
    assert "in use by another" in capsys.readouterr().err


def test_a_preview_keeps_nothing(tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("Name;IP;Typ\nplc;10.0.0.1;TM221\nbad;10.0.0;x\n")
    assert audit("import", tmp_path / "a.csv", "--preview", "--map", "Typ=model") == 0
    told = capsys.readouterr().out
    assert "1 fit, 1 do not" in told
    assert "Model" in told
    assert not (tmp_path / "audit").exists()


def test_exports_agree_and_a_redacted_one_gives_nothing_away(tmp_path: Path, audit: Run) -> None:
    assert audit("import", capture(tmp_path / "a.pcap", modbus_identity(1, "1.6"), 1000)) == 0
    for name in ("a.csv", "a.json", "a.cdx.json"):
        assert audit("export", tmp_path / name) == 0
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    bill = json.loads((tmp_path / "a.cdx.json").read_text())
    assert {row["id"] for row in rows} == {one["bom-ref"] for one in bill["components"]}
    assert ("TM221CE16R", "1.6") in {(one["name"], one.get("version")) for one in bill["components"]}
    for name in ("r.csv", "r.json"):
        assert audit("export", tmp_path / name, "--redacted") == 0
        text = (tmp_path / name).read_text()
        assert "10.0.0." not in text
        assert "02:00:00" not in text
        assert "1.6" not in text
        assert "TM221CE16R" in text


def test_the_report_stands_by_itself(tmp_path: Path, audit: Run) -> None:
    assert audit("import", capture(tmp_path / "a.pcap", modbus_identity(1, "<b>1.6"), 1000)) == 0
    assert audit("report", tmp_path / "a.html") == 0
    page = (tmp_path / "a.html").read_text()
    assert "How complete the record is" in page
    assert "No advisories have been held" in page
    assert "<b>1.6" not in page
    assert "src=" not in page


@pytest.mark.data("captures")
def test_real_captures_tell_what_must_be_told(tmp_path: Path, data: Path, audit: Run) -> None:
    with (data / "captures" / "findings.csv").open() as file:
        wanted = list(csv.DictReader(file))
    assert audit("import", data / "captures") == 0
    with AuditStore(tmp_path / "audit", make=False) as store:
        names = store.source_names()
        assets, flows = store.all(AssetKnown), store.all(FlowSeen)
        found = find(Look(store.settings.path, assets, flows, store.settings.places))
    told = [(one.what, names.get(proof.source, ""), one) for one in found for proof in one.evidence]
    for row in wanted:
        hits = [
            one
            for what, name, one in told
            if what == row["kind"]
            and name == row["capture"]
            and (not row["address"] or set(row["address"].split(";")) & set(one.addresses))
            and (not row["serial"] or row["serial"] in one.serials)
        ]
        assert bool(hits) == (row["must_report"] == "yes"), row["finding"]
    cisco = [one for one in assets if one.best("model") == "CP1L-EL20DR-D"]
    assert [one.best("maker") for one in cisco] == ["Omron"]


@pytest.mark.data("captures")
def test_two_dated_captures_are_one_asset_with_drift_and_a_move(tmp_path: Path, data: Path, audit: Run) -> None:
    files = sorted((data / "captures").glob("*openics__EIP-*.pcap"))
    for index, order in enumerate((files, files[::-1])):
        assert audit("import", *order, folder=f"o{index}") == 0
    first, second = known(tmp_path / "o0"), known(tmp_path / "o1")
    assert first == second
    with AuditStore(tmp_path / "o0", make=False) as store:
        assets = [one for one in store.all(AssetKnown) if one.best("serial") == "0051aec3"]
        findings = find(Look("p", store.all(AssetKnown), store.all(FlowSeen), store.settings.places))
    [asset] = assets
    assert {field.value for field in asset.all("address")} >= {"192.168.10.125", "192.168.10.120"}
    assert {field.value for field in asset.all("firmware")} == {"4.3", "4.7"}
    [drift] = [one for one in findings if one.what == "drift"]
    assert "from 4.3 to 4.7" in drift.title
    assert [one.title for one in findings if one.what == "identity" and one.severity == "low"] == [
        "1756-ENBT/A moved from 192.168.10.125 to 192.168.10.120"
    ]


def north(folder: Path) -> Path:
    """A plant file, whose site stands still."""
    plant = folder / "plant.toml"
    plant.write_text(
        f'[plant]\nname = "North"\npath = "acme/north"\n\n[site]\ndata = "{folder / "site"}"\n'
        '[[calendar]]\nname = "day"\n[[calendar.shifts]]\nname = "Day"\nstart = "06:00"\nend = "14:00"\ndays = "Mon-Fri"\n'
    )
    return plant


def test_a_site_that_stands_still_takes_the_record_over_once(
    tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    site, plant = tmp_path / "site", north(tmp_path)
    assert audit("import", capture(tmp_path / "a.pcap", modbus_identity(1, "1.6"), 1000)) == 0
    assert audit("hand-over", "--plant", plant) == 0
    assert audit("hand-over", "--plant", plant) == 0
    assert "\n0 facts given to North" in capsys.readouterr().out
    log = RecordsLog(site / "log")
    statements = [one for _, one in log.read(0) if isinstance(one, AssetSeen)]
    log.close()
    assert {one.path.partition("#")[0] for one in statements} == {"acme/north"}
    assert audit("import", tmp_path / "a.pcap", folder="site") == 2
    assert "is a site's data" in capsys.readouterr().err


def test_an_import_that_holds_history_is_named_and_waited_for(
    tmp_path: Path, audit: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, plant = tmp_path / "site", north(tmp_path)
    assert audit("import", capture(tmp_path / "a.pcap", modbus_identity(1, "1.6"), 1000)) == 0
    importing = Store(site / "history", background=False, what="isthmus history import past.csv")
    with monkeypatch.context() as patch:
        patch.setattr(one_writer, "LONGEST_S", 0.2)
        assert audit("hand-over", "--plant", plant) == 1
    assert f"kill {os.getpid()}" in capsys.readouterr().err
    assert not (site / "log").exists()
    after = threading.Timer(0.5, importing.close)
    after.start()
    assert audit("hand-over", "--plant", plant) == 0
    after.join()
    said = capsys.readouterr()
    assert f"is being written by isthmus history import past.csv (process {os.getpid()}, since 20" in said.err
    assert "facts given to North; its pages show them when it starts" in said.out
    assert not (site / "handed").exists()


def tagged(vlan: int, server: int) -> bytes:
    """An ARP answer of 10.0.0.`server` with an 802.1Q tag."""
    mac, asker = bytes([2, 0, 0, 0, 0, server]), bytes([2, 0, 0, 0, 0, 9])
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac + bytes([10, 0, 0, server]) + asker + bytes([10, 0, 0, 9])
    return asker + mac + struct.pack("!HHH", 0x8100, vlan, 0x0806) + arp + bytes(18)


def test_the_network_of_a_tag_stands_with_the_device_that_was_seen_in_it(tmp_path: Path, audit: Run) -> None:
    frames = [tagged(120, 5), *modbus_identity(5, "1.2")]
    audit("import", capture(tmp_path / "a.pcap", frames, 100))
    with AuditStore(tmp_path / "audit", make=False) as store:
        told = {one.best("address"): one.best("vlan") for one in store.all(AssetKnown) if one.best("address")}
    assert told["10.0.0.5"] == "120"
