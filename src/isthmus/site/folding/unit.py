"""One work unit's folds over one stretch of time: from the states at its start to facts and new states.

There is one operation for live data, for late data and for what a crash left half done: fold a
stretch, compare with the facts that are logged within it, and say only what differs. It works because
a fold stamps its facts within the stretch that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.model.fold import Fold
from isthmus.model.plant import Machine, Plant
from isthmus.model.records import Key, Record
from isthmus.model.records.site import Tick
from isthmus.model.samples import Series
from isthmus.site.folding.graph import in_order
from isthmus.site.folding.merge import items, ticks

_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


class Moment(NamedTuple):
    """What all folds of a unit remember when everything before `time_ns` is folded."""

    time_ns: int
    states: tuple[bytes, ...]


class Folded(NamedTuple):
    """What came of a stretch."""

    states: list[Any]
    facts: list[Record]


class FoldIsWrong(Exception):
    """A fold broke its contract; the message is the sentence that people see."""


class Unit:
    """The folds of one machine, in order. Holds no data: what it is given, it answers from."""

    def __init__(self, plant: Plant, machine: Machine, folds: Sequence[Fold]) -> None:
        self.plant, self.machine, self.path = plant, machine, machine.path
        self.folds = in_order(folds)
        self.tags: tuple[str, ...] = tuple(dict.fromkeys(tag for fold in self.folds for tag in fold.tags))
        self.sources: frozenset[str] = frozenset(tag.partition("/")[0] for tag in self.tags)
        self.emits: tuple[type[Record], ...] = tuple(kind for fold in self.folds for kind in fold.emits)
        read = dict.fromkeys(kind for fold in self.folds for kind in fold.reads)
        self.reads: tuple[type[Record], ...] = tuple(kind for kind in read if kind not in (*self.emits, Tick))
        """The kinds that come from outside: from people, doors and edges."""
        self._ticks = any(Tick in fold.reads for fold in self.folds)

    @property
    def shape(self) -> str:
        """What the states look like; states of another shape cannot be taken up again."""
        told = [(fold.name, msgspec.json.schema(fold.State)) for fold in self.folds]
        return blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=16).hexdigest()

    def fresh(self, time_ns: int) -> Moment:
        """Before anything is known."""
        return Moment(time_ns, tuple(_encoder.encode(fold.State()) for fold in self.folds))

    def concerns(self, record: Record) -> bool:
        """Whether a record from outside is given to this unit's folds."""
        return isinstance(record, self.reads) and (record.path == self.path or record.path not in self.plant.machines)

    def fold(self, moment: Moment, end_ns: int, series: Mapping[str, Series], outside: Sequence[Record]) -> Folded:
        """Fold [moment.time_ns, end_ns). Raises FoldIsWrong when a fold breaks its contract or fails."""
        states = [
            msgspec.msgpack.decode(state, type=fold.State)
            for fold, state in zip(self.folds, moment.states, strict=True)
        ]
        known: list[Record] = list(outside)
        if self._ticks:
            calendar = self.plant.calendar_of(self.machine)
            known += ticks(self.path, calendar, self.plant.zone, moment.time_ns, end_ns)
        facts: list[Record] = []
        for fold, state in zip(self.folds, states, strict=True):
            given = [record for record in (*known, *facts) if isinstance(record, tuple(fold.reads))]
            facts += self._step(fold, state, items(fold.tags, series, given, moment.time_ns, end_ns), moment, end_ns)
        return Folded(states, facts)

    def moment(self, time_ns: int, states: Sequence[Any]) -> Moment:
        """What is remembered at `time_ns`, as bytes; equal states give equal bytes.

        Raises FoldIsWrong for a state that bytes cannot hold, such as a sum beyond 64 bits.
        """
        out = []
        for fold, state in zip(self.folds, states, strict=True):
            try:
                out.append(_encoder.encode(state))
            except Exception as error:
                raise FoldIsWrong(_sentence(fold, error)) from error
        return Moment(time_ns, tuple(out))

    def previews(self, states: Sequence[Any], now_ns: int) -> list[Record]:
        """What is still open at `now_ns`, of every fold."""
        out: list[Record] = []
        for fold, state in zip(self.folds, states, strict=True):
            try:
                out += fold.preview(state, now_ns)
            except Exception as error:
                raise FoldIsWrong(_sentence(fold, error)) from error
        return out

    def _step(
        self,
        fold: Fold,
        state: Any,  # noqa: ANN401  each fold has its own state
        given: Iterable[Any],
        moment: Moment,
        end_ns: int,
    ) -> list[Record]:
        out: list[Record] = []
        for item in given:
            try:
                out += fold.step(state, item)
            except Exception as error:
                raise FoldIsWrong(_sentence(fold, error)) from error
        for fact in out:
            if not isinstance(fact, tuple(fold.emits)) or fact.path != self.path:
                msg = f"{fold.name} says {type(fact).__name__} of {fact.path}, which is not its own to say"
                raise FoldIsWrong(msg)
            if not moment.time_ns <= fact.time_ns < end_ns:
                msg = f"{fold.name} says {type(fact).__name__} at {fact.time_ns}, outside the stretch it was given"
                raise FoldIsWrong(msg)
        return out


def differences(facts: Sequence[Record], logged: Mapping[Key, Record]) -> list[Record]:
    """What has to be logged so that `facts` stand where `logged` (latest revisions) stood.

    Raises FoldIsWrong when two facts have one key.
    """
    out: list[Record] = []
    said: set[Key] = set()
    for fact in facts:
        key = fact.key
        if key in said:
            msg = f"two {key.kind} of {key.path} have the same time and ordinal; the second would hide the first"
            raise FoldIsWrong(msg)
        said.add(key)
        before = logged.get(key)
        if before is None:
            out.append(fact)
        elif msgspec.structs.replace(fact, revision=before.revision) != before:
            out.append(msgspec.structs.replace(fact, revision=before.revision + 1))
    for key, before in logged.items():
        if key not in said and not before.gone:
            out.append(msgspec.structs.replace(before, revision=before.revision + 1, gone=True))
    return sorted(out, key=lambda one: one.time_ns)


def _sentence(fold: Fold, error: Exception) -> str:
    return f"{fold.name} failed ({type(error).__name__}: {error})"
