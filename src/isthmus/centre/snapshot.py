"""What counted of all sites at one moment, held for as long as somebody reads it.

A snapshot is a list of files. Each stays where it is until the site that shipped it finds that nobody
holds a root that names it: so a question that runs for minutes never meets a half-made state.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from isthmus.centre.stock import Known, Stock
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.site.historian.corrections import Correction, to_rows
from isthmus.site.historian.memory.head import Head
from isthmus.site.historian.memory.newest import Newest
from isthmus.site.historian.memory.rows import Rows, from_batch
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.view import Files, View
from isthmus.site.historian.shipping import shipped, tail
from isthmus.site.historian.shipping.shipped import Chunk, Day, Hold
from isthmus.wire import frame as frames

HOLD_S: Final = 3600.0
"""How long a reader is believed to read at most; a question is given less."""
_MOST_DAYS: Final = 200_000
_MOST_LISTS: Final = 4096
_number = itertools.count()


class Newly(NamedTuple):
    """What a site's log holds behind its segments, and with it the newest sample of each tag."""

    key: tuple[object, ...]
    parts: tuple[Rows, ...]
    newest: Newest


class Cache:
    """What snapshots of one centre need again and again."""

    def __init__(self) -> None:
        self.newly: dict[int, Newly] = {}
        """By site."""
        self.covers: dict[str, dict[str, bytes]] = {}
        """By the name of a day's list, what each rollup of it covers."""


class Snapshot:
    """The sites as the stock had them at one moment. Made by a centre; `release` when done."""

    def __init__(self, stock: Stock, files: Files, cache: Cache, *, now_ns: int) -> None:
        self._stock, self._files, self._cache = stock, files, cache
        self.sites = {each.number: each for each in stock.sites()}
        self._hold = f"{shipped.READERS}/{socket.gethostname()}-{os.getpid()}-{next(_number)}.json"
        roots = {each.name: each.root for each in self.sites.values()}
        try:
            stock.where.put(self._hold, shipped.to_json(Hold(now_ns + int(HOLD_S * NS_PER_S), roots)))
        except OSError:
            self._hold = ""  # a folder that can only be read: what the sites let lie for a while must do

    def release(self) -> None:
        """Let the files go."""
        if self._hold:
            self._stock.where.remove(self._hold)

    def view(self, site: int, start_ns: int, end_ns: int, *, rolled: bool = True) -> View:
        """What there is of a site for a question about [start_ns, end_ns), what came before it included.

        Without `rolled` there are no rollups in it, which only some questions can use.
        """
        known = self.sites[site]
        newly = self._newly(known)
        first_day, last_day = start_ns // NS_PER_DAY, end_ns // NS_PER_DAY
        with self._stock.reading():
            before = self._stock.opening_before(site, first_day)
            since = -_MOST_DAYS if before is None else before
            openings = self._stock.openings(site, since, last_day)
            segments = self._stock.segments(known, since, last_day)
            lists = self._stock.lists(known.number, first_day, last_day) if rolled else {}

        def opening(day: int) -> bytes:
            return shipped.read_named(self._stock.where, shipped.file_name(known.name, day, openings[day], "arrow"))

        return View(
            files=self._files,
            segments=tuple(each for each in segments if not each.bucket_ns),
            rollups=tuple(self._rolled(known, segments, lists)),
            tails=newly.parts,
            corrections=self._corrections(known),
            newest=newly.newest.rows,
            snapshot_days=tuple(sorted(openings)),
            snapshot=opening,
        )

    def _rolled(self, known: Known, segments: Iterable[Segment], lists: Mapping[int, str]) -> Iterator[Segment]:
        """The rollups of these days, with what each covers: that stands in the days' lists."""
        covers: dict[str, bytes] = {}
        rollups = [each for each in segments if each.bucket_ns and each.day in lists]
        for day in {each.day for each in rollups}:
            covers |= self._covers(shipped.file_name(known.name, day, lists[day], "json"))
        for each in rollups:
            yield each._replace(tags=covers[each.sha256])

    def _covers(self, name: str) -> dict[str, bytes]:
        found = self._cache.covers.get(name)
        if found is None:
            day = shipped.from_json(shipped.read_named(self._stock.where, name), Day, name)
            found = {each.sha256: each.tags for each in day.files if each.bucket_ns}
            if len(self._cache.covers) >= _MOST_LISTS:
                self._cache.covers.clear()
            self._cache.covers[name] = found
        return found

    def _corrections(self, known: Known) -> Rows:
        name = f"{shipped.folder_of(known.name)}/{known.corrections}.msgpack"
        return to_rows(msgspec.msgpack.decode(shipped.read_named(self._stock.where, name), type=list[Correction]))

    def _newly(self, known: Known) -> Newly:
        listed = shipped.read_tail(self._stock.where, known.name)
        chunks: Sequence[Chunk] = listed.chunks if listed else ()
        key = (known.newest, known.wal, tuple(each.sha256 for each in chunks))
        found = self._cache.newly.get(known.number)
        if found is None or found.key != key:
            head = Head()
            for each in tail.read(self._stock.where, known.name, known.wal):
                head.add(from_batch(frames.samples(each), head.words))
            name = f"{shipped.folder_of(known.name)}/{known.newest}.arrow"
            newest = Newest.unpack(shipped.read_named(self._stock.where, name) or None)
            for rows in head.parts():
                newest.see(rows)
            found = self._cache.newly[known.number] = Newly(key, head.parts(), newest)
        return found
