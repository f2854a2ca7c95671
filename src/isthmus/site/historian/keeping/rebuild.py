"""A manifest that was lost, made anew of what is left: files, log, journal, and a backup where there is one.

Every file is read, byte by byte. Which of two rows with one (tag, time) stands follows from the ids in the
files' names, so what was merged and not deleted yet, or written and never told, does no harm: it is marked
as late where it shares a moment with an earlier file, and the next merge tidies up. The log is taken in
again from its beginning. Nothing is deleted: what cannot be read goes to <history>/lost/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.samples import ValueKind
from isthmus.model.time import NS_PER_DAY, to_datetime
from isthmus.site.historian.keeping import remains
from isthmus.site.historian.keeping.remains import Said
from isthmus.site.historian.keeping.verify import shared
from isthmus.site.historian.memory.newest import Newest
from isthmus.site.historian.memory.rows import BURST, INT, NONE, REAL, TEXT
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed import journal
from isthmus.site.historian.sealed.leases import Writer
from isthmus.site.historian.sealed.manifest import (
    NAME,
    Manifest,
    Segment,
    never_again,
    put_about,
    put_segments,
    put_tags,
    put_taken,
)
from isthmus.site.historian.sealed.mark import marked, trouble
from isthmus.site.historian.sealed.parquet import sync_folder, write_whole
from isthmus.site.historian.sealed.waveforms import FOLDER as WAVEFORMS

LOST: Final = "lost"
"""Where files go that cannot be read, and the manifest that was there."""
NAMELESS: Final = "nameless"
"""The source of tags whose name nobody knows any more: nameless/17."""
_MARGIN: Final = 1000
"""More numbers, and more generations, than can have been given since the last that is known of."""
_KIND: Final = {
    REAL: ValueKind.F64,
    INT: ValueKind.I64,
    TEXT: ValueKind.STR,
    NONE: ValueKind.F64,
    BURST: ValueKind.WAVEFORM,
}


class Found(NamedTuple):
    """What a history, or the bursts of one, can be made of anew."""

    folder: Path
    why: str
    """What is wrong with the manifest that is there."""
    older: Path | None
    segments: tuple[Segment, ...]
    rollups: tuple[Segment, ...]
    back: tuple[Segment, ...]
    """Of these, which are put back from the backup."""
    unreadable: tuple[tuple[Path, str], ...]
    beside: int
    """Segments marked as late because they hold what an earlier one holds too."""
    newest: bytes
    snapshots: tuple[tuple[int, bytes], ...]
    said: Said
    taken: Mapping[tuple[int, int], Taken]
    nameless: Mapping[int, int]
    """Tags without a name, and their form."""
    wal: int
    logged: int
    """Frames that the log still holds."""
    journal: bool
    journal_damaged: int


def examine(folder: Path, older: Path | None, progress: Callable[[int, int], None] = lambda *_: None) -> list[Found]:
    """What is found of each part whose manifest does not do; nothing where all is well. Changes nothing.

    `progress` is told how many files were read, and of how many. Raises UsageError when `older` is no backup
    of this history.
    """
    if older is not None and not (older / NAME).exists():
        msg = f"{older} holds no backup of history"
        raise UsageError(msg)
    out: list[Found] = []
    for lane in (".", WAVEFORMS):
        why = trouble(folder / lane)
        if why is not None:
            out.append(_examine(folder / lane, why, older and older / lane, progress, bursts=lane == WAVEFORMS))
    return out


def rebuild(found: Sequence[Found]) -> None:
    """Make the manifests anew. Raises OSError; cut short, it is just done again."""
    for each in found:
        for segment in each.back:
            write_whole(each.folder / segment.path, (_backup(each) / segment.path).read_bytes())
        for path, _ in each.unreadable:
            _aside(each.folder, path)
        _manifest(each)
        # Its own file of SQLite's log must not be taken for the new one's.
        for path in (each.folder / f"{NAME}{beside}" for beside in ("", "-wal", "-shm")):
            if path.exists():
                _aside(each.folder, path)
        (each.folder / (NAME + ".new")).replace(each.folder / NAME)
        sync_folder(each.folder)


def alone(folder: Path) -> Writer:
    """Keep every other process from writing. Raises OSError, EBUSY where one does."""
    return Writer(folder, "isthmus history rebuild")


def told(found: Found) -> Iterator[str]:
    """What a person is told."""
    rows, days = sum(each.rows for each in found.segments), {each.day for each in found.segments}
    what = "bursts" if found.folder.name == WAVEFORMS else "samples"
    yield f"{found.folder / NAME} {found.why}"
    between = f", {_date(min(days))} to {_date(max(days))}" if days else ""
    yield f"  files        {len(found.segments):,} whole, {rows:,} {what} of {len(days):,} days{between}"
    if found.beside:
        yield f"               {found.beside:,} of them hold what another one holds too; of one moment the later stands"
    if found.back:
        yield f"               {len(found.back):,} of them are missing or damaged here, and come from {found.older}"
    yield f"  log          {found.logged:,} frames that may not be in a file yet: all taken in again, none twice"
    if what == "samples":
        yield from _words(found)
    yield f"  sources      {len(found.taken):,} starts of sources whose frames are known again when they are sent again"
    if found.rollups:
        yield f"  rollups      {len(found.rollups):,} kept; all others are made anew by the site"
    elif found.segments and what == "samples":
        yield "  rollups      made anew by the site"
    if found.journal_damaged:
        yield f"  journal      {found.journal_damaged:,} lines of {journal.NAME} are damaged and passed over"
    for path, why in found.unreadable:
        yield f"  DAMAGED      {path}: {why}"
    if found.unreadable:
        yield f"               they do not count, and go to {found.folder / LOST}; name a backup that has them, if there is one"


def _words(found: Found) -> Iterator[str]:
    said = found.said
    yield f"  names        {len(said.tags):,} tags; {len(said.corrections):,} corrections"
    if found.nameless:
        yield (
            f"  NAMELESS     {len(found.nameless):,} tags whose name nobody knows: they are called {NAMELESS}/"
            f"{min(found.nameless)} and so on; name a newer backup, if there is one"
        )


def _date(day: int) -> str:
    return to_datetime(day * NS_PER_DAY).date().isoformat()


def _examine(
    folder: Path, why: str, older: Path | None, progress: Callable[[int, int], None], *, bursts: bool
) -> Found:
    said, facts, log = remains.said_of(folder, older), journal.read(folder), remains.log_of(folder)
    paths = [path for path in (folder / "segments").glob("*/*.parquet") if not _is_rollup(path)]
    here = {str(path.relative_to(folder)): path for path in paths}
    back = {} if older is None else _to_put_back(older, said, here)
    names = sorted({*here, *back}, key=lambda name: (Path(name).parent.name, remains.number_of(Path(name))))
    segments: list[Segment] = []
    unreadable: list[tuple[Path, str]] = []
    forms = dict(log.forms)
    newest, snapshots, put_back = Newest(), list[tuple[int, bytes]](), list[Segment]()
    for number, name in enumerate(names, 1):
        progress(number, len(names))
        looked, damage = _look(folder, name, here.get(name), older if name in back else None, said, bursts=bursts)
        if looked is None:
            unreadable += [(here[name], damage)] if name in here else []
            continue
        segment = looked.segment
        if not bursts and (not segments or segments[-1].day != segment.day):
            snapshots.append((segment.day, newest.pack()))
        if looked.newest is not None:
            newest.see(looked.newest)
        segments.append(segment)
        put_back += [segment] if name not in here or damage else []
        forms |= looked.forms
    where = {each.path: older for each in put_back if older is not None}
    late = _late(folder, where, segments) if not bursts else segments
    if not bursts:
        forms |= _forms_of_bursts(folder / WAVEFORMS)
    return Found(
        folder,
        why,
        older,
        tuple(sorted(late)),
        tuple(_rollups(folder, said)),
        tuple(put_back),
        tuple(unreadable),
        sum(one.overlap and not other.overlap for one, other in zip(late, segments, strict=True)),
        newest.pack(),
        tuple(snapshots),
        said,
        {key: Taken.union(parts).without(log.frames.get(key, ())) for key, parts in said.taken.items()},
        {} if bursts else {tag: form for tag, form in sorted(forms.items()) if tag not in said.tags},
        log.first,
        sum(map(len, log.frames.values())),
        facts.there,
        len(facts.damaged),
    )


def _look(  # noqa: PLR0913  a file, and where else it may be
    folder: Path, name: str, here: Path | None, older: Path | None, said: Said, *, bursts: bool
) -> tuple[remains.Looked | None, str]:
    """The file, of here or else of the backup, and what is wrong with the one here."""
    damage, known = "", said.files.get(name)
    for where in (here, older and older / name):
        if where is None:
            continue
        try:
            looked = remains.look(folder, name, where, bursts=bursts)
        except StoreDamaged as error:
            damage = damage or str(error)
            continue
        if known is not None and known.sha256 != looked.segment.sha256:
            damage = damage or "its bytes are not those that were written"
            continue
        return looked, damage if where != here else ""
    return None, damage


def _is_rollup(path: Path) -> bool:
    return bool(remains.number_of(path)) and not remains.is_segment(path)


def _to_put_back(older: Path, said: Said, here: Mapping[str, Path]) -> dict[str, Segment]:
    """What the backup has and is neither here nor merged into something that is here, nor older than all that is kept."""
    first = min((remains.day_of(path) for path in here.values() if remains.is_segment(path)), default=None)
    made = {
        (remains.day_of(path), remains.number_of(path))
        for path in here.values()
        if remains.is_segment(path) and "-L0" not in path.name
    }
    return {
        name: each
        for name, each in said.files.items()
        if not each.bucket_ns
        and (older / name).is_file()
        and (name in here or first is None or each.day >= first)
        and (name in here or not any(day == each.day and number > each.id for day, number in made))
    }


def _late(folder: Path, where: Mapping[str, Path], segments: Sequence[Segment]) -> list[Segment]:
    """The same, each marked as late that shares a moment of a tag with one of a lower id: it stands above that one."""
    days: dict[int, list[Segment]] = {}
    out: list[Segment] = []
    for each in segments:
        before = days.setdefault(each.day, [])
        # The newest before it first: what it was merged of are its neighbours.
        late = each.overlap or any(shared(folder, one, each, where) for one in reversed(before))
        before.append(each)
        out.append(each._replace(overlap=late))
    return out


def _rollups(folder: Path, said: Said) -> Iterator[Segment]:
    for each in said.files.values():
        path = folder / each.path
        if each.bucket_ns and path.is_file() and sha256(path.read_bytes()).hexdigest() == each.sha256:
            yield each


def _forms_of_bursts(folder: Path) -> dict[int, int]:
    forms = dict(remains.log_of(folder).forms)
    for path in (folder / "segments").glob("*/*.parquet"):
        try:
            forms |= remains.look(folder, str(path.relative_to(folder)), path, bursts=True).forms
        except StoreDamaged:
            continue  # told where the bursts' own manifest is looked at
    return forms


def _backup(found: Found) -> Path:
    if found.older is None:
        msg = "no backup was named"
        raise UsageError(msg)
    return found.older


def _aside(folder: Path, path: Path) -> None:
    """Move a file to lost/, under a name that is free."""
    target = folder / LOST / path.relative_to(folder)
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{path.name}.{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    sync_folder(target.parent)


def _manifest(found: Found) -> None:
    """The new manifest, whole on disk, beside the place of the old one."""
    folder, said = found.folder, found.said
    new = folder / (NAME + ".new")
    for beside in ("", "-wal", "-shm", "-journal"):
        new.with_name(new.name + beside).unlink(missing_ok=True)
    manifest = Manifest(folder, name=new.name)
    numbers = (remains.number_of(path) for path in (folder / "segments").glob("*/*.parquet"))
    last = max([said.last_segment, *numbers, *(each.id for each in found.segments)])
    tags = [*said.tags.values(), *_nameless(found)]
    received_ns = said.received_ns or max((each.time_max for each in found.segments), default=0)
    with manifest.transaction() as db:
        put_tags(db, tags)
        never_again(db, "tag", max([said.last_tag, *(row[0] for row in tags)], default=0))
        put_segments(db, [*found.segments, *found.rollups])
        never_again(db, "segment", last + _MARGIN)
        put_about(db, "generation", max(said.generation, marked(folder)) + _MARGIN)
        put_about(db, "wal", found.wal)
        put_about(db, "received_ns", received_ns)
        put_taken(db, [(*key, each.pack()) for key, each in found.taken.items()])
        rows = said.corrections.values()
        db.executemany("INSERT INTO correction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("INSERT OR REPLACE INTO state VALUES ('sealed', ?)", (found.newest,))
        db.executemany("INSERT INTO snapshot VALUES (?, ?)", found.snapshots)
    manifest.close(single_file=True)
    with new.open("rb+") as file:
        os.fsync(file.fileno())


def _nameless(found: Found) -> Iterator[journal.TagRow]:
    taken = {row[1] for row in found.said.tags.values()}
    for tag, form in found.nameless.items():
        name = f"{NAMELESS}/{tag}"
        while name in taken:
            name += "-"
        since = min((each.time_min for each in found.segments if each.tag_min <= tag <= each.tag_max), default=0)
        yield tag, name, str(_KIND[form]), "", "source", 1, since, None
