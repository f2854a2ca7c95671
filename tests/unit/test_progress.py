"""How long a work unit waits for a source that is silent, slow, or catching up."""

from __future__ import annotations

from isthmus.model.time import NS_PER_HOUR, NS_PER_S
from isthmus.site.folding.progress import Progress, target

S, LATENESS, NOW = NS_PER_S, 5 * NS_PER_S, 1_000_000 * NS_PER_S


def test_a_source_that_keeps_up_is_followed_closely() -> None:
    source = Progress(LATENESS)
    source.note(1, NOW - S // 2, NOW)
    assert target([source], NOW, LATENESS) == NOW - S // 2 - S


def test_the_slowest_of_several_is_waited_for_and_a_silent_one_only_so_long() -> None:
    fast, slow, silent = (Progress(LATENESS) for _ in range(3))
    fast.note(1, NOW, NOW)
    slow.note(1, NOW - 3 * S, NOW)
    assert target([fast, slow], NOW, LATENESS) == NOW - 4 * S
    assert target([fast, slow, silent], NOW, LATENESS) == NOW - 5 * S
    assert target([fast, slow], NOW + 9 * S, LATENESS) == NOW + 4 * S


def test_a_backlog_is_followed_while_it_comes_in() -> None:
    source = Progress(LATENESS)
    for second in range(30):
        source.note(1, NOW - 60 * NS_PER_HOUR + second * NS_PER_HOUR, NOW + second * S)
    at = NOW + 29 * S
    assert target([source], at, LATENESS) == NOW - 31 * NS_PER_HOUR - S
    assert target([source], at + 6 * S, LATENESS) == at + S


def test_a_backlog_that_live_samples_overtake_in_a_new_epoch_is_followed_too() -> None:
    source = Progress(LATENESS)
    for second in range(20):
        source.note(1, NOW - 60 * NS_PER_HOUR + second * NS_PER_HOUR, NOW + second * S)
        source.note(2, NOW + second * S, NOW + second * S)
    at = NOW + 19 * S
    assert target([source], at, LATENESS) == NOW - 41 * NS_PER_HOUR - S
    assert target([source], at + 6 * S, LATENESS) == at + S
    source.note(2, at + 6 * S, at + 6 * S)
    assert target([source], at + 6 * S, LATENESS) == at + 5 * S


def test_a_clock_that_is_an_hour_slow_holds_nothing_up() -> None:
    source = Progress(LATENESS)
    for second in range(30):
        source.note(1, NOW - NS_PER_HOUR + second * S, NOW + second * S)
    assert target([source], NOW + 29 * S, LATENESS) == NOW + 24 * S
