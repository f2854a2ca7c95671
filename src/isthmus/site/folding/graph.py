"""Who emits what and who reads it: one emitter for each kind, no ring, and an order to fold in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from isthmus.model.errors import FoldsDisagree
from isthmus.model.fold import Fold
from isthmus.model.records import Record


def in_order(folds: Sequence[Fold]) -> list[Fold]:
    """The folds of one work unit, each behind those whose facts it reads.

    Raises FoldsDisagree, naming both, when two emit one kind or folds read each other in a ring.
    """
    emitter = _emitters(folds)
    by_name = {fold.name: fold for fold in sorted(folds, key=lambda fold: fold.name)}
    sorter = TopologicalSorter(
        {name: sorted({emitter[kind].name for kind in fold.reads if kind in emitter}) for name, fold in by_name.items()}
    )
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        ring = list(reversed(error.args[1]))
        steps = "; ".join(
            f"{reader} reads {_between(by_name[giver], by_name[reader])} of {giver}" for giver, reader in pairwise(ring)
        )
        msg = f"folds read each other in a ring: {steps}. One of them must do without"
        raise FoldsDisagree(msg) from None


def flow(folds: Iterable[Fold]) -> str:
    """The graph as a mermaid diagram: folds as boxes, doors as rounded boxes, kinds on the arrows."""
    nodes = sorted({fold.name: fold for fold in folds}.values(), key=lambda fold: fold.name)
    emits = {kind: fold.name for fold in nodes for kind in fold.emits}
    lines = ["flowchart LR"]
    arrows: dict[tuple[str, str], list[str]] = {}
    for fold in nodes:
        if fold.tags:
            arrows.setdefault(("samples", fold.name), [])
        for kind in fold.reads:
            arrows.setdefault((emits.get(kind, kind.emitter), fold.name), []).append(kind.__name__)
    own = {fold.name for fold in nodes}
    outside = sorted({giver for giver, _ in arrows} - own)
    lines += [f"    {_id(name)}([{name}])" for name in outside]
    lines += [f"    {_id(name)}[{name}]" for name in sorted(own)]
    for (giver, reader), kinds in sorted(arrows.items()):
        label = f"|{', '.join(sorted(kinds))}|" if kinds else ""
        lines.append(f"    {_id(giver)} -->{label} {_id(reader)}")
    return "\n".join(lines)


def _emitters(folds: Sequence[Fold]) -> dict[type[Record], Fold]:
    out: dict[type[Record], Fold] = {}
    for fold in folds:
        for kind in fold.emits:
            if kind in out:
                msg = f"{out[kind].name} and {fold.name} both emit {kind.__name__}; a kind has one emitter"
                raise FoldsDisagree(msg)
            if kind.emitter != fold.name:
                msg = f"{fold.name} emits {kind.__name__}, which is {kind.emitter}'s to emit; a kind has one emitter"
                raise FoldsDisagree(msg)
            out[kind] = fold
    return out


def _between(giver: Fold, reader: Fold) -> str:
    return ", ".join(sorted(kind.__name__ for kind in giver.emits if kind in reader.reads))


def _id(name: str) -> str:
    return name.replace("/", "_").replace("-", "_")
