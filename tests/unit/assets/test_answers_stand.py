"""An answer holds for the device that it was given for: with another firmware, or another name, it is looked at anew."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_advisories import BRANCHES, asset, document

from isthmus.assets.advisories import advise
from isthmus.assets.csaf import load
from isthmus.cli import main
from isthmus.model.errors import UsageError
from isthmus.model.records.assets import AssetAdvised
from isthmus.run.auditing.store import AuditStore

ROW = "Q,10.0.0.2,Siemens,6ES7 315-2EH14-0AB0"


@pytest.fixture(name="run")
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csaf").mkdir()
    (tmp_path / "csaf" / "1.json").write_text(json.dumps(document(BRANCHES[:1])))

    def run(*words: str) -> int:
        return main(["audit", *words])

    return run


def lists(name: str, *rows: str, columns: str = "name,address,maker,model,firmware") -> str:
    Path(name).write_text("\n".join([columns, *rows]) + "\n")
    return name


def answers() -> dict[str, str]:
    with AuditStore(Path("audit"), make=False) as store:
        names = {row["id"]: row["name"] for row in store.views.query("SELECT id, name FROM assets_known")}
        return {names[one.path.rpartition("/")[2]]: one.answer for one in store.all(AssetAdvised)}


def test_a_device_that_shows_an_older_firmware_is_held_against_the_advisories_again(run: Callable[..., int]) -> None:
    run("import", lists("new.csv", f"{ROW},V3.2.17"))
    run("advisories", "csaf")
    assert answers() == {"Q": "not affected"}
    run("accept", "Q", "--set", "firmware=V3.2.7", "--reason", "went back to the old one")
    assert answers() == {"Q": "affected"}


def test_a_device_that_came_later_has_its_answer_too(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.17"))
    run("advisories", "csaf")
    run("import", lists("more.csv", "R,10.0.0.3,Siemens,6ES7 315-2EH14-0AB0,V3.2.7"))
    assert answers() == {"Q": "not affected", "R": "affected"}
    assert run("advisories", "--asset", "R") == 0
    assert "covers V3.2.7" in capsys.readouterr().out


def test_without_the_advisories_an_answer_for_another_firmware_is_withdrawn(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.17", "S,10.0.0.9,Siemens,6ES7 315-2EH14-0AB0,V3.2.17"))
    run("advisories", "csaf")
    Path("audit/advisories.gz").write_bytes(b"torn")
    run("accept", "Q", "--set", "firmware=V3.2.7", "--reason", "went back to the old one")
    assert answers() == {"S": "not affected"}
    assert run("advisories", "--asset", "Q") == 2
    assert "give the folder where they lie again" in capsys.readouterr().err
    run("advisories")
    assert "1 assets were never held against any advisory" in capsys.readouterr().out


def decide(run: Callable[..., int], status: str) -> None:
    said = ("--status", status, "--reason", "port 102 is closed", "--by", "anna")
    assert run("advisories", "--asset", "Q", "--decide", "ICSA-1", *said) == 0


def told_by_vex(run: Callable[..., int], *words: str) -> dict[str, Any]:
    assert run("advisories", "--vex", "vex.json", *words) == 0
    told: dict[str, Any] = json.loads(Path("vex.json").read_text())
    return told


def test_a_decision_is_kept_when_the_serial_becomes_known(run: Callable[..., int]) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.7"))
    run("advisories", "csaf")
    decide(run, "known_affected")
    run("import", lists("serial.csv", "Q,10.0.0.2,Siemens,S C-C6TW7488", columns="name,address,maker,serial"))
    told = told_by_vex(run, "--namespace", "https://works.example")
    assert [list(one["product_status"]) for one in told["vulnerabilities"]] == [["known_affected"]]
    assert told["document"]["publisher"]["namespace"] == "https://works.example"


def test_a_decision_does_not_outlive_the_firmware_that_it_was_made_for(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.7"))
    run("advisories", "csaf")
    decide(run, "known_not_affected")
    run("accept", "Q", "--set", "firmware=V3.2.6", "--reason", "went back")
    assert run("advisories", "--vex", "vex.json") == 2
    assert "its model or firmware is another since; decide anew" in capsys.readouterr().out
    run("advisories", "--asset", "Q")
    assert "of another model or firmware: decide anew" in capsys.readouterr().out


def test_each_decision_makes_a_new_version_of_the_vex_and_the_same_ones_the_same(run: Callable[..., int]) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.7"))
    run("advisories", "csaf")
    decide(run, "under_investigation")
    first = told_by_vex(run)["document"]["tracking"]
    again = told_by_vex(run)["document"]["tracking"]
    decide(run, "known_affected")
    second = told_by_vex(run)["document"]["tracking"]
    assert (first["version"], again["version"], second["version"]) == ("1", "1", "2")
    assert first["initial_release_date"] == second["initial_release_date"] == again["current_release_date"]
    assert [one["summary"].partition(": ")[2] for one in second["revision_history"]] == [
        "under_investigation",
        "known_affected",
    ]


def test_a_decision_stands_beside_its_answer(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    run("import", lists("first.csv", f"{ROW},V3.2.7"))
    run("advisories", "csaf")
    decide(run, "known_affected")
    capsys.readouterr()
    run("advisories", "--asset", "Q")
    assert "by anna: known_affected, port 102 is closed" in capsys.readouterr().out
    run("advisories")
    assert "1 of 1" in capsys.readouterr().out


def test_a_version_that_no_advisory_speaks_of_is_unknown_and_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps(document([(BRANCHES[0][0], "V3.2.7", [])])))
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), load(tmp_path)).answer == "affected"
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.6"), load(tmp_path)).answer == "unknown"
    ends = document([(BRANCHES[0][0], "< V3.2.7", [])], status="last_affected")
    (tmp_path / "1.json").write_text(json.dumps(ends))
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.3"), load(tmp_path)).answer == "unknown"


def related() -> dict[str, Any]:
    told = document([("S7 firmware", "< V3.2.17", []), ("CPU 315-2 PN/DP", "", ["6ES7315-2EH14-0AB0"])])
    told["product_tree"]["relationships"] = [
        {
            "category": "installed_on",
            "full_product_name": {"name": "S7 firmware on CPU 315-2 PN/DP", "product_id": "R0"},
            "product_reference": "P0",
            "relates_to_product_reference": "P1",
        }
    ]
    told["product_tree"]["product_groups"] = [{"group_id": "G0", "product_ids": ["R0", "P0"]}]
    told["vulnerabilities"][0]["product_status"] = {"known_affected": ["R0"]}
    told["vulnerabilities"][0]["remediations"] = [
        {"category": "vendor_fix", "details": "Update to V3.2.17", "group_ids": ["G0"]}
    ]
    return told


def test_a_product_on_another_is_found_by_either_and_its_fix_by_its_group(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps(related()))
    [advice] = advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), load(tmp_path)).advices
    assert (advice.answer, advice.fix, advice.patch) == ("affected", "Update to V3.2.17", True)


def test_a_zip_as_a_repository_is_handed_out_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "CSAF-develop.ZIP", "w") as archive:
        archive.writestr("CSAF-develop/OT/1.JSON", json.dumps(document(BRANCHES)))
        archive.writestr("CSAF-develop/README.md", "hello")
    assert load(tmp_path).documents == load(tmp_path / "CSAF-develop.ZIP").documents == 1
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04 torn")
    assert [line for line in load(tmp_path).told if "torn.zip cannot be read" in line]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("[]", "expected `object`, got `array`"),
        ("x", "it is no JSON"),
        ('{"a": 1}', "the field `document` is missing"),
        ('{"document": {"tracking": {}}}', "the field `document.tracking.id` is missing"),
        ('{"document": {"tracking": {"id": 4}}}', "at document.tracking.id: expected `str`, got `int`"),
        ('{"document": {"csaf_version": "1.2", "tracking": {"id": "A"}}}', "document.csaf_version is '1.2'"),
    ],
)
def test_what_is_no_advisory_is_told_with_its_file_and_field(tmp_path: Path, broken: str, why: str) -> None:
    (tmp_path / "bad.json").write_text(broken)
    with pytest.raises(UsageError) as told:
        load(tmp_path)
    assert f"bad.json is no CSAF 2.0 advisory and was left out: {why}" in str(told.value)


@pytest.mark.parametrize(("said", "why"), [("zzzz", "'zzzz' is no date"), ("2999-01-01", "lies in the future")])
def test_a_date_that_cannot_be_makes_no_advisory_newer(tmp_path: Path, said: str, why: str) -> None:
    for name, when in (("a", "2024-10-01"), ("b", said)):
        told = document(BRANCHES)
        told["document"]["tracking"]["current_release_date"] = when
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    known = load(tmp_path, today=date(2026, 11, 22))
    assert (known.documents, known.newest) == (2, "2024-10-01")
    assert why in known.told[0]
    assert known.told[0].startswith("b.json: document.tracking.current_release_date")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def places(told: object, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place of a document."""
    items = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    return [here, *(place for key, value in items for place in places(value, (*here, key)))]


@settings(max_examples=40)
@given(st.data())
def test_a_document_with_anything_anywhere_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    told = related()
    *above, last = data.draw(st.sampled_from(places(told)[1:]))
    inner: Any = told
    for key in above:
        inner = inner[key]
    inner[last] = data.draw(JSON)
    folder = tmp_path_factory.mktemp("csaf")
    (folder / "0.json").write_text(json.dumps(document(BRANCHES)))
    (folder / "1.json").write_text(json.dumps(told))
    known = load(folder)
    assert known.documents == 2 or "1.json is no CSAF 2.0 advisory and was left out" in known.told[0]
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), known).answer == "affected"
