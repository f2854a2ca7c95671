"""docs/reference/status.md, indicators.md and failures.md: what stands on pages, in words."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from isthmus.model import errors, status
from isthmus.model.states import WITH_ORDER, WITHOUT_ORDER, Element, State
from isthmus.production import kpi
from isthmus.production.profiles import Profile, profiles
from manual import markdown

_TIMES = (
    "The ISO 22400 element that each state's time goes to, unless the plant file says otherwise "
    "(`elements` under `[machine.state]`):"
)


def status_page() -> str:
    """What a sample is worth, what a machine does, and how shipped profiles tell."""
    codes = {value: name for name, value in vars(status).items() if name.isupper() and isinstance(value, int)}
    rows = [
        [f"`0x{code:08X}`", status.words(code), f"`{name}`"]
        for code, name in sorted(codes.items())
        if not name.startswith("_")
    ]
    states = [
        [f"`{state}`", f"`{WITH_ORDER[state]}`", f"`{WITHOUT_ORDER[state]}`"] for state in State if state in WITH_ORDER
    ]
    parts = [
        "## Status of a sample",
        markdown.cleaned(status.__doc__),
        table_of_codes(rows),
        "## State of a machine",
        markdown.cleaned(State.__doc__),
        _TIMES,
        markdown.table(["state", "while an order runs", "without an order"], states),
        "## Element of time",
        markdown.cleaned(Element.__doc__),
        "## Profiles",
        "How a machine's own words become states. A word that a profile does not know is UNKNOWN, never RUN.",
        *(_profile(profile) for profile in profiles().values()),
    ]
    about = "A sample has a status, a machine has a state, a product has a quality; they are never mixed."
    return markdown.page("Status and state", about, parts)


def table_of_codes(rows: list[list[str]]) -> str:
    """Codes in the order of their numbers: Good, Uncertain, Bad."""
    return markdown.table(["code", "on pages", "name in the code"], rows)


def _profile(profile: Profile) -> str:
    parts = [f'### profile = "{profile.name}"', profile.title + "."]
    for name, signal in profile.signals.items():
        parts.append(f"`{name}`: {signal.help}.")
        if signal.words:
            parts.append(
                markdown.table(["its word", "state"], [[f"`{w}`", _state(s)] for w, s in signal.words.items()])
            )
    return "\n\n".join(parts)


def _state(state: State | None) -> str:
    return f"`{state}`" if state is not None else "says nothing; the other signal decides"


def indicators_page() -> str:
    """Every indicator with its formula."""
    functions = {name: each for name, each in vars(kpi).items() if inspect.isfunction(each) and name != "ratio"}
    parts = []
    for name, function in functions.items():
        parts += [f"## {name.replace('_', ' ')}", markdown.cleaned(function.__doc__)]
    about = (
        "The formulas of ISO 22400-2:2014 as Isthmus works them out. Each is a function of `isthmus.production.kpi`, "
        "where the tests hold it against worked cases. The record "
        "[Indicator](records.md#indicator) carries those that pages show; the others are there for wings and exports. "
        "A ratio without a denominator is unknown, never 0 or 1."
    )
    return markdown.page("Indicators", about, parts)


def failures_page() -> str:
    """The tree of failures, and what each asks of a person."""
    parts = [f"```text\n{inspect.cleandoc(errors.__doc__ or '')}\n```"]
    for name, each in _classes(errors).items():
        parts += [f"## {name}", markdown.cleaned(each.__doc__)]
    return markdown.page("Failures", "What can fail, and who has to do something about it.", parts)


def _classes(module: object) -> Mapping[str, Any]:
    return {
        name: each
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, errors.IsthmusError)
    }
