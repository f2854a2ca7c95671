"""A site on a test's own clock, with a machine whose samples are frames like any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from example_folds import OTHER, PATH, folds_of, small_plant
from isthmus.model.fold import Fold
from isthmus.model.plant import Plant
from isthmus.model.records import Record
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.site.folding.folds import FoldRunner
from isthmus.site.intake.ingest import Ingest
from isthmus.site.site import Site
from isthmus.site.views.facts import records
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, Frame
from memory_historian import MemoryHistorian, MemoryTags

MONDAY = 20_000 * NS_PER_DAY - 3 * NS_PER_DAY + 6 * 3600 * NS_PER_S
"""A Monday at 06:00 UTC, when the early shift begins."""
EPOCH = 1_000
KINDS = {"parts": ValueKind.I64, "state": ValueKind.STR}
NUMBERS = {"parts": 0, "state": 1}
Event = tuple[int, str, Any]
"""(time_ns, tag, value)"""


def dictionary(source: str) -> Frame:
    tags = tuple((NUMBERS[tag], TagInfo(name=f"{source}/{tag}", kind=kind)) for tag, kind in KINDS.items())
    said = Dictionary(source, "acme/northgate", tags)
    return frames.of_dictionary(frames.source_id(source), EPOCH, 1, said)


def of_events(source: str, first_seq: int, events: Sequence[Event]) -> list[Frame]:
    """The events as frames: one for each kind of value among them."""
    out: list[Frame] = []
    for tag, kind in KINDS.items():
        mine = [(at, value) for at, name, value in events if name == tag]
        if mine:
            batch = columns(
                kind, [NUMBERS[tag]] * len(mine), [at for at, _ in mine], [0] * len(mine), [value for _, value in mine]
            )
            out.append(frames.of_samples(frames.source_id(source), EPOCH, first_seq + len(out), batch))
    return out


def body(*parts: Frame) -> bytes:
    return b"".join(frames.pack(part) for part in parts)


class Spine:
    """Site, ingest and fold runner over one folder. The stores of samples outlive it, as a disk would."""

    def __init__(  # noqa: PLR0913  each is one part of the stage
        self,
        folder: Path,
        now_ns: int = MONDAY,
        *,
        historian: Any = None,  # noqa: ANN401
        tags: Any = None,  # noqa: ANN401
        folds: Mapping[str, Sequence[Fold]] | None = None,
        future_s: float = 300,
        plant: Plant | None = None,
        keep: Any = None,  # noqa: ANN401
        database: Any = None,  # noqa: ANN401
    ) -> None:
        self.now_ns = now_ns
        self.historian = historian if historian is not None else MemoryHistorian()
        self.tags = tags if tags is not None else MemoryTags()
        plant = plant or small_plant()
        if folds is None:
            folds = {PATH: folds_of(plant, PATH, "plc"), OTHER: folds_of(plant, OTHER, "other")}
        self.site = Site(plant, folder, self.historian, self.tags, folds=folds, database=database)
        self.runner = FoldRunner(self.site, lateness_s=5, now_ns=lambda: self.now_ns)
        self.ingest = Ingest(
            self.site, future_s=future_s, arrived=self.runner.arrived, keep=keep, now_ns=lambda: self.now_ns
        )
        self._seq: dict[str, int] = {}

    def send(self, events: Sequence[Event], source: str = "plc") -> None:
        """Events arrive, as one body."""
        sent = of_events(source, self._seq.get(source, 1), events)
        self._seq[source] = self._seq.get(source, 1) + len(sent)
        self.ingest.take("edge-1", body(dictionary(source), *sent))

    def settle(self, most: int = 5_000) -> None:
        """Fold until there is nothing left to do."""
        for _ in range(most):
            before = [course.cursor for course in self.runner._courses]
            busy = self.runner.turn()
            late = any(course.late for course in self.runner._courses)
            if not busy and not late and before == [course.cursor for course in self.runner._courses]:
                return
        msg = "folding never comes to rest"
        raise AssertionError(msg)

    def until(self, now_ns: int) -> None:
        """Time goes on to a moment, and everything is folded up to it, less what is waited for."""
        self.now_ns = now_ns
        self.settle()

    def facts(self, *kinds: str) -> list[Record]:
        """What is so, after the highest revision, told without revisions; of production unless kinds are named."""
        found = records(self.site.views.query("SELECT body FROM facts WHERE gone = 0 ORDER BY time_ns, kind, path"))
        if not kinds:
            kinds = ("StateChanged", "Counted", "StopExplained", "Indicator")
        return [plain(record) for record in found if type(record).__name__ in kinds]

    def close(self) -> None:
        self.runner.close()
        self.ingest.close()
        self.site.close()


def plain(record: Record) -> Record:
    return msgspec.structs.replace(record, revision=0)
