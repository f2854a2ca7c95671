"""Machine states, and which ISO 22400-2 time element each one is spent in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What a machine is doing. UNKNOWN is what loss of communication means; it is never RUN."""

    RUN = "RUN"
    IDLE = "IDLE"
    SETUP = "SETUP"
    DOWN = "DOWN"
    BLOCKED = "BLOCKED"
    STARVED = "STARVED"
    PLANNED = "PLANNED"
    OFF = "OFF"
    UNKNOWN = "UNKNOWN"


class Element(StrEnum):
    """Where a stretch of time goes (ISO 22400-2, 5.4 time elements; the last two are ours).

    OUTSIDE is time outside planned busy time; UNOBSERVED is time inside it that nobody saw.
    """

    APT = "APT"
    """actual production time: producing"""
    AUST = "AUST"
    """actual unit set-up time"""
    ADET = "ADET"
    """actual unit delay time: stopped while an order runs"""
    ADOT = "ADOT"
    """actual unit down time: available, no order"""
    OUTSIDE = "OUTSIDE"
    UNOBSERVED = "UNOBSERVED"


WITH_ORDER: Final[Mapping[State, Element]] = {
    State.RUN: Element.APT,
    State.SETUP: Element.AUST,
    State.DOWN: Element.ADET,
    State.IDLE: Element.ADET,
    State.BLOCKED: Element.ADET,
    State.STARVED: Element.ADET,
    State.PLANNED: Element.OUTSIDE,
    State.OFF: Element.ADET,
    State.UNKNOWN: Element.UNOBSERVED,
}
"""The default mapping while an order runs. OFF counts as OUTSIDE only outside planned time."""

WITHOUT_ORDER: Final[Mapping[State, Element]] = {
    state: Element.ADOT if element is Element.ADET else element for state, element in WITH_ORDER.items()
}
"""The default mapping while no order runs."""
