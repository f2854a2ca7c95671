"""What `isthmus history import` and `correct` do where the site is at work: its store has one writer, so they hand over.

The site takes it out of a folder of its data (site/intake/handed_history.py), one piece at a time and resting
between them. Files are read and judged here, so nothing live waits for that. At most some pieces wait;
a site that is started anew goes on with them.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.model.samples import Batch, TagInfo
from isthmus.site.config import HistorianSection
from isthmus.site.historian.bringing.imports import Into
from isthmus.site.historian.corrections import value_of
from isthmus.site.historian.reader import Reader
from isthmus.site.intake import handed, handed_history
from isthmus.site.intake.handed_history import SaidRight, waits

MOST_WAITING: Final = 8
"""Pieces that wait for the site at most."""
_LONGEST_S: Final = 600.0
_SAY_S: Final = 5.0
_LOOK_S: Final = 0.02


class Hands:
    """An import's way into the history of a running site; `finish` when all of it was read."""

    def __init__(self, data: Path, section: HistorianSection | None = None) -> None:
        self.section = section or HistorianSection()
        self.tags = _Names(data / "history")
        self._folder = data / handed.FOLDER
        self._waiting: deque[Path] = deque()
        self._number = 0

    def append(self, batches: Sequence[Batch]) -> None:
        """Hand one piece over, when there is room for it. Raises IsthmusError when the site takes nothing any more."""
        if not batches:
            return
        self._wait_for(MOST_WAITING - 1)
        self._number += 1
        infos = {tag: self.tags.info(tag) for batch in batches for tag in batch.columns["tag"].unique().to_pylist()}
        self._waiting.append(handed_history.hand_samples(self._folder, self._number, infos, batches))

    def finish(self) -> None:
        """Return when the site has all of it."""
        self._wait_for(0)

    def _wait_for(self, most: int) -> None:
        since, said = time.monotonic(), False
        while True:
            while self._waiting and not waits(self._waiting[0]):
                _refuse_aside(self._waiting.popleft())
                since = time.monotonic()
            if len(self._waiting) <= most:
                return
            waited = time.monotonic() - since
            if waited > _LONGEST_S:
                msg = f"the site took nothing for {_LONGEST_S:.0f} s; what waits is taken when it is back. Then start this import again: what was taken is passed over"
                raise IsthmusError(msg)
            if waited > _SAY_S and not said:
                print("\nthe site takes nothing now; this goes on by itself when it is back", file=sys.stderr)
                said = True
            time.sleep(_LOOK_S)


def correct(data: Path, said: SaidRight) -> None:
    """Put a sample right through the site at work. Raises UsageError when it cannot be so, IsthmusError."""
    with Reader(data / "history") as reader:
        tag = reader.tags.find(said.tag)
        if tag is None:
            msg = f"no tag is called {said.tag}; isthmus history show --tags 100 lists the largest"
            raise UsageError(msg)
        try:
            value_of(reader.tags.info(tag).kind, said.value)
        except ValueError as error:
            msg = f"{said.tag}: {error}"
            raise UsageError(msg) from error
    if not said.by.strip() or not said.why.strip():
        msg = "a correction needs who says it and why"
        raise UsageError(msg)
    path = handed_history.hand_corrections(data / handed.FOLDER, [said])
    until = time.monotonic() + _LONGEST_S / 5
    while waits(path):
        if time.monotonic() > until:
            msg = f"the site did not take {path} yet; it does so when it can, or says in its own log why it cannot"
            raise IsthmusError(msg)
        time.sleep(_LOOK_S)
    _refuse_aside(path)


class Straight:
    """An import's way into the history of a site that stands still.

    Before anything goes in, word of it is left for the site that starts next: also an import that is killed
    is followed by the figures.
    """

    def __init__(self, store: Into, data: Path) -> None:
        self.section, self.tags, self._store = store.section, store.tags, store
        self._folder = data / handed.FOLDER
        self._firsts: dict[str, int] = {}
        self._word: Path | None = None

    def append(self, batches: Sequence[Batch]) -> None:
        """Into the store."""
        firsts = {self.tags.info(tag).name: first for tag, first in handed_history.firsts_of(batches).items()}
        earlier = {name: first for name, first in firsts.items() if first < self._firsts.get(name, first + 1)}
        if earlier:
            self._firsts |= earlier
            now = time.time_ns()
            spans = {name: (first, max(first, now)) for name, first in self._firsts.items()}
            self._word = handed_history.hand_late(self._folder, spans, self._word)
        self._store.append(batches)


class _Names:
    """The tags of a history that another process writes, and those that an import adds; numbers of our own."""

    def __init__(self, history: Path) -> None:
        with Reader(history) as reader:
            infos = list(reader.tags.all().values())
        self._infos = dict(enumerate(infos, 1))
        self._numbers = {info.name: number for number, info in self._infos.items()}

    def intern_all(self, infos: Sequence[TagInfo]) -> list[int]:
        """The number of each tag, given to it now if it has none."""
        for info in infos:
            if info.name not in self._numbers:
                number = len(self._infos) + 1
                self._infos[number], self._numbers[info.name] = info, number
        return [self._numbers[info.name] for info in infos]

    def find(self, name: str) -> int | None:
        """The number of a name, or None."""
        return self._numbers.get(name)

    def info(self, tag: int) -> TagInfo:
        """What a number stands for."""
        return self._infos[tag]


def _refuse_aside(path: Path) -> None:
    """Raise IsthmusError, in the site's words, when it set a file aside."""
    why = path.with_suffix(handed.WHY)
    if why.exists():
        msg = f"the site did not take it: {why.read_text(encoding='utf-8')}; it lies in {path.with_suffix('.aside')}"
        raise IsthmusError(msg)
