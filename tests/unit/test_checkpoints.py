"""Old moments are thinned: a site of years keeps few of them, and late data there still comes out right."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_folds import live, story

from example_folds import PATH
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.site.folding import checkpoints
from isthmus.site.folding.checkpoints import superfluous
from isthmus.site.intake.dictionaries import Dictionaries
from memory_historian import MemoryTags
from spine import MONDAY, Spine, dictionary


def test_three_years_leave_few_moments_and_the_last_fortnight_whole() -> None:
    kept: list[int] = []
    for day in range(3 * 365):
        kept += [day * NS_PER_DAY + hour * NS_PER_HOUR for hour in (0, 5, 13, 21)]
        now = (day + 1) * NS_PER_DAY
        gone = set(superfluous(kept, now))
        kept = [at for at in kept if at not in gone]
    assert kept[0] == 0, "where it began is never let go"
    assert len([at for at in kept if at >= now - 14 * NS_PER_DAY]) == 14 * 4
    last_months = [at for at in kept if now - 120 * NS_PER_DAY <= at < now - 14 * NS_PER_DAY]
    assert len(last_months) == 106
    assert all(at % NS_PER_DAY == 0 for at in last_months)
    assert len(kept) <= 14 * 4 + 106 + (3 * 365 - 120) // 28 + 2
    assert superfluous(kept, now) == []
    assert superfluous([], now) == []


@pytest.mark.long
def test_late_data_among_thinned_moments_comes_out_as_if_it_had_been_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_THINNED", ((NS_PER_DAY, NS_PER_DAY), (2 * NS_PER_DAY, 4 * NS_PER_DAY)))
    events = story(MONDAY, 24 * 5, every_s=1200)
    late = [event for event in events if MONDAY + 30 * NS_PER_HOUR < event[0] < MONDAY + 32 * NS_PER_HOUR]
    rest = [event for event in events if event not in late]
    one, other = Spine(tmp_path / "late"), Spine(tmp_path / "in-time")
    live(one, rest, step_ns=4 * NS_PER_HOUR)
    live(other, events, step_ns=4 * NS_PER_HOUR)
    times = one.runner._checkpoints.times(PATH)
    assert len(times) < 12, "five days have 20 shift starts and midnights"
    one.send(late)
    one.settle()
    for spine in (one, other):
        spine.until(MONDAY + 24 * 5 * NS_PER_HOUR + NS_PER_HOUR)
    assert one.facts() == other.facts()
    one.close()
    other.close()


def test_a_dictionary_of_long_ago_is_read_when_its_epoch_is_spoken_of(tmp_path: Path) -> None:
    tags = MemoryTags()
    frame = dictionary("plc")
    said = Dictionaries(tmp_path, tags)
    for epoch in range(1, 6):
        said.learn(frame._replace(epoch=epoch))
    said.close()
    again = Dictionaries(tmp_path, tags)
    assert again._said == {}
    found = again.find(frame.source, 3)
    assert found is not None
    assert (found.source, found.tag.tolist()) == ("plc", said.find(frame.source, 3).tag.tolist())  # type: ignore[union-attr]
    assert list(again._said) == [(frame.source, 3)]
    size = again.log.end
    again.learn(frame._replace(epoch=4))
    assert again.log.end == size, "what is known is not written again"
    assert again.find(frame.source, 99) is None
    again.close()
