"""The compiled-in list: every frame written down once more, so that none is added or changed unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from devices import aimed, approved
from hypothesis import given
from hypothesis import strategies as st

from isthmus.edge.identify.frames import Frame, Number, Size, Text
from isthmus.edge.identify.protocols import askings
from isthmus.edge.identify.rehearsal import rehearse

LIST = Path(__file__).with_name("frames.txt")
FRAMES = [(name, frame) for name, asking in sorted(askings().items()) for frame in asking.FRAMES]


def listed() -> str:
    """Each request as the dry run prints it."""
    more: dict[str, dict[str, Any]] = {"ethernet-ip": {"slots": (3,)}, "snmp": {"community": "public"}}
    lines = []
    for name in sorted(askings()):
        (target,) = aimed(approved(1, name, **more.get(name, {})))
        lines += [f"{name} | {one.name} | {one.clause}\n    {one.hex}" for one in rehearse(target)]
    return "\n".join(lines) + "\n"


def test_the_list_is_as_it_was_reviewed() -> None:
    """Whoever adds a frame adds it to frames.txt too, where a reviewer sees its bytes and its clause."""
    assert listed() == LIST.read_text()


@pytest.mark.parametrize(("name", "frame"), FRAMES)
def test_a_frame_knows_itself_and_no_other(name: str, frame: Frame) -> None:
    values: dict[str, int | bytes] = {}
    for part in frame.parts:
        if isinstance(part, Number):
            values[part.name] = part.least
        elif isinstance(part, Text):
            values[part.name] = b"opc.tcp://h:1/"[: part.most]
    data = frame.fill(values)
    assert frame.fits(data)
    assert [other for _, other in FRAMES if other.fits(data)] == [frame]
    assert name in askings()


@given(st.sampled_from(FRAMES), st.data())
def test_a_frame_with_another_byte_in_it_is_not_on_the_list(named: tuple[str, Frame], data: st.DataObject) -> None:
    _, frame = named
    parts = [part for part in frame.parts if isinstance(part, bytes)]
    part = data.draw(st.sampled_from(parts))
    at = data.draw(st.integers(0, len(part) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != part[at]))
    changed = part[:at] + bytes((other,)) + part[at + 1 :]
    index = next(number for number, each in enumerate(frame.parts) if each is part)
    forged = frame._replace(parts=(*frame.parts[:index], changed, *frame.parts[index + 1 :]))
    values: dict[str, int | bytes] = {
        each.name: each.least if isinstance(each, Number) else b"x"
        for each in frame.parts
        if isinstance(each, (Number, Text))
    }
    assert not frame.fits(forged.fill(values))


def test_a_value_that_does_not_fit_its_place_is_refused() -> None:
    frame = Frame("x", "", (b"\1", Number("slot", 1, "big", 0, 31), Text("name", 4, 1), Size(1, "big")))
    assert frame.fill({"slot": 31, "name": b"abcd"}) == b"\1\x1f\4abcd\x08"
    wrong: list[dict[str, int | bytes]] = [
        {"slot": 32, "name": b""},
        {"slot": 1, "name": b"abcde"},
        {"slot": b"", "name": b""},
    ]
    for values in wrong:
        with pytest.raises(ValueError, match="does not fit its place"):
            frame.fill(values)
    assert not frame.fits(b"\1\x20\1a\5")
    assert not frame.fits(b"\1\x01\2a\5")
    assert not frame.fits(b"\1\x01\1a\6")
