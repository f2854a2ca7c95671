"""The probe says what became of a source in a sentence, whatever became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from isthmus.edge.probe import Finding, probe
from isthmus.edge.source import Limits, Sink, SourceSection, Tag
from isthmus.model import status as st


class Refusing(SourceSection, frozen=True, kw_only=True, tag="refusing"):
    """A device that answers and has none of what is asked for; or, with `bug`, a source that is wrong."""

    bug: bool = False
    tags: tuple[Tag, ...] = (Tag(name="heat"), Tag(name="cool"))

    def plan(self, tags: Sequence[Tag], limits: Limits) -> int:
        del limits
        return len(tags)

    async def run(self, plan: int, sink: Sink) -> None:
        sink.up(address="10.0.0.1:502", security="none")
        if self.bug:
            raise KeyError("heat")  # noqa: EM101
        for tag in range(plan):
            sink.fault(tag, st.BAD_NO_DATA, "no such address")
        await asyncio.Event().wait()


def probed(source: SourceSection) -> tuple[Finding, float]:
    start = time.monotonic()
    return asyncio.run(probe(source, 5)), time.monotonic() - start


def test_a_device_that_has_none_of_the_tags_is_told_at_once_and_not_as_silence() -> None:
    finding, took_s = probed(Refusing(name="plc"))
    assert not finding.well
    assert finding.sentence == "10.0.0.1:502 (none) answers, but with none of these tags"
    assert [fault.why for fault in finding.faults] == ["no such address"] * 2
    assert took_s < 2


def test_a_bug_in_a_source_is_named_and_not_told_as_silence() -> None:
    finding, took_s = probed(Refusing(name="plc", bug=True))
    assert not finding.well
    assert "KeyError('heat')" in finding.sentence
    assert took_s < 2
