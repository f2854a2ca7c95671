"""Own rules: what may be said, what is refused and how, and what stays not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.production.expression import compile_expression, mistakes, truth
from isthmus.production.rules import check_rules
from isthmus.production.signals import Column

NAMES = ("spindle_speed", "alarm", "mode", "feed")


def column(*values: float | str | None) -> Column:
    known = np.array([value is not None for value in values])
    fill = next((value for value in values if value is not None), 0.0)
    kind: Any = object if isinstance(fill, str) else None
    return Column(np.array([fill if value is None else value for value in values], kind), known)


def answers(text: str, **columns: Column) -> list[bool | None]:
    found = truth(compile_expression(text, columns)(columns))
    rows = max(len(one.value) for one in columns.values())
    value, known = np.broadcast_to(found.value, rows), np.broadcast_to(found.known, rows)
    return [bool(one) if sure else None for one, sure in zip(value, known, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spindle_speed > 50 and not alarm", [False, True, False]),
        ("spindle_speed > 50 or alarm", [False, True, True]),
        ("0 < spindle_speed <= 900", [False, False, True]),
        ("mode == 'AUTO'", [True, False, True]),
        ("mode in ('MDI', 'JOG')", [False, True, False]),
        ("mode not in ['MDI']", [True, False, True]),
        ("spindle_speed / 2 - 100 >= 350", [False, True, True]),
        ("-spindle_speed < -900", [False, True, False]),
        ("spindle_speed % 7 == 0", [True, False, False]),
        ("spindle_speed", [False, True, True]),
        ("mode == 3", [False, False, False]),
    ],
)
def test_an_expression_is_answered_for_every_moment_at_once(text: str, expected: list[bool]) -> None:
    signals = {
        "spindle_speed": column(0, 1200, 900),
        "alarm": column(*[False, False, True]),
        "mode": column("AUTO", "MDI", "AUTO"),
    }
    assert answers(text, **signals) == expected


def test_what_is_not_known_decides_nothing_and_hides_nothing_that_is_decided() -> None:
    speed, alarm = column(0.0, None, 100.0, None), column(*[None, True, False, None])
    assert answers("speed < 1 or alarm", speed=speed, alarm=alarm) == [True, True, False, None]
    assert answers("speed > 50 and not alarm", speed=speed, alarm=alarm) == [False, False, True, None]
    assert answers("speed / alarm > 1", speed=speed, alarm=alarm) == [None, None, None, None]


@given(some.lists(some.tuples(*[some.sampled_from([True, False, None])] * 3), min_size=1))
def test_unknown_stays_unknown_only_where_both_guesses_differ(rows: list[tuple[bool | None, ...]]) -> None:
    text = "(a and not b) or (b and c)"
    signals = dict(zip("abc", (column(*(True, *values)) for values in zip(*rows, strict=True)), strict=True))
    for row, found in zip(rows, answers(text, **signals)[1:], strict=True):
        guesses = {
            (a and not b) or (b and c)
            for a in ([row[0]] if row[0] is not None else [True, False])
            for b in ([row[1]] if row[1] is not None else [True, False])
            for c in ([row[2]] if row[2] is not None else [True, False])
        }
        assert found is None or guesses == {found}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("spndle_speed > 50", "at character 1: no tag is bound to 'spndle_speed'; did you mean 'spindle_speed'"),
        ("spindle_speed > 50 && alarm", "it cannot be read at character 21; write and, or, not"),
        ("spindle_speed = 50", "to compare, write == with two signs"),
        ("mode > 'AUTO'", "at character 8: texts can be compared with ==, != and in alone"),
        ("mode in 'AUTO'", "at character 9: behind 'in', and only there, stands a list of values: ('AUTO', 'MDI')"),
        ("feed ** 2 > 1", "at character 1: only + - * / % can be calculated"),
        ("feed + 'x' > 1", "at character 8: a text cannot be calculated with"),
        ("feed is 1", "at character 9: write == or != instead of 'is'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_mend(text: str, told: str) -> None:
    assert any(told in line for line in mistakes(text, NAMES))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "feed.__class__",
        "[x for x in (1, 2)]",
        "lambda: 1",
        "feed[0]",
        "f'{feed}'",
        "feed if alarm else mode",
        "(feed := 1)",
        "b'x' == mode",
        "-" * 299 + "1",
        "(" * 150,
        "feed\x00",
        "",
    ],
)
def test_nothing_but_the_rule_language_is_taken_and_nothing_is_run(text: str) -> None:
    found = list(mistakes(text, NAMES))
    assert found or text.strip("-") == "1"


@given(some.text(max_size=60))
def test_any_text_is_refused_with_a_sentence_or_compiled(text: str) -> None:
    if not list(mistakes(text, NAMES)):
        compile_expression(text, NAMES)


def test_every_mistake_of_a_list_of_rules_is_told_in_one_go() -> None:
    wrong = check_rules(["RUNN if spindle_speed > 50", "IDLE", "DOWN if alrm", "RUN spindle_speed"], NAMES)
    assert [line.split(": ", 1)[1] for line in wrong] == [
        "no state is called 'RUNN'; did you mean 'RUN'",
        "it always holds, so the rules behind it never do; make it the last",
        "at character 1: no tag is bound to 'alrm'; did you mean 'alarm'",
        "write STATE if CONDITION, for example RUN if speed > 50",
    ]
