"""Drawings made on the server, as SVG without a style of its own: state strips, bars, axes.

Lengths along time are per cents of the drawing's width, so hatches and letters keep their shape at
every width. Colours come from the style sheet by class; each state has also its own height, hatch
or letter, so a strip reads in grey and in print.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

from isthmus.model.states import State
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, to_datetime
from isthmus.web import words
from isthmus.web.figures.shifts import Window
from isthmus.web.figures.states import Stretch
from isthmus.web.house import House

_HEIGHT: Final = {
    State.RUN: 0.50,
    State.SETUP: 0.66,
    State.IDLE: 0.34,
    State.BLOCKED: 0.34,
    State.STARVED: 0.34,
    State.DOWN: 0.94,
    State.PLANNED: 0.50,
    State.OFF: 0.34,
    State.UNKNOWN: 0.94,
}
_PATTERN: Final = {State.PLANNED: "planned", State.UNKNOWN: "no-data"}
_LETTER: Final = {State.BLOCKED: "B", State.STARVED: "S"}
_LETTER_SHARE = 1.6
_LEAST_SHARE = 0.25
_WEIGHT: Final = {State.DOWN: 2, State.UNKNOWN: 2}


def thin(stretches: Sequence[Stretch], window: Window, buckets: int) -> list[Stretch]:
    """At most `buckets` stretches that look like all of them.

    Nothing changes while there are few. Else each bucket shows the state that fills most of it; down
    and no data weigh twice, so that a short one is not lost beside a machine that cycles.
    """
    if len(stretches) <= buckets:
        return list(stretches)
    width = max(1, (window.end_ns - window.start_ns) // buckets)
    shares: dict[int, dict[State, int]] = defaultdict(lambda: defaultdict(int))
    for stretch in stretches:
        at = stretch.start_ns
        while at < stretch.end_ns:
            bucket = (at - window.start_ns) // width
            border = min(stretch.end_ns, window.start_ns + (bucket + 1) * width)
            shares[bucket][stretch.state] += (border - at) * _WEIGHT.get(stretch.state, 1)
            at = border
    out: list[Stretch] = []
    for bucket, by_state in sorted(shares.items()):
        state = max(by_state, key=lambda one: by_state[one])
        start = window.start_ns + bucket * width
        end = min(start + width, window.now_ns)
        if out and out[-1].state is state:
            start = out.pop().start_ns
        out.append(Stretch(start_ns=start, end_ns=end, since_ns=start, state=state))
    return out


def strip(house: House, stretches: Sequence[Stretch], window: Window, *, height: int = 26, link: str = "") -> Markup:
    """A shift's states; with `link`, each stretch leads to its samples."""
    whole = window.end_ns - window.start_ns
    foot = height - 1.5
    parts = []
    for stretch in thin(stretches, window, 240 if height < 40 else 600):  # noqa: PLR2004  a small or a large strip
        x = (stretch.start_ns - window.start_ns) / whole * 100
        share = (stretch.end_ns - stretch.start_ns) / whole * 100
        tall = round(_HEIGHT[stretch.state] * foot, 1)
        rect = _rect(stretch.state, x, max(share, _LEAST_SHARE), foot - tall, tall)
        letter = _LETTER.get(stretch.state, "") if share > _LETTER_SHARE else ""
        if letter:
            rect += (
                f'<text class="letter" x="{x + share / 2:.2f}%" y="{foot - 2:.0f}" text-anchor="middle">{letter}</text>'
            )
        if link:
            said = f"{house.local.time(stretch.start_ns)} to {house.local.time(stretch.end_ns)}, {words.STATES[stretch.state]}"
            address = escape(f"{link}from={stretch.start_ns}&to={stretch.end_ns}#samples")
            rect = f'<a href="{address}" tabindex="-1">{rect}<title>{escape(said)}</title></a>'
        parts.append(rect)
    now = (window.now_ns - window.start_ns) / whole * 100
    mark = f'<line class="now" x1="{now:.2f}%" x2="{now:.2f}%" y1="0" y2="{height}"/>' if window.current else ""
    return Markup(  # noqa: S704  numbers and escaped words
        f'<svg class="strip" height="{height}" role="img" aria-label="{escape(in_words(stretches))}">'
        f'<line class="ground" x1="0" x2="100%" y1="{foot}" y2="{foot}"/>{"".join(parts)}{mark}</svg>'
    )


def in_words(stretches: Sequence[Stretch]) -> str:
    """How long in which state, longest first: "running 2 h 14 min, down 38 min"."""
    sums: dict[State, int] = defaultdict(int)
    for stretch in stretches:
        sums[stretch.state] += stretch.length_ns
    order = sorted(sums, key=lambda state: -sums[state])
    return ", ".join(f"{words.STATES[state]} {words.duration(sums[state])}" for state in order) or "nothing yet"


def hours(house: House, window: Window) -> Markup:
    """The time axis below a large strip."""
    whole = window.end_ns - window.start_ns
    step = NS_PER_HOUR if whole > 2 * NS_PER_HOUR else 15 * NS_PER_MINUTE if whole > NS_PER_HOUR else 5 * NS_PER_MINUTE
    offset = to_datetime(window.start_ns, house.site.plant.zone).utcoffset()
    shift_ns = int(offset.total_seconds()) * 1_000_000_000 if offset else 0
    at = -(-(window.start_ns + shift_ns) // step) * step - shift_ns
    marks = []
    while at <= window.end_ns:
        x = (at - window.start_ns) / whole * 100
        anchor = "start" if x < 1 else "end" if x > 99 else "middle"  # noqa: PLR2004  per cents
        text = house.local.time(at)
        marks.append(f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="4"/>')
        marks.append(f'<text class="hour" x="{x:.2f}%" y="16" text-anchor="{anchor}">{text}</text>')
        at += step
    return Markup(f'<svg class="axis" height="20" aria-hidden="true">{"".join(marks)}</svg>')  # noqa: S704  numbers


def progress(share: float | None, expected: float | None) -> Markup:
    """How much is made, and a mark where it would be by plan."""
    if share is None:
        return Markup("")
    plan = ""
    if expected is not None:
        x = min(expected, 1.0) * 100
        plan = f'<rect class="plan" x="{x:.2f}%" y="0" width="2" height="12" transform="translate(-1 0)"/>'
    said = f"{words.percent(share)} made" + (
        f", {words.percent(expected)} planned by now" if expected is not None else ""
    )
    return Markup(  # noqa: S704  numbers
        f'<svg class="bar" height="12" role="img" aria-label="{said}"><title>{said}</title>'
        '<rect class="track" x="0" y="3" width="100%" height="6" rx="3"/>'
        f'<rect class="s-RUN" x="0" y="3" width="{share * 100:.2f}%" height="6" rx="3"/>{plan}</svg>'
    )


def three(shares: Sequence[float | None], low: float = 0.65) -> Markup:
    """Availability, effectiveness and quality as three short bars; what is low is marked."""
    names = ("availability", "effectiveness", "quality")
    said = ", ".join(f"{name} {words.percent(share)}" for name, share in zip(names, shares, strict=True))
    rows = []
    for place, share in enumerate(shares):
        y = place * 6
        rows.append(f'<rect class="track" x="0" y="{y}" width="44" height="4" rx="2"/>')
        if share is None:
            rows.append(f'<rect x="0" y="{y}" width="44" height="4" fill="url(#no-data)"/>')
        else:
            kind = "s-DOWN" if share < low else "s-RUN"
            rows.append(f'<rect class="{kind}" x="0" y="{y}" width="{min(share, 1) * 44:.1f}" height="4" rx="2"/>')
    return Markup(  # noqa: S704  numbers
        f'<svg class="three" width="44" height="16" role="img" aria-label="{said}"><title>{said}</title>{"".join(rows)}</svg>'
    )


def loss_bar(left_ns: int, length_ns: int, whole_ns: int, tone: str) -> Markup:
    """One bar of the ladder of losses."""
    start = min(left_ns, left_ns + length_ns)
    x, share = max(0.0, start / whole_ns * 100), min(100.0, abs(length_ns) / whole_ns * 100)
    if length_ns:
        share = max(share, 0.6)
    fill = ' fill="url(#no-data)"' if tone == "unknown" else ' fill="url(#planned)"' if tone == "planned" else ""
    return Markup(  # noqa: S704  numbers and our own words
        '<svg class="loss" height="16" aria-hidden="true"><rect class="track" x="0" y="0" width="100%" height="16" rx="2"/>'
        f'<rect class="t-{tone}" x="{min(x, 99.4):.2f}%" y="0" width="{share:.2f}%" height="16"{fill}/></svg>'
    )


def _rect(state: State, x: float, share: float, y: float, tall: float) -> str:
    fill = f' fill="url(#{_PATTERN[state]})"' if state in _PATTERN else ""
    return f'<rect class="s-{state}" x="{x:.2f}%" y="{y:.1f}" width="{share:.2f}%" height="{tall}"{fill}/>'
