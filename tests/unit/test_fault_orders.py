"""Faults written on the command line: each names what is wrong with it, and the panel offers every kind."""

from __future__ import annotations

import pytest

from isthmus.model.errors import UsageError
from isthmus.run.show.disturb import KINDS, ordered
from isthmus.run.show.panel import BUTTONS


@pytest.mark.parametrize(
    ("text", "at_s", "words"),
    [
        ("drop:cnc-01@30", 30, "cnc-01: its connections are cut"),
        ("mute:paint@30.5+20", 30.5, "paint: it answers, and its values stand still"),
        ("lie:mill-04:temperature=95@1+2", 1, "mill-04: a signal is stuck (temperature=95)"),
        ("drift:cnc-01:vibration=-40@5+60", 5, "cnc-01: a signal moves away from the truth (vibration=-40)"),
        ("clock:cnc-02:-600@9", 9, "cnc-02: its clock jumps (-600)"),
        ("break:press-1:LIGHT CURTAIN@9+3", 9, "press-1: the machine itself stops (LIGHT CURTAIN)"),
    ],
)
def test_a_fault_is_ordered_by_kind_machine_and_time(text: str, at_s: float, words: str) -> None:
    happening = ordered(text)
    assert (happening.at_s, happening.words) == (at_s, words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mute", "write KIND:MACHINE@SECOND"),
        ("mut:paint@3", "no fault is called mut; did you mean mute?"),
        ("mute:pant@3", "no machine is called pant; did you mean paint?"),
        ("mute:paint:loud@3", "write mute:paint@SECOND"),
        ("lie:paint@3", "write lie:paint:SIGNAL=VALUE@SECOND"),
        ("lie:paint:temprature=3@3", "Did you mean temperature?"),
        ("drift:paint:temperature=much@3", "much is no number"),
        ("clock:pack:600@3", "tells no times"),
    ],
)
def test_a_fault_that_cannot_be_ordered_says_why(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        ordered(text)
    assert told in str(caught.value)


def test_the_panel_offers_every_kind_of_fault() -> None:
    names = {"restart": "kill-cnc", "clock": "clock-ahead"}
    for kind in KINDS:
        assert any(name.startswith(names.get(kind, kind)) for name in BUTTONS), kind
