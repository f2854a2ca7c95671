"""What is left of a history whose manifest is not: the files, the log, and what journal and other manifests say.

A file tells by itself what it holds, and by its name which arrivals it stands above. Of a damaged
manifest each table is read as far as it can be.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.samples import ValueKind, kind_of
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.keeping.verify import in_order
from isthmus.site.historian.memory.rows import BURST, FORM_OF, Rows, Words, newest_of_each
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed import journal, waveforms
from isthmus.site.historian.sealed.journal import CorrectionRow, Facts, TagRow
from isthmus.site.historian.sealed.manifest import NAME, Segment
from isthmus.site.historian.sealed.parquet import SegmentFile
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.segment import SegmentLog

_NAME: Final = re.compile(r"(?P<id>\d{12,})-(L(?P<level>\d+)(?P<late>-late)?|r\d+m)\.parquet")
_COLUMNS: Final = ", ".join(Segment._fields)


class Looked(NamedTuple):
    """A file that is whole."""

    segment: Segment
    forms: dict[int, int]
    """The tags in it, and the highest form of rows.py of each."""
    newest: Rows | None
    """The newest sample of each tag; None for bursts."""


class Logged(NamedTuple):
    """What the log holds."""

    first: int
    """The position at which it begins."""
    frames: Mapping[tuple[int, int], frozenset[int]]
    """By source and epoch."""
    forms: Mapping[int, int]


class Said(msgspec.Struct):
    """What journal and manifests say together; each is more to be believed than those learned before it."""

    tags: dict[int, TagRow] = {}
    corrections: dict[tuple[int, int, int], CorrectionRow] = {}
    taken: dict[tuple[int, int], list[Taken]] = {}
    files: dict[str, Segment] = {}
    """By path, samples, bursts and rollups that counted."""
    received_ns: int = 0
    generation: int = 0
    last_segment: int = 0
    last_tag: int = 0

    def learn(self, facts: Facts, where: Path) -> None:
        """Take in what one of them says. Raises UsageError when it speaks of another history."""
        for number, row in facts.tags.items():
            before = self.tags.get(number)
            if before is not None and before[1:4] != row[1:4]:
                msg = f"{where} is of another history: tag {number} is {row[1]} there, and {before[1]} elsewhere"
                raise UsageError(msg)
        self.tags |= facts.tags
        self.corrections = {key: row for key, row in self.corrections.items() if key[1] >= facts.let_go_ns}
        self.corrections |= facts.corrections
        for key, ranges in facts.taken.items():
            with suppress(zlib.error, ValueError):
                self.taken.setdefault(key, []).append(Taken.unpack(ranges))
        self.received_ns = facts.received_ns or self.received_ns
        self.generation = max(self.generation, facts.generation)
        self.last_tag = max([self.last_tag, *self.tags])


def day_of(path: Path) -> int:
    """The UTC day of the folder that a segment stands in. Raises ValueError."""
    return (date.fromisoformat(path.parent.name.removeprefix("day=")) - date(1970, 1, 1)).days


def number_of(path: Path) -> int:
    """The id in a file's name, of samples, bursts or a rollup; 0 where it is no name of ours."""
    found = _NAME.fullmatch(path.name)
    return int(found["id"]) if found else 0


def is_segment(path: Path) -> bool:
    """Whether a file's name, and its folder's, are those of samples or bursts, and not of a rollup."""
    found = _NAME.fullmatch(path.name)
    try:
        return bool(found and found["level"]) and day_of(path) is not None
    except ValueError:
        return False


def look(folder: Path, name: str, where: Path, *, bursts: bool) -> Looked:
    """Read all of the file `where`, which stands, or shall stand, as `name` in `folder`. Raises StoreDamaged."""
    try:
        day, found = day_of(folder / name), _NAME.fullmatch(Path(name).name)
        data = where.read_bytes()
        file = None if bursts else SegmentFile(where)
        rows = file.read(Words()) if file else None
        tag, time_ns = (rows.tag, rows.time_ns) if rows else waveforms.keys(where)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        msg = f"{where} cannot be read: {error}"
        raise StoreDamaged(msg) from error
    if found is None or not found["level"]:
        msg = f"{where} has no segment's name"
        raise StoreDamaged(msg)
    if not len(tag) or (time_ns // NS_PER_DAY != day).any() or (rows is not None and not in_order(rows)):
        msg = f"{where} does not hold rows of its day in order of tag and time"
        raise StoreDamaged(msg)
    segment = Segment(
        int(found["id"]), day, int(found["level"]), name, len(tag), int(time_ns.min()), int(time_ns.max()),
        int(tag.min()), int(tag.max()), overlap=bool(found["late"]), unit=file.unit if file else "ns",
        bytes=len(data), sha256=sha256(data).hexdigest(),
    )  # fmt: skip
    return Looked(segment, _forms(tag, rows), newest_of_each(rows) if rows is not None else None)


def _forms(tag: NDArray[np.int32], rows: Rows | None) -> dict[int, int]:
    if rows is None:
        return dict.fromkeys(np.unique(tag).tolist(), BURST)
    starts = np.flatnonzero(np.append(True, tag[1:] != tag[:-1]))
    return dict(zip(tag[starts].tolist(), np.maximum.reduceat(rows.form, starts).tolist(), strict=True))


def log_of(folder: Path) -> Logged:
    """What a log still holds, whole frames alone."""
    where = folder / "wal"
    starts = sorted(int(path.stem) for path in where.glob("*.seg"))
    found: dict[tuple[int, int], set[int]] = {}
    forms: dict[int, int] = {}
    if starts:
        for _, frame in SegmentLog(where, write=False).read(starts[0]):
            if frame.kind in {FrameKind.SAMPLES, FrameKind.WAVEFORM}:
                found.setdefault(frame[:2], set()).add(frame.seq)
                with suppress(StoreDamaged):
                    batch = frames.samples(frame)
                    form = BURST if frame.kind is FrameKind.WAVEFORM else FORM_OF[kind_of(batch)]
                    forms |= dict.fromkeys(batch.column("tag").unique().to_pylist(), form)
    return Logged(starts[0] if starts else 0, {key: frozenset(each) for key, each in found.items()}, forms)


def said_of(folder: Path, older: Path | None) -> Said:
    """What the backup in `older`, the manifest that is there and the journal say, the last above the others."""
    said = Said()
    for where in (older, folder):
        if where is not None and (where / NAME).is_file():
            _salvage(where / NAME, said)
    facts = journal.read(folder)
    said.learn(facts, folder / journal.NAME)
    said.tags = journal.settled(said.tags)
    return said


def _salvage(path: Path, said: Said) -> None:
    facts = Facts()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        for row in _rows(db, "SELECT id, name, kind, unit, time_of, step, valid_from, valid_to FROM tag"):
            if row[2] in set(ValueKind):
                facts.tags[row[0]] = row
        for row in _rows(db, "SELECT tag, time, said, form, bits, word, status, by, why FROM correction"):
            facts.corrections[row[:3]] = row
        for source, epoch, ranges in _rows(db, "SELECT source, epoch, ranges FROM taken"):
            facts.taken[source, epoch & 0xFFFF_FFFF_FFFF_FFFF] = ranges
        about = dict(_rows(db, "SELECT key, value FROM about"))
        facts.generation, facts.received_ns = about.get("generation", 0), about.get("received_ns", 0)
        for row in _rows(db, f"SELECT {_COLUMNS} FROM segment WHERE gone IS NULL"):  # noqa: S608  our own column names
            said.files[row[3]] = Segment._make(row)
        given = dict(_rows(db, "SELECT name, seq FROM sqlite_sequence"))
    said.last_segment = max(said.last_segment, given.get("segment", 0))
    said.last_tag = max(said.last_tag, given.get("tag", 0))
    said.learn(facts, path)


def _rows(db: sqlite3.Connection, sql: str) -> Iterator[tuple]:  # type: ignore[type-arg]
    """As many rows of a damaged manifest as can be read."""
    with suppress(sqlite3.DatabaseError):
        yield from db.execute(sql)
