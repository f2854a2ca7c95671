"""Affected, not affected, unknown, no data: order number first, and never "not affected" by a guess."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sayings import PLANT, said

from isthmus.assets.addresses import Places
from isthmus.assets.advisories import Matcher, advise, decisions
from isthmus.assets.csaf import Library, load
from isthmus.assets.record import record
from isthmus.assets.vex import STATUSES, vex
from isthmus.model.errors import UsageError
from isthmus.model.records.assets import AssetDecided, AssetKnown
from isthmus.plantfile import read

BRANCHES = [
    ("SIMATIC S7-300 CPU 315-2 PN/DP (6ES7315-2EH14-0AB0)", "vers:all/<V3.2.17", []),
    ("SCALANCE X212-2LD (6GK5 212-2BB00-2AA4)", "< V5.5", []),
    ("SIMATIC S7-1200 CPU family", "< V4.5", []),
    ("SIMATIC with helper", "all", ["6ED1052-xxx08-0BA1"]),
]


def document(
    products: list[tuple[str, str, list[str]]], status: str = "known_affected", fix: str = "mitigation"
) -> dict[str, Any]:
    branches = [
        {
            "category": "product_name",
            "name": name,
            "branches": [
                {
                    "category": "product_version_range",
                    "name": version,
                    "product": {
                        "product_id": f"P{index}",
                        "name": name,
                        "product_identification_helper": {"model_numbers": numbers},
                    },
                }
            ],
        }
        for index, (name, version, numbers) in enumerate(products)
    ]
    ids = [f"P{index}" for index in range(len(products))]
    return {
        "document": {"title": "T", "tracking": {"id": "ICSA-1", "current_release_date": "2024-10-01T00:00:00Z"}},
        "product_tree": {"branches": [{"category": "vendor", "name": "Siemens", "branches": branches}]},
        "vulnerabilities": [
            {
                "cve": "CVE-2020-1234",
                "product_status": {status: ids},
                "scores": [{"cvss_v3": {"baseScore": 7.5}, "products": ids}],
                "remediations": [{"category": fix, "details": "Close port 102", "product_ids": ids}],
            }
        ],
    }


def library(folder: Path, *documents: dict[str, Any]) -> Library:
    for index, each in enumerate(documents):
        (folder / f"{index}.json").write_text(json.dumps(each))
    return load(folder)


def asset(model: str, firmware: str = "", maker: str = "Siemens AG", card: str = "") -> AssetKnown:
    return record(PLANT, [said("10.0.0.1", maker=maker, model=model, firmware=firmware, card=card)], [], Places())[0]


def test_the_order_number_decides_and_the_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    told = advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), known)
    assert (told.answer, told.newest, told.advices[0].certain) == ("affected", "2024-10-01", True)
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.17"), known).answer == "not affected"
    assert advise(asset("6ES7 315-2EH14-0AB0"), known).answer == "unknown"


def test_a_family_is_matched_with_less_certainty_and_never_clears(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    told = advise(asset("6ES7 211-1BE31-0XB0", "V3.0"), known)
    assert (told.answer, told.advices[0].certain) == ("affected", False)
    assert advise(asset("6ES7 211-1BE31-0XB0", "V4.6"), known).answer == "unknown"


def test_a_longer_name_is_another_product(tmp_path: Path) -> None:
    assert advise(asset("SCALANCE X212-2", "V4.02"), library(tmp_path, document(BRANCHES))).answer == "no data"


def test_letters_that_stand_for_any_are_matched(tmp_path: Path) -> None:
    assert advise(asset("6ED1052-1MD08-0BA1", "1.0"), library(tmp_path, document(BRANCHES))).answer == "affected"


def test_no_library_and_no_model_are_no_data(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), None).answer == "no data"
    assert advise(asset("", "V3.2.7"), known).answer == "no data"
    assert advise(asset("", card="Siemens AG", maker=""), known).answer == "no data"


def test_another_maker_s_product_of_the_same_name_is_not_matched(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7", maker="Omron"), known).answer == "no data"


def test_without_a_patch_a_conduit_is_proposed(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    told = advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), known)
    (tmp_path / "plant.toml").write_text(
        f'[plant]\nname = "Northgate Works"\npath = "acme/northgate"\n\n{told.conduit}'
    )
    plant, mistakes = read(tmp_path / "plant.toml")
    assert mistakes == []
    assert plant is not None
    [conduit] = plant.conduits
    assert (conduit.name, conduit.initiator, conduit.responder) == (
        "6es7-315-2eh14-0ab0-10-0-0-1",
        "supervisory",
        "control",
    )
    assert "compensates ICSA-1" in conduit.purpose
    mended = library(tmp_path, document(BRANCHES, fix="vendor_fix"))
    assert advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), mended).conduit == ""


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_an_affected_device_is_never_told_that_it_is_not(have: list[int], limit: list[int]) -> None:
    dots = ".".join
    row = load_rows(document([(BRANCHES[0][0], f"< V{dots(map(str, limit))}", [])]))
    told = advise(asset("6ES7 315-2EH14-0AB0", f"V{dots(map(str, have))}"), row)
    length = max(len(have), len(limit))
    if have + [0] * (length - len(have)) < limit + [0] * (length - len(limit)):
        assert told.answer in ("affected", "unknown")


def load_rows(one: dict[str, Any]) -> Library:
    from isthmus.assets.csaf import _decoded, _rows  # noqa: PLC0415  a law over documents, without files

    rows, newest = _rows(_decoded(json.dumps(one).encode()))
    return Library(rows, 1, newest, ())


def test_what_is_no_advisory_is_told_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2")
    (tmp_path / "b.json").write_text('{"document": {}}')
    with pytest.raises(UsageError, match="no CSAF advisory"):
        load(tmp_path)
    known = library(tmp_path, document(BRANCHES))
    assert len(known.told) == 2


def test_an_archive_that_breaks_off_is_read_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text(json.dumps(document(BRANCHES)))
    whole = tmp_path / "all.tar.gz"
    with tarfile.open(whole, "w:gz") as archive:
        archive.add(tmp_path / "0.json", "0.json")
    (tmp_path / "0.json").unlink()
    assert load(tmp_path).documents == 1
    whole.write_bytes(whole.read_bytes()[:60])
    with pytest.raises(UsageError, match="cannot be read to its end"):
        load(tmp_path)


def test_vex_tells_only_what_was_decided(tmp_path: Path) -> None:
    known = library(tmp_path, document(BRANCHES))
    one = asset("6ES7 315-2EH14-0AB0", "V3.2.7")
    told = {one.path.rpartition("/")[2]: advise(one, known)}
    with pytest.raises(ValueError, match="decided"):
        vex(PLANT, "North", [one], told, {}, 0)
    fields = {"advisory": "ICSA-1", "product_id": "P0", "status": "known_not_affected"}
    said_so = AssetDecided(
        path=one.path, time_ns=1, decision="advisory", fields=fields, reason="port closed", by="anna", said_ns=1
    )
    made = vex(PLANT, "North", [one], told, decisions([said_so], [one]), 0)
    [found] = made["vulnerabilities"]
    assert made["document"]["category"] == "csaf_vex"
    assert found["cve"] == "CVE-2020-1234"
    assert list(found["product_status"]) == ["known_not_affected"]
    assert found["threats"][0]["details"] == "port closed"


@pytest.mark.peer("csaf-vex")
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("cve", ["CVE-2020-12345", "CVE-2020-1", ""])
def test_vex_is_what_the_standard_says(tmp_path: Path, status: str, cve: str) -> None:
    """By another's verifier: the CSAF 2.0 schema, the tests of the VEX profile, the data types."""
    told = document(BRANCHES)
    told["vulnerabilities"][0]["cve"] = cve
    known = library(tmp_path, told)
    one = asset("6ES7 315-2EH14-0AB0", "V3.2.7")
    answer = {one.path.rpartition("/")[2]: advise(one, known)}
    fields = {"advisory": "ICSA-1", "product_id": "P0", "status": status}
    said_so = AssetDecided(
        path=one.path, time_ns=1, decision="advisory", fields=fields, reason="port closed", by="anna", said_ns=1
    )
    now_ns = 1_767_225_600_123_456_789
    path = tmp_path / "vex-acme-leeds.json"
    path.write_text(json.dumps(vex("acme/leeds", "Leeds Works", [one], answer, decisions([said_so], [one]), now_ns)))
    verifier = Path(__file__).resolve().parents[3] / ".peers" / "csaf-vex" / "bin" / "csaf-vex"
    done = subprocess.run(
        (verifier, "verify", "--verbose", path), capture_output=True, text=True, timeout=50, check=False
    )
    assert "Verification PASSED" in done.stdout, done.stdout + done.stderr
    assert " 0 failed" in done.stdout


@pytest.mark.data("advisories")
def test_real_advisories_find_the_real_devices(data: Path) -> None:
    known = load(data / "advisories")
    matcher = Matcher(known)
    told = advise(asset("6ES7 315-2EH14-0AB0", "V3.2.7"), known, matcher)
    assert told.answer == "affected"
    assert all(one.certain for one in told.advices)
    assert advise(asset("6GK5 212-2BB00-2AA3", "V4.02"), known, matcher).answer == "affected"
    enbt = advise(asset("1756-ENBT/A", "4.7", maker="Rockwell Automation/Allen-Bradley"), known, matcher)
    assert {one.advisory for one in enbt.advices} == {"ICSA-18-310-02"}
