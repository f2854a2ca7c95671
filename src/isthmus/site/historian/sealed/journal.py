"""What was said once and stands in no segment, beside the manifest: names of tags, corrections, frames taken in.

    <history>/names.journal    a line a fact: the CRC-32 of what follows in eight hexadecimal digits, a space, JSON

    {"is":"tag","number":17,"info":{"name":"press/force","kind":"f64",...},"valid_from_ns":...,"valid_to_ns":null}
    {"is":"correction","tag":17,"time_ns":...,"said_ns":...,"form":1,"bits":...,"word":"","status":0,"by":...,"why":...}
    {"is":"let go","before_ns":...}
    {"is":"sealed","generation":...,"received_ns":...,"taken":[[source,epoch,ranges],...]}

A line is on disk before a number is used for the first time, before a correction is confirmed, and before
the log forgets what was sealed. So a manifest that is lost can be made anew of the files and this
(rebuild.py). Of two lines about one thing the later stands. Plain text, so that a person can read it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import TagInfo, TimeOf, ValueKind
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed.manifest import Manifest, put_tags, tag_rows
from isthmus.site.historian.sealed.parquet import sync_folder, write_whole

NAME: Final = "names.journal"
RENEW_AFTER: Final = 4096
"""Seals after which the journal is written anew as what is true now, so that it never grows without end."""
_CRC: Final = 9

TagRow = tuple[int, str, str, str, str, int, int, int | None]
"""As the manifest has it: number, name, kind, unit, time_of, step, valid_from, valid_to."""
CorrectionRow = tuple[int, int, int, int, int, str, int, str, str]
"""As the manifest has it: tag, time, said, form, bits, word, status, by, why."""


class Named(msgspec.Struct, frozen=True, tag="tag", tag_field="is"):
    """What a number stands for, from when to when; `valid_to_ns` None while it counts."""

    number: int
    info: TagInfo
    valid_from_ns: int
    valid_to_ns: int | None


class Right(msgspec.Struct, frozen=True, tag="correction", tag_field="is"):
    """One sample put right; the columns of the manifest's table."""

    tag: int
    time_ns: int
    said_ns: int
    form: int
    bits: int
    word: str
    status: int
    by: str
    why: str


class LetGo(msgspec.Struct, frozen=True, tag="let go", tag_field="is"):
    """History, corrections included, was let go up to a moment."""

    before_ns: int


class Sealed(msgspec.Struct, frozen=True, tag="sealed", tag_field="is"):
    """A seal: which frames of the sources that had some since are in segments now; `ranges` as in taken.py."""

    generation: int
    received_ns: int
    taken: tuple[tuple[int, int, bytes], ...]


Fact = Named | Right | LetGo | Sealed
_READ: Final = msgspec.json.Decoder(Fact)
_WRITE: Final = msgspec.json.Encoder()


class Facts(msgspec.Struct):
    """All that a journal says."""

    tags: dict[int, TagRow] = {}
    corrections: dict[tuple[int, int, int], CorrectionRow] = {}
    """By tag, time and moment of saying."""
    taken: dict[tuple[int, int], bytes] = {}
    generation: int = 0
    received_ns: int = 0
    let_go_ns: int = -(1 << 63)
    damaged: list[int] = []
    """Lines that are not what was written, counted from 1."""
    there: bool = False
    """Whether there is a journal."""

    def take(self, fact: Fact) -> None:
        """Learn one fact; later ones stand."""
        match fact:
            case Named(number, info, since, until):
                self.tags[number] = (
                    number, info.name, str(info.kind), info.unit, info.time_of, int(info.step), since, until
                )  # fmt: skip
            case Right():
                row: CorrectionRow = msgspec.structs.astuple(fact)
                self.corrections[row[:3]] = row
            case LetGo(before_ns):
                self.let_go_ns = max(self.let_go_ns, before_ns)
                self.corrections = {key: row for key, row in self.corrections.items() if key[1] >= before_ns}
            case Sealed(generation, received_ns, taken):
                self.generation, self.received_ns = max(self.generation, generation), received_ns
                self.taken |= {(source, epoch): ranges for source, epoch, ranges in taken}


def read(folder: Path) -> Facts:
    """What the journal in a history's folder says; a line cut short at its end was never confirmed and does not count."""
    facts = Facts()
    try:
        data = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return facts
    facts.there = True
    *lines, _ = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            whole = int(line[: _CRC - 1], 16) == zlib.crc32(line[_CRC:])
            fact = _READ.decode(line[_CRC:]) if whole else None
        except (ValueError, msgspec.MsgspecError):
            fact = None
        if fact is None:
            facts.damaged.append(number)
        else:
            facts.take(fact)
    return facts


class Journal:
    """Written by the one process that writes the history; any thread of it, one at a time for each kind of fact."""

    def __init__(self, folder: Path, manifest: Manifest, taken: Mapping[tuple[int, int], bytes]) -> None:
        self._folder, self._manifest = folder, manifest
        self._taken = dict(taken)
        self._seals = 0
        self.damaged = 0
        """Lines that were damaged when it was opened; what they said was written again."""

    def add(self, facts: Sequence[Fact]) -> None:
        """On disk when this returns. Raises OSError with nothing said."""
        with self.before(facts):
            pass

    @contextmanager
    def before(self, facts: Sequence[Fact]) -> Iterator[None]:
        """Say it first, and take it back when what stands within fails. Raises OSError with nothing said."""
        with self._manifest.lock, (self._folder / NAME).open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if not end:
                    sync_folder(self._folder)
                data = b"".join(_line(fact) for fact in facts)
                while data:
                    data = data[file.write(data) :]
                os.fdatasync(file.fileno())
                yield
            except BaseException:
                with suppress(OSError):
                    file.truncate(end)
                raise

    def sealed(self, generation: int, received_ns: int, taken: Mapping[tuple[int, int], Taken]) -> None:
        """A seal counts; to be said before the log forgets what was sealed. Raises OSError: then it must not yet."""
        packed = {key: each.pack() for key, each in taken.items()}
        new = {key: ranges for key, ranges in packed.items() if self._taken.get(key) != ranges}
        if self._seals >= RENEW_AFTER:
            renew(self._folder, self._manifest)
            self._seals = 0
        else:
            self.add([Sealed(generation, received_ns, tuple((*key, ranges) for key, ranges in new.items()))])
            self._seals += 1
        self._taken = packed


def open_journal(folder: Path, manifest: Manifest) -> Journal:
    """The journal, once it and the manifest say the same.

    What only the journal knows (the manifest was put back from a backup, or the power went between the two)
    comes into the manifest; what only the manifest knows comes into the journal. Raises StoreDamaged when
    they speak of different histories, with the manifest closed.
    """
    said = read(folder)
    try:
        _into(manifest, said, folder)
    except StoreDamaged:
        manifest.close()
        raise
    true = _of(manifest)
    if said.damaged or (said.tags, said.corrections, said.taken) != (true.tags, true.corrections, true.taken):
        with suppress(OSError):  # a full disk must not keep a history shut; it is tried again at the next start
            renew(folder, manifest)
    elif said.there:
        _cut_short(folder / NAME)
    opened = Journal(folder, manifest, true.taken)
    opened.damaged = len(said.damaged)
    return opened


def settled(tags: Mapping[int, TagRow]) -> dict[int, TagRow]:
    """The same with one number at most that counts for each name: the highest."""
    out = dict(sorted(tags.items()))
    newest: dict[str, int] = {}
    for number, row in out.items():
        if row[-1] is None and row[1] in newest:
            before = newest[row[1]]
            out[before] = (*out[before][:-1], row[-2])
        if row[-1] is None:
            newest[row[1]] = number
    return out


def info_of(row: TagRow) -> TagInfo:
    """What a row of the manifest says of a tag."""
    _, name, kind, unit, clock, step, _, _ = row
    time_of: TimeOf = "arrival" if clock == "arrival" else "source"
    return TagInfo(name=name, kind=ValueKind(kind), unit=unit, time_of=time_of, step=bool(step))


def renew(folder: Path, manifest: Manifest) -> None:
    """Write the journal anew, as what the manifest says now. Raises OSError with the one before kept."""
    with manifest.lock:
        facts = _of(manifest)
        lines: list[Fact] = [*map(_named, facts.tags.values()), *(Right(*row) for row in facts.corrections.values())]
        taken = tuple((*key, ranges) for key, ranges in facts.taken.items())
        last = Sealed(facts.generation, facts.received_ns, taken)
        write_whole(folder / NAME, b"".join(_line(fact) for fact in (*lines, last)))


def _into(manifest: Manifest, said: Facts, folder: Path) -> None:
    with manifest.reading() as db:
        known = {row[0]: row for row in tag_rows(db)}
        corrected = {row[:3] for row in db.execute("SELECT tag, time, said FROM correction")}
    for number, row in said.tags.items():
        stands = known.get(number)
        if stands is not None and stands[1:4] != row[1:4]:
            msg = (
                f"{folder}: tag {number} is {stands[1]} ({stands[2]} {stands[3]}) in {manifest.path.name}, and {row[1]} "
                f"({row[2]} {row[3]}) in {NAME}; one of the two belongs to another history. Nothing was opened or "
                "deleted. Put the right one back; if it is gone, move the wrong one away: `isthmus history rebuild` "
                "then says what is left"
            )
            raise StoreDamaged(msg)
        until = row[-1] if stands is None or stands[-1] is None else stands[-1]
        known[number] = (*row[:-1], until)
    tags, new = settled(known), [row for key, row in said.corrections.items() if key not in corrected]
    with manifest.reading() as db:
        same = tags == {row[0]: row for row in tag_rows(db)}
    if not same or new:
        with manifest.transaction() as db:
            put_tags(db, tags.values())
            db.executemany("INSERT OR IGNORE INTO correction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", new)


def _of(manifest: Manifest) -> Facts:
    with manifest.reading() as db:
        return Facts(
            tags={row[0]: row for row in tag_rows(db)},
            corrections={
                row[:3]: row
                for row in db.execute("SELECT tag, time, said, form, bits, word, status, by, why FROM correction")
            },
            taken={(source, epoch): ranges for source, epoch, ranges in manifest.taken()},
            generation=manifest.about("generation"),
            received_ns=manifest.about("received_ns"),
        )


def _named(row: TagRow) -> Named:
    return Named(row[0], info_of(row), row[-2], row[-1])


def _line(fact: Fact) -> bytes:
    data = _WRITE.encode(fact)
    return b"%08x %b\n" % (zlib.crc32(data), data)


def _cut_short(path: Path) -> None:
    """Cut off a last line that the power kept from being written whole: what follows must not stand in it."""
    with path.open("rb+") as file:
        data = file.read()
        if not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)
            os.fsync(file.fileno())
    sync_folder(path.parent)
