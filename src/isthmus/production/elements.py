"""Where a machine's time went, by ISO 22400-2, 5.4: the one function that every figure stands on.

Inside planned busy time (PBT, from the calendar) each moment belongs to exactly one element:

    RUN                                    APT    actual production time
    SETUP                                  AUST   actual unit set-up time, or outside by policy
    DOWN, IDLE, BLOCKED, STARVED, OFF      ADET   actual unit delay time, while an order runs
                                           ADOT   actual unit down time, while none does
    PLANNED, and a reason that is planned  outside PBT
    UNKNOWN                                unobserved; never APT

A machine may have another mapping (`StateRules.elements`), and a reason may name an element itself, but
nothing makes production of standing still. A stop shorter than the policy's limit is lost speed: its time
is APT and told apart as `micro_ns`; OEE is the same with and without a limit. Everything else lies outside.
Intervals are UTC and half-open; the elements add up to the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from isthmus.model.plant import KpiPolicy, Reason
from isthmus.model.records.production import Elements
from isthmus.model.states import WITH_ORDER, WITHOUT_ORDER, Element, State
from isthmus.model.time import NS_PER_S, Interval
from isthmus.production.reasons import Piece, Saying, explain, reason_of
from isthmus.production.spans import Span, stretches


class Judgement(NamedTuple):
    """What the plant has decided: its policy, its reasons, the reason behind each stop code, a machine's own mapping."""

    policy: KpiPolicy
    reasons: Mapping[str, Reason]
    by_code: Mapping[str, str] = {}
    by_state: Mapping[State, Element] = {}


class Part(NamedTuple):
    """A stretch and the element it would belong to if all its time were planned busy time."""

    start_ns: int
    end_ns: int
    element: Element
    micro: bool = False


def elements(
    spans: Sequence[Span],
    planned: Sequence[Interval],
    window: Interval,
    sayings: Sequence[Saying],
    judgement: Judgement,
) -> Elements:
    """The elements of `window`, which `spans` (contiguous, in order) cover where anything is known.

    `planned` are the calendar's intervals, in order and free of overlaps. What no span covers is
    unobserved. A stop is measured whole, also where it began before the window.
    """
    ns = dict.fromkeys(Element, 0)
    micro = 0
    for part in parts(_whole(spans, window), sayings, judgement):
        start, end = max(part.start_ns, window.start_ns), min(part.end_ns, window.end_ns)
        if start >= end:
            continue
        busy = planned_ns(planned, Interval(start, end))
        ns[part.element] += busy
        ns[Element.OUTSIDE] += end - start - busy
        micro += busy if part.micro else 0
    return Elements(**{f"{element.value.lower()}_ns": value for element, value in ns.items()}, micro_ns=micro)


def parts(spans: Sequence[Span], sayings: Sequence[Saying], judgement: Judgement) -> Iterator[Part]:
    """Spans as parts with their elements, in order: what a page shows when a figure is opened."""
    limit_ns = round(judgement.policy.micro_stop_s * NS_PER_S)
    for stretch in stretches(list(spans)):
        if stretch[0].state is State.RUN:
            yield Part(stretch[0].start_ns, stretch[0].end_ns, Element.APT)
            continue
        short = stretch[-1].end_ns - stretch[0].start_ns < limit_ns
        for piece in explain(stretch, sayings, judgement.by_code):
            element = element_of(piece, judgement)
            micro = short and element in (Element.ADET, Element.ADOT)
            yield Part(piece.start_ns, piece.end_ns, Element.APT if micro else element, micro)


def element_of(piece: Piece, judgement: Judgement) -> Element:
    """The element of a piece of a stop: by its reason, else by the machine's own mapping, else by the usual one."""
    reason = reason_of(piece, judgement.reasons)
    if reason is not None and reason.planned:
        return Element.OUTSIDE
    usual = WITH_ORDER if piece.order else WITHOUT_ORDER
    element = judgement.by_state.get(piece.state, usual[piece.state])
    if reason is not None and reason.element is not None and reason.element is not Element.APT:
        element = reason.element
    if element is Element.AUST and not judgement.policy.setup_in_planned_time:
        return Element.OUTSIDE
    return element


def planned_ns(planned: Sequence[Interval], stretch: Interval) -> int:
    """How much of a stretch is planned busy time by the calendar, ns."""
    shared = (one.overlap(stretch) for one in planned)
    return sum(one.length_ns for one in shared if one is not None)


def pbt_ns(found: Elements) -> int:
    """Planned busy time of a window, ns: all of it but what lies outside (ISO 22400-2, 5.4)."""
    return found.apt_ns + found.aust_ns + found.adet_ns + found.adot_ns + found.unobserved_ns


def add(one: Elements, other: Elements) -> Elements:
    """The elements of two windows that do not overlap, as those of both."""
    return Elements(**{name: getattr(one, name) + getattr(other, name) for name in Elements.__struct_fields__})


def _whole(spans: Sequence[Span], window: Interval) -> list[Span]:
    """The spans, with what they leave open at either end of the window as UNKNOWN."""
    if not spans:
        return [Span(window.start_ns, window.end_ns, State.UNKNOWN)]
    before = Span(window.start_ns, spans[0].start_ns, State.UNKNOWN)
    after = Span(spans[-1].end_ns, window.end_ns, State.UNKNOWN)
    return [span for span in (before, *spans, after) if span.start_ns < span.end_ns]
