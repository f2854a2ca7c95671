"""While an edge is silent the shift so far says at once what of it nobody saw, and nothing of that is logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_production_spine import folds, plant

from example_folds import PATH
from isthmus.model.records.production import Indicator, StateChanged
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.contact import SILENT_NS
from spine import MONDAY, Event, Spine

LAST = MONDAY + NS_PER_HOUR
"""When the edge was heard last; the machine ran from the shift's start on."""


@pytest.fixture
def spine(tmp_path: Path) -> Iterator[Spine]:
    made = Spine(tmp_path, plant=plant(), folds=folds())
    for minute in range(60):
        made.now_ns = MONDAY + minute * NS_PER_MINUTE
        made.send([(made.now_ns, "state", "run"), (made.now_ns, "parts", minute)])
        made.settle()
    made.now_ns = LAST
    made.send([(LAST, "state", "run")])
    made.settle()
    yield made
    made.close()


def shift(spine: Spine) -> Indicator:
    [found] = [one for one in spine.site.namespace.preview(PATH, "Indicator") if isinstance(one, Indicator)]
    return found


def later(spine: Spine, ns: int) -> None:
    """Time goes on with nothing heard; the pages look once a minute."""
    while spine.now_ns < LAST + ns:
        spine.now_ns = min(spine.now_ns + NS_PER_MINUTE, LAST + ns)
        spine.settle()
        spine.runner.preview()


def test_the_silent_stretch_is_not_observed_from_the_first_look_on(spine: Spine) -> None:
    later(spine, SILENT_NS)
    assert shift(spine).coverage == 1.0, "a pause between two questions of the edge is no silence"
    logged = spine.facts()
    later(spine, 30 * NS_PER_MINUTE)
    told = shift(spine)
    assert told.elements.unobserved_ns == pytest.approx(30 * NS_PER_MINUTE, abs=NS_PER_S)
    assert told.coverage == pytest.approx(60 / 90, abs=0.001)
    assert told.pbt_ns == 90 * NS_PER_MINUTE
    [state] = [one for one in spine.site.namespace.preview(PATH, "StateChanged") if isinstance(one, StateChanged)]
    assert (state.state, state.native) == ("UNKNOWN", "its edge is not heard")
    assert state.time_ns == pytest.approx(LAST, abs=NS_PER_S)
    assert spine.facts() == logged, "what is supposed is not logged"


def test_many_looks_and_one_look_see_the_same(spine: Spine) -> None:
    later(spine, 20 * NS_PER_MINUTE)
    looked = shift(spine)
    spine.runner._unheard._supposed.clear()
    spine.runner.preview()
    assert shift(spine) == looked


def test_what_the_edge_kept_makes_it_right_again(spine: Spine) -> None:
    later(spine, 20 * NS_PER_MINUTE)
    kept: list[Event] = [(LAST + minute * NS_PER_MINUTE, "state", "run") for minute in range(1, 21)]
    spine.send(kept)
    spine.settle()
    spine.runner.preview()
    assert shift(spine).coverage == 1.0
    [state] = [one for one in spine.site.namespace.preview(PATH, "StateChanged") if isinstance(one, StateChanged)]
    assert state.state == "RUN"


def test_a_silence_over_the_shifts_end_leaves_the_next_shift_unobserved(spine: Spine) -> None:
    later(spine, 8 * NS_PER_HOUR)
    told = shift(spine)
    assert told.start_ns == MONDAY + 8 * NS_PER_HOUR
    assert told.coverage == 0.0
