"""Real captures of others, of which the truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.assets.score import NotTheFolder, score
from isthmus.cli import main


@pytest.mark.data("captures")
def test_devices_services_and_findings_of_real_captures_are_found(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "score", str(data / "captures"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["wrong"] == 0, found["misses"]
    assert found["identified_share"] >= 0.95, found["misses"]
    assert found["label_share"] >= 0.99, found["misses"]
    assert found["must_report_missed"] == found["must_not_reported"] == 0, found["misses"]
    assert found["packets_per_s"] > 0


def test_a_folder_without_its_lists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotTheFolder, match=r"devices\.csv"):
        score(tmp_path)


def test_a_score_counts_what_is_missed_and_what_is_wrong(tmp_path: Path) -> None:
    import samples  # noqa: PLC0415  beside this file
    from wire import pcap  # noqa: PLC0415  as above

    pcap(tmp_path / "one.pcap", samples.modbus_identification())
    head = "capture,ip,mac,mac_shared,oui_vendor,vendor,model,firmware,serial,name,os,asset_type,method\n"
    rows = ["Example Works,Example 100,V1.2.3", "Other Makers,Example 100,V1.2.3", "Example Works,Example 200,V1.2.3"]
    (tmp_path / "flows.csv").write_text(
        "capture,client,server,l4,port,service\none.pcap,10.0.0.5,10.0.0.9,tcp,502,modbus\n"
        "one.pcap,10.0.0.5,10.0.0.9,tcp,102,s7comm\n"
    )
    (tmp_path / "findings.csv").write_text("capture,finding,kind,evidence,must_report,address,serial\n")
    figures = []
    for row in rows:
        (tmp_path / "devices.csv").write_text(f"{head}one.pcap,10.0.0.9,,no,,{row},,,,,Modbus\n")
        found = score(tmp_path)
        figures.append((found.identified_share, found.wrong, found.label_share))
    assert figures == [(1.0, 0, 0.5), (1.0, 1, 0.5), (0.0, 1, 0.5)]
