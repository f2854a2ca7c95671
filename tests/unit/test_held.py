"""A value that did not change while its device was away holds again from the moment of contact."""

from __future__ import annotations

from typing import Any

from isthmus.edge.held import HELD, Held
from isthmus.model.samples import ValueKind, columns
from isthmus.model.status import BAD_SENSOR_FAILURE, GOOD, is_good

LOST, NOW = 1000, 2000


def rows(held: Held, *given: tuple[int, int, int, float | None]) -> list[tuple[Any, ...]]:
    tag, time_ns, status, value = zip(*given, strict=True)
    batch = held.after_loss(columns(ValueKind.F64, tag, time_ns, status, list(value)), NOW)
    return [tuple(row.values()) for row in batch.to_pylist()]


def lost(tags: int = 2) -> Held:
    held = Held(tags)
    held.lose(range(tags), LOST)
    return held


def test_an_unchanged_value_is_repeated_once_at_the_moment_of_contact() -> None:
    held = lost()
    assert rows(held, (0, 5, GOOD, 1.5), (1, 6, GOOD, 2.5)) == [
        (0, 5, GOOD, 1.5),
        (1, 6, GOOD, 2.5),
        (0, NOW, HELD, 1.5),
        (1, NOW, HELD, 2.5),
    ]
    assert rows(held, (0, 5, GOOD, 1.5)) == [(0, 5, GOOD, 1.5)]
    assert is_good(HELD)


def test_what_changed_after_the_loss_needs_no_repetition() -> None:
    assert rows(lost(), (0, 5, GOOD, 1.5), (0, LOST + 1, GOOD, 2.5)) == [(0, 5, GOOD, 1.5), (0, LOST + 1, GOOD, 2.5)]


def test_a_bad_value_is_not_repeated_and_the_next_good_one_is() -> None:
    held = lost()
    assert len(rows(held, (0, 5, BAD_SENSOR_FAILURE, None))) == 1
    assert rows(held, (0, 7, GOOD, 3.0))[1] == (0, NOW, HELD, 3.0)


def test_without_a_loss_nothing_is_added() -> None:
    assert rows(Held(1), (0, 5, GOOD, 1.5)) == [(0, 5, GOOD, 1.5)]
