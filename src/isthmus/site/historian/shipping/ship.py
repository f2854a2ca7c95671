"""Ships history to where a group reads it: new segments as they are, then one root that says what counts.

It reads the history beside the process that writes it (manifest, segments, the end of the log) and takes
no lock of it, so ingest never waits for a share. It keeps no state of its own: what is there already is
found by name, so a run cut short is simply run again. A place out of reach costs nothing but time.

Days that the site lets go (`keep_days`) stay where they were shipped to: that is the archive.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.model.errors import IsthmusError, StoreDamaged, UsageError
from isthmus.model.time import NS_PER_S
from isthmus.site.historian import corrections
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.sealed.leases import Lease
from isthmus.site.historian.sealed.manifest import Manifest, Segment
from isthmus.site.historian.shipping import shipped, tail
from isthmus.site.historian.shipping.shipped import Day, Leaving, Place, Root, TagEntry
from isthmus.site.historian.tags import TagBook

GRACE_S: Final = 900.0
"""How long a file that counts no more stays for readers that never said that they read."""
_TRIES: Final = 20


class Shipped(NamedTuple):
    """What one run did."""

    root: Root
    days: int
    """Days whose list was written anew."""
    files: int
    bytes: int
    tail_rows: int
    """Samples newly put into the tail."""
    deleted: int
    troubles: tuple[str, ...]
    """What could not be shipped and why; the days concerned stand as they stood before."""


class _Known(NamedTuple):
    """What this process shipped of a day."""

    ids: tuple[int, ...]
    opening: str
    name: str


class _Look(NamedTuple):
    """One consistent look at the manifest."""

    generation: int
    wal: int
    received_ns: int
    days: Mapping[int, tuple[Segment, ...]]
    snapshots: frozenset[int]
    tags: tuple[TagEntry, ...]
    said: tuple[Correction, ...]
    newest: bytes

    def same(self, other: _Look | None) -> bool:
        """Whether there is nothing new to ship."""
        return other is not None and self._replace(wal=0, days={}, newest=b"") == other._replace(
            wal=0, days={}, newest=b""
        )


class Shipper:
    """Ships one site's history to one place. `ship` is called again and again, by one thread.

    The bursts beside it are a history too: their folder, under the name that `shipped.waveforms_of` gives.
    """

    def __init__(
        self,
        history: Path,
        where: Place,
        site: str,
        *,
        grace_s: float = GRACE_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._history, self._where, self._site = history, where, site
        self._grace_ns, self._clock = int(grace_s * NS_PER_S), clock
        self._folder = shipped.folder_of(site)
        self._known: dict[int, _Known] = {}
        self._last: tuple[str, _Look] | None = None
        self._files = self._bytes = self._lists = 0
        self._troubles: list[str] = []

    def ship(self, *, over_newer: bool = False) -> Shipped:
        """Bring the place up to date. Raises OSError when it cannot be reached, StoreDamaged, UsageError.

        `over_newer` lets a history restored from a backup stand for the newer state that was shipped before.
        """
        self._files = self._bytes = self._lists = 0
        self._troubles = []
        root = shipped.read_root(self._where, self._site)
        manifest = Manifest(self._history, writing=False)
        lease = Lease(self._history)
        try:
            root = self._ship_root(manifest, lease, root, over_newer=over_newer)
        finally:
            lease.release()
            manifest.close()
        rows = tail.ship(self._history / "wal", self._where, self._folder, self._site, root.wal, self._clock())
        root, deleted = self._clear(root)
        return Shipped(root, self._lists, self._files, self._bytes, rows, deleted, tuple(self._troubles))

    def _ship_root(self, manifest: Manifest, lease: Lease, root: Root | None, *, over_newer: bool) -> Root:
        for _ in range(_TRIES):
            look = _look(manifest)
            lease.hold(look.generation)
            if root is not None and self._last and root.state() == self._last[0] and look.same(self._last[1]):
                return root
            self._allowed(root, look, over_newer=over_newer)
            made = self._make(manifest, root, look)
            if made is not None:
                if root is None or made.state() != root.state() or made.wal != root.wal:
                    self._where.put(f"{self._folder}/{shipped.ROOT}", shipped.to_json(made))
                    root = made
                self._last = root.state(), look
                return root
        msg = f"{self._history} is sealed faster than it can be shipped; it is tried again"
        raise StoreDamaged(msg)

    def _allowed(self, root: Root | None, look: _Look, *, over_newer: bool) -> None:
        """Nothing may take the place of another history, nor of a newer state of this one."""
        if root is None:
            return
        now = {each.id: each.info for each in look.tags}
        before = self._named(root.tags, list[TagEntry])
        if any(each.id not in now or now[each.id].name != each.info.name for each in before):
            msg = (
                f"{self._folder} holds another history: its tags have other numbers. Move that folder away, "
                "or give this site another [plant] path"
            )
            raise UsageError(msg)
        if look.generation < root.generation and not over_newer:
            msg = (
                f"{self._folder} holds a newer state of this history (generation {root.generation}, here "
                f"{look.generation}): it was restored from a backup. If it shall stand for what is there, "
                "run `isthmus history ship --over-newer` once"
            )
            raise UsageError(msg)

    def _make(self, manifest: Manifest, root: Root | None, look: _Look) -> Root | None:
        """The root of what is there now, all its files in place; None when a seal came in between."""
        days = dict(root.days) if root else {}
        since = min(
            (day for day, found in look.days.items() if _ids(found) != self._known.get(day, _NEVER).ids), default=None
        )
        changed: list[int] = []
        for day in sorted(look.days):
            known = self._known.get(day)
            behind = since is not None and day > since
            if (
                known is None
                or known.ids != _ids(look.days[day])
                or behind
                or (day in look.snapshots) != bool(known.opening)
            ):
                known = self._ship_day(manifest, look, day)
                if known is None:
                    return None
            if known.name and days.get(shipped.date_of(day)) != known.name:
                changed.append(day)
                days[shipped.date_of(day)] = known.name
        number = root.number + 1 if root else 1
        made = Root(
            site=self._site,
            number=number,
            generation=look.generation,
            wal=look.wal,
            received_ns=look.received_ns,
            shipped_ns=self._clock(),
            tags=self._put_whole(shipped.to_json(look.tags), "json"),
            corrections=self._put_whole(msgspec.msgpack.encode(self._all_said(root, look.said)), "msgpack"),
            newest=self._put_whole(look.newest, "arrow"),
            days=days,
        )
        return msgspec.structs.replace(made, leaving=self._leaving(root, made, changed))

    def _ship_day(self, manifest: Manifest, look: _Look, day: int) -> _Known | None:
        """Every file of a day, then its list. None when the manifest moved on meanwhile."""
        with manifest.reading():
            if manifest.about("generation") != look.generation:
                return None
            opening = manifest.snapshot(day)
        files = look.days[day]
        opened = "" if opening is None else self._put(day, opening, "arrow")
        try:
            for each in files:
                self._put_segment(each)
        except StoreDamaged as error:
            # Not tried again until the day changes or the site starts anew: a person must mend it first.
            self._troubles.append(str(error))
            self._known[day] = _Known(_ids(files), opened, self._known.get(day, _NEVER).name)
            return self._known[day]
        entries = tuple(shipped.to_entry(each) for each in files)
        name = self._put(day, shipped.to_json(Day(day, opened, entries)), "json")
        self._known[day] = _Known(_ids(files), opened, name)
        self._lists += 1
        return self._known[day]

    def _put_segment(self, segment: Segment) -> None:
        name = shipped.file_name(self._site, segment.day, segment.sha256, "parquet")
        if self._where.size(name) == segment.bytes:
            return
        path = self._history / segment.path
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            msg = f"{path} is not there, so its day is not shipped; see `isthmus history verify`"
            raise StoreDamaged(msg) from error
        if shipped.hash_of(data) != segment.sha256:
            msg = f"{path} is not as it was written, so its day is not shipped; see `isthmus history verify`"
            raise StoreDamaged(msg)
        self._send(name, data)

    def _put(self, day: int, data: bytes, ending: str) -> str:
        found = shipped.hash_of(data)
        name = shipped.file_name(self._site, day, found, ending)
        if self._where.size(name) != len(data):
            self._send(name, data)
        return found

    def _put_whole(self, data: bytes, ending: str) -> str:
        found = shipped.hash_of(data)
        name = f"{self._folder}/{found}.{ending}"
        if self._where.size(name) != len(data):
            self._send(name, data)
        return found

    def _send(self, name: str, data: bytes) -> None:
        self._where.put(name, data)
        self._files += 1
        self._bytes += len(data)

    def _named(self, name: str, form: type[list[TagEntry]]) -> list[TagEntry]:
        return msgspec.json.decode(shipped.read_named(self._where, f"{self._folder}/{name}.json"), type=form)

    def _all_said(self, root: Root | None, said: Sequence[Correction]) -> list[Correction]:
        """Those shipped before stay, also when the site let go of their days."""
        before: list[Correction] = []
        if root is not None:
            data = shipped.read_named(self._where, f"{self._folder}/{root.corrections}.msgpack")
            before = msgspec.msgpack.decode(data, type=list[Correction])
        every = {(each.said_ns, each.tag, each.time_ns): each for each in (*before, *said)}
        return [every[key] for key in sorted(every)]

    def _leaving(self, before: Root | None, after: Root, changed: Sequence[int]) -> tuple[Leaving, ...]:
        """What counts no more, and what a run that was cut short left in the days that changed."""
        named = self._whole(after)
        there = set() if before is None else self._whole(before)
        for day in changed:
            folder = f"{self._folder}/day={shipped.date_of(day)}"
            named |= self._names_of(folder, after.days[shipped.date_of(day)])
            there |= {f"{folder}/{each}" for each in self._where.names(folder) if not each.endswith(".tmp")}
        old = {each.name: each for each in (before.leaving if before else ()) if each.name not in named}
        new = [Leaving(name, after.number, after.shipped_ns) for name in sorted(there - named - old.keys())]
        return (*old.values(), *new)

    def _whole(self, root: Root) -> set[str]:
        """The files that belong to no day."""
        return {
            f"{self._folder}/{each}"
            for each in (f"{root.tags}.json", f"{root.corrections}.msgpack", f"{root.newest}.arrow")
        }

    def _names_of(self, folder: str, name: str) -> set[str]:
        day = shipped.from_json(shipped.read_named(self._where, f"{folder}/{name}.json"), Day, name)
        files = {f"{folder}/{each.sha256}.parquet" for each in day.files}
        return files | {f"{folder}/{name}.json"} | ({f"{folder}/{day.opening}.arrow"} if day.opening else set())

    def _clear(self, root: Root) -> tuple[Root, int]:
        """Delete what left long enough ago and nobody holds."""
        now = self._clock()
        due = [each for each in root.leaving if now - each.since_ns >= self._grace_ns]
        if not due:
            return root, 0
        oldest = min(
            (hold.roots[self._site] for hold in shipped.held(self._where, now) if self._site in hold.roots),
            default=None,
        )
        free = [each for each in due if oldest is None or oldest >= each.number]
        for each in free:
            self._where.remove(each.name)
        if free:
            root = msgspec.structs.replace(root, leaving=tuple(each for each in root.leaving if each not in free))
            self._where.put(f"{self._folder}/{shipped.ROOT}", shipped.to_json(root))
        return root, len(free)


_NEVER: Final = _Known((), "", "")


def _ids(segments: Iterable[Segment]) -> tuple[int, ...]:
    return tuple(each.id for each in segments)


def _look(manifest: Manifest) -> _Look:
    with manifest.reading():
        days: defaultdict[int, list[Segment]] = defaultdict(list)
        for each in manifest.files():
            days[each.day].append(each)
        book = TagBook(manifest)
        names = {info.name for info in book.all().values()}
        tags = sorted(
            (
                TagEntry(each.id, each.info, each.valid_from_ns, each.valid_to_ns)
                for name in names
                for each in book.versions(name)
            ),
            key=lambda each: each.id,
        )
        return _Look(
            manifest.about("generation"),
            manifest.about("wal"),
            manifest.about("received_ns"),
            {day: tuple(found) for day, found in days.items()},
            frozenset(manifest.snapshot_days()),
            tuple(tags),
            tuple(corrections.read(manifest)[0]),
            manifest.state("sealed") or b"",
        )


def open_shipper(history: Path, target: str, site: str) -> Shipper:
    """A shipper to a folder or a URL. Raises UsageError in an engineer's words."""
    if not (history / "manifest.sqlite").exists():
        msg = f"{history} holds no history; give the site's data folder with --data"
        raise UsageError(msg)
    try:
        return Shipper(history, shipped.place(target), site)
    except OSError as error:
        msg = f"{target} cannot be reached: {error}; mend [historian] ship_to"
        raise IsthmusError(msg) from error
