"""Shipped mappings from what machines say to our states: one file for each information model.

A profile has one main signal whose every word means a state, and further signals that may change it:
a controller that is ACTIVE in manual data input is being set up, not producing. A module in this
folder is found by itself; the plant file names it by `PROFILE.name`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from isthmus.model.states import State

EVERY: Final = frozenset(State)

CHANGES: Final[Mapping[State, frozenset[State]]] = {
    State.RUN: frozenset(),
    State.IDLE: frozenset({State.RUN}),
    State.SETUP: frozenset({State.RUN, State.IDLE}),
    State.PLANNED: frozenset({State.RUN, State.IDLE, State.SETUP, State.DOWN}),
    State.BLOCKED: frozenset({State.STARVED}),
    State.STARVED: frozenset({State.BLOCKED}),
    State.DOWN: EVERY,
    State.OFF: EVERY,
    State.UNKNOWN: EVERY,
}
"""Which states of the main signal a further signal turns into the key: set-up mode hides RUN, not DOWN."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of a profile and what its words mean. None means that the word changes nothing."""

    words: Mapping[str, State | None]
    numbers: Mapping[int, str] = {}
    """The word behind each number, where a device sends numbers."""
    help: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An information model's signals; `main` must be bound to a tag, the others may be."""

    name: str
    title: str
    """The model and the edition that the words are from."""
    main: str
    signals: Mapping[str, Signal]
    """In order: a later signal has the last word."""


FLAG: Final = {0: "false", 1: "true"}


def plain(word: str) -> str:
    """A word as it is compared: letters and digits alone, small.

    >>> plain("PROGRAM_COMPLETED"), plain("Program completed")
    ('programcompleted', 'programcompleted')
    """
    return re.sub(r"[^a-z0-9]", "", word.casefold())


@cache
def profiles() -> Mapping[str, Profile]:
    """Every shipped profile by its name, found in the modules of this folder."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        profile: Profile = importlib.import_module(f"{__name__}.{module.name}").PROFILE
        found[profile.name] = profile
    return found
