"""One record per device, however and how often it was said."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from sayings import PLANT, flow, said

from isthmus.assets.addresses import Places
from isthmus.assets.decided import with_decisions
from isthmus.assets.record import record
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetDecided, AssetKnown, AssetSeen
from isthmus.model.zones import Zone, ZoneKind

NOWHERE = Places()
addresses = st.sampled_from(["", "10.0.0.1", "10.0.0.2", "10.0.0.3"])
statements = st.builds(
    said,
    addresses,
    at=st.integers(1, 40),
    source=st.sampled_from(["monday", "tuesday"]),
    method=st.sampled_from(["CIP Identity object", "traffic", "ARP", "DHCP host name"]),
    how=st.sampled_from(["observed", "queried", "declared"]),
    mac=st.sampled_from(["", "00:00:bc:00:00:01", "00:19:07:00:00:02"]),
    child=st.sampled_from(["", "", "slot 1", "slot 2"]),
    maker=st.sampled_from(["", "Rockwell Automation", "Allen-Bradley", "Siemens AG", "Omron"]),
    model=st.sampled_from(["", "1756-ENBT/A", "6ES7 315-2EH14-0AB0"]),
    serial=st.sampled_from(["", "0051aec3", "0000ad77", "0"]),
    firmware=st.sampled_from(["", "4.3", "4.7"]),
    name=st.sampled_from(["", "press-1"]),
)


def judged(seen: list[AssetSeen], places: Places = NOWHERE) -> list[AssetKnown]:
    return record(PLANT, seen, [], places)


@given(st.lists(statements, max_size=14), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_identical_record(seen: list[AssetSeen], chance: random.Random) -> None:
    again = [*seen, *chance.sample(seen, len(seen) // 2)]
    chance.shuffle(again)
    assert judged(again) == judged(seen)


@given(st.lists(statements, max_size=14))
def test_no_statement_is_lost_and_none_stands_in_two_devices(seen: list[AssetSeen]) -> None:
    told = {value for one in seen for value in (one.fields.get("firmware"), one.fields.get("name")) if value}
    found = judged(seen)
    assert told == {field.value for one in found for field in one.fields if field.name in ("firmware", "name")}
    assert len({one.path for one in found}) == len(found)


@given(st.lists(statements, max_size=14))
def test_two_serials_of_one_maker_never_become_one_device(seen: list[AssetSeen]) -> None:
    for one in judged(seen):
        serials = {field.value for field in one.all("serial") if field.value != "0"}
        assert len(serials) <= 1


def test_a_device_that_moves_stays_one_device() -> None:
    found = judged(
        [
            said("10.0.0.5", at=1, maker="Rockwell Automation", serial="0051aec3", firmware="4.3"),
            said("10.0.0.9", at=9, maker="Allen-Bradley", serial="0051AEC3", firmware="4.7"),
        ]
    )
    assert len(found) == 1
    assert [field.value for field in found[0].all("address")] == ["10.0.0.9", "10.0.0.5"]
    assert found[0].best("firmware") == "4.7"


def test_thirty_devices_behind_one_router_are_thirty_devices() -> None:
    router = "00:19:07:24:3c:ca"
    seen = [said(f"10.1.1.{n}", mac=router, method="BACnet", maker="JCI", model="NAE") for n in range(30)]
    seen.append(said("", mac=router, method="CDP", maker="Cisco", model="WS-C3560"))
    found = judged(seen)
    assert len(found) == 31
    assert [one.best("maker") for one in found if one.best("model") == "WS-C3560"] == ["Cisco"]


def test_a_name_without_an_address_joins_the_device_that_owns_the_card() -> None:
    mine = "00:e0:62:60:35:d0"
    found = judged(
        [
            said("10.0.0.4", mac=mine, method="ARP"),
            said("", mac=mine, method="DHCP host name", name="KoyoDL405"),
        ]
    )
    assert [(one.best("address"), one.best("name")) for one in found] == [("10.0.0.4", "KoyoDL405")]


def test_modules_stand_below_the_device_that_owns_the_address_and_move_with_it() -> None:
    seen = []
    for at, address in ((1, "10.0.0.125"), (50, "10.0.0.120")):
        seen += [
            said(address, at=at, maker="Rockwell", serial="0051aec3", model="1756-ENBT/A"),
            said(address, at=at + 1, child="slot 0", maker="Rockwell", serial="0051823f", model="1756-L61/B"),
            said(address, at=at + 2, child="slot 2", maker="ProSoft Technology", serial="0000ad77", model="MVI56"),
        ]
    found = judged(seen)
    top = [one for one in found if not one.parent]
    assert len(found) == 3
    assert [one.best("serial") for one in top] == ["0051aec3"]
    assert {one.parent for one in found if one.parent} == {top[0].path.rpartition("/")[2]}


def test_the_card_s_maker_is_never_the_device_s() -> None:
    found = judged([said("10.1.1.164", mac="00:19:07:24:3c:ca", method="ARP", card="Cisco Systems, Inc")])
    assert found[0].best("maker") == ""
    assert found[0].best("card") == "Cisco Systems, Inc"


def test_a_filler_is_no_value() -> None:
    found = judged([said("10.0.0.1", model="AAAAAAAA", serial="00000000", name="unknown", maker="Omron")])
    assert {field.name for field in found[0].fields} == {"address", "maker"}


def test_the_same_address_in_two_zones_is_two_devices() -> None:
    seen = [said("10.0.0.1", zone="cell 1", name="a"), said("10.0.0.1", zone="cell 2", name="b")]
    assert len(judged(seen)) == 2


def test_an_internet_server_is_no_asset_and_a_declared_range_is() -> None:
    seen = [said("141.81.0.10", method="traffic"), said("10.0.0.1", method="traffic")]
    assert [one.best("address") for one in judged(seen)] == ["10.0.0.1"]
    assert len(judged(seen, Places(internal=["141.81.0.0/24"]))) == 2


def test_a_role_comes_with_its_reason() -> None:
    flows = [flow("10.0.0.9", "10.0.0.1"), flow("10.0.0.8", "10.0.0.2", "tristation", transport="udp", port=1502)]
    found = record(PLANT, [said(f"10.0.0.{n}", method="traffic") for n in (1, 2, 8, 9)], flows, NOWHERE)
    roles = {one.best("address"): (one.role, one.role_why) for one in found}
    assert roles["10.0.0.1"] == ("controller", "answers modbus")
    assert roles["10.0.0.2"] == ("safety", "answers the safety protocol tristation")
    assert roles["10.0.0.9"][0] == "hmi"


def test_what_a_person_says_stands_first_and_survives_a_better_key() -> None:
    before = judged([said("10.0.0.1", name="press-1")])[0]
    decided = AssetDecided(
        path=before.path, time_ns=5, decision="set", fields={"owner": "Line 2"}, reason="walk", by="anna", said_ns=5
    )
    later = judged([said("10.0.0.1", name="press-1"), said("10.0.0.1", maker="Siemens", serial="SC-1234")])
    assert later[0].path != before.path
    assert with_decisions(later, [decided])[0].best("owner") == "Line 2"


def test_the_zone_comes_from_the_narrowest_network() -> None:
    zones = [
        Zone(name="control", kind=ZoneKind.CONTROL, networks=("10.0.0.0/8",)),
        Zone(name="safety", kind=ZoneKind.SAFETY, networks=("10.0.9.0/24",)),
    ]
    found = judged([said("10.0.9.4", name="sis")], Places(zones))
    assert found[0].zone == "safety"
    assert digest(found[0].keys[0]) == found[0].path.rpartition("/")[2]
