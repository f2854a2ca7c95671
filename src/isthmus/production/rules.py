"""How a machine's state follows from its signals: by a shipped profile, or by the plant's own rules.

A rule is a state and, behind `if`, when it holds. The first that holds wins; where one that stands
earlier is not known, the state is UNKNOWN, as nobody can say that it did not hold.

    DOWN if alarm
    RUN if spindle_speed > 50 and not alarm
    IDLE
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.plant import StateRules
from isthmus.model.states import Element, State
from isthmus.production.expression import Node, compile_expression, mistakes, truth
from isthmus.production.profiles import CHANGES, Profile, Signal, plain, profiles
from isthmus.production.signals import Column, Value

STATES: Final = tuple(State)
CODE: Final[Mapping[State, int]] = {state: code for code, state in enumerate(STATES)}
ALWAYS: Final = Column(np.ones(1, np.bool_), np.ones(1, np.bool_))
RULE: Final = re.compile(r"\s*([A-Za-z_]+)\s*(?:\s+if\s+(.*))?\Z", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Found(NamedTuple):
    """What a machine was doing at each moment; both of shape (moments,)."""

    code: NDArray[np.int8]
    """Index into STATES."""
    native: NDArray[Any]
    """The machine's own word, or the rule that held; texts."""


Table = Mapping[str, tuple[State | None, str]]
Mapper = Callable[[Mapping[str, Column], int], Found]


class RulesMistake(ValueError):
    """A machine's `state` section cannot be used. The message holds every mistake, one a line."""


def mapper(rules: StateRules) -> Mapper:
    """How states follow from columns of signals. Raises RulesMistake with every mistake."""
    wrong = check_state(rules)
    if wrong:
        raise RulesMistake("\n".join(wrong))
    if rules.profile is not None:
        return _by_profile(profiles()[rules.profile], rules)
    return _by_rules(rules.rules, rules.tags)


def check_state(rules: StateRules) -> list[str]:
    """Every sentence that is wrong in a machine's `state` section; empty when it can be used."""
    return _wrong_elements(rules) + _wrong_mapping(rules)


def _wrong_elements(rules: StateRules) -> list[str]:
    wrong = [
        f"elements cannot move {state.value}: {why}"
        for state, why in ((State.RUN, "running is actual production time"), (State.UNKNOWN, "nobody saw what it was"))
        if state in rules.elements
    ]
    idle = [state.value for state, element in rules.elements.items() if element is Element.APT and state != State.RUN]
    return wrong + [
        f"elements cannot make {state} actual production time; map the machine's word to RUN" for state in idle
    ]


def _wrong_mapping(rules: StateRules) -> list[str]:
    if rules.profile is None:
        odd = [f"{name!r} under tags is no name for a rule: use letters, digits and _" for name in rules.tags]
        wrong = [text for text, name in zip(odd, rules.tags, strict=True) if not _NAME.match(name)]
        if rules.override:
            wrong.append("override changes a profile's words, and no profile is named; put it into the rules")
        return wrong + check_rules(rules.rules, rules.tags)
    profile = profiles().get(rules.profile)
    if profile is None:
        return [f"no profile is called {rules.profile!r}; {_near(rules.profile, profiles())}"]
    wrong = [
        f"profile {profile.name} has no signal {name!r}; {_near(name, profile.signals)}"
        for name in rules.tags
        if name not in profile.signals
    ]
    if profile.main not in rules.tags:
        wrong.append(f"profile {profile.name} needs a tag for {profile.main!r} ({profile.signals[profile.main].help})")
    words = {plain(word): word for signal in profile.signals.values() for word in signal.words}
    wrong += [
        f"profile {profile.name} has no word {word!r}; {_near(word, words.values())}"
        for word in rules.override
        if plain(word) not in words
    ]
    if rules.rules:
        wrong.append(f"rules and profile {profile.name} are both given; keep one of them")
    return wrong


def check_rules(rules: Sequence[str], names: Collection[str]) -> list[str]:
    """Every sentence that is wrong in rules over signals called `names`; empty when they can be used."""
    wrong = []
    for number, rule in enumerate(rules, start=1):
        place = f"rule {number}, {rule!r}"
        match = RULE.match(rule)
        if not match:
            wrong.append(f"{place}: write STATE if CONDITION, for example RUN if speed > 50")
            continue
        if match[1] not in State.__members__:
            wrong.append(f"{place}: no state is called {match[1]!r}; {_near(match[1].upper(), State.__members__)}")
        if match[2] is not None:
            wrong += [f"{place}: {what}" for what in mistakes(match[2], names)]
        elif number < len(rules):
            wrong.append(f"{place}: it always holds, so the rules behind it never do; make it the last")
    return wrong


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}" if near else f"known are {', '.join(known)}"


def _by_rules(rules: Sequence[str], names: Collection[str]) -> Mapper:
    compiled: list[tuple[State, Node | None]] = []
    for rule in rules:
        match = RULE.match(rule)
        if match:
            condition = match[2]
            compiled.append((State(match[1]), None if condition is None else compile_expression(condition, names)))

    def find(columns: Mapping[str, Column], moments: int) -> Found:
        code = np.full(moments, CODE[State.UNKNOWN], np.int8)
        held = np.full(moments, len(rules), np.int64)
        is_open = np.ones(moments, np.bool_)
        for index, (state, condition) in enumerate(compiled):
            says = truth(condition(columns)) if condition else ALWAYS
            holds = is_open & says.known & says.value
            code[holds], held[holds] = CODE[state], index
            is_open &= says.known & ~says.value
        return Found(code, _texts([*rules, ""])[held])

    return find


def _by_profile(profile: Profile, rules: StateRules) -> Mapper:
    override = {plain(word): state for word, state in rules.override.items()}
    tables = {name: _table(signal, override) for name, signal in profile.signals.items()}
    targets = {name: {state for state, _ in table.values() if state is not None} for name, table in tables.items()}
    further = [name for name in profile.signals if name in rules.tags and name != profile.main]

    def find(columns: Mapping[str, Column], _moments: int) -> Found:
        code, native = _look_up(tables[profile.main], columns[profile.main])
        for name in further:
            meant, word = _look_up(tables[name], columns[name])
            lost = ~columns[name].known
            for state in targets[name]:
                changed = np.isin(code, [CODE[one] for one in CHANGES[state]]) & (CODE[state] != code)
                said = changed & ~lost & (meant == CODE[state])
                native[said] = word[said]
                code[said] = CODE[state]
                code[changed & lost] = CODE[State.UNKNOWN]
        return Found(code, native)

    return find


def _table(signal: Signal, override: Mapping[str, State]) -> Table:
    table = {plain(word): (override.get(plain(word), state), word) for word, state in signal.words.items()}
    return table | {str(number): table[plain(word)] for number, word in signal.numbers.items()}


def _look_up(table: Table, column: Column) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """The state that each word means (-1 for none) and the word; a word nobody knows means UNKNOWN."""
    found: dict[Any, tuple[int, str]] = {}
    code = np.full(len(column.value), -1, np.int8)
    native = np.full(len(column.value), "", object)
    for index, (value, known) in enumerate(zip(column.value.tolist(), column.known.tolist(), strict=True)):
        if not known:
            code[index] = CODE[State.UNKNOWN]
            continue
        if value not in found:
            state, name = table.get(_spelled(value), (State.UNKNOWN, str(value)))
            found[value] = (-1 if state is None else CODE[state], name)
        code[index], native[index] = found[value]
    return code, native


def _spelled(value: Value) -> str:
    if isinstance(value, str):
        return plain(value)
    return str(int(value)) if float(value).is_integer() else str(value)


def _texts(words: Sequence[str]) -> NDArray[Any]:
    array = np.empty(len(words), object)
    array[:] = words
    return array
