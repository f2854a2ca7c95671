"""Counts: whatever a counter does, the pieces add up to what was made."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from drive import PATH, at, fold_all, of, plant, series
from hypothesis import given
from hypothesis import strategies as some

from isthmus.model.plant import Counter, Machine
from isthmus.model.records.people import QuantityCorrected
from isthmus.model.records.production import Counted
from isthmus.production.counts import Counts


def counted(numbers: list[Any], declared: dict[str, Any]) -> list[tuple[int, float]]:
    """(index of the sample, pieces) for a good counter that shows `numbers`, one a nanosecond."""
    one = Machine(path=PATH, name="M", calendar="usual", good=Counter(tag="c/good", **declared))
    samples = {"c/good": series(enumerate(numbers))}
    facts = fold_all([Counts(one)], plant(one), samples, start_ns=0, end_ns=len(numbers))
    return [(fact.time_ns, fact.good) for fact in of(Counted, facts)]


@pytest.mark.parametrize(
    ("claim", "declared", "numbers", "expected"),
    [
        ("the first sample is where counting starts", {}, [500, 501], [(1, 1)]),
        ("a repeat makes nothing", {}, [7, 7, 7, 8], [(3, 1)]),
        ("a counter that wraps loses no parts", {"width": 16}, [65_534, 65_535, 0, 2], [(1, 1), (2, 1), (3, 2)]),
        ("a wrap that skipped zero loses no parts", {"width": 16, "reset": "never"}, [65_530, 4], [(1, 10)]),
        ("a full byte far from its end was reset", {"width": 8, "reset": "zero"}, [100, 0, 3], [(2, 3)]),
        ("without resets any fall is a wrap", {"width": 8, "reset": "never"}, [100, 0, 3], [(1, 156), (2, 3)]),
        ("a reset to zero counts on", {"reset": "zero"}, [90, 0, 4], [(2, 4)]),
        ("pieces since the reset count", {"reset": "zero"}, [90, 2, 4], [(1, 2), (2, 2)]),
        ("a preset starts anew and makes nothing", {"reset": "any"}, [90, 40, 44], [(2, 4)]),
        ("one unit back is no new life", {"reset": "zero"}, [90, 89, 90, 91], [(3, 1)]),
        ("one unit back is no new life where any fall is allowed", {"reset": "any"}, [90, 89, 91], [(2, 1)]),
        ("from one to zero is a reset", {"reset": "zero"}, [1, 0, 1], [(2, 1)]),
        ("a fall that may not be is a fault", {"reset": "never"}, [90, 40, 91], [(2, 1)]),
        ("a fall that goes on is believed", {"reset": "never"}, [90, 40, 41, 43], [(2, 1), (3, 2)]),
        ("a leap is a fault, not production", {"max_step": 100}, [10, 9_999, 11, 12], [(2, 1), (3, 1)]),
        ("a leap that goes on is believed", {"max_step": 100}, [10, 9_999, 9_999, 10_001], [(3, 2)]),
        ("a leap that stays and returns makes nothing", {"max_step": 100}, [10, 9_999, 9_999, 11], [(3, 1)]),
        ("an outage is caught up after it", {}, [10, None, None, 25, 26], [(3, 15), (4, 1)]),
        ("a restart that forgets counts from zero", {"persists": False, "reset": "never"}, [10, None, 4], [(2, 4)]),
        ("without an outage nothing restarted", {"persists": False, "reset": "never"}, [10, 4, 11], [(2, 1)]),
        ("a controller that starts up with 0 makes nothing anew", {}, [523, None, 0, 0, 525, 526], [(4, 2), (5, 1)]),
        ("a reset during an outage counts from zero", {}, [523, None, 0, 4, 6], [(3, 4), (4, 2)]),
        ("a counter that forgets counts all after its zero", {"persists": False}, [3, None, 0, 4], [(3, 4)]),
        ("one count may be four pieces", {"per_count": 4}, [0, 1, 3], [(1, 4), (2, 8)]),
        ("an event is worth its value", {"event": True}, [2, 2, None, 0, 3], [(0, 2), (1, 2), (4, 3)]),
        ("an event may be a yes", {"event": True}, [True, False, True], [(0, 1), (2, 1)]),
        ("an event beyond the limit is a fault", {"event": True, "max_step": 5}, [2, 900], [(0, 2)]),
        ("a number that is none makes nothing", {}, [1.0, float("nan"), 3.0], [(2, 2)]),
        ("a text makes nothing", {}, ["1", "2"], []),
    ],
)
def test_a_counter(claim: str, declared: dict[str, Any], numbers: list[Any], expected: list[tuple[int, float]]) -> None:
    assert counted(numbers, declared) == expected, claim


steps = some.lists(
    some.one_of(
        some.tuples(some.just("make"), some.integers(0, 40)),
        some.tuples(some.just("reset"), some.just(0)),
        some.tuples(some.just("outage"), some.integers(0, 40)),
        some.tuples(some.just("back"), some.just(0)),
    ),
    max_size=60,
)


@given(steps, some.sampled_from([None, 8, 16]), some.integers(0, 70_000), some.lists(some.integers(1, 120), max_size=5))
def test_the_pieces_equal_the_truth_under_wraps_resets_repeats_outages_and_any_split(
    story: list[tuple[str, int]], width: int | None, first: int, cuts: list[int]
) -> None:
    number = first % 2**width if width else first
    shown: list[int | None] = [number]
    truth = 0
    for act, amount in story:
        if act == "reset" and not (width and number >= 2**width * 3 // 4):
            number = 0
            shown += [number]
        elif act == "back" and number > 1:
            shown += [number - 1, number]
        elif act in ("make", "outage"):
            number, truth = number + amount, truth + amount
            number %= 2**width if width else 2**62
            shown += [None, number] if act == "outage" else [number]
    one = Machine(path=PATH, name="M", calendar="usual", good=Counter(tag="c/good", width=width))  # type: ignore[arg-type]
    samples = {"c/good": series(enumerate(shown))}
    once, parts = (
        fold_all([Counts(one)], plant(one), samples, start_ns=0, end_ns=len(shown), cuts=given) for given in ((), cuts)
    )
    assert sum(fact.good for fact in of(Counted, once)) == truth
    assert once == parts


@given(
    some.dictionaries(some.integers(0, 40), some.one_of(some.none(), some.integers(-5, 300)), max_size=40),
    some.sampled_from(["never", "zero", "any"]),
    some.booleans(),
    some.lists(some.integers(0, 41), max_size=5),
)
def test_even_nonsense_folds_the_same_in_parts_and_never_counts_below_zero(
    numbers: dict[int, int | None],
    reset: Literal["never", "zero", "any"],
    persists: bool,  # noqa: FBT001  hypothesis gives it by position
    cuts: list[int],
) -> None:
    declared = Counter(tag="c/good", width=8, reset=reset, persists=persists, max_step=150)
    one = Machine(path=PATH, name="M", calendar="usual", good=declared)
    samples = {"c/good": series(numbers.items())}
    once, parts = (
        fold_all([Counts(one)], plant(one), samples, start_ns=0, end_ns=41, cuts=given) for given in ((), cuts)
    )
    assert once == parts
    assert all(0 < fact.good <= 150 for fact in of(Counted, once))


def test_good_is_the_total_without_scrap_and_the_total_is_right_at_every_moment() -> None:
    one = Machine(path=PATH, name="M", calendar="usual", total=Counter(tag="c/total"), scrap=Counter(tag="c/scrap"))
    samples = {"c/total": series([(0, 10), (5, 13), (9, 14)]), "c/scrap": series([(0, 0), (5, 1), (7, 2)])}
    facts = of(Counted, fold_all([Counts(one)], plant(one), samples, start_ns=0, end_ns=10))
    assert [(fact.time_ns, fact.good, fact.scrap, fact.why) for fact in facts] == [
        (5, 2, 1, "counter"),
        (7, -1, 1, "corrected"),
        (9, 1, 0, "counter"),
    ]


def test_pieces_to_rework_are_neither_good_nor_scrap() -> None:
    one = Machine(path=PATH, name="M", calendar="usual", total=Counter(tag="c/total"), rework=Counter(tag="c/rework"))
    samples = {"c/total": series([(0, 0), (5, 4)]), "c/rework": series([(0, 0), (5, 1)])}
    facts = of(Counted, fold_all([Counts(one)], plant(one), samples, start_ns=0, end_ns=10))
    assert [(fact.good, fact.scrap, fact.rework) for fact in facts] == [(3, 0, 1)]


def test_a_person_may_take_pieces_back() -> None:
    one = Machine(path=PATH, name="M", calendar="usual", good=Counter(tag="c/good"))
    said = QuantityCorrected(
        path=PATH, time_ns=at("09:00"), order="1047", good=-3, scrap=3, by="Ada", said_ns=at("12:00")
    )
    samples = {"c/good": series([(at("08:00"), 0), (at("09:00"), 5)])}
    facts = of(Counted, fold_all([Counts(one)], plant(one), samples, [said], start_ns=at("08:00"), end_ns=at("10:00")))
    assert [(fact.good, fact.scrap, fact.why, fact.ordinal) for fact in facts] == [
        (5, 0, "counter", 0),
        (-3, 3, "corrected", 1),
    ]
