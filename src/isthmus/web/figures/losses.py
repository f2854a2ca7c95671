"""Where the minutes of a shift went: each loss by its name, adding up to the shift without a rest.

The ladder is ISO 22400-2's: shift, planned busy time, production time, ideal time of all pieces,
ideal time of the good ones. The elements come from the indicator alone; the stops only say how the
two elements that are stops (ADET, ADOT) fall into reasons, and what they do not explain is named so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec

from isthmus.model.plant import Plant
from isthmus.model.records.production import Indicator
from isthmus.model.states import Element, State
from isthmus.model.time import Interval
from isthmus.web import words
from isthmus.web.figures.shifts import Window
from isthmus.web.figures.stops import Stop

Tone = Literal["whole", "run", "setup", "idle", "down", "planned", "unknown"]


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ladder."""

    key: str
    """By which its events are asked for: planned, unobserved, setup, stop:TOOL, micro, slow, scrap, good."""
    name: str
    length_ns: int
    """Negative only for `slow`, when pieces came faster than the standard says."""
    left_ns: int
    """Where its bar begins, from the start of the window's bar."""
    shown_min: float
    """Its minutes, rounded so that the ladder adds up."""
    tone: Tone
    total: bool = False
    """True for a line that is what is left, not a loss."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """All losses of a window."""

    length_ns: int
    lines: tuple[Loss, ...]


class _Part(msgspec.Struct, frozen=True):
    key: str
    name: str
    length_ns: int
    tone: Tone


def ladder(plant: Plant, indicator: Indicator, window: Window, stops: Sequence[Stop]) -> Ladder:
    """The losses of a window, from its indicator and its stops."""
    element = indicator.elements
    stopped_ns = element.adet_ns + element.adot_ns
    slow_ns = element.apt_ns - element.micro_ns - indicator.ideal_ns
    outer = [_Part("planned", "Planned stops", element.outside_ns, "planned")]
    busy = [
        _Part("unobserved", "Not observed", element.unobserved_ns, "unknown"),
        *_reasons(plant, stops, window, stopped_ns),
        _Part("setup", "Set-up", element.aust_ns, "setup"),
    ]
    producing = [
        _Part("micro", "Micro-stops", element.micro_ns, "idle"),
        _Part("slow", "Slow running" if slow_ns >= 0 else "Faster than the standard", slow_ns, "idle"),
        _Part("scrap", "Scrap", indicator.ideal_ns - indicator.good_ideal_ns, "down"),
    ]
    groups = [
        ("", "Shift so far" if window.current else "Shift", outer),
        ("", "Planned busy time", busy),
        ("", "Producing", producing),
    ]
    return _add_up(groups, indicator.good_ideal_ns)


def _add_up(groups: Sequence[tuple[str, str, Sequence[_Part]]], good_ns: int) -> Ladder:
    parts = [part for _, _, inside in groups for part in inside]
    total = sum(part.length_ns for part in parts) + good_ns
    quantum = words.quantum_for(total)
    rounded = words.rounded_parts([good_ns, *(part.length_ns for part in reversed(parts))], quantum)
    shown = dict(zip((part.key for part in reversed(parts)), rounded[1:], strict=True))
    left, left_shown = total, sum(rounded)
    lines: list[Loss] = []
    for key, name, inside in groups:
        lines.append(_line(key, name, left, 0, left_shown, "run" if name == "Producing" else "whole", total=True))
        for part in inside:
            left -= part.length_ns
            left_shown -= shown[part.key]
            if part.length_ns or part.key in ("planned", "unobserved", "scrap"):
                lines.append(_line(part.key, part.name, part.length_ns, left, shown[part.key], part.tone))
    lines.append(_line("good", "Good pieces at ideal speed", good_ns, 0, left_shown, "run", total=True))
    return Ladder(length_ns=total, lines=tuple(lines))


def _line(  # noqa: PLR0913, PLR0917  one line of a table
    key: str, name: str, length: int, left: int, shown: int, tone: Tone, *, total: bool = False
) -> Loss:
    return Loss(key=key, name=name, length_ns=length, left_ns=left, shown_min=shown / 60e9, tone=tone, total=total)


def _reasons(plant: Plant, stops: Sequence[Stop], window: Window, stopped_ns: int) -> list[_Part]:
    """The stopped time by reason, longest first; the last part is what the stops do not explain."""
    found: dict[str, int] = defaultdict(int)
    tones: dict[str, Tone] = {}
    for stop in stops:
        if stop.micro or stop.element not in (Element.ADET, Element.ADOT):
            continue
        key = f"stop:{stop.reason or stop.state}"
        found[key] += in_planned_time(window, stop.start_ns, stop.end_ns)
        tones[key] = "down" if stop.state is State.DOWN else tones.get(key, "idle")
    rest = stopped_ns
    parts: list[_Part] = []
    for key, length in sorted(found.items(), key=lambda item: -item[1]):
        taken = min(length, rest)
        if taken > 0:
            parts.append(_Part(key, _reason_name(plant, key), taken, tones[key]))
            rest -= taken
    if rest > 0:
        parts.append(_Part("stop:", "Other stops", rest, "idle"))
    return parts


def in_planned_time(window: Window, start_ns: int, end_ns: int) -> int:
    """How much of a stretch lies in the window's planned busy time."""
    stretch = Interval(max(start_ns, window.start_ns), min(end_ns, window.now_ns))
    if stretch.start_ns >= stretch.end_ns:
        return 0
    parts = (stretch.overlap(planned) for planned in window.planned)
    return sum(part.length_ns for part in parts if part)


def _reason_name(plant: Plant, key: str) -> str:
    code = key.removeprefix("stop:")
    if code in plant.reasons:
        return plant.reasons[code].name
    if code in State.__members__:
        return f"{words.STATES[State(code)].capitalize()}, no reason yet"
    return code
