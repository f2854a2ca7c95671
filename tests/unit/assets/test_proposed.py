"""Proposed conduits: what is offered to paste is what the plant file takes, and what it refuses is not offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.assets.addresses import Places
from isthmus.assets.proposed import conduit, supervisory
from isthmus.model.zones import Zone, ZoneKind
from isthmus.plantfile import read

ZONES = [Zone(name=f"the {kind}", kind=kind) for kind in ZoneKind]
HEAD = '[plant]\nname = "Northgate Works"\npath = "acme/northgate"\n' + "".join(
    f'[[zone]]\nname = "{zone.name}"\nkind = "{zone.kind}"\n' for zone in ZONES
)


@pytest.mark.parametrize("initiator", ZONES, ids=lambda zone: str(zone.kind))
@pytest.mark.parametrize("responder", ZONES, ids=lambda zone: str(zone.kind))
def test_a_section_is_offered_exactly_where_the_plant_file_takes_it(
    tmp_path: Path, initiator: Zone, responder: Zone
) -> None:
    plain = f'[[conduit]]\nname = "one"\ninitiator = "{initiator.name}"\nresponder = "{responder.name}"\n'
    (tmp_path / "plain.toml").write_text(HEAD + plain)
    _, refused = read(tmp_path / "plain.toml")
    offered = conduit(
        Places(ZONES), name="one", initiator=initiator.name, responder=responder.name, protocols=["s7comm"], purpose=""
    )
    assert bool(offered) == (not refused and initiator != responder)
    (tmp_path / "plant.toml").write_text(HEAD + offered)
    _, mistakes = read(tmp_path / "plant.toml")
    assert list(mistakes) == []


@given(name=some.text(max_size=80), protocol=some.text(max_size=20), purpose=some.text(max_size=80))
def test_whatever_devices_call_themselves_the_section_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, protocol: str, purpose: str
) -> None:
    text = conduit(
        Places(ZONES),
        name=name,
        initiator=supervisory(Places(ZONES), "the control"),
        responder="the control",
        protocols=[protocol],
        purpose=purpose,
    )
    file = tmp_path_factory.getbasetemp() / "plant.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    plant, mistakes = read(file)
    assert plant is not None, mistakes
    [read_back] = plant.conduits
    assert read_back.purpose == "".join(sign if sign.isprintable() else " " for sign in purpose)
    assert read_back.initiator == "the supervisory"
