"""The names of tags and the numbers under which history keeps them.

A name that changes its kind or its unit begins anew under another number: what was measured in °F
before noon is never read as °C. Both numbers keep the name; `valid_from_ns` and `valid_to_ns` say
which one counted when. People ask for the former one as `press/force#17`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.samples import TagInfo
from isthmus.site.historian.memory.rows import FORM_OF, NONE
from isthmus.site.historian.sealed.journal import Journal, Named, info_of
from isthmus.site.historian.sealed.manifest import Manifest, tag_rows

_PUT: Final = """
INSERT INTO tag VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET time_of = excluded.time_of, step = excluded.step, valid_to = excluded.valid_to
"""


class TagVersion(msgspec.Struct, frozen=True):
    """One number that a name had: from `valid_from_ns` until before `valid_to_ns`, None while it counts."""

    id: int
    info: TagInfo
    valid_from_ns: int
    valid_to_ns: int | None


class TagBook:
    """Any thread may ask. Numbers begin at 1, are given once and never taken back."""

    def __init__(
        self, manifest: Manifest, clock: Callable[[], int] = time.time_ns, journal: Journal | None = None
    ) -> None:
        self._manifest, self._clock, self._journal = manifest, clock, journal
        self._current: dict[str, int] = {}
        self._versions: dict[int, TagVersion] = {}
        self._numbers: dict[str, list[int]] = {}
        self._forms: NDArray[np.uint8] = np.zeros(1024, np.uint8)
        self.reload()

    def reload(self) -> None:
        """Read the manifest again; for a reader beside the writing process."""
        with self._manifest.reading() as db:
            rows = tag_rows(db)
        for row in rows:
            self._learn(TagVersion(row[0], info_of(row), row[-2], row[-1]))

    def intern(self, info: TagInfo) -> int:
        """The number of a tag; the same for the same name, kind and unit, however often it is asked."""
        return self.intern_all([info])[0]

    def intern_all(self, infos: Sequence[TagInfo]) -> list[int]:
        """As `intern` for a whole dictionary, in one transaction. Raises OSError when the disk refuses."""
        with self._manifest.lock:
            new = [info for info in infos if self._known(info) is None]
            changed = {tag: info for info in infos if (tag := self._known(info)) and self._versions[tag].info != info}
            if new or changed:
                self._write(new, changed)
            return [self._current[info.name] for info in infos]

    def find(self, name: str) -> int | None:
        """The number that a name has now, or None."""
        return self._current.get(name)

    def info(self, tag: int) -> TagInfo:
        """What a number stands for. Raises KeyError for a number never given."""
        return self._versions[tag].info

    def all(self) -> Mapping[int, TagInfo]:
        """Every number that counts now, in order."""
        with self._manifest.lock:
            return {tag: self._versions[tag].info for tag in sorted(self._current.values())}

    def versions(self, name: str) -> list[TagVersion]:
        """Every number that a name ever had, oldest first."""
        with self._manifest.lock:
            return [self._versions[tag] for tag in self._numbers.get(name, ())]

    def former(self) -> list[TagVersion]:
        """Every number that counts no more, in order: tags whose kind or unit changed."""
        with self._manifest.lock:
            ended = [version for version in self._versions.values() if version.valid_to_ns is not None]
        return sorted(ended, key=lambda version: version.id)

    @property
    def forms(self) -> NDArray[np.uint8]:
        """By number, which form of rows.py its values have; NONE for a number never given."""
        return self._forms

    def _known(self, info: TagInfo) -> int | None:
        tag = self._current.get(info.name)
        if tag is None:
            return None
        now = self._versions[tag].info
        return tag if (now.kind, now.unit) == (info.kind, info.unit) else None

    def _write(self, new: Sequence[TagInfo], changed: Mapping[int, TagInfo]) -> None:
        now, number = self._clock(), self._manifest.last_given("tag")
        learned: list[TagVersion] = []
        for info in {info.name: info for info in new}.values():
            old = self._current.get(info.name)
            if old is not None:
                learned.append(msgspec.structs.replace(self._versions[old], valid_to_ns=now))
            number += 1
            learned.append(TagVersion(number, info, now, None))
        learned += [TagVersion(tag, info, self._versions[tag].valid_from_ns, None) for tag, info in changed.items()]
        said = [Named(each.id, each.info, each.valid_from_ns, each.valid_to_ns) for each in learned]
        with self._journal.before(said) if self._journal else nullcontext(), self._manifest.transaction() as db:
            db.executemany(_PUT, map(_row, learned))
        for version in learned:
            self._learn(version)

    def _learn(self, version: TagVersion) -> None:
        if version.id >= len(self._forms):
            larger = np.full(2 * version.id, NONE, np.uint8)
            larger[: len(self._forms)] = self._forms
            self._forms = larger
        self._forms[version.id] = FORM_OF[version.info.kind]
        if version.id not in self._versions:
            self._numbers.setdefault(version.info.name, []).append(version.id)
        self._versions[version.id] = version
        if version.valid_to_ns is None:
            self._current[version.info.name] = version.id


def _row(version: TagVersion) -> tuple[int, str, str, str, str, bool, int, int | None]:
    info = version.info
    since, until = version.valid_from_ns, version.valid_to_ns
    return version.id, info.name, str(info.kind), info.unit, info.time_of, info.step, since, until
