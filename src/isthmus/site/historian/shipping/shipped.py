"""What a site puts where a group can read it: its sealed segments as they are, and what says which of them count.

    <group>/site=acme~northgate/
       root.json                         what counts now; the only name beside tail.json that is written twice
       tail.json, tail/<sha256>.frames   what the site's log holds and no segment yet
       day=2026-11-22/<sha256>.parquet   a segment or a rollup, byte for byte
       day=2026-11-22/<sha256>.json      a day's list: every file of the day that counts
       day=2026-11-22/<sha256>.arrow     the newest sample of each tag before the day
       <sha256>.json, .msgpack, .arrow   tags; corrections; the newest sealed sample of each tag
       waveforms/                        the same for bursts: a root, a tail and days of their own
       records.json, records/            the log of records, where the plant file says so, see site/records/shipped_log.py
    <group>/readers/<name>.json          which root a reader holds, so that nothing is deleted under it

Everything but the roots is named by its content and never changes. A root names all that counts by
hash, as a list names its segments; so whoever holds a root sees one whole state of the site, and two
folders with one root hold the same. Drawn in docs/formats/shipped.md.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import stat
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
import pyarrow as pa
from pyarrow import fs

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.samples import TagInfo
from isthmus.model.time import NS_PER_DAY, to_datetime
from isthmus.site.historian.sealed.manifest import Packed, Segment
from isthmus.site.historian.sealed.parquet import write_whole

FORMAT: Final = 1
ROOT: Final = "root.json"
TAIL: Final = "tail.json"
READERS: Final = "readers"
WAVEFORMS: Final = "waveforms"
_ANYBODY: Final = 0o666
_SITE: Final = "site="
_EPOCH: Final = dt.date(1970, 1, 1)
_UP: Final = "~"
"""Stands for the `/` of a path: no path has it, every file system takes it."""
_BESIDE: Final = "#"
"""Between a site and what it ships with a root of its own, as in `acme/northgate#waveforms`."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a day; the fields are those of the site's manifest, see `Segment`."""

    id: int
    """Of two rows with one (tag, time) that of the higher id stands."""
    level: int
    rows: int
    time_min: int
    time_max: int
    tag_min: int
    tag_max: int
    unit: str
    bytes: int
    sha256: str
    overlap: bool = False
    bucket_ns: int = 0
    tags: Packed = b""
    made_of: str = ""


class Day(msgspec.Struct, frozen=True):
    """A day's list. Whatever it does not name does not count: that is how late data and merges supersede."""

    day: int
    """UTC days since 1970"""
    opening: str
    """Hash of the day's snapshot; "" while there is none."""
    files: tuple[Entry, ...]


class TagEntry(msgspec.Struct, frozen=True):
    """One number that a name has, or had until `valid_to_ns`."""

    id: int
    info: TagInfo
    valid_from_ns: int
    valid_to_ns: int | None


class Leaving(msgspec.Struct, frozen=True):
    """A file that no root names any more: it is deleted once nobody can hold it."""

    name: str
    number: int
    """The first root without it."""
    since_ns: int


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a site. All hashes are SHA-256 in hexadecimal."""

    format: int = FORMAT
    site: str
    number: int
    """One more with each root."""
    generation: int
    """Of the site's manifest."""
    wal: int
    """Up to where the site's log is sealed: the tail begins there."""
    received_ns: int
    """When the newest sealed sample arrived at the site."""
    shipped_ns: int
    tags: str
    corrections: str
    newest: str
    days: dict[str, str]
    """By UTC date, the hash of its list."""
    leaving: tuple[Leaving, ...] = ()

    def state(self) -> str:
        """One hash of all that counts: equal where two folders hold the same."""
        return hash_of(to_json([self.site, self.tags, self.corrections, self.newest, sorted(self.days.items())]))


class Chunk(msgspec.Struct, frozen=True):
    """Whole frames of the site's log, from position `start` up to `end`."""

    start: int
    end: int
    rows: int
    sha256: str


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the site's log behind `wal`, in order."""

    format: int = FORMAT
    wal: int
    shipped_ns: int
    chunks: tuple[Chunk, ...] = ()
    leaving: tuple[Leaving, ...] = ()


class Hold(msgspec.Struct, frozen=True):
    """What a reader says of itself: by site, the root that it reads, and until when at most."""

    until_ns: int
    roots: dict[str, int]


_Form = TypeVar("_Form", bound=msgspec.Struct)


def to_json(what: object) -> bytes:
    """The one way to write it, so that the same content has the same hash."""
    return msgspec.json.encode(what, order="deterministic")


def from_json(data: bytes, form: type[_Form], name: str) -> _Form:
    """What `to_json` wrote. Raises StoreDamaged."""
    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.MsgspecError as error:
        msg = f"{name} is no {form.__name__.lower()} of a shipped history: {error}"
        raise StoreDamaged(msg) from error


def hash_of(data: bytes | memoryview | pa.Buffer) -> str:
    """The name of these bytes."""
    return sha256(data).hexdigest()


def date_of(day: int) -> str:
    """A day as the folders write it."""
    return to_datetime(day * NS_PER_DAY).date().isoformat()


def day_of(date: str) -> int:
    """The day that `date_of` wrote. Raises StoreDamaged for what is no date."""
    try:
        return (dt.date.fromisoformat(date) - _EPOCH).days
    except ValueError as error:
        msg = f"{date} is no date"
        raise StoreDamaged(msg) from error


def waveforms_of(site: str) -> str:
    """By what name a site ships its bursts: as a history of its own, within the site's folder."""
    return f"{site}{_BESIDE}{WAVEFORMS}"


def folder_of(site: str) -> str:
    """Where a site's files stand in the group's folder."""
    plant, _, beside = site.partition(_BESIDE)
    return _SITE + plant.replace("/", _UP) + (f"/{beside}" if beside else "")


def site_of(folder: str) -> str | None:
    """The site of a folder's name, None when it is none."""
    return folder[len(_SITE) :].replace(_UP, "/") if folder.startswith(_SITE) else None


def file_name(site: str, day: int, name: str, ending: str) -> str:
    """Where a file of a day stands in the group's folder."""
    return f"{folder_of(site)}/day={date_of(day)}/{name}.{ending}"


def to_segment(site: str, day: int, entry: Entry) -> Segment:
    """The entry as a segment whose path is that in the group's folder."""
    fields = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    return Segment(day=day, path=file_name(site, day, entry.sha256, "parquet"), **fields)


def to_entry(segment: Segment) -> Entry:
    """The entry of a segment of the site's own manifest."""
    return Entry(**{name: getattr(segment, name) for name in Entry.__struct_fields__})


class Place(Protocol):
    """A folder or a bucket. Names are relative, with `/`. Methods raise OSError when it cannot be reached."""

    def read(self, name: str) -> bytes:
        """All bytes of a file. Raises FileNotFoundError."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a file: whole or not at all."""
        ...

    def size(self, name: str) -> int | None:
        """How long a file is, None when it is not there."""
        ...

    def names(self, folder: str) -> list[str]:
        """What stands directly in a folder; nothing when there is none."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...


def place(target: str, *, create: bool = False) -> Place:
    """The folder, or the bucket of a URL that pyarrow knows (s3://, gs://, abfs://, file://).

    A folder that is not there is refused, unless told to make it: an unmounted share must not be
    filled underneath. Raises UsageError, OSError.
    """
    if "://" in target:
        try:
            system, path = fs.FileSystem.from_uri(target)
        except (pa.ArrowException, ValueError) as error:
            msg = f"{target} is no place that can be written: {error}"
            raise UsageError(msg) from error
        return Bucket(system, path)
    folder = Path(target)
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    return Folder(folder)


class Folder:
    """A folder that both can see: a share, a mounted disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> bytes:
        """As `Place.read`."""
        return (self.root / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """As `Place.put`; on disk for good when it returns. Who may read the folder may read what is put there."""
        if not self.root.is_dir():
            msg = f"{self.root} is not there; mount or make it, as Isthmus does not make it by itself"
            raise FileNotFoundError(msg)
        mode = stat.S_IMODE(self.root.stat().st_mode)
        path = self.root / name
        for folder in [each for each in reversed(path.parents) if each.is_relative_to(self.root) and not each.exists()]:
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        write_whole(path, data, mode & _ANYBODY)

    def size(self, name: str) -> int | None:
        """As `Place.size`."""
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """As `Place.names`."""
        try:
            return sorted(each.name for each in (self.root / folder).iterdir())
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """As `Place.remove`."""
        (self.root / name).unlink(missing_ok=True)


class Bucket:
    """A file system of pyarrow's. An object is seen whole or not at all, as object stores promise."""

    def __init__(self, system: fs.FileSystem, path: str) -> None:
        self._system = fs.SubTreeFileSystem(path, system)

    def read(self, name: str) -> bytes:
        """As `Place.read`."""
        with self._system.open_input_stream(name) as stream:
            return stream.read()

    def put(self, name: str, data: bytes) -> None:
        """As `Place.put`."""
        self._system.create_dir(name.rpartition("/")[0], recursive=True)
        with self._system.open_output_stream(name) as stream:
            stream.write(data)

    def size(self, name: str) -> int | None:
        """As `Place.size`."""
        found = self._system.get_file_info(name)
        return found.size if found.type == fs.FileType.File else None

    def names(self, folder: str) -> list[str]:
        """As `Place.names`."""
        found = self._system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return sorted(each.base_name for each in found)

    def remove(self, name: str) -> None:
        """As `Place.remove`."""
        with contextlib.suppress(FileNotFoundError):
            self._system.delete_file(name)


def read_root(where: Place, site: str) -> Root | None:
    """The root of a site, None when it never shipped. Raises StoreDamaged for a format not known here."""
    name = f"{folder_of(site)}/{ROOT}"
    try:
        root = from_json(where.read(name), Root, name)
    except FileNotFoundError:
        return None
    if root.format != FORMAT or root.site != site:
        msg = f"{name} is of format {root.format}, for {root.site}; this Isthmus reads format {FORMAT} for {site}"
        raise StoreDamaged(msg)
    return root


def read_tail(where: Place, site: str) -> Tail | None:
    """The list of a site's tail, None when it has none."""
    name = f"{folder_of(site)}/{TAIL}"
    try:
        return from_json(where.read(name), Tail, name)
    except FileNotFoundError:
        return None


def read_named(where: Place, name: str) -> bytes:
    """A file that is named by its content. Raises StoreDamaged when it is not there or holds something else."""
    try:
        data = where.read(name)
    except FileNotFoundError as error:
        msg = f"{name} is not there"
        raise StoreDamaged(msg) from error
    if hash_of(data) != Path(name).stem:
        msg = f"{name} does not hold what its name says: its bytes were changed or cut short"
        raise StoreDamaged(msg)
    return data


def held(where: Place, now_ns: int) -> Iterable[Hold]:
    """What readers hold that said so and whose time is not over."""
    for name in where.names(READERS):
        try:
            hold = from_json(where.read(f"{READERS}/{name}"), Hold, name)
        except (FileNotFoundError, StoreDamaged):
            continue  # just released, or just being written
        if hold.until_ns > now_ns:
            yield hold
